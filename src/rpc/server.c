// A server: listening, its connections, the routes to its methods, and graceful shutdown.
#include "rpc/server.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/slog.h"
#include "rpc/address.h"

enum {
    BACKLOG = 1024,
    ACCEPTED_AT_ONCE_MAX = 16,  // connections; with TLS each takes a third of a millisecond
    ACCEPTED_TURN_MS = 1,       // until so many may follow
};

// Flow-control windows: 50 ms at 160 MB/s, like the limit on what is in flight to a peer.
#define SERVER_STREAM_WINDOW     (8 * MIB)
#define SERVER_CONNECTION_WINDOW (16 * MIB)
#define SERVER_SETUP_MS          10000  // from accepting to the client's SETTINGS
#define SERVER_KEEPALIVE_MS      20000  // of silence before a PING,
#define SERVER_KEEPALIVE_WAIT_MS 20000  // and after it before closing: half-open connections must not stay
#define IDLE_MIN_MS              1000   // idle time before a connection may be closed for a new one
#define DRAIN_STEP_MS            250    // five round trips between the clouds

// --- routes ---

static size_t hash_of(struct slice path) {
    uint64_t hash = UINT64_C(14695981039346656037);  // FNV-1a; the keys are our own, so collisions cannot be provoked
    for (size_t i = 0; i < path.len; i++) {
        hash = (hash ^ path.data[i]) * UINT64_C(1099511628211);
    }
    return (size_t)(hash ^ hash >> 32);
}

static struct rpc_route **route_entry(const struct rpc_server *server, struct slice path) {
    size_t mask = server->route_cap - 1;
    size_t i = hash_of(path) & mask;
    while (server->routes[i] != NULL && !slice_equal(path, slice_of(server->routes[i]->path, server->routes[i]->path_len))) {
        i = (i + 1) & mask;
    }
    return &server->routes[i];
}

struct rpc_route *rpc_server_route(const struct rpc_server *server, struct slice path) {
    return *route_entry(server, path);
}

static void grow_routes(struct rpc_server *server) {
    struct rpc_route **old = server->routes;
    size_t old_cap = server->route_cap;
    server->route_cap = old_cap == 0 ? 32 : old_cap * 2;
    server->routes = mem_zalloc(server->route_cap * sizeof(struct rpc_route *));
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i] != NULL) {
            *route_entry(server, slice_of(old[i]->path, old[i]->path_len)) = old[i];
        }
    }
    free(old);
}

static void add_route(struct rpc_server *server, const struct rpc_service *service, const struct rpc_method *method) {
    if ((server->route_count + 1) * 2 > server->route_cap) {
        grow_routes(server);
    }
    struct rpc_route *route = mem_zalloc(sizeof *route);
    struct buf path = {0};
    buf_printf(&path, "/%s/%s", service->name, method->name);
    route->path_len = path.len;
    buf_append(&path, "", 1);
    route->path = (char *)path.data;
    route->service = service;
    route->method = method;
    route->user = method->user != NULL ? method->user : service->user;
    route->roles = method->roles != NULL ? method->roles : service->roles;
    route->stats = rpc_stats_of(server->runtime, true, route->path);
    struct rpc_route **entry = route_entry(server, slice_of(route->path, route->path_len));
    assert(*entry == NULL);  // no method twice
    *entry = route;
    server->route_count++;
}

void rpc_server_set_tls(struct rpc_server *server, struct tls *tls) {
    assert(server->connection_count == 0);
    server->tls = tls;
}

void rpc_server_allow_plaintext(struct rpc_server *server) {
    struct rpc_runtime *runtime = server->runtime;
    assert(server->tls != NULL);
    server->allow_plaintext = true;
    if (runtime->metrics != NULL) {
        runtime->plaintext_gauge = metrics_add(runtime->metrics, METRIC_GAUGE, "rpc_server_plaintext_connections",
                                               "Open connections in plaintext, beside TLS.", NULL);
        runtime->plaintext_counter = metrics_add(runtime->metrics, METRIC_COUNTER, "rpc_server_plaintext_accepted_total",
                                                 "Connections accepted in plaintext, beside TLS.", NULL);
    }
}

struct rpc_plaintext rpc_server_plaintext(const struct rpc_server *server) {
    const struct rpc_runtime *runtime = server->runtime;
    return !server->allow_plaintext ? (struct rpc_plaintext){0}
                                    : (struct rpc_plaintext){.open = (uint32_t)runtime->plaintext_gauge->value,
                                                             .accepted = (uint64_t)runtime->plaintext_counter->value};
}

