// One core among members that the test plays: nodes "n1" (the core's), "n2", ...
#ifndef BATON_TESTS_RAFT_SOLO_H
#define BATON_TESTS_RAFT_SOLO_H

#include "raft/raft.h"
#include "unit.h"

enum { SOLO_CALL = 1000 };  // the first number that a request to the core gets

struct solo_config {
    size_t voters;  // n1, n2, ...; learners have the numbers after them
    size_t learners;
    raft_term term;
    size_t voted_for;      // a node's number; 0: none
    const raft_term *log;  // terms of entries 1, 2, ...; NULL: one entry of term 1
    size_t log_count;
    size_t self;       // 0: 1
    size_t preferred;  // as leader; 0: none
    uint64_t seed;     // 0: 1
};

struct solo {
    struct raft_slab *slab;
    struct raft_node *node;
    struct raft_update update;  // of the last step
    uint64_t now_us;
    uint64_t next_call;
    uint64_t last_write;  // the number of the last write handed out
    size_t deferred;      // PreVotes that have not been answered yet
    size_t voters, learners, self;
};

struct solo *solo_new(const struct solo_config *config);
void solo_free(struct solo *solo);

struct raft_id solo_id(size_t node);
struct raft_entry *solo_entry(struct solo *solo, raft_term term, raft_index index, size_t len);

// Steps the core, and checks its invariants and that each request among the events got one reply; a PreVote's may be
// deferred.
void solo_step(struct solo *solo, struct raft_event *events, size_t count);
// With one event.
void solo_event(struct solo *solo, struct raft_event event);
void solo_message(struct solo *solo, struct raft_message message);
// Time passes, then a tick.
void solo_tick(struct solo *solo, uint64_t after_us);
// All writes handed out are durable.
void solo_persist(struct solo *solo);

// --- messages to the core ---

struct raft_message solo_vote(struct solo *solo, size_t from, raft_term term, struct raft_entry_id last_log);
struct raft_message solo_pre_vote(struct solo *solo, size_t from, raft_term term, struct raft_entry_id last_log);
// Delivers an AppendEntries with entries of these terms after `prev`.
void solo_append(struct solo *solo, size_t from, raft_term term, struct raft_entry_id prev, const raft_term *terms,
                 size_t count, raft_index commit);
void solo_heartbeat(struct solo *solo, size_t from, raft_term term, struct raft_entry_id prev, raft_index commit);
// The answer of `request`'s receiver.
struct raft_message solo_answer(const struct raft_message *request, enum raft_message_type type, raft_term term);
void solo_answer_vote(struct solo *solo, const struct raft_message *request, raft_term term, bool granted);
void solo_accept(struct solo *solo, const struct raft_message *request, raft_index match_index);
void solo_reject(struct solo *solo, const struct raft_message *request, raft_term conflict_term, raft_index conflict_index);

// --- the last update ---

// The one reply, and whether it waits for a write.
const struct raft_message *solo_reply(const struct solo *solo, bool *waits);
bool solo_granted(const struct solo *solo);
// The request of this kind to that node, from either list; a copy, its call 0 if there is none.
struct raft_message solo_sent(const struct solo *solo, size_t to, enum raft_message_type type);
// An AppendEntries with entries, or one without.
struct raft_message solo_sent_append(const struct solo *solo, size_t to);
struct raft_message solo_sent_heartbeat(const struct solo *solo, size_t to);
size_t solo_sent_count(const struct solo *solo);

// --- whole exchanges ---

// Lets the election time out, and grants pre-votes and votes. The core is then a leader whose no-op is in flight and not
// durable yet.
void solo_elect(struct solo *solo);
// The same, and the no-op is durable here and acknowledged by all.
void solo_establish(struct solo *solo);
// Proposes one entry and returns its index; 0 if it was refused.
raft_index solo_propose(struct solo *solo, size_t len);

struct raft_progress solo_progress(const struct solo *solo, size_t node);

static inline struct raft_entry_id at(raft_term term, raft_index index) {
    return (struct raft_entry_id){.term = term, .index = index};
}

#endif
