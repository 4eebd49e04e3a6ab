// Leadership transfer (thesis section 3.10): the leader refuses new proposals, brings the target's log up to date, and tells
// it by TimeoutNow to campaign at once. If that has not deposed the leader within the maximum election timeout, it goes on,
// unless it has resigned.
#include <assert.h>

#include "raft/node.h"

// The voter with the highest match_index, of those heard within the quorum timeout if there are any; the first by id of
// several.
static struct raft_peer *best_successor(struct raft_node *node) {
    struct raft_peer *best = NULL;
    bool best_answers = false;
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        bool answers = peer->heard_us + node->quorum_timeout_us >= node->now_us;
        bool better =
            best == NULL || answers > best_answers || (answers == best_answers && peer->match_index > best->match_index);
        if (!peer->voter || peer->forgot.index > 0 || raft_needs_snapshot(node, peer) || !better) {
            continue;
        }
        best = peer;
        best_answers = answers;
    }
    return best;
}

static enum raft_refusal refusal_of(const struct raft_node *node, const struct raft_peer *target) {
    if (node->state != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    if (node->transfer_target != NULL) {
        return RAFT_BUSY;
    }
    if (target == NULL || !target->voter) {
        return RAFT_NO_SUCH_NODE;
    }
    // It cannot catch up in time; writes would wait in vain.
    return raft_needs_snapshot(node, target) || target->forgot.index > 0 ? RAFT_BEHIND : RAFT_ACCEPTED;
}

void raft_handle_transfer(struct raft_node *node, const struct raft_id *target) {
    struct raft_peer *peer = target->len == 0 ? best_successor(node) : raft_peer_find(node, target);
    enum raft_refusal refusal = refusal_of(node, peer);
    if (refusal != RAFT_ACCEPTED) {
        node->transfer_outcome = RAFT_TRANSFER_REFUSED;
        node->transfer_refusal = refusal;
        return;
    }
    node->transfer_target = peer;
    node->transfer_deadline_us = node->now_us + node->election_timeout_max_us;
    node->timeout_now_sent = false;
}

void raft_end_transfer(struct raft_node *node, enum raft_transfer_outcome outcome) {
    assert(node->transfer_target != NULL && outcome != RAFT_TRANSFER_NONE);
    node->transfer_target = NULL;
    node->transfer_outcome = outcome;
    if (node->resigned) {
        raft_become_follower(node, node->current_term, "this node has resigned");
    }
}

void raft_handle_resign(struct raft_node *node, const struct raft_event *event) {
    node->resigned = true;
    node->pre_voting = false;
    raft_refuse_reads(node);
    if (node->state == RAFT_LEADER && node->transfer_target == NULL && event->resign.hand_over) {
        raft_handle_transfer(node, &event->resign.target);
    }
    if (node->transfer_target == NULL) {
        raft_become_follower(node, node->current_term, "this node has resigned");
    }
}

void raft_run_transfer(struct raft_node *node) {
    struct raft_peer *target = node->transfer_target;
    if (node->state != RAFT_LEADER || target == NULL) {
        return;
    }
    if (node->now_us >= node->transfer_deadline_us) {
        raft_end_transfer(node, RAFT_TRANSFER_FAILED);
        return;
    }
    if (node->timeout_now_sent || target->match_index != raft_log_last(&node->log).index) {
        return;
    }
    node->timeout_now_sent = true;
    node->lease_given_up = true;
    raft_request(node, target, RAFT_TIMEOUT_NOW, raft_call_number(target->timeout_nows_next++, RAFT_CALL_TIMEOUT_NOW));
}

void raft_handle_timeout_now(struct raft_node *node, const struct raft_message *message, bool credible) {
    raft_reply(node, message, RAFT_TIMEOUT_NOW_REPLY, raft_hard_state_write(node));
    if (!credible || message->term != node->current_term || !raft_id_equal(&node->leader, &message->from)) {
        return;
    }
    node->leader_heard_us = node->now_us;
    raft_reset_election_timer(node);
    if (raft_may_campaign(node)) {
        raft_start_election(node, true);
    }
}
