// The log's writer: synchronous, one thread, every system call through a struct wal_io.
//
// Pushed writes stay in a queue until they are durable. Each step makes one batch of everything queued and writes it with
// one synced system call over filling that is already durable. A batch that does not fit begins the next segment.
//
// When the disk is full, entries wait in the queue. Hard states do not: the last one is written ahead of the waiting
// entries, into WAL_RESERVE_BYTES of filling that batches with entries do not use. This is safe. None of the waiting entries
// has been acknowledged, so a crash now leaves a node that has voted and never received them, a state that it could have
// been in; and the vote was decided by the longer log, which is stricter on candidates (paper section 5.4.1). The last hard
// state supersedes those before it. But the waiting writes must not be counted as durable: hence the two numbers below.
//
// Two logs wait with all that they have: one without an entry, since who knows no cluster never votes, and one whose
// generation is about to rise. For both the next entry may be one that founds (node/found.h), which is there whole or not at
// all. A term alone, in a segment of the new generation, would say of a generation that nobody founded that it exists.
#ifndef BATON_WAL_WRITER_H
#define BATON_WAL_WRITER_H

#include "base/buf.h"
#include "wal/recovery.h"

// One submitted write; persist.entries points to its entries[persist.count]. Owned by its maker. The writer changes only
// `next` and `written`, and no longer uses it once durable_write covers it.
struct wal_write {
    struct wal_write *next;              // in the writer's queue
    struct wal_write *next_outstanding;  // for its maker
    struct raft_persist persist;
    uint64_t submitted_us;
    size_t written;  // entries that are durable
    bool restarted;  // persist.reset is durable
    struct raft_entry *entries[];
};

struct wal_writer {
    struct wal_directory dir;
    char cluster_id[ID_MAX];
    char node_id[ID_MAX];
    struct wal_identity identity;  // points to the two above
    char incarnation[INCARNATION_DIGITS + 1];
    uint64_t generation;       // of the next segment
    uint64_t last_generation;  // of the last header; if it is lower, the next entry begins a segment
    uint64_t segment_bytes;
    uint64_t first_segment;   // the lowest number on the disk; 0: none
    uint64_t anew_segment;    // at which the log begins anew: those before it hold nothing; 0: none
    uint64_t second_segment;  // the one after it, if its base was read
    raft_index second_base;   // which is the last entry that the first segment may be needed for

    struct wal_segment current;         // fd -1: none yet
    struct wal_segment next;            // created and being filled; fd -1: none
    uint64_t batch;                     // number of the last mark
    uint32_t chain;                     // its checksum
    struct raft_hard_state hard_state;  // durable
    struct raft_entry_id last;          // durable

    struct wal_write *head;  // the queue, oldest first
    struct wal_write *tail;
    uint64_t pushed_write;  // the last write pushed

    uint64_t durable_write;             // all writes up to it are
    uint64_t durable_hard_state_write;  // the hard states of all writes up to it are; >= durable_write
    enum wal_condition condition;
    struct error error;  // of WAL_FULL and WAL_FAILED
    uint64_t retry_us;   // WAL_FULL: when entries are retried. Nothing is filled ahead before

    struct buf batch_buf;
    struct wal_blocks blocks;  // the batch in whole blocks, for O_DIRECT
    double sync_seconds;       // of the last batch
    uint64_t batches;          // in total
    uint64_t bytes;            // in total
};

// As wal_open.
enum error_code wal_writer_open(const struct wal_options *options, struct raft_slab *slab, struct wal_writer **writer,
                                struct wal_recovered *recovered, struct error *error);

// As wal_begin.
enum error_code wal_writer_begin(struct wal_writer *writer, struct error *error);

// As wal_raise_generation.
void wal_writer_raise_generation(struct wal_writer *writer, uint64_t generation);

// Queues a write; persist.write is one more than the last write's.
void wal_writer_push(struct wal_writer *writer, struct wal_write *write);

// Writes one batch if anything is queued. False: nothing to do now (see wal_writer_retry_us).
bool wal_writer_step(struct wal_writer *writer);

// Fills one chunk ahead of the log's end if it is due. Call it with `idle` when nothing is queued, without between batches.
// False: nothing was due.
bool wal_writer_prepare(struct wal_writer *writer, bool idle);

// When wal_writer_step must be called though nothing was pushed, by wal_io's clock; 0: not needed.
uint64_t wal_writer_retry_us(const struct wal_writer *writer);

// Removes the oldest segment if nothing after `index` is in it. Errors become the writer's. False: there was none.
bool wal_writer_purge(struct wal_writer *writer, raft_index index);

// Frees the writer; with `trim` it cuts off the filling first. Writes still queued belong to their maker. Returns the
// writer's error, if it had one.
enum error_code wal_writer_close(struct wal_writer *writer, bool trim, struct error *error);

#endif
