// The history of the store's changes, for Watch: those of the log's kept tail, whose entries it refers to. It is no part of
// the replicated state: nodes that keep other lengths of the log have other histories.
#ifndef BATON_STATE_HISTORY_H
#define BATON_STATE_HISTORY_H

#include "state/types.h"

struct history_change;

// Zero-initialised but for `from` = 1 it is an empty history of an empty log.
struct history {
    struct history_change **chunks;  // a ring; the change number n is in chunk n / CHUNK_CHANGES
    size_t chunks_cap;               // a power of two, or 0
    uint64_t first;                  // number of the oldest change held
    uint64_t end;                    // of the next one
    uint64_t from;                   // all changes from this revision on are held
};

void history_free(struct history *history);

// The entry changed the key. `key` and `value` are bytes of the entry.
void history_add(struct history *history, struct raft_entry *entry, bool is_delete, struct slice key, struct slice value);

// See state_history, which has no others from `from` on.
void history_visit(const struct history *history, uint64_t from,
                   bool (*visit)(void *user, const struct state_change *change), void *user);

// The changes with revisions below `from` are not wanted any more; history_collect lets go of their entries, `*budget` at
// most, and lowers *budget by their number. False: nothing is left to do.
void history_forget(struct history *history, uint64_t from);
bool history_collect(struct history *history, size_t *budget);

#endif
