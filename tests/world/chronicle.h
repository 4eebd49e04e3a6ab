// What one generation of the cluster has committed, and a model of the store and of the sessions after it, which shares no
// code with src/state. A generation begins with what its survivor had of the one before.
#ifndef BATON_TESTS_WORLD_CHRONICLE_H
#define BATON_TESTS_WORLD_CHRONICLE_H

#include "base/arena.h"
#include "ledger.h"
#include "raft/raft.h"
#include "sessions.h"

struct committed {
    raft_term term;
    raft_term in;  // the term in which a node was first seen to know that it is committed
    uint32_t crc;
    int by;
    uint64_t digest;  // of the state after it, by the first node that had applied it
    bool has_digest;
    bool acknowledged;  // as a write, to its client
    int64_t time_ms;    // the last command's up to here
    // Of a write in a session; `client` 0: none.
    uint64_t client;
    uint64_t sequence;
    uint64_t acknowledged_below;
    enum session_use use;
    uint32_t raised;  // the cluster's level, by it; 0: it does not
};

struct made {
    raft_index index;
    unsigned key;
    uint64_t value;  // 0: deleted
};

enum { TERMS = 4096 };

struct chronicle {
    uint64_t generation;
    raft_index kept;         // so much of the generation before
    raft_index founded;      // the entry that founded it
    raft_term founded_term;  // no leader of it has a lower one
    uint64_t founded_us;
    struct committed *entries;  // [index - 1]
    size_t count, cap;
    struct made *changes;
    size_t change_count, change_cap;
    uint64_t now[KEYS];        // value
    raft_index changed[KEYS];  // revision of it; 0: there is none
    bool *made;                // [value]: by a write that had an effect
    size_t made_cap;
    uint32_t level;  // the cluster's
    struct sessions_model sessions;
    uint64_t again;      // writes that were done once more, as their sessions were gone
    int leaders[TERMS];  // [term - founded_term]: host + 1
    uint64_t floor;      // everything that ended before now is at or below this index
};

void chronicle_free(struct chronicle *chronicle);

// The next entry is committed, as a node knew first in the term `in`. `newest`: no later generation was founded.
void chronicle_append(struct chronicle *chronicle, const struct raft_entry *entry, uint32_t crc, raft_term in, bool newest,
                      struct arena *arena);

// A generation begins: `to`, which is empty, gets the first entries of `from`, and what follows from them.
void chronicle_fork(struct chronicle *to, const struct chronicle *from, raft_index kept);

// The change at an index; the key's last one at or before an index; NULL: none.
const struct made *chronicle_change_at(const struct chronicle *chronicle, raft_index index);
const struct made *chronicle_last_change(const struct chronicle *chronicle, unsigned key, raft_index index);

// A client's id as a number.
uint64_t client_of(struct slice id);
// Whether this write has been refused because its session was gone.
bool chronicle_refused(const struct chronicle *chronicle, uint64_t client, uint64_t sequence);

unsigned key_of(struct slice key);
uint64_t value_of(struct slice value);

#endif
