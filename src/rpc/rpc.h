// gRPC on nghttp2 and libuv: servers and channels (clients), unary and streaming calls, deadlines, TLS, health, reflection.
// Wire format: gRPC over HTTP/2 (PROTOCOL-HTTP2.md of the gRPC project).
//
// One runtime per loop, with any number of servers and channels. Everything runs on the loop's thread. Output is collected
// during a turn of the loop and written with one system call per connection: by rpc_flush, or before the loop waits again.
//
// A call is identified by a handle, not a pointer: an index and a generation. The handle of a call that has ended (finished,
// cancelled, its client disconnected, its deadline passed) is invalid; every function accepts it and does nothing.
#ifndef BATON_RPC_RPC_H
#define BATON_RPC_RPC_H

#include <uv.h>

#include "base/error.h"
#include "base/metrics.h"
#include "base/slice.h"

// The status codes of gRPC.
#define RPC_STATUSES(X)                                                                                                     \
    X(RPC_OK, 0, "OK")                                                                                                      \
    X(RPC_CANCELLED, 1, "CANCELLED")                                                                                        \
    X(RPC_UNKNOWN, 2, "UNKNOWN")                                                                                            \
    X(RPC_INVALID_ARGUMENT, 3, "INVALID_ARGUMENT")                                                                          \
    X(RPC_DEADLINE_EXCEEDED, 4, "DEADLINE_EXCEEDED")                                                                        \
    X(RPC_NOT_FOUND, 5, "NOT_FOUND")                                                                                        \
    X(RPC_ALREADY_EXISTS, 6, "ALREADY_EXISTS")                                                                              \
    X(RPC_PERMISSION_DENIED, 7, "PERMISSION_DENIED")                                                                        \
    X(RPC_RESOURCE_EXHAUSTED, 8, "RESOURCE_EXHAUSTED")                                                                      \
    X(RPC_FAILED_PRECONDITION, 9, "FAILED_PRECONDITION")                                                                    \
    X(RPC_ABORTED, 10, "ABORTED")                                                                                           \
    X(RPC_OUT_OF_RANGE, 11, "OUT_OF_RANGE")                                                                                 \
    X(RPC_UNIMPLEMENTED, 12, "UNIMPLEMENTED")                                                                               \
    X(RPC_INTERNAL, 13, "INTERNAL")                                                                                         \
    X(RPC_UNAVAILABLE, 14, "UNAVAILABLE")                                                                                   \
    X(RPC_DATA_LOSS, 15, "DATA_LOSS")                                                                                       \
    X(RPC_UNAUTHENTICATED, 16, "UNAUTHENTICATED")

enum rpc_status {
#define X(code, number, text) code = number,
    RPC_STATUSES(X)
#undef X
};

enum { RPC_STATUS_COUNT = 17 };

// "OK", "CANCELLED", ...; "UNKNOWN" for any other number.
const char *rpc_status_name(enum rpc_status status);

struct tls;
struct rpc_runtime;
struct rpc_server;
struct rpc_channel;

// `loop` and `metrics` are borrowed for the runtime's life. Counts and durations of calls by method and status are
// registered in `metrics`, which may be NULL. End with rpc_runtime_close, after its servers and channels.
struct rpc_runtime *rpc_runtime_new(uv_loop_t *loop, struct metrics *metrics);

// Writes what is queued on all connections. For the end of the application's turn.
void rpc_flush(struct rpc_runtime *runtime);

// After a tls_reload of what its servers and channels use: ends the connections, accepted or made, of certificates that are
// revoked now, and those that have not shown theirs yet. A channel connects again, as after any loss.
void rpc_end_revoked(struct rpc_runtime *runtime);

// Closes its libuv handles; its memory is freed once the loop has run and the last of its servers, channels and calls has
// ended.
void rpc_runtime_close(struct rpc_runtime *runtime);

// --- server ---

struct rpc_call {
    uint32_t index;
    uint32_t generation;  // never 0: a zeroed handle is invalid
};

