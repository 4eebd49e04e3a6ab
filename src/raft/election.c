// Elections (paper section 5.2), each after a round of pre-votes (thesis section 9.6); voters protect a leader they hear
// (thesis section 4.2.3).
//
// On timeout a node first asks whether it would be elected, as a follower and in its present term, so that a node that was
// partitioned away comes back without deposing anyone. Only with a majority of pre-votes does it increment its term and
// become a candidate. A PreVote carries the sender's current term, not the one it would campaign in.
#include <assert.h>

#include "raft/node.h"

void raft_reset_election_timer(struct raft_node *node) {
    uint64_t timeout_us = rng_between(&node->rng, node->election_timeout_min_us, node->election_timeout_max_us);
    node->election_timeout_us = timeout_us;
    uint64_t deadline_us = node->now_us + timeout_us;
    node->election_deadline_us = deadline_us > node->bound_until_us ? deadline_us : node->bound_until_us;
}

void raft_enter_term(struct raft_node *node, raft_term term) {
    assert(term > node->current_term);
    node->current_term = term;
    node->voted_for = (struct raft_id){0};
    node->leader = (struct raft_id){0};
    node->hard_state_changed = true;
}

void raft_become_follower(struct raft_node *node, raft_term term, const char *reason) {
    assert(term >= node->current_term);
    bool higher_term = term > node->current_term;
    bool led = node->state == RAFT_LEADER;
    if (higher_term) {
        raft_enter_term(node, term);  // in the same term the vote stays
    }
    if (higher_term || node->state != RAFT_FOLLOWER) {
        node->pre_voting = false;
    }
    if (node->state == RAFT_FOLLOWER) {
        return;
    }
    raft_record_transition(node, RAFT_FOLLOWER, reason);
    node->leader = (struct raft_id){0};
    if (led) {
        raft_stop_leading(node, higher_term);
        raft_reset_election_timer(node);
    }
}

// --- campaigning ---

static bool disk_is_stuck(const struct raft_node *node) {
    uint64_t since_us;
    return raft_log_writing_since(&node->log, &since_us) && node->now_us > since_us + DISK_STUCK_US;
}

bool raft_may_campaign(const struct raft_node *node) {
    return raft_is_electable(node) && !node->resigned && node->storage == RAFT_STORAGE_GOOD && !disk_is_stuck(node);
}

// Starts a round of pre-votes or votes; replies to earlier rounds no longer count.
static void ask_voters(struct raft_node *node, bool pre_vote) {
    assert(raft_is_electable(node) && !node->resigned && node->state == (pre_vote ? RAFT_FOLLOWER : RAFT_CANDIDATE));
    assert(!pre_vote || !raft_is_bound(node));
    node->pre_voting = pre_vote;
    node->pre_vote_rounds += pre_vote;
    node->ask_votes = true;
    raft_note(node, RAFT_NOTE_ASKED, NULL, pre_vote);
    for (size_t i = 0; i < node->peer_count; i++) {
        node->peers[i]->granted = false;
        node->peers[i]->votes_next++;
    }
    raft_reset_election_timer(node);
    raft_count_votes(node);  // it may be the only voter
}

void raft_start_election(struct raft_node *node, bool transfer) {
    assert(raft_is_electable(node) && node->storage == RAFT_STORAGE_GOOD && (transfer || !raft_is_bound(node)));
    raft_enter_term(node, node->current_term + 1);
    node->voted_for = node->id;
    node->transfer_election = transfer;
    node->elections_started++;
    raft_record_transition(node, RAFT_CANDIDATE, transfer ? "asked to take over" : "election timeout");
    ask_voters(node, false);
}

void raft_run_election_timer(struct raft_node *node) {
    if (node->now_us < node->election_deadline_us) {
        return;
    }
    raft_note(node, RAFT_NOTE_TIMEOUT, &node->leader, false)->us = node->election_timeout_us;
    // A candidate that was not elected goes back to pre-votes, so that its term does not grow while it is partitioned away.
    raft_become_follower(node, node->current_term, "the election timed out");
    node->leader = (struct raft_id){0};
    if (raft_may_campaign(node)) {
        ask_voters(node, true);
    } else {
        raft_reset_election_timer(node);
    }
}

