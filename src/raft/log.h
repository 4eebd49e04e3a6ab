// The log in memory (paper figure 2, "log[]") and what of it is on disk.
//
// The log holds the entries behind `base`, which is where it starts: {0, 0}, or the last entry that a snapshot covers.
// Three marks run along it: durable_index <= written_index <= last index. Behind written_index are the entries of this step,
// not yet handed out to be persisted.
//
// An entry that was cut off and replaced while its write was under way must not be taken for durable when that write
// completes (the A-B-A race of asynchronous log writes): a cut therefore clips every write under way to what is left.
#ifndef BATON_RAFT_LOG_H
#define BATON_RAFT_LOG_H

#include "raft/entry.h"
#include "raft/queue.h"

struct raft_log {
    struct raft_entry_id base;
    struct raft_entry **entries;  // entries[i] has index base.index + 1 + i; one reference each
    size_t count;
    size_t capacity;
    raft_index written_index;  // handed out in a write, up to here
    raft_index durable_index;  // on disk and equal to what is here, up to here; never falls but by a cut
    struct raft_queue writes;  // struct raft_write, under way
};

// A write under way, hard state alone included.
struct raft_write {
    uint64_t number;
    raft_index last_index;  // durable once this write is
    uint64_t since_us;
};

// Takes the entries' references; all of them are durable.
void raft_log_init(struct raft_log *log, struct raft_entry_id base, struct raft_entry **entries, size_t count);
void raft_log_free(struct raft_log *log);

struct raft_entry_id raft_log_last(const struct raft_log *log);

// base.index <= index <= last.
raft_term raft_log_term(const struct raft_log *log, raft_index index);

// NULL outside (base, last].
struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index);

// Whether the log has this very entry. The log matching property (paper section 5.3): then all before it are equal too.
bool raft_log_holds(const struct raft_log *log, struct raft_entry_id id);

// Where entries base.index + 1 and on begin that `index` and on are: borrowed until the log changes. index > base.index.
struct raft_entry **raft_log_from(const struct raft_log *log, raft_index index);

// Appends, taking the reference. The entry's index is last + 1.
void raft_log_append(struct raft_log *log, struct raft_entry *entry);

// Drops entries from `first` on. first > base.index.
void raft_log_cut(struct raft_log *log, raft_index first);

// Terms never fall along the log, so these two are binary searches.
// The first index with the term of entry `index`; index > base.index.
raft_index raft_log_first_of_term_at(const struct raft_log *log, raft_index index);
// The last index in [base.index, limit] whose term is <= term; base.index if there is none.
raft_index raft_log_last_up_to_term(const struct raft_log *log, raft_term term, raft_index limit);

// --- durability ---

static inline bool raft_log_has_unwritten(const struct raft_log *log) {
    return log->written_index < log->base.index + log->count;
}

// All that is unwritten goes out in this write.
void raft_log_write(struct raft_log *log, uint64_t number, uint64_t now_us);

// Writes up to `number` are durable.
void raft_log_persisted(struct raft_log *log, uint64_t number);

// Since when the oldest write is under way; false if none is.
bool raft_log_writing_since(const struct raft_log *log, uint64_t *since_us);

#endif
