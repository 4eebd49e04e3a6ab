// Pending linearizable reads (thesis section 6.4): all of one turn share one read-index request to the core, and are
// answered once the state machine has applied the index it returns.
#ifndef BATON_NODE_READS_H
#define BATON_NODE_READS_H

#include "raft/raft.h"
#include "rpc/rpc.h"

struct verb;

struct waiting_read {
    const struct verb *verb;  // of node/verb.h: what answers
    struct rpc_call call;     // zero: of the leader itself, no client waits
    raft_index index;         // of the state it is answered from
    unsigned tries;           // that failed: the leader did not confirm an index
};

struct reads;

struct reads *reads_new(void);
void reads_free(struct reads *reads);

// Adds a read to this turn's group. Copies the request's bytes.
void reads_collect(struct reads *reads, const struct verb *verb, struct rpc_call call, struct slice request);

// The same for a read that was refused and is tried again; counts that.
void reads_collect_again(struct reads *reads, const struct waiting_read *read, struct slice request);

// Whether something was collected that no event has taken yet.
bool reads_collected(const struct reads *reads);

// This turn's read-index request to the core; false: there is none.
bool reads_event(struct reads *reads, struct raft_event *event);

// The core's answer.
void reads_answered(struct reads *reads, const struct raft_read *answer);

// Calls `ready`, in order, for every read whose index is applied (refusal RAFT_ACCEPTED) or that was refused. It may
// collect new reads.
void reads_release(struct reads *reads, raft_index applied,
                   void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                 enum raft_refusal refusal),
                   void *user);

#endif
