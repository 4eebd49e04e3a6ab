// The log in memory (paper figure 2, "log[]"), and how much of it is durable.
//
// The log starts after `base`: {0, 0}, or the last entry that was dropped behind a snapshot. durable_index <= written_index
// <= last index; entries after written_index are new in this step and go into its write.
//
// An entry that was truncated and replaced while its write was in progress must not be taken for durable when that write
// completes (the A-B-A race of asynchronous log writes): truncation therefore clips every write in progress.
#ifndef BATON_RAFT_LOG_H
#define BATON_RAFT_LOG_H

#include "raft/entry.h"
#include "raft/queue.h"

struct raft_log {
    struct raft_entry_id base;
    struct raft_entry **entries;  // entries[head + i] has index base.index + 1 + i; one reference each
    size_t head;                  // free places at the front, of entries that were compacted
    size_t count;
    size_t capacity;
    bool restarted;            // after `base`, by a snapshot, and no write says so yet
    raft_index written_index;  // in a write up to here, which may be in progress
    raft_index durable_index;  // on disk up to here; decreases only by truncation, and to 0 by a restart
    struct raft_queue writes;  // struct raft_write, in progress
};

// A write in progress; it may carry only hard state.
struct raft_write {
    uint64_t number;
    raft_index last_index;  // durable once this write is
    uint64_t since_us;      // when it was handed out
};

// Takes the entries' references; all of them are durable.
void raft_log_init(struct raft_log *log, struct raft_entry_id base, struct raft_entry **entries, size_t count);
void raft_log_free(struct raft_log *log);

struct raft_entry_id raft_log_last(const struct raft_log *log);

// base.index <= index <= last.
raft_term raft_log_term(const struct raft_log *log, raft_index index);

// NULL outside (base, last].
struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index);

// Whether the log has an entry with this term and index. By the log matching property (paper section 5.3) it is then equal
// to any other log that has it, up to there.
bool raft_log_holds(const struct raft_log *log, struct raft_entry_id id);

// The entries from `index` on, borrowed until the log changes. base.index < index <= last + 1.
struct raft_entry **raft_log_from(const struct raft_log *log, raft_index index);

// Appends, taking the reference. The entry's index is last + 1.
void raft_log_append(struct raft_log *log, struct raft_entry *entry);

// Drops the entries from `first` on. first > base.index.
void raft_log_truncate(struct raft_log *log, raft_index first);

// Drops the entries up to `index`, which becomes the base. base.index <= index <= durable_index: an entry that is not
// durable yet is only here.
void raft_log_compact(struct raft_log *log, raft_index index);

// Drops all entries: a snapshot covers everything up to the new base, and what is here conflicts with it or is older.
void raft_log_restart(struct raft_log *log, struct raft_entry_id base);

// Terms never decrease along the log, so these two are binary searches.
// The first index behind the base with the term of the entry at `index`; base.index for itself. index >= base.index.
raft_index raft_log_first_of_term_at(const struct raft_log *log, raft_index index);
// The last index in [base.index, limit] whose term is <= term; base.index if there is none.
raft_index raft_log_last_up_to_term(const struct raft_log *log, raft_term term, raft_index limit);

// --- durability ---

static inline bool raft_log_has_unwritten(const struct raft_log *log) {
    return log->restarted || log->written_index < log->base.index + log->count;
}

// Write `number` has all that was not written yet.
void raft_log_write(struct raft_log *log, uint64_t number, uint64_t now_us);

// Writes up to `number` are durable.
void raft_log_persisted(struct raft_log *log, uint64_t number);

// When the oldest write in progress was handed out; false if there is none.
bool raft_log_writing_since(const struct raft_log *log, uint64_t *since_us);

#endif
