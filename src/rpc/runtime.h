// What the servers and channels of a loop share: connections with something to send, timers, deferred work, one buffer to
// read into and one to write from.
#ifndef BATON_RPC_RUNTIME_H
#define BATON_RPC_RUNTIME_H

#include <nghttp2/nghttp2.h>

#include "base/slog.h"
#include "rpc/list.h"
#include "rpc/pool.h"
#include "rpc/rpc.h"
#include "rpc/timers.h"

// Work to do before the loop waits again, but not now: a callback that must not run within the function that causes it, or
// memory to free that the caller still uses.
struct rpc_deferred {
    struct rpc_link link;
    void (*run)(struct rpc_deferred *deferred);
};

struct rpc_runtime {
    uv_loop_t *loop;
    struct metrics *metrics;           // NULL: nothing is counted
    struct rpc_stats *stats;           // see stats.h
    struct metric *connections_gauge;  // of all servers
    struct metric *calls_gauge;
    struct metric *plaintext_gauge;  // of servers that also take TLS
    struct metric *plaintext_counter;
    struct metric unseen;  // all of them, without metrics
    uv_prepare_t prepare;  // the end of a turn
    uv_idle_t idle;        // active while work is deferred, so that the loop does not wait
    uv_timer_t timer;      // for the earliest of `timers`
    uint64_t timer_at_ms;  // when it fires; RPC_NEVER: not set
    int open_handles;
    size_t users;  // servers, channels, connections, resolutions and unfinished calls: freed only after the last
    bool closing;

    struct rpc_link dirty;  // connections that may have something to send
    struct rpc_link deferred;
    struct rpc_link writable;  // streams that waited for room to send, and now have it
    struct rpc_link relieved;  // connections that had no room for their `starved` streams, and now have it
    struct rpc_timers timers;

    uint8_t *input;   // RPC_INPUT bytes, in use within one callback of the loop
    uint8_t *plain;   // RPC_INPUT bytes decrypted from `input`, likewise; NULL until there is TLS
    uint8_t *output;  // RPC_OUTPUT bytes, in use within one flush

    struct rpc_pool pool;  // nghttp2's memory
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;

    struct rpc_link encrypted;  // transports with TLS, open or connecting: transport_tls.c
    struct rpc_link accepted;   // connections of all servers, for rpc_enforce_memory_limit
    size_t held;                // bytes: sum of these connections' `held`
};

// Larger writes save system calls but delay the other connections'.
enum { RPC_INPUT = 256 * 1024, RPC_OUTPUT = 256 * 1024 };

// Keeps the loop from waiting before its next turn has ended.
void rpc_runtime_wake(struct rpc_runtime *runtime);

// Closes the connections that hold most until all together hold at most RPC_HELD_MAX.
void rpc_enforce_memory_limit(struct rpc_runtime *runtime);

// Decrements `users`.
void rpc_runtime_release(struct rpc_runtime *runtime);

// Runs `run` before the loop waits again. `deferred` must not be deferred already, and stay allocated until then.
void rpc_defer(struct rpc_runtime *runtime, struct rpc_deferred *deferred, void (*run)(struct rpc_deferred *deferred));

static inline uint64_t rpc_now_ms(const struct rpc_runtime *runtime) {
    return uv_now(runtime->loop);
}

static inline void rpc_timer_start(struct rpc_runtime *runtime, struct rpc_timer *timer, uint64_t after_ms,
                                   void (*fire)(struct rpc_timer *timer)) {
    timer->fire = fire;
    uint64_t now = rpc_now_ms(runtime);
    rpc_timers_start(&runtime->timers, timer, after_ms > RPC_NEVER - 1 - now ? RPC_NEVER - 1 : now + after_ms);
}

static inline void rpc_timer_stop(struct rpc_runtime *runtime, struct rpc_timer *timer) {
    rpc_timers_stop(&runtime->timers, timer);
}

#endif
