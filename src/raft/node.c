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

struct raft_peer *raft_peer_find(struct raft_node *node, const struct raft_id *id) {
    for (size_t i = 0; i < node->peer_count; i++) {
        if (raft_id_equal(&node->peers[i].id, id)) {
            return &node->peers[i];
        }
    }
    return NULL;
}

// --- creation ---

static int compare_peers(const void *a, const void *b) {
    return raft_id_compare(&((const struct raft_peer *)a)->id, &((const struct raft_peer *)b)->id);
}

static void add_member(struct raft_node *node, const struct raft_member *member) {
    node->voter_count += member->voter;
    if (raft_id_equal(&member->id, &node->id)) {
        node->voter = member->voter;
        node->preferred = member->preferred;
        return;
    }
    assert(member->id.len > 0 && raft_peer_find(node, &member->id) == NULL);
    struct raft_peer *peer = &node->peers[node->peer_count++];
    peer->id = member->id;
    peer->voter = member->voter;
    peer->preferred = member->preferred;
    // Sequence numbers start at 1, so that no call number is 0.
    peer->appends_first = peer->appends_next = 1;
    peer->heartbeats_first = peer->heartbeats_next = 1;
    peer->votes_next = 1;
    peer->timeout_nows_next = 1;
}

static void add_members(struct raft_node *node, const struct raft_config *config) {
    assert(config->member_count >= 1 && config->member_count <= MEMBERS_MAX);
    for (size_t i = 0; i < config->member_count; i++) {
        add_member(node, &config->members[i]);
    }
    assert(node->peer_count + 1 == config->member_count);  // this node is a member
    assert(node->voter_count > 0);
    qsort(node->peers, node->peer_count, sizeof node->peers[0], compare_peers);
}

struct raft_node *raft_new(const struct raft_config *config, struct raft_slab *slab, const struct raft_restored *restored,
                           uint64_t now_us) {
    assert(config->election_timeout_min_us <= config->election_timeout_max_us);
    assert(config->heartbeat_interval_us > 0 && config->heartbeat_interval_us * 2 <= config->election_timeout_min_us);
    assert(config->heartbeat_interval_us * 2 <= config->quorum_timeout_us);
    struct raft_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->id = config->id;
    node->election_timeout_min_us = config->election_timeout_min_us;
    node->election_timeout_max_us = config->election_timeout_max_us;
    node->heartbeat_interval_us = config->heartbeat_interval_us;
    node->quorum_timeout_us = config->quorum_timeout_us;
    node->slab = slab;
    add_members(node, config);
    node->current_term = restored->hard_state.current_term;
    node->voted_for = restored->hard_state.voted_for;
    raft_log_init(&node->log, restored->base, restored->entries, restored->count);
    struct raft_entry_id last = raft_log_last(&node->log);
    assert(last.term <= node->current_term);
    assert(restored->applied >= restored->base.index && restored->applied <= last.index);
    node->last_applied = node->commit_index = restored->applied;
    node->rng.state = config->seed;
    node->now_us = now_us;
    node->proposals = raft_queue_of(sizeof(struct raft_proposal));
    node->reads = raft_queue_of(sizeof(struct raft_pending_read));
    raft_outputs_init(node);
    raft_reset_election_timer(node);
    return node;
}

void raft_free(struct raft_node *node) {
    if (node == NULL) {
        return;
    }
    raft_log_free(&node->log);
    raft_queue_free(&node->proposals);
    raft_queue_free(&node->reads);
    raft_outputs_free(node);
    free(node);
}

// --- events ---

static void handle_request(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        raft_handle_request_vote(node, peer, message);
        return;
    case RAFT_APPEND_ENTRIES:
        raft_handle_append_entries(node, peer, message);
        return;
    default:
        raft_handle_timeout_now(node, peer, message);
        return;
    }
}

static void handle_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message) {
    if (peer == NULL) {
        return;
    }
    if (message->term > node->current_term) {
        raft_become_follower(node, message->term, "a higher term was seen");
    } else if (message->type == RAFT_REQUEST_VOTE_REPLY) {
        raft_handle_vote_reply(node, peer, message);
    } else if (message->type == RAFT_APPEND_ENTRIES_REPLY) {
        raft_handle_append_reply(node, peer, message);
    }
}

// A message that is not from a member, not for this node, or has an absurd term is treated as a non-member's: a request is
// answered, and nothing changes.
static void handle_message(struct raft_node *node, const struct raft_message *message) {
    struct raft_peer *peer = NULL;
    if (raft_id_equal(&message->to, &node->id) && message->term <= RAFT_NUMBER_MAX) {
        peer = raft_peer_find(node, &message->from);
    }
    bool request =
        message->type == RAFT_REQUEST_VOTE || message->type == RAFT_APPEND_ENTRIES || message->type == RAFT_TIMEOUT_NOW;
    if (request) {
        handle_request(node, peer, message);
    } else {
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
    case RAFT_EVENT_LOST: {
        struct raft_peer *peer = raft_peer_find(node, &event->lost_peer);
        if (peer != NULL) {
            raft_handle_lost(node, peer);
        }
        return;
    }
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
        assert(event->applied_index >= node->last_applied && event->applied_index <= node->commit_index);
        node->last_applied = event->applied_index;
        return;
    case RAFT_EVENT_TRANSFER:
        raft_handle_transfer(node, &event->transfer.target);
        return;
    case RAFT_EVENT_STORAGE:
        handle_storage(node, event->storage);
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
        raft_advance_reads(node);
        raft_run_transfer(node);
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
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct raft_peer *peer = &node->peers[i];
        out[i] = (struct raft_progress){.id = peer->id, .voter = peer->voter};
        if (!leads) {
            continue;
        }
        out[i].match_index = peer->match_index;
        out[i].next_index = peer->next_index;
        out[i].inflight = peer->appends_next - peer->appends_first;
        out[i].last_heard_us = peer->heard_us;
    }
    return node->peer_count;
}
