// AppendEntries at the leader (paper section 5.3, thesis section 10.2).
//
// The leader pipelines: it sends without waiting for replies, up to the limits of what may be in flight, and a success
// acknowledges everything before it, too. After a rejection, a failed request or a timeout it probes, with one AppendEntries
// at a time, until one succeeds: from where the rejection says that the logs conflict, else from the oldest that was in
// flight. A new leader starts as if every log ended where its own does, and pipelines at once: after a failover that is
// nearly always so, and waiting for the reply to the no-op would cost the first writes a second round trip.
//
// Heartbeats are empty AppendEntries at match_index, which the follower is known to have, or at the base if that is later.
// They never wait for entries to be durable, and use the connection that carries no bulk data; that they are rejected by a
// follower without the base means nothing.
#include <assert.h>

#include "raft/node.h"
#include "raft/slab.h"

// --- in flight ---

static struct raft_sent *append_at(struct raft_peer *peer, uint64_t sequence) {
    return &peer->appends[sequence % INFLIGHT_MESSAGES_MAX];
}

static bool append_is_in_flight(const struct raft_peer *peer, uint64_t sequence) {
    return sequence >= peer->appends_first && sequence < peer->appends_next;
}

uint64_t raft_track(struct raft_node *node, struct raft_tracked *tracked) {
    uint64_t sequence = tracked->next++;
    tracked->sent[sequence % RAFT_TRACKED] = (struct raft_sent){.since_us = node->now_us, .round = node->read_round};
    return sequence;
}

// Gives up what is in flight: a rejection of it that still arrives is ignored.
static void probe_from(struct raft_peer *peer, raft_index next_index) {
    assert(next_index > peer->match_index);
    peer->next_index = next_index;
    peer->probing = true;
    peer->appends_first = peer->appends_next;
    peer->appends_cost = 0;
}

// What is in flight has failed, which says nothing about the follower's log: it is sent again from the oldest of it on. Not
// from match_index + 1, which is the whole log for a peer that has not answered this leader yet.
static void probe_again(struct raft_peer *peer) {
    assert(append_is_in_flight(peer, peer->appends_first));
    raft_index next = peer->match_index + 1;
    if (append_at(peer, peer->appends_first)->prev_index >= next) {
        next = append_at(peer, peer->appends_first)->prev_index + 1;
    }
    probe_from(peer, next);
}

// The same, but not before the next heartbeat is due: the peer may be down, or its disk full.
static void back_off(struct raft_peer *peer) {
    probe_again(peer);
    peer->paused = true;
}

// --- leading ---

void raft_start_peer(struct raft_node *node, struct raft_peer *peer, raft_index next_index) {
    assert(node->state == RAFT_LEADER);
    peer->match_index = 0;
    peer->told_index = 0;
    peer->forgot = (struct raft_entry_id){0};
    probe_from(peer, next_index);
    peer->paused = false;
    peer->heartbeats.first = peer->heartbeats.next;
    peer->heartbeats_answered = peer->heartbeats.next - 1;
    peer->snapshots.first = peer->snapshots.next;
    peer->heard_us = 0;
    peer->lease_until_us = 0;
    peer->round_sent = 0;
    peer->round_heard = 0;
}

void raft_start_leading(struct raft_node *node) {
    assert(node->state == RAFT_LEADER && node->transfer_target == NULL);
    assert(node->reads.count == 0 && node->proposals.count == 0);
    raft_members_start_leading(node);
    raft_index last = raft_log_last(&node->log).index;
    for (size_t i = 0; i < node->peer_count; i++) {
        raft_start_peer(node, node->peers[i], last + 1);
        node->peers[i]->probing = false;  // pipelines at once: see above
    }
    raft_check_quorum_start(node);
    node->heartbeat_due_us = node->now_us;
    node->read_round = 0;
    node->lease_given_up = false;
    node->uncommitted_cost = 0;
    node->term_start_index = last + 1;
    struct raft_entry_id id = {.term = node->current_term, .index = last + 1};
    raft_append_own(node, raft_entry_new_or_exit(node->slab, RAFT_ENTRY_NOOP, id));
}

void raft_stop_leading(struct raft_node *node, bool higher_term) {
    assert(node->state != RAFT_LEADER);
    if (node->transfer_target != NULL) {
        raft_end_transfer(node, higher_term && node->timeout_now_sent ? RAFT_TRANSFER_DONE : RAFT_TRANSFER_FAILED);
    }
    raft_members_stop_leading(node);
    raft_refuse_reads(node);
    raft_queue_clear(&node->proposals);
}

