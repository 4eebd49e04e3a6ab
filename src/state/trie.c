// The ordered map: state/trie.h. A key is a sequence of symbols: its half bytes, high one first, then its end, which sorts
// before all.
#include "state/trie.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

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

// The index of a symbol's twig, or where it would be inserted.
static size_t twig_index(const struct trie_node *branch, uint32_t symbol) {
    return (size_t)__builtin_popcount(branch->symbols & (symbol - 1));
}

static size_t twig_count(const struct trie_node *branch) {
    return (size_t)__builtin_popcount(branch->symbols);
}

struct trie_leaf *trie_find(const struct trie *trie, struct slice key) {
    if (trie->count == 0) {
        return NULL;
    }
    const struct trie_node *node = &trie->root;
    while (is_branch(node)) {
        uint32_t symbol = symbol_at(key, node->position);
        if ((node->symbols & symbol) == 0) {
            return NULL;
        }
        node = &node->twigs[twig_index(node, symbol)];
    }
    return slice_equal(node->leaf->key, key) ? node->leaf : NULL;
}

// A leaf that shares the longest common prefix with `key`: follows the key at each branch, or any twig where it has none.
static struct trie_leaf *nearest(const struct trie *trie, struct slice key) {
    const struct trie_node *node = &trie->root;
    while (is_branch(node)) {
        uint32_t symbol = symbol_at(key, node->position);
        node = &node->twigs[(node->symbols & symbol) != 0 ? twig_index(node, symbol) : 0];
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

// --- change ---

static void add_twig(struct trie_node *branch, uint32_t symbol, struct trie_node twig) {
    assert((branch->symbols & symbol) == 0);
    size_t count = twig_count(branch);
    size_t at = twig_index(branch, symbol);
    branch->twigs = mem_realloc(branch->twigs, (count + 1) * sizeof *branch->twigs);
    memmove(&branch->twigs[at + 1], &branch->twigs[at], (count - at) * sizeof *branch->twigs);
    branch->twigs[at] = twig;
    branch->symbols |= symbol;
}

void trie_insert(struct trie *trie, struct trie_leaf *leaf) {
    struct trie_node twig = {.leaf = leaf};
    if (trie->count++ == 0) {
        trie->root = twig;
        return;
    }
    const struct trie_leaf *other = nearest(trie, leaf->key);
    uint32_t position = first_difference(leaf->key, other->key);
    assert(position != UINT32_MAX);
    // All keys below the node where this loop stops agree up to `position`.
    struct trie_node *node = &trie->root;
    while (is_branch(node) && node->position < position) {
        node = &node->twigs[twig_index(node, symbol_at(leaf->key, node->position))];
    }
    if (!is_branch(node) || node->position != position) {
        struct trie_node below = *node;
        *node = (struct trie_node){.twigs = NULL, .position = position};
        add_twig(node, symbol_at(other->key, position), below);
    }
    add_twig(node, symbol_at(leaf->key, position), twig);
}

struct trie_leaf *trie_remove(struct trie *trie, struct slice key) {
    if (trie->count == 0) {
        return NULL;
    }
    struct trie_node *parent = NULL;
    struct trie_node *node = &trie->root;
    uint32_t symbol = 0;
    while (is_branch(node)) {
        symbol = symbol_at(key, node->position);
        if ((node->symbols & symbol) == 0) {
            return NULL;
        }
        parent = node;
        node = &node->twigs[twig_index(node, symbol)];
    }
    struct trie_leaf *leaf = node->leaf;
    if (!slice_equal(leaf->key, key)) {
        return NULL;
    }
    trie->count--;
    if (parent == NULL) {
        return leaf;
    }
    size_t count = twig_count(parent);
    size_t at = (size_t)(node - parent->twigs);
    if (count == 2) {  // a branch with one twig becomes that twig
        struct trie_node *twigs = parent->twigs;
        *parent = twigs[1 - at];
        free(twigs);
    } else {
        memmove(node, node + 1, (count - at - 1) * sizeof *node);
        parent->symbols &= ~symbol;
    }
    return leaf;
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
        if (!visit_all(&node->twigs[i], visit)) {
            return false;
        }
    }
    return true;
}

static const struct trie_leaf *first_leaf(const struct trie_node *node) {
    while (is_branch(node)) {
        node = node->twigs;
    }
    return node->leaf;
}

// `node` is on the path of visit->after.
static bool visit_behind(const struct trie_node *node, const struct visit *visit) {
    // Below the divergence, and at a leaf, all keys are on the same side of `after`.
    if (!is_branch(node) || node->position > visit->divergence) {
        return slice_compare(first_leaf(node)->key, visit->after) <= 0 || visit_all(node, visit);
    }
    uint32_t symbol = symbol_at(visit->after, node->position);
    size_t i = twig_index(node, symbol);
    if ((node->symbols & symbol) != 0 && !visit_behind(&node->twigs[i++], visit)) {
        return false;
    }
    for (size_t count = twig_count(node); i < count; i++) {
        if (!visit_all(&node->twigs[i], visit)) {
            return false;
        }
    }
    return true;
}

void trie_visit(const struct trie *trie, struct slice prefix, struct slice after,
                bool (*visit_leaf)(void *user, struct trie_leaf *leaf), void *user) {
    if (trie->count == 0) {
        return;
    }
    const struct trie_node *node = &trie->root;
    while (is_branch(node) && node->position < 2 * prefix.len) {
        uint32_t symbol = symbol_at(prefix, node->position);
        if ((node->symbols & symbol) == 0) {
            return;
        }
        node = &node->twigs[twig_index(node, symbol)];
    }
    // All keys below agree in as many bytes as the prefix has, so one represents all.
    struct slice first = first_leaf(node)->key;
    if (!slice_starts_with(first, prefix)) {
        return;
    }
    struct visit visit = {.visit = visit_leaf, .user = user, .after = after};
    if (slice_compare(after, prefix) < 0 || after.len == 0) {
        visit_all(node, &visit);
    } else if (slice_starts_with(after, prefix)) {
        visit.divergence = first_difference(nearest(trie, after)->key, after);
        visit_behind(node, &visit);
    }
}

static void clear(struct trie_node *node, void (*release)(struct trie_leaf *leaf)) {
    if (!is_branch(node)) {
        release(node->leaf);
        return;
    }
    for (size_t i = 0, count = twig_count(node); i < count; i++) {
        clear(&node->twigs[i], release);
    }
    free(node->twigs);
}

void trie_clear(struct trie *trie, void (*release)(struct trie_leaf *leaf)) {
    if (trie->count != 0) {
        clear(&trie->root, release);
    }
    *trie = (struct trie){.count = 0};
}
