// An ordered map from byte strings to the caller's structs, whose past versions can be kept: a radix tree that branches on
// half bytes and stores only the branches that exist (a "qp-trie": Tony Finch, dotat.at/prog/qp).
//
// Why a trie: a look-up takes one step for each position at which keys differ, and one comparison, however long their common
// prefixes; keys come out in byte order, and those with one prefix are one subtree; there is no hash to attack and no
// rebalancing; the same keys make the same tree in whatever order they are inserted.
//
// A version is the tree as it was when trie_share returned it, and costs one reference on its root. Branches and leaves
// count who refers to them. A change copies what a version shares on the path to its key, and changes in place what none
// does.
//
// Threads: one thread changes the map, shares and takes back versions; only there are counts read or written. Another thread
// may read a version meanwhile, with the functions that take a const struct trie_tree, since nothing that they read changes
// as long as the version is kept.
//
// Memory with a million random keys: 28 bytes a key besides the leaf, malloc's part included.
#ifndef BATON_STATE_TRIE_H
#define BATON_STATE_TRIE_H

#include "base/slice.h"

// The first member of what the map holds, which is allocated by itself. The key's bytes are in the same piece of memory. A
// leaf that anything else may refer to (trie_is_shared) is not changed, but replaced by a changed copy.
struct trie_leaf {
    uint32_t refs;  // trie_insert sets it; 0: gone
    uint16_t key_len;
    uint16_t key_offset;  // from the leaf's first byte
};

struct trie_twigs;

// A node of the tree: a leaf or a branch.
struct trie_node {
    union {
        struct trie_leaf *leaf;    // symbols == 0
        struct trie_twigs *twigs;  // symbols != 0: one for each bit set, in order
    };
    uint32_t symbols;   // of the twigs: bit 0 for the key's end, bit 1 + n for the half byte n
    uint32_t position;  // of the half byte that selects a twig; rises towards the leaves
};

// The map at one moment: the present one of a struct trie, or a version.
struct trie_tree {
    struct trie_node root;  // unused when count is 0
    size_t count;           // of keys
};

// Zero-initialised but for `destroy` it is an empty map.
struct trie {
    struct trie_tree tree;
    void (*destroy)(struct trie_leaf *leaf);  // frees a leaf to which nothing refers any more
    struct trie_node *dropped;                // references to take back: see trie_collect
    size_t dropped_count;
    size_t dropped_cap;
};

static inline struct slice trie_key(const struct trie_leaf *leaf) {
    return slice_of((const uint8_t *)leaf + leaf->key_offset, leaf->key_len);
}

static inline bool trie_is_shared(const struct trie_leaf *leaf) {
    return leaf->refs > 1;
}

// --- reading, on any thread ---

// NULL: no such key.
struct trie_leaf *trie_find(const struct trie_tree *tree, struct slice key);

// Visits leaves whose keys begin with `prefix` and are > `after` (empty: all), in byte order, until `visit` returns false.
// The tree must not change meanwhile. To go on later, give the last key as `after`: it takes one descent.
void trie_visit(const struct trie_tree *tree, struct slice prefix, struct slice after,
                bool (*visit)(void *user, struct trie_leaf *leaf), void *user);

// --- change ---

// Adds a leaf, which the map owns from then on. Its key must not be in the map.
void trie_insert(struct trie *trie, struct trie_leaf *leaf);

// The place of the key's leaf, on a path that no version shares, so that trie_replace may set it; NULL: no such key. Valid
// until the next change of the map. A leaf whose path was shared is shared itself from then on (trie_is_shared).
struct trie_leaf **trie_place(struct trie *trie, struct slice key);

// Puts a leaf of the same key in its place. The map owns the new one and lets go of the old one.
void trie_replace(struct trie *trie, struct trie_leaf **place, struct trie_leaf *leaf);

// Removes a key, which must be in the map, and lets go of its leaf.
void trie_remove(struct trie *trie, struct slice key);

// --- versions ---

// The present tree as a version, to be given back by trie_drop. Takes no time that depends on the number of keys.
struct trie_tree trie_share(struct trie *trie);

// Takes back a version, of this map or of another one with leaves of the same kind. What nothing else refers to is freed by
// trie_collect, since it may be the whole tree.
void trie_drop(struct trie *trie, struct trie_tree version);

// Empties the map in the same way.
void trie_clear(struct trie *trie);

// Frees what was dropped, `*budget` nodes at most, and lowers *budget by their number. False: nothing is left to free. A
// node takes about 0.2 us, since most are in no cache any more.
bool trie_collect(struct trie *trie, size_t *budget);

// Empties the map and frees everything that no version of another owner holds, however long that takes.
void trie_free(struct trie *trie);

#endif
