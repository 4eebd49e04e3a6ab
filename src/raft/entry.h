// Log entries and the memory they live in.
//
// A command is copied once, from the receive buffer into a slab block; from then on the log, the persist batches, the peers'
// messages and the state machine all borrow that one copy. Blocks are reference counted, and only the loop's thread counts:
// the WAL's thread reads pinned entries but never takes or drops a reference.
#ifndef BATON_RAFT_ENTRY_H
#define BATON_RAFT_ENTRY_H

#include "base/slice.h"

// A Raft term; 0 is before the first election.
typedef uint64_t raft_term;

// A position in the log; the first entry is 1, and 0 is before it.
typedef uint64_t raft_index;

// Which entry: where the two numbers go together they travel together, so that they cannot be swapped.
struct raft_entry_id {
    raft_term term;
    raft_index index;
};

enum raft_entry_type {
    RAFT_ENTRY_COMMAND = 1,
    RAFT_ENTRY_NOOP = 2,           // opens each leader's term
    RAFT_ENTRY_CONFIGURATION = 3,  // members; entry 1 of every log
};

struct raft_slab;
struct raft_slab_block;

// Immutable from the moment the core has appended it. For a proposal, term and index are given by the leader at append.
struct raft_entry {
    struct raft_slab_block *block;  // that holds these bytes
    struct raft_entry_id id;
    enum raft_entry_type type;
    uint32_t len;    // bytes of the command, at most COMMAND_MAX
    uint8_t data[];  // the command
};

static inline struct slice raft_entry_command(const struct raft_entry *entry) {
    return slice_of(entry->data, entry->len);
}

// A slab hands out entries from large blocks; a block returns when its last entry is released. NULL without memory.
struct raft_slab *raft_slab_new(void);

// All entries must have been released.
void raft_slab_free(struct raft_slab *slab);

// Bytes held in blocks.
size_t raft_slab_bytes(const struct raft_slab *slab);

// A new entry with room for `len` bytes of command, which the caller fills; holds one reference, the caller's. NULL when
// there is no memory (the size comes from outside: the caller answers RESOURCE_EXHAUSTED).
struct raft_entry *raft_entry_new(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id, size_t len);

// One more reference; returns the entry.
struct raft_entry *raft_entry_ref(struct raft_entry *entry);

// Drops a reference; with the last one of its block the memory goes.
void raft_entry_unref(struct raft_entry *entry);

#endif