void rpc_server_set_limits(struct rpc_server *server, const struct rpc_limits *limits) {
    assert(server->connection_count == 0);
    server->limits = limits;
}

void rpc_server_add_service(struct rpc_server *server, const struct rpc_service *service) {
    for (size_t i = 0; i < service->method_count; i++) {
        add_route(server, service, &service->methods[i]);
    }
    array_reserve(server->services, server->service_cap, server->service_count + 1);
    server->services[server->service_count++] = service;
}

const struct rpc_service *const *rpc_server_services(const struct rpc_server *server, size_t *count) {
    *count = server->service_count;
    return server->services;
}

// --- connections ---

static void check_drained(struct rpc_server *server);
static void send_final_goaway(struct rpc_connection *connection);

// Its peer is known. Who has too many is told to calm down, and the connection closes once that is sent.
static void meet_client(struct rpc_connection *connection) {
    struct rpc_server *server = connection->owner;
    const struct rpc_limits *limits = server->limits;
    if (limits == NULL) {
        return;
    }
    struct rpc_client *client = rpc_clients_meet(server->clients, connection->transport, limits->unlimited);
    connection->client = client;
    if (client->unlimited || limits->connections == 0 || client->connections <= limits->connections) {
        return;
    }
    slog(SLOG_WARN, "client-connections", "a client has too many connections: refusing one", F_STR("client", client->name),
         F_STR("peer", connection->transport->address), F_U64("limit", limits->connections));
    nghttp2_session_terminate_session(connection->session, NGHTTP2_ENHANCE_YOUR_CALM);
    rpc_connection_touch(connection);
}

// With TLS, after the handshake.
static void on_opened(struct rpc_connection *connection) {
    meet_client(connection);
}

static void on_ready(struct rpc_connection *connection) {
    (void)connection;
}

static void on_goaway(struct rpc_connection *connection) {
    (void)connection;
}

static void on_ping_acked(struct rpc_connection *connection) {
    send_final_goaway(connection);
}

static bool on_refill(struct rpc_connection *connection) {
    (void)connection;
    return false;
}

static void on_connection_closed(struct rpc_connection *connection, enum rpc_down_reason reason) {
    (void)reason;
    struct rpc_server *server = connection->owner;
    assert(server->connection_count > 0);
    rpc_list_remove(&connection->link);
    server->connection_count--;
    if (connection->client != NULL) {
        rpc_clients_leave(server->clients, connection->client);
    }
    metric_add(server->runtime->connections_gauge, -1);
    check_drained(server);
}

static const struct rpc_role server_role = {
    .server = true,
    .begin = rpc_server_call_begin,
    .header = rpc_server_call_header,
    .headers = rpc_server_call_headers,
    .message = rpc_server_call_message,
    .half_closed = rpc_server_call_half_closed,
    .failed = rpc_server_call_failed,
    .out_ended = rpc_server_call_out_ended,
    .headers_sent = rpc_server_call_headers_sent,
    .writable = rpc_server_call_writable,
    .closed = rpc_server_call_closed,
    .opened = on_opened,
    .ready = on_ready,
    .goaway = on_goaway,
    .ping_acked = on_ping_acked,
    .refill = on_refill,
    .connection_closed = on_connection_closed,
};

// Closes a connection without calls: rather one whose SETTINGS were never received, then the one that is silent longest.
// False: there is none.
static bool close_idle_connection(struct rpc_server *server) {
    struct rpc_connection *victim = NULL;
    uint64_t now = rpc_now_ms(server->runtime);
    for (struct rpc_link *link = server->connections.next; link != &server->connections; link = link->next) {
        struct rpc_connection *connection = rpc_container(link, struct rpc_connection, link);
        if (connection->stream_count > 0 || now - connection->last_read_ms < IDLE_MIN_MS) {
            continue;
        }
        if (victim == NULL || (victim->settings_received && !connection->settings_received) ||
            (victim->settings_received == connection->settings_received &&
             connection->last_read_ms < victim->last_read_ms)) {
            victim = connection;
        }
    }
    if (victim == NULL) {
        return false;
    }
    rpc_connection_close(victim, RPC_DOWN_CLOSED);
    return true;
}

