// The replicated state machine: dispatches each command to the registry, the store or the grants.
#include "state/state.h"

#include <stdlib.h>

#include "base/mem.h"
#include "state/digest.h"
#include "state/machine.h"
#include "wire/command.h"

// Nodes and changes freed by one call of state_collect: half a millisecond if each misses the caches.
enum { COLLECT_STEP = 2048 };

struct state *state_new(void) {
    struct state *state = mem_zalloc(sizeof *state);
    store_init(&state->store);
    sessions_init(&state->sessions);
    registry_init(&state->registry);
    grants_init(&state->grants);
    state->history.from = 1;
    return state;
}

void state_free(struct state *state) {
    if (state == NULL) {
        return;
    }
    state_free(state->retired);
    trie_free(&state->store.items);
    trie_free(&state->sessions.by_client);
    trie_free(&state->registry.by_id);
    trie_free(&state->grants.by_subject);
    registry_free_rows(&state->registry);
    history_free(&state->history);
    free(state);
}

void state_retire(struct state *state, struct state *successor) {
    trie_clear(&state->store.items);
    trie_clear(&state->sessions.by_client);
    trie_clear(&state->registry.by_id);
    trie_clear(&state->grants.by_subject);
    state_forget_history(state, state->last_applied);
    struct state **end = &successor->retired;
    while (*end != NULL) {
        end = &(*end)->retired;
    }
    *end = state;
}

static bool collect(struct state *state, size_t *budget) {
    return history_collect(&state->history, budget) || trie_collect(&state->store.items, budget) ||
           trie_collect(&state->sessions.by_client, budget) || trie_collect(&state->registry.by_id, budget) ||
           trie_collect(&state->grants.by_subject, budget);
}

bool state_collect(struct state *state) {
    size_t budget = COLLECT_STEP;
    if (collect(state, &budget)) {
        return true;
    }
    struct state *retired = state->retired;
    if (retired != NULL && !collect(retired, &budget)) {
        state->retired = retired->retired;
        retired->retired = NULL;
        state_free(retired);
    }
    return state->retired != NULL;
}

static void apply_operation(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                            struct state_result *result) {
    raft_index index = entry->id.index;
    switch (command->op) {
    case PB_COMMAND_OP_PUT:
        if (store_put(&state->store, index, command, result)) {
            history_add(&state->history, entry, false, command->put.key, command->put.value);
        }
        break;
    case PB_COMMAND_OP_DELETE:
        if (store_delete(&state->store, index, command, result)) {
            history_add(&state->history, entry, true, command->delete.key, slice_of(NULL, 0));
        }
        break;
    case PB_COMMAND_OP_REGISTER_WORKER:
        registry_register(&state->registry, index, command, result);
        break;
    case PB_COMMAND_OP_CHANGE_WORKERS:
        registry_change(&state->registry, index, command, result);
        break;
    case PB_COMMAND_OP_RAISE_LEVEL:
        state->level = command->raise_level.level > state->level ? command->raise_level.level : state->level;
        result->revision = index;
        break;
    case PB_COMMAND_OP_ACCESS_GRANT:
        grants_add(&state->grants, index, command, result);
        break;
    case PB_COMMAND_OP_ACCESS_REVOKE:
        grants_take(&state->grants, index, command, result);
        break;
    case PB_COMMAND_OP_NONE:
        assert(false);  // wire_command_decode refuses it
    }
}

static bool is_write(const struct pb_command *command) {
    return command->op == PB_COMMAND_OP_PUT || command->op == PB_COMMAND_OP_DELETE;
}

// The entry `index` is the last one applied from here on.
static void advance(struct state *state, raft_index index, bool without_effect) {
    assert(index == state->last_applied + 1 && (state->recalled == 0 || state->recalled == state->last_applied));
    state->recalled = 0;
    effects_note(&state->effects, index, without_effect);
    state->last_applied = index;
}

void state_apply(struct state *state, struct raft_entry *entry, const struct pb_command *command,
                 struct state_result *result) {
    if (command->time_unix_ms > state->time_unix_ms) {
        state->time_unix_ms = command->time_unix_ms;
    }
    *result = (struct state_result){.outcome = STATE_DONE};
    uint64_t changes = state->history.end;
    struct session *session = NULL;
    if (command->client_id.len == 0) {
        apply_operation(state, entry, command, result);
    } else if (session_admit(&state->sessions, entry->id.index, command, &session, result)) {
        apply_operation(state, entry, command, result);
        session_record(&state->sessions, session, command, result);
    }
    if (state->level >= COMMAND_LEVEL_SESSION_BYTES) {
        sessions_limit_bytes(&state->sessions);
    }
    state->command_bytes += entry->len;
    advance(state, entry->id.index, is_write(command) && state->history.end == changes);
}

void state_skip(struct state *state, raft_index index) {
    advance(state, index, false);
}

raft_index state_last_applied(const struct state *state) {
    return state->last_applied;
}

int64_t state_time_unix_ms(const struct state *state) {
    return state->time_unix_ms;
}

uint32_t state_level(const struct state *state) {
    return state->level;
}

uint64_t state_command_bytes(const struct state *state) {
    return state->command_bytes;
}

uint64_t state_digest(const struct state *state) {
    uint64_t sum = state->store.digest + state->sessions.digest + state->registry.digest + state->grants.digest;
    return digest_of(sum, state->last_applied, state->time_unix_ms, state->level, state->registry.departures,
                     state->command_bytes);
}

bool state_get(const struct state *state, struct slice key, struct state_item *item) {
    return store_get(&state->store, key, item);
}

size_t state_item_count(const struct state *state) {
    return state->store.items.tree.count;
}

void state_list(const struct state *state, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user) {
    store_list(&state->store.items.tree, prefix, start_after, visit, user);
}

uint64_t state_history_from(const struct state *state) {
    return state->history.from;
}

void state_history(const struct state *state, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user) {
    history_visit(&state->history, from, visit, user);
}

void state_forget_history(struct state *state, raft_index index) {
    history_forget(&state->history, index + 1);
}

void state_recall(struct state *state, struct raft_entry *entry, const struct pb_command *command) {
    raft_index index = entry->id.index;
    assert(index <= state->last_applied && (state->recalled == 0 || index == state->recalled + 1));
    if (state->last_applied - index < HISTORY_IMAGE) {
        state->history.from = state->history.from < index ? state->history.from : index;
        if (command != NULL && is_write(command) && !effects_lacks(&state->effects, index)) {
            bool is_delete = command->op == PB_COMMAND_OP_DELETE;
            history_add(&state->history, entry, is_delete, is_delete ? command->delete.key : command->put.key,
                        is_delete ? slice_of(NULL, 0) : command->put.value);
        }
    }
    state->recalled = index;
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
    return state->registry.by_id.tree.count;
}

void state_workers(const struct state *state, struct slice start_after,
                   bool (*visit)(void *user, const struct state_worker *worker), void *user) {
    registry_visit(&state->registry.by_id.tree, start_after, visit, user);
}

bool state_is_subject(struct slice subject) {
    return grants_is_subject(subject);
}

bool state_is_granted(const struct state *state, struct slice subject, uint32_t verb, struct slice scope) {
    return grants_permit(&state->grants, subject, verb, scope);
}

bool state_has_grant(const struct state *state, struct slice subject) {
    return grants_has(&state->grants, subject);
}

void state_grants(const struct state *state, struct slice subject,
                  bool (*visit)(void *user, const struct state_grant *grant), void *user) {
    grants_visit(&state->grants.by_subject.tree, subject, visit, user);
}
