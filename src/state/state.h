// The replicated state machine: the registry of workers, the key-value store, and the sessions that make writes safe to
// retry. Its only input is committed entries, in order; it is deterministic (no clock, no randomness, no I/O), so all nodes
// that have applied the same entries have the same state.
//
// Values are not copied: the store holds a reference on the log entry that contains them.
#ifndef BATON_STATE_STATE_H
#define BATON_STATE_STATE_H

#include "base/error.h"
#include "base/limits.h"
#include "baton/v1/command.pb.h"
#include "raft/entry.h"

// --- commands: Command of proto/baton/v1/command.proto, decoded by wire/command.h; all slices point into the entry ---

enum state_outcome {
    STATE_DONE,
    STATE_REVISION_MISMATCH,  // `revision` is the key's current one; 0: there is no such key
    STATE_SESSION_EXPIRED,    // an unknown session with sequence > 1, or a result no longer held: outcome unknown
    STATE_SEQUENCE_REUSED,    // the same sequence with another operation or payload
    STATE_TOO_MANY,           // WORKERS_MAX registered
};

struct state_result {
    enum state_outcome outcome;
    uint64_t revision;  // of the change; for a delete of a missing key the entry's index
    bool existed;       // delete: the key existed
    uint64_t epoch;     // register_worker: the worker's; change_workers of level 1: of the last worker it applied to, or 0
    bool repeated;      // a duplicate: the session's result, nothing was changed
};

struct state;

struct state *state_new(void);
void state_free(struct state *state);  // releases all references on entries

// Applies one committed entry's command. `entry` and `command` agree (the caller decoded it); the entry's index must be
// above all earlier ones. Takes the references on the entry that it needs. Cannot fail: a command that cannot be carried out
// has an outcome that says so.
void state_apply(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                 struct state_result *result);

// Advances the last applied index for an entry without a command.
void state_skip(struct state *state, raft_index index);

raft_index state_last_applied(const struct state *state);

// The last command's time; the leader proposes no earlier one.
int64_t state_time_unix_ms(const struct state *state);

// A digest of everything that must be equal on all nodes at one index, independent of memory layout.
uint64_t state_digest(const struct state *state);

// --- key-value store ---

struct state_item {
    struct slice key;
    struct slice value;
    uint64_t revision;
};

// Borrowed until the next state_apply.
bool state_get(const struct state *state, struct slice key, struct state_item *item);

// Visits keys with the prefix that are > start_after, in byte order, until `visit` returns false.
void state_list(const struct state *state, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user);

struct state_change {
    bool is_delete;
    struct slice key;
    struct slice value;
    uint64_t revision;
};

// The oldest revision from which state_history has every change.
uint64_t state_history_from(const struct state *state);

// Visits changes with revision >= from, in order, until `visit` returns false. `from` must be >= state_history_from.
void state_history(const struct state *state, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user);

// --- workers ---

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

// Borrowed until the next state_apply.
bool state_worker(const struct state *state, struct slice id, struct state_worker *worker);

// The same by its row; false if that row is free.
bool state_worker_at(const struct state *state, uint32_t row, struct state_worker *worker);

uint32_t state_worker_rows(const struct state *state);
size_t state_worker_count(const struct state *state);

// Visits the workers with ids > start_after, in id order, until `visit` returns false.
void state_workers(const struct state *state, struct slice start_after,
                   bool (*visit)(void *user, const struct state_worker *worker), void *user);

#endif
