// How a call that does not succeed is answered: for each outcome the gRPC status, the trailers and the message, in one table
// (outcome.c). Messages say what happened and what to do next; a write that may have happened is "outcome unknown", never
// "failed".
#ifndef BATON_NODE_OUTCOME_H
#define BATON_NODE_OUTCOME_H

#include "base/error.h"
#include "rpc/rpc.h"

enum outcome {
    // Leadership.
    OUTCOME_NOT_LEADER,  // name: this node, leader, address; with the trailers baton-leader-id and baton-leader-address
    OUTCOME_NO_LEADER,
    OUTCOME_NOT_READY,  // this leader has not applied the no-op of its term
    OUTCOME_NO_CLUSTER,
    // Writes.
    OUTCOME_UNKNOWN,      // trailer baton-outcome: unknown, as for all outcomes that leave a write in doubt
    OUTCOME_OVERWRITTEN,  // another entry was committed in its place
    OUTCOME_LEADERSHIP_CHANGED,
    OUTCOME_TOO_MUCH_UNCOMMITTED,
    OUTCOME_TRANSFERRING,
    OUTCOME_TOO_MANY_PAUSED,
    OUTCOME_REVISION_MISMATCH,  // number: the key's revision, also in the trailer baton-revision
    OUTCOME_NO_SUCH_REVISION,   // the same where there is no such key
    OUTCOME_SESSION_EXPIRED,
    OUTCOME_SEQUENCE_REUSED,
    // Reads.
    OUTCOME_NO_SUCH_KEY,
    OUTCOME_REVISION_AHEAD,  // number: the one asked for, limit: the newest
    OUTCOME_REVISION_GONE,   // number, limit: the oldest held
    OUTCOME_WATCH_BEHIND,    // number, limit
    OUTCOME_WATCH_LEADERLESS,
    OUTCOME_WATCH_LEAVING,
    OUTCOME_TOO_MANY_WATCHES,
    OUTCOME_ENTRY_GONE,  // number, limit: the first held
    OUTCOME_TOO_MANY_SLOW,
    OUTCOME_LIST_TOO_LONG,
    OUTCOME_TOO_MANY_WORKERS,
    // Workers.
    OUTCOME_NO_SUCH_WORKER,
    OUTCOME_REPLACED,  // name
    OUTCOME_REGISTRATION_ENDED,
    OUTCOME_REGISTRATION_CHANGED,
    OUTCOME_REGISTRY_FULL,
    // Transfers of leadership.
    OUTCOME_NO_SUCH_VOTER,
    OUTCOME_TRANSFER_RUNNING,
    OUTCOME_LEADS_NO_MORE,
    OUTCOME_TRANSFER_FAILED,
};

// What an outcome's message refers to; the rest is zero.
struct outcome_facts {
    struct slice name;
    struct slice leader;
    struct slice address;
    uint64_t number;
    uint64_t limit;
};

// Ends the call. `facts` may be NULL where the outcome has none.
void outcome_tell(struct rpc_server *server, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts);

// Ends a call whose request was refused, with the error's message: INVALID_ARGUMENT; RESOURCE_EXHAUSTED if it is too large
// or memory is short; PERMISSION_DENIED if it is for another cluster or node.
void outcome_refuse(struct rpc_server *server, struct rpc_call call, const struct error *error);

// The message alone, as outcome_tell would send it: NUL-terminated, cut to `size`. For tests and for streams.
void outcome_text(enum outcome outcome, const struct outcome_facts *facts, char *text, size_t size);

#endif
