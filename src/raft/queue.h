// A first-in-first-out queue of items of one size, also used as a growing array. It keeps its memory when it is emptied, so
// that a step in the steady state allocates nothing. Without memory the process ends.
#ifndef BATON_RAFT_QUEUE_H
#define BATON_RAFT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct raft_queue {
    uint8_t *items;
    size_t item_size;  // bytes
    size_t head;       // the front's position
    size_t count;
    size_t capacity;
};

static inline struct raft_queue raft_queue_of(size_t item_size) {
    return (struct raft_queue){.item_size = item_size};
}

// A zeroed new item at the end. Pointers to items are valid until the next push.
void *raft_queue_push(struct raft_queue *queue);

// The item `i` places behind the front; i < count.
void *raft_queue_at(const struct raft_queue *queue, size_t i);

// NULL when empty.
void *raft_queue_front(const struct raft_queue *queue);

void raft_queue_pop(struct raft_queue *queue);
void raft_queue_clear(struct raft_queue *queue);
void raft_queue_free(struct raft_queue *queue);

#endif
