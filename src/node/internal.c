// What the node's files share: clocks, the turn's events, leadership.
#include "node/internal.h"

#include <time.h>

#include "base/array.h"

uint64_t node_clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

int64_t node_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t node_command_time_ms(struct node *node) {
    int64_t now = node_wall_ms();
    int64_t applied = state_time_unix_ms(node->state);
    if (now > node->command_time_ms) {
        node->command_time_ms = now;
    }
    if (applied > node->command_time_ms) {
        node->command_time_ms = applied;
    }
    return node->command_time_ms;
}

struct raft_event *node_event(struct node *node) {
    array_reserve(node->events, node->event_cap, node->event_count + 1);
    return &node->events[node->event_count++];
}

void node_fail(struct node *node, enum error_code code, const char *message) {
    slog(SLOG_ERROR, "fatal: this node stops", F_STR("error", error_name(code)), F_STR("reason", message));
    if (node->stopping == STOPPED) {
        return;
    }
    node->stopping = STOPPED;
    node->stopped(node->stopped_user, code);
}

const struct raft_id *node_leader_id(const struct node *node) {
    static const struct raft_id none;
    return node->raft == NULL ? &none : raft_leader(node->raft);
}

raft_index node_match_index(const struct node *node, const struct raft_id *id) {
    if (!node_leads(node)) {
        return 0;
    }
    if (raft_id_equal(id, node_id(node))) {
        return raft_last_log(node->raft).index;
    }
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = raft_progress(node->raft, progress);
    for (size_t i = 0; i < count; i++) {
        if (raft_id_equal(&progress[i].id, id)) {
            return progress[i].match_index;
        }
    }
    return 0;
}

// --- for verbs (node/verb.h) ---

const struct state *node_state(const struct node *node) {
    return node->state;
}

const struct wire_configuration *node_configuration(const struct node *node) {
    return &node->configuration;
}

const struct raft_id *node_id(const struct node *node) {
    return &node->config->node_id;
}

struct arena *node_scratch(struct node *node) {
    return &node->scratch;
}

const struct raft_node *node_raft(const struct node *node) {
    return node->raft;
}

bool node_leads(const struct node *node) {
    return node->raft != NULL && raft_state(node->raft) == RAFT_LEADER;
}

const struct wire_member *node_leader(const struct node *node) {
    return wire_configuration_member(&node->configuration, node_leader_id(node));
}

bool node_serves_workers(const struct node *node) {
    return node->serving_workers;
}

void node_heard_peer(struct node *node, struct rpc_call call) {
    struct slice asker = rpc_call_metadata(node->server, call, PEER_METADATA);
    if (asker.len > 0 && asker.len <= ID_MAX) {
        struct raft_id id = raft_id_of(asker);
        peers_heard(node->peers, &id);
    }
}

bool node_watch(struct node *node, struct rpc_call call, struct slice prefix, uint64_t from) {
    return watches_add(node->watches, call, prefix, from);
}

void node_watch_cancelled(struct node *node, struct rpc_call call) {
    watches_remove(node->watches, call);
}

void node_watch_writable(struct node *node, struct rpc_call call) {
    watches_writable(node->watches, call);
}

const struct verb *node_verb_of(const struct node *node, enum pb_command_op op) {
    for (size_t i = 0; node->config->verbs[i] != NULL; i++) {
        if (node->config->verbs[i]->op == op) {
            return node->config->verbs[i];
        }
    }
    return NULL;
}
