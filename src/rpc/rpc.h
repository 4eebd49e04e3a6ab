// gRPC over HTTP/2, thin: nghttp2 for the frames, libuv for sockets and timers, and nothing in between that a control plane
// does not need. Wire format: gRPC over HTTP/2 (PROTOCOL-HTTP2.md of the gRPC project).
//
// One runtime a loop; on it any number of servers and channels (clients). Everything runs on the loop's thread. Output is
// collected during a turn of the loop and leaves with one system call a connection: at rpc_flush, or by itself before the
// loop waits again.
//
// Handles, not pointers: a call is named by a slot and a generation, so that a handle kept over the end of its call (client
// gone, cancelled, deadline passed) names nothing, and every function takes it without harm.
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

// "OK", "CANCELLED", ...; "UNKNOWN" for a number that is none.
const char *rpc_status_name(enum rpc_status status);

struct tls;
struct rpc_runtime;
struct rpc_server;
struct rpc_channel;

// `metrics` may be NULL; otherwise counts and durations of calls by method and status are kept there. Must be closed
// (rpc_runtime_close) after its servers and channels.
struct rpc_runtime *rpc_runtime_new(uv_loop_t *loop, struct metrics *metrics);

// Sends everything queued on all connections. The owner of the loop's turn calls it at its end.
void rpc_flush(struct rpc_runtime *runtime);

// The handles are closed on the loop; the memory goes once the loop has run.
void rpc_runtime_close(struct rpc_runtime *runtime);

// --- server ---

struct rpc_call {
    uint32_t slot;
    uint32_t generation;  // never 0: a zeroed handle names nothing
};

// A handle as one number, to pass through places that know nothing of calls.
static inline uint64_t rpc_call_pack(struct rpc_call call) {
    return (uint64_t)call.generation << 32 | call.slot;
}

static inline struct rpc_call rpc_call_unpack(uint64_t packed) {
    return (struct rpc_call){.slot = (uint32_t)packed, .generation = (uint32_t)(packed >> 32)};
}

// Who calls. Valid as long as the call.
struct rpc_peer {
    const char *address;   // IP:PORT of the connection
    const char *identity;  // whom its certificate names, such as "node/n1" (tls/tls.h); NULL on a plain connection
};

enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_BIDI };

// A request message has come in. `message` is borrowed for the length of this call to the handler. A unary or
// server-streaming method is handed exactly one, a bidirectional one any number. The handler answers now or later.
typedef void rpc_handler(void *user, struct rpc_call call, struct slice message);

struct rpc_method {
    const char *name;  // without the service: "Put"
    enum rpc_kind kind;
    rpc_handler *on_message;
    // The call has ended before the handler finished it: the client has gone, cancelled it, or its deadline has passed.
    // The handle names nothing any more. May be NULL.
    void (*on_cancel)(void *user, struct rpc_call call);
    // Bidirectional only: the client has sent its last message. May be NULL elsewhere.
    void (*on_half_close)(void *user, struct rpc_call call);
    // Streams only: what was queued has gone out, there is room again (see rpc_send). May be NULL.
    void (*on_writable)(void *user, struct rpc_call call);
};

// Everything in it is borrowed for the server's life.
struct rpc_service {
    const char *name;  // "baton.v1.ControlService"
    const struct rpc_method *methods;
    size_t method_count;
    void *user;
    // On an encrypted connection: the roles whose identities ("node/n1") may call it, ended by NULL; others get
    // PERMISSION_DENIED. NULL: everybody may.
    const char *const *roles;
};

// Listens on HOST:PORT (port 0: any; see rpc_server_address). ERR_INVALID: not an address; ERR_UNAVAILABLE: cannot listen.
enum error_code rpc_server_listen(struct rpc_runtime *runtime, const char *address, struct rpc_server **server,
                                  struct error *error);

// Before the loop runs. Speaks TLS only, with clients that prove who they are; `tls` is borrowed for the server's life.
void rpc_server_set_tls(struct rpc_server *server, struct tls *tls);

// Before the loop runs. All methods of the service become callable.
void rpc_server_add_service(struct rpc_server *server, const struct rpc_service *service);

// IP:PORT actually listened on.
const char *rpc_server_address(const struct rpc_server *server);

// Each name's serving status in grpc.health.v1.Health; "" is the server as a whole. The service is there from the start.
void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving);

// Enables server reflection (v1 and v1alpha, what grpcurl asks) from a serialized FileDescriptorSet, borrowed for the
// server's life.
void rpc_server_set_reflection(struct rpc_server *server, struct slice descriptor_set);

// Two-step GOAWAY: tells clients to go elsewhere, takes no new connection, lets running calls finish; `done(user)` when the
// last is gone or `grace_ms` has passed. Then rpc_server_close.
void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms, void (*done)(void *user), void *user);

// Ends everything at once; running calls get their on_cancel before this returns. The memory goes once the loop has run.
void rpc_server_close(struct rpc_server *server);

// All functions on calls: a handle that names nothing is allowed and does nothing (false, NULL, 0).
bool rpc_call_alive(struct rpc_server *server, struct rpc_call call);
struct rpc_peer rpc_call_peer(struct rpc_server *server, struct rpc_call call);

// The value of a request's metadata; data NULL if absent. Borrowed as long as the call.
struct slice rpc_call_metadata(struct rpc_server *server, struct rpc_call call, const char *key);

