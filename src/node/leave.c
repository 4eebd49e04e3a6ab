// Graceful shutdown: node/leave.h.
#include "node/leave.h"

#include "node/backups.h"
#include "node/internal.h"
#include "node/leadership.h"

// How long a stalled client or peer can delay the shutdown.
#define TRANSFER_PATIENCE_US (1500 * US_PER_MS)
#define DRAIN_PATIENCE_MS    400

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
    watches_finish(node->watches, OUTCOME_WATCH_LEAVING);
    backups_finish(node);
    rpc_server_drain(node->server, DRAIN_PATIENCE_MS, drained, node);
}

// Whether there is another voter.
static bool has_successors(const struct node *node) {
    size_t others = 0;
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct wire_member *member = &node->configuration.members[i];
        others += member->voter && !raft_id_equal(&member->id, node_id(node));
    }
    return others > 0;
}

void leave_begin(struct node *node) {
    if (node->stopping != RUNNING) {
        return;
    }
    slog(SLOG_INFO, "shutting-down", "shutting down");
    rpc_server_set_serving(node->server, "", false);
    if (!node_leads(node) || !has_successors(node)) {
        drain(node);
        return;
    }
    static const struct raft_id any;
    const struct raft_id *successor = placement_successor(&node->placement, node_clock_us());
    node->stopping = TRANSFERRING;
    node->stopping_until_us = node_clock_us() + TRANSFER_PATIENCE_US;
    leadership_hand_over(node, successor != NULL ? successor : &any, "this node shuts down");
}

// The successor has committed an entry of its own term: what was in flight here is answered or about to be.
static bool is_succeeded(const struct node *node) {
    const struct raft_entry *last = raft_entry_at(node->raft, raft_commit_index(node->raft));
    return !node_leads(node) && node_leader_id(node)->len > 0 && last != NULL &&
           last->id.term == raft_current_term(node->raft) && writes_count(node->writes) == 0;
}

void leave_progress(struct node *node) {
    if (node->stopping == TRANSFERRING && (is_succeeded(node) || node->now_us > node->stopping_until_us)) {
        drain(node);
    }
}
