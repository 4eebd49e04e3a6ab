// PreVotes that wait: a voter that still hears the leader does not refuse at once.
//
// When a leader dies, its followers learn of it at different times: one beside it at once, one across the ocean later. The
// first asks before the second has noticed. So a question that is refused for nothing but "I hear the leader" is kept for a
// while, and granted as soon as this node, too, has lost that leader. A leader that lives loses nothing by it: nobody's term
// changes before a majority has granted.
#include "raft/node.h"

static void answer(struct raft_node *node, struct raft_peer *peer, bool granted) {
    struct raft_message *reply = raft_reply(node, &peer->kept, RAFT_REQUEST_VOTE_REPLY, 0);
    reply->vote_reply.granted = granted;
    reply->vote_reply.pre_vote = true;
    peer->keeps = false;
}

void raft_keep_pre_vote(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (peer->keeps) {
        answer(node, peer, false);  // it has asked anew, the older question is closed
    }
    peer->kept = *message;
    peer->kept_until_us = node->now_us + KEPT_PRE_VOTE_US;
    peer->keeps = true;
}

void raft_settle_pre_votes(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = &node->peers[i];
        if (!peer->keeps) {
            continue;
        }
        if (!raft_would_elect(node, &peer->kept)) {
            answer(node, peer, false);
        } else if (!raft_hears_leader(node)) {
            answer(node, peer, raft_grant_pre_vote(node, peer, &peer->kept));
        } else if (node->now_us >= peer->kept_until_us) {
            answer(node, peer, false);
        }
    }
}

uint64_t raft_next_kept(const struct raft_node *node) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < node->peer_count; i++) {
        if (node->peers[i].keeps && node->peers[i].kept_until_us < next) {
            next = node->peers[i].kept_until_us;
        }
    }
    // The leader may fall silent before.
    uint64_t silent = node->leader_heard_us + node->config.election_timeout_min_us;
    return next != UINT64_MAX && silent > node->now_us && silent < next ? silent : next;
}
