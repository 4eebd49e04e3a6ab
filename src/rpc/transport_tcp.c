// TCP on libuv. Writes go to the kernel directly; what it does not take is copied and left to one uv_write. All sockets read
// into the runtime's buffer, whose content is consumed within the callback.
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/transport.h"

struct tcp {
    struct rpc_transport transport;
    struct rpc_runtime *runtime;
    uv_tcp_t socket;
    uv_connect_t connect;
    uv_write_t write;
    struct buf rest;             // of a write, owned by `write` until it is done
    struct rpc_deferred resume;  // continues reading in the next turn
    bool accepted;
    bool closing;
};

static struct tcp *tcp_of(struct rpc_transport *transport) {
    return rpc_container(transport, struct tcp, transport);
}

static void on_closed(uv_handle_t *handle) {
    struct tcp *tcp = handle->data;
    rpc_runtime_release(tcp->runtime);
    buf_free(&tcp->rest);
    free(tcp);
}

static void tcp_close(struct rpc_transport *transport) {
    struct tcp *tcp = tcp_of(transport);
    assert(!tcp->closing);
    tcp->closing = true;
    rpc_list_remove(&tcp->resume.link);
    uv_close((uv_handle_t *)&tcp->socket, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct tcp *tcp = handle->data;
    *buf = uv_buf_init((char *)tcp->runtime->input, RPC_INPUT);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void resume_reading(struct rpc_deferred *deferred) {
    struct tcp *tcp = rpc_container(deferred, struct tcp, resume);
    uv_read_start((uv_stream_t *)&tcp->socket, on_alloc, on_read);
}

// At most one buffer per turn: libuv would read 32 of one connection before it turns to another, and before a GOAWAY to this
// one is sent.
static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct tcp *tcp = stream->data;
    if (len > 0) {
        tcp->transport.events->read(tcp->transport.owner, slice_of(buf->base, (size_t)len));
        if ((size_t)len == buf->len && !tcp->closing) {
            uv_read_stop(stream);
            rpc_defer(tcp->runtime, &tcp->resume, resume_reading);
        }
    } else if (len < 0) {
        uv_read_stop(stream);
        tcp->transport.events->failed(tcp->transport.owner, (int)len);
    }
}

static void begin_reading(struct tcp *tcp) {
    uv_tcp_nodelay(&tcp->socket, 1);
    int error = uv_read_start((uv_stream_t *)&tcp->socket, on_alloc, on_read);
    assert(error == 0);  // it fails only on a handle that is closing or not connected
}

static void on_connected(uv_connect_t *request, int error) {
    struct tcp *tcp = request->data;
    if (tcp->closing) {
        return;
    }
    if (error != 0) {
        tcp->transport.events->failed(tcp->transport.owner, error);
        return;
    }
    tcp->transport.unanswered = false;
    begin_reading(tcp);
    tcp->transport.events->opened(tcp->transport.owner);
}

static void on_written(uv_write_t *request, int error) {
    struct tcp *tcp = request->data;
    assert(tcp->transport.pending == tcp->rest.len && tcp->rest.len > 0);
    tcp->transport.pending = 0;
    buf_free(&tcp->rest);
    if (tcp->closing) {
        return;
    }
    if (error != 0) {
        tcp->transport.events->failed(tcp->transport.owner, error);
    } else {
        tcp->transport.events->drained(tcp->transport.owner);
    }
}

static enum rpc_written tcp_write(struct rpc_transport *transport, struct slice bytes) {
    struct tcp *tcp = tcp_of(transport);
    assert(transport->pending == 0 && tcp->rest.len == 0 && !tcp->closing);
    uv_stream_t *stream = (uv_stream_t *)&tcp->socket;
    uv_buf_t buf = {.base = (char *)(uintptr_t)bytes.data, .len = bytes.len};
    int written = uv_try_write(stream, &buf, 1);
    if (written == UV_EAGAIN) {
        written = 0;
    }
    if (written < 0) {
        return RPC_WRITE_FAILED;
    }
    if ((size_t)written == bytes.len) {
        return RPC_WRITTEN;
    }
    buf_append(&tcp->rest, bytes.data + written, bytes.len - (size_t)written);
    buf = uv_buf_init((char *)tcp->rest.data, (unsigned)tcp->rest.len);
    if (uv_write(&tcp->write, stream, &buf, 1, on_written) != 0) {
        buf_free(&tcp->rest);
        return RPC_WRITE_FAILED;
    }
    transport->pending = tcp->rest.len;
    return RPC_WRITTEN_PART;
}

static void tcp_start(struct rpc_transport *transport) {
    struct tcp *tcp = tcp_of(transport);
    if (tcp->accepted) {
        begin_reading(tcp);
    }
}

static const struct rpc_transport_ops tcp_ops = {.start = tcp_start, .write = tcp_write, .close = tcp_close};

static struct tcp *tcp_new(struct rpc_runtime *runtime) {
    struct tcp *tcp = mem_zalloc(sizeof *tcp);
    tcp->transport.ops = &tcp_ops;
    tcp->runtime = runtime;
    rpc_list_init(&tcp->resume.link);
    tcp->connect.data = tcp->write.data = tcp->socket.data = tcp;
    int error = uv_tcp_init(runtime->loop, &tcp->socket);
    assert(error == 0);  // it makes no socket yet
    runtime->users++;
    return tcp;
}

struct rpc_transport *rpc_tcp_accept(struct rpc_runtime *runtime, uv_stream_t *listener) {
    struct tcp *tcp = tcp_new(runtime);
    tcp->accepted = tcp->transport.open = true;
    struct sockaddr_storage peer;
    int size = sizeof peer;
    if (uv_accept(listener, (uv_stream_t *)&tcp->socket) != 0 ||
        uv_tcp_getpeername(&tcp->socket, (struct sockaddr *)&peer, &size) != 0) {
        tcp_close(&tcp->transport);
        return NULL;
    }
    rpc_address_format(tcp->transport.address, sizeof tcp->transport.address, (struct sockaddr *)&peer);
    return &tcp->transport;
}

struct rpc_transport *rpc_tcp_connect(struct rpc_runtime *runtime, const struct sockaddr *address) {
    struct tcp *tcp = tcp_new(runtime);
    tcp->transport.unanswered = true;
    rpc_address_format(tcp->transport.address, sizeof tcp->transport.address, address);
    if (uv_tcp_connect(&tcp->connect, &tcp->socket, address, on_connected) != 0) {
        tcp_close(&tcp->transport);
        return NULL;
    }
    return &tcp->transport;
}