void raft_handle_lost(struct raft_node *node, const struct raft_id *peer) {
    if (node->state != RAFT_FOLLOWER || node->leader.len == 0 || !raft_id_equal(&node->leader, peer)) {
        return;
    }
    raft_note(node, RAFT_NOTE_LEADER_LOST, peer, false);
    node->lost_leader = node->leader;
    node->lost_term = node->current_term;
    node->lost_us = node->now_us;
    node->leader = (struct raft_id){0};
    if (raft_is_bound(node)) {
        node->election_deadline_us = node->bound_until_us;
    } else if (raft_may_campaign(node)) {
        ask_voters(node, true);
    }
}

// Who is met while it asks has perhaps not got the request: the same round is begun anew. Who has granted another node's
// waits for that one's election, which a round of its own would disturb.
void raft_handle_met(struct raft_node *node) {
    if (!node->only_started || node->state != RAFT_FOLLOWER || raft_is_bound(node) || !raft_may_campaign(node)) {
        return;
    }
    node->pre_vote_rounds -= node->pre_voting;
    ask_voters(node, true);
}

bool raft_is_late_from_lost_leader(const struct raft_node *node, const struct raft_message *message) {
    return message->term == node->lost_term && raft_id_equal(&message->from, &node->lost_leader) &&
           node->now_us < node->lost_us + LOST_LEADER_LATE_US;
}

void raft_send_vote_requests(struct raft_node *node) {
    bool asks = node->ask_votes && (node->pre_voting || node->state == RAFT_CANDIDATE);
    node->ask_votes = false;
    if (!asks) {
        return;
    }
    // A PreVote promises nothing. A RequestVote waits until term and own vote are durable: its replies may elect this node.
    uint64_t after_write = node->pre_voting ? 0 : raft_hard_state_write(node);
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        if (!peer->voter) {
            continue;
        }
        uint64_t call = raft_call_number(peer->votes_next - 1, RAFT_CALL_VOTE);
        struct raft_message *message = raft_request_after(node, peer, RAFT_REQUEST_VOTE, call, after_write);
        message->request_vote.last_log = raft_log_last(&node->log);
        message->request_vote.pre_vote = node->pre_voting;
        message->request_vote.leadership_transfer = !node->pre_voting && node->transfer_election;
    }
}

// --- voting ---

// Paper section 5.4.1: the later last term, or the same and at least as long.
static bool is_up_to_date(const struct raft_node *node, struct raft_entry_id theirs) {
    struct raft_entry_id ours = raft_log_last(&node->log);
    return theirs.term > ours.term || (theirs.term == ours.term && theirs.index >= ours.index);
}

// A leader heard so recently may still have its quorum. A leader counts as hearing itself; CheckQuorum limits how long it
// can do so without a quorum.
bool raft_hears_leader(const struct raft_node *node) {
    return node->now_us < raft_hears_leader_until_us(node);
}

uint64_t raft_hears_leader_until_us(const struct raft_node *node) {
    if (node->state == RAFT_LEADER) {
        return UINT64_MAX;
    }
    uint64_t heard_until_us = node->leader.len > 0 ? node->leader_heard_us + node->election_timeout_min_us : 0;
    return heard_until_us > node->bound_until_us ? heard_until_us : node->bound_until_us;
}

bool raft_would_elect(const struct raft_node *node, const struct raft_message *message) {
    return node->state != RAFT_LEADER && message->term >= node->current_term &&
           is_up_to_date(node, message->request_vote.last_log);
}

// Of two nodes that request pre-votes of each other one must stand back, or both would get a majority and split the votes:
// the one with the less up-to-date log; with equal logs the one that is not preferred, if the other is; else the one with
// the later id. Two nodes that disagree about who is preferred would both insist; from the second round on only the id
// counts.
static bool loses_tie_break(const struct raft_node *node, const struct raft_peer *peer, const struct raft_message *message) {
    struct raft_entry_id ours = raft_log_last(&node->log);
    struct raft_entry_id theirs = message->request_vote.last_log;
    if (theirs.term != ours.term || theirs.index != ours.index) {
        return true;  // theirs is more up to date: raft_would_elect has compared them
    }
    bool preferred = peer != NULL && peer->preferred;
    if (preferred != node->preferred && node->pre_vote_rounds <= 1) {
        return preferred;
    }
    return raft_id_compare(&message->from, &node->id) < 0;
}

