// Timers in a binary heap, so that a call's deadline costs no timer of the loop. Milliseconds of the loop's clock.
#ifndef BATON_RPC_TIMERS_H
#define BATON_RPC_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPC_NEVER UINT64_MAX

// Embedded in what it belongs to; zero-initialised is not running.
struct rpc_timer {
    uint64_t at_ms;
    size_t position;  // in the heap, counted from 1; 0: not running
    void (*fire)(struct rpc_timer *timer);
};

// Zero-initialised is ready to use.
struct rpc_timers {
    struct rpc_timer **heap;
    size_t count;
    size_t cap;
};

static inline bool rpc_timer_running(const struct rpc_timer *timer) {
    return timer->position != 0;
}

// Starts it, or gives a running one a new time. It is stopped before it fires.
void rpc_timers_start(struct rpc_timers *timers, struct rpc_timer *timer, uint64_t at_ms);

// No effect on one that is not running.
void rpc_timers_stop(struct rpc_timers *timers, struct rpc_timer *timer);

// When the earliest is due; RPC_NEVER: none is running.
uint64_t rpc_timers_next(const struct rpc_timers *timers);

// Fires all that are due, earliest first; also those started meanwhile for a time that has passed.
void rpc_timers_run(struct rpc_timers *timers, uint64_t now_ms);

// None may be running.
void rpc_timers_free(struct rpc_timers *timers);

#endif
