// The log's writer: synchronous, one thread, every system call through a struct wal_io.
//
// Writes are pushed and stay in a queue until they are durable. Each step makes one batch of all that waits and writes it
// with one synced system call into filling that is there already. Segments change when a batch does not fit any more.
//
// When the disk is full, entries wait in the queue. Hard states do not: the last of them is written ahead of the waiting
// entries, from WAL_RESERVE_BYTES of filling that batches with entries leave alone. That is safe. Nothing of the entries
// passed over has been acknowledged to anybody, so a crash now leaves a node that has voted and never had them, which is a
// state it could have been in; and the vote itself was given by the longer log, the stricter judge of a candidate. Hard
// states skipped by writing only the last are superseded by it. What one must not do is to count the passed-over write as
// durable: hence the two numbers below.
#ifndef BATON_WAL_WRITER_H
#define BATON_WAL_WRITER_H

#include "base/buf.h"
#include "wal/recovery.h"

// One submitted write: entries[persist.count] behind it is what persist.entries points to. Belongs to who made it; the
// writer only reads it, but for `next` and `written`, and lets go of it before it says that it is durable.
struct wal_write {
    struct wal_write *next;              // in the writer's queue
    struct wal_write *next_outstanding;  // for who made it
    struct raft_persist persist;
    uint64_t submitted_us;
    size_t written;  // of its entries: durable already
    struct raft_entry *entries[];
};

struct wal_writer {
    struct wal_directory dir;
    char cluster_id[ID_MAX];
    char node_id[ID_MAX];
    struct wal_identity identity;  // points to the two
    uint64_t segment_bytes;

    struct wal_segment current;         // fd -1: there is none yet
    struct wal_segment next;            // prepared; fd -1: not yet
    uint64_t batch;                     // of the last mark: number and
    uint32_t chain;                     // checksum
    struct raft_hard_state hard_state;  // durable
    struct raft_entry_id last;          // durable

    struct wal_write *head;  // the queue, oldest first
    struct wal_write *tail;
    uint64_t pushed_write;  // the last one

    uint64_t durable_write;             // everything up to it
    uint64_t durable_hard_state_write;  // the hard states up to it; >= durable_write
    enum wal_condition condition;
    struct error error;  // of WAL_FULL and WAL_FAILED
    uint64_t retry_us;   // WAL_FULL: when entries are tried again. Preparing: not before

    struct buf batch_buf;
    struct wal_blocks blocks;  // of it, on its way
    double sync_seconds;       // of the last batch
    uint64_t batches;          // in all
    uint64_t bytes;            // in all
};

// As wal_open.
enum error_code wal_writer_open(const struct wal_options *options, struct raft_slab *slab, struct wal_writer **writer,
                                struct wal_recovered *recovered, struct error *error);

// Queues a write; persist.write is one more than the last one's.
void wal_writer_push(struct wal_writer *writer, struct wal_write *write);

// Writes one batch, if there is something to write. False: there is nothing to do now (see wal_writer_retry_us).
bool wal_writer_step(struct wal_writer *writer);

// One chunk of filling ahead, if it is time for one. Call it when there is nothing better to do, with `idle`, and between
// batches, without. False: nothing was to be done.
bool wal_writer_prepare(struct wal_writer *writer, bool idle);

// When a step should come though nothing was pushed, on the clock of wal_io; 0: no need.
uint64_t wal_writer_retry_us(const struct wal_writer *writer);

// Frees it; `trim`: cuts the filling off first. What is still queued stays its maker's. Returns the writer's error.
enum error_code wal_writer_close(struct wal_writer *writer, bool trim, struct error *error);

#endif
