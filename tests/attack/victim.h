// The durable half of a node, without its network and its loop: the calls that src/node makes of wal, state and
// node/image.h, in the same order (node/open.c, node/snapshots.c, node/snapshot_receiver.c).
#ifndef BATON_TESTS_ATTACK_VICTIM_H
#define BATON_TESTS_ATTACK_VICTIM_H

#include "../unit/wal_disk.h"
#include "state/state.h"
#include "wal/writer.h"

struct victim {
    struct disk *disk;
    struct raft_slab *slab;
    uint64_t segment_bytes;
    raft_index retained;  // entries of the log behind an image, as RETAINED_ENTRIES

    struct wal_writer *writer;  // NULL: not running
    struct wal_recovered recovered;
    struct state *state;
    struct raft_entry_id newest;  // image; index 0: none
    struct raft_entry_id before;  // the same
    bool skipped;                 // an image was damaged
    struct error error;
    uint64_t write;          // the last one pushed
    struct wal_write *made;  // all of them
    struct buf configuration;
};

void victim_init(struct victim *victim, struct disk *disk, struct raft_slab *slab);
void victim_free(struct victim *victim);

// The code of the start; *recovered and `error` have the rest.
enum error_code victim_start(struct victim *victim);

// In order, or as if killed.
void victim_stop(struct victim *victim, bool in_order);

// Queues a write; entries are borrowed until the victim stops. `reset` index 0: none.
void victim_push(struct victim *victim, const struct raft_hard_state *hard_state, struct raft_entry_id reset,
                 struct raft_entry *const *entries, size_t count);

// Writes all that is queued.
void victim_run(struct victim *victim);

void victim_apply(struct victim *victim, struct raft_entry *entry);

// An image of the state as it is, whose last entry has this term. Then, once that is durable, the one before the last goes.
enum error_code victim_save_image(struct victim *victim, raft_term term);
void victim_drop_superseded(struct victim *victim);

// The log gives up what both images cover, but what is retained.
raft_index victim_compact_to(const struct victim *victim);
void victim_compact(struct victim *victim);

// Receives an image, going on with what has arrived of it before. OK: it is durable under its name, and the victim's state.
enum error_code victim_receive(struct victim *victim, struct raft_entry_id last, struct slice bytes);
// Once the log begins anew behind it: the images before go.
void victim_installed(struct victim *victim, struct raft_entry_id last);

#endif
