// More than one message in a direction, and the order of requests on an ordered channel.
#include "base/limits.h"
#include "base/mem.h"
#include "rpc_raw_peer.h"

static void TestRpcServerStream(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    uint32_t messages = 5000;  // 50 MB: many times what may be queued
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Flow",
                                                        .body = slice_of(&messages, sizeof messages),
                                                        .user = &outcome,
                                                        .on_message = outcome_on_flow,
                                                        .on_done = outcome_on_done});
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(outcome.flow_seen, messages);
    assert_true(env.flow_refused > 10);
    buf_free(&outcome.body);
    env_stop(&env);
}

static void TestRpcBidi(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {
        .path = "/test.Test/Chat", .body = "\0\0\0\0\2hi\0\0\0\0\2ho\0\0\0\0\0", .body_len = 19};
    put_request(&out, 1, &request);
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, 1);
    assert_string_equal(raw.status, "200/10");
    assert_int_equal(raw.data_bytes, 19);
    buf_free(&out);
    raw_close(&raw);
    env_stop(&env);
}

static bool flow_is_stuck(struct env *env) {
    return env->flow_refused > 0;
}

// A stream that its client does not read queues no more than rpc_send allows, beyond the client's window.
static void TestRpcSlowReader(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {.path = "/test.Test/Flow", .body = "\0\0\0\0\4\0\0\1\0", .body_len = 9};
    put_request(&out, 1, &request);
    raw_send(&env, &raw, &out);
    env_run_until(&env, flow_is_stuck);
    for (unsigned i = 0; i < 100; i++) {
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    assert_true((uint64_t)env.flow_next * FLOW_MESSAGE <= RPC_STREAM_QUEUE_MAX + 65535 + 2 * FLOW_MESSAGE);
    assert_true(rpc_call_alive(env.server, env.flow));
    env_assert_well(&env);
    raw_close(&raw);
    env_run_until(&env, env_has_one_cancelled);
    buf_free(&out);
    env_stop(&env);
}

enum { ORDERED_CALLS = 200 };

static bool all_arrived(struct env *env) {
    return env->held_count == ORDERED_CALLS;
}

// Large and small in turn, more than the windows hold: whatever HTTP/2 does with many streams, each arrives after the one
// before.
static void TestRpcOrdered(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    env_connect(&env, (struct rpc_channel_options){.ordered = true});
    env_run_until(&env, env_is_up);
    uint8_t *body = mem_zalloc(1 * MIB);
    struct outcome outcome = {0};
    for (unsigned i = 0; i < ORDERED_CALLS; i++) {
        body[0] = (uint8_t)i;
        struct slice slice = slice_of(body, i % 2 == 0 ? 500000 : 10);
        rpc_channel_call(
            env.channel,
            &(struct rpc_request){.path = "/test.Test/Hold", .body = slice, .user = &outcome, .on_done = outcome_on_done});
    }
    assert_int_equal(env_waiting(&env), ORDERED_CALLS - 1);  // 50 MB; HTTP/2 has the first
    env_run_until(&env, all_arrived);
    for (unsigned i = 0; i < ORDERED_CALLS; i++) {
        assert_int_equal(env.arrived.data[i], i);
    }
    free(body);
    env_stop(&env);
    assert_int_equal(outcome.done, ORDERED_CALLS);  // CANCELLED, as the channel was closed
    assert_int_equal(outcome.status, RPC_CANCELLED);
    buf_free(&outcome.body);
}

static bool two_requests(struct env *env) {
    raw_read(env->watched);
    return env->watched->requests == 2;
}

// The second call's headers wait until the first one's body has left, which here waits for room at the server.
static void TestRpcOrderedWaits(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_serve(&env, (struct rpc_channel_options){.ordered = true}, 100);
    struct outcome outcome = {0};
    uint8_t body[1000] = {0};
    for (unsigned i = 0; i < 2; i++) {
        rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Hold",
                                                            .body = slice_of(body, i == 0 ? sizeof body : 10),
                                                            .user = &outcome,
                                                            .on_done = outcome_on_done});
    }
    for (unsigned i = 0; i < 20; i++) {
        uv_run(&env.loop, UV_RUN_NOWAIT);
        raw_read(&raw);
    }
    assert_int_equal(raw.requests, 1);
    assert_int_equal(raw.data_bytes, 100);
    struct buf out = {0};
    put_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\x10\0", 4);
    raw_send(&env, &raw, &out);
    raw_wait(&env, &raw, two_requests);
    raw_close(&raw);
    env_stop(&env);
    assert_int_equal(outcome.done, 2);
    buf_free(&outcome.body);
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcServerStream), cmocka_unit_test(TestRpcBidi),         cmocka_unit_test(TestRpcSlowReader),
    cmocka_unit_test(TestRpcOrdered),      cmocka_unit_test(TestRpcOrderedWaits),
};

UNIT_MAIN(tests)
