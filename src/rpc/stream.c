// The streams of a connection: what they hold, and the messages that they send.
#include <assert.h>
#include <stdlib.h>

#include "rpc/clients.h"
#include "rpc/connection.h"

enum { RETAINED_MAX = 4 * KIB };  // of an outbox between two calls

// --- room to send ---

static size_t unsent(const struct rpc_stream *stream) {
    return stream->out.bytes.len - stream->out.sent;
}

// A stream goes on when half of its outbox is free, so that it does not wake for each message.
static bool outbox_has_room(const struct rpc_stream *stream) {
    return unsent(stream) < RPC_STREAM_QUEUE_MAX / 2;
}

// Puts a stream that wants room where it will be found: with room of its own and the connection's among the writable ones,
// without the connection's among its starved ones, else nowhere: its own output calls this again.
static void seek_room(struct rpc_stream *stream) {
    struct rpc_connection *connection = stream->connection;
    rpc_list_remove(&stream->blocked);
    if (!outbox_has_room(stream)) {
        return;
    }
    bool starved = connection->held >= RPC_CONNECTION_QUEUE_MAX;
    rpc_list_push(starved ? &connection->starved : &connection->runtime->writable, &stream->blocked);
}

bool rpc_stream_has_room(const struct rpc_stream *stream, size_t limit) {
    return unsent(stream) < limit && stream->connection->held < RPC_CONNECTION_QUEUE_MAX;
}

void rpc_stream_want_room(struct rpc_stream *stream) {
    if (!stream->wants_room) {
        stream->wants_room = true;
        seek_room(stream);
    }
}

void rpc_stream_want_no_room(struct rpc_stream *stream) {
    stream->wants_room = false;
    rpc_list_remove(&stream->blocked);
}

void rpc_stream_resume(struct rpc_stream *stream) {
    assert(stream->wants_room);
    seek_room(stream);
    if (rpc_stream_has_room(stream, RPC_STREAM_QUEUE_MAX / 2)) {
        rpc_stream_want_no_room(stream);
        stream->connection->role->writable(stream);
    }
}

// --- memory held ---

// Sets what the stream holds in the sums of its connection and of the runtime.
static void account(struct rpc_stream *stream, size_t bytes) {
    struct rpc_connection *connection = stream->connection;
    struct rpc_runtime *runtime = connection->runtime;
    bool was_full = connection->held >= RPC_CONNECTION_QUEUE_MAX;
    bool freed = bytes < stream->counted;
    assert(connection->held >= stream->counted);
    connection->held = connection->held - stream->counted + bytes;
    if (connection->role->server) {
        assert(runtime->held >= stream->counted);
        runtime->held = runtime->held - stream->counted + bytes;
    }
    stream->counted = bytes;
    bool relieved = was_full && connection->held < RPC_CONNECTION_QUEUE_MAX && !connection->closing;
    if (relieved && rpc_list_empty(&connection->relieved)) {
        rpc_list_push(&runtime->relieved, &connection->relieved);
    }
    if (freed && stream->wants_room && rpc_list_empty(&stream->blocked)) {
        seek_room(stream);
    }
}

void rpc_stream_count(struct rpc_stream *stream) {
    if (stream->connection != NULL) {
        assert(stream->out.sent <= stream->out.bytes.len);
        account(stream, stream->overhead + stream->reader.cap + stream->out.bytes.len - stream->out.sent);
    }
}

// --- streams ---

void rpc_stream_init(struct rpc_stream *stream) {
    rpc_list_init(&stream->link);
    rpc_list_init(&stream->borrowed);
    rpc_list_init(&stream->blocked);
}

void rpc_stream_attach(struct rpc_stream *stream, struct rpc_connection *connection, int32_t id) {
    assert(stream->connection == NULL && !connection->closing && id > 0);
    stream->connection = connection;
    stream->id = id;
    rpc_list_push(&connection->streams, &stream->link);
    connection->stream_count++;
    rpc_stream_count(stream);
}

void rpc_stream_set_overhead(struct rpc_stream *stream, size_t bytes) {
    stream->overhead = bytes;
    rpc_stream_count(stream);
}

void rpc_stream_set_streaming(struct rpc_stream *stream) {
    assert(stream->connection != NULL && !stream->streaming);
    stream->streaming = true;
    stream->connection->streaming_count++;
    if (stream->connection->client != NULL) {
        stream->connection->client->streams++;
    }
}

