// Calls: their requests, results, deadlines and cancellations, and handlers and callbacks that close what they are called
// by.
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc_env.h"

static void TestRpcUnary(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env_call(&env, &outcome, "/test.Test/Echo", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_true(slice_equal(buf_slice(&outcome.body), slice_of_str("hello")));
    env_call(&env, &outcome, "/test.Test/Nothing", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_UNIMPLEMENTED);
    assert_string_equal(outcome.message, "unknown method");
    buf_free(&outcome.body);
    struct buf text = {0};
    metrics_render(env.metrics, &text);
    buf_append(&text, "", 1);
    static const char *const series[] = {
        "rpc_server_calls_total{service=\"test.Test\",method=\"Echo\",status=\"OK\"} 1\n",
        "rpc_server_calls_total{service=\"unknown\",method=\"unknown\",status=\"UNIMPLEMENTED\"} 1\n",
        "rpc_server_call_duration_seconds_count{service=\"test.Test\",method=\"Echo\"} 1\n",
        "rpc_client_calls_total{service=\"test.Test\",method=\"Nothing\",status=\"UNIMPLEMENTED\"} 1\n",
        "rpc_client_call_duration_seconds_count{service=\"test.Test\",method=\"Echo\"} 1\n",
        "rpc_server_connections 1\n",
        "rpc_server_running_calls 0\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(series); i++) {
        assert_non_null(strstr((const char *)text.data, series[i]));
    }
    buf_free(&text);
    env_stop(&env);
}

static void TestRpcSizes(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    static const size_t sizes[] = {0, 1, 5, 255, 16379, 16384, 65535, 65536, 100000, 1 * MIB, MESSAGE_MAX};
    uint8_t *bytes = mem_alloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct slice body = slice_of(bytes, sizes[i]);
        env_call(&env, &outcome, "/test.Test/Echo", body);
        assert_int_equal(outcome.status, RPC_OK);
        assert_true(slice_equal(buf_slice(&outcome.body), body));
    }
    free(bytes);
    buf_free(&outcome.body);
    env_stop(&env);
}

static bool all_3000(struct env *env) {
    return env->counted == 3000;
}

static void TestRpcManyAtOnce(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    for (uint64_t i = 0; i < 3000; i++) {
        env_call_counted(&env, i, 60000, false);
    }
    env_run_until(&env, all_3000);
    assert_int_equal(env_waiting(&env), 0);
    assert_int_equal(env.channel->connection->stream_count, 0);
    assert_int_equal(env.channel->connection->held, 0);
    assert_int_equal(env.channel->connection->transport->pending, 0);
    env_stop(&env);
}

static void TestRpcMetadata(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    rpc_channel_call(env.channel,
                     &(struct rpc_request){.path = "/test.Test/Describe",
                                           .timeout_ms = DESCRIBE_TIMEOUT_MS,
                                           .metadata = (const char *const[]){"shape", "round", "color", "blue", NULL},
                                           .user = &outcome,
                                           .tag = 7,
                                           .on_done = outcome_on_done});
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(outcome.tag, 7);
    assert_true(slice_equal(buf_slice(&outcome.body), slice_of_str("blue")));
    assert_string_equal(outcome.leader, "n2");
    assert_int_equal(env.deadlines, 2);  // the client's, and what grpc-timeout makes of it at the server
    buf_free(&outcome.body);
    env_stop(&env);
}

static void TestRpcDeadline(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env_call_hold(&env, &outcome, 50);
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_DEADLINE_EXCEEDED);
    assert_true(outcome.maybe_processed);
    env_run_until(&env, env_has_one_cancelled);
    assert_false(rpc_call_alive(env.server, env.held));
    rpc_reply(env.server, env.held, slice_of_str("too late"));  // a name of nothing: harmless
    buf_free(&outcome.body);
    env_stop(&env);
}

static void TestRpcCancel(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    struct rpc_ticket ticket = env_call_hold(&env, &outcome, 0);
    env_run_until(&env, env_has_one_held);
    rpc_channel_cancel(env.channel, ticket);
    assert_int_equal(outcome.done, 0);
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_CANCELLED);
    env_run_until(&env, env_has_one_cancelled);
    rpc_channel_cancel(env.channel, ticket);
    outcome.done = 0;
    // Before HTTP/2 has sent anything of it: the server never hears of it.
    ticket = env_call_hold(&env, &outcome, 0);
    rpc_channel_cancel(env.channel, ticket);
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_CANCELLED);
    assert_false(outcome.maybe_processed);
    env_call(&env, &outcome, "/test.Test/Echo", slice_of_str("still here"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(env.held_count, 1);
    buf_free(&outcome.body);
    env_stop(&env);
}

// --- closed from within a callback ---

static bool server_is_closed(struct env *env) {
    return env->server == NULL;
}

static void TestRpcCloseInHandler(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env.close_in_handler = true;
    env_call_hold(&env, &outcome, 0);
    env_run_until(&env, server_is_closed);
    assert_int_equal(env.cancelled, 1);
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    buf_free(&outcome.body);
    env_stop(&env);
}

static void close_on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)tag, (void)result;
    env_close_channel(user);
}

static void close_on_message(void *user, uint64_t tag, struct slice message) {
    (void)tag, (void)message;
    env_close_channel(user);
}

static void close_on_up(void *user) {
    env_close_channel(user);
}

static void close_on_down(void *user, enum rpc_down_reason reason) {
    (void)reason;
    env_close_channel(user);
}

static void nothing_on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)user, (void)tag;
    assert_int_equal(result->status, RPC_CANCELLED);
}

static void TestRpcCloseInCallbacks(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo", .user = &env, .on_done = close_on_done});
    env_run_until(&env, env_channel_is_closed);

    struct rpc_channel_options options = {.target = env.address, .user = &env};
    env.channel = rpc_channel_new(env.runtime, &options);
    uint32_t messages = 1000;
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Flow",
                                                        .body = slice_of(&messages, sizeof messages),
                                                        .wait_for_ready = true,
                                                        .user = &env,
                                                        .on_message = close_on_message,
                                                        .on_done = nothing_on_done});
    env_run_until(&env, env_channel_is_closed);
    env_run_until(&env, env_has_one_cancelled);

    options.on_up = close_on_up;
    env.channel = rpc_channel_new(env.runtime, &options);
    env_run_until(&env, env_channel_is_closed);

    options.on_up = NULL;
    options.on_down = close_on_down;
    env.channel = rpc_channel_new(env.runtime, &options);
    env_run_until(&env, env_is_up);
    rpc_server_close(env.server);
    env.server = NULL;
    env_run_until(&env, env_channel_is_closed);
    env.channel = rpc_channel_new(env.runtime, &options);  // refused
    env_run_until(&env, env_channel_is_closed);
    env_stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcUnary),          cmocka_unit_test(TestRpcSizes),
    cmocka_unit_test(TestRpcManyAtOnce),     cmocka_unit_test(TestRpcMetadata),
    cmocka_unit_test(TestRpcDeadline),       cmocka_unit_test(TestRpcCancel),
    cmocka_unit_test(TestRpcCloseInHandler), cmocka_unit_test(TestRpcCloseInCallbacks),
};

UNIT_MAIN(tests)
