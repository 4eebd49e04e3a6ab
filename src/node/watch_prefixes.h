// The prefixes of the open Watches, so that a change finds the Watches that want it, and touches no other.
#ifndef BATON_NODE_WATCH_PREFIXES_H
#define BATON_NODE_WATCH_PREFIXES_H

#include "base/limits.h"
#include "rpc/list.h"
#include "state/trie.h"

// One prefix, for all Watches that have it.
struct watch_prefix {
    struct trie_leaf leaf;  // its key is the prefix
    size_t users;
    struct rpc_link heads;  // its watches that have everything up to the head, for watches.c
    // Of the changes that watches.c is handing out: the first and last for this prefix, as index + 1; 0: none.
    uint32_t first_due;
    uint32_t last_due;
    uint8_t text[];
};

// Zero-initialised is an empty set.
struct watch_prefixes {
    struct trie by_text;
    size_t of_length[PREFIX_MAX + 1];             // prefixes of each length
    uint64_t lengths[(PREFIX_MAX + 1) / 64 + 1];  // a bit for each length that some prefix has
};

// The prefix of that text (at most PREFIX_MAX bytes, copied), with one more user; made if it is new.
struct watch_prefix *watch_prefixes_take(struct watch_prefixes *set, struct slice text);

// One user less; without any it is freed.
void watch_prefixes_give(struct watch_prefixes *set, struct watch_prefix *prefix);

// Visits all prefixes with which the key begins, the shortest first. One look-up for each length that some prefix has.
void watch_prefixes_match(const struct watch_prefixes *set, struct slice key,
                          void (*visit)(void *user, struct watch_prefix *prefix), void *user);

#endif
