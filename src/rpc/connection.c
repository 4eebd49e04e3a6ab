// HTTP/2 by nghttp2. Received bytes go into nghttp2_session_mem_recv, whose callbacks are below; at the end of the turn
// nghttp2_session_mem_send gives frames, which are collected in one buffer and written at once.
//
// nghttp2 sends WINDOW_UPDATE as data is received: handlers never wait, and withholding the connection's window while its
// messages are incomplete would deadlock it. The memory that a peer can make us hold is bounded by counting instead
// (`held`): messages being received, and answers that the peer does not read.
#include "rpc/connection.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/slog.h"

enum { FRAME_MAX = 16 * KIB + 1 * KIB };  // nghttp2 gives at most one frame at a time: 16 KiB, its header, padding

static_assert(RPC_OUTPUT > 2 * FRAME_MAX, "the output buffer must hold frames");

// --- receiving ---

static int verdict(const struct rpc_connection *connection) {
    return connection->closing ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
    struct rpc_connection *connection = user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct rpc_stream *stream = connection->role->begin(connection, frame->hd.stream_id);
    if (stream == NULL) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    } else {
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user_data) {
    (void)flags;
    struct rpc_connection *connection = user_data;
    struct rpc_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL || stream->ignores_input) {
        return 0;
    }
    stream->header_bytes += (uint32_t)(name_len + value_len) + 32;
    if (stream->header_bytes <= HEADER_LIST_MAX) {
        connection->role->header(stream, slice_of(name, name_len), slice_of(value, value_len));
    }
    return 0;
}

static void deliver(struct rpc_stream *stream, struct slice message) {
    struct rpc_connection *connection = stream->connection;
    if (!stream->one_message) {
        connection->role->message(stream, message);
    } else {
        stream->has_message = true;
        stream->message = message;
        if (message.data != stream->reader.data) {
            rpc_list_push(&connection->borrowed, &stream->borrowed);
        }
    }
}

static void fail_stream(struct rpc_stream *stream, enum rpc_stream_error error) {
    stream->ignores_input = true;
    stream->connection->role->failed(stream, error);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *user_data) {
    (void)flags;
    struct rpc_connection *connection = user_data;
    struct rpc_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    struct slice bytes = slice_of(data, len);
    // A callback may close the connection or detach the stream.
    while (bytes.len > 0 && !connection->closing && stream != NULL && stream->connection == connection &&
           !stream->ignores_input) {
        struct slice message;
        if (stream->has_message) {
            fail_stream(stream, RPC_STREAM_TOO_MANY);
            break;
        }
        enum rpc_read result = rpc_reader_next(&stream->reader, &bytes, &message);
        rpc_stream_count(stream);
        switch (result) {
        case RPC_READ_MESSAGE:
            deliver(stream, message);
            break;
        case RPC_READ_TOO_LARGE:
            fail_stream(stream, RPC_STREAM_TOO_LARGE);
            break;
        case RPC_READ_COMPRESSED:
            fail_stream(stream, RPC_STREAM_COMPRESSED);
            break;
        case RPC_READ_NO_MEMORY:
            fail_stream(stream, RPC_STREAM_NO_MEMORY);
            break;
        case RPC_READ_MORE:
            if (connection->role->server && connection->held > RPC_CONNECTION_HELD_MAX) {
                fail_stream(stream, RPC_STREAM_NO_MEMORY);
            }
            break;
        }
    }
    return verdict(connection);
}

static void half_close(struct rpc_connection *connection, struct rpc_stream *stream) {
    stream->half_closed = true;
    if (!stream->ignores_input && !rpc_reader_at_end(&stream->reader)) {
        fail_stream(stream, RPC_STREAM_TRUNCATED);
        return;
    }
    if (stream->has_message && !stream->ignores_input) {
        rpc_list_remove(&stream->borrowed);
        connection->role->message(stream, stream->message);
        if (connection->closing || stream->connection != connection) {
            return;
        }
        if (connection->role->server) {
            rpc_reader_reset(&stream->reader);  // the handler has it; the answer may come much later
            rpc_stream_count(stream);
        }
    }
    connection->role->half_closed(stream);
}

// Frames that are cheap to send and need work or an answer: PING, SETTINGS, DATA without data or END_STREAM, and those that
// provoke a reset. False: beyond the rate allowed (a token bucket).
static bool count_control(struct rpc_connection *connection) {
    uint64_t now = rpc_now_ms(connection->runtime);
    uint64_t grown = (now - connection->control_at_ms) * RPC_CONTROL_PER_SECOND / 1000;
    if (grown > 0) {
        connection->control_at_ms = now;
        connection->control_tokens += grown;
        if (connection->control_tokens > RPC_CONTROL_BURST) {
            connection->control_tokens = RPC_CONTROL_BURST;
        }
    }
    if (connection->control_tokens == 0) {
        return false;
    }
    connection->control_tokens--;
    return true;
}

