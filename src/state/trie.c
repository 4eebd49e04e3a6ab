// The ordered map: state/trie.h. A key is a sequence of symbols: its half bytes, high one first, then its end, which sorts
// before all.
#include "state/trie.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"

// The twigs of a branch. As large as they are many: a branch of a tree that shrinks holds no room.
struct trie_twigs {
    uint32_t refs;  // of the branches, of the map and its versions, that have these twigs
    struct trie_node nodes[];
};

static_assert(sizeof(struct trie_twigs) == 8 && sizeof(struct trie_node) == 16, "malloc's chunks are filled without a gap");

// The bit of the key's symbol at a position.
static uint32_t symbol_at(struct slice key, uint32_t position) {
    size_t byte = position / 2;
    if (byte >= key.len) {
        return 1;
    }
    unsigned half = position % 2 == 0 ? key.data[byte] >> 4 : key.data[byte] & 15;
    return 2u << half;
}

static bool is_branch(const struct trie_node *node) {
    return node->symbols != 0;
}

// The number of bits that are set, summed in pairs, then in fours and so on. The builtin would be a call of a library's
// function, since not every processor that this is built for has the instruction.
static size_t bits_set(uint32_t bits) {
    bits -= bits >> 1 & 0x55555555;
    bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
    return (size_t)(((bits + (bits >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24);
}

// The index of a symbol's twig, or where it would be inserted.
static size_t twig_index(const struct trie_node *branch, uint32_t symbol) {
    return bits_set(branch->symbols & (symbol - 1));
}

static size_t twig_count(const struct trie_node *branch) {
    return bits_set(branch->symbols);
}

struct trie_leaf *trie_find(const struct trie_tree *tree, struct slice key) {
    if (tree->count == 0) {
        return NULL;
    }
    const struct trie_node *node = &tree->root;
    while (is_branch(node)) {
        uint32_t symbol = symbol_at(key, node->position);
        if ((node->symbols & symbol) == 0) {
            return NULL;
        }
        node = &node->twigs->nodes[twig_index(node, symbol)];
    }
    return slice_equal(trie_key(node->leaf), key) ? node->leaf : NULL;
}

// A leaf that shares the longest common prefix with `key`: follows the key at each branch, or any twig where it has none.
static struct trie_leaf *nearest(const struct trie_tree *tree, struct slice key) {
    const struct trie_node *node = &tree->root;
    while (is_branch(node)) {
        uint32_t symbol = symbol_at(key, node->position);
        node = &node->twigs->nodes[(node->symbols & symbol) != 0 ? twig_index(node, symbol) : 0];
    }
    return node->leaf;
}

// The first position at which two keys differ; UINT32_MAX if they are equal.
static uint32_t first_difference(struct slice a, struct slice b) {
    size_t common = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    while (i < common && a.data[i] == b.data[i]) {
        i++;
    }
    if (i == common) {
        return a.len == b.len ? UINT32_MAX : (uint32_t)(2 * i);
    }
    return (uint32_t)(2 * i) + ((a.data[i] ^ b.data[i]) < 16);
}

// --- references ---

static uint32_t *refs_of(const struct trie_node *node) {
    return is_branch(node) ? &node->twigs->refs : &node->leaf->refs;
}

static void ref(const struct trie_node *node) {
    uint32_t *refs = refs_of(node);
    assert(*refs > 0 && *refs < UINT32_MAX);
    ++*refs;
}

static void unref_leaf(struct trie *trie, struct trie_leaf *leaf) {
    assert(leaf->refs > 0);
    if (--leaf->refs == 0) {
        trie->destroy(leaf);
    }
}

static struct trie_twigs *twigs_alloc(struct trie_twigs *old, size_t count) {
    return mem_realloc(old, sizeof *old + count * sizeof old->nodes[0]);
}

// The twigs of a branch that only the present tree refers to, for changing them. Of one that a version shares they are
// copied first; the copy refers to each twig as well, so that these are shared from then on.
static struct trie_node *own_twigs(struct trie_node *branch) {
    struct trie_twigs *twigs = branch->twigs;
    if (twigs->refs > 1) {
        size_t count = twig_count(branch);
        struct trie_twigs *copy = twigs_alloc(NULL, count);
        copy->refs = 1;
        for (size_t i = 0; i < count; i++) {
            ref(&twigs->nodes[i]);
            copy->nodes[i] = twigs->nodes[i];
        }
        twigs->refs--;
        branch->twigs = copy;
    }
    return branch->twigs->nodes;
}

// --- change: a pointer to a node that is to be changed is to the root, or into twigs that the tree owns ---

static void add_twig(struct trie_node *branch, uint32_t symbol, struct trie_node twig) {
    assert((branch->symbols & symbol) == 0);
    own_twigs(branch);
    size_t count = twig_count(branch);
    size_t at = twig_index(branch, symbol);
    branch->twigs = twigs_alloc(branch->twigs, count + 1);
    struct trie_node *nodes = branch->twigs->nodes;
    memmove(&nodes[at + 1], &nodes[at], (count - at) * sizeof nodes[0]);
    nodes[at] = twig;
    branch->symbols |= symbol;
}

// Makes a node a branch at a position above it, with itself as one twig and `twig` as the other.
static void split(struct trie_node *node, uint32_t position, uint32_t symbol, struct trie_node twig, uint32_t twig_symbol) {
    struct trie_twigs *twigs = twigs_alloc(NULL, 2);
    twigs->refs = 1;
    twigs->nodes[symbol < twig_symbol ? 0 : 1] = *node;
    twigs->nodes[symbol < twig_symbol ? 1 : 0] = twig;
    *node = (struct trie_node){.twigs = twigs, .symbols = symbol | twig_symbol, .position = position};
}

void trie_insert(struct trie *trie, struct trie_leaf *leaf) {
    struct slice key = trie_key(leaf);
    struct trie_node twig = {.leaf = leaf};
    leaf->refs = 1;
    if (trie->tree.count++ == 0) {
        trie->tree.root = twig;
        return;
    }
    struct slice other = trie_key(nearest(&trie->tree, key));
    uint32_t position = first_difference(key, other);
    assert(position != UINT32_MAX);
    // All keys below the node where this loop stops agree up to `position`.
    struct trie_node *node = &trie->tree.root;
    while (is_branch(node) && node->position < position) {
        node = &own_twigs(node)[twig_index(node, symbol_at(key, node->position))];
    }
    if (is_branch(node) && node->position == position) {
        add_twig(node, symbol_at(key, position), twig);
    } else {
        split(node, position, symbol_at(other, position), twig, symbol_at(key, position));
    }
}

struct trie_leaf **trie_place(struct trie *trie, struct slice key) {
    if (trie->tree.count == 0) {
        return NULL;
    }
    struct trie_node *node = &trie->tree.root;
    while (is_branch(node)) {
        uint32_t symbol = symbol_at(key, node->position);
        if ((node->symbols & symbol) == 0) {
            return NULL;
        }
        node = &own_twigs(node)[twig_index(node, symbol)];
    }
    return slice_equal(trie_key(node->leaf), key) ? &node->leaf : NULL;
}

void trie_replace(struct trie *trie, struct trie_leaf **place, struct trie_leaf *leaf) {
    struct trie_leaf *old = *place;
    assert(slice_equal(trie_key(old), trie_key(leaf)));
    leaf->refs = 1;
    *place = leaf;
    unref_leaf(trie, old);
}

static void remove_twig(struct trie_node *branch, size_t at, uint32_t symbol) {
    struct trie_twigs *twigs = branch->twigs;
    assert(twigs->refs == 1);
    size_t count = twig_count(branch);
    if (count == 2) {  // a branch with one twig becomes that twig
        *branch = twigs->nodes[1 - at];
        free(twigs);
        return;
    }
    memmove(&twigs->nodes[at], &twigs->nodes[at + 1], (count - at - 1) * sizeof twigs->nodes[0]);
    branch->twigs = twigs_alloc(twigs, count - 1);
    branch->symbols &= ~symbol;
}

void trie_remove(struct trie *trie, struct slice key) {
    assert(trie->tree.count > 0);
    struct trie_node *branch = NULL;
    struct trie_node *node = &trie->tree.root;
    size_t at = 0;
    uint32_t symbol = 0;
    while (is_branch(node)) {
        branch = node;
        symbol = symbol_at(key, branch->position);
        assert((branch->symbols & symbol) != 0);
        at = twig_index(branch, symbol);
        node = &own_twigs(branch)[at];
    }
    struct trie_leaf *leaf = node->leaf;
    assert(slice_equal(trie_key(leaf), key));
    trie->tree.count--;
    if (branch != NULL) {
        remove_twig(branch, at, symbol);
    }
    unref_leaf(trie, leaf);
}

// --- visits; the depth of recursion is at most that of the tree, two steps for each byte of a key ---

struct visit {
    bool (*visit)(void *user, struct trie_leaf *leaf);
    void *user;
    struct slice after;
    uint32_t divergence;  // where `after` diverges from the keys of the tree
};

static bool visit_all(const struct trie_node *node, const struct visit *visit) {
    if (!is_branch(node)) {
        return visit->visit(visit->user, node->leaf);
    }
    for (size_t i = 0, count = twig_count(node); i < count; i++) {
        if (!visit_all(&node->twigs->nodes[i], visit)) {
            return false;
        }
    }
    return true;
}

static const struct trie_leaf *first_leaf(const struct trie_node *node) {
    while (is_branch(node)) {
        node = node->twigs->nodes;
    }
    return node->leaf;
}

// `node` is on the path of visit->after.
static bool visit_behind(const struct trie_node *node, const struct visit *visit) {
    // Below the divergence, and at a leaf, all keys are on the same side of `after`.
    if (!is_branch(node) || node->position > visit->divergence) {
        return slice_compare(trie_key(first_leaf(node)), visit->after) <= 0 || visit_all(node, visit);
    }
    uint32_t symbol = symbol_at(visit->after, node->position);
    size_t i = twig_index(node, symbol);
    if ((node->symbols & symbol) != 0 && !visit_behind(&node->twigs->nodes[i++], visit)) {
        return false;
    }
    for (size_t count = twig_count(node); i < count; i++) {
        if (!visit_all(&node->twigs->nodes[i], visit)) {
            return false;
        }
    }
    return true;
}

void trie_visit(const struct trie_tree *tree, struct slice prefix, struct slice after,
                bool (*visit_leaf)(void *user, struct trie_leaf *leaf), void *user) {
    if (tree->count == 0) {
        return;
    }
    const struct trie_node *node = &tree->root;
    while (is_branch(node) && node->position < 2 * prefix.len) {
        uint32_t symbol = symbol_at(prefix, node->position);
        if ((node->symbols & symbol) == 0) {
            return;
        }
        node = &node->twigs->nodes[twig_index(node, symbol)];
    }
    // All keys below agree in as many bytes as the prefix has, so one represents all.
    struct slice first = trie_key(first_leaf(node));
    if (!slice_starts_with(first, prefix)) {
        return;
    }
    struct visit visit = {.visit = visit_leaf, .user = user, .after = after};
    if (slice_compare(after, prefix) < 0 || after.len == 0) {
        visit_all(node, &visit);
    } else if (slice_starts_with(after, prefix)) {
        visit.divergence = first_difference(trie_key(nearest(tree, after)), after);
        visit_behind(node, &visit);
    }
}

// --- versions ---

struct trie_tree trie_share(struct trie *trie) {
    if (trie->tree.count > 0) {
        ref(&trie->tree.root);
    }
    return trie->tree;
}

static void drop(struct trie *trie, struct trie_node node) {
    array_reserve(trie->dropped, trie->dropped_cap, trie->dropped_count + 1);
    trie->dropped[trie->dropped_count++] = node;
}

void trie_drop(struct trie *trie, struct trie_tree version) {
    if (version.count > 0) {
        drop(trie, version.root);
    }
}

void trie_clear(struct trie *trie) {
    trie_drop(trie, trie->tree);
    trie->tree = (struct trie_tree){.count = 0};
}

// Takes back one reference; the twigs of a branch to which nothing refers any more are dropped in its place.
static void collect_one(struct trie *trie) {
    struct trie_node node = trie->dropped[--trie->dropped_count];
    if (!is_branch(&node)) {
        unref_leaf(trie, node.leaf);
        return;
    }
    assert(node.twigs->refs > 0);
    if (--node.twigs->refs > 0) {
        return;
    }
    for (size_t i = 0, count = twig_count(&node); i < count; i++) {
        __builtin_prefetch(refs_of(&node.twigs->nodes[i]));
        drop(trie, node.twigs->nodes[i]);
    }
    free(node.twigs);
}

bool trie_collect(struct trie *trie, size_t *budget) {
    for (; trie->dropped_count > 0 && *budget > 0; --*budget) {
        collect_one(trie);
    }
    if (trie->dropped_count > 0) {
        return true;
    }
    free(trie->dropped);
    trie->dropped = NULL;
    trie->dropped_cap = 0;
    return false;
}

void trie_free(struct trie *trie) {
    trie_clear(trie);
    size_t budget = SIZE_MAX;  // more than there can be
    trie_collect(trie, &budget);
}
