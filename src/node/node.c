// The life cycle of a node: creates its parts, starts, stops, closes.
#include "node/node.h"

#include <stdlib.h>

#include "node/audit.h"
#include "node/backups.h"
#include "node/calls.h"
#include "node/causes.h"
#include "node/digests.h"
#include "node/generation.h"
#include "node/held_versions.h"
#include "node/http_view.h"
#include "node/internal.h"
#include "node/leader_placement.h"
#include "node/leave.h"
#include "node/level.h"
#include "node/limits.h"
#include "node/membership.h"
#include "node/open.h"
#include "node/quarantine.h"
#include "node/raft_service.h"
#include "node/read_index.h"
#include "node/snapshot_receiver.h"
#include "node/snapshot_sender.h"
#include "node/snapshots.h"
#include "node/timeline.h"
#include "node/turn.h"
#include "node/worker_liveness.h"
#include "wire/descriptor.h"

// --- the services ---

static enum error_code serve(struct node *node, struct error *error) {
    node->rpc = rpc_runtime_new(node->loop, node->metrics);
    enum error_code code = rpc_server_listen(node->rpc, node->config->listen, &node->server, error);
    if (code != OK) {
        return code;
    }
    if (node->config->tls != NULL) {
        rpc_server_set_tls(node->server, node->config->tls);
        if (node->config->tls_migrate) {
            rpc_server_allow_plaintext(node->server);
        }
    }
    limits_start(node);
    raft_service_start(node);
    node->calls = calls_new(node);
    rpc_server_set_serving(node->server, "", true);
    rpc_server_set_reflection(node->server, wire_descriptor_set());
    return OK;
}

static void on_peer_event(void *user, const struct raft_event *event) {
    struct node *node = user;
    *node_event(node) = *event;
}

static void on_peer_status(void *user, const struct raft_id *peer, const struct pb_status_response *status) {
    worker_liveness_peer(user, status);
    leader_placement_heard(user, peer, status);
    membership_heard(user, peer, status);
    backups_heard(user, status);
    digests_heard(user, peer, status);
}

static void on_superseded(void *user, const struct raft_id *peer, uint64_t generation) {
    generation_heard(user, peer, generation);
}

static void on_removed(void *user, const struct raft_id *peer) {
    membership_told_removed(user, peer);
}

static uint64_t idle_us(void *user) {
    const struct node *node = user;
    return uv_metrics_idle_time(node->loop) / 1000;
}

static void meet_peers(struct node *node) {
    node->identity.cluster_id = node->config->cluster_id;
    node->identity.node_id = node->config->node_id;
    node->identity.configuration = &node->configuration;
    struct peer_options options = {
        .rpc = node->rpc,
        .tls = node->config->tls,
        .tls_migrate = node->config->tls_migrate,
        .metrics = node->metrics,
        .us = &node->identity,
        .configuration = &node->configuration,
        .slab = node->slab,
        .now_us = node_clock_us,
        .is_wanted = membership_wants,
        .idle_us = idle_us,
        .on_event = on_peer_event,
        .on_status = on_peer_status,
        .on_superseded = on_superseded,
        .on_removed = on_removed,
        .user = node,
    };
    node->peers = peers_new(&options);
}

static void on_sample(uv_timer_t *timer) {
    struct node *node = timer->data;
    leader_placement_sample(node);
    peers_follow(node->peers);  // the core may want no more of those who have left
    peers_ask(node->peers);
    membership_sample(node);
    backups_sample(node);
    level_sample(node);
    causes_sample(node);
    http_view_sample(node);
    audit_sample(node->audit);
}

static void start_loop(struct node *node) {
    uv_loop_configure(node->loop, UV_METRICS_IDLE_TIME);
    node->turn = turn_new(node);
    node->snapshot_senders = snapshot_senders_new(node);
    uv_timer_init(node->loop, &node->sample);
    node->sample.data = node;
    uv_timer_start(&node->sample, on_sample, 100, 1000);
}

static bool is_call_alive(void *user, struct rpc_call call) {
    const struct node *node = user;
    return rpc_call_alive(node->server, call);
}

static void reply_slowly(void *user, const struct waiting_read *read, struct slice message) {
    calls_reply_slowly(user, read, message);
}

