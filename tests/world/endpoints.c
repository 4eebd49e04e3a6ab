// Channels to all nodes: endpoints.h.
#include "endpoints.h"

#include <stdio.h>

#include "host.h"
#include "world.h"

enum { KEEPALIVE_MS = 1000 };

void endpoints_open(struct endpoints *e, uv_loop_t *loop) {
    e->runtime = rpc_runtime_new(loop, NULL);
    for (int i = 0; i < host_count(); i++) {
        if (host_of(i)->is_node) {
            struct rpc_channel_options options = {
                .target = host_address(i), .keepalive_interval_ms = KEEPALIVE_MS, .keepalive_timeout_ms = KEEPALIVE_MS};
            e->channels[i] = rpc_channel_new(e->runtime, &options);
        }
    }
}

void endpoints_close(struct endpoints *e) {
    for (int i = 0; i < HOSTS_MAX; i++) {
        if (e->channels[i] != NULL) {
            rpc_channel_close(e->channels[i]);
        }
    }
}

void endpoints_free(struct endpoints *e) {
    rpc_runtime_close(e->runtime);
}

void endpoints_next(struct endpoints *e) {
    do {
        e->guess = (int)world_between(0, (uint64_t)host_count() - 1);
    } while (e->channels[e->guess] == NULL);
}

bool endpoints_follow(struct endpoints *e, struct slice address) {
    char text[ADDRESS_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)address.len, (const char *)address.data);
    int host = address.len == 0 ? NO_HOST : host_of_address(text);
    if (host == NO_HOST || e->channels[host] == NULL) {
        return false;
    }
    e->guess = host;
    return true;
}

struct rpc_channel *endpoints_channel(const struct endpoints *e) {
    return e->channels[e->guess];
}
