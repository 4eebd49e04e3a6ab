// The update under construction.
//
// What a message claims must be durable before it leaves. Each names the write that it waits for: the one with the hard
// state, or, if it acknowledges entries that are not durable yet, the later of that one and the one with the end of the log.
// A log that a snapshot has started anew is durable with the write that says so.
#include <assert.h>

#include "raft/node.h"

void raft_outputs_init(struct raft_node *node) {
    node->send_now = raft_queue_of(sizeof(struct raft_message));
    node->send_after_persist = raft_queue_of(sizeof(struct raft_message));
    node->proposed = raft_queue_of(sizeof(struct raft_proposed));
    node->reads_ready = raft_queue_of(sizeof(struct raft_read));
    node->transitions = raft_queue_of(sizeof(struct raft_transition));
    node->notes = raft_queue_of(sizeof(struct raft_note));
}

void raft_outputs_free(struct raft_node *node) {
    raft_queue_free(&node->send_now);
    raft_queue_free(&node->send_after_persist);
    raft_queue_free(&node->proposed);
    raft_queue_free(&node->reads_ready);
    raft_queue_free(&node->transitions);
    raft_queue_free(&node->notes);
}

void raft_outputs_clear(struct raft_node *node) {
    raft_queue_clear(&node->send_now);
    raft_queue_clear(&node->send_after_persist);
    raft_queue_clear(&node->proposed);
    raft_queue_clear(&node->reads_ready);
    raft_queue_clear(&node->transitions);
    raft_queue_clear(&node->notes);
    node->transfer_outcome = RAFT_TRANSFER_NONE;
    node->transfer_refusal = RAFT_ACCEPTED;
    node->elections_started = 0;
    node->more_to_send = false;
    node->peer_forgot = false;
    node->installed = (struct raft_entry_id){0};
    node->configuration_changed = false;
}

uint64_t raft_hard_state_write(const struct raft_node *node) {
    return node->hard_state_changed ? node->last_write + 1 : node->hard_state_write;
}

uint64_t raft_log_tail_write(const struct raft_node *node) {
    return raft_log_has_unwritten(&node->log) ? node->last_write + 1 : node->last_write;
}

static struct raft_message *push_message(struct raft_node *node, uint64_t after_write) {
    assert(after_write <= node->last_write + 1);  // this step's write, at the latest
    struct raft_queue *queue = after_write <= node->persisted_write ? &node->send_now : &node->send_after_persist;
    struct raft_message *message = raft_queue_push(queue);
    message->from = node->id;
    message->term = node->current_term;
    message->after_write = queue == &node->send_now ? 0 : after_write;
    return message;
}

struct raft_message *raft_request_after(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                        uint64_t call, uint64_t after_write) {
    struct raft_message *message = push_message(node, after_write);
    message->type = type;
    message->lane = RAFT_CONTROL;
    message->to = peer->id;
    message->call = call;
    return message;
}

struct raft_message *raft_request(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                  uint64_t call) {
    return raft_request_after(node, peer, type, call, 0);
}

struct raft_message *raft_reply(struct raft_node *node, const struct raft_message *request, enum raft_message_type type,
                                uint64_t after_write) {
    struct raft_message *message = push_message(node, after_write);
    message->type = type;
    message->lane = request->lane;
    message->to = request->from;
    message->call = request->call;
    return message;
}

void raft_record_transition(struct raft_node *node, enum raft_state to, const char *reason) {
    // Paper figure 4.
    assert(to != node->state && (to == RAFT_FOLLOWER || to == node->state + 1));
    struct raft_transition *transition = raft_queue_push(&node->transitions);
    *transition = (struct raft_transition){.from = node->state, .to = to, .term = node->current_term, .reason = reason};
    node->state = to;
}

// One write for all that no earlier write has.
static void fill_persist(struct raft_node *node, struct raft_update *update) {
    if (!node->hard_state_changed && !raft_log_has_unwritten(&node->log)) {
        return;
    }
    struct raft_persist *persist = &update->persist;
    update->has_persist = true;
    persist->write = ++node->last_write;
    if (node->log.restarted) {
        persist->reset = node->log.base;
    }
    if (node->hard_state_changed || node->log.restarted) {
        persist->has_hard_state = true;
        persist->hard_state.current_term = node->current_term;
        persist->hard_state.voted_for = node->voted_for;
    }
    if (node->hard_state_changed) {
        node->hard_state_changed = false;
        node->hard_state_write = persist->write;
    }
    raft_index last = raft_log_last(&node->log).index;
    persist->count = last - node->log.written_index;
    if (persist->count > 0) {
        persist->entries = raft_log_from(&node->log, node->log.written_index + 1);
    }
    raft_log_write(&node->log, persist->write, node->now_us);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t next_tick(const struct raft_node *node) {
    if (node->more_to_send) {
        return node->now_us;
    }
    if (node->state != RAFT_LEADER) {
        return earlier(node->election_deadline_us, raft_next_deferred_us(node));
    }
    uint64_t next = earlier(node->heartbeat_due_us, raft_check_quorum_due_us(node));
    uint64_t writing_since;
    if (raft_log_writing_since(&node->log, &writing_since)) {
        next = earlier(next, writing_since + DISK_STUCK_US + 1);
    }
    if (node->transfer_target != NULL) {
        next = earlier(next, node->transfer_deadline_us);
    }
    return next;
}

void raft_fill_update(struct raft_node *node, struct raft_update *update) {
    *update = (struct raft_update){0};
    fill_persist(node, update);
    assert(!node->hard_state_changed && !raft_log_has_unwritten(&node->log));
    update->send_now = raft_queue_front(&node->send_now);
    update->send_now_count = node->send_now.count;
    update->send_after_persist = raft_queue_front(&node->send_after_persist);
    update->send_after_persist_count = node->send_after_persist.count;
    update->commit_index = node->commit_index;
    update->installed = node->installed;
    update->proposed = raft_queue_front(&node->proposed);
    update->proposed_count = node->proposed.count;
    update->reads = raft_queue_front(&node->reads_ready);
    update->read_count = node->reads_ready.count;
    update->transitions = raft_queue_front(&node->transitions);
    update->transition_count = node->transitions.count;
    update->notes = raft_queue_front(&node->notes);
    update->note_count = node->notes.count;
    update->leader_changed = !raft_id_equal(&node->leader, &node->reported_leader);
    node->reported_leader = node->leader;
    update->configuration_changed = node->configuration_changed;
    update->removed = node->removed;
    update->peer_forgot = node->peer_forgot;
    update->transfer = node->transfer_outcome;
    update->transfer_refusal = node->transfer_refusal;
    update->elections_started = node->elections_started;
    update->next_tick_us = next_tick(node);
}
