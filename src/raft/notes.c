// Notes of what elections come from (raft_note in raft/raft.h): who was lost, who asked whom, who refused and why.
//
// Deciding and noting are apart. A vote is decided in election.c; why one was refused is found here, afterwards and from
// what the decision has left, so that no note can change a decision.
#include "raft/node.h"

struct raft_note *raft_note(struct raft_node *node, enum raft_note_kind kind, const struct raft_id *peer, bool pre_vote) {
    struct raft_note *note = raft_queue_push(&node->notes);
    *note = (struct raft_note){.kind = kind, .term = node->current_term, .pre_vote = pre_vote};
    if (peer != NULL) {
        note->peer = *peer;
    }
    return note;
}

// Whether the asker's last entry is older than the last one here (paper section 5.4.1).
static bool is_behind(const struct raft_node *node, struct raft_entry_id theirs) {
    struct raft_entry_id ours = raft_log_last(&node->log);
    return theirs.term < ours.term || (theirs.term == ours.term && theirs.index < ours.index);
}

// In the order in which election.c asks.
static const char *why_refused(const struct raft_node *node, const struct raft_message *request, bool credible) {
    bool pre_vote = request->request_vote.pre_vote;
    bool protects = raft_hears_leader(node) && !request->request_vote.leadership_transfer;
    if (!credible) {
        return "its request makes no sense";
    }
    if (request->term < node->current_term) {
        return "its term is earlier";
    }
    if (!pre_vote && protects) {
        return "hears its leader";
    }
    if (is_behind(node, request->request_vote.last_log)) {
        return "its log ends earlier";
    }
    if (!pre_vote) {
        return "has voted for another";
    }
    return protects ? "hears its leader" : "asks, too, and goes first";
}

void raft_note_answer(struct raft_node *node, const struct raft_message *request, bool credible, bool granted) {
    const char *reason = granted ? NULL : why_refused(node, request, credible);
    struct raft_note *note = raft_note(node, RAFT_NOTE_ANSWERED, &request->from, request->request_vote.pre_vote);
    note->granted = granted;
    note->reason = reason;
}
