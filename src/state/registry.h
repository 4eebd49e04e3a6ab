// The registry of workers: registrations, epochs, and whether each worker is online. All of it comes from the log; when a
// worker was last heard does not, and only the leader knows it.
#ifndef BATON_STATE_REGISTRY_H
#define BATON_STATE_REGISTRY_H

#include "state/state.h"
#include "state/trie.h"

struct registered;

struct registry {
    struct trie by_id;  // struct registered, in registry.c
    // The offline workers, longest offline first: when WORKERS_MAX is reached, the first is dropped for a new one.
    struct registered *offline_first;
    struct registered *offline_last;
    uint32_t rows;               // ever used
    struct registered **by_row;  // NULL: a free row
    uint32_t by_row_cap;
    uint32_t *free_rows;  // of dropped workers, a stack
    size_t free_count;
    size_t free_cap;
};

void registry_free(struct registry *registry);

// The commands of the same names, from the entry `index`.
void registry_register(struct registry *registry, raft_index index, const struct pb_command *command,
                       struct state_result *result);
void registry_change(struct registry *registry, raft_index index, const struct pb_command *command,
                     struct state_result *result);

// See state_worker, state_worker_at and state_workers.
bool registry_get(const struct registry *registry, struct slice id, struct state_worker *worker);
bool registry_get_at(const struct registry *registry, uint32_t row, struct state_worker *worker);
void registry_visit(const struct registry *registry, struct slice start_after,
                    bool (*visit)(void *user, const struct state_worker *worker), void *user);

uint64_t registry_digest(const struct registry *registry, uint64_t digest);

#endif
