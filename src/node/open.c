// Recovers the log, bootstraps a cluster, and starts the core: node/open.h.
#include "node/open.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "node/digests.h"
#include "node/found.h"
#include "node/generation.h"
#include "node/image.h"
#include "node/internal.h"
#include "node/marks.h"
#include "node/snapshots.h"
#include "wal/scan.h"
#include "wire/command.h"

// Writes entry 1, the configuration: all nodes of a new cluster begin with the same entry in the same term.
static enum error_code bootstrap_cluster(struct node *node, const struct wal_options *options, struct error *error) {
    struct raft_entry_id first;
    struct wire_configuration configuration = {
        .generation = 1, .cluster_id = node->config->cluster_id, .count = node->config->peer_count};
    memcpy(configuration.members, node->config->peers, sizeof configuration.members);
    return found_generation(options, node->slab, &configuration, &first, error);
}

// Whether the directory belongs to no cluster yet: it holds nothing, or only who it is.
static bool is_new(const struct wal_recovered *recovered) {
    return recovered->log.count == 0 && recovered->log.base.index == 0 && recovered->log.hard_state.current_term == 0;
}

static enum error_code open_log(struct node *node, const struct image *image, struct wal_recovered *recovered,
                                struct error *error) {
    char incarnation[INCARNATION_DIGITS + 1];
    draw_incarnation(incarnation);
    struct wal_options options = {
        .dir = node->config->data_dir,
        .cluster_id = raft_id_slice(&node->config->cluster_id),
        .node_id = raft_id_slice(&node->config->node_id),
        .incarnation = slice_of_str(incarnation),
        .generation = 1,
        .image = image->last,
        .from = image->last.index > RETAINED_ENTRIES ? image->last.index - RETAINED_ENTRIES : 0,
    };
    enum error_code code = wal_open(&options, node->slab, &node->wal, recovered, error);
    if (code == OK && recovered->empty && image->last.index > 0) {
        return error_set(
            error, ERR_WAL_GAP,
            "WAL_GAP %s has a snapshot, but no log: if --restore was interrupted, run it again; else put its files in "
            "wal/ back, or leave the node stopped and replace it by one with a new id",
            node->config->data_dir);
    }
    if (code != OK || !is_new(recovered)) {
        return code;
    }
    if (!node->config->bootstrap || recovered->generation > 1) {  // one of a later generation waits to be added to it
        return recovered->empty ? wal_begin(node->wal, error) : OK;
    }
    wal_recovered_free(recovered);
    wal_close(node->wal, true, NULL);
    node->wal = NULL;
    code = bootstrap_cluster(node, &options, error);
    if (code != OK) {
        return code;
    }
    slog(SLOG_INFO, "cluster-founded", "founded the cluster", F_STR("cluster", node->config->cluster_id.text),
         F_U64("members", node->config->peer_count));
    return wal_open(&options, node->slab, &node->wal, recovered, error);
}

struct slice open_last_configuration(const struct wal_recovered *recovered, const struct image *image, raft_index *index) {
    for (size_t i = recovered->log.count; i-- > 0;) {
        const struct raft_entry *entry = recovered->log.entries[i];
        if (entry->type == RAFT_ENTRY_CONFIGURATION) {
            *index = entry->id.index;
            return raft_entry_command(entry);
        }
    }
    *index = image->configuration_index;
    return buf_slice(&image->configuration);
}

static enum error_code read_configuration(struct node *node, const struct wal_recovered *recovered,
                                          const struct image *image, struct error *error) {
    const char *dir = node->config->data_dir;
    raft_index index;
    struct slice command = open_last_configuration(recovered, image, &index);
    if (command.len == 0 && recovered->log.count == 0 && recovered->log.base.index == 0) {
        return OK;  // a new node that has at most a term from its first leader, but no entry yet
    }
    if (command.len == 0) {
        return error_set(error, ERR_WAL_GAP, "%s has a log without entry 1, the configuration", dir);
    }
    if (wire_configuration_read(command, &node->configuration, error) != OK) {
        return error_wrap(error, "the configuration in %s", dir);
    }
    node->configuration.index = index;
    if (!raft_id_equal(&node->configuration.cluster_id, &node->config->cluster_id)) {
        return error_set(error, ERR_FOREIGN, "%s belongs to cluster %s, not %s; check --cluster-id and --data-dir", dir,
                         node->configuration.cluster_id.text, node->config->cluster_id.text);
    }
    const struct wire_member *self = wire_configuration_member(&node->configuration, node_id(node));
    if (self == NULL) {
        // A learner that has not received the entry that adds it, or a member whose removal may yet be taken back.
        slog(SLOG_WARN, "not-a-member", "the members in the log do not include this node; it waits to hear from a leader",
             F_STR("dir", dir));
        return OK;
    }
    if (strcmp(self->address, node->config->advertise) != 0) {
        slog(SLOG_WARN, "address-differs", "the other members know this node by another address than it advertises",
             F_STR("theirs", self->address), F_STR("advertise", node->config->advertise));
    }
    if (strcmp(self->cloud, node->config->cloud) != 0) {
        slog(SLOG_WARN, "cloud-differs", "the log has this node in another cloud than --cloud; the log prevails",
             F_STR("log", self->cloud), F_STR("cloud", node->config->cloud));
    }
    return OK;
}

