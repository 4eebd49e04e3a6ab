// The heap: each timer is due no later than its two children, and knows its place, so that stopping one needs no search.
// Deadlines of one length come in rising order and are taken off as leaves, so both are usually one step.
#include "rpc/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

static void put(struct rpc_timers *timers, size_t place, struct rpc_timer *timer) {
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct rpc_timers *timers, size_t place, struct rpc_timer *timer) {
    while (place > 1 && timers->heap[place / 2 - 1]->at_ms > timer->at_ms) {
        put(timers, place, timers->heap[place / 2 - 1]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sift_down(struct rpc_timers *timers, size_t place, struct rpc_timer *timer) {
    for (;;) {
        size_t child = place * 2;
        if (child > timers->count) {
            break;
        }
        if (child < timers->count && timers->heap[child]->at_ms < timers->heap[child - 1]->at_ms) {
            child++;
        }
        if (timers->heap[child - 1]->at_ms >= timer->at_ms) {
            break;
        }
        put(timers, place, timers->heap[child - 1]);
        place = child;
    }
    put(timers, place, timer);
}

void rpc_timers_start(struct rpc_timers *timers, struct rpc_timer *timer, uint64_t at_ms) {
    rpc_timers_stop(timers, timer);
    if (timers->count == timers->cap) {
        timers->cap = timers->cap == 0 ? 64 : timers->cap * 2;
        timers->heap = mem_realloc(timers->heap, timers->cap * sizeof *timers->heap);
    }
    timer->at_ms = at_ms;
    timers->count++;
    sift_up(timers, timers->count, timer);
}

void rpc_timers_stop(struct rpc_timers *timers, struct rpc_timer *timer) {
    size_t place = timer->place;
    if (place == 0) {
        return;
    }
    assert(place <= timers->count && timers->heap[place - 1] == timer);
    timer->place = 0;
    struct rpc_timer *last = timers->heap[--timers->count];
    if (last == timer) {
        return;
    }
    if (place > 1 && timers->heap[place / 2 - 1]->at_ms > last->at_ms) {
        sift_up(timers, place, last);
    } else {
        sift_down(timers, place, last);
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
