// The node's life: opening its directory, founding a cluster, starting, leaving, closing.
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/slog.h"
#include "node/internal.h"
#include "wire/descriptor.h"

// --- the data directory ---

static void post(void *user) {
    sem_post(user);
}

// Writes entry 1, the members, into an empty log, waits until it is durable, and closes the log: all nodes of a new cluster
// begin with the same entry in the same term.
static enum error_code found_cluster(struct node *node, struct wal *wal, struct error *error) {
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
    sem_destroy(&durable);  // now that the log's thread has ended, which posts behind what it has published
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
    code = found_cluster(node, node->wal, error);
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
        return error_set(error, ERR_WAL_GAP, "%s holds a log without entry 1, which names the members", dir);
    }
    if (wire_configuration_decode(recovered->log.entries[0], &node->configuration, error) != OK) {
        return error_wrap(error, "entry 1 of %s, which names the members", dir);
    }
    if (!raft_id_equal(&node->configuration.cluster_id, &node->config->cluster_id)) {
        return error_set(error, ERR_FOREIGN, "%s belongs to cluster %s, not %s; check --cluster-id and --data-dir", dir,
                         node->configuration.cluster_id.text, node->config->cluster_id.text);
    }
    const struct wire_member *self = node_member(node, &node->config->node_id);
    if (self == NULL) {
        return error_set(error, ERR_INVALID, "%s is no member of the cluster in %s; check --node-id and --data-dir",
                         node->config->node_id.text, dir);
    }
    if (strcmp(self->address, node->config->advertise) != 0) {
        slog(SLOG_WARN, "the others reach this node under another address than it advertises",
             F_STR("theirs", self->address), F_STR("advertise", node->config->advertise));
    }
    if (strcmp(self->cloud, node->config->cloud) != 0) {
        slog(SLOG_WARN, "the log places this node in another cloud than --cloud does, and the log counts",
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

// As the core needs to know them.
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
    free(recovered->log.entries);  // the array; the core has the references
    recovered->log.entries = NULL;
    return OK;
}

static enum error_code open_directory(struct node *node, struct error *error) {
    struct wal_recovered recovered = {0};
    enum error_code code = open_log(node, &recovered, error);
    if (code == OK) {
        code = restore(node, &recovered, error);
    }
    wal_recovered_free(&recovered);
    return code;
}

// --- the services ---

static enum error_code serve(struct node *node, struct error *error) {
    node->rpc = rpc_runtime_new(node->loop, node->metrics);
    enum error_code code = rpc_server_listen(node->rpc, node->config->listen, &node->server, error);
    if (code != OK) {
        return code;
    }
    if (node->config->tls != NULL) {
        rpc_server_set_tls(node->server, node->config->tls);
    }
    node->services[0] = raft_service;
    node->services[1] = control_service;
    node->services[2] = worker_service;
    for (size_t i = 0; i < ARRAY_COUNT(node->services); i++) {
        node->services[i].user = node;
        rpc_server_add_service(node->server, &node->services[i]);
        rpc_server_set_serving(node->server, node->services[i].name, true);
    }
    rpc_server_set_serving(node->server, "", true);
    rpc_server_set_reflection(node->server, wire_descriptor_set());
    return OK;
}

static void on_peer_event(void *user, const struct raft_event *event) {
    struct node *node = user;
    *node_event(node) = *event;
}

static uint64_t idle_us(void *user) {
    const struct node *node = user;
    return uv_metrics_idle_time(node->loop) / 1000;
}

static void meet_peers(struct node *node) {
    node->identity =
        (struct wire_identity){.cluster_id = node->config->cluster_id, .generation = 1, .node_id = node->config->node_id};
    struct peers_options options = {
        .rpc = node->rpc,
        .tls = node->config->tls,
        .metrics = node->metrics,
        .us = &node->identity,
        .configuration = &node->configuration,
        .slab = node->slab,
        .now_us = node_clock_us,
        .idle_us = idle_us,
        .on_event = on_peer_event,
        .on_status = node_place_heard,
        .user = node,
    };
    node->peers = peers_new(&options);
}

// --- the loop ---

static void on_prepare(uv_prepare_t *handle) {
    node_turn(handle->data, false);
}

static void on_check(uv_check_t *handle) {
    node_turn(handle->data, true);
}

// The turn looks at the log's completions by itself; this only wakes the loop.
static void on_wal_done(uv_async_t *handle) {
    (void)handle;
}

static void wake_loop(void *user) {
    uv_async_send(user);
}

static void on_sample(uv_timer_t *timer) {
    struct node *node = timer->data;
    node_place_sample(node);
    if (node->raft != NULL) {
        peers_ask(node->peers);
    }
}

static void start_handles(struct node *node) {
    uv_loop_configure(node->loop, UV_METRICS_IDLE_TIME);
    uv_prepare_init(node->loop, &node->prepare);
    uv_check_init(node->loop, &node->check);
    uv_timer_init(node->loop, &node->tick);
    uv_timer_init(node->loop, &node->sample);
    uv_idle_init(node->loop, &node->busy);
    uv_async_init(node->loop, &node->wal_done, on_wal_done);
    node->prepare.data = node->check.data = node->tick.data = node->sample.data = node->busy.data = node;
    uv_prepare_start(&node->prepare, on_prepare);
    uv_check_start(&node->check, on_check);
    uv_timer_start(&node->sample, on_sample, 100, 1000);
}

static struct node *node_new(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics) {
    struct node *node = mem_zalloc(sizeof *node);
    node->config = config;
    node->loop = loop;
    node->metrics = metrics;
    node->started_us = node->leader_lost_us = node_clock_us();
    node->slab = raft_slab_new();
    node->writes = writes_new();
    node->reads = reads_new();
    node->answers = control_answers_new(node);
    node->liveness = liveness_new();
    node->handover = handover_new();
    return node;
}

// What came in after the last step, when the log had failed: the core would have taken these entries.
static void drop_events(struct node *node) {
    for (size_t i = 0; i < node->event_count; i++) {
        const struct raft_message *message = &node->events[i].message;
        if (node->events[i].type != RAFT_EVENT_MESSAGE || message->type != RAFT_APPEND_ENTRIES) {
            continue;
        }
        for (size_t k = 0; k < message->append.count; k++) {
            raft_entry_unref(message->append.entries[k]);
        }
    }
    free(node->events);
}

static void free_parts(struct node *node) {
    drop_events(node);
    if (node->raft != NULL) {
        raft_free(node->raft);
    }
    writes_free(node->writes);
    reads_free(node->reads);
    answers_free(node->answers);
    liveness_free(node->liveness);
    handover_free(node->handover);
    if (node->watches != NULL) {
        watches_free(node->watches);
    }
    if (node->peers != NULL) {
        peers_free(node->peers);
    }
    if (node->state != NULL) {
        state_free(node->state);
    }
    raft_slab_free(node->slab);
    arena_free(&node->turn);
    arena_free(&node->scratch);
    buf_free(&node->out);
    buf_free(&node->request);
    free(node->held);
    free(node->changing);
    free(node);
}

enum error_code node_start(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics,
                           void (*stopped)(void *user, enum error_code failure), void *user, struct node **out,
                           struct error *error) {
    struct node *node = node_new(loop, config, metrics);
    node->stopped = stopped;
    node->stopped_user = user;
    enum error_code code = open_directory(node, error);
    if (code == OK) {
        code = serve(node, error);
    }
    if (code != OK) {
        if (node->wal != NULL) {
            wal_close(node->wal, true, NULL);
        }
        if (node->rpc != NULL) {
            rpc_runtime_close(node->rpc);
        }
        free_parts(node);
        return code;
    }
    node_metrics_register(node);
    node->watches = watches_new(node->server, node->state);
    node_place_start(node);
    meet_peers(node);
    start_handles(node);
    code = wal_start(node->wal, wake_loop, &node->wal_done, error);
    if (code != OK) {
        node_fail(node, code, error->message);
    }
    if (node->raft == NULL) {
        slog(SLOG_WARN,
             "the data directory is empty and --bootstrap is not given: this node belongs to no cluster and never votes",
             F_STR("dir", config->data_dir));
    }
    *out = node;
    return OK;
}

// --- the end ---

static void drained(void *user) {
    struct node *node = user;
    if (node->stopping == STOPPED) {
        return;
    }
    node->stopping = STOPPED;
    node->stopped(node->stopped_user, OK);
}

static void drain(struct node *node) {
    node->stopping = DRAINING;
    watches_finish(node->watches, RPC_UNAVAILABLE, "this node is leaving; watch on another from the next revision");
    rpc_server_drain(node->server, DRAIN_PATIENCE_MS, drained, node);
}

// The successor has committed an entry of its own term: what was in flight here is answered or about to be.
static bool is_succeeded(const struct node *node) {
    raft_index commit = raft_commit_index(node->raft);
    const struct raft_entry *last = raft_entry_at(node->raft, commit);
    return raft_state(node->raft) != RAFT_LEADER && raft_leader(node->raft)->len > 0 && last != NULL &&
           last->id.term == raft_current_term(node->raft) && writes_count(node->writes) == 0;
}

void node_stop_progress(struct node *node) {
    if (node->stopping == TRANSFERRING && (is_succeeded(node) || node->now_us > node->stopping_until_us)) {
        drain(node);
    }
}

void node_stop(struct node *node) {
    if (node->stopping != RUNNING) {
        return;
    }
    slog(SLOG_INFO, "leaving");
    rpc_server_set_serving(node->server, "", false);
    if (node->raft == NULL || raft_state(node->raft) != RAFT_LEADER || node->configuration.count == 1) {
        drain(node);
        return;
    }
    node->stopping = TRANSFERRING;
    node->stopping_until_us = node_clock_us() + TRANSFER_PATIENCE_US;
    if (!handover_is_running(node->handover)) {
        static const struct raft_id whoever;
        const struct raft_id *successor = placement_successor(&node->placement, node_clock_us());
        handover_begin(node, successor != NULL ? successor : &whoever, (struct rpc_call){0});
    }
}

static void close_log(struct node *node) {
    struct error error = {0};
    bool abandon = node->stopping != STOPPED || node->wal_status.condition != WAL_GOOD;
    if (wal_close(node->wal, abandon, &error) != OK) {
        slog(SLOG_ERROR, "the log was not closed in order", F_STR("reason", error.message));
    }
}

void node_close(struct node *node) {
    close_log(node);
    node->stopping = STOPPED;
    watches_finish(node->watches, RPC_UNAVAILABLE, "this node is leaving");
    peers_close(node->peers);
    rpc_server_close(node->server);
    rpc_runtime_close(node->rpc);
    uv_handle_t *handles[] = {(uv_handle_t *)&node->prepare, (uv_handle_t *)&node->check, (uv_handle_t *)&node->tick,
                              (uv_handle_t *)&node->sample,  (uv_handle_t *)&node->busy,  (uv_handle_t *)&node->wal_done};
    for (size_t i = 0; i < ARRAY_COUNT(handles); i++) {
        uv_close(handles[i], NULL);
    }
}

void node_free(struct node *node) {
    free_parts(node);
}

const char *node_address(const struct node *node) {
    return rpc_server_address(node->server);
}