static void take_connection(struct rpc_server *server, uv_stream_t *listener) {
    struct rpc_transport *transport = rpc_tcp_accept(server->runtime, listener);
    if (transport == NULL) {
        return;
    }
    if (server->connection_count >= server->connection_max && !close_idle_connection(server)) {
        slog(SLOG_WARN, "too-many-connections", "too many connections, none of them idle: refusing one",
             F_STR("peer", transport->address), F_U64("limit", server->connection_max));
        transport->ops->close(transport);
        return;
    }
    if (server->tls != NULL) {
        transport = rpc_tls_wrap(server->runtime, transport, server->tls,
                                 server->allow_plaintext ? RPC_TLS_SERVER_MIGRATING : RPC_TLS_SERVER, NULL);
        if (transport == NULL) {
            return;
        }
    }
    static const struct rpc_connection_options options = {
        .stream_window = SERVER_STREAM_WINDOW,
        .connection_window = SERVER_CONNECTION_WINDOW,
        .keepalive_interval_ms = SERVER_KEEPALIVE_MS,
        .keepalive_timeout_ms = SERVER_KEEPALIVE_WAIT_MS,
        .setup_timeout_ms = SERVER_SETUP_MS,
    };
    struct rpc_connection *connection = rpc_connection_new(server->runtime, transport, &server_role, server, &options);
    rpc_list_push(&server->connections, &connection->link);
    server->connection_count++;
    metric_add(server->runtime->connections_gauge, 1);
    if (connection->opened) {
        meet_client(connection);
    }
}

static void on_accepted_turn(struct rpc_timer *timer);

// libuv calls this as long as there are connections to accept, all in one turn: who opens thousands would stop the loop
// meanwhile. One that is not taken here keeps libuv from looking for more until it is.
static void on_connection(uv_stream_t *listener, int status) {
    struct rpc_server *server = listener->data;
    if (status < 0) {
        slog(SLOG_WARN, "accept-failed", "cannot accept a connection", F_STR("reason", uv_strerror(status)));
        return;
    }
    if (server->accepted == ACCEPTED_AT_ONCE_MAX) {
        server->accept_waits = true;
        return;
    }
    if (server->accepted++ == 0) {
        rpc_timer_start(server->runtime, &server->accepted_turn, ACCEPTED_TURN_MS, on_accepted_turn);
    }
    take_connection(server, listener);
}

static void on_accepted_turn(struct rpc_timer *timer) {
    struct rpc_server *server = rpc_container(timer, struct rpc_server, accepted_turn);
    bool waits = server->accept_waits;
    server->accepted = 0;
    server->accept_waits = false;
    if (waits && server->listening && !uv_is_closing((uv_handle_t *)&server->listener)) {
        on_connection((uv_stream_t *)&server->listener, 0);
    }
}

// --- listening ---

static struct rpc_server *server_new(struct rpc_runtime *runtime) {
    struct rpc_server *server = mem_zalloc(sizeof *server);
    server->runtime = runtime;
    runtime->users++;
    rpc_list_init(&server->connections);
    server->connection_max = files_share(CONNECTIONS_SHARE, CONNECTIONS_MAX);
    rpc_list_init(&server->idle_calls);
    server->unknown.stats = rpc_stats_of(runtime, true, "/unknown/unknown");
    server->health = rpc_health_new(server);
    server->clients = rpc_clients_new();
    return server;
}

static void release(struct rpc_deferred *deferred) {
    struct rpc_server *server = rpc_container(deferred, struct rpc_server, release);
    assert(server->connection_count == 0 && rpc_list_empty(&server->connections));
    rpc_health_free(server->health);
    rpc_clients_free(server->clients);
    rpc_reflection_free(server->reflection);
    for (size_t i = 0; i < server->route_cap; i++) {
        if (server->routes[i] != NULL) {
            free(server->routes[i]->path);
            free(server->routes[i]);
        }
    }
    free(server->routes);
    free(server->services);
    rpc_server_free_calls(server);
    rpc_runtime_release(server->runtime);
    free(server);
}

static void on_listener_closed(uv_handle_t *handle) {
    struct rpc_server *server = handle->data;
    server->listening = false;
    if (server->closing) {
        rpc_defer(server->runtime, &server->release, release);
    }
}

static void stop_listening(struct rpc_server *server) {
    if (server->listening && !uv_is_closing((uv_handle_t *)&server->listener)) {
        uv_close((uv_handle_t *)&server->listener, on_listener_closed);
    }
}

static int bind_and_listen(struct rpc_server *server, const struct sockaddr *address) {
    int error = uv_tcp_bind(&server->listener, address, 0);
    return error != 0 ? error : uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
}

