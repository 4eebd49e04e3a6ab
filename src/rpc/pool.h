// Memory for nghttp2: it allocates a dozen small things a call and frees them again, always of the same few sizes. Freed
// ones are kept, by size, for the next call. One thread.
#ifndef BATON_RPC_POOL_H
#define BATON_RPC_POOL_H

#include <nghttp2/nghttp2.h>

enum {
    RPC_POOL_STEP = 64,                // bytes between two sizes
    RPC_POOL_SIZES = 16,               // up to 1 KiB; what is larger comes from malloc
    RPC_POOL_KEPT_BYTES = 128 * 1024,  // of each size
};

struct rpc_pool {
    nghttp2_mem mem;  // for nghttp2_session_server_new3
    struct rpc_pool_item *kept[RPC_POOL_SIZES];
    size_t kept_count[RPC_POOL_SIZES];
};

void rpc_pool_init(struct rpc_pool *pool);
void rpc_pool_free(struct rpc_pool *pool);

#endif
