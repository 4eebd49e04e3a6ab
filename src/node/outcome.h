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
    OUTCOME_UNCONFIRMED,  // leader, address: it did not confirm a read of this node
    // Quarantine. name: its message.
    OUTCOME_QUARANTINED,
    OUTCOME_QUARANTINED_IN_DOUBT,  // a write that may have happened
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
    OUTCOME_WATCH_QUARANTINED,
    OUTCOME_TOO_MANY_WATCHES,
    OUTCOME_ENTRY_GONE,  // number, limit: the first held
    OUTCOME_TOO_MANY_SLOW,
    OUTCOME_LIST_GONE,  // number: the index of the version that is not held, name: this node
    OUTCOME_LIST_TOO_LONG,
    OUTCOME_TOO_MANY_WORKERS,
    // Workers.
    OUTCOME_NO_SUCH_WORKER,
    OUTCOME_REPLACED,  // name
    OUTCOME_REGISTRATION_ENDED,
    OUTCOME_REGISTRATION_CHANGED,
    OUTCOME_REGISTRY_FULL,
    // Grants.
    OUTCOME_GRANTS_UNKNOWN,  // number: the cluster's level, limit: the first one that has them
    OUTCOME_TOO_MANY_GRANTS,
    // Transfers of leadership.
    OUTCOME_NO_SUCH_VOTER,
    OUTCOME_TRANSFER_RUNNING,
    OUTCOME_LEADS_NO_MORE,
    OUTCOME_TRANSFER_FAILED,
    // Snapshots.
    OUTCOME_NO_SNAPSHOT,  // name: the reason
    OUTCOME_TOO_MANY_SNAPSHOTS,
    // Backups.
    OUTCOME_BACKUP_UNREADABLE,  // name: the reason
    OUTCOME_TOO_MANY_BACKUPS,   // limit
    OUTCOME_BACKUP_STALLED,
    OUTCOME_BACKUP_LEAVING,
    // Changes of members. name: the member.
    OUTCOME_CHANGE_PENDING,
    OUTCOME_UNKNOWN_CHANGE,
    OUTCOME_WAS_REMOVED,
    OUTCOME_IS_MEMBER,
    OUTCOME_IS_VOTER,
    OUTCOME_NO_SUCH_MEMBER,
    OUTCOME_ADDRESS_TAKEN,
    OUTCOME_TOO_MANY_MEMBERS,
    OUTCOME_TOO_MANY_REMOVED,
    OUTCOME_LEARNER_BEHIND,
    OUTCOME_LEARNER_TOO_OLD,  // number: the level that it reads, limit: the cluster's
    OUTCOME_NO_MAJORITY_LEFT,
    OUTCOME_MEMBER_TOO_OLD,
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

// "OK", the status's name, or "unknown" if it leaves a write in doubt. For the audit log.
const char *outcome_word(enum outcome outcome);

// The status of outcome_refuse.
enum rpc_status outcome_refusal(const struct error *error);

// Ends a call whose request was refused, with the error's message: INVALID_ARGUMENT; RESOURCE_EXHAUSTED if it is too large
// or memory is short; PERMISSION_DENIED if it is for another cluster or node, of another generation, or not
// permitted to the caller.
void outcome_refuse(struct rpc_server *server, struct rpc_call call, const struct error *error);

// The message alone, as outcome_tell would send it: NUL-terminated, cut to `size`. For tests and for streams.
void outcome_text(enum outcome outcome, const struct outcome_facts *facts, char *text, size_t size);

#endif
