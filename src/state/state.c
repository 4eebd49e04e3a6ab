// The replicated state machine: dispatches each command to the registry or the store.
#include "state/state.h"

#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/mem.h"
#include "state/registry.h"
#include "state/session.h"
#include "state/store.h"

struct state {
    raft_index last_applied;
    int64_t time_unix_ms;  // of the last command; never falls
    struct store store;
    struct sessions sessions;
    struct registry registry;
};

struct state *state_new(void) {
    struct state *state = mem_zalloc(sizeof *state);
    store_init(&state->store);
    return state;
}

void state_free(struct state *state) {
    store_free(&state->store);
    sessions_free(&state->sessions);
    registry_free(&state->registry);
    free(state);
}

static void apply_operation(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                            struct state_result *result) {
    switch (command->op) {
    case PB_COMMAND_OP_PUT:
        store_put(&state->store, entry, command, result);
        break;
    case PB_COMMAND_OP_DELETE:
        store_delete(&state->store, entry, command, result);
        break;
    case PB_COMMAND_OP_REGISTER_WORKER:
        registry_register(&state->registry, entry->id.index, command, result);
        break;
    case PB_COMMAND_OP_CHANGE_WORKERS:
        registry_change(&state->registry, entry->id.index, command, result);
        break;
    case PB_COMMAND_OP_NONE:
        assert(false);  // wire_command_decode refuses it
    }
}

void state_apply(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                 struct state_result *result) {
    state_skip(state, entry->id.index);
    if (command->time_unix_ms > state->time_unix_ms) {
        state->time_unix_ms = command->time_unix_ms;
    }
    *result = (struct state_result){.outcome = STATE_DONE};
    struct session *session = NULL;
    if (command->client_id.len != 0 && !session_admit(&state->sessions, command, &session, result)) {
        return;
    }
    apply_operation(state, entry, command, result);
    if (session != NULL) {
        session_record(session, command, result);
    }
}

void state_skip(struct state *state, raft_index index) {
    assert(index > state->last_applied);
    state->last_applied = index;
}

raft_index state_last_applied(const struct state *state) {
    return state->last_applied;
}

int64_t state_time_unix_ms(const struct state *state) {
    return state->time_unix_ms;
}

static bool digest_item(void *user, const struct state_item *item) {
    uint64_t *digest = user;
    *digest = fingerprint_bytes(fingerprint_bytes(*digest, item->key), item->value);
    *digest = fingerprint_u64(*digest, item->revision);
    return true;
}

uint64_t state_digest(const struct state *state) {
    uint64_t digest = fingerprint_u64(state->last_applied, (uint64_t)state->time_unix_ms);
    store_list(&state->store, slice_of(NULL, 0), slice_of(NULL, 0), digest_item, &digest);
    digest = sessions_digest(&state->sessions, digest);
    return registry_digest(&state->registry, digest);
}

bool state_get(const struct state *state, struct slice key, struct state_item *item) {
    return store_get(&state->store, key, item);
}

void state_list(const struct state *state, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user) {
    store_list(&state->store, prefix, start_after, visit, user);
}

uint64_t state_history_from(const struct state *state) {
    return state->store.history_from;
}

void state_history(const struct state *state, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user) {
    store_history(&state->store, from, visit, user);
}

bool state_worker(const struct state *state, struct slice id, struct state_worker *worker) {
    return registry_get(&state->registry, id, worker);
}

bool state_worker_at(const struct state *state, uint32_t row, struct state_worker *worker) {
    return registry_get_at(&state->registry, row, worker);
}

uint32_t state_worker_rows(const struct state *state) {
    return state->registry.rows;
}

size_t state_worker_count(const struct state *state) {
    return state->registry.by_id.count;
}

void state_workers(const struct state *state, struct slice start_after,
                   bool (*visit)(void *user, const struct state_worker *worker), void *user) {
    registry_visit(&state->registry, start_after, visit, user);
}
