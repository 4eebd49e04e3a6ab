// The configuration in force, and the peers that follow from it (thesis chapter 4: one server is added or removed at a
// time).
//
// A configuration is in force from when its entry is appended, and no longer when that is truncated; quorums are counted
// over the one in force. Majorities of two configurations that differ by one voter overlap, and a leader changes nothing
// before it has committed an entry of its own term and before the change before is committed, so no two majorities of
// configurations in force at one time miss each other (thesis section 4.1; Ongaro's message to raft-dev of 2015).
//
// A removed node hears of it: the leader goes on sending to it until it has the commit index that covers its removal, or for
// LEAVING_US. Until then it may campaign, which disturbs nobody who hears a leader (thesis section 4.2.3).
#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "raft/node.h"

static struct raft_membership *membership_at(const struct raft_node *node, size_t i) {
    return raft_queue_at(&node->memberships, i);
}

static struct raft_membership *in_force(const struct raft_node *node) {
    return membership_at(node, node->memberships.count - 1);
}

static const struct raft_member *find_member(const struct raft_configuration *configuration, const struct raft_id *id) {
    for (size_t i = 0; i < configuration->count; i++) {
        if (raft_id_equal(&configuration->members[i].id, id)) {
            return &configuration->members[i];
        }
    }
    return NULL;
}

static bool is_voter(const struct raft_configuration *configuration, const struct raft_id *id) {
    const struct raft_member *member = find_member(configuration, id);
    return member != NULL && member->voter;
}

static bool makes_sense(const struct raft_configuration *configuration) {
    assert(configuration->count <= MEMBERS_MAX);  // a decoder has no room for more
    size_t voters = 0;
    for (size_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        if (member->id.len == 0 || find_member(configuration, &member->id) != member) {
            return false;
        }
        voters += member->voter;
    }
    return voters > 0;
}

static bool decode(const struct raft_node *node, const struct raft_entry *entry, struct raft_configuration *out) {
    *out = (struct raft_configuration){.count = 0};
    return node->decode_configuration(node->user, raft_entry_command(entry), out) && makes_sense(out);
}

bool raft_is_configuration(const struct raft_node *node, const struct raft_entry *entry) {
    struct raft_configuration configuration;
    return decode(node, entry, &configuration);
}

// --- peers ---

struct raft_peer *raft_peer_find(const struct raft_node *node, const struct raft_id *id) {
    for (size_t i = 0; i < node->peer_count; i++) {
        if (raft_id_equal(&node->peers[i]->id, id)) {
            return node->peers[i];
        }
    }
    return NULL;
}

static struct raft_peer *new_peer(const struct raft_node *node, const struct raft_id *id) {
    struct raft_peer *peer = mem_zalloc(sizeof *peer);
    uint64_t first = node->first_sequence;
    peer->id = *id;
    peer->first_sequence = first;
    peer->appends_first = peer->appends_next = first;
    peer->heartbeats.first = peer->heartbeats.next = first;
    peer->snapshots.first = peer->snapshots.next = first;
    peer->votes_next = first;
    peer->timeout_nows_next = first;
    return peer;
}

static void free_peer(struct raft_node *node, struct raft_peer *peer) {
    raft_refuse_deferred_pre_vote(node, peer);
    const uint64_t used[] = {peer->appends_next, peer->heartbeats.next, peer->snapshots.next, peer->votes_next,
                             peer->timeout_nows_next};
    for (size_t i = 0; i < ARRAY_COUNT(used); i++) {
        node->first_sequence = used[i] > node->first_sequence ? used[i] : node->first_sequence;
    }
    free(peer);
}

static int compare_peers(const void *a, const void *b) {
    return raft_id_compare(&(*(struct raft_peer *const *)a)->id, &(*(struct raft_peer *const *)b)->id);
}

static void sort_peers(struct raft_node *node) {
    qsort((void *)node->peers, node->peer_count, sizeof node->peers[0], compare_peers);
}

// Of those who are leaving, the first gives way if there are too many.
static void add_leaving(struct raft_node *node, struct raft_peer *peer, raft_index index) {
    if (node->peer_count == RAFT_PEERS_MAX) {
        size_t oldest = RAFT_PEERS_MAX;
        for (size_t i = 0; i < node->peer_count; i++) {
            bool leaves = node->peers[i]->leaving_index > 0;
            if (leaves && (oldest == RAFT_PEERS_MAX || node->peers[i]->leaving_index < node->peers[oldest]->leaving_index)) {
                oldest = i;
            }
        }
        assert(oldest < RAFT_PEERS_MAX);
        free_peer(node, node->peers[oldest]);
        node->peers[oldest] = node->peers[--node->peer_count];
    }
    if (peer->leaving_index == 0) {
        peer->leaving_index = index;
        peer->leaving_until_us = UINT64_MAX;
    }
    peer->voter = peer->preferred = false;
    node->peers[node->peer_count++] = peer;
}

