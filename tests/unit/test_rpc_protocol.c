// What is malformed on the wire, in requests and in answers, and what is well-formed but comes in unusual pieces.
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/mem.h"
#include "rpc_raw_peer.h"

static void TestRpcBadRequests(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    char *large = mem_zalloc(20001);
    memset(large, 'x', 20000);
    const struct {
        const char *status;
        struct raw_request request;
    } cases[] = {
        {"200/0", {.body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.content_type = "application/grpc+proto", .body = "\0\0\0\0\0", .body_len = 5}},
        {"200/12", {.path = "/test.Test/None", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"reset/1", {.path = "", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/12", {.body = NULL}},                                        // no message
        {"200/12", {.body = "\0\0\0\0\2hi\0\0\0\0\2ho", .body_len = 14}},  // two
        {"200/13", {.body = "\0\0\0\0\5hi", .body_len = 7}},               // truncated
        {"200/13", {.body = "\0\0\0", .body_len = 3}},                     // inside the prefix
        {"200/13", {.body = "\1\0\0\0\2hi", .body_len = 7}},               // compressed, without an encoding
        {"200/8", {.body = "\0\xff\xff\xff\xff", .body_len = 5}},          // 4 GiB announced
        {"200/8", {.body = "\0\0\x40\0\1", .body_len = 5, .open = true}},  // a byte too large
        {"200/12", {.key = "grpc-encoding", .value = "gzip", .body = "\1\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.key = "grpc-encoding", .value = "identity", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "1", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "-1S", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "123456789S", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/4", {.key = "grpc-timeout", .value = "0m", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.key = "grpc-timeout", .value = "99999999H", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/4", {.path = "/test.Test/Hold", .key = "grpc-timeout", .value = "20m", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"415/", {.content_type = "application/json", .body = "{}", .body_len = 2}},
        {"415/", {.content_type = "application/grpcx", .body = "{}", .body_len = 2}},
        {"405/", {.method = "GET"}},
        {"200/8", {.key = "large", .value = large, .body = "\0\0\0\0\2hi", .body_len = 7}},
    };
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        put_request(&out, i * 2 + 1, &cases[i].request);
        raw_send(&env, &raw, &out);
        buf_clear(&out);
        raw_wait_answers(&env, &raw, i + 1);
        if (strcmp(raw.status, cases[i].status) != 0) {
            fail_msg("case %u: got %s, expected %s", i, raw.status, cases[i].status);
        }
    }
    assert_int_equal(raw.stops, 1);  // the one request that was left open
    free(large);
    buf_free(&out);
    raw_close(&raw);
    env_assert_well(&env);
    env_stop(&env);
}

// A request cut into single bytes, so that every message is put together.
static void TestRpcBytewise(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {.body = "\0\0\0\0\7chopped", .body_len = 12};
    put_request(&out, 1, &request);
    for (size_t i = 0; i < out.len; i++) {
        raw_send(&env, &raw, &(struct buf){.data = out.data + i, .len = 1});
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    raw_wait_answers(&env, &raw, 1);
    assert_string_equal(raw.status, "200/0");
    assert_int_equal(raw.data_bytes, 12);
    buf_free(&out);
    raw_close(&raw);
    env_stop(&env);
}

// A message that lies whole in one read, while the end of the request comes with a later one.
static void TestRpcLateEnd(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    put_request(&out, 1, &(struct raw_request){.body = "\0\0\0\0\7chopped", .body_len = 12, .open = true});
    raw_send(&env, &raw, &out);
    struct outcome outcome = {0};
    env_call(&env, &outcome, "/test.Test/Echo", slice_of_str("by now the request is here"));
    outcome.done = 0;
    uint8_t others[4096] = {0};
    env_call(&env, &outcome, "/test.Test/Echo", slice_of(others, sizeof others));  // uses the same buffer
    buf_free(&outcome.body);
    buf_clear(&out);
    put_frame(&out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
    raw_send(&env, &raw, &out);
    raw_wait_answers(&env, &raw, 1);
    assert_string_equal(raw.status, "200/0");
    assert_memory_equal(raw.last_data, "\0\0\0\0\7chopped", 12);
    buf_free(&out);
    raw_close(&raw);
    env_stop(&env);
}

static void TestRpcGarbage(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxx"};
    for (size_t i = 0; i < ARRAY_COUNT(garbage); i++) {
        struct raw_peer raw = raw_connect(&env);
        struct buf out = {0};
        buf_append_str(&out, garbage[i]);
        raw_send(&env, &raw, &out);
        raw_wait_end(&env, &raw);
        buf_free(&out);
        raw_close(&raw);
    }
    env_assert_well(&env);
    env_stop(&env);
}

// An answer that is none: another kind of server, a reset, a refusal.
static void TestRpcBadAnswers(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    static const struct {
        const char *name, *value;  // of a header after :status; NULL: no headers
        const char *http_status;
        uint32_t reset;
        enum rpc_status status;
        bool maybe_processed;
    } cases[] = {
        {"content-type", "text/html", "502", 0, RPC_UNAVAILABLE, true},
        {"content-type", "text/html", "200", 0, RPC_UNKNOWN, true},
        {"content-type", "application/grpc", "200", 0, RPC_UNKNOWN, true},  // no grpc-status
        {"grpc-status", "5", "200", 0, RPC_NOT_FOUND, true},
        {"grpc-status", "0", "200", 0, RPC_UNIMPLEMENTED, true},  // OK without a message
        {"grpc-status", "77", "200", 0, RPC_UNKNOWN, true},
        {NULL, NULL, NULL, NGHTTP2_REFUSED_STREAM, RPC_UNAVAILABLE, false},
        {NULL, NULL, NULL, NGHTTP2_INTERNAL_ERROR, RPC_INTERNAL, true},
        {NULL, NULL, NULL, NGHTTP2_ENHANCE_YOUR_CALM, RPC_RESOURCE_EXHAUSTED, true},
    };
    struct raw_peer raw = raw_serve(&env, (struct rpc_channel_options){0}, 65535);
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct outcome outcome = {0};
        struct buf out = {0}, fields = {0};
        env_call_hold(&env, &outcome, 0);
        uv_run(&env.loop, UV_RUN_NOWAIT);
        if (cases[i].name != NULL) {
            put_field(&fields, ":status", cases[i].http_status);
            put_field(&fields, cases[i].name, cases[i].value);
            put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, i * 2 + 1, fields.data,
                      fields.len);
        } else {
            uint8_t code[4] = {0, 0, 0, (uint8_t)cases[i].reset};
            put_frame(&out, NGHTTP2_RST_STREAM, 0, i * 2 + 1, code, sizeof code);
        }
        raw_send(&env, &raw, &out);
        env_await(&env, &outcome);
        assert_int_equal(outcome.status, cases[i].status);
        assert_int_equal(outcome.maybe_processed, cases[i].maybe_processed);
        buf_free(&outcome.body);
        buf_free(&fields);
        buf_free(&out);
    }
    raw_close(&raw);
    env_stop(&env);
}

// A server that breaks the protocol in the bytes in which it greets: the calls that have waited for it cannot be sent on
// that connection any more, and wait for the next one.
static void TestRpcBrokenGreeting(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    char target[32];
    int listener = raw_listen(10, target);
    env.downs = 0;
    env_connect(&env, (struct rpc_channel_options){.target = target});
    struct outcome outcome = {0};
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                        .body = slice_of_str("later"),
                                                        .timeout_ms = 400,
                                                        .wait_for_ready = true,
                                                        .user = &outcome,
                                                        .on_done = outcome_on_done});
    uv_run(&env.loop, UV_RUN_NOWAIT);
    uv_run(&env.loop, UV_RUN_NOWAIT);
    int server = accept(listener, NULL, NULL);
    struct buf out = {0};
    put_frame(&out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    put_frame(&out, NGHTTP2_DATA, 0, 31, "x", 1);  // of a stream that nobody has opened
    assert_int_equal(send(server, out.data, out.len, MSG_NOSIGNAL), out.len);
    alarm(30);  // the loop's watchdog does not see a callback that never returns
    env_run_until(&env, env_is_down);
    env_await(&env, &outcome);
    alarm(0);
    assert_int_equal(outcome.status, RPC_DEADLINE_EXCEEDED);
    assert_false(outcome.maybe_processed);
    buf_free(&out);
    buf_free(&outcome.body);
    close(server);
    close(listener);
    env_stop(&env);
}

// A message before a status other than OK is nobody's answer.
static void TestRpcFailureHasNoBody(void **state) {
    (void)state;
    struct env env;
    env_start(&env);
    struct raw_peer raw = raw_serve(&env, (struct rpc_channel_options){0}, 65535);
    static const char *const statuses[] = {"13", "0"};
    for (uint32_t i = 0; i < ARRAY_COUNT(statuses); i++) {
        struct outcome outcome = {0};
        struct buf out = {0}, fields = {0}, trailers = {0};
        env_call_hold(&env, &outcome, 0);
        uv_run(&env.loop, UV_RUN_NOWAIT);
        put_field(&fields, ":status", "200");
        put_field(&fields, "content-type", "application/grpc");
        put_field(&trailers, "grpc-status", statuses[i]);
        put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, i * 2 + 1, fields.data, fields.len);
        put_frame(&out, NGHTTP2_DATA, 0, i * 2 + 1, "\0\0\0\0\4half", 9);
        put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, i * 2 + 1, trailers.data,
                  trailers.len);
        raw_send(&env, &raw, &out);
        env_await(&env, &outcome);
        assert_int_equal(outcome.status, i == 0 ? RPC_INTERNAL : RPC_OK);
        assert_int_equal(outcome.body.len, i == 0 ? 0 : 4);
        buf_free(&outcome.body);
        buf_free(&fields);
        buf_free(&trailers);
        buf_free(&out);
    }
    raw_close(&raw);
    env_stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcBadRequests),      cmocka_unit_test(TestRpcBytewise),   cmocka_unit_test(TestRpcLateEnd),
    cmocka_unit_test(TestRpcGarbage),          cmocka_unit_test(TestRpcBadAnswers), cmocka_unit_test(TestRpcBrokenGreeting),
    cmocka_unit_test(TestRpcFailureHasNoBody),
};

UNIT_MAIN(tests)