bool raft_grant_pre_vote(struct raft_node *node, const struct raft_peer *peer, const struct raft_message *message) {
    if (node->pre_voting && !loses_tie_break(node, peer, message)) {
        return false;
    }
    node->only_started = false;
    if (!node->pre_voting) {
        return true;
    }
    node->pre_voting = false;
    raft_reset_election_timer(node);
    return true;
}

// A candidate that already has this node's vote is granted it again: the request was repeated.
static bool grants_vote(struct raft_node *node, const struct raft_message *message) {
    if (message->term < node->current_term) {
        return false;
    }
    if (!message->request_vote.leadership_transfer && raft_hears_leader(node)) {
        return false;  // without adopting the term
    }
    if (message->term > node->current_term) {
        raft_become_follower(node, message->term, "a candidate has a higher term");
    }
    bool free_to_vote = node->voted_for.len == 0 || raft_id_equal(&node->voted_for, &message->from);
    if (!free_to_vote || !is_up_to_date(node, message->request_vote.last_log)) {
        return false;
    }
    if (node->voted_for.len == 0) {
        node->voted_for = message->from;
        node->hard_state_changed = true;
    }
    node->only_started = node->pre_voting = false;
    raft_reset_election_timer(node);
    return true;
}

// Whether the candidate, or this node, is a voter may be different in a configuration that this node does not have yet: the
// vote may be needed (thesis section 4.1), and the candidate counts it only if it is a voter's.
void raft_handle_request_vote(struct raft_node *node, const struct raft_message *message, bool credible) {
    struct raft_peer *peer = raft_peer_find(node, &message->from);
    bool pre_vote = message->request_vote.pre_vote;
    bool granted = false;
    if (credible && !pre_vote) {
        granted = grants_vote(node, message);
    } else if (credible && raft_would_elect(node, message)) {
        bool hears_leader = raft_hears_leader(node);
        if (hears_leader && peer != NULL) {
            raft_defer_pre_vote(node, peer, message);
            return;
        }
        granted = !hears_leader && raft_grant_pre_vote(node, peer, message);
    }
    uint64_t after_write = pre_vote ? 0 : raft_hard_state_write(node);
    struct raft_message *reply = raft_reply(node, message, RAFT_REQUEST_VOTE_REPLY, after_write);
    reply->vote_reply.granted = granted;
    reply->vote_reply.pre_vote = pre_vote;
    raft_note_answer(node, message, credible, granted);
}

// --- counting votes ---

static void become_leader(struct raft_node *node) {
    assert(raft_id_equal(&node->voted_for, &node->id) && raft_hard_state_write(node) <= node->persisted_write);
    raft_record_transition(node, RAFT_LEADER, "elected by a majority");
    node->leader = node->id;
    node->only_started = false;
    node->pre_vote_rounds = 0;
    raft_start_leading(node);
}

void raft_count_votes(struct raft_node *node) {
    if (!node->pre_voting && node->state != RAFT_CANDIDATE) {
        return;
    }
    // Before its own vote is durable: after a crash it could vote for another candidate in the same term.
    if (!node->pre_voting && raft_hard_state_write(node) > node->persisted_write) {
        return;
    }
    size_t votes = node->voter;  // its own counts only in a configuration that it is in (thesis section 4.2.2)
    for (size_t i = 0; i < node->peer_count; i++) {
        votes += node->peers[i]->voter && node->peers[i]->granted;
    }
    if (votes < raft_majority(node)) {
        return;
    }
    if (node->pre_voting) {
        raft_start_election(node, false);
    } else {
        become_leader(node);
    }
}

void raft_handle_vote_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    bool open = message->vote_reply.pre_vote ? node->pre_voting : node->state == RAFT_CANDIDATE;
    bool latest = message->call == raft_call_number(peer->votes_next - 1, RAFT_CALL_VOTE);
    // A pre-vote may come from a lower term, where its voter stays; a vote is given in the candidate's term.
    bool fits = message->vote_reply.pre_vote || message->term == node->current_term;
    if (open && latest) {
        enum raft_note_kind kind = message->vote_reply.granted ? RAFT_NOTE_GRANTED : RAFT_NOTE_REFUSED;
        raft_note(node, kind, &peer->id, message->vote_reply.pre_vote);
    }
    if (!open || !latest || !fits || !message->vote_reply.granted) {
        return;
    }
    peer->granted = true;
    raft_count_votes(node);
}
