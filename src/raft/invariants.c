// Invariants of one node, and of its change since the previous call; tests check them after every step.
#include "raft/node.h"

static const char *check_order(const struct raft_node *node) {
    const struct raft_log *log = &node->log;
    raft_index last = raft_log_last(log).index;
    if (last != log->base.index + log->count) {
        return "log indices are consecutive";
    }
    if (raft_log_last(log).term > node->current_term) {
        return "no entry has a later term than current_term";
    }
    if (!(log->durable_index <= log->written_index && log->written_index <= last)) {
        return "durable <= written <= last";
    }
    if (log->head + log->count > log->capacity) {
        return "the log's entries fit its array";
    }
    if (!(log->base.index <= node->last_applied && node->last_applied <= node->commit_index && node->commit_index <= last)) {
        return "base <= applied <= commit <= last";
    }
    if (log->written_index != last || node->hard_state_changed) {
        return "a step's write has all that no earlier write has";
    }
    return node->persisted_write <= node->last_write ? NULL : "no write is durable before it was handed out";
}

static size_t count_peers(const struct raft_node *node, bool leaving, bool voters_only) {
    size_t count = 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct raft_peer *peer = node->peers[i];
        count += (peer->leaving_index > 0) == leaving && (peer->voter || !voters_only);
    }
    return count;
}

// The members are those of the last configuration.
static const char *check_members(const struct raft_node *node) {
    raft_index index;
    const struct raft_configuration *configuration = raft_configuration(node, &index);
    bool in_it = false;
    for (size_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        const struct raft_peer *peer = raft_peer_find(node, &member->id);
        bool self = raft_id_equal(&member->id, &node->id);
        in_it |= self;
        if (self ? member->voter != node->voter : peer == NULL || peer->voter != member->voter || peer->leaving_index > 0) {
            return "the peers are the other members of the configuration in force";
        }
    }
    if (count_peers(node, false, false) + in_it != configuration->count) {
        return "there are no peers but the members";
    }
    if (count_peers(node, false, true) + node->voter != node->voter_count) {
        return "voter_count is the number of voters";
    }
    if (count_peers(node, true, false) > 0 && node->state != RAFT_LEADER) {
        return "only a leader has peers that are leaving";
    }
    for (size_t i = 1; i < node->peer_count; i++) {
        if (raft_id_compare(&node->peers[i - 1]->id, &node->peers[i]->id) >= 0) {
            return "the peers are in the order of their ids";
        }
    }
    return NULL;
}

static const char *check_memberships(const struct raft_node *node) {
    const struct raft_queue *memberships = &node->memberships;
    size_t uncommitted = 0;
    for (size_t i = 0; i < memberships->count; i++) {
        raft_index index = ((const struct raft_membership *)raft_queue_at(memberships, i))->index;
        uncommitted += index > node->commit_index;
        if (i > 0 && index <= ((const struct raft_membership *)raft_queue_at(memberships, i - 1))->index) {
            return "configurations are in the order of the log";
        }
        const struct raft_entry *entry = raft_log_at(&node->log, index);
        if (i > 0 && (entry == NULL || entry->type != RAFT_ENTRY_CONFIGURATION)) {
            return "a configuration in force is in the log";
        }
    }
    if (memberships->count - uncommitted > 1) {
        return "of the committed configurations only the latest is kept";
    }
    if (raft_leader_is_established(node) && uncommitted > 1) {
        return "a leader changes one thing at a time";
    }
    return check_members(node);
}

static const char *check_peer(const struct raft_node *node, const struct raft_peer *peer) {
    raft_index last = raft_log_last(&node->log).index;
    if (peer->match_index > last || peer->next_index > last + 1) {
        return "match_index <= last, next_index <= last + 1";
    }
    if (peer->next_index <= peer->match_index) {
        return "next_index > match_index";
    }
    uint64_t cost = 0;
    for (uint64_t s = peer->appends_first; s < peer->appends_next; s++) {
        cost += peer->appends[s % INFLIGHT_MESSAGES_MAX].cost;
    }
    if (cost != peer->appends_cost) {
        return "appends_cost is the sum of what is in flight";
    }
    if (peer->appends_next - peer->appends_first > (peer->probing ? 1 : INFLIGHT_MESSAGES_MAX)) {
        return "no more is in flight than allowed";
    }
    return NULL;
}