// Retries by time are for requests with neither reply nor reported failure.
static void run_heartbeat_timer(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        bool in_flight = peer->appends_first < peer->appends_next;
        if (in_flight && node->now_us - peer->appends_since_us > APPEND_RETRY_US) {
            probe_again(peer);
        }
        peer->paused = false;
    }
}

void raft_run_leader_timers(struct raft_node *node) {
    uint64_t writing_since_us;
    if (!raft_check_quorum(node)) {
        return;
    }
    if (raft_log_writing_since(&node->log, &writing_since_us) && node->now_us > writing_since_us + DISK_STUCK_US) {
        raft_become_follower(node, node->current_term, "the disk is stuck");
    } else if (node->now_us >= node->heartbeat_due_us) {
        run_heartbeat_timer(node);
    }
}

// --- sending ---

static raft_index smaller(raft_index a, raft_index b) {
    return a < b ? a : b;
}

// A request among the heartbeats, whose reply says that the follower has everything up to `last_index`.
static uint64_t track_heartbeat(struct raft_node *node, struct raft_peer *peer, raft_index prev_index,
                                raft_index last_index) {
    uint64_t sequence = raft_track(node, &peer->heartbeats);
    struct raft_sent *sent = &peer->heartbeats.sent[sequence % RAFT_TRACKED];
    sent->prev_index = prev_index;
    sent->match_index = peer->match_index;
    sent->told = smaller(node->commit_index, last_index);
    return sequence;
}

static void send_heartbeat(struct raft_node *node, struct raft_peer *peer) {
    raft_index base = node->log.base.index;
    raft_index prev = peer->match_index > base ? peer->match_index : base;
    uint64_t call = raft_call_number(track_heartbeat(node, peer, prev, prev), RAFT_CALL_HEARTBEAT);
    peer->round_sent = node->read_round;
    struct raft_message *message = raft_request(node, peer, RAFT_APPEND_ENTRIES, call);
    message->append.leader_id = node->id;
    message->append.prev_log.index = prev;
    message->append.prev_log.term = raft_log_term(&node->log, prev);
    message->append.leader_commit = node->commit_index;
}

// How many entries from next_index on one message takes, and their cost: at least one, however large.
static size_t batch_of(const struct raft_node *node, const struct raft_peer *peer, uint64_t *cost) {
    raft_index last = raft_log_last(&node->log).index;
    struct raft_entry **entries = raft_log_from(&node->log, peer->next_index);
    size_t available = last - peer->next_index + 1;
    size_t count = 1;
    *cost = raft_entry_cost(entries[0]);
    while (count < available && *cost + raft_entry_cost(entries[count]) <= APPEND_BATCH_MAX) {
        *cost += raft_entry_cost(entries[count++]);
    }
    return count;
}

static bool may_send_append(const struct raft_node *node, const struct raft_peer *peer) {
    bool all_sent = peer->next_index > raft_log_last(&node->log).index;
    if (peer->paused || all_sent || peer->forgot.index > 0 || raft_needs_snapshot(node, peer)) {
        return false;
    }
    uint64_t in_flight = peer->appends_next - peer->appends_first;
    if (peer->probing) {
        return in_flight == 0;
    }
    return in_flight < INFLIGHT_MESSAGES_MAX && peer->appends_cost < INFLIGHT_BYTES_MAX;
}

static void send_append(struct raft_node *node, struct raft_peer *peer) {
    uint64_t cost;
    size_t count = batch_of(node, peer, &cost);
    if (peer->appends_first == peer->appends_next) {
        peer->appends_since_us = node->now_us;
    }
    uint64_t sequence = peer->appends_next++;
    struct raft_sent *sent = append_at(peer, sequence);
    *sent = (struct raft_sent){
        .since_us = node->now_us,
        .round = node->read_round,
        .prev_index = peer->next_index - 1,
        .match_index = peer->match_index,
        .last_index = peer->next_index - 1 + count,
        .told = smaller(node->commit_index, peer->next_index - 1 + count),
        .cost = cost,
    };
    peer->appends_cost += cost;
    uint64_t call = raft_call_number(sequence, RAFT_CALL_APPEND);
    struct raft_message *message = raft_request(node, peer, RAFT_APPEND_ENTRIES, call);
    message->lane = RAFT_BULK;
    message->append.leader_id = node->id;
    message->append.prev_log.index = sent->prev_index;
    message->append.prev_log.term = raft_log_term(&node->log, sent->prev_index);
    message->append.entries = raft_log_from(&node->log, peer->next_index);
    message->append.count = count;
    message->append.leader_commit = node->commit_index;
    peer->next_index += count;
}

