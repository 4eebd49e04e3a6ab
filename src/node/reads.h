// Linearizable reads on their way (thesis section 6.4): all of one turn share one question to the core, and are answered
// when the state machine has applied the index that comes back.
#ifndef BATON_NODE_READS_H
#define BATON_NODE_READS_H

#include "raft/raft.h"
#include "rpc/rpc.h"

// The last two ask no quorum: they wait in node/answers.h alone.
enum read_kind { READ_GET, READ_LIST, READ_WORKERS, READ_CONFIRM, READ_LOG, READ_WATCH };

struct waiting_read {
    enum read_kind kind;
    struct rpc_call call;
    raft_index index;  // of the state it is answered from
};

struct reads;

struct reads *reads_new(void);
void reads_free(struct reads *reads);

// Keeps a copy of the request's bytes until the read is answered. READ_CONFIRM has neither call nor request: it only wants
// to know that this node still leads.
void reads_collect(struct reads *reads, enum read_kind kind, struct rpc_call call, struct slice request);

// This turn's question to the core; false: there is none.
bool reads_event(struct reads *reads, struct raft_event *event);

// The core's answer.
void reads_answered(struct reads *reads, const struct raft_read *answer);

// Hands over every read whose index is applied (refusal RAFT_ACCEPTED), or that was refused, in order. A callback may
// collect new reads.
void reads_release(struct reads *reads, raft_index applied,
                   void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                 enum raft_refusal refusal),
                   void *user);

#endif
