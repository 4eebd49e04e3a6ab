// The services that a server offers itself: health and reflection. Both use rpc.h alone; the server makes them, forwards
// rpc.h's functions about them, and frees them after its last call.
#ifndef BATON_RPC_BUILTIN_H
#define BATON_RPC_BUILTIN_H

#include "rpc/rpc.h"

struct rpc_health;
struct rpc_reflection;

// Adds grpc.health.v1.Health to the server. The server as a whole ("") is SERVING until rpc_health_set.
struct rpc_health *rpc_health_new(struct rpc_server *server);

// Sets a service's status and tells its watchers. No effect after rpc_health_shutdown.
void rpc_health_set(struct rpc_health *health, const char *service, bool serving);

// The server drains: every service becomes NOT_SERVING, watchers are told so, and their calls end with UNAVAILABLE.
void rpc_health_shutdown(struct rpc_health *health);
void rpc_health_free(struct rpc_health *health);

// Adds grpc.reflection.v1.ServerReflection and v1alpha. `descriptor_set` is built into the program, and asserted to be
// valid.
struct rpc_reflection *rpc_reflection_new(struct rpc_server *server, struct slice descriptor_set);
void rpc_reflection_free(struct rpc_reflection *reflection);

// The server's services, in the order they were added. Borrowed until another is added.
const struct rpc_service *const *rpc_server_services(const struct rpc_server *server, size_t *count);

#endif
