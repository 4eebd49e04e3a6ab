// What the state machine answers and shows: results of commands, items, changes and workers.
#ifndef BATON_STATE_TYPES_H
#define BATON_STATE_TYPES_H

#include <stdbool.h>

#include "base/slice.h"
#include "baton/v1/command.pb.h"
#include "raft/entry.h"

enum state_outcome {
    STATE_DONE,
    STATE_REVISION_MISMATCH,  // `revision` is the key's current one; 0: there is no such key
    STATE_SESSION_EXPIRED,    // an unknown session with sequence > 1, or a result no longer held: outcome unknown
    STATE_SEQUENCE_REUSED,    // the same sequence with another operation or payload
    STATE_TOO_MANY,           // WORKERS_MAX registered; GRANTS_MAX granted, or GRANTS_SUBJECT_MAX of the subject
    STATE_OUTCOME_LAST = STATE_TOO_MANY,
};

struct state_result {
    enum state_outcome outcome;
    uint64_t revision;  // of the change; for a delete of a missing key the entry's index
    bool existed;       // delete: the key existed; access_revoke: something was granted that is no more
    uint64_t epoch;     // register_worker: the worker's; change_workers of level 1: of the last worker it applied to, or 0
    bool repeated;      // a duplicate: the session's result, nothing was changed
};

struct state_item {
    struct slice key;
    struct slice value;
    uint64_t revision;
};

struct state_change {
    bool is_delete;
    struct slice key;
    struct slice value;
    uint64_t revision;
};

struct state_worker {
    struct slice id;
    const struct pb_register_worker_request *registration;  // the last one
    // The fencing token: the index of the entry that registered this instance, or by which it last returned from offline.
    uint64_t epoch;
    uint64_t first_epoch;  // the first one of this registration
    bool online;
    struct slice reason;   // why offline: "missed-heartbeats"; "left", and then until it registers again; empty while online
    uint64_t since_index;  // the entry of the last change
    int64_t seen_unix_ms;  // of its last registration, return or deregistration, by the log
    // The worker's row as long as it is registered, below state_worker_rows(): an index for tables of the caller.
    uint32_t row;
};

struct state_grant {
    struct slice subject;  // "operator/anna", "program/billing"
    struct slice prefix;
    uint32_t verbs;     // enum pb_access_verb
    uint64_t revision;  // of the last change
};

#endif