// A handle as one number, for code that knows nothing of calls.
static inline uint64_t rpc_call_pack(struct rpc_call call) {
    return (uint64_t)call.generation << 32 | call.index;
}

static inline struct rpc_call rpc_call_unpack(uint64_t packed) {
    return (struct rpc_call){.index = (uint32_t)packed, .generation = (uint32_t)(packed >> 32)};
}

// The caller. Valid as long as the call.
struct rpc_peer {
    const char *address;   // IP:PORT of the connection
    const char *identity;  // from its certificate, such as "node/n1" (tls/tls.h); NULL without TLS
};

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

// A request message was received. `message` is borrowed until the handler returns. A unary or server-streaming method gets
// exactly one, a bidirectional method any number. The handler may answer at once or later.
typedef void rpc_handler(void *user, struct rpc_call call, struct slice message);

struct rpc_method {
    const char *name;  // without the service: "Put"
    enum rpc_kind kind;
    rpc_handler *on_message;
    // The call ended before the application finished it: the client disconnected or cancelled it, or its deadline passed.
    // The handle is invalid already. May be NULL.
    void (*on_cancel)(void *user, struct rpc_call call);
    // Bidirectional only: the client has half-closed the stream. NULL for other kinds.
    void (*on_half_close)(void *user, struct rpc_call call);
    // Streaming only: there is room again after rpc_send returned false. May be NULL.
    void (*on_writable)(void *user, struct rpc_call call);
    void *user;                // handed to the handlers; NULL: the service's
    const char *const *roles;  // as the service's, for this method alone; NULL: the service's
};

// Borrowed, with everything in it, for the server's life.
struct rpc_service {
    const char *name;  // "baton.v1.ControlService"
    const struct rpc_method *methods;
    size_t method_count;
    void *user;
    // With TLS: the roles that may call it ("node" allows the identity "node/n1"), ended by NULL; others get
    // PERMISSION_DENIED. NULL: any role.
    const char *const *roles;
};

// Listens on HOST:PORT (port 0: any; see rpc_server_address); resolving HOST blocks. ERR_INVALID: not an address;
// ERR_UNAVAILABLE: cannot listen.
enum error_code rpc_server_listen(struct rpc_runtime *runtime, const char *address, struct rpc_server **server,
                                  struct error *error);

// Before the loop runs. Accepts only TLS, with client certificates; `tls` is borrowed for the server's life.
void rpc_server_set_tls(struct rpc_server *server, struct tls *tls);

// After rpc_server_set_tls: accepts plaintext, too, on the same port. Who comes so has no identity and may call everything,
// as without TLS.
void rpc_server_allow_plaintext(struct rpc_server *server);

// How many connections are open in plaintext, if it is allowed beside TLS, and how many there have been.
struct rpc_plaintext {
    uint32_t open;
    uint64_t accepted;
};

struct rpc_plaintext rpc_server_plaintext(const struct rpc_server *server);

// What one client may take, with all its connections: who shows one certificate, or in plaintext comes from one address.
struct rpc_limits {
    size_t connections;            // further ones are closed (ENHANCE_YOUR_CALM); 0: no limit
    size_t streams;                // streaming calls; further ones get RESOURCE_EXHAUSTED; 0: no limit
    const char *const *unlimited;  // roles of certificates without limits, ended by NULL; NULL: none
    // Whether a request of so many bytes is let through now; false: it gets RESOURCE_EXHAUSTED, and with the trailer
    // grpc-retry-pushback-ms how long to wait. `memory` is the client's, and zero at first. NULL: all are.
    bool (*admit)(void *user, uint64_t memory[2], size_t bytes, uint64_t *wait_ms);
    void *user;
};

// Before the loop runs. `limits` is borrowed for the server's life.
void rpc_server_set_limits(struct rpc_server *server, const struct rpc_limits *limits);

// Before the loop runs. Registers the service's methods.
void rpc_server_add_service(struct rpc_server *server, const struct rpc_service *service);

