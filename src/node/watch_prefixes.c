// The prefixes of the open Watches: node/watch_prefixes.h. Watches of one program have prefixes of few lengths, so that a
// change takes few look-ups; however they are chosen, there are at most as many as its key has bytes, and one.
#include "node/watch_prefixes.h"

#include <stdlib.h>

#include "base/mem.h"

static void free_prefix(struct trie_leaf *leaf) {
    free(leaf);
}

struct watch_prefix *watch_prefixes_take(struct watch_prefixes *set, struct slice text) {
    assert(text.len <= PREFIX_MAX);
    struct watch_prefix *prefix = (struct watch_prefix *)trie_find(&set->by_text.tree, text);
    if (prefix == NULL) {
        prefix = mem_zalloc(sizeof *prefix + text.len);
        if (text.len > 0) {
            memcpy(prefix->text, text.data, text.len);
        }
        prefix->leaf.key_offset = offsetof(struct watch_prefix, text);
        prefix->leaf.key_len = (uint16_t)text.len;
        rpc_list_init(&prefix->heads);
        set->by_text.destroy = free_prefix;
        trie_insert(&set->by_text, &prefix->leaf);
        set->of_length[text.len]++;
        set->lengths[text.len / 64] |= UINT64_C(1) << text.len % 64;
    }
    prefix->users++;
    return prefix;
}

void watch_prefixes_give(struct watch_prefixes *set, struct watch_prefix *prefix) {
    assert(prefix->users > 0);
    if (--prefix->users > 0) {
        return;
    }
    assert(rpc_list_empty(&prefix->heads) && prefix->first_due == 0);
    size_t len = prefix->leaf.key_len;
    if (--set->of_length[len] == 0) {
        set->lengths[len / 64] &= ~(UINT64_C(1) << len % 64);
    }
    trie_remove(&set->by_text, trie_key(&prefix->leaf));  // and frees it
}

void watch_prefixes_match(const struct watch_prefixes *set, struct slice key,
                          void (*visit)(void *user, struct watch_prefix *prefix), void *user) {
    for (size_t word = 0; word <= key.len / 64 && word < sizeof set->lengths / sizeof set->lengths[0]; word++) {
        for (uint64_t left = set->lengths[word]; left != 0; left &= left - 1) {
            size_t len = word * 64 + (size_t)__builtin_ctzll(left);
            if (len > key.len) {
                return;
            }
            struct trie_leaf *found = trie_find(&set->by_text.tree, slice_of(key.data, len));
            if (found != NULL) {
                visit(user, (struct watch_prefix *)found);
            }
        }
    }
}