enum error_code rpc_server_listen(struct rpc_runtime *runtime, const char *address, struct rpc_server **result,
                                  struct error *error) {
    struct address parts;
    enum error_code code = rpc_address_split(address, &parts, error);
    if (code != OK) {
        return code;
    }
    // Blocks the loop, but only at start.
    uv_getaddrinfo_t resolution;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int status = uv_getaddrinfo(runtime->loop, &resolution, NULL, parts.host, parts.port, &hints);
    if (status != 0) {
        return error_set(error, ERR_INVALID, "address %s: %s", address, uv_strerror(status));
    }
    struct rpc_server *server = server_new(runtime);
    server->listener.data = server;
    status = uv_tcp_init(runtime->loop, &server->listener);
    assert(status == 0);
    server->listening = true;
    status = bind_and_listen(server, resolution.addrinfo->ai_addr);
    uv_freeaddrinfo(resolution.addrinfo);
    if (status != 0) {
        rpc_server_close(server);
        return error_set(error, ERR_UNAVAILABLE, "cannot listen on %s: %s", address, uv_strerror(status));
    }
    struct sockaddr_storage bound;
    int size = sizeof bound;
    status = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&bound, &size);
    assert(status == 0);
    rpc_address_format(server->address, sizeof server->address, (struct sockaddr *)&bound);
    *result = server;
    return OK;
}

const char *rpc_server_address(const struct rpc_server *server) {
    return server->address;
}

void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving) {
    rpc_health_set(server->health, service, serving);
}

void rpc_server_set_reflection(struct rpc_server *server, struct slice descriptor_set) {
    assert(server->reflection == NULL);
    server->reflection = rpc_reflection_new(server, descriptor_set);
}

// --- shutdown ---
//
// GOAWAY in two steps (RFC 9113, section 6.8): first with the highest stream id, as requests may be in flight; a round trip
// later with the id of the last request accepted, so that the client knows which were not processed. Once the last call has
// ended, nghttp2 wants to read and write no more, and the connection closes.

static void send_final_goaway(struct rpc_connection *connection) {
    struct rpc_server *server = connection->owner;
    if (!server->draining) {
        return;
    }
    nghttp2_submit_goaway(connection->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(connection->session), NGHTTP2_NO_ERROR, NULL, 0);
    rpc_connection_touch(connection);
}

static void on_drain_step(struct rpc_timer *timer) {
    struct rpc_server *server = rpc_container(timer, struct rpc_server, drain_step);
    for (struct rpc_link *link = server->connections.next; link != &server->connections; link = link->next) {
        send_final_goaway(rpc_container(link, struct rpc_connection, link));
    }
}

static void on_drain_end(struct rpc_timer *timer) {
    struct rpc_server *server = rpc_container(timer, struct rpc_server, drain_end);
    rpc_timer_stop(server->runtime, &server->drain_step);
    void (*done)(void *user) = server->on_drained;
    server->on_drained = NULL;
    done(server->drained_user);
}

static void check_drained(struct rpc_server *server) {
    if (server->on_drained != NULL && server->connection_count == 0) {
        rpc_timer_start(server->runtime, &server->drain_end, 0, on_drain_end);
    }
}

void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms, void (*done)(void *user), void *user) {
    assert(!server->draining && !server->closing && done != NULL);
    server->draining = true;
    server->on_drained = done;
    server->drained_user = user;
    stop_listening(server);
    rpc_health_shutdown(server->health);
    for (struct rpc_link *link = server->connections.next; link != &server->connections; link = link->next) {
        struct rpc_connection *connection = rpc_container(link, struct rpc_connection, link);
        nghttp2_submit_shutdown_notice(connection->session);
        rpc_connection_ping(connection);
    }
    rpc_timer_start(server->runtime, &server->drain_step, DRAIN_STEP_MS, on_drain_step);
    rpc_timer_start(server->runtime, &server->drain_end, grace_ms, on_drain_end);
    check_drained(server);
}

void rpc_server_close(struct rpc_server *server) {
    assert(!server->closing);
    server->closing = true;
    server->on_drained = NULL;
    rpc_timer_stop(server->runtime, &server->drain_step);
    rpc_timer_stop(server->runtime, &server->drain_end);
    rpc_timer_stop(server->runtime, &server->accepted_turn);
    for (struct rpc_link *link; (link = rpc_list_first(&server->connections)) != NULL;) {
        rpc_connection_close(rpc_container(link, struct rpc_connection, link), RPC_DOWN_CLOSED);
    }
    if (server->listening) {
        stop_listening(server);
    } else {
        rpc_defer(server->runtime, &server->release, release);
    }
}
