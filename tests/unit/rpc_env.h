// The environment of the rpc tests: one loop, one runtime, our server and our channel on it, the service test.Test, and the
// result of a call.
#ifndef BATON_TESTS_RPC_ENV_H
#define BATON_TESTS_RPC_ENV_H

#include <uv.h>

#include "base/buf.h"
#include "base/metrics.h"
#include "rpc/rpc.h"
#include "unit.h"

struct raw_peer;
struct outcome;

struct env {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct metrics *metrics;
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char address[64];
    unsigned ups;
    unsigned downs;
    enum rpc_down_reason reason;  // of the last down

    struct rpc_call held;  // the last call of Hold
    unsigned held_count;
    unsigned cancelled;
    struct buf arrived;  // the first byte of each message of Hold
    bool drained;
    bool close_in_handler;  // Hold closes the server
    unsigned deadlines;     // that Describe saw, of about DESCRIBE_TIMEOUT_MS

    struct rpc_call flow;  // the call of Flow
    uint32_t flow_next;    // number of its next message
    uint32_t flow_end;
    unsigned flow_refused;  // how often rpc_send had no room

    unsigned counted;          // calls that env_on_counted has ended
    struct outcome *awaited;   // by env_await
    struct raw_peer *watched;  // by raw_wait
    unsigned answers_wanted;   // of it
};

enum { FLOW_MESSAGE = 10000, LARGE = 1000000, DESCRIBE_TIMEOUT_MS = 123456789 };

// test.Test, whose methods answer as follows:
//   Echo      with the request
//   Hold      never; the test finishes `held`
//   Large     with LARGE bytes
//   Describe  with the request's metadata "color", and the trailer "leader"
//   Flow      a server stream of as many numbered messages of FLOW_MESSAGE bytes as the request says (u32)
//   Chat      bidirectional: each message back; ABORTED at the client's half-close
// The server listens on an address of 127.0.0.0/8 that no other test process uses, so that it may listen there again later.
void env_start(struct env *env);

// The same at HOST:PORT.
void env_start_at(struct env *env, const char *address);

// Ends with everything closed, or not at all.
void env_stop(struct env *env);

// A server, with the service, in env->server.
void env_listen(struct env *env, const char *address);

// Replaces the channel; `options` without target connect to the server, without on_up and on_down they are counted in `env`.
void env_connect(struct env *env, struct rpc_channel_options options);
void env_close_channel(struct env *env);

// Turns the loop until `done`. Aborts after 60 s.
void env_run_until(struct env *env, bool (*done)(struct env *env));

// Conditions.
bool env_is_up(struct env *env);
bool env_is_down(struct env *env);
bool env_is_drained(struct env *env);
bool env_has_one_held(struct env *env);
bool env_has_one_cancelled(struct env *env);
bool env_channel_is_closed(struct env *env);

// Calls of the channel that HTTP/2 has not been given yet.
size_t env_waiting(const struct env *env);

// For rpc_server_drain; `user` is the environment.
void env_on_drained(void *user);

// --- a call and its result ---

// Zero-initialised. `body` is the test's to free.
struct outcome {
    unsigned done;
    enum rpc_status status;
    bool maybe_processed;
    struct buf body;
    uint64_t tag;
    char message[256];
    char leader[16];
    uint32_t flow_seen;  // messages of Flow
};

// `user` is a struct outcome.
void outcome_on_done(void *user, uint64_t tag, const struct rpc_result *result);

// For a call of Flow: checks each message and its number. `user` is a struct outcome.
void outcome_on_flow(void *user, uint64_t tag, struct slice message);

void env_await(struct env *env, struct outcome *outcome);
void env_call(struct env *env, struct outcome *outcome, const char *path, struct slice body);
struct rpc_ticket env_call_hold(struct env *env, struct outcome *outcome, uint64_t timeout_ms);

// A call of Echo whose body is `tag`; its result is checked, and counted in env->counted.
void env_call_counted(struct env *env, uint64_t tag, uint64_t timeout_ms, bool wait_for_ready);

// A call on the channel works, which has been up all the time.
void env_assert_well(struct env *env);

#endif
