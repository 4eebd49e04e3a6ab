// An ordered map from byte strings to the caller's structs: a radix tree that branches on half bytes and stores only the
// branches that exist (a "qp-trie": Tony Finch, dotat.at/prog/qp).
//
// Why a trie: a look-up takes one step for each position at which keys differ, and one comparison, however long their common
// prefixes; keys come out in byte order, and those with one prefix are one subtree; there is no hash to attack and no
// rebalancing; the same keys make the same tree in whatever order they are inserted.
#ifndef BATON_STATE_TRIE_H
#define BATON_STATE_TRIE_H

#include "base/slice.h"

// The first member of what the map holds. The caller owns it and its key's bytes, and changes neither while it is inside.
struct trie_leaf {
    struct slice key;
};

// A node of the tree: a leaf or a branch.
struct trie_node {
    union {
        struct trie_leaf *leaf;   // symbols == 0
        struct trie_node *twigs;  // symbols != 0: one for each bit set, in order
    };
    uint32_t symbols;   // of the twigs: bit 0 for the key's end, bit 1 + n for the half byte n
    uint32_t position;  // of the half byte that selects a twig; rises towards the leaves
};

// Zero-initialised is an empty map.
struct trie {
    struct trie_node root;  // unused when count is 0
    size_t count;
};

// NULL: no such key.
struct trie_leaf *trie_find(const struct trie *trie, struct slice key);

// The key must not be in the map.
void trie_insert(struct trie *trie, struct trie_leaf *leaf);

// Removes and returns the leaf; NULL: no such key.
struct trie_leaf *trie_remove(struct trie *trie, struct slice key);

// Visits leaves whose keys begin with `prefix` and are > `after` (empty: all), in byte order, until `visit` returns false.
// The map must not change meanwhile.
void trie_visit(const struct trie *trie, struct slice prefix, struct slice after,
                bool (*visit)(void *user, struct trie_leaf *leaf), void *user);

// Empties the map and calls `release` for every leaf.
void trie_clear(struct trie *trie, void (*release)(struct trie_leaf *leaf));

#endif
