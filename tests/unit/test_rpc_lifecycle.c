// Connections: made, lost, made again, drained, silent, used up.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "rpc/channel.h"
#include "rpc_raw_peer.h"

static bool is_refused(struct env *env) {
    return env->downs >= 4 && env->reason == RPC_DOWN_REFUSED;
}

static void TestRpcReconnect(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0}, waiting = {0};
    env_call_hold(&env, &outcome, 0);
    env_run_until(&env, env_has_one_held);
    rpc_server_close(env.server);
    env.server = NULL;
    env_run_until(&env, env_is_down);
    assert_int_equal(env.reason, RPC_DOWN_RESET);
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_true(outcome.maybe_processed);

    env_run_until(&env, is_refused);
    env_call(&env, &outcome, "/test.Test/Echo", slice_of_str("now"));
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_false(outcome.maybe_processed);
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                        .body = slice_of_str("later"),
                                                        .wait_for_ready = true,
                                                        .user = &waiting,
                                                        .on_done = outcome_on_done});
    env_listen(&env, env.address);
    env_await(&env, &waiting);
    assert_int_equal(waiting.status, RPC_OK);
    assert_true(rpc_channel_is_up(env.channel));
    buf_free(&outcome.body);
    buf_free(&waiting.body);
    env_stop(&env);
}

static void TestRpcNames(void **state) {
    (void)state;
    struct env env;
    env_start_at(&env, "127.0.0.1:0");
    env_close_channel(&env);
    snprintf(env.address, sizeof env.address, "localhost%s", strrchr(rpc_server_address(env.server), ':'));
    env_connect(&env, (struct rpc_channel_options){0});
    env_run_until(&env, env_is_up);
    env_close_channel(&env);
    // A name that cannot be resolved, or is no address, is tried again and again; the channel may be closed at any time.
    env.downs = 0;
    env_connect(&env, (struct rpc_channel_options){.target = "nobody.invalid:1"});
    env_run_until(&env, env_is_down);
    assert_int_equal(env.reason, RPC_DOWN_REFUSED);
    rpc_channel_wake(env.channel);
    uv_run(&env.loop, UV_RUN_NOWAIT);
    env_close_channel(&env);
    env.downs = 0;
    env_connect(&env, (struct rpc_channel_options){.target = "no address"});
    env_run_until(&env, env_is_down);
    struct error error;
    struct rpc_server *server;
    assert_int_equal(rpc_server_listen(env.runtime, "no address", &server, &error), ERR_INVALID);
    assert_int_equal(rpc_server_listen(env.runtime, rpc_server_address(env.server), &server, &error), ERR_UNAVAILABLE);
    env_stop(&env);
}

static bool went_down_twice(struct env *env) {
    return env->downs == 2;
}

// A server that takes connections and says nothing, or a lost SYN: the next attempt comes soon, and has more time.
static void TestRpcConnectTimeout(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    char target[32];
    int listener = raw_listen(10, target);
    env.downs = 0;
    uint64_t began = uv_now(&env.loop);
    env_connect(&env, (struct rpc_channel_options){.target = target});
    env_run_until(&env, env_is_down);
    uint64_t first = uv_now(&env.loop) - began;
    assert_in_range(first, 350, 1500);
    env_run_until(&env, went_down_twice);
    assert_true(uv_now(&env.loop) - began - first >= first * 3 / 2);
    close(listener);
    env_stop(&env);
}

static bool is_silent(struct env *env) {
    return env->downs > 0 && env->reason == RPC_DOWN_KEEPALIVE;
}

// A server that greets and then says nothing, like one that is stopped or cut off.
static void TestRpcKeepalive(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct rpc_channel_options options = {.keepalive_interval_ms = 50, .keepalive_timeout_ms = 100};
    struct raw_peer raw = raw_serve(&env, options, 65535);
    uint64_t up_at = uv_now(&env.loop);
    env_run_until(&env, is_silent);
    assert_true(uv_now(&env.loop) - up_at >= 140);
    raw_close(&raw);
    env_stop(&env);
}

