// AppendEntries at the follower (paper section 5.3 and figure 2).
//
// A success says that the log equals the leader's up to match_index and is durable up to there. The reply to entries that
// are not durable yet waits for their write. The reply to a heartbeat, or on a full disk, acknowledges only what is durable
// now and waits for no entries, so that a slow disk never looks like a dead node. Every reply waits for its term to be
// durable.
#include <assert.h>

#include "raft/node.h"

static void drop_entries(const struct raft_message *message, size_t from) {
    for (size_t i = from; i < message->append.count; i++) {
        raft_entry_unref(message->append.entries[i]);
    }
}

// What every correct leader's message fulfils; checked before anything changes, because it comes from outside.
static bool is_well_formed(const struct raft_node *node, const struct raft_message *message) {
    struct raft_entry_id last = message->append.prev_log;
    if (last.index > RAFT_NUMBER_MAX || (last.index == 0) != (last.term == 0)) {
        return false;
    }
    for (size_t i = 0; i < message->append.count; i++) {
        struct raft_entry_id id = message->append.entries[i]->id;
        if (id.index != last.index + 1 || id.term < last.term) {
            return false;
        }
        bool fresh_members = message->append.entries[i]->type == RAFT_ENTRY_CONFIGURATION && id.index > node->commit_index;
        if (fresh_members && !raft_is_configuration(node, message->append.entries[i])) {
            return false;
        }
        last = id;
    }
    return last.term <= message->term;
}

bool raft_follow(struct raft_node *node, const struct raft_message *message) {
    if (message->term < node->current_term) {
        return false;
    }
    if (message->term == node->current_term) {
        bool knows_another = node->leader.len > 0 && !raft_id_equal(&node->leader, &message->from);
        if (node->state == RAFT_LEADER || knows_another) {
            return false;
        }
    }
    raft_become_follower(node, message->term, "another node leads the term");
    assert(node->state == RAFT_FOLLOWER && node->current_term == message->term);
    if (raft_is_late_from_lost_leader(node, message)) {
        return true;
    }
    node->leader = message->from;
    node->leader_heard_us = node->now_us;
    node->only_started = false;
    raft_bind(node);
    node->pre_voting = false;
    node->pre_vote_rounds = 0;
    raft_reset_election_timer(node);
    return true;
}

// Whether the log may change from `index` on: not at or below the commit index (a leader that asks for it has lost data),
// and not while the disk is full.
static bool may_change(const struct raft_node *node, raft_index index) {
    return index > node->commit_index && node->storage == RAFT_STORAGE_GOOD;
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

// Appends the message's entries. Those that the log already has stay, and so does all that follows them: a late duplicate
// must not truncate what a newer message has appended. Returns the index up to which message and log agree: the base at
// least, since what is behind it is committed, and so in the log of every later leader (paper sections 5.4.3 and 7).
static raft_index take_entries(struct raft_node *node, const struct raft_message *message) {
    struct raft_log *log = &node->log;
    struct raft_entry **entries = message->append.entries;
    size_t count = message->append.count;
    size_t i = 0;
    for (; i < count; i++) {
        if (entries[i]->id.index > log->base.index && !raft_log_holds(log, entries[i]->id)) {
            break;
        }
        raft_entry_unref(entries[i]);
    }
    if (i < count && !may_change(node, entries[i]->id.index)) {
        drop_entries(message, i);
        return later(message->append.prev_log.index + i, log->base.index);
    }
    if (i < count && entries[i]->id.index <= raft_log_last(log).index) {
        raft_log_truncate(log, entries[i]->id.index);
        raft_members_truncated(node, entries[i]->id.index);
    }
    for (; i < count; i++) {
        raft_log_append(log, entries[i]);
        if (entries[i]->type == RAFT_ENTRY_CONFIGURATION) {
            raft_members_appended(node, entries[i]);
        }
    }
    return later(message->append.prev_log.index + count, log->base.index);
}

static struct raft_message *reply_to(struct raft_node *node, const struct raft_message *message, uint64_t after_write) {
    struct raft_message *reply = raft_reply(node, message, RAFT_APPEND_ENTRIES_REPLY, after_write);
    reply->append_reply.promised_us = raft_promise(node, message);
    return reply;
}

// Rejects without a conflict: the reply tells the sender nothing but this node's term.
static void refuse(struct raft_node *node, const struct raft_message *message) {
    drop_entries(message, 0);
    reply_to(node, message, raft_hard_state_write(node))->append_reply.success = false;
}

// Rejects because the log lacks prev_log, and says where the conflict starts, so that the leader can go back by whole terms
// (paper section 5.3, end).
static void reject(struct raft_node *node, const struct raft_message *message) {
    struct raft_entry_id prev = message->append.prev_log;
    raft_index last = raft_log_last(&node->log).index;
    drop_entries(message, 0);
    struct raft_message *reply = reply_to(node, message, raft_hard_state_write(node));
    reply->append_reply.success = false;
    if (prev.index > last) {
        reply->append_reply.conflict_index = last + 1;
    } else {
        reply->append_reply.conflict_term = raft_log_term(&node->log, prev.index);
        reply->append_reply.conflict_index = raft_log_first_of_term_at(&node->log, prev.index);
    }
}

static void accept(struct raft_node *node, const struct raft_message *message) {
    raft_index verified = take_entries(node, message);
    // Entries after those that this message verified may be another leader's.
    raft_index commit = message->append.leader_commit < verified ? message->append.leader_commit : verified;
    assert(commit <= raft_log_last(&node->log).index);
    if (commit > node->commit_index) {
        node->commit_index = commit;
        raft_members_committed(node);
    }

    raft_index durable = node->log.durable_index;
    uint64_t after_write = raft_hard_state_write(node);
    bool claims_entries = verified > durable && message->append.count > 0 && node->storage == RAFT_STORAGE_GOOD;
    if (claims_entries) {
        after_write = later(after_write, raft_log_tail_write(node));
    } else if (verified > durable) {
        verified = durable;
    }
    assert(claims_entries || verified <= durable);
    struct raft_message *reply = reply_to(node, message, after_write);
    reply->claims_entries = claims_entries;
    reply->append_reply.success = true;
    reply->append_reply.match_index = verified;
}

void raft_handle_append_entries(struct raft_node *node, const struct raft_message *message, bool credible) {
    if (!credible || !is_well_formed(node, message) || !raft_follow(node, message)) {
        refuse(node, message);
        return;
    }
    struct raft_entry_id prev = message->append.prev_log;
    // An entry behind the base is committed, and so equal to the leader's.
    if (prev.index < node->log.base.index || raft_log_holds(&node->log, prev)) {
        accept(node, message);
    } else {
        reject(node, message);
    }
}
