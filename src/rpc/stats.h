// What is counted of calls, by method and status: how many have ended, and how long the unary ones took.
#ifndef BATON_RPC_STATS_H
#define BATON_RPC_STATS_H

#include "rpc/runtime.h"

// Of one method, on one side. Lives as long as the runtime.
struct rpc_stats {
    struct rpc_stats *next;
    bool server;
    char *path;                              // "/service/method"; calls of no method have "/unknown/unknown"
    struct metric *ended[RPC_STATUS_COUNT];  // NULL: none of that status yet
    struct histogram *duration;              // NULL: none yet
};

// The same for the same arguments. NULL: the runtime has no metrics.
struct rpc_stats *rpc_stats_of(struct rpc_runtime *runtime, bool server, const char *path);

// `started_ns` (uv_hrtime) 0: a stream, which lasts as long as its client likes.
void rpc_stats_end(struct rpc_runtime *runtime, struct rpc_stats *stats, enum rpc_status status, uint64_t started_ns);

void rpc_stats_free(struct rpc_runtime *runtime);

#endif
