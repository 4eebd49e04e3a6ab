// Deadlines: a binary heap, so that a call costs no timer of the loop. Milliseconds of the loop's clock.
#ifndef BATON_RPC_TIMERS_H
#define BATON_RPC_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#define RPC_NEVER UINT64_MAX

// Lies in what it belongs to; zero-initialised is not running.
struct rpc_timer {
    uint64_t at_ms;
    size_t place;  // in the heap, counted from 1; 0: not running
    void (*fire)(struct rpc_timer *timer);
};

// Zero-initialised is ready to use.
struct rpc_timers {
    struct rpc_timer **heap;
    size_t count;
    size_t cap;
};

// Runs from now on, or with a new time if it runs already. Not running once it fires.
void rpc_timers_start(struct rpc_timers *timers, struct rpc_timer *timer, uint64_t at_ms);
void rpc_timers_stop(struct rpc_timers *timers, struct rpc_timer *timer);

// When the next is due; RPC_NEVER: none runs.
uint64_t rpc_timers_next(const struct rpc_timers *timers);

// Fires all that are due, earliest first.
void rpc_timers_run(struct rpc_timers *timers, uint64_t now_ms);

void rpc_timers_free(struct rpc_timers *timers);

#endif
