// An allocator for nghttp2, which makes a dozen small allocations per call, of the same few sizes. Free lists by size. For
// one thread.
#ifndef BATON_RPC_POOL_H
#define BATON_RPC_POOL_H

#include <nghttp2/nghttp2.h>

enum {
    RPC_POOL_STEP = 64,                  // bytes between two sizes
    RPC_POOL_SIZES = 16,                 // up to 1 KiB; larger ones come from malloc
    RPC_POOL_CACHED_BYTES = 128 * 1024,  // in each free list
};

struct rpc_pool {
    nghttp2_mem mem;  // for nghttp2_session_server_new3
    struct rpc_pool_item *cached[RPC_POOL_SIZES];
    size_t cached_count[RPC_POOL_SIZES];
};

void rpc_pool_init(struct rpc_pool *pool);
void rpc_pool_free(struct rpc_pool *pool);

#endif
