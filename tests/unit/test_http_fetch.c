// The HTTP client against servers that do not behave.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "http/fetch.h"
#include "http_fixture.h"
#include "name_server.h"

struct rogue {
    uv_tcp_t listener;
    uv_tcp_t peer;
    uv_write_t write;
    const char *answer;
    char question[1024];
    bool has_peer;
};

static void rogue_shut(uv_write_t *write, int status) {
    (void)status;
    struct rogue *rogue = write->data;
    uv_close((uv_handle_t *)&rogue->peer, NULL);
    rogue->has_peer = false;
}

// Answers when the question has come: what is closed with bytes unread is reset.
static void rogue_read(uv_stream_t *peer, ssize_t n, const uv_buf_t *buf) {
    (void)buf;
    struct rogue *rogue = peer->data;
    if (n > 0) {
        uv_read_stop(peer);
        uv_buf_t answer = uv_buf_init((char *)(uintptr_t)rogue->answer, (unsigned)strlen(rogue->answer));
        uv_write(&rogue->write, peer, &answer, 1, rogue_shut);
    }
}

static void rogue_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct rogue *rogue = handle->data;
    *buf = uv_buf_init(rogue->question, sizeof rogue->question);
}

static void rogue_accept(uv_stream_t *listener, int status) {
    struct rogue *rogue = listener->data;
    assert_int_equal(status, 0);
    uv_tcp_init(listener->loop, &rogue->peer);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&rogue->peer), 0);
    rogue->has_peer = true;
    rogue->write.data = rogue;
    rogue->peer.data = rogue;
    uv_read_start((uv_stream_t *)&rogue->peer, rogue_alloc, rogue_read);
}

struct outcome {
    bool done;
    struct fetch_answer answer;
    char error[128];
};

static void take_outcome(void *user, const struct fetch_answer *answer) {
    struct outcome *outcome = user;
    assert_false(outcome->done);
    outcome->done = true;
    outcome->answer = *answer;
    snprintf(outcome->error, sizeof outcome->error, "%s", answer->error == NULL ? "" : answer->error);
}

static struct outcome fetch_from(struct cluster *cluster, const char *answer) {
    struct rogue rogue = {.answer = answer};
    struct sockaddr_in address;
    int len = sizeof address;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(&cluster->loop, &rogue.listener);
    rogue.listener.data = &rogue;
    uv_tcp_bind(&rogue.listener, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&rogue.listener, 1, rogue_accept), 0);
    uv_tcp_getsockname(&rogue.listener, (struct sockaddr *)&address, &len);
    char text[32];
    snprintf(text, sizeof text, "localhost:%u", ntohs(address.sin_port));
    struct outcome outcome = {0};
    struct fetch_request request = {
        .address = slice_of_str(text), .path = "/status", .headers = "", .timeout_ms = 20000, .body_max = 1000};
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    assert_false(outcome.done);
    await(cluster, &outcome.done);
    uv_close((uv_handle_t *)&rogue.listener, NULL);
    while (rogue.has_peer) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    uv_run(&cluster->loop, UV_RUN_NOWAIT);
    return outcome;
}

static void TestHttpFetch(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    static const struct {
        const char *answer;
        const char *error;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ""},
        {"HTTP/1.0 404 No\r\ncontent-length:\t0 \r\n\r\n", ""},
        {"HTTP/1.1 -03 No\r\nContent-Length: 0\r\n\r\n", "not an HTTP/1.1 answer"},
        {"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", "not an HTTP/1.1 answer"},
        {"HTTP/1.1 200 OK\r\n\r\nhello", "without Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "ended within"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", "more bytes"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "too large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello", "too large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "wrong"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "wrong"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer encoding"},
        {"HTTP/2 200\r\nContent-Length: 5\r\n\r\nhello", "not an HTTP/1.1"},
        {"garbage\r\n\r\n", "not an HTTP/1.1"},
        {"\r\n\r\n", "not an HTTP/1.1"},
        {"", "ended within"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct outcome outcome = fetch_from(cluster, cases[i].answer);
        if (strstr(outcome.error, cases[i].error) == NULL || (cases[i].error[0] == '\0') != (outcome.error[0] == '\0')) {
            fail_msg("\"%s\" gave \"%s\"", cases[i].answer, outcome.error);
        }
        if (i == 0) {
            assert_int_equal(outcome.answer.status, 200);
            assert_memory_equal(outcome.answer.body, "hello", 5);
        }
        free(outcome.answer.body);
    }
    struct buf endless = {0};
    buf_append_str(&endless, "HTTP/1.1 200 OK\r\nX: ");
    memset(buf_reserve(&endless, 64 * KIB), 'a', 64 * KIB - 1);
    endless.len += 64 * KIB - 1;
    buf_append(&endless, "", 1);
    struct outcome outcome = fetch_from(cluster, (char *)endless.data);
    assert_non_null(strstr(outcome.error, "headers that are too large"));
    buf_free(&endless);
    // Addresses that are none, and a call that is given up, at once and later.
    outcome = (struct outcome){0};
    struct fetch_request request = {
        .address = slice_of_str("nowhere"), .path = "/", .headers = "", .timeout_ms = 1000, .body_max = 10};
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    assert_false(outcome.done);
    await(cluster, &outcome.done);
    assert_non_null(outcome.answer.error);
    outcome = (struct outcome){0};
    request.address = slice_of_str("localhost:1");
    fetch_cancel(fetch_start(&cluster->loop, &request, take_outcome, &outcome));
    request.address = slice_of_str("127.0.0.1:1");
    fetch_cancel(fetch_start(&cluster->loop, &request, take_outcome, &outcome));
    cluster_free(cluster);
    assert_false(outcome.done);
}

// A name that is none says so; one that hangs delays no other request, and ends with the request's own time.
static void TestHttpFetchNames(void **state) {
    (void)state;
    struct cluster *cluster = cluster_new();
    struct name_server names;
    struct name_server *const list[] = {&names};
    name_server_start(&names, &cluster->loop);
    name_servers_use(list, 1);
    struct outcome hanging = {0};
    struct outcome outcome = {0};
    struct fetch_request request = {
        .address = slice_of_str("hangs.test:1"), .path = "/", .headers = "", .timeout_ms = 500, .body_max = 10};
    names.silent_for = "hangs.test";
    names.answer = NAME_NOT_FOUND;
    fetch_start(&cluster->loop, &request, take_outcome, &hanging);
    request.address = slice_of_str("typo.test:1");
    request.timeout_ms = 20000;
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    await(cluster, &outcome.done);
    assert_string_equal(outcome.error, "the name typo.test does not resolve (Domain name not found)");
    await(cluster, &hanging.done);
    assert_string_equal(hanging.error, "its name could not be looked up in time");
    names.answer = NAME_FOUND;
    names.v4 = "127.0.0.9 127.0.0.1";  // nobody listens at either
    outcome = (struct outcome){0};
    fetch_start(&cluster->loop, &request, take_outcome, &outcome);
    await(cluster, &outcome.done);
    assert_string_equal(outcome.error, "connection refused");
    names.answer = NAME_SILENT;
    names.questions = 0;
    struct fetch *given_up = fetch_start(&cluster->loop, &request, take_outcome, &hanging);
    while (names.questions == 0) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    fetch_cancel(given_up);
    name_server_stop(&names);
    cluster_free(cluster);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestHttpFetch),
    cmocka_unit_test(TestHttpFetchNames),
};

UNIT_MAIN(tests)
