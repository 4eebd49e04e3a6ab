// The clients of a server, each with all its connections: who has one certificate, or in plaintext one address. So a client
// that opens many connections still has one share.
#ifndef BATON_RPC_CLIENTS_H
#define BATON_RPC_CLIENTS_H

#include "rpc/connection.h"

struct rpc_client {
    struct rpc_client *next;  // of the same bucket
    struct rpc_link idle;     // in clients->idle: it has neither connection nor stream
    size_t connections;
    size_t streams;      // streaming calls
    uint64_t memory[2];  // of rpc_limits.admit, which must outlive a connection
    bool unlimited;
    char name[];
};

struct rpc_clients;

struct rpc_clients *rpc_clients_new(void);
void rpc_clients_free(struct rpc_clients *clients);

// The client of a connected transport, with one connection more. Kept until rpc_clients_leave.
struct rpc_client *rpc_clients_meet(struct rpc_clients *clients, const struct rpc_transport *transport,
                                    const char *const *unlimited);
void rpc_clients_leave(struct rpc_clients *clients, struct rpc_client *client);

#endif
