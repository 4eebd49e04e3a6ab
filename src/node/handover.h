// Handing leadership over: at an operator's word, or because this node leaves.
//
// From its beginning to its end new writes are paused: kept here, neither refused nor proposed. Once the successor is known
// they are sent on to it; if none shows, this node goes on and proposes them. So a client that follows redirects loses no
// write to a handover.
#ifndef BATON_NODE_HANDOVER_H
#define BATON_NODE_HANDOVER_H

#include "node/writes.h"

struct node;
struct handover;

struct handover *handover_new(void);
void handover_free(struct handover *handover);

// Begins, towards `target` (nobody: the most up-to-date voter). `call`, if it names one, is answered at the end, or at once
// with FAILED_PRECONDITION if a handover is running already.
void handover_begin(struct node *node, const struct raft_id *target, struct rpc_call call);

// For the core, once a handover has begun; false: none has. It goes behind the writes that came in before it in the same
// turn, which the core would refuse from there on.
bool handover_event(struct handover *handover, struct raft_event *event);

// Whether writes are paused now.
bool handover_is_running(const struct handover *handover);

// Keeps a write until the end; its request is copied. RESOURCE_EXHAUSTED beyond PAUSED_WRITES_MAX.
void handover_pause(struct node *node, struct rpc_call call, enum write_kind kind, struct slice request);

// Once a turn, with what the core has said.
void handover_follow(struct node *node, const struct raft_update *update);

#endif