// Adds to the trailers; copied. Keys are lower case. At most 8 a call. A value that HTTP does not allow is left out.
void rpc_call_trailer(struct rpc_server *server, struct rpc_call call, const char *key, struct slice value);

// Queues one answer message; copied. False: nothing was queued, because the call is gone, or because it has 1 MiB queued
// already, or all calls of its connection together 16 MiB (streams: go on at on_writable).
bool rpc_send(struct rpc_server *server, struct rpc_call call, struct slice message);

// Ends the call. `message` (may be NULL) is for people and is percent-encoded; copied. The handle names nothing afterwards.
void rpc_finish(struct rpc_server *server, struct rpc_call call, enum rpc_status status, const char *message);

// rpc_send and rpc_finish(RPC_OK) in one, the usual end of a unary call. A client that leaves 64 MiB of answers unread gets
// RESOURCE_EXHAUSTED instead.
void rpc_reply(struct rpc_server *server, struct rpc_call call, struct slice message);

// --- client ---

// Why a connection is no more.
enum rpc_down_reason {
    RPC_DOWN_REFUSED,    // could not connect
    RPC_DOWN_RESET,      // end of file or reset without GOAWAY: the process there is gone
    RPC_DOWN_GOAWAY,     // the server said goodbye
    RPC_DOWN_KEEPALIVE,  // no answer to a PING: cut off, or stopped
    RPC_DOWN_CLOSED,     // by us
};

struct rpc_channel_options {
    const char *target;  // HOST:PORT, resolved at each attempt; copied
    // Hand a call to HTTP/2 only when the body of the one before has left, so that calls arrive in the order they were made.
    bool ordered;
    uint64_t keepalive_interval_ms;  // PING when nothing was read for so long; 0: no keepalive
    uint64_t keepalive_timeout_ms;   // and down when nothing was read for so long after it
    int32_t stream_window;           // bytes; 0: 1 MiB
    int32_t connection_window;       // bytes; 0: 2 MiB
    // Reconnect at once, then after 20 ms doubling to this, with jitter; 0: 1,000 ms. The channel connects by itself from
    // rpc_channel_new on, and again for ever.
    uint64_t backoff_max_ms;
    struct tls *tls;       // borrowed for the channel's life; NULL: plain
    const char *identity;  // whom to speak to, "node/n1"; copied. NULL: any node
    // The transport stands, a round trip before on_up: calls may be made from here on, and go out before the server has
    // shown that it lives. For those that are made again if nothing comes of them. NULL: calls wait for on_up.
    void (*on_open)(void *user);
    void (*on_up)(void *user);  // the server's SETTINGS have come
    // Also after each attempt that failed. Comes before the results of the calls that the connection had.
    void (*on_down)(void *user, enum rpc_down_reason reason);
    void *user;
};

struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const struct rpc_channel_options *options);

// Ends all calls with CANCELLED, then closes. No callback of the channel's comes after this returns, but those.
void rpc_channel_close(struct rpc_channel *channel);

bool rpc_channel_is_up(const struct rpc_channel *channel);

// Why the last attempt to connect failed, for people; "" while none has.
const char *rpc_channel_failure(const struct rpc_channel *channel);

// Whether the last attempt got a connection whose other side ended it without a word of gRPC: something else listens there.
bool rpc_channel_hung_up(const struct rpc_channel *channel);

// The server has been heard of: connects now, if it is waiting for its next attempt, or if what it has sent of the present
// one was so probably lost (to a host that was not there yet) that a new one is sooner.
void rpc_channel_wake(struct rpc_channel *channel);

struct rpc_result {
    enum rpc_status status;
    struct slice message;  // the status message, decoded; for people
    struct slice body;     // of a unary call with status OK
    // Whether the request may have reached the server's handler. False: it was surely not processed, and may be sent again.
    bool maybe_processed;
    bool answered;         // the status is what the server said, not made here for want of an answer
    const void *trailers;  // see rpc_result_trailer
};

// Data NULL if absent.
struct slice rpc_result_trailer(const struct rpc_result *result, const char *key);

// The end of a call; everything in `result` is borrowed for the length of the callback.
typedef void rpc_done(void *user, uint64_t tag, const struct rpc_result *result);

struct rpc_request {
    const char *path;     // "/baton.v1.ControlService/Put"; must live on (a literal)
    struct slice body;    // copied
    uint64_t timeout_ms;  // 0: none. Sent as grpc-timeout, and kept here too
    bool wait_for_ready;  // wait for the connection, within the timeout, instead of failing with UNAVAILABLE at once
    void *user;
    uint64_t tag;       // handed back
    rpc_done *on_done;  // exactly once, never from within the function that makes the call
    // Server streaming: each message, borrowed. NULL: unary.
    void (*on_message)(void *user, uint64_t tag, struct slice message);
    // Metadata, borrowed for the length of the function: key, value, key, value, NULL; at most 8 pairs. May be NULL.
    const char *const *metadata;
};

// A call under way; names nothing once on_done has run.
struct rpc_ticket {
    uint32_t slot;
    uint32_t generation;
};

struct rpc_ticket rpc_channel_call(struct rpc_channel *channel, const struct rpc_request *request);

// on_done follows with CANCELLED.
void rpc_channel_cancel(struct rpc_channel *channel, struct rpc_ticket ticket);

#endif
