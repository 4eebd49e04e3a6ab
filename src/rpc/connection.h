// An HTTP/2 connection (a session over a transport) and the calls on it, for servers and channels alike. What differs
// between the two is a `struct rpc_role`.
//
// A connection that is closed from within one of its own callbacks stays allocated and ignores input until the callback
// returns.
#ifndef BATON_RPC_CONNECTION_H
#define BATON_RPC_CONNECTION_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/limits.h"
#include "rpc/framing.h"
#include "rpc/runtime.h"
#include "rpc/transport.h"

// The messages of a call that are to be sent, with their prefixes.
struct rpc_outbox {
    struct buf bytes;
    size_t sent;    // of bytes: what nghttp2 has taken
    bool deferred;  // nghttp2 found nothing to send and must be resumed
    bool ended;     // nothing follows
};

// A call of either side, embedded in its struct.
struct rpc_stream {
    struct rpc_connection *connection;  // NULL: not on one
    struct rpc_link link;               // in connection->streams
    int32_t id;
    bool one_message;  // exactly one message is expected: delivered at the peer's END_STREAM
    bool has_message;  // it was received
    struct slice message;
    struct rpc_link borrowed;  // in connection->borrowed: `message` points into the transport's buffer
    bool streaming;            // counted in connection->streaming_count
    bool ignores_input;        // what is received from now on is dropped
    bool half_closed;          // the peer has sent END_STREAM
    uint32_t header_bytes;     // of header lists so far (RFC 9113, 6.5.2); fields beyond HEADER_LIST_MAX are dropped
    struct rpc_reader reader;
    struct rpc_outbox out;
    size_t overhead;          // bytes of the call's own: rpc_stream_set_overhead
    size_t counted;           // what of connection->held is this stream's
    bool wants_room;          // `writable` is due once there is room
    struct rpc_link blocked;  // in runtime->writable: there is; in connection->starved; or in none: its own outbox is full
};

enum rpc_stream_error {
    RPC_STREAM_TRUNCATED,   // END_STREAM inside a message
    RPC_STREAM_TOO_MANY,    // more than the one message expected
    RPC_STREAM_TOO_LARGE,   // a message beyond MESSAGE_MAX
    RPC_STREAM_COMPRESSED,  // the compressed flag without grpc-encoding
    RPC_STREAM_NO_MEMORY,   // for the message, or beyond RPC_CONNECTION_HELD_MAX
};

// Callbacks of the server's or the channel's side. Those with a stream are only called between rpc_stream_attach and
// rpc_stream_detach, but for `closed`, which follows the connection's own detach.
struct rpc_role {
    bool server;
    // Server: the HEADERS of a request begin. NULL: refuse it (REFUSED_STREAM).
    struct rpc_stream *(*begin)(struct rpc_connection *connection, int32_t id);
    void (*header)(struct rpc_stream *stream, struct slice name, struct slice value);
    // A header block is complete: the initial one or the trailers.
    void (*headers)(struct rpc_stream *stream, bool end);
    void (*message)(struct rpc_stream *stream, struct slice message);
    // The peer has half-closed. With one_message, the message, if any, was delivered before.
    void (*half_closed)(struct rpc_stream *stream);
    void (*failed)(struct rpc_stream *stream, enum rpc_stream_error error);
    // nghttp2 has taken all messages and nothing follows. True: trailers have been submitted.
    bool (*out_ended)(struct rpc_stream *stream);
    void (*headers_sent)(struct rpc_stream *stream, bool end);
    void (*writable)(struct rpc_stream *stream);
    // The stream is closed and detached.
    void (*closed)(struct rpc_stream *stream, uint32_t error_code);

    void (*opened)(struct rpc_connection *connection);      // the transport is connected; not if it was from the start
    void (*ready)(struct rpc_connection *connection);       // the peer's first SETTINGS were received
    void (*goaway)(struct rpc_connection *connection);      // received from the peer
    void (*ping_acked)(struct rpc_connection *connection);  // a PING of rpc_connection_ping
    bool (*refill)(struct rpc_connection *connection);      // nghttp2 has nothing more to send. True: now it has
    void (*connection_closed)(struct rpc_connection *connection,
                              enum rpc_down_reason reason);  // `closed` follows for its streams
};

struct rpc_client;