static void log_misbehaviour(struct rpc_connection *connection, const char *what) {
    slog(SLOG_WARN, "peer-misbehaves", "closing a connection: the peer misbehaves",
         F_STR("peer", connection->transport->address), F_STR("reason", what));
}

static void on_control(struct rpc_connection *connection) {
    if (!count_control(connection)) {
        log_misbehaviour(connection, "a flood of control frames");
        nghttp2_session_terminate_session(connection->session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

static void on_settings(struct rpc_connection *connection) {
    on_control(connection);
    if (!connection->settings_received) {
        connection->settings_received = true;
        rpc_timer_stop(connection->runtime, &connection->keepalive);
        if (connection->keepalive_interval_ms > 0) {
            rpc_timer_start(connection->runtime, &connection->keepalive, connection->keepalive_interval_ms,
                            connection->keepalive.fire);
        }
        connection->role->ready(connection);
    }
}

static void on_stream_frame(struct rpc_connection *connection, struct rpc_stream *stream, const nghttp2_frame *frame) {
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        connection->role->headers(stream, end);
        if (connection->closing || stream->connection != connection) {
            return;
        }
    }
    if (end) {
        half_close(connection, stream);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
    struct rpc_connection *connection = user_data;
    bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    struct rpc_stream *stream;
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        if (frame->hd.length == 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
            on_control(connection);
        }
        // fall through
    case NGHTTP2_HEADERS:
        stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (stream != NULL) {
            on_stream_frame(connection, stream, frame);
        }
        break;
    case NGHTTP2_SETTINGS:
        if (!ack) {
            on_settings(connection);
        }
        break;
    case NGHTTP2_PING:
        if (!ack) {
            on_control(connection);
        } else if (memcmp(frame->ping.opaque_data, "drained?", sizeof frame->ping.opaque_data) == 0) {
            connection->role->ping_acked(connection);
        }
        break;
    case NGHTTP2_GOAWAY:
        connection->goaway_received = true;
        connection->role->goaway(connection);
        break;
    default:
        break;
    }
    return verdict(connection);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user_data) {
    struct rpc_connection *connection = user_data;
    struct rpc_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream != NULL) {
        rpc_stream_detach(stream);
        connection->role->closed(stream, error_code);
    }
    return verdict(connection);
}

// Whether the client broke the protocol within a call. Provoking resets is as cheap for it as sending them, which nghttp2
// limits, and as expensive for us (CVE-2025-8671). Refusing a stream is not.
static bool is_error_reset(const nghttp2_frame *frame) {
    uint32_t code = frame->hd.type == NGHTTP2_RST_STREAM ? frame->rst_stream.error_code : NGHTTP2_NO_ERROR;
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_REFUSED_STREAM;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data) {
    struct rpc_connection *connection = user_data;
    if (connection->role->server && is_error_reset(frame)) {
        on_control(connection);
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct rpc_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (stream != NULL) {
            connection->role->headers_sent(stream, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
        }
    }
    return verdict(connection);
}

void rpc_callbacks_init(struct rpc_runtime *runtime) {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    int error = nghttp2_session_callbacks_new(&callbacks) != 0 ? NGHTTP2_ERR_NOMEM : nghttp2_option_new(&options);
    assert(error == 0);  // it fails only without memory, at start
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_stream_reset_rate_limit(options, RPC_RESETS_BURST, RPC_RESETS_PER_SECOND);
    runtime->callbacks = callbacks;
    runtime->options = options;
}

// --- the connection ---

void rpc_connection_touch(struct rpc_connection *connection) {
    if (!connection->closing && rpc_list_empty(&connection->dirty)) {
        rpc_list_push(&connection->runtime->dirty, &connection->dirty);
    }
}

static void release(struct rpc_deferred *deferred) {
    struct rpc_connection *connection = rpc_container(deferred, struct rpc_connection, release);
    assert(connection->busy == 0 && connection->stream_count == 0);
    nghttp2_session_del(connection->session);
    rpc_runtime_release(connection->runtime);
    free(connection);
}

void rpc_connection_close(struct rpc_connection *connection, enum rpc_down_reason reason) {
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    rpc_list_remove(&connection->dirty);
    rpc_list_remove(&connection->accepted_link);
    rpc_list_remove(&connection->relieved);
    rpc_timer_stop(connection->runtime, &connection->keepalive);
    connection->transport->ops->close(connection->transport);
    connection->role->connection_closed(connection, reason);
    // nghttp2_session_del calls no on_stream_close.
    for (struct rpc_link *link; (link = rpc_list_first(&connection->streams)) != NULL;) {
        struct rpc_stream *stream = rpc_container(link, struct rpc_stream, link);
        rpc_stream_detach(stream);
        connection->role->closed(stream, NGHTTP2_CONNECT_ERROR);
    }
    assert(connection->stream_count == 0 && connection->streaming_count == 0 && connection->held == 0);
    // This may be within a callback of the session: `release` runs once all have returned.
    rpc_defer(connection->runtime, &connection->release, release);
}

// The transport's buffer is used again by the next read.
static void copy_borrowed_messages(struct rpc_connection *connection) {
    for (struct rpc_link *link; (link = rpc_list_first(&connection->borrowed)) != NULL;) {
        rpc_list_remove(link);
        struct rpc_stream *stream = rpc_container(link, struct rpc_stream, borrowed);
        if (!rpc_reader_copy(&stream->reader, &stream->message)) {
            fail_stream(stream, RPC_STREAM_NO_MEMORY);
        } else {
            rpc_stream_count(stream);
        }
    }
}

static void on_opened(void *owner) {
    struct rpc_connection *connection = owner;
    assert(!connection->opened && !connection->closing);
    connection->opened = true;
    connection->role->opened(connection);
    rpc_connection_touch(connection);
}

static void on_read(void *owner, struct slice bytes) {
    struct rpc_connection *connection = owner;
    assert(connection->opened && !connection->closing && connection->busy == 0);
    connection->last_read_ms = rpc_now_ms(connection->runtime);
    connection->busy++;
    ssize_t taken = nghttp2_session_mem_recv(connection->session, bytes.data, bytes.len);
    connection->busy--;
    if (connection->closing) {
        return;
    }
    if (taken < 0) {
        slog(SLOG_DEBUG, "not-http2", "closing a connection: not HTTP/2", F_STR("peer", connection->transport->address),
             F_STR("reason", nghttp2_strerror((int)taken)));
        rpc_connection_close(connection, RPC_DOWN_RESET);
        return;
    }
    copy_borrowed_messages(connection);
    if (connection->closing) {
        return;
    }
    rpc_enforce_memory_limit(connection->runtime);  // not only at the end of the turn, before which all may read as much
    if (connection->closing) {
        return;
    }
    if (connection->role->server && nghttp2_session_get_outbound_queue_size(connection->session) > RPC_FRAMES_QUEUED_MAX) {
        log_misbehaviour(connection, "it does not read its responses");
        rpc_connection_close(connection, RPC_DOWN_RESET);
        return;
    }
    rpc_connection_touch(connection);
}

static void on_drained(void *owner) {
    rpc_connection_touch(owner);
}

static enum rpc_down_reason reason_of(const struct rpc_connection *connection, int uv_error) {
    if (!connection->settings_received) {
        return RPC_DOWN_REFUSED;
    }
    if (connection->goaway_received) {
        return RPC_DOWN_GOAWAY;
    }
    // The network failed, and the kernel noticed before a PING did: the server's process may well run.
    bool unreachable = uv_error == UV_ETIMEDOUT || uv_error == UV_EHOSTUNREACH || uv_error == UV_ENETUNREACH;
    return unreachable ? RPC_DOWN_KEEPALIVE : RPC_DOWN_RESET;
}

static void on_failed(void *owner, int uv_error) {
    struct rpc_connection *connection = owner;
    const char *failure = connection->transport->failure;
    if (failure == NULL || !connection->role->server) {
        slog(SLOG_DEBUG, "connection-lost", "connection lost", F_STR("peer", connection->transport->address),
             F_STR("reason", failure == NULL ? uv_strerror(uv_error) : failure));
    } else {
        slog(SLOG_WARN, "connection-refused", "refused a connection", F_STR("peer", connection->transport->address),
             F_STR("reason", failure));
    }
    connection->error = uv_error;
    rpc_connection_close(connection, reason_of(connection, uv_error));
}

static const struct rpc_transport_events transport_events = {
    .opened = on_opened,
    .read = on_read,
    .drained = on_drained,
    .failed = on_failed,
};

// Fills the runtime's buffer with frames. False: the session has failed, or a callback closed the connection.
static bool collect(struct rpc_connection *connection, size_t *len) {
    uint8_t *output = connection->runtime->output;
    ssize_t size = 0;
    *len = 0;
    connection->busy++;
    while (*len <= RPC_OUTPUT - FRAME_MAX && !connection->closing) {
        const uint8_t *frame;
        size = nghttp2_session_mem_send(connection->session, &frame);
        if (size > 0) {
            assert(size <= FRAME_MAX);
            memcpy(output + *len, frame, (size_t)size);
            *len += (size_t)size;
        } else if (size < 0 || !connection->role->refill(connection)) {
            break;
        }
    }
    connection->busy--;
    return size >= 0 && !connection->closing;
}

void rpc_connection_flush(struct rpc_connection *connection) {
    if (connection->closing || !connection->opened) {
        return;
    }
    if (connection->busy > 0) {
        rpc_connection_touch(connection);  // within a callback: nghttp2 is not re-entrant
        return;
    }
    while (connection->transport->pending == 0) {
        size_t len;
        if (!collect(connection, &len)) {
            rpc_connection_close(connection, RPC_DOWN_RESET);
            return;
        }
        if (len == 0) {
            break;
        }
        struct slice output = slice_of(connection->runtime->output, len);
        if (connection->transport->ops->write(connection->transport, output) == RPC_WRITE_FAILED) {
            rpc_connection_close(connection, reason_of(connection, 0));
            return;
        }
    }
    if (connection->transport->pending == 0 && !nghttp2_session_want_read(connection->session) &&
        !nghttp2_session_want_write(connection->session)) {
        rpc_connection_close(connection, connection->goaway_received ? RPC_DOWN_GOAWAY : RPC_DOWN_RESET);
    }
}

void rpc_connection_ping(struct rpc_connection *connection) {
    nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"drained?");
    rpc_connection_touch(connection);
}

// One timer limits the setup, then runs the keepalive. Reads do not restart it: when it fires it looks at the last read.
static void on_keepalive(struct rpc_timer *timer) {
    struct rpc_connection *connection = rpc_container(timer, struct rpc_connection, keepalive);
    uint64_t now = rpc_now_ms(connection->runtime);
    if (!connection->settings_received) {
        rpc_connection_close(connection, RPC_DOWN_KEEPALIVE);
        return;
    }
    if (connection->ping_sent_ms != 0 && connection->last_read_ms < connection->ping_sent_ms) {
        slog(SLOG_DEBUG, "connection-lost", "connection lost", F_STR("peer", connection->transport->address),
             F_STR("reason", "no answer to a PING"));
        rpc_connection_close(connection, RPC_DOWN_KEEPALIVE);
        return;
    }
    connection->ping_sent_ms = 0;
    assert(connection->keepalive_interval_ms > 0 && now >= connection->last_read_ms);
    uint64_t silent_ms = now - connection->last_read_ms;
    uint64_t next_ms = connection->keepalive_interval_ms - silent_ms;
    if (silent_ms >= connection->keepalive_interval_ms) {
        nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, NULL);
        rpc_connection_touch(connection);
        connection->ping_sent_ms = now;
        next_ms = connection->keepalive_timeout_ms;
    }
    rpc_timer_start(connection->runtime, timer, next_ms, on_keepalive);
}