// IP:PORT actually listened on.
const char *rpc_server_address(const struct rpc_server *server);

// Sets a service's status in grpc.health.v1.Health, which every server offers; "" is the server as a whole. Ignored once the
// server drains.
void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving);

// Offers server reflection (v1 and v1alpha) from a serialized FileDescriptorSet, borrowed for the server's life. Once.
void rpc_server_set_reflection(struct rpc_server *server, struct slice descriptor_set);

// Graceful shutdown: stops listening, sends GOAWAY in two steps, and lets running calls finish. `done(user)` once the last
// connection has closed or `grace_ms` have passed; then call rpc_server_close.
void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms, void (*done)(void *user), void *user);

// Closes all connections at once; running calls get on_cancel before this returns. Its memory is freed once the loop has
// run.
void rpc_server_close(struct rpc_server *server);

// Functions on calls accept an invalid handle and then do nothing (false, NULL).
bool rpc_call_alive(struct rpc_server *server, struct rpc_call call);
struct rpc_peer rpc_call_peer(struct rpc_server *server, struct rpc_call call);

// The first value of that key in the request's metadata; data NULL if absent. Borrowed as long as the call.
struct slice rpc_call_metadata(struct rpc_server *server, struct rpc_call call, const char *key);

// Adds to the trailers; copied. Keys are lower case; at most 8 per call. A value that HTTP does not allow is dropped.
void rpc_call_trailer(struct rpc_server *server, struct rpc_call call, const char *key, struct slice value);

// Queues one response message; copied. False: not queued, because the handle is invalid, or RPC_STREAM_QUEUE_MAX bytes are
// queued on the call or RPC_CONNECTION_QUEUE_MAX on its connection (streaming methods continue at on_writable).
bool rpc_send(struct rpc_server *server, struct rpc_call call, struct slice message);

// Ends the call and invalidates its handle. `message` (may be NULL) is the status message, percent-encoded on the wire;
// copied.
void rpc_finish(struct rpc_server *server, struct rpc_call call, enum rpc_status status, const char *message);

// rpc_send and rpc_finish(RPC_OK) in one, for unary calls. Beyond RPC_CONNECTION_HELD_MAX on the connection the client gets
// RESOURCE_EXHAUSTED instead.
void rpc_reply(struct rpc_server *server, struct rpc_call call, struct slice message);

// --- client ---

// Why a channel lost its connection.
enum rpc_down_reason {
    RPC_DOWN_REFUSED,    // could not connect
    RPC_DOWN_RESET,      // end of file or reset without GOAWAY: the server's process has ended
    RPC_DOWN_GOAWAY,     // the server sent GOAWAY
    RPC_DOWN_KEEPALIVE,  // PING or TCP timed out: the server is unreachable or stalled
    RPC_DOWN_CLOSED,     // by this side
};

struct rpc_channel_options {
    // HOST:PORT; copied. A name is resolved at each attempt; while that takes long or fails, its last addresses are used.
    const char *target;
    // Submits a request only once the body of the previous one has been sent, so that requests arrive in the order they were
    // made. Not for calls with wait_for_ready, which may move to the end when a connection is lost.
    bool ordered;
    uint64_t keepalive_interval_ms;  // of silence before a PING; 0: no keepalive
    uint64_t keepalive_timeout_ms;   // of silence after it before the connection is closed
    int32_t stream_window;           // bytes; 0: 1 MiB
    int32_t connection_window;       // bytes; 0: 2 MiB
    // Limit of the reconnection backoff: 0 ms, then 20 ms doubling up to this, with jitter; 0: 1,000 ms. The channel keeps
    // connecting from rpc_channel_new until rpc_channel_close.
    uint64_t backoff_max_ms;
    struct tls *tls;       // borrowed for the channel's life; NULL: plain
    bool allow_plaintext;  // with `tls`: of a server that speaks no TLS. Each attempt begins with TLS
    const char *identity;  // of the server, "node/n1"; copied. NULL: any node
    // The transport is connected, one round trip before on_up: requests are sent from now on, before the server has
    // answered anything. For callers that repeat what fails. NULL: requests wait for on_up.
    void (*on_open)(void *user);
    void (*on_up)(void *user);  // the server's SETTINGS were received
    // Also after each failed attempt. Precedes the results of the calls that were on the connection.
    void (*on_down)(void *user, enum rpc_down_reason reason);
    void *user;
};

