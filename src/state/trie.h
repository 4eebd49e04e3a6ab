// An ordered map from runs of bytes to the caller's structs: a radix tree that branches on half bytes and stores only the
// branches that exist (a "qp-trie": Tony Finch, dotat.at/prog/qp).
//
// Why this one: a look-up costs one step for each place where keys differ and one comparison at its end, whatever prefixes
// the keys share; keys come out in byte order, those with one prefix in one subtree; it has no hash that somebody could
// aim at and no balance to keep; the same keys make the same tree, whatever order they came in.
#ifndef BATON_STATE_TRIE_H
#define BATON_STATE_TRIE_H

#include "base/slice.h"

// The first member of what the map holds. The caller owns it and its key's bytes, and changes neither while it is inside.
struct trie_leaf {
    struct slice key;
};

// A place in the tree.
struct trie_node {
    union {
        struct trie_leaf *leaf;   // symbols == 0
        struct trie_node *twigs;  // symbols != 0: one for each bit set, in order
    };
    uint32_t symbols;   // which symbols branch off here: bit 0 for the key's end, bit 1 + n for the half byte n
    uint32_t position;  // of the half byte that decides here: rises on every way down
};

// Zero-initialised is an empty map.
struct trie {
    struct trie_node root;  // of no meaning when count is 0
    size_t count;
};

// NULL: there is no such key.
struct trie_leaf *trie_find(const struct trie *trie, struct slice key);

// The key must not be there yet.
void trie_insert(struct trie *trie, struct trie_leaf *leaf);

// The leaf, which is no longer in the map; NULL: there was no such key.
struct trie_leaf *trie_remove(struct trie *trie, struct slice key);

// Visits leaves whose keys begin with `prefix` and are > `after` (empty: all), in byte order, until `visit` returns false.
// The map must not change meanwhile.
void trie_visit(const struct trie *trie, struct slice prefix, struct slice after,
                bool (*visit)(void *user, struct trie_leaf *leaf), void *user);

// Hands every leaf to `release` and empties the map.
void trie_clear(struct trie *trie, void (*release)(struct trie_leaf *leaf));

#endif
