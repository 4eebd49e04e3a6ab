// Log entries and the memory they live in.
//
// A command is copied once, from the receive buffer into a slab block; from then on the log, its writes, the messages to
// peers and the state machine share that copy. Blocks are reference counted, by the event loop's thread only: the WAL's
// thread reads entries that have a reference but never takes or drops one.
#ifndef BATON_RAFT_ENTRY_H
#define BATON_RAFT_ENTRY_H

#include "base/slice.h"

// A Raft term; 0: before the first election.
typedef uint64_t raft_term;

// A position in the log; the first entry has index 1.
typedef uint64_t raft_index;

// Identifies an entry. The two numbers are passed together so that they cannot be swapped.
struct raft_entry_id {
    raft_term term;
    raft_index index;
};

enum raft_entry_type {
    RAFT_ENTRY_COMMAND = 1,
    RAFT_ENTRY_NOOP = 2,           // the first entry of each leader's term
    RAFT_ENTRY_CONFIGURATION = 3,  // members; entry 1 of every log
};

struct raft_slab;
struct raft_slab_block;

// Immutable once appended. The leader assigns a proposal's term and index when it appends it.
struct raft_entry {
    struct raft_slab_block *block;  // the memory it is in
    struct raft_entry_id id;
    enum raft_entry_type type;
    uint32_t len;    // bytes of the command, at most COMMAND_MAX
    uint8_t data[];  // the command
};

static inline struct slice raft_entry_command(const struct raft_entry *entry) {
    return slice_of(entry->data, entry->len);
}

// A slab allocates entries in large blocks; a block is freed when its last entry is released. NULL if out of memory.
struct raft_slab *raft_slab_new(void);

// All entries must have been released.
void raft_slab_free(struct raft_slab *slab);

// Bytes held in blocks.
size_t raft_slab_bytes(const struct raft_slab *slab);

// Between the two, entries come by the hundred thousand, as when a log is read at a start: their blocks are huge pages
// (base/mem.h says when not to).
void raft_slab_bulk_begin(struct raft_slab *slab);
void raft_slab_bulk_end(struct raft_slab *slab);

// A new entry with room for `len` bytes of command, which the caller fills in; the caller owns its one reference. NULL if
// out of memory (the size comes from outside: the caller answers RESOURCE_EXHAUSTED).
struct raft_entry *raft_entry_new(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id, size_t len);

// Takes a reference; returns the entry.
struct raft_entry *raft_entry_ref(struct raft_entry *entry);

// Drops a reference; the last one of a block frees it.
void raft_entry_unref(struct raft_entry *entry);

#endif