static uint64_t draw_seed(void) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        seed = node_clock_us();
    }
    return seed;
}

// OK, ERR_FOREIGN, or why it cannot be read.
static enum error_code read_members(const struct node *node, struct slice command, struct wire_configuration *out,
                                    struct error *error) {
    enum error_code code = wire_configuration_read(command, out, error);
    if (code == OK && !raft_id_equal(&out->cluster_id, &node->config->cluster_id)) {
        code = error_set(error, ERR_FOREIGN, "it is of cluster %s", out->cluster_id.text);
    }
    return code;
}

bool node_decode_configuration(void *user, struct slice command, struct raft_configuration *out) {
    const struct node *node = user;
    struct wire_configuration configuration;
    struct error error = {0};
    if (read_members(node, command, &configuration, &error) != OK) {
        slog(SLOG_ERROR, "configuration-refused", "refused a configuration", F_STR("reason", error.message));
        return false;
    }
    for (size_t i = 0; i < configuration.count; i++) {
        const struct wire_member *member = &configuration.members[i];
        out->members[out->count++] = (struct raft_member){
            .id = member->id,
            .voter = member->voter,
            .preferred = strcmp(member->cloud, node->config->leader_cloud) == 0,
        };
    }
    out->past = configuration.generation < node->identity.generation;
    return true;
}

// The part of the log's tail that the image covers is for Watches, and for followers that lag: it changes nothing else. The
// entries after it are applied later, or truncated; but a node that holds one that it cannot apply must not acknowledge it.
// Nor does it start with a configuration that it cannot read, even one that a later one has replaced.
static enum error_code recall_tail(struct node *node, const struct wal_recovered *recovered, raft_index covered,
                                   struct error *error) {
    for (size_t i = 0; i < recovered->log.count; i++) {
        struct raft_entry *entry = recovered->log.entries[i];
        struct pb_command command;
        bool is_command = entry->type == RAFT_ENTRY_COMMAND;
        arena_reset(&node->scratch);
        enum error_code code = OK;
        if (is_command) {
            code = wire_command_decode(&node->scratch, entry, &command, error);
        } else if (entry->type == RAFT_ENTRY_CONFIGURATION && entry->id.index > covered) {
            struct wire_configuration configuration;
            code = read_members(node, raft_entry_command(entry), &configuration, error);
            code = code == OK ? OK : error_wrap(error, "configuration %llu", (unsigned long long)entry->id.index);
        }
        if (code != OK) {
            return error_wrap(error, "%s", node->config->data_dir);
        }
        if (entry->id.index <= covered) {
            state_recall(node->state, entry, is_command ? &command : NULL);
        }
    }
    return OK;
}

static enum error_code start_core(struct node *node, struct wal_recovered *recovered, const struct image *image,
                                  struct error *error) {
    struct raft_config config = {
        .id = node->config->node_id,
        .configuration_index = image->configuration_index,
        .decode_configuration = node_decode_configuration,
        .user = node,
        .seed = draw_seed(),
        .election_timeout_min_us = node->config->election_timeout_min_us,
        .election_timeout_max_us = node->config->election_timeout_max_us,
        .heartbeat_interval_us = node->config->heartbeat_interval_us,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
        .lease_reads = node->config->lease_reads,
    };
    enum error_code code = mark_find(node->config->data_dir, MARK_LEASES, &config.may_have_promised, error);
    if (code == OK && config.lease_reads) {
        code = mark_leave(node->config->data_dir, MARK_LEASES, "leases may have been promised from here", error);
    }
    if (code != OK) {
        return code;
    }
    if (config.may_have_promised) {
        slog(SLOG_INFO, "lease-may-last", "an earlier process may have promised a lease: no vote until that is over",
             F_U64("ms", LEASE_US / US_PER_MS));
    }
    if (image->configuration_index > 0 &&
        !node_decode_configuration(node, buf_slice(&image->configuration), &config.configuration)) {
        return error_set(error, ERR_SNAP_CORRUPT, "the configuration of the snapshot at %llu cannot be read",
                         (unsigned long long)image->last.index);
    }
    recovered->log.applied = image->last.index;
    node->raft = raft_new(&config, node->slab, &recovered->log, node_clock_us());
    free(recovered->log.entries);  // only the array: the core has taken the references, whether it starts or not
    recovered->log.entries = NULL;
    if (node->raft == NULL) {
        return error_set(error, ERR_WAL_CORRUPT, "%s has a configuration whose members make no sense",
                         node->config->data_dir);
    }
    slog(SLOG_INFO, "log-recovered", "recovered the log", F_STR("dir", node->config->data_dir),
         F_U64("entries", recovered->log.count), F_U64("snapshot", image->last.index),
         F_U64("segments", recovered->segments), F_U64("term", recovered->log.hard_state.current_term),
         F_STR("voted_for", recovered->log.hard_state.voted_for.text), F_U64("seed", config.seed));
    return OK;
}

