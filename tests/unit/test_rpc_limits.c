// Peers that take more than their share: floods, answers that are not read, clients that vanish, too many connections.
#include <sys/resource.h>

#include "base/array.h"
#include "base/limits.h"
#include "rpc/channel.h"
#include "rpc_raw_peer.h"

static void flood(struct env *env, struct raw_peer *raw, unsigned count, void (*put)(struct buf *out, unsigned i)) {
    struct buf out = {0};
    for (unsigned i = 0; i < count && !raw->ended; i++) {
        put(&out, i);
        if (out.len > 100000 || i + 1 == count) {
            raw_send(env, raw, &out);
            buf_clear(&out);
            uv_run(&env->loop, UV_RUN_NOWAIT);
            raw_read(raw);
        }
    }
    buf_free(&out);
}

static void put_reset_call(struct buf *out, unsigned i) {
    const struct raw_request request = {.path = "/test.Test/Hold", .body = "\0\0\0\0\0", .body_len = 5};
    put_request(out, i * 2 + 1, &request);
    put_frame(out, NGHTTP2_RST_STREAM, 0, i * 2 + 1, "\0\0\0\x8", 4);
}

// The server resets the stream: its window may not grow beyond 2^31 - 1 (RFC 9113, section 6.9.1).
static void put_provoked_reset(struct buf *out, unsigned i) {
    put_request(out, i * 2 + 1, &(struct raw_request){.path = "/test.Test/Hold", .body = "\0\0\0\0\0", .body_len = 5});
    put_window_update(out, i * 2 + 1, INT32_MAX);
}

// A whole call whose request ends with a DATA frame of its own, as some clients and proxies do.
static void put_call_in_two(struct buf *out, unsigned i) {
    put_request(out, i * 2 + 1, &(struct raw_request){.body = "\0\0\0\0\2hi", .body_len = 7, .open = true});
    put_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, i * 2 + 1, NULL, 0);
}

static void put_ping(struct buf *out, unsigned i) {
    (void)i;
    put_frame(out, NGHTTP2_PING, 0, 0, "12345678", 8);
}

