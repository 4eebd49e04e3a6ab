// Leases: reads without a round of heartbeats (thesis section 6.4.1).
//
// A voter promises each leader that it hears to vote for no other candidate, itself included, for LEASE_US. It counts from
// when the request came; the leader counts from when it was sent, which is earlier, and leaves a margin for clocks that do
// not run equally fast. While promises of a majority hold no other leader can be elected: every majority that could elect
// one has a voter that has promised. So the commit index is current without asking.
//
// Promises are told with each reply, in a span of time, and do not depend on anybody's election timeouts. They bind whatever
// the voter learns meanwhile: that its connection to the leader is lost (an early pre-vote waits), or of a higher term. A
// voter that was restarted no longer knows what it has promised, and so begins bound.
//
// Only a transfer's election breaks promises. A leader that has sent TimeoutNow has no lease for the rest of its term, since
// the message may arrive however late.
//
// What matters is that the lease holds at a moment after the read came. How long the answer takes then does not matter: the
// state at that moment is one that a read may see.
#include <assert.h>

#include "raft/node.h"

bool raft_is_bound(const struct raft_node *node) {
    return node->now_us < node->bound_until_us;
}

void raft_bind(struct raft_node *node) {
    if (node->lease_reads) {
        node->bound_until_us = node->now_us + LEASE_US;
    }
}

uint64_t raft_promise(const struct raft_node *node, const struct raft_message *message) {
    bool heard = message->term == node->current_term && raft_id_equal(&node->leader, &message->from);
    return node->lease_reads && heard && raft_is_bound(node) ? node->bound_until_us - node->now_us : 0;
}

void raft_take_promise(struct raft_peer *peer, uint64_t sent_us, uint64_t promised_us) {
    // A longer promise than this node would make is of no known rule.
    uint64_t span_us = promised_us < LEASE_US ? promised_us : LEASE_US;
    uint64_t until_us = sent_us + span_us - span_us / LEASE_DRIFT_SHARE;
    if (promised_us > 0 && until_us > peer->lease_until_us) {
        peer->lease_until_us = until_us;
    }
}

static uint64_t lease_until_of(const struct raft_peer *peer) {
    return peer->lease_until_us;
}

bool raft_has_lease(const struct raft_node *node) {
    assert(node->state == RAFT_LEADER);
    if (!node->lease_reads || node->lease_given_up || node->transfer_target != NULL) {
        return false;
    }
    return node->now_us < raft_quorum_value(node, UINT64_MAX, lease_until_of);
}
