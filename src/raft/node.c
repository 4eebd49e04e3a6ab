// raft_step: events in, one update out.
#include "raft/node.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

struct raft_id raft_id_of(struct slice text) {
    assert(text.len <= ID_MAX);
    struct raft_id id = {.len = (uint8_t)text.len};
    if (text.len > 0) {
        memcpy(id.text, text.data, text.len);
    }
    return id;
}

const char *raft_state_name(enum raft_state state) {
    static const char *const names[] = {
        [RAFT_FOLLOWER] = "Follower", [RAFT_CANDIDATE] = "Candidate", [RAFT_LEADER] = "Leader"};
    assert((size_t)state < ARRAY_COUNT(names));
    return names[state];
}

// --- creation ---

struct raft_node *raft_new(const struct raft_config *config, struct raft_slab *slab, const struct raft_restored *restored,
                           uint64_t now_us) {
    assert(config->election_timeout_min_us <= config->election_timeout_max_us);
    assert(config->heartbeat_interval_us > 0 && config->heartbeat_interval_us * 2 <= config->election_timeout_min_us);
    assert(config->heartbeat_interval_us * 2 <= config->quorum_timeout_us);
    assert(config->decode_configuration != NULL);
    struct raft_node *node = mem_zalloc(sizeof *node);
    node->id = config->id;
    node->election_timeout_min_us = config->election_timeout_min_us;
    node->election_timeout_max_us = config->election_timeout_max_us;
    node->heartbeat_interval_us = config->heartbeat_interval_us;
    node->quorum_timeout_us = config->quorum_timeout_us;
    node->lease_reads = config->lease_reads;
    node->slab = slab;
    node->decode_configuration = config->decode_configuration;
    node->user = config->user;
    node->current_term = restored->hard_state.current_term;
    node->voted_for = restored->hard_state.voted_for;
    raft_log_init(&node->log, restored->base, restored->entries, restored->count);
    struct raft_entry_id last = raft_log_last(&node->log);
    if (restored->base.term > node->current_term) {
        raft_enter_term(node, restored->base.term);
    }
    assert(last.term <= node->current_term);
    assert(restored->applied >= restored->base.index && restored->applied <= last.index);
    node->last_applied = node->commit_index = restored->applied;
    node->only_started = true;
    node->rng.state = config->seed;
    node->now_us = now_us;
    node->bound_until_us = config->may_have_promised ? now_us + LEASE_US : 0;
    node->proposals = raft_queue_of(sizeof(struct raft_proposal));
    node->reads = raft_queue_of(sizeof(struct raft_pending_read));
    node->memberships = raft_queue_of(sizeof(struct raft_membership));
    raft_outputs_init(node);
    if (!raft_members_init(node, config)) {
        raft_free(node);
        return NULL;
    }
    raft_reset_election_timer(node);
    return node;
}

void raft_free(struct raft_node *node) {
    if (node == NULL) {
        return;
    }
    raft_log_free(&node->log);
    raft_members_free(node);
    raft_queue_free(&node->proposals);
    raft_queue_free(&node->reads);
    raft_outputs_free(node);
    free(node);
}

// --- events ---

static void handle_request(struct raft_node *node, const struct raft_message *message, bool credible) {
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        raft_handle_request_vote(node, message, credible);
        return;
    case RAFT_APPEND_ENTRIES:
        raft_handle_append_entries(node, message, credible);
        return;
    case RAFT_INSTALL_SNAPSHOT:
        raft_handle_install_snapshot(node, message, credible);
        return;
    default:
        raft_handle_timeout_now(node, message, credible);
        return;
    }
}

static void handle_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (message->call / RAFT_CALL_KINDS < peer->first_sequence) {
        return;  // to a request to its former self
    }
    if (message->term > node->current_term && peer->leaving_index > 0) {
        return;  // a removed node deposes nobody
    }
    if (message->term > node->current_term) {
        raft_become_follower(node, message->term, "a higher term was seen");
    } else if (message->type == RAFT_REQUEST_VOTE_REPLY) {
        raft_handle_vote_reply(node, peer, message);
    } else if (message->type == RAFT_APPEND_ENTRIES_REPLY) {
        raft_handle_append_reply(node, peer, message);
    } else if (message->type == RAFT_INSTALL_SNAPSHOT_REPLY) {
        raft_handle_snapshot_reply(node, peer, message);
    }
}

static bool is_request(enum raft_message_type type) {
    return type == RAFT_REQUEST_VOTE || type == RAFT_APPEND_ENTRIES || type == RAFT_TIMEOUT_NOW ||
           type == RAFT_INSTALL_SNAPSHOT;
}

static void handle_message(struct raft_node *node, const struct raft_message *message) {
    bool credible = raft_id_equal(&message->to, &node->id) && !raft_id_equal(&message->from, &node->id) &&
                    message->from.len > 0 && message->term <= RAFT_NUMBER_MAX;
    if (is_request(message->type)) {
        handle_request(node, message, credible);
        return;
    }
    struct raft_peer *peer = raft_peer_find(node, &message->from);
    if (credible && peer != NULL) {
        handle_reply(node, peer, message);
    }
}

