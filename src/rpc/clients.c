// A server's clients: rpc/clients.h.
#include "rpc/clients.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rpc/roles.h"

enum {
    BUCKETS = 1024,
    KEPT_MAX = 2 * CONNECTIONS_MAX,  // clients, with those that are gone: so who comes back has no new share
};

struct rpc_clients {
    struct rpc_client *buckets[BUCKETS];
    size_t count;
    struct rpc_link idle;  // the longest idle first
};

struct rpc_clients *rpc_clients_new(void) {
    struct rpc_clients *clients = mem_zalloc(sizeof *clients);
    rpc_list_init(&clients->idle);
    return clients;
}

void rpc_clients_free(struct rpc_clients *clients) {
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct rpc_client *client; (client = clients->buckets[i]) != NULL;) {
            clients->buckets[i] = client->next;
            free(client);
        }
    }
    free(clients);
}

// The certificate's identity, or the address without the port.
static struct slice name_of(const struct rpc_transport *transport) {
    if (transport->identity != NULL) {
        return slice_of_str(transport->identity);
    }
    const char *colon = strrchr(transport->address, ':');
    return slice_of(transport->address, colon == NULL ? strlen(transport->address) : (size_t)(colon - transport->address));
}

static struct rpc_client **place_of(struct rpc_clients *clients, struct slice name) {
    uint64_t hash = UINT64_C(14695981039346656037);  // FNV-1a; there are few names, and authorities give them
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ name.data[i]) * UINT64_C(1099511628211);
    }
    struct rpc_client **place = &clients->buckets[(hash ^ hash >> 32) % BUCKETS];
    while (*place != NULL && !slice_equal(slice_of_str((*place)->name), name)) {
        place = &(*place)->next;
    }
    return place;
}

static void forget_one(struct rpc_clients *clients) {
    struct rpc_link *link = rpc_list_first(&clients->idle);
    if (link != NULL) {
        struct rpc_client *client = rpc_container(link, struct rpc_client, idle);
        struct rpc_client **place = place_of(clients, slice_of_str(client->name));
        rpc_list_remove(link);
        *place = client->next;
        clients->count--;
        free(client);
    }
}

struct rpc_client *rpc_clients_meet(struct rpc_clients *clients, const struct rpc_transport *transport,
                                    const char *const *unlimited) {
    struct slice name = name_of(transport);
    struct rpc_client **place = place_of(clients, name);
    struct rpc_client *client = *place;
    if (client == NULL) {
        client = mem_zalloc(sizeof *client + name.len + 1);
        memcpy(client->name, name.data, name.len);
        client->unlimited = unlimited != NULL && transport->identity != NULL && rpc_role_may_call(unlimited, client->name);
        rpc_list_init(&client->idle);
        *place = client;
        if (++clients->count > KEPT_MAX) {
            forget_one(clients);
        }
    }
    rpc_list_remove(&client->idle);
    client->connections++;
    return client;
}

void rpc_clients_leave(struct rpc_clients *clients, struct rpc_client *client) {
    assert(client->connections > 0);
    if (--client->connections == 0) {
        rpc_list_push(&clients->idle, &client->idle);
    }
}
