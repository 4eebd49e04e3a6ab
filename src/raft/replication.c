// AppendEntries at the leader (paper section 5.3, thesis section 10.2).
//
// The leader pipelines: it sends without waiting for replies, up to the limits of what may be in flight, and a success
// acknowledges everything before it, too. After a rejection, a failed request or a timeout it probes, with one AppendEntries
// at a time, until one succeeds: from where the rejection says that the logs conflict, else from the oldest that was in
// flight. A new leader starts as if every log ended where its own does, and pipelines at once: after a failover that is
// nearly always so, and waiting for the reply to the no-op would cost the first writes a second round trip.
//
// Heartbeats are empty AppendEntries at match_index, which the follower is known to have: they are never rejected for the
// log, never wait for entries to be durable, and use the connection that carries no bulk data.
#include <assert.h>

#include "raft/node.h"
#include "raft/slab.h"

// --- in flight ---

static struct raft_sent *append_at(struct raft_peer *peer, uint64_t sequence) {
    return &peer->appends[sequence % INFLIGHT_MESSAGES_MAX];
}

static struct raft_sent *heartbeat_at(struct raft_peer *peer, uint64_t sequence) {
    return &peer->heartbeats[sequence % RAFT_HEARTBEATS_TRACKED];
}

static bool append_is_in_flight(const struct raft_peer *peer, uint64_t sequence) {
    return sequence >= peer->appends_first && sequence < peer->appends_next;
}

static bool heartbeat_is_tracked(const struct raft_peer *peer, uint64_t sequence) {
    return sequence >= peer->heartbeats_first && sequence < peer->heartbeats_next &&
           peer->heartbeats_next - sequence <= RAFT_HEARTBEATS_TRACKED;
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
    raft_index next = peer->match_index + 1;
    if (peer->appends_first < peer->appends_next && append_at(peer, peer->appends_first)->prev_index >= next) {
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

void raft_start_leading(struct raft_node *node) {
    assert(node->state == RAFT_LEADER && node->transfer_target == NULL);
    assert(node->reads.count == 0 && node->proposals.count == 0);
    raft_index last = raft_log_last(&node->log).index;
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = &node->peers[i];
        peer->match_index = 0;
        probe_from(peer, last + 1);
        peer->probing = false;  // pipelines at once: see above
        peer->paused = false;
        peer->heartbeats_first = peer->heartbeats_next;
        peer->heartbeats_answered = peer->heartbeats_next - 1;
        peer->heard_us = 0;
        peer->round_sent = 0;
        peer->round_heard = 0;
    }
    raft_check_quorum_start(node);
    node->heartbeat_due_us = node->now_us;
    node->read_round = 0;
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
    raft_refuse_reads(node);
    raft_queue_clear(&node->proposals);
}

// Retries by time are for requests with neither reply nor reported failure.
static void run_heartbeat_timer(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = &node->peers[i];
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

static void send_heartbeat(struct raft_node *node, struct raft_peer *peer) {
    uint64_t sequence = peer->heartbeats_next++;
    *heartbeat_at(peer, sequence) = (struct raft_sent){.since_us = node->now_us, .round = node->read_round};
    peer->round_sent = node->read_round;
    uint64_t call = raft_call_number(sequence, RAFT_CALL_HEARTBEAT);
    struct raft_message *message = raft_request(node, peer, RAFT_APPEND_ENTRIES, call);
    raft_index base = node->log.base.index;
    raft_index prev = peer->match_index > base ? peer->match_index : base;
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
    // Entries at or below the base are only in a snapshot.
    if (peer->paused || peer->next_index > raft_log_last(&node->log).index || peer->next_index <= node->log.base.index) {
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
        .last_index = peer->next_index - 1 + count,
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
    if (!stuck) {
        return;
    }
    const struct raft_sent *sent = append_at(peer, peer->appends_first);
    if (sent->cost > APPEND_COPY_MAX || sent->prev_index < node->log.base.index) {
        return;
    }
    uint64_t sequence = peer->heartbeats_next++;
    *heartbeat_at(peer, sequence) = (struct raft_sent){.since_us = node->now_us, .round = node->read_round};
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
        struct raft_peer *peer = &node->peers[i];
        bool for_read = peer->round_sent < node->read_round &&
                        peer->heartbeats_next - 1 - peer->heartbeats_answered < RAFT_READ_ROUNDS_MAX;
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

static void heard(struct raft_peer *peer, const struct raft_sent *sent) {
    if (sent->since_us > peer->heard_us) {
        peer->heard_us = sent->since_us;
    }
    if (sent->round > peer->round_heard) {
        peer->round_heard = sent->round;
    }
}

// The follower's log equals this one up to `index`, durably. This stays true however late the reply arrives, as long as it
// is of this term: a leader's log only grows, and its followers do not truncate what they have verified.
static void matched(struct raft_node *node, struct raft_peer *peer, raft_index index) {
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
    if (term > 0) {
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

static void append_replied(struct raft_node *node, struct raft_peer *peer, uint64_t sequence,
                           const struct raft_message *reply) {
    bool open = append_is_in_flight(peer, sequence);
    struct raft_sent sent = *append_at(peer, sequence);  // a copy: matched() may release it
    if (open) {
        heard(peer, &sent);
        peer->appends_since_us = node->now_us;
    }
    if (reply->append_reply.success) {
        matched(node, peer, reply->append_reply.match_index);
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
    }
}

static void heartbeat_replied(struct raft_node *node, struct raft_peer *peer, uint64_t sequence,
                              const struct raft_message *reply) {
    if (heartbeat_is_tracked(peer, sequence)) {
        heard(peer, heartbeat_at(peer, sequence));
        if (sequence > peer->heartbeats_answered) {
            peer->heartbeats_answered = sequence;
        }
    }
    if (reply->append_reply.success) {
        matched(node, peer, reply->append_reply.match_index);
    }
}

void raft_handle_append_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (node->state != RAFT_LEADER || message->term != node->current_term) {
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
