// Compaction of the log behind snapshots, and InstallSnapshot (paper section 7, figure 13; thesis chapter 5).
//
// Snapshots are the caller's: it writes and loads them, and cuts them into chunks. The core knows only what they cover, who
// may send one, and what becomes of the log. So a transfer can go on after a restart of either side or with another leader:
// there is nothing about it here to be lost.
#include <assert.h>

#include "raft/node.h"

void raft_compact(struct raft_node *node, raft_index index) {
    // What is not durable is only here, and the write that has it may still fail.
    raft_index limit = node->last_applied < node->log.durable_index ? node->last_applied : node->log.durable_index;
    if (index > limit) {
        index = limit;
    }
    if (index > node->log.base.index) {
        raft_log_compact(&node->log, index);
    }
}

// --- the follower ---

// What every correct leader's message fulfils.
static bool is_well_formed(const struct raft_message *message) {
    struct raft_entry_id last = message->snapshot.last;
    return last.index > 0 && last.index <= RAFT_NUMBER_MAX && last.term > 0 && last.term <= message->term;
}

void raft_handle_install_snapshot(struct raft_node *node, const struct raft_message *message, bool credible) {
    bool accepted = credible && is_well_formed(message) && raft_follow(node, message);  // figure 13, rule 1
    raft_index index = message->snapshot.last.index;
    bool durable = index <= node->log.durable_index;
    // What is committed here is in the leader's log, too, however it came. On a full disk it may never become durable, and a
    // reply that waited for that would look like a dead node.
    bool done = accepted && index <= node->commit_index && (durable || node->storage == RAFT_STORAGE_GOOD);
    uint64_t after_write = raft_hard_state_write(node);
    if (done && !durable && raft_log_tail_write(node) > after_write) {
        after_write = raft_log_tail_write(node);
    }
    struct raft_message *reply = raft_reply(node, message, RAFT_INSTALL_SNAPSHOT_REPLY, after_write);
    reply->claims_entries = done && !durable;
    reply->snapshot_reply.accepted = accepted;
    reply->snapshot_reply.done = done;
    reply->snapshot_reply.match_index = done ? index : 0;
}

void raft_handle_snapshot_installed(struct raft_node *node, const struct raft_event *event) {
    struct raft_entry_id last = event->snapshot.last;
    // An older snapshot is never installed, and a leader has every committed entry (paper section 5.4.3). Terms never
    // decrease along the log, so one with an earlier term is of no log that goes on from here.
    if (last.index <= node->commit_index || node->state == RAFT_LEADER ||
        last.term < raft_log_term(&node->log, node->commit_index)) {
        return;
    }
    if (last.term > node->current_term) {
        raft_become_follower(node, last.term, "a snapshot has a higher term");
    }
    // Figure 13, rule 6: what follows the snapshot stays, and all before it until it is compacted. Rule 7: a log without its
    // last entry is older or conflicts, and goes. The votes that a candidate asked for were for that log.
    if (!raft_log_holds(&node->log, last)) {
        raft_become_follower(node, node->current_term, "a snapshot took the place of the log");
        node->pre_voting = false;
        raft_log_restart(&node->log, last);
    }
    node->commit_index = node->last_applied = last.index;  // rule 8
    node->installed = last;
    raft_members_installed(node, last.index, event->snapshot.configuration_index, event->snapshot.configuration);
}

// --- the leader ---

bool raft_snapshot_request(struct raft_node *node, const struct raft_id *peer_id, struct raft_entry_id last,
                           struct raft_message *out) {
    struct raft_peer *peer = raft_peer_find(node, peer_id);
    if (node->state != RAFT_LEADER || peer == NULL || peer->leaving_index > 0 || !raft_needs_snapshot(node, peer)) {
        return false;
    }
    assert(last.index >= node->log.base.index && last.index <= node->last_applied);
    *out = (struct raft_message){
        .type = RAFT_INSTALL_SNAPSHOT,
        .lane = RAFT_BULK,
        .from = node->id,
        .to = peer->id,
        .term = node->current_term,
        .call = raft_call_number(raft_track(node, &peer->snapshots), RAFT_CALL_SNAPSHOT),
        .snapshot = {.leader_id = node->id, .last = last},
    };
    return true;
}

void raft_handle_snapshot_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (node->state != RAFT_LEADER || message->term != node->current_term || peer->forgot.index > 0 ||
        message->call % RAFT_CALL_KINDS != RAFT_CALL_SNAPSHOT) {
        return;
    }
    raft_tracked_heard(peer, &peer->snapshots, message->call / RAFT_CALL_KINDS);
    if (message->snapshot_reply.accepted && message->snapshot_reply.done) {
        raft_peer_matched(node, peer, message->snapshot_reply.match_index);
    }
}
