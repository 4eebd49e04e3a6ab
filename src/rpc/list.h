// An intrusive doubly linked list. An empty list, and a link that is in no list, points to itself.
#ifndef BATON_RPC_LIST_H
#define BATON_RPC_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct rpc_link {
    struct rpc_link *prev;
    struct rpc_link *next;
};

// The struct that holds `link` as its `member`.
#define rpc_container(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void rpc_list_init(struct rpc_link *link) {
    link->prev = link->next = link;
}

static inline bool rpc_list_empty(const struct rpc_link *list) {
    return list->next == list;
}

// Appends a link that is in no list: initialised, removed, or all zero.
static inline void rpc_list_push(struct rpc_link *list, struct rpc_link *link) {
    assert(link->next == NULL || link->next == link);
    assert(list->next->prev == list && list->prev->next == list);
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

// No effect on a link that is in no list.
static inline void rpc_list_remove(struct rpc_link *link) {
    link->prev->next = link->next;
    link->next->prev = link->prev;
    rpc_list_init(link);
}

// NULL: the list is empty.
static inline struct rpc_link *rpc_list_first(const struct rpc_link *list) {
    return rpc_list_empty(list) ? NULL : list->next;
}

// Moves all links of `from` to `to`, which need not be initialised.
static inline void rpc_list_move(struct rpc_link *from, struct rpc_link *to) {
    rpc_list_init(to);
    if (!rpc_list_empty(from)) {
        *to = *from;
        to->next->prev = to->prev->next = to;
        rpc_list_init(from);
    }
}

#endif
