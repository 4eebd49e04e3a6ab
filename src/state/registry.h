// The registry of workers: registrations, epochs, and whether each worker is online. All of it comes from the log; when a
// worker was last heard does not, and only the leader knows it.
#ifndef BATON_STATE_REGISTRY_H
#define BATON_STATE_REGISTRY_H

#include "baton/v1/image.pb.h"
#include "state/trie.h"
#include "state/types.h"

struct registered;

struct registry {
    struct trie by_id;    // struct registered, in registry.c
    uint64_t departures;  // times that a worker went offline
    uint64_t digest;      // the sum of all workers' fingerprints
    // The offline workers, longest offline first: when WORKERS_MAX is reached, the first is dropped for a new one.
    struct registered *offline_first;
    struct registered *offline_last;
    // Rows are of this node alone.
    uint32_t rows;               // ever used
    struct registered **by_row;  // NULL: a free row
    uint32_t by_row_cap;
    uint32_t *free_rows;  // of dropped workers, a stack
    size_t free_count;
    size_t free_cap;
};

void registry_init(struct registry *registry);
void registry_free_rows(struct registry *registry);

// The commands of the same names, from the entry `index`.
void registry_register(struct registry *registry, raft_index index, const struct pb_command *command,
                       struct state_result *result);
void registry_change(struct registry *registry, raft_index index, const struct pb_command *command,
                     struct state_result *result);

// See state_worker, state_worker_at and state_workers.
bool registry_get(const struct registry *registry, struct slice id, struct state_worker *worker);
bool registry_get_at(const struct registry *registry, uint32_t row, struct state_worker *worker);
void registry_visit(const struct trie_tree *by_id, struct slice start_after,
                    bool (*visit)(void *user, const struct state_worker *worker), void *user);

// --- images ---

// A worker's part of the digest, made anew of all that it holds now. On any thread.
uint64_t registry_part_of_digest(const struct trie_leaf *leaf);

// The record of a worker in an image, which borrows from the leaf. On any thread.
void registry_save(const struct trie_leaf *leaf, struct pb_image_worker *record);

// Adds the worker of a record, whose id must be above all others. False: what it says is impossible; `*problem` says why.
bool registry_load(struct registry *registry, const struct pb_image_worker *record, const char **problem);

// Orders the loaded offline workers. False: two have one departure, or one is not among registry->departures.
bool registry_loaded(struct registry *registry);

#endif