// A lost packet can hold up everything after it on the bulk connection for a second. The oldest AppendEntries in flight is
// sent again on the control connection, if it is small; its reply is handled like a heartbeat's.
static void copy_stuck_append(struct raft_node *node, struct raft_peer *peer) {
    bool stuck = peer->appends_first < peer->appends_next && node->now_us - peer->appends_since_us > APPEND_COPY_US;
    if (!stuck || peer->forgot.index > 0) {
        return;
    }
    const struct raft_sent *sent = append_at(peer, peer->appends_first);
    if (sent->cost > APPEND_COPY_MAX || sent->prev_index < node->log.base.index) {
        return;
    }
    uint64_t sequence = track_heartbeat(node, peer, sent->prev_index, sent->last_index);
    struct raft_message *message =
        raft_request(node, peer, RAFT_APPEND_ENTRIES, raft_call_number(sequence, RAFT_CALL_HEARTBEAT));
    message->append.leader_id = node->id;
    message->append.prev_log.index = sent->prev_index;
    message->append.prev_log.term = raft_log_term(&node->log, sent->prev_index);
    message->append.entries = raft_log_from(&node->log, sent->prev_index + 1);
    message->append.count = sent->last_index - sent->prev_index;
    message->append.leader_commit = node->commit_index;
}

void raft_send_append_entries(struct raft_node *node) {
    bool due = node->now_us >= node->heartbeat_due_us;
    if (due) {
        node->heartbeat_due_us = node->now_us + node->heartbeat_interval_us;
    }
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        bool for_read = peer->round_sent < node->read_round &&
                        peer->heartbeats.next - 1 - peer->heartbeats_answered < RAFT_READ_ROUNDS_MAX;
        if (due || for_read) {
            send_heartbeat(node, peer);
        }
        if (due) {
            copy_stuck_append(node, peer);
        }
        if (may_send_append(node, peer)) {
            send_append(node, peer);
        }
        if (may_send_append(node, peer)) {
            node->more_to_send = true;
        }
    }
}

// --- replies ---

static void accepted(struct raft_peer *peer, const struct raft_sent *sent) {
    if (sent->told > peer->told_index) {
        peer->told_index = sent->told;
    }
}

static void heard(struct raft_peer *peer, const struct raft_sent *sent) {
    if (sent->since_us > peer->heard_us) {
        peer->heard_us = sent->since_us;
    }
    if (sent->round > peer->round_heard) {
        peer->round_heard = sent->round;
    }
}

// Whether the request of that number is still known.
static bool is_tracked(const struct raft_tracked *tracked, uint64_t sequence) {
    return sequence >= tracked->first && sequence < tracked->next && tracked->next - sequence <= RAFT_TRACKED;
}

bool raft_tracked_heard(struct raft_peer *peer, const struct raft_tracked *tracked, uint64_t sequence) {
    if (!is_tracked(tracked, sequence)) {
        return false;
    }
    heard(peer, &tracked->sent[sequence % RAFT_TRACKED]);
    return true;
}

void raft_peer_matched(struct raft_node *node, struct raft_peer *peer, raft_index index) {
    if (index <= peer->match_index || index > raft_log_last(&node->log).index) {
        return;
    }
    peer->match_index = index;
    node->match_changed = true;
    if (peer->next_index <= index) {
        peer->next_index = index + 1;
    }
    while (peer->appends_first < peer->appends_next) {
        const struct raft_sent *sent = append_at(peer, peer->appends_first);
        if (sent->last_index > index) {
            break;
        }
        assert(peer->appends_cost >= sent->cost);
        peer->appends_cost -= sent->cost;
        peer->appends_first++;
    }
}

// Where to probe next after a rejection at prev_index: it goes back by whole terms (paper section 5.3). The conflict comes
// from outside, so the result is bounded: above match_index, and below what was rejected, so that every round makes
// progress.
static raft_index next_after_rejection(const struct raft_node *node, const struct raft_peer *peer, raft_index prev_index,
                                       const struct raft_message *reply) {
    raft_index next = reply->append_reply.conflict_index;
    raft_term term = reply->append_reply.conflict_term;
    // What was sent may have been compacted since.
    if (term > 0 && prev_index >= node->log.base.index) {
        raft_index ours = raft_log_last_up_to_term(&node->log, term, prev_index);
        if (ours > 0 && raft_log_term(&node->log, ours) == term) {
            next = ours + 1;
        }
    }
    if (next > prev_index) {
        next = prev_index;
    }
    assert(prev_index > peer->match_index);
    return next > peer->match_index ? next : peer->match_index + 1;
}

