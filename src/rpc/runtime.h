// What all servers and channels of a loop share: the list of connections with something to send, timers, work put off to
// the next turn, one buffer to read into and one to write from.
#ifndef BATON_RPC_RUNTIME_H
#define BATON_RPC_RUNTIME_H

#include <nghttp2/nghttp2.h>

#include "base/slog.h"
#include "rpc/list.h"
#include "rpc/pool.h"
#include "rpc/rpc.h"
#include "rpc/timers.h"

// Something to do before the loop waits again, but not now: a callback must not come from within the function that causes
// it, and memory must not go under the feet of who still uses it.
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
    struct metric unseen;  // stands in for both without metrics
    uv_prepare_t prepare;  // the end of a turn: what was put off, then the flush
    uv_idle_t idle;        // active while something is put off, so that the loop does not wait
    uv_timer_t timer;      // for the earliest of `timers`
    uint64_t timer_at_ms;  // what it is set to
    int open_handles;
    size_t users;  // servers, channels, connections, resolutions and unfinished calls: closed only after the last
    bool closing;

    struct rpc_link dirty;     // connections that may have something to send
    struct rpc_link deferred;  // what was put off
    struct rpc_link starved;   // calls that wait for room to send
    bool drained;              // output has left since the starved were last looked at
    struct rpc_timers timers;

    uint8_t *input;   // RPC_INPUT bytes, filled and used up within one callback of the loop
    uint8_t *plain;   // RPC_INPUT bytes decrypted from `input`, likewise; NULL until there is TLS
    uint8_t *output;  // RPC_OUTPUT bytes, filled and written within one flush

    struct rpc_pool pool;  // nghttp2's memory
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;

    struct rpc_link accepted;  // connections of all servers, for the limit on what they hold
    size_t held;               // bytes that these connections hold

    struct slog_limit log_limit;  // of lines about peers that misbehave
};

// RPC_OUTPUT is a compromise: larger writes save system calls to one peer, but delay the others'.
enum { RPC_INPUT = 256 * 1024, RPC_OUTPUT = 256 * 1024 };

// The loop does not wait before its next turn has ended.
void rpc_runtime_wake(struct rpc_runtime *runtime);

// Beyond RPC_HELD_MAX in all, whoever holds most has to go: the others must not notice.
void rpc_enforce_held(struct rpc_runtime *runtime);

// One user less.
void rpc_runtime_release(struct rpc_runtime *runtime);

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

// Whether the log hears of this peer that misbehaves (slog_allowed).
static inline bool rpc_log_allowed(struct rpc_runtime *runtime, uint64_t *suppressed) {
    return slog_allowed(&runtime->log_limit, rpc_now_ms(runtime), suppressed);
}

#endif
