// The server's inside: what server.c (listening, connections, routes, the end) and server_call.c (calls) share.
#ifndef BATON_RPC_SERVER_H
#define BATON_RPC_SERVER_H

#include "rpc/builtin.h"
#include "rpc/connection.h"
#include "rpc/metadata.h"
#include "rpc/slots.h"
#include "rpc/stats.h"

// A method under its path.
struct rpc_route {
    char *path;  // "/baton.v1.ControlService/Put"; NULL: the one for calls of no method
    size_t path_len;
    const struct rpc_service *service;
    const struct rpc_method *method;
    struct rpc_stats *stats;
};

struct rpc_server {
    struct rpc_runtime *runtime;
    struct tls *tls;  // NULL: plain
    uv_tcp_t listener;
    bool listening;
    char address[56];

    struct rpc_link connections;
    size_t connection_count;
    size_t connection_max;  // CONNECTIONS_MAX, or as many as the limit on open files allows

    const struct rpc_service **services;
    size_t service_count;
    struct rpc_route **routes;  // a hash table, a power of two large and at most half full
    size_t route_cap;
    size_t route_count;
    struct rpc_route unknown;

    struct rpc_slots calls;      // that the application can name
    struct rpc_link idle_calls;  // objects for the next
    size_t idle_count;

    struct rpc_health *health;
    struct rpc_reflection *reflection;

    struct rpc_timer drain_step;  // the second GOAWAY, at the latest
    struct rpc_timer drain_end;
    void (*on_drained)(void *user);  // NULL: not draining, or over
    void *drained_user;
    bool draining;
    bool closing;
    struct rpc_deferred release;
};

// NULL: no such method.
struct rpc_route *rpc_server_route(const struct rpc_server *server, struct slice path);

void rpc_server_free_calls(struct rpc_server *server);

// The role's functions about calls; see connection.h.
struct rpc_stream *rpc_server_call_begin(struct rpc_connection *connection, int32_t id);
void rpc_server_call_header(struct rpc_stream *stream, struct slice name, struct slice value);
void rpc_server_call_headers(struct rpc_stream *stream, bool end);
void rpc_server_call_message(struct rpc_stream *stream, struct slice message);
void rpc_server_call_half_closed(struct rpc_stream *stream);
void rpc_server_call_broken(struct rpc_stream *stream, enum rpc_stream_error error);
bool rpc_server_call_out_ended(struct rpc_stream *stream);
void rpc_server_call_headers_sent(struct rpc_stream *stream, bool end);
void rpc_server_call_writable(struct rpc_stream *stream);
void rpc_server_call_closed(struct rpc_stream *stream, uint32_t error_code);

#endif
