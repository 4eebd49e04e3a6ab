// CheckQuorum (thesis section 6.2): a leader that a majority has not answered within quorum_timeout_us steps down, so that a
// partitioned leader does not go on for ever, and so does one whose process was stopped for longer than that, before it does
// anything else.
#include "raft/node.h"

void raft_check_quorum_start(struct raft_node *node) {
    node->quorum_heard_us = node->now_us;
}

uint64_t raft_check_quorum_due_us(const struct raft_node *node) {
    return node->quorum_heard_us + node->quorum_timeout_us + 1;
}

void raft_check_stall(struct raft_node *node, uint64_t gap_us) {
    // Another leader may have been elected meanwhile.
    if (node->state == RAFT_LEADER && gap_us > node->quorum_timeout_us) {
        raft_become_follower(node, node->current_term, "the process stood still");
    }
}

static uint64_t heard_us_of(const struct raft_peer *peer) {
    return peer->heard_us;
}

static void note_unheard(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct raft_peer *peer = node->peers[i];
        if (peer->voter && node->now_us - peer->heard_us > node->quorum_timeout_us) {
            raft_note(node, RAFT_NOTE_UNHEARD, &peer->id, false)->us =
                peer->heard_us == 0 ? 0 : node->now_us - peer->heard_us;
        }
    }
}

bool raft_check_quorum(struct raft_node *node) {
    assert(node->state == RAFT_LEADER);
    uint64_t heard_us = raft_quorum_value(node, node->now_us, heard_us_of);
    if (heard_us > node->quorum_heard_us) {
        node->quorum_heard_us = heard_us;
    }
    if (node->now_us - node->quorum_heard_us <= node->quorum_timeout_us) {
        return true;
    }
    note_unheard(node);
    raft_become_follower(node, node->current_term, "no answer from a majority");
    return false;
}
