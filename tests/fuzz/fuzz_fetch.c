// Fuzzes the debug pages' client: the input is what another node answers, in pieces. It ends exactly once, with a reason or
// with the bytes of the body. libuv's sockets are taken by the linker (meson.build).
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "fuzz.h"
#include "http/fetch.h"

enum { BODY_MAX = 1024 };

static struct {
    uv_connect_t *connect;
    uv_connect_cb connected;
    uv_stream_t *stream;
    uv_alloc_cb alloc;
    uv_read_cb read;
    unsigned ends;
    struct slice answer;  // all that is sent
} at;

int __wrap_uv_tcp_connect(uv_connect_t *request, uv_tcp_t *tcp, const struct sockaddr *address, uv_connect_cb call);
int __wrap_uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc, uv_read_cb read);
int __wrap_uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t *bufs, unsigned count, uv_write_cb call);

int __wrap_uv_tcp_connect(uv_connect_t *request, uv_tcp_t *tcp, const struct sockaddr *address, uv_connect_cb call) {
    (void)tcp;
    assert(address->sa_family == AF_INET);
    at.connect = request;
    at.connected = call;
    return 0;
}

int __wrap_uv_read_start(uv_stream_t *stream, uv_alloc_cb alloc, uv_read_cb read) {
    at.stream = stream;
    at.alloc = alloc;
    at.read = read;
    return 0;
}

int __wrap_uv_write(uv_write_t *request, uv_stream_t *stream, const uv_buf_t *bufs, unsigned count, uv_write_cb call) {
    (void)stream;
    assert(count == 1 && bufs[0].len > 0 && memcmp(bufs[0].base, "GET /status HTTP/1.1\r\n", 22) == 0);
    call(request, 0);
    return 0;
}

// A body is the last bytes of what was sent, and its head says how long it is.
static void on_done(void *user, const struct fetch_answer *answer) {
    (void)user;
    at.ends++;
    if (answer->error != NULL) {
        assert(answer->body == NULL && answer->error[0] != '\0');
        return;
    }
    assert(answer->len <= BODY_MAX && answer->status <= 999 && at.answer.len >= answer->len);
    const uint8_t *body = memmem(at.answer.data, at.answer.len, "\r\n\r\n", 4);
    assert(body != NULL && at.answer.data + at.answer.len >= body + 4 + answer->len);
    assert(answer->len == 0 || memcmp(answer->body, body + 4, answer->len) == 0);
    free(answer->body);
}

static void give(struct slice bytes) {
    while (bytes.len > 0 && at.ends == 0) {
        uv_buf_t room = {.len = 0};
        at.alloc((uv_handle_t *)at.stream, 65536, &room);
        assert(room.len > 0);
        struct slice part = take_bytes(&bytes, room.len);
        memcpy(room.base, part.data, part.len);
        at.read(at.stream, (ssize_t)part.len, &room);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uv_loop_t loop;
    static bool made;
    if (!made) {
        uv_loop_init(&loop);
        made = true;
    }
    memset(&at, 0, sizeof at);
    struct slice input = slice_of(data, size);
    uint8_t how = take_byte(&input);
    at.answer = input;
    struct fetch_request request = {.address = slice_of_str("198.18.0.1:7480"),
                                    .path = "/status",
                                    .headers = "",
                                    .timeout_ms = 60000,
                                    .body_max = BODY_MAX};
    struct fetch *fetch = fetch_start(&loop, &request, on_done, NULL);
    at.connected(at.connect, how == 255 ? UV_ECONNREFUSED : 0);
    size_t piece = how % 16 == 0 ? input.len : how % 16;
    while (input.len > 0 && at.ends == 0) {
        give(take_bytes(&input, piece));
    }
    if (at.ends == 0 && how >= 128) {
        fetch_cancel(fetch);
        at.ends++;
    } else if (at.ends == 0) {
        at.read(at.stream, UV_EOF, &(uv_buf_t){.len = 0});
    }
    assert(at.ends == 1);
    while (uv_run(&loop, UV_RUN_NOWAIT) != 0) {
    }
    return 0;
}