// Whether the rejection of this request, which the follower handled after it had acknowledged all up to sent->match_index in
// this term, shows that it has lost a part of that. No follower truncates in a term what it has verified in it, nor does a
// restart lose what was durable, and a snapshot that takes the place of its log covers it. So its disk was set back to an
// older copy, or has lost writes. (A success below the match index shows nothing: a log that a snapshot starts anew is not
// durable at once.)
static bool shows_loss(const struct raft_sent *sent, const struct raft_message *reply) {
    raft_index had = sent->match_index;
    raft_index conflict = reply->append_reply.conflict_index;  // 0: it was refused, whatever is in the log
    bool lacks_prev = sent->prev_index <= had;
    bool is_shorter = reply->append_reply.conflict_term == 0 && conflict <= had;
    return !reply->append_reply.success && had > 0 && conflict > 0 && (lacks_prev || is_shorter);
}

// True: this peer's replies mean nothing any more.
static bool has_forgotten(struct raft_node *node, struct raft_peer *peer, const struct raft_sent *sent,
                          const struct raft_message *reply) {
    if (!shows_loss(sent, reply)) {
        return false;
    }
    raft_index had = sent->match_index;
    peer->forgot.index = had;
    peer->forgot.term = had >= node->log.base.index ? raft_log_term(&node->log, had) : 0;
    node->peer_forgot = true;
    if (peer == node->transfer_target) {
        raft_end_transfer(node, RAFT_TRANSFER_FAILED);
    }
    return true;
}

static void append_replied(struct raft_node *node, struct raft_peer *peer, uint64_t sequence,
                           const struct raft_message *reply) {
    bool open = append_is_in_flight(peer, sequence);
    struct raft_sent sent = *append_at(peer, sequence);  // a copy: raft_peer_matched may release it
    if (open && has_forgotten(node, peer, &sent, reply)) {
        return;
    }
    if (open) {
        heard(peer, &sent);
        raft_take_promise(peer, sent.since_us, reply->append_reply.promised_us);
        peer->appends_since_us = node->now_us;
    }
    if (reply->append_reply.success) {
        raft_peer_matched(node, peer, reply->append_reply.match_index);
    }
    if (!open) {
        return;  // a success holds however late it arrives; a rejection may be out of date
    }
    if (!reply->append_reply.success && sent.prev_index > peer->match_index) {
        probe_from(peer, next_after_rejection(node, peer, sent.prev_index, reply));
    } else if (!reply->append_reply.success || reply->append_reply.match_index < sent.last_index) {
        back_off(peer);  // it accepts no entries now, for instance because its disk is full
    } else {
        peer->probing = false;
        accepted(peer, &sent);
    }
}

static void heartbeat_replied(struct raft_node *node, struct raft_peer *peer, uint64_t sequence,
                              const struct raft_message *reply) {
    const struct raft_sent *sent = &peer->heartbeats.sent[sequence % RAFT_TRACKED];
    if (is_tracked(&peer->heartbeats, sequence) && has_forgotten(node, peer, sent, reply)) {
        return;
    }
    bool known = raft_tracked_heard(peer, &peer->heartbeats, sequence);
    if (known) {
        raft_take_promise(peer, peer->heartbeats.sent[sequence % RAFT_TRACKED].since_us, reply->append_reply.promised_us);
    }
    if (known && sequence > peer->heartbeats_answered) {
        peer->heartbeats_answered = sequence;
    }
    if (known && reply->append_reply.success) {
        accepted(peer, sent);
    }
    if (reply->append_reply.success) {
        raft_peer_matched(node, peer, reply->append_reply.match_index);
    }
}

void raft_handle_append_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (node->state != RAFT_LEADER || message->term != node->current_term || peer->forgot.index > 0) {
        return;
    }
    uint64_t sequence = message->call / RAFT_CALL_KINDS;
    if (message->call % RAFT_CALL_KINDS == RAFT_CALL_APPEND) {
        append_replied(node, peer, sequence, message);
    } else if (message->call % RAFT_CALL_KINDS == RAFT_CALL_HEARTBEAT) {
        heartbeat_replied(node, peer, sequence, message);
    }
}

void raft_handle_send_failed(struct raft_node *node, struct raft_peer *peer, uint64_t call) {
    if (node->state != RAFT_LEADER) {
        return;
    }
    uint64_t sequence = call / RAFT_CALL_KINDS;
    if (call % RAFT_CALL_KINDS == RAFT_CALL_APPEND && append_is_in_flight(peer, sequence)) {
        back_off(peer);
    } else if (call % RAFT_CALL_KINDS == RAFT_CALL_TIMEOUT_NOW && peer == node->transfer_target &&
               sequence + 1 == peer->timeout_nows_next) {
        raft_end_transfer(node, RAFT_TRANSFER_FAILED);
    }
}
