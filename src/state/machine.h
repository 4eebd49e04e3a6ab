// The parts of the state machine, for the files of this room that take it apart: state.c, image.c and loader.c.
#ifndef BATON_STATE_MACHINE_H
#define BATON_STATE_MACHINE_H

#include "state/effects.h"
#include "state/grants.h"
#include "state/history.h"
#include "state/registry.h"
#include "state/session.h"
#include "state/store.h"

struct state {
    raft_index last_applied;
    int64_t time_unix_ms;    // of the last command; never falls
    uint32_t level;          // of the cluster; never falls
    uint64_t command_bytes;  // of all entries so far
    raft_index recalled;     // the last entry given to state_recall; 0: none, or one was applied since
    struct state *retired;   // to be freed by state_collect, with those that it has retired itself; NULL: none
    struct store store;
    struct sessions sessions;
    struct registry registry;
    struct grants grants;
    struct history history;
    struct effects effects;
};

#endif