// Begins to connect once the loop runs. End with rpc_channel_close.
struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const struct rpc_channel_options *options);

// Ends all calls with CANCELLED, whose on_done follow once the loop runs; no other callback of the channel does.
void rpc_channel_close(struct rpc_channel *channel);

bool rpc_channel_is_up(const struct rpc_channel *channel);

// Why TLS or the resolution of the name failed in an attempt since the channel was last up, for people; "" if neither did.
const char *rpc_channel_failure(const struct rpc_channel *channel);

// Why the last attempt has failed, whatever it was, for people; "" while the channel is up, and before an attempt has ended.
const char *rpc_channel_why_down(const struct rpc_channel *channel);

// IP:PORT of the connection, being made or made; "" without one.
const char *rpc_channel_remote(const struct rpc_channel *channel);

// Whoever was reached is not whom this side has called: closes the connection (on_down, then the results of its calls, all
// before this returns), and tries the name's next address or, after a backoff, resolves the name again.
void rpc_channel_reject(struct rpc_channel *channel);

// Whether it is up, and in plaintext.
bool rpc_channel_is_plaintext(const struct rpc_channel *channel);

// Whether the last attempt connected but the other side closed before its SETTINGS: it is probably no gRPC server.
bool rpc_channel_hung_up(const struct rpc_channel *channel);

// For a sign that the server runs: skips the backoff, and restarts an attempt whose SYN has probably been lost.
void rpc_channel_wake(struct rpc_channel *channel);

struct rpc_result {
    enum rpc_status status;
    struct slice message;  // the status message, decoded; for people
    struct slice body;     // of a unary call with status OK
    // Whether the request may have reached the server's handler. False: it was not processed, and may safely be repeated.
    bool maybe_processed;
    bool answered;         // the status is from the server, not from this side
    const void *trailers;  // see rpc_result_trailer
};

// The first value of that key in the response's metadata; data NULL if absent. Borrowed as the result.
struct slice rpc_result_trailer(const struct rpc_result *result, const char *key);

// The end of a call; everything in `result` is borrowed until the callback returns.
typedef void rpc_done(void *user, uint64_t tag, const struct rpc_result *result);

struct rpc_request {
    const char *path;     // "/baton.v1.ControlService/Put"; borrowed for the channel's life (a literal)
    struct slice body;    // copied
    uint64_t timeout_ms;  // 0: none. Sent as grpc-timeout and enforced on this side too
    bool wait_for_ready;  // waits for a connection, within the timeout, instead of failing with UNAVAILABLE
    void *user;
    uint64_t tag;       // passed to the callbacks
    rpc_done *on_done;  // exactly once, never from within rpc_channel_call or rpc_channel_cancel
    // Server streaming: each message, borrowed until it returns. NULL: unary.
    void (*on_message)(void *user, uint64_t tag, struct slice message);
    // Metadata, copied: key, value, key, value, NULL; keys are lower case; at most 8 pairs. May be NULL.
    const char *const *metadata;
};

// A client's call handle; invalid once the call has ended.
struct rpc_ticket {
    uint32_t index;
    uint32_t generation;
};

// Starts a call. With RPC_CHANNEL_CALLS_MAX running it ends with RESOURCE_EXHAUSTED.
struct rpc_ticket rpc_channel_call(struct rpc_channel *channel, const struct rpc_request *request);

// on_done follows with CANCELLED. An invalid handle is ignored.
void rpc_channel_cancel(struct rpc_channel *channel, struct rpc_ticket ticket);

#endif