static void put_settings(struct buf *out, unsigned i) {
    (void)i;
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void put_empty_data(struct buf *out, unsigned i) {
    if (i == 0) {
        put_request(out, 1, &(struct raw_request){.path = "/test.Test/Chat", .open = true});
    }
    put_frame(out, NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void put_continuation(struct buf *out, unsigned i) {
    put_frame(out, i == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
}

// A busy client may make as many calls, and cancellations, as it needs; a flood ends its own connection and no other.
static void TestRpcFloods(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    const struct {
        void (*put)(struct buf *out, unsigned i);
        unsigned count;
        bool ends;
    } floods[] = {{put_call_in_two, 30000, false},   {put_reset_call, 5000, false},     {put_reset_call, 60000, true},
                  {put_provoked_reset, 5000, false}, {put_provoked_reset, 60000, true}, {put_ping, 1000, false},
                  {put_ping, 60000, true},           {put_settings, 60000, true},       {put_empty_data, 60000, true},
                  {put_continuation, 100, true}};
    for (size_t i = 0; i < ARRAY_COUNT(floods); i++) {
        struct raw_peer raw = raw_connect(&env);
        struct buf out = {0};
        put_preface(&out);
        put_window_update(&out, 0, INT32_MAX - 65535);
        raw_send(&env, &raw, &out);
        flood(&env, &raw, floods[i].count, floods[i].put);
        if (floods[i].ends) {
            uint64_t sent_at = uv_now(&env.loop);
            raw_wait_end(&env, &raw);
            assert_true(uv_now(&env.loop) - sent_at < 15000);  // sooner than a keepalive ends it
        } else {
            assert_false(raw.ended);
            assert_int_equal(raw.goaways, 0);
        }
        buf_free(&out);
        raw_close(&raw);
    }
    assert_int_equal(env.cancelled, env.held_count);
    assert_true(env.held_count >= 5000);
    env_assert_well(&env);
    env_stop(&env);
}

static bool all_cancelled(struct env *env) {
    return env->cancelled == env->held_count;
}

enum { VANISHING = 300, CALLS_OF_ONE = 20 };

static bool twenty_held(struct env *env) {
    return env->held_count % CALLS_OF_ONE == 0 && env->held_count > env->cancelled;
}

static void TestRpcVanishingClient(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    for (unsigned i = 0; i < VANISHING; i++) {
        struct raw_peer raw = raw_connect(&env);
        struct buf out = {0};
        put_preface(&out);
        for (unsigned j = 0; j < CALLS_OF_ONE; j++) {
            const struct raw_request request = {.path = "/test.Test/Hold", .body = "\0\0\0\0\0", .body_len = 5};
            put_request(&out, j * 2 + 1, &request);
        }
        raw_send(&env, &raw, &out);
        env_run_until(&env, twenty_held);
        raw_close(&raw);
        env_run_until(&env, all_cancelled);
        buf_free(&out);
    }
    assert_int_equal(env.cancelled, VANISHING * CALLS_OF_ONE);
    env_assert_well(&env);
    env_stop(&env);
}

// Calls whose answers have a million bytes, none of which the client takes.
static void put_large_calls(struct env *env, struct raw_peer *raw, unsigned count) {
    struct buf out = {0};
    put_preface(&out);
    for (uint32_t i = 0; i < count; i++) {
        put_request(&out, i * 2 + 1, &(struct raw_request){.path = "/test.Test/Large", .body = "\0\0\0\0\0", .body_len = 5});
        raw_send(env, raw, &out);
        uv_run(&env->loop, UV_RUN_NOWAIT);
        buf_clear(&out);
        raw_read(raw);
    }
    buf_free(&out);
}

// Each call waits or ends, and memory stays within what a connection may hold.
static void TestRpcAnswersNotTaken(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    put_large_calls(&env, &raw, 100);
    raw_wait_answers(&env, &raw, 100 - RPC_CONNECTION_HELD_MAX / LARGE - 2);
    assert_false(raw.ended);
    assert_string_equal(raw.status, "200/8");
    env_assert_well(&env);
    raw_close(&raw);
    env_stop(&env);
}

static bool is_refused(struct env *env) {
    return env->flow_refused > 0;
}

// A stream that could send nothing because other calls fill its connection goes on once the client takes their answers.
static void TestRpcStarvedStream(void **state) {
    (void)state;
    enum { LARGE_CALLS = RPC_CONNECTION_QUEUE_MAX / LARGE + 1, FLOW = LARGE_CALLS * 2 + 1, MESSAGES = 5 };
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    put_large_calls(&env, &raw, LARGE_CALLS);
    struct buf out = {0};
    const char body[] = {0, 0, 0, 0, 4, MESSAGES, 0, 0, 0};
    put_request(&out, FLOW, &(struct raw_request){.path = "/test.Test/Flow", .body = body, .body_len = sizeof body});
    raw_send(&env, &raw, &out);
    env_run_until(&env, is_refused);
    assert_int_equal(env.flow_next, 0);
    buf_clear(&out);
    put_window_update(&out, 0, INT32_MAX - 65535);
    for (uint32_t i = 0; i < LARGE_CALLS; i++) {
        put_window_update(&out, i * 2 + 1, LARGE);
    }
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, LARGE_CALLS + 1);
    assert_int_equal(env.flow_next, MESSAGES);
    buf_free(&out);
    env_assert_well(&env);
    raw_close(&raw);
    env_stop(&env);
}

// Bytes of memory that answers take on all connections.
static size_t answers_capacity(const struct env *env) {
    size_t total = 0;
    const struct rpc_link *accepted = &env->runtime->accepted;
    for (struct rpc_link *link = accepted->next; link != accepted; link = link->next) {
        const struct rpc_link *streams = &rpc_container(link, struct rpc_connection, accepted_link)->streams;
        for (struct rpc_link *at = streams->next; at != streams; at = at->next) {
            total += rpc_container(at, struct rpc_stream, link)->out.bytes.cap;
        }
    }
    return total;
}

enum { ALMOST_TAKEN = 200, NOT_TAKEN = 10 };

static bool all_almost_taken(struct env *env) {
    raw_read(env->watched);
    return env->watched->data_bytes == ALMOST_TAKEN * (LARGE + 5 - NOT_TAKEN);
}

// A client that takes all of each answer but its last bytes: the memory of what it has taken is free again.
static void TestRpcAnswersAlmostTaken(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    put_window_update(&out, 0, INT32_MAX - 65535);
    for (uint32_t i = 0; i < ALMOST_TAKEN; i++) {
        put_request(&out, i * 2 + 1, &(struct raw_request){.path = "/test.Test/Large", .body = "\0\0\0\0\0", .body_len = 5});
        put_window_update(&out, i * 2 + 1, LARGE + 5 - NOT_TAKEN - 65535);
        raw_send(&env, &raw, &out);
        buf_clear(&out);
        uv_run(&env.loop, UV_RUN_NOWAIT);
        raw_read(&raw);
    }
    raw_wait(&env, &raw, all_almost_taken);
    assert_int_equal(raw.answers, 0);
    assert_true(answers_capacity(&env) <= (size_t)ALMOST_TAKEN * 4 * KIB);
    env_assert_well(&env);
    raw_close(&raw);
    buf_free(&out);
    env_stop(&env);
}

enum { GREEDY = 5 };

static bool one_ended(struct env *env) {
    unsigned ended = 0;
    for (unsigned i = 0; i < GREEDY; i++) {
        raw_read(&env->watched[i]);
        ended += env->watched[i].ended;
    }
    return ended > 0;
}

// Each within its own limit, together beyond the limit of all: the one that holds most is closed, and no other.
static void TestRpcTooMuchInAll(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw[GREEDY];
    for (unsigned i = 0; i < GREEDY; i++) {
        raw[i] = raw_connect(&env);
        put_large_calls(&env, &raw[i], i == 2 ? 62 : 56);
    }
    raw_wait(&env, raw, one_ended);
    for (unsigned i = 0; i < GREEDY; i++) {
        assert_int_equal(raw[i].ended, i == 2);
        raw_close(&raw[i]);
    }
    env_assert_well(&env);
    env_stop(&env);
}

// More streaming calls than a connection may have: those beyond are refused at once, and unary ones go on.
static void TestRpcStreamingCalls(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    uint32_t stream = 1;
    for (unsigned i = 0; i < STREAMS_MAX; i++, stream += 2) {
        put_request(&out, stream, &(struct raw_request){.path = "/test.Test/Chat", .open = true});
    }
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, STREAMS_MAX - STREAMING_MAX);
    assert_int_equal(raw.answers, STREAMS_MAX - STREAMING_MAX);
    assert_string_equal(raw.status, "200/8");
    buf_clear(&out);
    put_request(&out, stream, &(struct raw_request){.body = "\0\0\0\0\2hi", .body_len = 7});
    put_frame(&out, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4);
    put_request(&out, stream + 2, &(struct raw_request){.path = "/test.Test/Chat", .open = true});
    put_request(&out, stream + 4, &(struct raw_request){.path = "/test.Test/Chat", .open = true});
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, STREAMS_MAX - STREAMING_MAX + 2);  // Echo, and the second Chat: one has made room
    assert_int_equal(env.runtime->calls_gauge->value, STREAMING_MAX);
    assert_false(raw.ended);
    env_assert_well(&env);
    raw_close(&raw);
    buf_free(&out);
    env_stop(&env);
}

// Half of the files that the process may open are for others than the server's clients.
static void TestRpcFewFiles(void **state) {
    (void)state;
    enum { FILES = 64, CLIENTS = 40 };
    struct rlimit normal, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    few = normal;
    few.rlim_cur = FILES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct env env;
    env_start(&env);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
    struct raw_peer raw[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = raw_connect(&env);
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    // They are taken some at a time.
    uint64_t until_ns = uv_hrtime() + UINT64_C(10000000000);
    while (env.runtime->connections_gauge->value < FILES / 2 && uv_hrtime() < until_ns) {
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    env_assert_well(&env);
    assert_int_equal(env.runtime->connections_gauge->value, FILES / 2);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw_close(&raw[i]);
    }
    env_stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcFloods),          cmocka_unit_test(TestRpcVanishingClient),
    cmocka_unit_test(TestRpcAnswersNotTaken), cmocka_unit_test(TestRpcAnswersAlmostTaken),
    cmocka_unit_test(TestRpcTooMuchInAll),    cmocka_unit_test(TestRpcStreamingCalls),
    cmocka_unit_test(TestRpcFewFiles),        cmocka_unit_test(TestRpcStarvedStream),
};

UNIT_MAIN(tests)