// The peer of that id among these, which it leaves; a new one if there is none, or if it was removed before.
static struct raft_peer *take_peer(struct raft_node *node, struct raft_peer **peers, size_t *count,
                                   const struct raft_id *id) {
    for (size_t i = 0; i < *count; i++) {
        struct raft_peer *peer = peers[i];
        if (!raft_id_equal(&peer->id, id)) {
            continue;
        }
        peers[i] = peers[--*count];
        if (peer->leaving_index == 0) {
            return peer;
        }
        free_peer(node, peer);
        break;
    }
    struct raft_peer *peer = new_peer(node, id);
    if (node->state == RAFT_LEADER) {
        raft_start_peer(node, peer, raft_log_last(&node->log).index);
    }
    return peer;
}

// An AppendEntries of a leader whose connection was lost leaves a round of pre-votes running: it ends if this node may not
// be elected any more.
static void end_pre_votes(struct raft_node *node) {
    if (node->pre_voting && !raft_is_electable(node)) {
        node->pre_voting = false;
    }
}

// Makes the last of the memberships the one in force.
static void adopt(struct raft_node *node) {
    assert(node->transfer_target == NULL);  // nothing is proposed during a transfer
    const struct raft_membership *membership = in_force(node);
    struct raft_peer *before[RAFT_PEERS_MAX];
    size_t before_count = node->peer_count;
    memcpy((void *)before, (void *)node->peers, sizeof before);
    node->peer_count = 0;
    node->voter_count = 0;
    node->voter = node->preferred = false;
    for (size_t i = 0; i < membership->configuration.count; i++) {
        const struct raft_member *member = &membership->configuration.members[i];
        node->voter_count += member->voter;
        if (raft_id_equal(&member->id, &node->id)) {
            node->voter = member->voter;
            node->preferred = member->preferred;
            continue;
        }
        struct raft_peer *peer = take_peer(node, before, &before_count, &member->id);
        peer->voter = member->voter;
        peer->preferred = member->preferred;
        node->peers[node->peer_count++] = peer;
    }
    for (size_t i = 0; i < before_count; i++) {
        if (node->state == RAFT_LEADER) {
            add_leaving(node, before[i], membership->index);
        } else {
            free_peer(node, before[i]);
        }
    }
    sort_peers(node);
    node->match_changed = true;  // a smaller quorum may have been reached already
    node->configuration_changed = true;
    end_pre_votes(node);
}

// --- the configurations of the log ---

static void push(struct raft_queue *memberships, raft_index index, const struct raft_configuration *configuration) {
    struct raft_membership *membership = raft_queue_push(memberships);
    membership->index = index;
    membership->configuration = *configuration;
}

static bool is_same(const struct raft_membership *a, const struct raft_membership *b) {
    if (a->index != b->index || a->configuration.count != b->configuration.count) {
        return false;
    }
    for (size_t i = 0; i < a->configuration.count; i++) {
        const struct raft_member *member = &a->configuration.members[i];
        const struct raft_member *other = find_member(&b->configuration, &member->id);
        if (other == NULL || member->voter != other->voter) {
            return false;
        }
    }
    return true;
}

bool raft_members_init(struct raft_node *node, const struct raft_config *config) {
    assert(config->configuration.count == 0 || makes_sense(&config->configuration));
    node->first_sequence = 1;  // so that no call number is 0
    node->settled_index = UINT64_MAX;
    push(&node->memberships, config->configuration_index, &config->configuration);
    for (size_t i = 0; i < node->log.count; i++) {
        const struct raft_entry *entry = raft_log_at(&node->log, node->log.base.index + 1 + i);
        struct raft_configuration configuration;
        if (entry->type != RAFT_ENTRY_CONFIGURATION || entry->id.index <= config->configuration_index) {
            continue;
        }
        if (!decode(node, entry, &configuration)) {
            return false;
        }
        push(&node->memberships, entry->id.index, &configuration);
    }
    adopt(node);
    raft_members_committed(node);
    return true;
}

void raft_members_free(struct raft_node *node) {
    for (size_t i = 0; i < node->peer_count; i++) {
        free(node->peers[i]);
    }
    raft_queue_free(&node->memberships);
}

void raft_members_appended(struct raft_node *node, const struct raft_entry *entry) {
    struct raft_configuration configuration;
    assert(entry->type == RAFT_ENTRY_CONFIGURATION);
    bool readable = decode(node, entry, &configuration);
    assert(readable);  // it was looked at before it was appended
    push(&node->memberships, entry->id.index, &configuration);
    adopt(node);
}

void raft_members_truncated(struct raft_node *node, raft_index first) {
    size_t count = node->memberships.count;
    while (count > 1 && membership_at(node, count - 1)->index >= first) {
        count--;
    }
    if (count < node->memberships.count) {
        raft_queue_cut(&node->memberships, count);
        adopt(node);
    }
}

