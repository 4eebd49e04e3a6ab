// The loop of rpc's fuzz targets: rpc_loop.h. The names with __wrap_ take the place of those without.
#include "rpc_loop.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/transport.h"

enum { START_MS = 1000000, PREFACE = 24, FRAME_HEAD = 9, FRAME_PAYLOAD_MAX = 16384 };

struct pipe {
    struct rpc_transport transport;
    struct rpc_runtime *runtime;
    bool closed;
    bool lost;         // `failed` was told
    bool drains;       // a part of a write waits
    struct buf input;  // exactly what a read gives, in memory of its own
    struct rpc_deferred release;
};

static struct {
    uv_loop_t uv;
    struct rpc_runtime *runtime;
    uint64_t now_ms;
    uv_prepare_cb prepare;
    uv_prepare_t *prepare_handle;
    uv_timer_cb timer;
    uv_timer_t *timer_handle;
    uint64_t timer_at_ms;
    uv_connection_cb listener;
    uv_stream_t *listener_handle;
    struct pipe *pipe;
    bool narrow;
    unsigned attempts;
    unsigned pipes;   // not freed yet
    struct buf sent;  // on the newest connection
    uint64_t random;
} loop;

// --- libuv's part ---

uint64_t __wrap_uv_now(const uv_loop_t *uv);
uint64_t __wrap_uv_hrtime(void);
int __wrap_uv_prepare_start(uv_prepare_t *handle, uv_prepare_cb call);
int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb call, uint64_t after_ms, uint64_t repeat);
int __wrap_uv_timer_stop(uv_timer_t *handle);
int __wrap_uv_idle_start(uv_idle_t *handle, uv_idle_cb call);
int __wrap_uv_idle_stop(uv_idle_t *handle);
int __wrap_uv_tcp_bind(uv_tcp_t *handle, const struct sockaddr *address, unsigned flags);
int __wrap_uv_listen(uv_stream_t *handle, int backlog, uv_connection_cb call);
int __wrap_uv_tcp_getsockname(const uv_tcp_t *handle, struct sockaddr *name, int *len);
int __wrap_uv_random(uv_loop_t *uv, uv_random_t *request, void *out, size_t len, unsigned flags, uv_random_cb call);
struct rpc_transport *__wrap_rpc_tcp_accept(struct rpc_runtime *runtime, uv_stream_t *listener);
struct rpc_transport *__wrap_rpc_tcp_connect(struct rpc_runtime *runtime, const struct sockaddr *address);

uint64_t __wrap_uv_now(const uv_loop_t *uv) {
    (void)uv;
    return loop.now_ms;
}

uint64_t __wrap_uv_hrtime(void) {
    return loop.now_ms * 1000000;
}

int __wrap_uv_prepare_start(uv_prepare_t *handle, uv_prepare_cb call) {
    loop.prepare = call;
    loop.prepare_handle = handle;
    return 0;
}

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb call, uint64_t after_ms, uint64_t repeat) {
    assert(repeat == 0);
    loop.timer = call;
    loop.timer_handle = handle;
    loop.timer_at_ms = loop.now_ms + after_ms;
    return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *handle) {
    (void)handle;
    loop.timer = NULL;
    return 0;
}

int __wrap_uv_idle_start(uv_idle_t *handle, uv_idle_cb call) {
    (void)handle;
    (void)call;
    return 0;
}

int __wrap_uv_idle_stop(uv_idle_t *handle) {
    (void)handle;
    return 0;
}

int __wrap_uv_tcp_bind(uv_tcp_t *handle, const struct sockaddr *address, unsigned flags) {
    (void)handle;
    (void)address;
    (void)flags;
    return 0;
}

int __wrap_uv_listen(uv_stream_t *handle, int backlog, uv_connection_cb call) {
    (void)backlog;
    loop.listener = call;
    loop.listener_handle = handle;
    return 0;
}