// --- draining ---

static void TestRpcDrain(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env_call_hold(&env, &outcome, 0);
    env_run_until(&env, env_has_one_held);
    rpc_server_drain(env.server, 50000, env_on_drained, &env);
    env_run_until(&env, env_is_down);
    assert_int_equal(env.reason, RPC_DOWN_GOAWAY);
    assert_false(env.drained);
    assert_int_equal(outcome.done, 0);
    rpc_reply(env.server, env.held, slice_of_str("finished"));
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    env_run_until(&env, env_is_drained);
    buf_free(&outcome.body);
    env_stop(&env);
}

static void TestRpcDrainGrace(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env_call_hold(&env, &outcome, 0);
    env_run_until(&env, env_has_one_held);
    rpc_server_drain(env.server, 300, env_on_drained, &env);
    env_run_until(&env, env_is_drained);
    rpc_server_close(env.server);
    env.server = NULL;
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_int_equal(env.cancelled, 1);
    buf_free(&outcome.body);
    env_stop(&env);
}

// A client that does not answer the PING still gets both GOAWAYs.
static void TestRpcDrainDeafClient(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    put_request(&out, 1, &(struct raw_request){.body = "\0\0\0\0\0", .body_len = 5});
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, 1);
    rpc_server_drain(env.server, 50000, env_on_drained, &env);
    raw_wait_end(&env, &raw);
    assert_int_equal(raw.goaways, 2);
    assert_int_equal(raw.goaway_id[0], INT32_MAX);
    assert_int_equal(raw.goaway_id[1], 1);
    env_run_until(&env, env_is_drained);
    buf_free(&out);
    raw_close(&raw);
    env_stop(&env);
}

// --- beyond what a connection takes ---

enum { QUEUED_CALLS = 50 };

static bool all_queued(struct env *env) {
    return env->counted == QUEUED_CALLS;
}

static bool thousand_held(struct env *env) {
    return env->held_count == STREAMS_MAX;
}

// More calls than a connection may have: those that the server has never seen outlive it.
static void TestRpcBeyondTheStreams(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        env_call_hold(&env, &outcome, 0);
    }
    for (uint64_t i = 0; i < QUEUED_CALLS; i++) {
        env_call_counted(&env, i, 0, true);
    }
    env_run_until(&env, thousand_held);
    rpc_server_close(env.server);
    env_run_until(&env, env_is_down);
    assert_int_equal(env.counted, 0);
    env_listen(&env, env.address);
    env_run_until(&env, all_queued);
    assert_int_equal(outcome.done, STREAMS_MAX);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    buf_free(&outcome.body);
    env_stop(&env);
}

static bool all_20(struct env *env) {
    return env->counted == 20;
}

// A connection has 2^30 calls; the next go to its successor.
static void TestRpcStreamIdsRunOut(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct outcome outcome = {0};
    env_call_hold(&env, &outcome, 0);  // continues on the old connection
    env_run_until(&env, env_has_one_held);
    assert_int_equal(nghttp2_session_set_next_stream_id(env.channel->connection->session, INT32_MAX - 20), 0);
    for (uint64_t i = 0; i < 20; i++) {
        env_call_counted(&env, i, 0, true);
    }
    env_run_until(&env, all_20);
    assert_int_equal(outcome.done, 0);
    rpc_reply(env.server, env.held, slice_of_str("done"));
    env_await(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    buf_free(&outcome.body);
    assert_int_equal(env.downs, 1);
    assert_int_equal(env.ups, 2);
    env_stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcReconnect),       cmocka_unit_test(TestRpcNames),
    cmocka_unit_test(TestRpcConnectTimeout),  cmocka_unit_test(TestRpcKeepalive),
    cmocka_unit_test(TestRpcDrain),           cmocka_unit_test(TestRpcDrainGrace),
    cmocka_unit_test(TestRpcDrainDeafClient), cmocka_unit_test(TestRpcBeyondTheStreams),
    cmocka_unit_test(TestRpcStreamIdsRunOut),
};

UNIT_MAIN(tests)
