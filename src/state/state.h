// The replicated state machine: the registry of workers, the key-value store, and the sessions that make writes safe to
// repeat. Fed only by committed entries, in order; deterministic (no clock, no random source, no I/O), so that every node
// that has applied the same entries holds the same state.
//
// Values are not copied: the store keeps a reference on the log entry that holds them.
#ifndef BATON_STATE_STATE_H
#define BATON_STATE_STATE_H

#include "base/error.h"
#include "base/limits.h"
#include "raft/entry.h"

// --- commands (decoded from entries by wire/command.h; all slices point into the entry) ---

struct state_label {
    struct slice key;
    struct slice value;
};

struct state_worker_change {
    struct slice worker_id;
    uint64_t epoch;
    bool online;
    struct slice reason;  // "missed-heartbeats", "left"; empty when online
};

enum state_operation { STATE_PUT = 1, STATE_DELETE, STATE_REGISTER_WORKER, STATE_CHANGE_WORKERS };

struct state_command {
    int64_t time_unix_ms;
    struct slice client_id;  // empty: no deduplication
    uint64_t sequence;
    uint64_t acknowledged_below;
    enum state_operation operation;
    union {
        struct {
            struct slice key;
            struct slice value;
            bool has_expected;
            uint64_t expected_revision;
        } put;
        struct {
            struct slice key;
            bool has_expected;
            uint64_t expected_revision;
        } delete;
        struct {
            struct slice worker_id;
            struct slice instance_id;
            struct slice address;
            struct slice cloud;
            uint32_t slots;
            const struct state_label *labels;
            size_t label_count;
        } register_worker;
        struct {
            const struct state_worker_change *changes;
            size_t count;
        } change_workers;
    };
};

enum state_outcome {
    STATE_DONE,
    STATE_REVISION_MISMATCH,  // `revision` is the key's current one, 0: there is no such key
    STATE_SESSION_EXPIRED,    // an unknown session with sequence > 1, or a result no longer kept: outcome unknown
    STATE_SEQUENCE_REUSED,    // the same sequence with another operation or payload
    STATE_TOO_MANY,           // WORKERS_MAX registered
};

struct state_result {
    enum state_outcome outcome;
    uint64_t revision;  // of the change; for a delete of a missing key the entry's index
    bool existed;       // delete: there was such a key
    uint64_t epoch;     // register_worker
    bool repeated;      // answered from the session's results: nothing was changed
};

struct state;

struct state *state_new(void);
void state_free(struct state *state);  // drops all references on entries

// Applies one committed entry's command. `entry` and `command` agree (the caller decoded it); the entry's index must be
// above all before. Takes references on the entry as it needs. Cannot fail: what the command asks for and cannot have is an
// outcome.
void state_apply(struct state *state, struct raft_entry *entry, const struct state_command *command,
                 struct state_result *result);

// Entries that carry no command only move this on.
void state_skip(struct state *state, raft_index index);

raft_index state_last_applied(const struct state *state);

// The last command's time; the leader proposes none below it.
int64_t state_time_unix_ms(const struct state *state);

// A fingerprint of everything that must be equal on all nodes at one index, independent of memory layout.
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

// The oldest revision from which state_history can tell every change.
uint64_t state_history_from(const struct state *state);

// Visits changes with revision >= from, in order, until `visit` returns false. `from` must be >= state_history_from.
void state_history(const struct state *state, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user);

// --- workers ---

struct state_worker {
    struct slice id;
    struct slice instance_id;
    struct slice address;
    struct slice cloud;
    uint32_t slots;
    const struct state_label *labels;
    size_t label_count;
    uint64_t epoch;  // the index of the entry that registered this instance: rises with each new one
    bool online;
    struct slice reason;   // why offline: "missed-heartbeats"; "left", and then until it registers again; empty while online
    uint64_t since_index;  // the entry of the last change
    // A small number that names the worker as long as it is registered, below state_worker_slots(): for tables beside this
    // one.
    uint32_t slot;
};

// Borrowed until the next state_apply.
bool state_worker(const struct state *state, struct slice id, struct state_worker *worker);

// The same by its slot; false if that slot is free.
bool state_worker_at(const struct state *state, uint32_t slot, struct state_worker *worker);

uint32_t state_worker_slots(const struct state *state);
size_t state_worker_count(const struct state *state);

// Visits those whose ids are > start_after, in id order, until `visit` returns false.
void state_workers(const struct state *state, struct slice start_after,
                   bool (*visit)(void *user, const struct state_worker *worker), void *user);

#endif
