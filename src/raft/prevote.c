// Deferred pre-votes: a voter that still hears the leader does not refuse a PreVote at once.
//
// When a leader dies, followers near it notice before those far away, and request pre-votes while the others still hear the
// leader. A PreVote that would be refused only for that reason is therefore deferred, and granted as soon as this node has
// lost the leader, too. A live leader is not disturbed: no term changes before a majority has granted.
#include <assert.h>

#include "raft/node.h"

static void answer(struct raft_node *node, struct raft_peer *peer, bool granted) {
    assert(peer->defers_pre_vote);
    struct raft_message *reply = raft_reply(node, &peer->deferred_pre_vote, RAFT_REQUEST_VOTE_REPLY, 0);
    reply->vote_reply.granted = granted;
    reply->vote_reply.pre_vote = true;
    peer->defers_pre_vote = false;
    raft_note_answer(node, &peer->deferred_pre_vote, true, granted);
}

void raft_refuse_deferred_pre_vote(struct raft_node *node, struct raft_peer *peer) {
    if (peer->defers_pre_vote) {
        answer(node, peer, false);
    }
}

void raft_defer_pre_vote(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    assert(message->request_vote.pre_vote && raft_hears_leader(node));
    raft_refuse_deferred_pre_vote(node, peer);  // superseded by the new one
    peer->deferred_pre_vote = *message;
    peer->deferred_until_us = node->now_us + PRE_VOTE_DEFER_US;
    peer->defers_pre_vote = true;
    raft_note(node, RAFT_NOTE_DEFERRED, &message->from, true)->reason = "hears its leader";
}

void raft_answer_deferred_pre_votes(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        if (!peer->defers_pre_vote) {
            continue;
        }
        if (!raft_would_elect(node, &peer->deferred_pre_vote)) {
            answer(node, peer, false);
        } else if (!raft_hears_leader(node)) {
            answer(node, peer, raft_grant_pre_vote(node, peer, &peer->deferred_pre_vote));
        } else if (node->now_us >= peer->deferred_until_us) {
            answer(node, peer, false);
        }
    }
}

uint64_t raft_next_deferred_us(const struct raft_node *node) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < node->peer_count; i++) {
        if (node->peers[i]->defers_pre_vote && node->peers[i]->deferred_until_us < next) {
            next = node->peers[i]->deferred_until_us;
        }
    }
    // Before that, the leader may no longer count as heard.
    uint64_t silent = raft_hears_leader_until_us(node);
    return next != UINT64_MAX && silent > node->now_us && silent < next ? silent : next;
}
