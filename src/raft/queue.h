// A first-in-first-out queue of items of one size, also used as a growing array. Emptied, it keeps its memory, so that steps
// in the steady state allocate nothing. Out of memory ends the process.
#ifndef BATON_RAFT_QUEUE_H
#define BATON_RAFT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct raft_queue {
    uint8_t *items;
    size_t item_size;  // bytes
    size_t head;       // where the front is
    size_t count;
    size_t capacity;
};

static inline struct raft_queue raft_queue_of(size_t item_size) {
    return (struct raft_queue){.item_size = item_size};
}

// A new zeroed item at the end. Pointers to items are valid until the next push.
void *raft_queue_push(struct raft_queue *queue);

// The item at position `i`, the front being 0; i < count.
void *raft_queue_at(const struct raft_queue *queue, size_t i);

// NULL when empty.
void *raft_queue_front(const struct raft_queue *queue);

void raft_queue_pop(struct raft_queue *queue);
// Drops all but the first `count`.
void raft_queue_cut(struct raft_queue *queue, size_t count);
void raft_queue_clear(struct raft_queue *queue);
void raft_queue_free(struct raft_queue *queue);

#endif
