// Linearizable reads without a log entry (ReadIndex: thesis section 6.4).
//
// A read may be served at the commit index once two things are certain: that the index is current, for which the leader must
// have committed an entry of its own term; and that no other leader had committed anything newer when the read came, for
// which a majority must have answered heartbeats that were sent after that. All reads of a turn share one round of
// heartbeats. The round is recorded with each heartbeat sent, so that a reply confirms only rounds begun before the
// heartbeat was sent. Under a lease (lease.c) the second is certain without a round.
#include <assert.h>

#include "raft/node.h"

static void release(struct raft_node *node, uint64_t tag, raft_index index, enum raft_refusal refusal) {
    struct raft_read *read = raft_queue_push(&node->reads_ready);
    *read = (struct raft_read){.tag = tag, .refusal = refusal, .index = index};
}

void raft_handle_read(struct raft_node *node, uint64_t tag) {
    if (node->state != RAFT_LEADER || node->resigned) {
        release(node, tag, 0, RAFT_NOT_LEADER);
        return;
    }
    if (node->reads.count >= READS_MAX) {
        release(node, tag, 0, RAFT_TOO_MUCH);
        return;
    }
    struct raft_pending_read *read = raft_queue_push(&node->reads);
    read->tag = tag;
}

void raft_refuse_reads(struct raft_node *node) {
    for (struct raft_pending_read *read; (read = raft_queue_front(&node->reads)) != NULL;) {
        release(node, read->tag, 0, RAFT_NOT_LEADER);
        raft_queue_pop(&node->reads);
    }
}

// Reads without a round are at the end of the queue.
static void open_round(struct raft_node *node) {
    size_t i = node->reads.count;
    if (i == 0 || ((struct raft_pending_read *)raft_queue_at(&node->reads, i - 1))->round != 0) {
        return;
    }
    assert(raft_leader_is_established(node));
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

// Under a lease. Those that wait for a round have an index already; a later one would do as well.
static void release_all(struct raft_node *node) {
    for (struct raft_pending_read *read; (read = raft_queue_front(&node->reads)) != NULL; raft_queue_pop(&node->reads)) {
        release(node, read->tag, read->round > 0 ? read->index : node->commit_index, RAFT_ACCEPTED);
    }
}

static uint64_t round_heard_of(const struct raft_peer *peer) {
    return peer->round_heard;
}

void raft_advance_reads(struct raft_node *node) {
    if (node->reads.count == 0 || !raft_leader_is_established(node)) {
        return;
    }
    if (raft_has_lease(node)) {
        release_all(node);
        return;
    }
    open_round(node);
    uint64_t confirmed = raft_quorum_value(node, node->read_round, round_heard_of);
    for (struct raft_pending_read *read; (read = raft_queue_front(&node->reads)) != NULL && read->round <= confirmed;) {
        release(node, read->tag, read->index, RAFT_ACCEPTED);
        raft_queue_pop(&node->reads);
    }
}
