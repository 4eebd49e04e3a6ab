// Promoting the survivor: promote.h.
#include "cmd/promote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rfc3339.h"
#include "cmd/stopped.h"
#include "node/found.h"

// --- what the operator is told ---

static void say_members(const struct wire_configuration *configuration) {
    printf("members:        ");
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        printf("%s%s at %s in %s%s", i == 0 ? "" : ", ", member->id.text, member->address, member->cloud,
               member->voter ? "" : " (learner)");
    }
    printf("\n");
}

static void say_time(const char *what, int64_t unix_ms) {
    char text[RFC3339_SIZE];
    rfc3339_format(text, unix_ms);
    printf("%s%s\n", what, unix_ms == 0 ? "never" : text);
}

static void say_what_is_known(const struct stopped *stopped, const struct wire_member *self) {
    printf("node:           %s of cluster %s, generation %" PRIu64 "\n", self->id.text, stopped->config->cluster_id.text,
           stopped->generation);
    say_members(&stopped->configuration);
    printf("last entry:     %" PRIu64 " of term %" PRIu64 "\n", stopped->last.index, stopped->last.term);
    if (stopped->image.last.index > 0) {
        printf("snapshot:       at entry %" PRIu64 "\n", stopped->image.last.index);
    }
    say_time("last command:   proposed at ", stopped->command_unix_ms);
    say_time("last written:   ", stopped->written_unix_ms);
    printf("\n"
           "Generation %" PRIu64 " begins behind entry %" PRIu64
           ", with %s alone. Everything up to there is kept, whether a "
           "majority had it or not.\n"
           "LOST is what the others acknowledged and this node never received%s.\n"
           "A member that still runs goes on with the old generation until it hears of the new one: stop it first if you "
           "can.\n",
           stopped->generation + 1, stopped->last.index, self->id.text,
           self->voter ? "" : "; it is a learner, and may lack much");
    fflush(stdout);
}

// --- whether to do it ---

static enum error_code confirm(const struct stopped *stopped, bool yes, struct error *error) {
    char answer[ID_MAX + 2] = "";
    const char *cluster = stopped->config->cluster_id.text;
    if (yes) {
        return OK;
    }
    if (!isatty(STDIN_FILENO)) {
        return error_set(error, ERR_INVALID, "nothing was changed: give --yes to found the generation");
    }
    printf("Type the cluster's id to go on: ");
    fflush(stdout);
    bool typed = fgets(answer, sizeof answer, stdin) != NULL;
    answer[strcspn(answer, "\n")] = '\0';
    return typed && strcmp(answer, cluster) == 0
               ? OK
               : error_set(error, ERR_INVALID, "nothing was changed: the cluster's id is %s", cluster);
}

static enum error_code check(const struct stopped *stopped, const struct wire_member *self, struct error *error) {
    size_t voters = 0;
    for (size_t i = 0; i < stopped->configuration.count; i++) {
        voters += stopped->configuration.members[i].voter;
    }
    if (self == NULL) {
        return error_set(error, ERR_INVALID, "%s is no member of the cluster by its own log: its state may be of any age",
                         stopped->config->node_id.text);
    }
    if (self->voter && voters == 1) {
        return error_set(error, ERR_INVALID,
                         "%s is the only voter already (generation %" PRIu64 "): start it as usual, and add the others",
                         self->id.text, stopped->generation);
    }
    if (stopped->generation == UINT64_MAX) {
        return error_set(error, ERR_INVALID, "generation %" PRIu64 " is the last that there is", stopped->generation);
    }
    return OK;
}

// --- doing it ---

static enum error_code found(struct stopped *stopped, struct raft_entry_id *founded, struct error *error) {
    const struct node_config *config = stopped->config;
    struct wire_configuration *next = &stopped->configuration;
    // Who was a member may come back, so the list of those removed stays as it is.
    next->generation = stopped->generation + 1;
    next->count = 1;
    next->members[0] = (struct wire_member){.id = config->node_id, .voter = true};
    memcpy(next->members[0].address, config->advertise, strlen(config->advertise) + 1);
    memcpy(next->members[0].cloud, config->cloud, sizeof next->members[0].cloud);
    memcpy(next->members[0].incarnation, stopped->recovered.incarnation, sizeof next->members[0].incarnation);
    char incarnation[INCARNATION_DIGITS + 1];  // for a log of 0.1.0, which has none
    draw_incarnation(incarnation);
    struct wal_options options = {
        .dir = config->data_dir,
        .cluster_id = raft_id_slice(&config->cluster_id),
        .node_id = raft_id_slice(&config->node_id),
        .incarnation = slice_of_str(incarnation),
        .generation = next->generation,
        .image = stopped->image.last,
        .from = stopped->image.last.index,
    };
    stopped_unlock(stopped);
    return found_generation(&options, stopped->slab, next, founded, error);
}

static enum error_code promote(struct stopped *stopped, bool yes, struct error *error) {
    const struct node_config *config = stopped->config;
    const struct wire_member *self = wire_configuration_member(&stopped->configuration, &config->node_id);
    struct raft_entry_id founded;
    enum error_code code = check(stopped, self, error);
    if (code != OK) {
        return code;
    }
    say_what_is_known(stopped, self);
    code = confirm(stopped, yes, error);
    if (code == OK) {
        code = found(stopped, &founded, error);
    }
    if (code == OK) {
        printf("\nfounded generation %" PRIu64 " with entry %" PRIu64 " of term %" PRIu64 ". Start %s as usual, without "
               "--promote-survivor.\n"
               "Then take the others in: on a node of the old generation run batond --rejoin, give a lost one an empty "
               "directory, and batonctl member add.\n",
               stopped->configuration.generation, founded.index, founded.term, config->node_id.text);
    }
    return code;
}

enum error_code promote_survivor(const struct node_config *config, bool yes, struct error *error) {
    struct stopped stopped;
    enum error_code code = stopped_open(config, &stopped, error);
    if (code == OK) {
        code = promote(&stopped, yes, error);
    }
    stopped_close(&stopped);
    return code;
}
