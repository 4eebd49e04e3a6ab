// Servers of rpc/rpc.h over the simulated network.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "network.h"

struct client {  // a connection to a server
    struct rpc_server *server;
    struct connection *connection;  // NULL: it has ended
    struct client *next;
    char address[64];
};

struct served {  // a call
    uint32_t generation;
    bool used;
    struct client *client;
    uint64_t number;
    const struct rpc_method *method;
    void *user;
    struct pairs metadata;
    struct pairs trailers;
    size_t queued;
    bool blocked;
};

enum { SERVICES_MAX = 8 };

struct rpc_server {
    struct rpc_runtime *runtime;
    const struct rpc_service *services[SERVICES_MAX];
    size_t service_count;
    struct client *clients;
    struct served *calls;
    uint32_t call_count, call_cap;
    char address[64];
    bool draining, closed;
    void (*drained)(void *user);
    void *drained_user;
    size_t events;  // that are still to come
};

struct rpc_runtime *rpc_runtime_new(uv_loop_t *loop, struct metrics *metrics) {
    (void)metrics;
    struct rpc_runtime *runtime = mem_zalloc(sizeof *runtime);
    *runtime = (struct rpc_runtime){.loop = loop, .host = current_host()};
    return runtime;
}

void rpc_flush(struct rpc_runtime *runtime) {
    (void)runtime;
}

void rpc_runtime_close(struct rpc_runtime *runtime) {
    free(runtime);
}

const char *rpc_status_name(enum rpc_status status) {
    static const char *const names[] = {
#define X(code, number, text) [number] = text,
        RPC_STATUSES(X)
#undef X
    };
    return (unsigned)status < RPC_STATUS_COUNT ? names[status] : "UNKNOWN";
}

// --- calls ---

static struct served *find(struct rpc_server *server, struct rpc_call call) {
    bool known = call.index < server->call_count && server->calls[call.index].used;
    return known && server->calls[call.index].generation == call.generation ? &server->calls[call.index] : NULL;
}

static struct rpc_call handle_of(const struct rpc_server *server, const struct served *call) {
    return (struct rpc_call){.index = (uint32_t)(call - server->calls), .generation = call->generation};
}

static struct served *take_place(struct rpc_server *server) {
    for (uint32_t i = 0; i < server->call_count; i++) {
        if (!server->calls[i].used) {
            return &server->calls[i];
        }
    }
    array_reserve(server->calls, server->call_cap, server->call_count + 1);
    server->calls[server->call_count] = (struct served){.generation = 0};
    return &server->calls[server->call_count++];
}

static void look_drained(struct rpc_server *server);

static void drop(struct rpc_server *server, struct served *call) {
    pairs_free(&call->metadata);
    pairs_free(&call->trailers);
    call->used = false;
    look_drained(server);
}

static void cancel(struct rpc_server *server, struct served *call) {
    struct rpc_call handle = handle_of(server, call);
    const struct rpc_method *method = call->method;
    void *user = call->user;
    drop(server, call);
    if (method->on_cancel != NULL) {
        method->on_cancel(user, handle);
    }
}

static void finish(struct rpc_server *server, struct served *call, enum rpc_status status, const char *message,
                   const struct slice *body) {
    struct frame *frame = frame_new(FRAME_END, call->number);
    frame->status = status;
    frame->text = message == NULL ? NULL : mem_strdup(message);
    frame->pairs = call->trailers;
    call->trailers.count = 0;
    if (body != NULL) {
        frame_set_body(frame, *body);
    }
    network_send(call->client->connection, SERVER, frame);
    drop(server, call);
}

bool rpc_call_alive(struct rpc_server *server, struct rpc_call call) {
    return find(server, call) != NULL;
}

struct rpc_peer rpc_call_peer(struct rpc_server *server, struct rpc_call handle) {
    struct served *call = find(server, handle);
    return (struct rpc_peer){.address = call == NULL ? "" : call->client->address};
}

struct slice rpc_call_metadata(struct rpc_server *server, struct rpc_call handle, const char *key) {
    struct served *call = find(server, handle);
    return call == NULL ? slice_of(NULL, 0) : pairs_find(&call->metadata, key);
}

