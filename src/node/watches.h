// Watch streams: each is told every change of the keys below its prefix, in log order, once.
#ifndef BATON_NODE_WATCHES_H
#define BATON_NODE_WATCHES_H

#include "rpc/rpc.h"
#include "state/state.h"

struct watches;

// `server` and `state` must outlive it.
struct watches *watches_new(struct rpc_server *server, const struct state *state);
void watches_free(struct watches *watches);

// Begins a watch and answers its first message. `from` is the first revision wanted. False: there are WATCHES_MAX already.
bool watches_add(struct watches *watches, struct rpc_call call, struct slice prefix, uint64_t from);

// The call has ended.
void watches_remove(struct watches *watches, struct rpc_call call);

// There is room again in the call's output.
void watches_writable(struct watches *watches, struct rpc_call call);

// The state machine has moved on: tells everybody what they have not been told.
void watches_advance(struct watches *watches);

// Ends all of them.
void watches_finish(struct watches *watches, enum rpc_status status, const char *message);

size_t watches_count(const struct watches *watches);

#endif
