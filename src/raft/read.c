// Linearizable reads without a log entry (ReadIndex: thesis section 6.4).
//
// A read may see the state at the commit index, once that index is current and it is certain that no other leader had
// committed anything newer when the read came. The first needs an entry of our own term to be committed; the second, a
// majority's answers to heartbeats that left after the read had come. All reads of a turn share one round of heartbeats:
// the round's number travels in our memory of what was sent, so an answer can only confirm what was asked before it left.
#include <assert.h>

#include "raft/node.h"

static void hand_out(struct raft_node *node, uint64_t tag, raft_index index, enum raft_refusal refusal) {
    struct raft_read *read = raft_queue_push(&node->reads_ready);
    *read = (struct raft_read){.tag = tag, .refusal = refusal, .index = index};
}

void raft_handle_read(struct raft_node *node, uint64_t tag) {
    if (node->state != RAFT_LEADER) {
        hand_out(node, tag, 0, RAFT_NOT_LEADER);
        return;
    }
    if (node->reads.count >= READS_MAX) {
        hand_out(node, tag, 0, RAFT_TOO_MUCH);
        return;
    }
    struct raft_pending_read *read = raft_queue_push(&node->reads);
    read->tag = tag;
}

void raft_refuse_reads(struct raft_node *node) {
    for (struct raft_pending_read *read; (read = raft_queue_front(&node->reads)) != NULL;) {
        hand_out(node, read->tag, 0, RAFT_NOT_LEADER);
        raft_queue_pop(&node->reads);
    }
}

// Those without a round yet are the last in the queue.
static void open_round(struct raft_node *node) {
    size_t i = node->reads.count;
    if (i == 0 || ((struct raft_pending_read *)raft_queue_at(&node->reads, i - 1))->round != 0) {
        return;
    }
    node->read_round++;
    while (i > 0) {
        struct raft_pending_read *read = raft_queue_at(&node->reads, --i);
        if (read->round != 0) {
            return;
        }
        read->index = node->commit_index;
        read->round = node->read_round;
    }
}

static uint64_t round_heard_of(const struct raft_peer *peer) {
    return peer->round_heard;
}

void raft_advance_reads(struct raft_node *node) {
    if (node->reads.count == 0 || !raft_leader_is_established(node)) {
        return;
    }
    open_round(node);
    uint64_t confirmed = raft_quorum_value(node, node->read_round, round_heard_of);
    for (struct raft_pending_read *read; (read = raft_queue_front(&node->reads)) != NULL && read->round <= confirmed;) {
        hand_out(node, read->tag, read->index, RAFT_ACCEPTED);
        raft_queue_pop(&node->reads);
    }
}