void rpc_call_trailer(struct rpc_server *server, struct rpc_call handle, const char *key, struct slice value) {
    struct served *call = find(server, handle);
    if (call != NULL) {
        pairs_add(&call->trailers, key, value);
    }
}

bool rpc_send(struct rpc_server *server, struct rpc_call handle, struct slice message) {
    struct served *call = find(server, handle);
    if (call == NULL) {
        return false;
    }
    if (call->queued + message.len > RPC_STREAM_QUEUE_MAX) {
        call->blocked = true;
        return false;
    }
    call->queued += message.len;
    struct frame *frame = frame_new(FRAME_MESSAGE, call->number);
    frame_set_body(frame, message);
    network_send(call->client->connection, SERVER, frame);
    return true;
}

void rpc_finish(struct rpc_server *server, struct rpc_call handle, enum rpc_status status, const char *message) {
    struct served *call = find(server, handle);
    if (call != NULL) {
        finish(server, call, status, message, NULL);
    }
}

void rpc_reply(struct rpc_server *server, struct rpc_call handle, struct slice message) {
    struct served *call = find(server, handle);
    if (call != NULL) {
        finish(server, call, RPC_OK, NULL, &message);
    }
}

// --- requests ---

static const struct rpc_method *find_method(const struct rpc_server *server, const char *path, void **user) {
    for (size_t i = 0; i < server->service_count; i++) {
        const struct rpc_service *service = server->services[i];
        size_t len = strlen(service->name);
        if (strncmp(path + 1, service->name, len) != 0 || path[1 + len] != '/') {
            continue;
        }
        for (size_t k = 0; k < service->method_count; k++) {
            if (strcmp(service->methods[k].name, path + len + 2) == 0) {
                *user = service->methods[k].user != NULL ? service->methods[k].user : service->user;
                return &service->methods[k];
            }
        }
    }
    return NULL;
}

static void take_request(struct client *client, struct frame *frame) {
    struct rpc_server *server = client->server;
    void *user = NULL;
    const struct rpc_method *method = find_method(server, frame->path, &user);
    if (method == NULL || server->draining) {
        struct frame *end = frame_new(FRAME_END, frame->call);
        end->status = method == NULL ? RPC_UNIMPLEMENTED : RPC_UNAVAILABLE;
        network_send(client->connection, SERVER, end);
        return;
    }
    struct served *call = take_place(server);
    uint32_t generation = call->generation + 1;
    *call = (struct served){.generation = generation == 0 ? 1 : generation,
                            .used = true,
                            .client = client,
                            .number = frame->call,
                            .method = method,
                            .user = user,
                            .metadata = frame->pairs};
    frame->pairs.count = 0;
    struct rpc_call handle = handle_of(server, call);
    method->on_message(user, handle, frame->body);
}

static struct served *by_number(struct client *client, uint64_t number) {
    for (uint32_t i = 0; i < client->server->call_count; i++) {
        struct served *call = &client->server->calls[i];
        if (call->used && call->client == client && call->number == number) {
            return call;
        }
    }
    return NULL;
}

static void on_frame(void *owner, struct connection *connection, struct frame *frame) {
    struct client *client = owner;
    struct served *call = by_number(client, frame->call);
    switch (frame->type) {
    case FRAME_REQUEST:
        take_request(client, frame);
        break;
    case FRAME_CANCEL:
        if (call != NULL) {
            cancel(client->server, call);
        }
        break;
    case FRAME_PING:
        network_send(connection, SERVER, frame_new(FRAME_PONG, 0));
        break;
    case FRAME_WINDOW:
        if (call != NULL) {
            call->queued -= frame->timeout_ms < call->queued ? frame->timeout_ms : call->queued;
            if (call->blocked && call->queued < RPC_STREAM_QUEUE_MAX / 2) {
                call->blocked = false;
                if (call->method->on_writable != NULL) {
                    call->method->on_writable(call->user, handle_of(client->server, call));
                }
            }
        }
        break;
    default:
        break;
    }
}

// --- connections ---

