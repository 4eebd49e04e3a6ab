// The registry of workers: who has registered, under which epoch, and whether it is online. What happens to a worker is in
// the log; when it was last heard is not, and is the leader's own business.
#ifndef BATON_STATE_REGISTRY_H
#define BATON_STATE_REGISTRY_H

#include "state/state.h"
#include "state/trie.h"

struct registered;

struct registry {
    struct trie by_id;  // struct registered, in registry.c
    // Those offline, in the order in which they went: when WORKERS_MAX is reached, the first is dropped for a new one.
    struct registered *offline_first;
    struct registered *offline_last;
    uint32_t slots;               // handed out so far
    struct registered **by_slot;  // NULL where nobody is
    uint32_t by_slot_cap;
    uint32_t *free_slots;  // of workers dropped, the last freed first
    size_t free_count;
    size_t free_cap;
};

void registry_free(struct registry *registry);

// The commands of the same names, from the entry `index`.
void registry_register(struct registry *registry, raft_index index, const struct state_command *command,
                       struct state_result *result);
void registry_change(struct registry *registry, raft_index index, const struct state_command *command,
                     struct state_result *result);

// As state_worker, state_worker_at and state_workers say.
bool registry_get(const struct registry *registry, struct slice id, struct state_worker *worker);
bool registry_get_at(const struct registry *registry, uint32_t slot, struct state_worker *worker);
void registry_visit(const struct registry *registry, struct slice start_after,
                    bool (*visit)(void *user, const struct state_worker *worker), void *user);

uint64_t registry_digest(const struct registry *registry, uint64_t digest);

#endif
