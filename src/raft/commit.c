// Proposals, and the rule by which a leader's entries become committed (paper sections 5.3 and 5.4.2).
#include <assert.h>

#include "raft/node.h"

static uint64_t cost_of(const struct raft_event *event) {
    uint64_t cost = 0;
    for (size_t i = 0; i < event->propose.count; i++) {
        cost += raft_entry_cost(event->propose.entries[i]);
    }
    return cost;
}

static enum raft_refusal refusal_of(const struct raft_node *node, const struct raft_event *event, uint64_t cost) {
    if (node->state != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    if (node->transfer_target != NULL) {
        return RAFT_TRANSFERRING;
    }
    if (node->uncommitted_cost + cost > UNCOMMITTED_BYTES_MAX) {
        return RAFT_TOO_MUCH;
    }
    return raft_check_change(node, event->propose.entries, event->propose.count);
}

void raft_append_own(struct raft_node *node, struct raft_entry *entry) {
    assert(node->state == RAFT_LEADER);
    entry->id.term = node->current_term;
    entry->id.index = raft_log_last(&node->log).index + 1;
    raft_log_append(&node->log, entry);
    if (entry->type == RAFT_ENTRY_CONFIGURATION) {
        raft_members_appended(node, entry);
    }
}

void raft_handle_propose(struct raft_node *node, const struct raft_event *event) {
    assert(event->propose.count > 0);
    uint64_t cost = cost_of(event);
    struct raft_proposed *proposed = raft_queue_push(&node->proposed);
    proposed->tag = event->propose.tag;
    proposed->refusal = refusal_of(node, event, cost);
    if (proposed->refusal != RAFT_ACCEPTED) {
        for (size_t i = 0; i < event->propose.count; i++) {
            raft_entry_unref(event->propose.entries[i]);
        }
        return;
    }
    for (size_t i = 0; i < event->propose.count; i++) {
        raft_append_own(node, event->propose.entries[i]);
    }
    proposed->first = event->propose.entries[0]->id;
    struct raft_proposal *proposal = raft_queue_push(&node->proposals);
    proposal->last_index = raft_log_last(&node->log).index;
    proposal->cost = cost;
    node->uncommitted_cost += cost;
}

uint64_t raft_quorum_value(const struct raft_node *node, uint64_t own, uint64_t (*of_peer)(const struct raft_peer *peer)) {
    uint64_t values[MEMBERS_MAX];  // in descending order
    size_t count = 0;
    for (size_t i = 0; i <= node->peer_count; i++) {
        bool self = i == node->peer_count;
        if (self ? !node->voter : !node->peers[i]->voter) {
            continue;
        }
        uint64_t value = self ? own : node->peers[i]->forgot.index > 0 ? 0 : of_peer(node->peers[i]);
        size_t at = count++;
        for (; at > 0 && values[at - 1] < value; at--) {
            values[at] = values[at - 1];
        }
        values[at] = value;
    }
    assert(count == node->voter_count);
    return values[raft_majority(node) - 1];
}

static uint64_t match_index_of(const struct raft_peer *peer) {
    return peer->match_index;
}

static void finish_proposals(struct raft_node *node) {
    for (struct raft_proposal *proposal; (proposal = raft_queue_front(&node->proposals)) != NULL;) {
        if (proposal->last_index > node->commit_index) {
            return;
        }
        assert(node->uncommitted_cost >= proposal->cost);
        node->uncommitted_cost -= proposal->cost;
        raft_queue_pop(&node->proposals);
    }
}

void raft_advance_commit(struct raft_node *node) {
    if (node->state != RAFT_LEADER || !node->match_changed) {
        return;
    }
    node->match_changed = false;
    raft_index index = raft_quorum_value(node, node->log.durable_index, match_index_of);
    // An entry of an earlier term may still be overwritten though a majority has it (paper figure 8); it is committed with
    // the first one of this leader's term.
    if (index <= node->commit_index || raft_log_term(&node->log, index) != node->current_term) {
        return;
    }
    node->commit_index = index;
    finish_proposals(node);
    raft_members_committed(node);
    // Thesis section 4.2.2: a leader that is no voter any more goes on until that is committed.
    if (!node->voter && !raft_is_electable(node)) {
        raft_become_follower(node, node->current_term, "no longer a voter");
    }
}