static void submit_settings(struct rpc_connection *connection, const struct rpc_connection_options *options) {
    bool server = connection->role->server;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)options->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH, server ? STREAMS_MAX : 0},
    };
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, ARRAY_COUNT(settings));
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, options->connection_window);
}

struct rpc_connection *rpc_connection_new(struct rpc_runtime *runtime, struct rpc_transport *transport,
                                          const struct rpc_role *role, void *owner,
                                          const struct rpc_connection_options *options) {
    struct rpc_connection *connection = mem_zalloc(sizeof *connection);
    connection->runtime = runtime;
    connection->role = role;
    connection->owner = owner;
    connection->transport = transport;
    connection->opened = transport->open;
    connection->last_read_ms = connection->control_at_ms = rpc_now_ms(runtime);
    connection->control_tokens = RPC_CONTROL_BURST;
    connection->keepalive_interval_ms = options->keepalive_interval_ms;
    connection->keepalive_timeout_ms = options->keepalive_timeout_ms;
    rpc_list_init(&connection->link);
    rpc_list_init(&connection->accepted_link);
    rpc_list_init(&connection->dirty);
    rpc_list_init(&connection->streams);
    rpc_list_init(&connection->borrowed);
    rpc_list_init(&connection->starved);
    rpc_list_init(&connection->relieved);
    if (role->server) {
        rpc_list_push(&runtime->accepted, &connection->accepted_link);
    }
    int error = (role->server ? nghttp2_session_server_new3 : nghttp2_session_client_new3)(
        &connection->session, runtime->callbacks, connection, runtime->options, &runtime->pool.mem);
    assert(error == 0);  // it fails only without memory, which the pool never reports
    runtime->users++;
    submit_settings(connection, options);
    rpc_timer_start(runtime, &connection->keepalive, options->setup_timeout_ms, on_keepalive);
    transport->events = &transport_events;
    transport->owner = connection;
    transport->ops->start(transport);
    rpc_connection_touch(connection);
    return connection;
}
