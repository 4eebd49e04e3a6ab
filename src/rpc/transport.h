// A byte stream to one peer, beneath an HTTP/2 session: TCP, or TLS over it.
#ifndef BATON_RPC_TRANSPORT_H
#define BATON_RPC_TRANSPORT_H

#include "rpc/runtime.h"

struct rpc_transport;

// A transport's events. Called from the loop, never from within a function below.
struct rpc_transport_events {
    void (*opened)(void *owner);                    // connected and writable; not if `open` from the start
    void (*read)(void *owner, struct slice bytes);  // borrowed until it returns
    void (*drained)(void *owner);                   // the rest of a write is with the kernel
    void (*failed)(void *owner, int uv_error);      // could not connect, end of file, reset; once
};

enum rpc_written {
    RPC_WRITTEN,       // the kernel has taken all bytes
    RPC_WRITTEN_PART,  // the rest is copied; no write is allowed before `drained`
    RPC_WRITE_FAILED,
};

struct rpc_transport_ops {
    // Once, after events and owner are set. Reading begins once it is connected.
    void (*start)(struct rpc_transport *transport);
    enum rpc_written (*write)(struct rpc_transport *transport, struct slice bytes);
    // No event follows. Does not wait for what was written. The memory is freed once the loop has run.
    void (*close)(struct rpc_transport *transport);
};

struct rpc_transport {
    const struct rpc_transport_ops *ops;
    const struct rpc_transport_events *events;
    void *owner;           // passed to the events
    bool open;             // connected from the start: accepted
    bool unanswered;       // connecting, without a SYN-ACK yet
    size_t pending;        // bytes written that the kernel has not taken
    char address[56];      // IP:PORT of the peer; of IPv6 [IP]:PORT
    const char *identity;  // from the peer's certificate; NULL without TLS
    bool found_plain;      // with `failed`: the server speaks no TLS
    const char *failure;   // the reason of `failed`, for people; NULL: see its uv_error
};

// Accepts a connection. NULL: it was closed meanwhile.
struct rpc_transport *rpc_tcp_accept(struct rpc_runtime *runtime, uv_stream_t *listener);

// `opened` or `failed` follows. NULL: no socket, or refused at once.
struct rpc_transport *rpc_tcp_connect(struct rpc_runtime *runtime, const struct sockaddr *address);

enum rpc_tls_mode {
    RPC_TLS_CLIENT,
    RPC_TLS_SERVER,
    RPC_TLS_SERVER_MIGRATING,  // a client that begins with HTTP/2's preface is served in plaintext, without an identity
};

// Takes ownership of `below`; `tls` and `peer` as for tls_session_new. NULL: no memory; `below` is closed.
struct rpc_transport *rpc_tls_wrap(struct rpc_runtime *runtime, struct rpc_transport *below, struct tls *tls,
                                   enum rpc_tls_mode mode, const char *peer);

#endif
