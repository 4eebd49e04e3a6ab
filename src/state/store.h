// The key-value store and the history of its changes. Keys are copied; values stay in the log entries that wrote them, which
// the store references.
#ifndef BATON_STATE_STORE_H
#define BATON_STATE_STORE_H

#include "state/state.h"
#include "state/trie.h"

struct store_change;

struct store {
    struct trie items;             // struct store_item, in store.c
    struct store_change *history;  // a ring of HISTORY_MAX
    size_t history_first;          // the oldest change held
    size_t history_count;
    uint64_t history_from;  // all changes from this revision on are held
};

void store_init(struct store *store);
void store_free(struct store *store);

// Apply a Put or Delete command, unless it expects another revision than the key's.
void store_put(struct store *store, struct raft_entry *entry, const struct pb_command *command, struct state_result *result);
void store_delete(struct store *store, struct raft_entry *entry, const struct pb_command *command,
                  struct state_result *result);

// See state_get, state_list and state_history.
bool store_get(const struct store *store, struct slice key, struct state_item *item);
void store_list(const struct store *store, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user);
void store_history(const struct store *store, uint64_t from, bool (*visit)(void *user, const struct state_change *change),
                   void *user);

#endif
