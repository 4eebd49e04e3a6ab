// Each timer is due no later than its two children and knows its position, so that stopping it needs no search. Deadlines of
// one length start in rising order and are stopped as leaves, so both usually take one step.
#include "rpc/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

static void put(struct rpc_timers *timers, size_t position, struct rpc_timer *timer) {
    timers->heap[position - 1] = timer;
    timer->position = position;
}

static void sift_up(struct rpc_timers *timers, size_t position, struct rpc_timer *timer) {
    while (position > 1 && timers->heap[position / 2 - 1]->at_ms > timer->at_ms) {
        put(timers, position, timers->heap[position / 2 - 1]);
        position /= 2;
    }
    put(timers, position, timer);
}

static void sift_down(struct rpc_timers *timers, size_t position, struct rpc_timer *timer) {
    for (;;) {
        size_t child = position * 2;
        if (child > timers->count) {
            break;
        }
        if (child < timers->count && timers->heap[child]->at_ms < timers->heap[child - 1]->at_ms) {
            child++;
        }
        if (timers->heap[child - 1]->at_ms >= timer->at_ms) {
            break;
        }
        put(timers, position, timers->heap[child - 1]);
        position = child;
    }
    put(timers, position, timer);
}

void rpc_timers_start(struct rpc_timers *timers, struct rpc_timer *timer, uint64_t at_ms) {
    rpc_timers_stop(timers, timer);
    assert(timer->fire != NULL);
    array_reserve(timers->heap, timers->cap, timers->count + 1);
    timer->at_ms = at_ms;
    timers->count++;
    sift_up(timers, timers->count, timer);
}

void rpc_timers_stop(struct rpc_timers *timers, struct rpc_timer *timer) {
    size_t position = timer->position;
    if (position == 0) {
        return;
    }
    assert(position <= timers->count && timers->heap[position - 1] == timer);
    timer->position = 0;
    struct rpc_timer *last = timers->heap[--timers->count];
    if (last == timer) {
        return;
    }
    if (position > 1 && timers->heap[position / 2 - 1]->at_ms > last->at_ms) {
        sift_up(timers, position, last);
    } else {
        sift_down(timers, position, last);
    }
}

uint64_t rpc_timers_next(const struct rpc_timers *timers) {
    return timers->count == 0 ? RPC_NEVER : timers->heap[0]->at_ms;
}

void rpc_timers_run(struct rpc_timers *timers, uint64_t now_ms) {
    while (timers->count > 0 && timers->heap[0]->at_ms <= now_ms) {
        struct rpc_timer *timer = timers->heap[0];
        rpc_timers_stop(timers, timer);
        timer->fire(timer);
    }
}

void rpc_timers_free(struct rpc_timers *timers) {
    assert(timers->count == 0);
    free(timers->heap);
    *timers = (struct rpc_timers){0};
}