int __wrap_uv_tcp_getsockname(const uv_tcp_t *handle, struct sockaddr *name, int *len) {
    (void)handle;
    *(struct sockaddr_in *)name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(7400)};
    *len = sizeof(struct sockaddr_in);
    return 0;
}

// No two draws alike, and each run the same.
int __wrap_uv_random(uv_loop_t *uv, uv_random_t *request, void *out, size_t len, unsigned flags, uv_random_cb call) {
    (void)uv;
    (void)request;
    (void)flags;
    (void)call;
    loop.random = loop.random * UINT64_C(6364136223846793005) + 1442695040888963407;
    assert(len == sizeof loop.random);
    memcpy(out, &loop.random, len);
    return 0;
}

// --- connections ---

static struct pipe *pipe_of(struct rpc_transport *transport) {
    return rpc_container(transport, struct pipe, transport);
}

static void pipe_start(struct rpc_transport *transport) {
    (void)transport;
}

static enum rpc_written pipe_write(struct rpc_transport *transport, struct slice bytes) {
    struct pipe *pipe = pipe_of(transport);
    assert(!pipe->closed && transport->pending == 0 && bytes.len > 0);
    if (pipe == loop.pipe) {
        buf_append(&loop.sent, bytes.data, bytes.len);
    }
    if (!loop.narrow || bytes.len == 1) {
        return RPC_WRITTEN;
    }
    transport->pending = bytes.len / 2;
    pipe->drains = true;
    return RPC_WRITTEN_PART;
}

static void pipe_release(struct rpc_deferred *deferred) {
    struct pipe *pipe = rpc_container(deferred, struct pipe, release);
    rpc_runtime_release(pipe->runtime);
    buf_free(&pipe->input);
    loop.pipes--;
    free(pipe);
}

static void pipe_close(struct rpc_transport *transport) {
    struct pipe *pipe = pipe_of(transport);
    assert(!pipe->closed);
    pipe->closed = true;
    if (loop.pipe == pipe) {
        loop.pipe = NULL;
    }
    rpc_defer(pipe->runtime, &pipe->release, pipe_release);
}

static struct rpc_transport *pipe_new(struct rpc_runtime *runtime, bool open) {
    static const struct rpc_transport_ops ops = {.start = pipe_start, .write = pipe_write, .close = pipe_close};
    struct pipe *pipe = mem_zalloc(sizeof *pipe);
    pipe->transport = (struct rpc_transport){.ops = &ops, .open = open, .unanswered = !open, .address = "198.18.0.1:7400"};
    pipe->runtime = runtime;
    rpc_list_init(&pipe->release.link);
    runtime->users++;
    loop.pipes++;
    loop.pipe = pipe;
    buf_clear(&loop.sent);
    return &pipe->transport;
}

struct rpc_transport *__wrap_rpc_tcp_accept(struct rpc_runtime *runtime, uv_stream_t *listener) {
    assert(listener == loop.listener_handle);
    return pipe_new(runtime, true);
}

struct rpc_transport *__wrap_rpc_tcp_connect(struct rpc_runtime *runtime, const struct sockaddr *address) {
    assert(address->sa_family == AF_INET);
    loop.attempts++;
    return pipe_new(runtime, false);
}

// --- the target's side ---

struct rpc_runtime *loop_begin(void) {
    loop.now_ms = START_MS;
    loop.timer = NULL;
    loop.narrow = false;
    loop.attempts = 0;
    loop.random = 0;
    if (loop.runtime == NULL) {
        int error = uv_loop_init(&loop.uv);
        assert(error == 0);
        loop.runtime = rpc_runtime_new(&loop.uv, NULL);
    }
    return loop.runtime;
}

