// The services every server brings along: health and reflection. Both stand on rpc.h alone; the server only makes them,
// frees them after its last call, and passes on what rpc.h says about them.
#ifndef BATON_RPC_BUILTIN_H
#define BATON_RPC_BUILTIN_H

#include "rpc/rpc.h"

struct rpc_health;
struct rpc_reflection;

// Adds grpc.health.v1.Health to the server. The server as a whole ("") is SERVING until told otherwise.
struct rpc_health *rpc_health_new(struct rpc_server *server);
void rpc_health_set(struct rpc_health *health, const char *service, bool serving);

// The server is going away: every name becomes NOT_SERVING, whoever watches is told so and its call ended.
void rpc_health_shutdown(struct rpc_health *health);
void rpc_health_free(struct rpc_health *health);

// Adds grpc.reflection.v1.ServerReflection and its v1alpha. `descriptor_set` is our own, built with the program, and
// asserted to be well-formed.
struct rpc_reflection *rpc_reflection_new(struct rpc_server *server, struct slice descriptor_set);
void rpc_reflection_free(struct rpc_reflection *reflection);

// The server's side: the services it offers, in the order they were added. Borrowed until the next is added.
const struct rpc_service *const *rpc_server_services(const struct rpc_server *server, size_t *count);

#endif