// Takes note of the latest committed configuration.
static void settle(struct raft_node *node) {
    const struct raft_membership *committed = membership_at(node, 0);
    if (committed->index > node->commit_index || committed->index == node->settled_index) {
        return;
    }
    node->settled_index = committed->index;
    bool is_member = find_member(&committed->configuration, &node->id) != NULL;
    node->removed = node->was_member && !is_member;
    node->was_member |= is_member;
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        if (peer->leaving_index > 0 && peer->leaving_index <= node->commit_index && peer->leaving_until_us == UINT64_MAX) {
            peer->leaving_until_us = node->now_us + LEAVING_US;
        }
    }
}

void raft_members_committed(struct raft_node *node) {
    settle(node);
    while (node->memberships.count > 1 && membership_at(node, 1)->index <= node->commit_index) {
        raft_queue_pop(&node->memberships);
        settle(node);
        end_pre_votes(node);
    }
}

void raft_members_installed(struct raft_node *node, raft_index last, raft_index index,
                            const struct raft_configuration *configuration) {
    assert(index <= last && makes_sense(configuration));
    struct raft_queue before = node->memberships;
    node->memberships = raft_queue_of(sizeof(struct raft_membership));
    push(&node->memberships, index, configuration);
    for (size_t i = 0; i < before.count; i++) {
        const struct raft_membership *membership = raft_queue_at(&before, i);
        if (membership->index > last && membership->index <= raft_log_last(&node->log).index) {
            push(&node->memberships, membership->index, &membership->configuration);
        }
    }
    bool changed = node->configuration_changed || !is_same(raft_queue_at(&before, before.count - 1), in_force(node));
    raft_queue_free(&before);
    adopt(node);
    node->configuration_changed = changed;
    raft_members_committed(node);
}

const struct raft_configuration *raft_configuration(const struct raft_node *node, raft_index *index) {
    const struct raft_membership *membership = in_force(node);
    *index = membership->index;
    return &membership->configuration;
}

bool raft_is_electable(const struct raft_node *node) {
    for (size_t i = 0; i < node->memberships.count; i++) {
        const struct raft_configuration *configuration = &membership_at(node, i)->configuration;
        if (is_voter(configuration, &node->id) && !configuration->past) {
            return true;
        }
    }
    return false;
}

// --- changes ---

// Voters of one and not of the other.
static size_t voters_lacking(const struct raft_configuration *one, const struct raft_configuration *other) {
    size_t count = 0;
    for (size_t i = 0; i < one->count; i++) {
        count += one->members[i].voter && !is_voter(other, &one->members[i].id);
    }
    return count;
}

enum raft_refusal raft_check_change(const struct raft_node *node, struct raft_entry *const *entries, size_t count) {
    size_t changes = 0;
    for (size_t i = 0; i < count; i++) {
        changes += entries[i]->type == RAFT_ENTRY_CONFIGURATION;
    }
    if (changes == 0) {
        return RAFT_ACCEPTED;
    }
    if (!raft_leader_is_established(node)) {
        return RAFT_NOT_ESTABLISHED;
    }
    if (in_force(node)->index > node->commit_index) {
        return RAFT_CHANGE_PENDING;
    }
    struct raft_configuration next;
    if (count > 1 || !decode(node, entries[0], &next)) {
        return RAFT_UNSAFE_CHANGE;
    }
    const struct raft_configuration *now = &in_force(node)->configuration;
    return voters_lacking(now, &next) + voters_lacking(&next, now) > 1 ? RAFT_UNSAFE_CHANGE : RAFT_ACCEPTED;
}

// --- those who leave ---

bool raft_may_contact(const struct raft_node *node, const struct raft_id *id) {
    return raft_peer_find(node, id) != NULL;
}

void raft_members_start_leading(struct raft_node *node) {
    const struct raft_membership *latest = in_force(node);
    for (size_t i = 0; i + 1 < node->memberships.count; i++) {
        const struct raft_configuration *earlier = &membership_at(node, i)->configuration;
        for (size_t j = 0; j < earlier->count; j++) {
            const struct raft_id *id = &earlier->members[j].id;
            if (!raft_id_equal(id, &node->id) && raft_peer_find(node, id) == NULL) {
                add_leaving(node, new_peer(node, id), latest->index);
            }
        }
    }
    sort_peers(node);
}

static void drop_leaving(struct raft_node *node, bool all) {
    size_t kept = 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        struct raft_peer *peer = node->peers[i];
        bool heard_of_it = peer->told_index >= peer->leaving_index || node->now_us >= peer->leaving_until_us;
        if (peer->leaving_index > 0 && (all || heard_of_it)) {
            free_peer(node, peer);
        } else {
            node->peers[kept++] = peer;
        }
    }
    node->peer_count = kept;
}

void raft_members_stop_leading(struct raft_node *node) {
    drop_leaving(node, true);
}

void raft_members_run(struct raft_node *node) {
    drop_leaving(node, false);
}