void loop_turn(void) {
    uv_run(&loop.uv, UV_RUN_NOWAIT);  // what was closed is told
    if (loop.pipe != NULL && loop.pipe->drains) {
        loop.pipe->drains = false;
        loop.pipe->transport.pending = 0;
        loop.pipe->transport.events->drained(loop.pipe->transport.owner);
    }
    if (loop.timer != NULL && loop.timer_at_ms <= loop.now_ms) {
        uv_timer_cb call = loop.timer;
        loop.timer = NULL;
        call(loop.timer_handle);
    }
    loop.prepare(loop.prepare_handle);
}

void loop_pass(uint64_t ms) {
    uint64_t until = loop.now_ms + ms;
    loop_turn();
    while (loop.timer != NULL && loop.timer_at_ms <= until) {
        loop.now_ms = loop.timer_at_ms > loop.now_ms ? loop.timer_at_ms : loop.now_ms;
        loop_turn();
    }
    loop.now_ms = until;
    loop_turn();
}

void loop_end(void) {
    const struct rpc_runtime *runtime = loop.runtime;
    for (int i = 0; runtime->users > 0 || i < 2; i++) {
        assert(i < 1000);  // nothing keeps them from ending
        loop_turn();
    }
    assert(loop.pipes == 0 && loop.pipe == NULL && runtime->held == 0 && runtime->timers.count == 0);
    assert(rpc_list_empty(&loop.runtime->dirty) && rpc_list_empty(&loop.runtime->deferred));
    assert(rpc_list_empty(&loop.runtime->writable) && rpc_list_empty(&loop.runtime->accepted));
    buf_clear(&loop.sent);
}

void loop_connect(void) {
    loop.listener(loop.listener_handle, 0);
}

bool loop_is_connected(void) {
    return loop.pipe != NULL && !loop.pipe->lost && !loop.pipe->transport.unanswered;
}

unsigned loop_attempts(void) {
    return loop.attempts;
}

void loop_answer(bool accept) {
    if (loop.pipe == NULL || !loop.pipe->transport.unanswered || loop.pipe->lost) {
        return;
    }
    if (accept) {
        loop.pipe->transport.unanswered = false;
        loop.pipe->transport.events->opened(loop.pipe->transport.owner);
    } else {
        loop.pipe->lost = true;
        loop.pipe->transport.events->failed(loop.pipe->transport.owner, UV_ECONNREFUSED);
    }
    loop_turn();
}

static void receive(struct slice bytes) {
    struct pipe *pipe = loop.pipe;
    uint8_t *exact = mem_alloc(bytes.len);  // so that a sanitizer sees a read past the end
    memcpy(exact, bytes.data, bytes.len);
    pipe->transport.events->read(pipe->transport.owner, slice_of(exact, bytes.len));
    free(exact);
    loop_turn();
}

void loop_receive(struct slice bytes, size_t piece) {
    while (bytes.len > 0 && loop_is_connected()) {
        size_t len = piece == 0 || piece > bytes.len ? bytes.len : piece;
        receive(slice_of(bytes.data, len));
        bytes = slice_of(bytes.data + len, bytes.len - len);
    }
}

void loop_hang_up(bool reset) {
    if (loop_is_connected()) {
        loop.pipe->lost = true;
        loop.pipe->transport.events->failed(loop.pipe->transport.owner, reset ? UV_ECONNRESET : UV_EOF);
        loop_turn();
    }
}

void loop_narrow(bool narrow) {
    loop.narrow = narrow;
}

void loop_check_sent(bool by_client) {
    size_t at = 0;
    if (by_client && loop.sent.len > 0) {
        assert(loop.sent.len >= PREFACE && memcmp(loop.sent.data, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE) == 0);
        at = PREFACE;
    }
    while (at < loop.sent.len) {
        const uint8_t *frame = loop.sent.data + at;
        assert(loop.sent.len - at >= FRAME_HEAD);
        size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        assert(len <= FRAME_PAYLOAD_MAX && loop.sent.len - at >= FRAME_HEAD + len);
        at += FRAME_HEAD + len;
    }
}
