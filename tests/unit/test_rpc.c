// gRPC over loopback: our server and our channel on one loop, and raw sockets where a peer has to misbehave.
#include "unit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/rpc.h"

// --- one loop, one runtime, one server, one channel ---

struct env {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char address[64];
    unsigned ups;
    unsigned downs;
    enum rpc_down_reason reason;

    struct rpc_call held;  // the last call of Hold
    unsigned held_count;
    unsigned cancelled;
};

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "nothing happens any more\n");
    abort();
}

// Generous: the machine may be busy. What is awaited must come, or the test ends loudly.
static void run_until(struct env *env, bool (*done)(struct env *env)) {
    uv_timer_start(&env->watchdog, on_watchdog, 60000, 0);
    while (!done(env)) {
        uv_run(&env->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&env->watchdog);
}

static void echo(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    rpc_reply(env->server, call, message);
}

static void hold(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    (void)message;
    env->held = call;
    env->held_count++;
}

static void cancelled(void *user, struct rpc_call call) {
    struct env *env = user;
    assert_false(rpc_call_alive(env->server, call));
    env->cancelled++;
}

static const struct rpc_method methods[] = {
    {.name = "Echo", .kind = RPC_UNARY, .on_message = echo},
    {.name = "Hold", .kind = RPC_UNARY, .on_message = hold, .on_cancel = cancelled},
};

static struct rpc_service test_service;

static void on_up(void *user) {
    ((struct env *)user)->ups++;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct env *env = user;
    env->downs++;
    env->reason = reason;
}

static bool is_up(struct env *env) {
    return rpc_channel_is_up(env->channel);
}

static void listen_at(struct env *env, const char *address) {
    struct error error;
    assert_int_equal(rpc_server_listen(env->runtime, address, &env->server, &error), OK);
    test_service = (struct rpc_service){
        .name = "test.Test", .methods = methods, .method_count = sizeof methods / sizeof methods[0], .user = env};
    rpc_server_add_service(env->server, &test_service);
}

static void start(struct env *env) {
    *env = (struct env){0};
    uv_loop_init(&env->loop);
    uv_timer_init(&env->loop, &env->watchdog);
    env->runtime = rpc_runtime_new(&env->loop, NULL);
    listen_at(env, "127.0.0.1:0");
    snprintf(env->address, sizeof env->address, "%s", rpc_server_address(env->server));
    struct rpc_channel_options options = {.target = env->address, .on_up = on_up, .on_down = on_down, .user = env};
    env->channel = rpc_channel_new(env->runtime, &options);
    run_until(env, is_up);
}

// Everything must go, or the loop does not end.
static void stop(struct env *env) {
    if (env->channel != NULL) {
        rpc_channel_close(env->channel);
    }
    if (env->server != NULL) {
        rpc_server_close(env->server);
    }
    rpc_runtime_close(env->runtime);
    uv_close((uv_handle_t *)&env->watchdog, NULL);
    uv_run(&env->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&env->loop), 0);
}

// --- a call and its result ---

struct outcome {
    struct env *env;
    unsigned done;
    enum rpc_status status;
    bool maybe_processed;
    struct buf body;
    char message[256];
};

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct outcome *outcome = user;
    (void)tag;
    outcome->done++;
    outcome->status = result->status;
    outcome->maybe_processed = result->maybe_processed;
    buf_clear(&outcome->body);
    buf_append_slice(&outcome->body, result->body);
    snprintf(outcome->message, sizeof outcome->message, "%.*s", (int)result->message.len,
             (const char *)result->message.data);
}

static struct outcome *awaited;

static bool has_outcome(struct env *env) {
    (void)env;
    return awaited->done > 0;
}

static void await_outcome(struct env *env, struct outcome *outcome) {
    awaited = outcome;
    run_until(env, has_outcome);
    assert_int_equal(outcome->done, 1);
}

static void call_and_wait(struct env *env, struct outcome *outcome, const char *path, struct slice body) {
    outcome->done = 0;
    rpc_channel_call(env->channel, &(struct rpc_request){.path = path, .body = body, .user = outcome, .on_done = on_done});
    assert_int_equal(outcome->done, 0);
    await_outcome(env, outcome);
}

static void TestRpcUnary(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_true(slice_equal(buf_slice(&outcome.body), slice_of_str("hello")));
    call_and_wait(&env, &outcome, "/test.Test/Nothing", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_UNIMPLEMENTED);
    assert_string_equal(outcome.message, "unknown method");
    buf_free(&outcome.body);
    stop(&env);
}

static void TestRpcSizes(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    static const size_t sizes[] = {0, 1, 5, 255, 16379, 16384, 65535, 65536, 100000, 1 * MIB, MESSAGE_MAX};
    uint8_t *bytes = mem_alloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct slice body = slice_of(bytes, sizes[i]);
        call_and_wait(&env, &outcome, "/test.Test/Echo", body);
        assert_int_equal(outcome.status, RPC_OK);
        assert_true(slice_equal(buf_slice(&outcome.body), body));
    }
    free(bytes);
    buf_free(&outcome.body);
    stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcUnary),
    cmocka_unit_test(TestRpcSizes),
};

UNIT_MAIN(tests)
