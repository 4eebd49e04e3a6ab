// An HTTP/2 session over a transport, and the calls on it, as server and client share them. What differs between the two is
// a `struct rpc_role`.
//
// Nothing here is freed under the feet of a callback: a connection that is closed from within one of its own lives on,
// deaf, until that callback has returned.
#ifndef BATON_RPC_CONNECTION_H
#define BATON_RPC_CONNECTION_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/limits.h"
#include "rpc/framing.h"
#include "rpc/runtime.h"
#include "rpc/transport.h"

// One direction of a call's bytes on their way out: messages with their prefixes.
struct rpc_outbox {
    struct buf bytes;
    size_t sent;    // of bytes: what HTTP/2 has taken
    bool deferred;  // HTTP/2 has come for more in vain: wake it
    bool ended;     // nothing follows
};

// One call of either side; lies first in its struct.
struct rpc_stream {
    struct rpc_connection *connection;  // NULL: not on one
    struct rpc_link link;               // in connection->streams
    int32_t id;
    bool single;    // exactly one message comes in: it is held until the direction ends, then handed over
    bool has_held;  // it has come
    struct slice held;
    struct rpc_link borrowed;  // in connection->borrowed: `held` lies in the transport's buffer
    bool streaming;            // counted in connection->streaming_count
    bool deaf;                 // what still comes in is of no interest
    bool half_closed;          // nothing comes in any more
    uint32_t header_bytes;     // size of the header list so far, as HTTP/2 counts it; beyond HEADER_LIST_MAX it is cut
    struct rpc_reader reader;
    struct rpc_outbox out;
    size_t own;               // bytes that the call itself takes: rpc_stream_own
    size_t counted;           // bytes of ours in connection->held
    struct rpc_link starved;  // in runtime->starved: wants to be told of room
};

enum rpc_stream_error {
    RPC_STREAM_TRUNCATED,   // ended inside a message
    RPC_STREAM_TOO_MANY,    // messages, where one is expected
    RPC_STREAM_TOO_LARGE,   // a message beyond MESSAGE_MAX
    RPC_STREAM_COMPRESSED,  // without an encoding
    RPC_STREAM_NO_MEMORY,   // to put it together
};

// All but `begin` and those about the connection are about a stream that has been given to the connection and not been
// taken away.
struct rpc_role {
    bool server;
    // Server: a request begins. NULL: refused.
    struct rpc_stream *(*begin)(struct rpc_connection *connection, int32_t id);
    void (*header)(struct rpc_stream *stream, struct slice name, struct slice value);
    // All headers of a block have come, the first or the trailers.
    void (*headers)(struct rpc_stream *stream, bool end);
    void (*message)(struct rpc_stream *stream, struct slice message);
    // The peer sends no more. `single`: its message, if has_held, has been handed over before.
    void (*half_closed)(struct rpc_stream *stream);
    void (*broken)(struct rpc_stream *stream, enum rpc_stream_error error);
    // Everything is taken and nothing follows. True: trailers have been submitted.
    bool (*out_ended)(struct rpc_stream *stream);
    void (*headers_sent)(struct rpc_stream *stream, bool end);
    void (*writable)(struct rpc_stream *stream);
    // The stream is no more and has left the connection.
    void (*closed)(struct rpc_stream *stream, uint32_t error_code);

    void (*opened)(struct rpc_connection *connection);      // the transport, where it was not open from the start
    void (*ready)(struct rpc_connection *connection);       // the peer's first SETTINGS
    void (*goaway)(struct rpc_connection *connection);      // the peer's
    void (*ping_acked)(struct rpc_connection *connection);  // a PING of rpc_connection_ping
    bool (*refill)(struct rpc_connection *connection);      // HTTP/2 has nothing more to send. True: now it has
    void (*gone)(struct rpc_connection *connection, enum rpc_down_reason reason);  // closing; its streams follow
};

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
    size_t streaming_count;    // of these, streams of streaming methods; server only
    struct rpc_link borrowed;  // streams that hold a message in the transport's buffer
    size_t held;               // bytes of calls, of messages being put together, and of those not taken by HTTP/2 yet
    int busy;                  // depth of calls into nghttp2 and of our own callbacks
    bool opened;               // there is a connection below
    bool settled;              // the peer's SETTINGS have come
    bool said_goaway;          // the peer has
    bool closing;
    struct rpc_deferred release;

    struct rpc_timer keepalive;
    uint64_t keepalive_interval_ms;  // 0: none
    uint64_t keepalive_timeout_ms;
    uint64_t last_read_ms;
    uint64_t ping_sent_ms;  // 0: no keepalive's PING is under way

    uint64_t control_tokens;  // see count_control
    uint64_t control_at_ms;
};

struct rpc_connection_options {
    int32_t stream_window;
    int32_t connection_window;
    uint64_t keepalive_interval_ms;
    uint64_t keepalive_timeout_ms;
    uint64_t setup_timeout_ms;  // until the peer's first SETTINGS; then it is gone with RPC_DOWN_KEEPALIVE
};

// Takes the transport.
struct rpc_connection *rpc_connection_new(struct rpc_runtime *runtime, struct rpc_transport *transport,
                                          const struct rpc_role *role, void *owner,
                                          const struct rpc_connection_options *options);

// At once: `gone`, then every stream's `closed` with NGHTTP2_CONNECT_ERROR. Nothing comes after that. Harmless a second
// time.
void rpc_connection_close(struct rpc_connection *connection, enum rpc_down_reason reason);

// It has something to send: the next flush looks at it.
void rpc_connection_touch(struct rpc_connection *connection);

void rpc_connection_flush(struct rpc_connection *connection);

// Asks for a sign of life of which `ping_acked` tells.
void rpc_connection_ping(struct rpc_connection *connection);

void rpc_callbacks_init(struct rpc_runtime *runtime);

// --- streams ---

void rpc_stream_init(struct rpc_stream *stream);

// The stream now belongs to the connection, under the id that nghttp2 knows.
void rpc_stream_attach(struct rpc_stream *stream, struct rpc_connection *connection, int32_t id);

// How many bytes the call takes beside its messages.
void rpc_stream_own(struct rpc_stream *stream, size_t bytes);

// It is a streaming method's, from now until it leaves the connection.
void rpc_stream_set_streaming(struct rpc_stream *stream);

// Takes it away; `closed` does not come.
void rpc_stream_detach(struct rpc_stream *stream);

// And ends it on the wire.
void rpc_stream_reset(struct rpc_stream *stream, uint32_t error_code);

// Frees what it holds and makes it ready for another call.
void rpc_stream_recycle(struct rpc_stream *stream);
void rpc_stream_free(struct rpc_stream *stream);

// Appends a message to what is to be sent; does not wake HTTP/2.
void rpc_stream_put(struct rpc_stream *stream, struct slice message);

// Whether less than `limit` bytes wait in its outbox, and its connection does not hold too much.
bool rpc_stream_has_room(const struct rpc_stream *stream, size_t limit);

// `writable` comes once there is room.
void rpc_stream_want_room(struct rpc_stream *stream);

// HTTP/2 comes for what is new, if it has been waiting.
void rpc_stream_wake(struct rpc_stream *stream);

// The provider to submit.
nghttp2_data_provider rpc_stream_provider(void);

// A header field whose texts live as long as the stream; names are lower case.
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