void rpc_stream_detach(struct rpc_stream *stream) {
    struct rpc_connection *connection = stream->connection;
    if (connection == NULL) {
        return;
    }
    account(stream, 0);
    if (!connection->closing) {
        nghttp2_session_set_stream_user_data(connection->session, stream->id, NULL);
    }
    assert(connection->stream_count > 0 && connection->streaming_count >= stream->streaming);
    rpc_list_remove(&stream->link);
    rpc_list_remove(&stream->borrowed);
    rpc_stream_want_no_room(stream);
    connection->stream_count--;
    connection->streaming_count -= stream->streaming;
    if (connection->client != NULL) {
        connection->client->streams -= stream->streaming;
    }

    stream->streaming = false;
    stream->connection = NULL;
}

void rpc_stream_reset(struct rpc_stream *stream, uint32_t error_code) {
    struct rpc_connection *connection = stream->connection;
    if (connection == NULL) {
        return;
    }
    rpc_stream_detach(stream);
    if (!connection->closing) {
        nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, stream->id, error_code);
        rpc_connection_touch(connection);
    }
}

void rpc_stream_recycle(struct rpc_stream *stream) {
    assert(stream->connection == NULL);
    struct rpc_reader reader = stream->reader;
    struct buf out = stream->out.bytes;
    rpc_reader_reset(&reader);
    if (out.cap > RETAINED_MAX) {
        buf_free(&out);
    }
    buf_clear(&out);
    *stream = (struct rpc_stream){.reader = reader, .out.bytes = out};
    rpc_stream_init(stream);
}

void rpc_stream_free(struct rpc_stream *stream) {
    assert(stream->connection == NULL);
    rpc_reader_free(&stream->reader);
    buf_free(&stream->out.bytes);
}

void rpc_stream_put(struct rpc_stream *stream, struct slice message) {
    struct rpc_outbox *out = &stream->out;
    assert(!out->ended && message.len <= UINT32_MAX);
    size_t left = out->bytes.len - out->sent;
    if (out->sent > 0 && left <= out->sent) {
        memmove(out->bytes.data, out->bytes.data + out->sent, left);
        out->bytes.len = left;
        out->sent = 0;
    }
    uint8_t *to = buf_reserve(&out->bytes, RPC_PREFIX + message.len);
    rpc_prefix_write(to, (uint32_t)message.len);
    if (message.len > 0) {
        memcpy(to + RPC_PREFIX, message.data, message.len);
    }
    out->bytes.len += RPC_PREFIX + message.len;
    rpc_stream_count(stream);
}

void rpc_stream_wake(struct rpc_stream *stream) {
    if (stream->out.deferred) {
        stream->out.deferred = false;
        nghttp2_session_resume_data(stream->connection->session, stream->id);
    }
    rpc_connection_touch(stream->connection);
}

// Only unsent bytes are counted, so the memory of sent ones is freed: capacity stays within four times the unsent bytes.
// Copying costs at most a third of what was sent.
static void shrink(struct rpc_outbox *out) {
    size_t left = out->bytes.len - out->sent;
    if (out->bytes.cap > RETAINED_MAX && left <= out->bytes.cap / 4) {
        struct buf rest = {0};
        buf_append(&rest, out->bytes.data + out->sent, left);
        buf_free(&out->bytes);
        out->bytes = rest;
        out->sent = 0;
    }
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                        nghttp2_data_source *source, void *user_data) {
    (void)source;
    struct rpc_connection *connection = user_data;
    struct rpc_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // detached: RST_STREAM follows
    }
    struct rpc_outbox *out = &stream->out;
    size_t left = out->bytes.len - out->sent;
    size_t len = left < size ? left : size;
    if (len == 0 && !out->ended) {
        out->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len > 0) {
        memcpy(to, out->bytes.data + out->sent, len);
        out->sent += len;
    }
    if (len == left && out->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (connection->role->out_ended(stream)) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        }
    }
    if (connection->role->server) {
        shrink(out);
    }
    rpc_stream_count(stream);
    return (ssize_t)len;
}

nghttp2_data_provider rpc_stream_provider(void) {
    return (nghttp2_data_provider){.read_callback = read_out};
}
