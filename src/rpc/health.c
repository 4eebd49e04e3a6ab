// grpc.health.v1.Health, for load balancers and orchestrators.
#include <stdlib.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"
#include "health.pb-c.h"
#include "rpc/builtin.h"

enum serving {
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    SERVICE_UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

struct service_health {
    char *name;
    enum serving status;
};

// A running Watch. One whose call was cancelled stays in the list until room is needed.
struct watcher {
    struct rpc_call call;
    char *name;  // has no NUL inside
    enum serving last_sent;
};

struct rpc_health {
    struct rpc_server *server;
    bool shut_down;
    struct service_health *services;
    size_t service_count;
    size_t service_cap;
    struct watcher *watchers;
    size_t watcher_count;
    size_t watcher_cap;
    struct rpc_method methods[2];
    struct rpc_service service;
};

static struct service_health *find_service(struct rpc_health *health, const char *name) {
    for (size_t i = 0; i < health->service_count; i++) {
        if (strcmp(health->services[i].name, name) == 0) {
            return &health->services[i];
        }
    }
    return NULL;
}

static enum serving status_of(struct rpc_health *health, const char *name) {
    const struct service_health *service = find_service(health, name);
    return service == NULL ? SERVICE_UNKNOWN : service->status;
}

static size_t pack_status(enum serving status, uint8_t out[static 16]) {
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return grpc__health__v1__health_check_response__pack(&response, out);
}

// The service requested, to be freed; NULL: the request is invalid, and the call is finished.
static char *requested_name(struct rpc_health *health, struct rpc_call call, struct slice message) {
    Grpc__Health__V1__HealthCheckRequest *request =
        grpc__health__v1__health_check_request__unpack(NULL, message.len, message.data);
    if (request == NULL) {
        rpc_finish(health->server, call, RPC_INTERNAL, "the message is not a grpc.health.v1.HealthCheckRequest");
        return NULL;
    }
    ProtobufCBinaryData asked = request->service;
    char *name = NULL;
    if (asked.len > SERVICE_NAME_MAX || (asked.len > 0 && memchr(asked.data, '\0', asked.len) != NULL)) {
        rpc_finish(health->server, call, RPC_INVALID_ARGUMENT, "service: not the name of a service");
    } else {
        name = mem_zalloc(asked.len + 1);
        if (asked.len > 0) {
            memcpy(name, asked.data, asked.len);
        }
    }
    grpc__health__v1__health_check_request__free_unpacked(request, NULL);
    return name;
}

static void check(void *user, struct rpc_call call, struct slice message) {
    struct rpc_health *health = user;
    char *name = requested_name(health, call, message);
    if (name == NULL) {
        return;
    }
    const enum serving status = status_of(health, name);
    free(name);
    if (status == SERVICE_UNKNOWN) {
        rpc_finish(health->server, call, RPC_NOT_FOUND, "unknown service");
        return;
    }
    uint8_t body[16];
    rpc_reply(health->server, call, slice_of(body, pack_status(status, body)));
}

// --- Watch ---

static void drop_cancelled_watchers(struct rpc_health *health) {
    size_t running = 0;
    for (size_t i = 0; i < health->watcher_count; i++) {
        if (rpc_call_alive(health->server, health->watchers[i].call)) {
            health->watchers[running++] = health->watchers[i];
        } else {
            free(health->watchers[i].name);
        }
    }
    health->watcher_count = running;
}

// Room for one more. Cancelled ones are dropped when the array is full, after which a third of it is free, so that this
// costs amortised constant time. False: WATCHES_MAX are running.
static bool reserve_watcher(struct rpc_health *health) {
    if (health->watcher_count == health->watcher_cap || health->watcher_count >= WATCHES_MAX) {
        drop_cancelled_watchers(health);
        array_reserve(health->watchers, health->watcher_cap, health->watcher_count + health->watcher_count / 2 + 1);
    }
    return health->watcher_count < WATCHES_MAX;
}

// A client that does not read (rpc_send refuses) has its call ended rather than missing a change.
static void send_status(struct rpc_health *health, struct watcher *watcher, enum serving status) {
    uint8_t body[16];
    watcher->last_sent = status;
    if (!rpc_send(health->server, watcher->call, slice_of(body, pack_status(status, body)))) {
        rpc_finish(health->server, watcher->call, RPC_RESOURCE_EXHAUSTED, "changes of health were not read");
    }
}

static void watch(void *user, struct rpc_call call, struct slice message) {
    struct rpc_health *health = user;
    char *name = requested_name(health, call, message);
    if (name == NULL) {
        return;
    }
    struct watcher watcher = {.call = call, .name = name};
    const bool room = reserve_watcher(health);
    if (room && !health->shut_down) {
        health->watchers[health->watcher_count] = watcher;
        send_status(health, &health->watchers[health->watcher_count++], status_of(health, name));
        return;
    }
    if (room) {
        send_status(health, &watcher, status_of(health, name));
        rpc_finish(health->server, call, RPC_UNAVAILABLE, "the server is shutting down");
    } else {
        rpc_finish(health->server, call, RPC_RESOURCE_EXHAUSTED, "too many clients watch the server's health");
    }
    free(name);
}

static void notify_watchers(struct rpc_health *health) {
    for (size_t i = 0; i < health->watcher_count; i++) {
        struct watcher *watcher = &health->watchers[i];
        const enum serving status = status_of(health, watcher->name);
        if (status != watcher->last_sent) {
            send_status(health, watcher, status);
        }
    }
}

// --- the server's side ---

static void set_status(struct rpc_health *health, const char *name, enum serving status) {
    struct service_health *service = find_service(health, name);
    if (service == NULL) {
        array_reserve(health->services, health->service_cap, health->service_count + 1);
        service = &health->services[health->service_count++];
        service->name = mem_strdup(name);
    }
    service->status = status;
}

struct rpc_health *rpc_health_new(struct rpc_server *server) {
    struct rpc_health *health = mem_zalloc(sizeof *health);
    health->server = server;
    health->methods[0] = (struct rpc_method){.name = "Check", .kind = RPC_UNARY, .on_message = check};
    health->methods[1] = (struct rpc_method){.name = "Watch", .kind = RPC_SERVER_STREAM, .on_message = watch};
    health->service = (struct rpc_service){
        .name = "grpc.health.v1.Health",
        .methods = health->methods,
        .method_count = 2,
        .user = health,
    };
    set_status(health, "", SERVING);
    rpc_server_add_service(server, &health->service);
    return health;
}

void rpc_health_set(struct rpc_health *health, const char *service, bool serving) {
    if (health->shut_down) {
        return;
    }
    set_status(health, service, serving ? SERVING : NOT_SERVING);
    notify_watchers(health);
}

void rpc_health_shutdown(struct rpc_health *health) {
    health->shut_down = true;
    for (size_t i = 0; i < health->service_count; i++) {
        health->services[i].status = NOT_SERVING;
    }
    notify_watchers(health);
    for (size_t i = 0; i < health->watcher_count; i++) {
        rpc_finish(health->server, health->watchers[i].call, RPC_UNAVAILABLE, "the server is shutting down");
    }
    drop_cancelled_watchers(health);
}

void rpc_health_free(struct rpc_health *health) {
    for (size_t i = 0; i < health->service_count; i++) {
        free(health->services[i].name);
    }
    for (size_t i = 0; i < health->watcher_count; i++) {
        free(health->watchers[i].name);
    }
    free(health->services);
    free(health->watchers);
    free(health);
}
