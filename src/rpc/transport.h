// What an HTTP/2 session reads and writes through: bytes in order, both ways, to one peer. Plain TCP, or TLS around it.
#ifndef BATON_RPC_TRANSPORT_H
#define BATON_RPC_TRANSPORT_H

#include "rpc/runtime.h"

struct rpc_transport;

// What happens on a transport. All come from the loop, none from within a function below.
struct rpc_transport_events {
    void (*opened)(void *owner);                    // connected, and ready to be written to; not if `open` from the start
    void (*read)(void *owner, struct slice bytes);  // borrowed for the length of the callback
    void (*drained)(void *owner);                   // the rest of a write has left
    void (*failed)(void *owner, int uv_error);      // could not connect, end of file, reset; once
};

enum rpc_written {
    RPC_WRITTEN,       // all bytes are with the kernel
    RPC_WRITTEN_PART,  // the rest was copied; nothing may be written before `drained`
    RPC_WRITE_FAILED,
};

struct rpc_transport_ops {
    // Once, after events and owner are set. Reading begins as soon as there is a connection.
    void (*start)(struct rpc_transport *transport);
    enum rpc_written (*write)(struct rpc_transport *transport, struct slice bytes);
    // No event follows. The memory goes once the loop has run. What was written before is not waited for.
    void (*close)(struct rpc_transport *transport);
};

struct rpc_transport {
    const struct rpc_transport_ops *ops;
    const struct rpc_transport_events *events;
    void *owner;           // handed to the events
    bool open;             // from the start: an accepted one
    bool unanswered;       // being connected, and nothing has come from the other side yet
    size_t pending;        // bytes of a write that the kernel has not taken yet
    char address[56];      // IP:PORT of the peer; of IPv6 [IP]:PORT
    const char *identity;  // the peer's name, proved; NULL: unknown
    const char *failure;   // what `failed` is about where no error number says it, for people; NULL: the number does
};

// From a listening socket with somebody waiting. NULL: it is gone again.
struct rpc_transport *rpc_tcp_accept(struct rpc_runtime *runtime, uv_stream_t *listener);

// `opened` or `failed` follows. NULL: no socket could be had.
struct rpc_transport *rpc_tcp_connect(struct rpc_runtime *runtime, const struct sockaddr *address);

// Takes the transport below; `tls` and `peer` as tls_session_new. NULL: no memory, and the one below is closed.
struct rpc_transport *rpc_tls_wrap(struct rpc_runtime *runtime, struct rpc_transport *below, struct tls *tls, bool server,
                                   const char *peer);

#endif