static const char *check_leader(const struct raft_node *node) {
    if (!raft_id_equal(&node->leader, &node->id) || !raft_id_equal(&node->voted_for, &node->id)) {
        return "a leader has voted for itself and is its own leader";
    }
    bool start_is_here = node->term_start_index >= node->log.base.index;
    if (raft_log_last(&node->log).index < node->term_start_index ||
        (start_is_here && raft_log_term(&node->log, node->term_start_index) != node->current_term)) {
        return "a leader's term starts with an entry of that term";
    }
    uint64_t cost = 0;
    for (size_t i = 0; i < node->proposals.count; i++) {
        cost += ((struct raft_proposal *)raft_queue_at(&node->proposals, i))->cost;
    }
    if (cost != node->uncommitted_cost) {
        return "uncommitted_cost is the sum of the proposals";
    }
    if (node->transfer_target != NULL && !node->transfer_target->voter) {
        return "leadership goes to a voter";
    }
    for (size_t i = 0; i < node->peer_count; i++) {
        const char *broken = check_peer(node, node->peers[i]);
        if (broken != NULL) {
            return broken;
        }
    }
    return NULL;
}

static const char *check_state(const struct raft_node *node) {
    if (node->pre_voting && node->state != RAFT_FOLLOWER) {
        return "only a follower requests pre-votes";
    }
    if ((node->pre_voting || node->state != RAFT_FOLLOWER) && !raft_is_electable(node)) {
        return "only a voter campaigns and leads, or one that may still be a voter";
    }
    if (node->resigned && (node->pre_voting || node->state == RAFT_CANDIDATE)) {
        return "a node that has resigned does not campaign";
    }
    if (node->resigned && node->state == RAFT_LEADER && (node->transfer_target == NULL || node->reads.count > 0)) {
        return "a leader that has resigned only waits for the end of a transfer";
    }
    if (node->state == RAFT_CANDIDATE && !raft_id_equal(&node->voted_for, &node->id)) {
        return "a candidate has voted for itself";
    }
    if (node->state != RAFT_LEADER &&
        (node->reads.count > 0 || node->proposals.count > 0 || node->transfer_target != NULL)) {
        return "only a leader has pending reads, proposals or a transfer";
    }
    if (node->state != RAFT_LEADER && raft_id_equal(&node->leader, &node->id)) {
        return "only a leader is its own leader";
    }
    return node->state == RAFT_LEADER ? check_leader(node) : NULL;
}

static const char *check_change(const struct raft_node *node) {
    const struct raft_seen *seen = &node->seen;
    if (node->current_term < seen->current_term) {
        return "current_term never decreases";
    }
    if (node->commit_index < seen->commit_index || node->last_applied < seen->last_applied) {
        return "commit_index and last_applied never decrease";
    }
    if (node->log.base.index < seen->base.index || node->log.base.term < seen->base.term) {
        return "the base never goes back";
    }
    if (node->current_term != seen->current_term) {
        return NULL;
    }
    if (seen->voted_for.len > 0 && !raft_id_equal(&node->voted_for, &seen->voted_for)) {
        return "a vote does not change within its term";
    }
    bool compacted = seen->last_log.index < node->log.base.index;
    if (seen->state == RAFT_LEADER && !compacted && !raft_log_holds(&node->log, seen->last_log)) {
        return "a leader only appends to its log";
    }
    if (seen->state == RAFT_FOLLOWER && node->state != RAFT_FOLLOWER) {
        return "a follower remains one for its term";
    }
    return NULL;
}

const char *raft_check_invariants(struct raft_node *node) {
    const char *broken = check_order(node);
    if (broken == NULL) {
        broken = check_memberships(node);
    }
    if (broken == NULL) {
        broken = check_state(node);
    }
    if (broken == NULL) {
        broken = check_change(node);
    }
    node->seen = (struct raft_seen){
        .current_term = node->current_term,
        .voted_for = node->voted_for,
        .state = node->state,
        .commit_index = node->commit_index,
        .last_applied = node->last_applied,
        .last_log = raft_log_last(&node->log),
        .base = node->log.base,
    };
    return broken;
}
