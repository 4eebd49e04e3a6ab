// Connections to all nodes of a cluster: those that were named at first, and the members that their Status names.
#ifndef BATON_BENCH_NODES_H
#define BATON_BENCH_NODES_H

#include "baton/v1/control.pb.h"
#include "ctl/endpoints.h"
#include "rpc/rpc.h"

enum {
    NODES_NONE = -1,         // no node; others are numbered from 0 on
    NODES_SEARCH_MS = 5,     // between Status calls to one node
    NODES_TIMEOUT_MS = 1000  // of one Status call
};

struct tls;
struct nodes;

// All are called on the loop, and not after nodes_close.
struct nodes_events {
    void *user;
    void (*up)(void *user, int node);
    void (*down)(void *user, int node);
    void (*status)(void *user, int node, const struct pb_status_response *status);  // borrowed until it returns
};

// Begins to connect once the loop runs. `events` is copied, the others are borrowed.
struct nodes *nodes_new(struct rpc_runtime *runtime, const struct ctl_endpoints *endpoints, struct tls *tls,
                        const struct nodes_events *events);

// Ends all calls and connections. Then, once the loop has run to its end, nodes_free; it takes NULL.
void nodes_close(struct nodes *nodes);
void nodes_free(struct nodes *nodes);

int nodes_count(const struct nodes *nodes);
const char *nodes_address(const struct nodes *nodes, int node);
struct rpc_channel *nodes_channel(const struct nodes *nodes, int node);
bool nodes_is_up(const struct nodes *nodes, int node);

// The node at that address, connected to from now on if it is a new one; NODES_NONE if there are too many.
int nodes_learn(struct nodes *nodes, struct slice address);

// Asks each node that is connected for its Status, which nodes.status gets, unless it was just asked.
void nodes_ask_all(struct nodes *nodes);

// Asks one, even so, unless its answer is awaited.
void nodes_ask(struct nodes *nodes, int node);

#endif
