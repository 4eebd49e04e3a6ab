// A queue of items of one size; see queue.h.
#include "raft/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

// Makes room for one more item at the end: by moving all to the front if at least half of the memory is free there (so that
// each item is moved less than once on average), else by doubling.
static void make_room(struct raft_queue *queue) {
    if (queue->head + queue->count < queue->capacity) {
        return;
    }
    if (queue->head > 0 && queue->head >= queue->capacity / 2) {
        memmove(queue->items, queue->items + queue->head * queue->item_size, queue->count * queue->item_size);
        queue->head = 0;
        return;
    }
    queue->capacity = array_next_cap(queue->capacity, queue->capacity + 1);
    queue->items = mem_realloc(queue->items, queue->capacity * queue->item_size);
}

void *raft_queue_push(struct raft_queue *queue) {
    make_room(queue);
    uint8_t *item = queue->items + (queue->head + queue->count) * queue->item_size;
    queue->count++;
    return memset(item, 0, queue->item_size);
}

void *raft_queue_at(const struct raft_queue *queue, size_t i) {
    assert(i < queue->count);
    return queue->items + (queue->head + i) * queue->item_size;
}

void *raft_queue_front(const struct raft_queue *queue) {
    return queue->count == 0 ? NULL : raft_queue_at(queue, 0);
}

void raft_queue_pop(struct raft_queue *queue) {
    assert(queue->count > 0);
    queue->count--;
    queue->head = queue->count == 0 ? 0 : queue->head + 1;
}

void raft_queue_cut(struct raft_queue *queue, size_t count) {
    assert(count <= queue->count);
    queue->count = count;
}

void raft_queue_clear(struct raft_queue *queue) {
    queue->head = 0;
    queue->count = 0;
}

void raft_queue_free(struct raft_queue *queue) {
    free(queue->items);
    *queue = raft_queue_of(queue->item_size);
}
