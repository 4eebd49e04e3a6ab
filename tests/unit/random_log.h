// A random log of commands, for the tests that apply one log in several ways: entries as the leader makes them, which are
// decoded anew for each state machine.
#ifndef BATON_TESTS_RANDOM_LOG_H
#define BATON_TESTS_RANDOM_LOG_H

#include "base/arena.h"
#include "state/state.h"
#include "unit.h"

struct random_log {
    uint64_t seed;
    struct raft_slab *slab;
    struct raft_entry **entries;  // entries[i] has the index i + 1
    size_t count;
    size_t cap;
    struct arena arena;
};

void random_log_open(struct random_log *log, uint64_t seed);
void random_log_close(struct random_log *log);  // no state may refer to an entry any more

// Appends an entry: a command of any kind and level, from a handful of keys, clients and workers so that everything meets
// everything; now and then none. `state` has applied all before it, or is NULL; what it has makes changes of workers apply.
void random_log_append(struct random_log *log, const struct state *state);

// Appends the command.
void random_log_add(struct random_log *log, struct pb_command command);

// The command of an entry, valid until the next call; NULL: it has none.
const struct pb_command *random_log_command(struct random_log *log, raft_index index);

// Applies the entry after the last one that the state has applied.
void random_log_apply(struct random_log *log, struct state *state);

#endif