static struct node *node_new(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics) {
    struct node *node = mem_zalloc(sizeof *node);
    node->config = config;
    node->loop = loop;
    node->metrics = metrics;
    node->started_us = node->leader_lost_us = node_clock_us();
    node->identity.generation = 1;
    node->slab = raft_slab_new();
    node->writes = writes_new();
    node->reads = reads_new();
    node->read_index = read_index_new();
    struct slow_replies_maker maker = {.now_us = node_clock_us, .wanted = is_call_alive, .make = reply_slowly, .user = node};
    node->slow_replies = slow_replies_new(&maker);
    node->workers = worker_liveness_new();
    node->transfer = transfer_new();
    node->membership = membership_new();
    node->held_versions = held_versions_new();
    node->snapshots = snapshots_new();
    node->digests = digests_new();
    node->quarantine = quarantine_new(metrics);
    node->snapshot_receiver = snapshot_receiver_new(node);
    node->backups = backups_new();
    node->causes = causes_new(node);
    node->timeline = timeline_new(node->started_us);
    return node;
}

// Input after the last step, when the log had failed: the core would have taken over these entries.
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
    causes_free(node->causes);
    drop_events(node);
    if (node->raft != NULL) {  // NULL: the start has failed
        raft_free(node->raft);
    }
    writes_free(node->writes);
    reads_free(node->reads);
    read_index_free(node->read_index);
    slow_replies_free(node->slow_replies);
    worker_liveness_free(node->workers);
    transfer_free(node->transfer);
    membership_free(node->membership);
    snapshots_free(node->snapshots);
    digests_free(node->digests);
    quarantine_free(node->quarantine);
    snapshot_receiver_free(node->snapshot_receiver);
    backups_free(node->backups);
    timeline_free(node->timeline);
    audit_free(node->audit);
    if (node->snapshot_senders != NULL) {
        snapshot_senders_free(node->snapshot_senders);
    }
    if (node->calls != NULL) {
        calls_free(node->calls);
    }
    if (node->turn != NULL) {
        turn_free(node->turn);
    }
    if (node->watches != NULL) {
        watches_free(node->watches);
    }
    if (node->peers != NULL) {
        peers_free(node->peers);
    }
    held_versions_free(node->held_versions, node->state);
    if (node->state != NULL) {
        state_free(node->state);
    }
    raft_slab_free(node->slab);
    arena_free(&node->event_arena);
    arena_free(&node->scratch);
    buf_free(&node->out);
    buf_free(&node->request);
    buf_free(&node->configuration_command);
    free(node);
}

enum error_code node_start(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics,
                           void (*stopped)(void *user, enum error_code failure), void *user, struct node **out,
                           struct error *error) {
    struct node *node = node_new(loop, config, metrics);
    node->stopped = stopped;
    node->stopped_user = user;
    node_metrics_register(&node->m, metrics);
    enum error_code code = open_directory(node, error);
    if (code == OK && config->audit_log != NULL) {
        code = audit_open(config->audit_log, &node->audit, error);
    }
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
    node->watches = watches_new(node->server, node->state, node_clock_us);
    leader_placement_start(node);
    meet_peers(node);
    start_loop(node);
    code = wal_start(node->wal, turn_wake, node->turn, error);
    if (code != OK) {
        node_fail(node, code, error->message);
    }
    if (node->configuration.count == 0) {
        slog(SLOG_WARN, "no-cluster",
             "the data directory is empty and --bootstrap is not given: this node belongs to no cluster, never votes, and "
             "waits "
             "to be added",
             F_STR("dir", config->data_dir));
    }
    *out = node;
    return OK;
}

// --- the end ---

void node_stop(struct node *node) {
    leave_begin(node);
}

static void close_log(struct node *node) {
    struct error error = {0};
    bool abandon = node->stopping != STOPPED || node->wal_status.condition != WAL_GOOD;
    if (wal_close(node->wal, abandon, &error) != OK) {
        slog(SLOG_ERROR, "log-not-closed", "the log was not closed cleanly", F_STR("reason", error.message));
    }
}

void node_close(struct node *node) {
    close_log(node);
    node->stopping = STOPPED;
    snapshots_stop(node->snapshots);
    snapshot_receiver_stop(node->snapshot_receiver);
    snapshot_senders_close(node->snapshot_senders);
    watches_finish(node->watches, OUTCOME_WATCH_LEAVING);
    backups_finish(node);
    peers_close(node->peers);
    rpc_server_close(node->server);
    rpc_runtime_close(node->rpc);
    turn_close(node->turn);
    uv_close((uv_handle_t *)&node->sample, NULL);
}

void node_free(struct node *node) {
    free_parts(node);
}

void node_certificates_read(struct node *node, int64_t expire_unix) {
    node->certificates_expire_unix = expire_unix;
    rpc_end_revoked(node->rpc);
}

void node_plaintext(const struct node *node, uint64_t *open, uint64_t *accepted) {
    struct rpc_plaintext plaintext = rpc_server_plaintext(node->server);
    *open = plaintext.open;
    *accepted = plaintext.accepted;
}

const char *node_address(const struct node *node) {
    return rpc_server_address(node->server);
}

struct http_source node_http_source(struct node *node) {
    return http_view_source(node);
}
