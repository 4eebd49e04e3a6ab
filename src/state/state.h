// The replicated state machine: the registry of workers, the key-value store, the sessions that make writes safe to retry,
// and the grants of who may do what. Its only input is committed entries, in order; it is deterministic (no clock, no
// randomness, no I/O), so all nodes that have applied the same entries have the same state.
//
// Nothing of it refers to log entries but the history of changes, which has those of the log's kept tail.
#ifndef BATON_STATE_STATE_H
#define BATON_STATE_STATE_H

#include "base/error.h"
#include "base/limits.h"
#include "baton/v1/command.pb.h"
#include "raft/entry.h"
#include "state/types.h"

struct state;

struct state *state_new(void);

// Releases all references on entries, and frees what no version holds (state/image.h), however long that takes.
void state_free(struct state *state);

// Frees the state in steps, by state_collect of another one, the one that takes its place.
void state_retire(struct state *state, struct state *successor);

// Frees a part of what is not needed any more: versions given back, a retired state, forgotten changes. At most about 1 ms;
// the caller calls it once a turn. False: nothing is left to free.
bool state_collect(struct state *state);

// --- commands: Command of proto/baton/v1/command.proto, decoded by wire/command.h; all slices point into the entry ---

// Applies one committed entry's command. `entry` and `command` agree (the caller decoded it); the entry must be the next
// one of the log. The history takes a reference on the entry, if it changes the store. Cannot fail: a command that cannot be
// carried out has an outcome that says so.
void state_apply(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                 struct state_result *result);

// The same for an entry without a command.
void state_skip(struct state *state, raft_index index);

raft_index state_last_applied(const struct state *state);

// The last command's time; the leader proposes no earlier one.
int64_t state_time_unix_ms(const struct state *state);

// The cluster's level: 0 until a command raises it, and never falls (enum command_level in wire/command.h).
uint32_t state_level(const struct state *state);

// The bytes of all commands that were ever applied: what tells places of the log apart, the same on every node.
uint64_t state_command_bytes(const struct state *state);

// A digest of everything that must be equal on all nodes at one index, independent of memory layout. Kept up to date at each
// change (state/digest.h), so asking costs nothing.
uint64_t state_digest(const struct state *state);

// --- key-value store ---

// Borrowed until the next state_apply.
bool state_get(const struct state *state, struct slice key, struct state_item *item);

size_t state_item_count(const struct state *state);

// Visits keys with the prefix that are > start_after, in byte order, until `visit` returns false.
void state_list(const struct state *state, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user);

// The oldest revision from which state_history has every change.
uint64_t state_history_from(const struct state *state);

// Visits changes with revision >= from, in order, until `visit` returns false. `from` must be >= state_history_from.
void state_history(const struct state *state, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user);

// The log was compacted: drops the changes of entries up to `index`. Their references are released by state_collect.
void state_forget_history(struct state *state, raft_index index);

// For a state that was loaded from an image, before it applies any entry: fills the history with the log's tail before the
// image. Called for each entry of the tail in order, the image's own the last; `command` is NULL for one without a command.
// Nothing but the history changes. Those more than HISTORY_IMAGE before the image's are passed over.
void state_recall(struct state *state, struct raft_entry *entry, const struct pb_command *command);

// --- workers ---

// Borrowed until the next state_apply.
bool state_worker(const struct state *state, struct slice id, struct state_worker *worker);

// The same by its row; false if that row is free.
bool state_worker_at(const struct state *state, uint32_t row, struct state_worker *worker);

uint32_t state_worker_rows(const struct state *state);
size_t state_worker_count(const struct state *state);

// Visits the workers with ids > start_after, in id order, until `visit` returns false.
void state_workers(const struct state *state, struct slice start_after,
                   bool (*visit)(void *user, const struct state_worker *worker), void *user);

// --- grants: who may do what ---

// Whether it is operator/NAME or program/NAME, which can be granted something.
bool state_is_subject(struct slice subject);

// Whether the subject has been granted the verb (enum pb_access_verb) for all keys that begin with `scope`, or for that key.
bool state_is_granted(const struct state *state, struct slice subject, uint32_t verb, struct slice scope);

// Whether it has been granted anything.
bool state_has_grant(const struct state *state, struct slice subject);

// Visits the grants of the subject (empty: all), by subject and prefix, until `visit` returns false. Borrowed until the next
// state_apply.
void state_grants(const struct state *state, struct slice subject,
                  bool (*visit)(void *user, const struct state_grant *grant), void *user);

#endif