static enum error_code restore(struct node *node, struct wal_recovered *recovered, struct image *image,
                               struct error *error) {
    enum error_code code = recovered->empty ? OK : read_configuration(node, recovered, image, error);
    if (code != OK) {
        return code;
    }
    if (recovered->torn_bytes > 0) {
        slog(SLOG_WARN, "log-torn", "the last batch of the log was torn and never acknowledged; it is overwritten",
             F_STR("where", recovered->torn_where), F_U64("bytes", recovered->torn_bytes));
    }
    node->state = image->state != NULL ? image->state : state_new();
    image->state = NULL;
    node->configuration_index = image->configuration_index;
    buf_append_slice(&node->configuration_command, buf_slice(&image->configuration));
    if (state_last_applied(node->state) > 0) {
        digests_keep(node);
    }
    code = recall_tail(node, recovered, image->last.index, error);
    if (code == OK) {
        code = start_core(node, recovered, image, error);
    }
    if (code == OK) {
        snapshots_recovered(node, image->last, image->bytes, image->written_unix_ms);
    }
    return code;
}

// A damaged image is passed over if an older one, or none, continues with the log.
static void image_skipped(void *user, const struct error *error) {
    struct error *damage = user;
    slog(SLOG_ERROR, "snapshot-passed-over", "a snapshot is damaged; starting from an older one and the log",
         F_STR("reason", error->message));
    if (damage->code == OK) {
        *damage = *error;
    }
}

static enum error_code load_image(struct node *node, struct image *image, struct error *damage, struct error *error) {
    struct wal_directory dir;
    if (access(node->config->data_dir, F_OK) != 0) {
        return OK;  // a new one
    }
    enum error_code code = wal_directory_look(&dir, node->config->data_dir, &wal_io_system, error);
    if (code == OK && dir.snap >= 0) {
        wal_scan_ahead(&dir);  // the disk reads the log while the image is loaded
        code = image_load_newest(&dir, image, image_skipped, damage, error);
    }
    wal_directory_close(&dir);
    return code;
}

static enum error_code refuse_lost(const struct node *node, struct error *error) {
    const char *dir = node->config->data_dir;
    bool lost = false;
    enum error_code code = access(dir, F_OK) == 0 ? mark_find(dir, MARK_LOST, &lost, error) : OK;
    if (code == OK && lost) {
        return error_set(error, ERR_WAL_GAP,
                         "%s has lost entries that it had acknowledged, as %s/" MARK_LOST " says, and perhaps votes: never "
                         "start this node again; remove it from the cluster, and add the machine under a new id",
                         dir, dir);
    }
    return code;
}

enum error_code open_directory(struct node *node, struct error *error) {
    struct wal_recovered recovered = {0};
    struct image image = {.state = NULL};
    struct error damage = {.code = OK};
    enum error_code code = refuse_lost(node, error);
    if (code == OK) {
        code = load_image(node, &image, &damage, error);
    }
    if (code == OK) {
        code = open_log(node, &image, &recovered, error);
    }
    if (code == ERR_WAL_GAP && damage.code != OK) {
        *error = damage;
        code = damage.code;
    }
    if (code == OK) {
        generation_follow(node, recovered.generation);  // first: configurations are read in the light of it
        code = restore(node, &recovered, &image, error);
    }
    if (code == OK) {
        generation_follow(node, node->configuration.generation);
    }
    memcpy(node->identity.incarnation, recovered.incarnation, sizeof node->identity.incarnation);
    image_free(&image);
    wal_recovered_free(&recovered);
    return code;
}
