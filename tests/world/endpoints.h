// Channels from a client to all nodes, and the one that it speaks to: clients, workers and the operator.
#ifndef BATON_TESTS_WORLD_ENDPOINTS_H
#define BATON_TESTS_WORLD_ENDPOINTS_H

#include "network.h"

struct endpoints {
    struct rpc_runtime *runtime;
    struct rpc_channel *channels[HOSTS_MAX];  // by host; NULL: no node
    int guess;                                // the node it speaks to
};

// On the client's loop, to every host that is or may become a node.
void endpoints_open(struct endpoints *endpoints, uv_loop_t *loop);
// On the loop, too. The calls' results may still come, until the loop has ended.
void endpoints_close(struct endpoints *endpoints);
void endpoints_free(struct endpoints *endpoints);

// Any node is next.
void endpoints_next(struct endpoints *endpoints);
// The node at the address that a redirect names is next; false: it names none, and all is as before.
bool endpoints_follow(struct endpoints *endpoints, struct slice address);
struct rpc_channel *endpoints_channel(const struct endpoints *endpoints);

#endif
