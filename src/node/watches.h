// Watch streams: each gets every change of the keys with its prefix once, in log order.
//
// A Watch that has everything up to the head costs a write nothing unless the write's key has its prefix: then the change is
// encoded once for all Watches of that prefix, and copied to each. A Watch that does not take what it is sent is left alone
// until its output has room; then it goes on from the state machine's history, in a part of each turn, or learns that the
// history has passed it by. All others are told the head every WATCH_QUIET_MAX entries, so that the revision from
// which a client goes on after a lost connection is within the history.
#ifndef BATON_NODE_WATCHES_H
#define BATON_NODE_WATCHES_H

#include "node/outcome.h"
#include "state/state.h"

struct watches;

// `server` and `state` must outlive it.
struct watches *watches_new(struct rpc_server *server, const struct state *state, uint64_t (*now_us)(void));
void watches_free(struct watches *watches);

// Begins a watch and sends its first response, and what it is behind by, as far as its output takes it. `from` is the first
// revision wanted: at most the next one, and held by the history. False: there are WATCHES_MAX already.
bool watches_add(struct watches *watches, struct rpc_call call, struct slice prefix, uint64_t from);

// The call has ended.
void watches_remove(struct watches *watches, struct rpc_call call);

// The call's output has room again.
void watches_writable(struct watches *watches, struct rpc_call call);

// Another state has taken the place of the state machine's, at a later index: those at the head are behind now.
void watches_replace_state(struct watches *watches, const struct state *state);

// The state machine has advanced: sends the new changes to the watches that have all before.
void watches_advance(struct watches *watches);

// Once a turn: for WATCHES_TURN_US, lets those go on that are behind.
void watches_catch_up(struct watches *watches);

// Whether some are behind and wait for the next turn.
bool watches_behind(const struct watches *watches);

// Ends all of them.
void watches_finish(struct watches *watches, enum outcome outcome);

// Ends those for which `ends` returns true: it has answered the call.
void watches_end_those(struct watches *watches, bool (*ends)(void *user, struct rpc_call call, struct slice prefix),
                       void *user);

size_t watches_count(const struct watches *watches);

#endif
