// The durable log: Raft's hard state and entries in newline-delimited JSON segments. docs/wal-format.md describes the
// format; wal/record.h encodes and decodes it.
//
// Two layers. `struct wal_writer` (wal/writer.h) is synchronous and makes every system call through a `struct wal_io`, so
// that a simulator can run it on a disk of its own. `struct wal` adds a thread, which writes and syncs everything submitted
// so far as one batch and reports the completion. At most one batch is unsynced.
//
// Threads: every function here is called from the loop's thread. The WAL's thread only reads the entries of submitted
// writes; each is pinned by a reference until wal_poll has reported its write durable.
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
    struct slice incarnation;  // of a directory that has none yet: 32 random digits of 0-9 a-f
    uint64_t generation;       // as wal_raise_generation
    // The last entry of the image that the state machine starts from; {0, 0}: there is none. The log begins anew after it if
    // it ends before it or differs from it.
    struct raft_entry_id image;
    raft_index from;          // entries after this one are needed; <= image.index
    uint64_t segment_bytes;   // 0: WAL_SEGMENT_BYTES
    const struct wal_io *io;  // NULL: the operating system's
};

// The result of recovery. Free it with wal_recovered_free. A caller that takes the entries, with their references, out of
// `log` sets log.entries to NULL.
struct wal_recovered {
    bool empty;                // there is no log yet: nothing was written, and the disk holds no identity
    struct raft_restored log;  // from log.base on, which is at `from` or before it
    uint64_t generation;
    char incarnation[INCARNATION_DIGITS + 1];  // of the data directory
    uint64_t torn_bytes;                       // length of a torn last batch, which was overwritten; 0: there was none
    char torn_where[128];                      // its file:line
    uint64_t segments;
    uint64_t bytes;
};

void wal_recovered_free(struct wal_recovered *recovered);

// Drops all entries; the log begins after `base`.
void wal_recovered_cut(struct wal_recovered *recovered, struct raft_entry_id base);

// Locks the directory (creating it if missing), reads and verifies the log as far as it is needed, overwrites a torn last
// batch, rewrites and syncs the last complete batch, and is ready for writes. No segment is created before the first write,
// except that a log of version 0.1.0 gets one that has an incarnation.
// Errors: ERR_BUSY (locked by another process), ERR_FOREIGN (names both identities), ERR_WAL_CORRUPT, ERR_WAL_GAP,
// ERR_WAL_VERSION (each with file:line; the files are unchanged), ERR_NO_MEMORY, ERR_NO_SPACE, ERR_IO.
enum error_code wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                         struct wal_recovered *recovered, struct error *error);

// Gives a directory without a log its first segment, which holds no entry yet: from now on it has its incarnation, however
// often the node starts before something is in the log. Before wal_start, of a log that was opened empty. ERR_NO_SPACE,
// ERR_IO.
enum error_code wal_begin(struct wal *wal, struct error *error);

// Starts the thread, which calls `wake(user)` whenever wal_poll has news. Once per log. ERR_UNAVAILABLE: no thread.
enum error_code wal_start(struct wal *wal, void (*wake)(void *user), void *user, struct error *error);

// Queues one write. Takes a reference on each entry and copies the array. `persist->write` is one more than the last
// write's; `now_us` is the time of submission, for oldest_pending_us.
void wal_submit(struct wal *wal, const struct raft_persist *persist, uint64_t now_us);

// The generation from the next write on, unless it is higher already: the log of a directory never falls to a lower one.
// That write begins a segment, so that generation and entries become durable together, or neither does.
void wal_raise_generation(struct wal *wal, uint64_t generation);

// Entries up to `index` are no longer needed: an image that covers them is durable. The WAL's thread removes whole segments,
// oldest first, soon.
void wal_compact(struct wal *wal, raft_index index);

enum wal_condition {
    WAL_GOOD,
    // No space: entries wait and are retried every second; hard state is still written, from the reserve, unless the log has
    // no entry yet or its generation rises.
    WAL_FULL,
    WAL_FAILED,  // a write or sync failed. It is never retried: the process must exit with EXIT_DISK_FAILED
};

struct wal_status {
    uint64_t durable_write;  // all writes up to this one are durable
    // The hard states of all writes up to this one are durable; never below durable_write. It is ahead of it while the disk
    // is full, when hard states are written before the entries that wait, and while a write too large for one batch is
    // written in part. A message that claims no entries (raft_may_leave: votes, requests for votes, rejections of
    // AppendEntries, and replies that confirm only what is durable already) may leave when this number reaches its
    // after_write, so that a node without space still votes. A message that claims entries, and RAFT_EVENT_PERSISTED, wait
    // for durable_write.
    uint64_t durable_hard_state_write;
    enum wal_condition condition;
    struct error error;          // of WAL_FULL and WAL_FAILED
    uint64_t oldest_pending_us;  // when the oldest write not yet durable was submitted; 0: none is pending
    // The durations of the syncs since the last poll, at most the last 64, for wal_fsync_duration_seconds.
    double sync_seconds[64];
    size_t sync_count;
    uint64_t batches;  // in total
    uint64_t bytes;    // in total
};

// Reports the progress of the writes and drops the references of those that are durable. Never blocks on the disk.
void wal_poll(struct wal *wal, struct wal_status *status);

// Finishes the queued writes, trims the filling, syncs, unlocks and frees the log. With `abandon`, queued writes are
// dropped. Returns the writer's error, if it had one.
enum error_code wal_close(struct wal *wal, bool abandon, struct error *error);

// --- offline ---

// Verifies as wal_open does, but changes nothing and takes no lock; works beside a running node. Errors as wal_open, and
// ERR_INVALID if there is no log. `recovered` is filled if OK.
enum error_code wal_check(const char *dir, const struct wal_io *io, struct raft_slab *slab, struct wal_recovered *recovered,
                          struct error *error);

// Writes the effective entry lines up to index `to` (0: all) to `fd`, from the first one that is on the disk: byte for byte
// the same on any two nodes from the later first one up to their common commit index. Works beside a running node. Errors as
// wal_check.
enum error_code wal_dump(const char *dir, const struct wal_io *io, raft_index to, int fd, struct error *error);

#endif
