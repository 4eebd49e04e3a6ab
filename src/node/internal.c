// What the node's files share: clocks, the turn's events, leadership.
#include "node/internal.h"

#include <time.h>

#include "base/array.h"
#include "node/held_versions.h"

// How long a Watch, or a read on a follower, survives without a leader before it ends with UNAVAILABLE.
#define LEADERLESS_PATIENCE_US (2 * US_PER_S)

uint64_t node_clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
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

const char *node_settings(const struct node *node) {
    return node->config->settings;
}

struct raft_event *node_event(struct node *node) {
    array_reserve(node->events, node->event_cap, node->event_count + 1);
    return &node->events[node->event_count++];
}

void node_fail(struct node *node, enum error_code code, const char *message) {
    slog(SLOG_ERROR, "fatal", "fatal: this node stops", F_STR("error", error_name(code)), F_STR("reason", message));
    if (node->stopping == STOPPED) {
        return;
    }
    node->stopping = STOPPED;
    node->stopped(node->stopped_user, code);
}

const struct raft_id *node_leader_id(const struct node *node) {
    return raft_leader(node->raft);
}

bool node_is_leaderless(const struct node *node) {
    return !node_leads(node) && node->leader_lost_us != 0 && node_clock_us() - node->leader_lost_us > LEADERLESS_PATIENCE_US;
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

const struct state_version *node_held_version(struct node *node, raft_index index) {
    return held_versions_find(node->held_versions, index, node_clock_us());
}

void node_hold_version(struct node *node) {
    held_versions_keep(node->held_versions, node->state, node_clock_us());
}

struct arena *node_scratch(struct node *node) {
    return &node->scratch;
}

const struct raft_node *node_raft(const struct node *node) {
    return node->raft;
}

bool node_leads(const struct node *node) {
    return raft_state(node->raft) == RAFT_LEADER;
}

const struct wire_member *node_leader(const struct node *node) {
    return wire_configuration_member(&node->configuration, node_leader_id(node));
}

bool node_serves_workers(const struct node *node) {
    return node->serving_workers;
}

// Its client may have given up while the call waited for its index: a Watch that was cancelled before it began would stay.
bool node_watch(struct node *node, struct rpc_call call, struct slice prefix, uint64_t from) {
    return !rpc_call_alive(node->server, call) || watches_add(node->watches, call, prefix, from);
}

void node_watch_cancelled(struct node *node, struct rpc_call call) {
    watches_remove(node->watches, call);
}
