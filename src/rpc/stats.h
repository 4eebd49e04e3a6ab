// Metrics of calls: how many have ended, by method and status, and how long the unary ones took.
#ifndef BATON_RPC_STATS_H
#define BATON_RPC_STATS_H

#include "rpc/runtime.h"

// Of one method, on the server's or the client's side. Freed with the runtime.
struct rpc_stats {
    struct rpc_stats *next;
    bool server;
    char *path;                              // "/service/method"; "/unknown/unknown" for unknown methods
    struct metric *ended[RPC_STATUS_COUNT];  // NULL: none of that status yet
    struct histogram *duration;              // NULL: none yet
};

// Returns the same object for the same arguments. NULL: the runtime has no metrics.
struct rpc_stats *rpc_stats_of(struct rpc_runtime *runtime, bool server, const char *path);

// Counts the end of a call. `started_ns` (uv_hrtime) 0: a streaming call, whose duration is not observed.
void rpc_stats_end(struct rpc_runtime *runtime, struct rpc_stats *stats, enum rpc_status status, uint64_t started_ns);

void rpc_stats_free(struct rpc_runtime *runtime);

#endif