static void handle_persisted(struct raft_node *node, uint64_t write) {
    assert(write <= node->last_write);
    if (write <= node->persisted_write) {
        return;
    }
    node->persisted_write = write;
    raft_log_persisted(&node->log, write);
    node->match_changed = true;
    raft_count_votes(node);
}

static void handle_storage(struct raft_node *node, enum raft_storage storage) {
    node->storage = storage;
    if (storage == RAFT_STORAGE_GOOD) {
        return;
    }
    node->pre_voting = false;
    raft_become_follower(node, node->current_term, "the disk is full");
}

static void handle_event(struct raft_node *node, const struct raft_event *event) {
    switch (event->type) {
    case RAFT_EVENT_TICK:
        return;
    case RAFT_EVENT_MESSAGE:
        handle_message(node, &event->message);
        return;
    case RAFT_EVENT_SEND_FAILED: {
        struct raft_peer *peer = raft_peer_find(node, &event->send_failed.peer);
        if (peer != NULL) {
            raft_handle_send_failed(node, peer, event->send_failed.call);
        }
        return;
    }
    case RAFT_EVENT_LOST:
        raft_handle_lost(node, &event->lost_peer);
        return;
    case RAFT_EVENT_MET:
        raft_handle_met(node);
        return;
    case RAFT_EVENT_PROPOSE:
        raft_handle_propose(node, event);
        return;
    case RAFT_EVENT_READ:
        raft_handle_read(node, event->read.tag);
        return;
    case RAFT_EVENT_PERSISTED:
        handle_persisted(node, event->persisted_write);
        return;
    case RAFT_EVENT_APPLIED:
        assert(event->applied_index <= node->commit_index);
        // A snapshot may have overtaken it within this step.
        if (event->applied_index > node->last_applied) {
            node->last_applied = event->applied_index;
        }
        return;
    case RAFT_EVENT_SNAPSHOT_INSTALLED:
        raft_handle_snapshot_installed(node, event);
        return;
    case RAFT_EVENT_COMPACT:
        raft_compact(node, event->compact_index);
        return;
    case RAFT_EVENT_TRANSFER:
        raft_handle_transfer(node, &event->transfer.target);
        return;
    case RAFT_EVENT_STORAGE:
        handle_storage(node, event->storage);
        return;
    case RAFT_EVENT_RESIGN:
        raft_handle_resign(node, event);
        return;
    }
}

void raft_step(struct raft_node *node, uint64_t now_us, struct raft_event *events, size_t count,
               struct raft_update *update) {
    assert(now_us >= node->now_us);
    raft_outputs_clear(node);
    uint64_t gap_us = now_us - node->now_us;
    node->now_us = now_us;
    raft_check_stall(node, gap_us);
    for (size_t i = 0; i < count; i++) {
        handle_event(node, &events[i]);
    }
    if (node->state == RAFT_LEADER) {
        raft_run_leader_timers(node);
    } else {
        raft_run_election_timer(node);
    }
    if (node->state == RAFT_LEADER) {
        raft_advance_commit(node);
    }
    if (node->state == RAFT_LEADER) {
        raft_advance_reads(node);
        raft_members_run(node);
        raft_run_transfer(node);
    }
    if (node->state == RAFT_LEADER) {
        raft_send_append_entries(node);
    }
    raft_answer_deferred_pre_votes(node);
    raft_send_vote_requests(node);
    assert(node->last_applied <= node->commit_index && node->commit_index <= raft_log_last(&node->log).index);
    raft_fill_update(node, update);
}

// --- the present state ---

enum raft_state raft_state(const struct raft_node *node) {
    return node->state;
}

raft_term raft_current_term(const struct raft_node *node) {
    return node->current_term;
}

const struct raft_id *raft_leader(const struct raft_node *node) {
    return &node->leader;
}

raft_index raft_commit_index(const struct raft_node *node) {
    return node->commit_index;
}

struct raft_entry_id raft_last_log(const struct raft_node *node) {
    return raft_log_last(&node->log);
}

struct raft_entry_id raft_base(const struct raft_node *node) {
    return node->log.base;
}

bool raft_leader_is_established(const struct raft_node *node) {
    return node->state == RAFT_LEADER && node->commit_index >= node->term_start_index;
}

struct raft_entry *raft_entry_at(const struct raft_node *node, raft_index index) {
    return raft_log_at(&node->log, index);
}

size_t raft_progress(const struct raft_node *node, struct raft_progress out[MEMBERS_MAX]) {
    bool leads = node->state == RAFT_LEADER;
    size_t count = 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct raft_peer *peer = node->peers[i];
        if (peer->leaving_index > 0) {
            continue;
        }
        struct raft_progress *progress = &out[count++];
        *progress = (struct raft_progress){.id = peer->id, .voter = peer->voter};
        if (!leads) {
            continue;
        }
        progress->match_index = peer->forgot.index > 0 ? 0 : peer->match_index;
        progress->next_index = peer->next_index;
        progress->needs_snapshot = raft_needs_snapshot(node, peer);
        progress->inflight = peer->appends_next - peer->appends_first;
        progress->last_heard_us = peer->heard_us;
        progress->forgot = peer->forgot;
    }
    return count;
}