struct rpc_connection {
    struct rpc_runtime *runtime;
    const struct rpc_role *role;
    void *owner;
    struct rpc_link link;           // the owner's
    struct rpc_link accepted_link;  // in runtime->accepted; server only
    struct rpc_link dirty;          // in runtime->dirty
    struct rpc_transport *transport;
    nghttp2_session *session;
    struct rpc_link streams;
    size_t stream_count;
    size_t streaming_count;     // of these, streams of streaming methods; server only
    struct rpc_client *client;  // rpc/clients.h; NULL: no client, or the server limits none
    struct rpc_link borrowed;   // streams whose `message` points into the transport's buffer
    struct rpc_link starved;    // streams that want room, and for which only this connection holds too much
    struct rpc_link relieved;   // in runtime->relieved
    size_t held;                // bytes: calls, messages being received, messages that nghttp2 has not taken
    int busy;                   // depth of calls into nghttp2, which is not re-entrant
    bool opened;                // the transport is connected
    bool settings_received;     // the peer's first
    bool goaway_received;
    bool closing;
    int error;  // libuv's, with which the transport has failed; 0: none
    struct rpc_deferred release;

    struct rpc_timer keepalive;
    uint64_t keepalive_interval_ms;  // 0: none
    uint64_t keepalive_timeout_ms;
    uint64_t last_read_ms;
    uint64_t ping_sent_ms;  // of the keepalive; 0: none is unanswered

    uint64_t control_tokens;  // see count_control
    uint64_t control_at_ms;
};

struct rpc_connection_options {
    int32_t stream_window;
    int32_t connection_window;
    uint64_t keepalive_interval_ms;
    uint64_t keepalive_timeout_ms;
    uint64_t setup_timeout_ms;  // for the peer's first SETTINGS; then RPC_DOWN_KEEPALIVE
};

// Takes ownership of the transport. `owner` is the server or channel.
struct rpc_connection *rpc_connection_new(struct rpc_runtime *runtime, struct rpc_transport *transport,
                                          const struct rpc_role *role, void *owner,
                                          const struct rpc_connection_options *options);

// Before it returns: `connection_closed`, then `closed` for each stream with NGHTTP2_CONNECT_ERROR. No callback follows. No
// effect a second time.
void rpc_connection_close(struct rpc_connection *connection, enum rpc_down_reason reason);

// There may be something to send: schedules it for the next flush.
void rpc_connection_touch(struct rpc_connection *connection);

// Sends what nghttp2 has, until the kernel takes no more.
void rpc_connection_flush(struct rpc_connection *connection);

// Sends a PING; `ping_acked` follows.
void rpc_connection_ping(struct rpc_connection *connection);

// Makes runtime->callbacks and runtime->options.
void rpc_callbacks_init(struct rpc_runtime *runtime);

// --- streams ---

void rpc_stream_init(struct rpc_stream *stream);

// Brings the sums of what the connection and the runtime hold up to date: messages being received, and messages that the
// peer has not taken. To be called after each change of the stream's buffers.
void rpc_stream_count(struct rpc_stream *stream);

// Adds the stream to the connection, under nghttp2's id.
void rpc_stream_attach(struct rpc_stream *stream, struct rpc_connection *connection, int32_t id);

// Sets how many bytes the call takes without its messages.
void rpc_stream_set_overhead(struct rpc_stream *stream, size_t bytes);

// Counts the stream in connection->streaming_count until it is detached.
void rpc_stream_set_streaming(struct rpc_stream *stream);

// Removes the stream from its connection; `closed` does not follow. No effect on one that has none.
void rpc_stream_detach(struct rpc_stream *stream);

// Detaches the stream and sends RST_STREAM. No effect on one without a connection.
void rpc_stream_reset(struct rpc_stream *stream, uint32_t error_code);

// Resets a detached stream for another call; small buffers stay allocated.
void rpc_stream_recycle(struct rpc_stream *stream);
void rpc_stream_free(struct rpc_stream *stream);

// Appends a message to the outbox; copied. Does not resume nghttp2: see rpc_stream_wake.
void rpc_stream_put(struct rpc_stream *stream, struct slice message);

// Whether less than `limit` bytes wait in its outbox, and its connection holds less than RPC_CONNECTION_QUEUE_MAX.
bool rpc_stream_has_room(const struct rpc_stream *stream, size_t limit);

// `writable` follows once there is room.
void rpc_stream_want_room(struct rpc_stream *stream);
void rpc_stream_want_no_room(struct rpc_stream *stream);

// For the runtime: there may be room for the stream. Calls `writable` if there is, or lets it wait on.
void rpc_stream_resume(struct rpc_stream *stream);

// Makes nghttp2 look at the outbox again, if it found it empty before.
void rpc_stream_wake(struct rpc_stream *stream);

// The data provider for nghttp2 that reads from the outbox.
nghttp2_data_provider rpc_stream_provider(void);

// A header field whose name and value outlive the stream; names are lower case.
static inline nghttp2_nv rpc_field(struct slice name, struct slice value, uint8_t flags) {
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.data,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.data,
        .valuelen = value.len,
        .flags = (uint8_t)(NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE | flags),
    };
}

#endif