static void forget(struct client *client) {
    struct rpc_server *server = client->server;
    client->connection = NULL;
    for (uint32_t i = 0; i < server->call_count; i++) {
        if (server->calls[i].used && server->calls[i].client == client) {
            cancel(server, &server->calls[i]);
        }
    }
    for (struct client **at = &server->clients; *at != NULL; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
    free(client);
}

static void on_gone(void *owner, struct connection *connection, bool refused) {
    struct client *client = owner;
    struct rpc_server *server = client->server;
    (void)connection;
    (void)refused;
    forget(client);
    look_drained(server);
}

static void on_accept(void *owner, struct connection *connection) {
    struct rpc_server *server = owner;
    struct client *client = mem_zalloc(sizeof *client);
    client->server = server;
    client->connection = connection;
    client->next = server->clients;
    snprintf(client->address, sizeof client->address, "%s", host_address(network_peer_host(connection, SERVER)));
    server->clients = client;
    struct end end = {.loop = server->runtime->loop, .owner = client, .on_frame = on_frame, .on_gone = on_gone};
    network_accept(connection, &end);
    network_send(connection, SERVER, frame_new(FRAME_SETTINGS, 0));
}

// --- the server ---

enum error_code rpc_server_listen(struct rpc_runtime *runtime, const char *address, struct rpc_server **out,
                                  struct error *error) {
    (void)error;
    struct rpc_server *server = mem_zalloc(sizeof *server);
    server->runtime = runtime;
    snprintf(server->address, sizeof server->address, "%s", address);
    network_listen(runtime->loop, on_accept, server);
    *out = server;
    return OK;
}

void rpc_server_set_tls(struct rpc_server *server, struct tls *tls) {
    (void)server;
    (void)tls;
}

void rpc_server_allow_plaintext(struct rpc_server *server) {
    (void)server;
}

struct rpc_plaintext rpc_server_plaintext(const struct rpc_server *server) {
    (void)server;
    return (struct rpc_plaintext){0};
}

void rpc_end_revoked(struct rpc_runtime *runtime) {
    (void)runtime;
}

void rpc_server_set_limits(struct rpc_server *server, const struct rpc_limits *limits) {
    (void)server;
    (void)limits;
}

void rpc_server_add_service(struct rpc_server *server, const struct rpc_service *service) {
    assert(server->service_count < SERVICES_MAX);
    server->services[server->service_count++] = service;
}

const char *rpc_server_address(const struct rpc_server *server) {
    return server->address;
}

void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving) {
    (void)server;
    (void)service;
    (void)serving;
}

void rpc_server_set_reflection(struct rpc_server *server, struct slice descriptor_set) {
    (void)server;
    (void)descriptor_set;
}

static void look_free(struct rpc_server *server) {
    if (server->closed && server->events == 0) {
        free(server->calls);
        free(server);
    }
}

static void tell_drained(void *a, uint64_t b) {
    struct rpc_server *server = a;
    (void)b;
    server->events--;
    if (!server->closed && server->drained != NULL) {
        void (*drained)(void *user) = server->drained;
        server->drained = NULL;
        drained(server->drained_user);
    }
    look_free(server);
}

// The loop of a server that was closed may be gone.
static void grace_ends(void *a, uint64_t b) {
    struct rpc_server *server = a;
    if (server->closed) {
        server->events--;
        look_free(server);
        return;
    }
    loop_post(server->runtime->loop, tell_drained, server, b);
}

static void look_drained(struct rpc_server *server) {
    for (uint32_t i = 0; i < server->call_count; i++) {
        if (server->calls[i].used) {
            return;
        }
    }
    if (server->draining && !server->closed && server->drained != NULL) {
        server->events++;
        loop_post(server->runtime->loop, tell_drained, server, 0);
    }
}

void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms, void (*done)(void *user), void *user) {
    network_unlisten();
    server->draining = true;
    server->drained = done;
    server->drained_user = user;
    for (struct client *client = server->clients; client != NULL; client = client->next) {
        network_send(client->connection, SERVER, frame_new(FRAME_GOAWAY, 0));
    }
    server->events++;
    world_at(world_now() + grace_ms * US_PER_MS, grace_ends, server, 0);
    look_drained(server);
}

void rpc_server_close(struct rpc_server *server) {
    network_unlisten();
    while (server->clients != NULL) {
        network_close(server->clients->connection, SERVER);
        forget(server->clients);
    }
    server->closed = true;
    look_free(server);
}
