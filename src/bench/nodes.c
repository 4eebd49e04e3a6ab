// The connections. A node is never forgotten: one that was removed refuses connections, which costs next to nothing.
#include "bench/nodes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/array.h"
#include "base/mem.h"
#include "wire/codec.h"

enum { KEEPALIVE_MS = 1000, BACKOFF_MAX_MS = 100, NODES_MAX = 2 * CTL_ENDPOINTS_MAX };

struct endpoint {
    struct nodes *nodes;
    char address[ADDRESS_MAX + 1];
    struct rpc_channel *channel;
    bool asked;  // for its Status, and has not answered yet
    uint64_t ask_again_ms;
};

struct nodes {
    struct rpc_runtime *runtime;
    struct tls *tls;
    struct nodes_events events;
    struct endpoint endpoints[NODES_MAX];
    int count;
    bool closed;
    struct arena arena;  // of a Status
};

static int number_of(const struct endpoint *endpoint) {
    return (int)(endpoint - endpoint->nodes->endpoints);
}

static void on_up(void *user) {
    struct endpoint *endpoint = user;
    endpoint->nodes->events.up(endpoint->nodes->events.user, number_of(endpoint));
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct endpoint *endpoint = user;
    (void)reason;
    if (!endpoint->nodes->closed) {
        endpoint->nodes->events.down(endpoint->nodes->events.user, number_of(endpoint));
    }
}

static void connect_to(struct nodes *nodes, struct slice address) {
    struct endpoint *endpoint = &nodes->endpoints[nodes->count++];
    *endpoint = (struct endpoint){.nodes = nodes};
    snprintf(endpoint->address, sizeof endpoint->address, "%.*s", (int)address.len, (const char *)address.data);
    struct rpc_channel_options options = {
        .target = endpoint->address,
        .tls = nodes->tls,
        .keepalive_interval_ms = KEEPALIVE_MS,
        .keepalive_timeout_ms = KEEPALIVE_MS,
        .stream_window = 1 * MIB,
        .connection_window = 16 * MIB,
        .backoff_max_ms = BACKOFF_MAX_MS,
        .on_up = on_up,
        .on_down = on_down,
        .user = endpoint,
    };
    endpoint->channel = rpc_channel_new(nodes->runtime, &options);
}

struct nodes *nodes_new(struct rpc_runtime *runtime, const struct ctl_endpoints *endpoints, struct tls *tls,
                        const struct nodes_events *events) {
    struct nodes *nodes = mem_zalloc(sizeof *nodes);
    nodes->runtime = runtime;
    nodes->tls = tls;
    nodes->events = *events;
    for (size_t i = 0; i < endpoints->count; i++) {
        connect_to(nodes, slice_of_str(endpoints->addresses[i]));
    }
    return nodes;
}

void nodes_close(struct nodes *nodes) {
    nodes->closed = true;
    for (int i = 0; i < nodes->count; i++) {
        rpc_channel_close(nodes->endpoints[i].channel);
    }
}

void nodes_free(struct nodes *nodes) {
    if (nodes != NULL) {
        arena_free(&nodes->arena);
        free(nodes);
    }
}

int nodes_count(const struct nodes *nodes) {
    return nodes->count;
}

static const struct endpoint *get(const struct nodes *nodes, int node) {
    assert(node >= 0 && node < nodes->count);
    return &nodes->endpoints[node];
}

const char *nodes_address(const struct nodes *nodes, int node) {
    return get(nodes, node)->address;
}

struct rpc_channel *nodes_channel(const struct nodes *nodes, int node) {
    return get(nodes, node)->channel;
}

bool nodes_is_up(const struct nodes *nodes, int node) {
    return rpc_channel_is_up(get(nodes, node)->channel);
}

int nodes_learn(struct nodes *nodes, struct slice address) {
    for (int i = 0; i < nodes->count; i++) {
        if (slice_equal(address, slice_of_str(nodes->endpoints[i].address))) {
            return i;
        }
    }
    if (nodes->count == NODES_MAX || address_check(address, "a member's address", NULL) != OK) {
        return NODES_NONE;
    }
    connect_to(nodes, address);
    return nodes->count - 1;
}

// --- Status ---

static void status_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct endpoint *endpoint = user;
    struct nodes *nodes = endpoint->nodes;
    struct pb_status_response status;
    (void)tag;
    endpoint->asked = false;
    endpoint->ask_again_ms = uv_hrtime() / 1000000 + NODES_SEARCH_MS;
    if (nodes->closed || result->status != RPC_OK) {
        return;
    }
    arena_reset(&nodes->arena);
    if (pb_decode(&nodes->arena, &pb_status_response_type, result->body, &status, NULL) != OK) {
        return;
    }
    for (size_t i = 0; i < status.members_count; i++) {
        nodes_learn(nodes, status.members[i].address);
    }
    nodes->events.status(nodes->events.user, number_of(endpoint), &status);
}

void nodes_ask(struct nodes *nodes, int node) {
    struct endpoint *endpoint = &nodes->endpoints[node];
    struct rpc_request request = {
        .path = pb_control_service_status.path,
        .timeout_ms = NODES_TIMEOUT_MS,
        .user = endpoint,
        .on_done = status_done,
    };
    if (!endpoint->asked) {
        endpoint->asked = true;
        rpc_channel_call(endpoint->channel, &request);
    }
}

void nodes_ask_all(struct nodes *nodes) {
    uint64_t now_ms = uv_hrtime() / 1000000;
    for (int i = 0; i < nodes->count; i++) {
        if (now_ms >= nodes->endpoints[i].ask_again_ms && nodes_is_up(nodes, i)) {
            nodes_ask(nodes, i);
        }
    }
}
