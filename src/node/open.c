// Recovers the log, bootstraps a cluster, and starts the core: node/open.h.
#include "node/open.h"

#include <semaphore.h>
#include <stdlib.h>
#include <sys/random.h>

#include "node/internal.h"

static void post(void *user) {
    sem_post(user);
}

// Writes entry 1, the configuration, to an empty log, waits until it is durable, and closes the log: all nodes of a new
// cluster begin with the same entry in the same term.
static enum error_code bootstrap_cluster(struct node *node, struct wal *wal, struct error *error) {
    struct wire_configuration configuration = {
        .generation = 1, .cluster_id = node->config->cluster_id, .count = node->config->peer_count};
    memcpy(configuration.members, node->config->peers, sizeof configuration.members);
    struct raft_entry *entry =
        wire_configuration_encode(node->slab, (struct raft_entry_id){.term = 1, .index = 1}, &configuration);
    sem_t durable;
    sem_init(&durable, 0, 0);
    enum error_code code = wal_start(wal, post, &durable, error);
    if (code == OK) {
        struct raft_persist persist = {
            .write = 1, .has_hard_state = true, .hard_state = {.current_term = 1}, .entries = &entry, .count = 1};
        wal_submit(wal, &persist, node_clock_us());
        struct wal_status status = {0};
        while (status.durable_write < 1 && status.condition == WAL_GOOD) {
            sem_wait(&durable);
            wal_poll(wal, &status);
        }
        if (status.condition != WAL_GOOD) {
            code = error_set(error, status.condition == WAL_FULL ? ERR_NO_SPACE : ERR_IO, "%s", status.error.message);
        }
    }
    raft_entry_unref(entry);
    struct error close_error = {0};
    enum error_code closed = wal_close(wal, code != OK, &close_error);
    sem_destroy(&durable);  // only now: the log's thread, which has ended, posts after it has published
    if (code == OK && closed != OK) {
        code = error_set(error, closed, "%s", close_error.message);
    }
    return code;
}

static enum error_code open_log(struct node *node, struct wal_recovered *recovered, struct error *error) {
    struct wal_options options = {
        .dir = node->config->data_dir,
        .cluster_id = raft_id_slice(&node->config->cluster_id),
        .node_id = raft_id_slice(&node->config->node_id),
        .generation = 1,
    };
    enum error_code code = wal_open(&options, node->slab, &node->wal, recovered, error);
    if (code != OK || !recovered->empty || !node->config->bootstrap) {
        return code;
    }
    wal_recovered_free(recovered);
    code = bootstrap_cluster(node, node->wal, error);
    node->wal = NULL;
    if (code != OK) {
        return code;
    }
    slog(SLOG_INFO, "founded the cluster", F_STR("cluster", node->config->cluster_id.text),
         F_U64("members", node->config->peer_count));
    return wal_open(&options, node->slab, &node->wal, recovered, error);
}

static enum error_code read_configuration(struct node *node, const struct wal_recovered *recovered, struct error *error) {
    const char *dir = node->config->data_dir;
    if (recovered->log.count == 0) {
        return error_set(error, ERR_WAL_GAP, "%s has a log without entry 1, the configuration", dir);
    }
    if (wire_configuration_decode(recovered->log.entries[0], &node->configuration, error) != OK) {
        return error_wrap(error, "entry 1 of %s, the configuration", dir);
    }
    if (!raft_id_equal(&node->configuration.cluster_id, &node->config->cluster_id)) {
        return error_set(error, ERR_FOREIGN, "%s belongs to cluster %s, not %s; check --cluster-id and --data-dir", dir,
                         node->configuration.cluster_id.text, node->config->cluster_id.text);
    }
    const struct wire_member *self = wire_configuration_member(&node->configuration, node_id(node));
    if (self == NULL) {
        return error_set(error, ERR_INVALID, "%s is no member of the cluster in %s; check --node-id and --data-dir",
                         node->config->node_id.text, dir);
    }
    if (strcmp(self->address, node->config->advertise) != 0) {
        slog(SLOG_WARN, "the other members know this node by another address than it advertises",
             F_STR("theirs", self->address), F_STR("advertise", node->config->advertise));
    }
    if (strcmp(self->cloud, node->config->cloud) != 0) {
        slog(SLOG_WARN, "the log has this node in another cloud than --cloud; the log prevails", F_STR("log", self->cloud),
             F_STR("cloud", node->config->cloud));
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

// In the core's form.
static void describe_members(const struct node *node, struct raft_member out[MEMBERS_MAX]) {
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct wire_member *member = &node->configuration.members[i];
        out[i] = (struct raft_member){
            .id = member->id,
            .voter = member->voter,
            .preferred = strcmp(member->cloud, node->config->leader_cloud) == 0,
        };
    }
}

static enum error_code restore(struct node *node, struct wal_recovered *recovered, struct error *error) {
    node->state = state_new();
    if (recovered->empty) {
        return OK;
    }
    enum error_code code = read_configuration(node, recovered, error);
    if (code != OK) {
        return code;
    }
    if (recovered->torn_bytes > 0) {
        slog(SLOG_WARN, "the last batch of the log was torn and never acknowledged; it is overwritten",
             F_STR("where", recovered->torn_where), F_U64("bytes", recovered->torn_bytes));
    }
    struct raft_member members[MEMBERS_MAX];
    describe_members(node, members);
    struct raft_config config = {
        .id = node->config->node_id,
        .members = members,
        .member_count = node->configuration.count,
        .seed = draw_seed(),
        .election_timeout_min_us = node->config->election_timeout_min_us,
        .election_timeout_max_us = node->config->election_timeout_max_us,
        .heartbeat_interval_us = node->config->heartbeat_interval_us,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
    };
    node->raft = raft_new(&config, node->slab, &recovered->log, node_clock_us());
    if (node->raft == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the consensus core");
    }
    slog(SLOG_INFO, "recovered the log", F_STR("dir", node->config->data_dir), F_U64("entries", recovered->log.count),
         F_U64("segments", recovered->segments), F_U64("term", recovered->log.hard_state.current_term),
         F_STR("voted_for", recovered->log.hard_state.voted_for.text), F_U64("seed", config.seed));
    free(recovered->log.entries);  // only the array: the core owns the references
    recovered->log.entries = NULL;
    return OK;
}

enum error_code open_directory(struct node *node, struct error *error) {
    struct wal_recovered recovered = {0};
    enum error_code code = open_log(node, &recovered, error);
    if (code == OK) {
        code = restore(node, &recovered, error);
    }
    wal_recovered_free(&recovered);
    return code;
}
