// The key-value store. Key and value are copied into one allocation, which never changes once it is in the map: an overwrite
// replaces it. So a version of the store stays as it is, and what is old holds no memory of its own. A key of 16 bytes with
// a value of 256 takes 348, the map's and malloc's parts included.
#ifndef BATON_STATE_STORE_H
#define BATON_STATE_STORE_H

#include "baton/v1/image.pb.h"
#include "state/trie.h"
#include "state/types.h"

// Zero-initialised but for store_init's part.
struct store {
    struct trie items;  // struct store_item, in store.c
    uint64_t digest;    // the sum of all items' fingerprints
};

void store_init(struct store *store);

// Apply a Put or Delete command of the entry `index`, unless it expects another revision than the key's. True: the store has
// changed.
bool store_put(struct store *store, raft_index index, const struct pb_command *command, struct state_result *result);
bool store_delete(struct store *store, raft_index index, const struct pb_command *command, struct state_result *result);

// See state_get and state_list.
bool store_get(const struct store *store, struct slice key, struct state_item *item);
// `items`: of the store, or of a version.
void store_list(const struct trie_tree *items, struct slice prefix, struct slice start_after,
                bool (*visit)(void *user, const struct state_item *item), void *user);

// An item's part of the digest, made anew of all that it holds now. On any thread.
uint64_t store_part_of_digest(const struct trie_leaf *leaf);

// The record of an item in an image, which borrows from the leaf, and the item of a record. A record's key must be above all
// others.
void store_save(const struct trie_leaf *leaf, struct pb_image_item *record);
void store_load(struct store *store, const struct pb_image_item *record);

#endif
