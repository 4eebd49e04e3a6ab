// The durable log: hard state and entries in newline-delimited JSON segments. docs/wal-format.md has the format;
// wal/record.h its codec.
//
// Two layers. `struct wal_writer` (wal/writer.h) is synchronous and does every system call through a `struct wal_io`; a
// simulator can run it on a disk of its own. `struct wal` is a thin shell around it: a thread that takes all that has been
// submitted, writes and syncs it as one batch, and hands the completion back. At most one batch is unsynced.
//
// Thread rules: all functions here are for the loop's thread. The WAL's thread only reads the entries of submitted writes,
// which stay pinned by a reference until wal_poll has returned their completion.
#ifndef BATON_WAL_WAL_H
#define BATON_WAL_WAL_H

#include "base/error.h"
#include "raft/raft.h"
#include "wal/io.h"

struct wal;

struct wal_options {
    const char *dir;  // the data directory
    struct slice cluster_id;
    struct slice node_id;
    uint64_t generation;
    uint64_t segment_bytes;   // 0: WAL_SEGMENT_BYTES
    const struct wal_io *io;  // NULL: the operating system's
};

// What recovery found. Free with wal_recovered_free; the entries' references go to whoever takes them from `log` (set
// log.entries to NULL then).
struct wal_recovered {
    bool empty;  // there is no log yet: nothing was written and no identity is on disk
    struct raft_restored log;
    uint64_t torn_bytes;   // of a torn last batch, overwritten; 0: none
    char torn_where[128];  // its file:line
    uint64_t segments;
    uint64_t bytes;
};

void wal_recovered_free(struct wal_recovered *recovered);

// Locks the directory (creating it if missing), reads and verifies the log, repairs a torn last batch, writes the last
// complete batch again and syncs it, and is ready for writes. Nothing is created in the log before the first write.
// Errors: ERR_BUSY (another process has it), ERR_FOREIGN (naming both identities), ERR_WAL_CORRUPT, ERR_WAL_GAP,
// ERR_WAL_VERSION (each with file:line; the files are untouched), ERR_NO_SPACE, ERR_IO.
enum error_code wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                         struct wal_recovered *recovered, struct error *error);

// Starts the thread. `wake(user)` is called from it whenever wal_poll has something new to tell.
enum error_code wal_start(struct wal *wal, void (*wake)(void *user), void *user, struct error *error);

// Queues one write, taking references on its entries (the array is copied). `persist->write` must be one more than the last.
// `now_us` is when, for wal_oldest_pending_us.
void wal_submit(struct wal *wal, const struct raft_persist *persist, uint64_t now_us);

enum wal_condition {
    WAL_GOOD,
    WAL_FULL,    // no space: entries wait, hard state is still written from the reserve; tried again every second
    WAL_FAILED,  // a write or sync failed; never tried again: the process must exit with EXIT_DISK_FAILED
};

struct wal_status {
    uint64_t durable_write;  // everything up to this write is durable
    // The hard states of all writes up to this one are durable. It is beyond durable_write only while the disk is full: then
    // hard states are written ahead of the entries that wait. A message held back for a write that concerns the vote alone
    // (RAFT_REQUEST_VOTE, RAFT_REQUEST_VOTE_REPLY) may go when this number reaches it, so that a node without space still
    // votes; every other message, and RAFT_EVENT_PERSISTED, waits for durable_write.
    uint64_t durable_hard_state_write;
    enum wal_condition condition;
    struct error error;          // of WAL_FULL and WAL_FAILED
    uint64_t oldest_pending_us;  // when the oldest write not yet durable was submitted; 0: none is pending
    // Since the last poll, for wal_fsync_duration_seconds: at most the last 64 syncs.
    double sync_seconds[64];
    size_t sync_count;
    uint64_t batches;  // in all
    uint64_t bytes;    // in all
};

// What has come of the writes; drops the references of those that are durable. Never blocks.
void wal_poll(struct wal *wal, struct wal_status *status);

// Finishes what is queued, trims the filling, syncs, unlocks and frees. With `abandon` it leaves queued writes unwritten.
// Returns the writer's error, if it had one.
enum error_code wal_close(struct wal *wal, bool abandon, struct error *error);

// --- without starting ---

// Verifies like wal_open but changes nothing and takes no lock. Errors as wal_open, and ERR_INVALID where there is no log;
// `recovered` is filled if OK.
enum error_code wal_check(const char *dir, const struct wal_io *io, struct raft_slab *slab, struct wal_recovered *recovered,
                          struct error *error);

// Writes the effective entry lines up to index `to` (0: all) to `fd`: equal byte for byte on any two nodes up to their
// common commit index. Works beside a running node. Errors as wal_check.
enum error_code wal_dump(const char *dir, const struct wal_io *io, raft_index to, int fd, struct error *error);

#endif
