// A doubly linked list whose links lie in its members. An empty list, or a member of none, points to itself.
#ifndef BATON_RPC_LIST_H
#define BATON_RPC_LIST_H

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

static inline void rpc_list_push(struct rpc_link *list, struct rpc_link *link) {
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

// Harmless for a member of none.
static inline void rpc_list_remove(struct rpc_link *link) {
    link->prev->next = link->next;
    link->next->prev = link->prev;
    rpc_list_init(link);
}

// NULL when empty.
static inline struct rpc_link *rpc_list_first(const struct rpc_link *list) {
    return rpc_list_empty(list) ? NULL : list->next;
}

// All members of `from` go to `to`, which is empty.
static inline void rpc_list_move(struct rpc_link *from, struct rpc_link *to) {
    rpc_list_init(to);
    if (!rpc_list_empty(from)) {
        *to = *from;
        to->next->prev = to->prev->next = to;
        rpc_list_init(from);
    }
}

#endif
