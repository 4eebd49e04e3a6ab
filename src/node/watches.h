// Watch streams: each gets every change of the keys with its prefix once, in log order.
#ifndef BATON_NODE_WATCHES_H
#define BATON_NODE_WATCHES_H

#include "node/outcome.h"
#include "state/state.h"

struct watches;

// `server` and `state` must outlive it.
struct watches *watches_new(struct rpc_server *server, const struct state *state);
void watches_free(struct watches *watches);

// Begins a watch and sends its first response. `from` is the first revision wanted. False: there are WATCHES_MAX already.
bool watches_add(struct watches *watches, struct rpc_call call, struct slice prefix, uint64_t from);

// The call has ended.
void watches_remove(struct watches *watches, struct rpc_call call);

// The call's output has room again.
void watches_writable(struct watches *watches, struct rpc_call call);

// The state machine has advanced: sends the new changes to all watches.
void watches_advance(struct watches *watches);

// Ends all of them.
void watches_finish(struct watches *watches, enum outcome outcome);

size_t watches_count(const struct watches *watches);

#endif
