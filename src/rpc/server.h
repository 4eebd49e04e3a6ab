// Internals of a server, shared by server.c (listening, connections, routes, shutdown) and server_call.c (calls).
#ifndef BATON_RPC_SERVER_H
#define BATON_RPC_SERVER_H

#include "rpc/builtin.h"
#include "rpc/clients.h"
#include "rpc/connection.h"
#include "rpc/handles.h"
#include "rpc/metadata.h"
#include "rpc/stats.h"

// What a request's path leads to.
struct rpc_route {
    char *path;  // "/baton.v1.ControlService/Put"; NULL: the route of unknown methods
    size_t path_len;
    const struct rpc_service *service;
    const struct rpc_method *method;
    void *user;                // the method's, or else the service's
    const char *const *roles;  // likewise
    struct rpc_stats *stats;
};

struct rpc_server {
    struct rpc_runtime *runtime;
    struct tls *tls;                  // NULL: plaintext
    bool allow_plaintext;             // with `tls`: also
    const struct rpc_limits *limits;  // of each client; NULL: none
    struct rpc_clients *clients;
    uv_tcp_t listener;
    unsigned accepted;               // connections since accepted_turn was started
    bool accept_waits;               // libuv has one more, and looks for none until it is taken
    struct rpc_timer accepted_turn;  // then further ones may be taken
    bool listening;
    char address[56];

    struct rpc_link connections;
    size_t connection_count;
    size_t connection_max;  // CONNECTIONS_MAX, or as many as the limit on open files allows

    const struct rpc_service **services;
    size_t service_count;
    size_t service_cap;
    struct rpc_route **routes;  // a hash table; its size is a power of two, at most half of it used
    size_t route_cap;
    size_t route_count;
    struct rpc_route unknown;

    struct rpc_handles calls;    // whose handle is valid
    struct rpc_link idle_calls;  // ended calls, to be used again
    size_t idle_count;

    struct rpc_health *health;
    struct rpc_reflection *reflection;

    struct rpc_timer drain_step;  // the latest time for the second GOAWAY
    struct rpc_timer drain_end;
    void (*on_drained)(void *user);  // NULL: not draining, or called already
    void *drained_user;
    bool draining;
    bool closing;
    struct rpc_deferred release;
};

// NULL: unknown method.
struct rpc_route *rpc_server_route(const struct rpc_server *server, struct slice path);

// Frees the idle calls and the handles.
void rpc_server_free_calls(struct rpc_server *server);

// The role's callbacks for streams; see connection.h.
struct rpc_stream *rpc_server_call_begin(struct rpc_connection *connection, int32_t id);
void rpc_server_call_header(struct rpc_stream *stream, struct slice name, struct slice value);
void rpc_server_call_headers(struct rpc_stream *stream, bool end);
void rpc_server_call_message(struct rpc_stream *stream, struct slice message);
void rpc_server_call_half_closed(struct rpc_stream *stream);
void rpc_server_call_failed(struct rpc_stream *stream, enum rpc_stream_error error);
bool rpc_server_call_out_ended(struct rpc_stream *stream);
void rpc_server_call_headers_sent(struct rpc_stream *stream, bool end);
void rpc_server_call_writable(struct rpc_stream *stream);
void rpc_server_call_closed(struct rpc_stream *stream, uint32_t error_code);

#endif
