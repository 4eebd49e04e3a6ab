// Each allocation is preceded by its size, which leads to its free list. Allocation never fails (base/mem.h): what a peer
// can make nghttp2 allocate is small and bounded.
#include "rpc/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct rpc_pool_item {
    union {
        size_t index;                // in use: its list; RPC_POOL_SIZES: none
        struct rpc_pool_item *next;  // free
    };
    size_t size;  // bytes the caller may use
};

// AddressSanitizer detects a use after free only in memory that is really freed.
#if defined(__SANITIZE_ADDRESS__)
enum { POOLED = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { POOLED = 0 };
#else
enum { POOLED = 1 };
#endif
#else
enum { POOLED = 1 };
#endif

static void *pool_alloc(size_t size, void *user) {
    struct rpc_pool *pool = user;
    size_t index = size == 0 ? 0 : (size - 1) / RPC_POOL_STEP;
    struct rpc_pool_item *item;
    if (!POOLED || index >= RPC_POOL_SIZES) {
        item = mem_alloc(sizeof *item + size);
        item->size = size;
        index = RPC_POOL_SIZES;
    } else if (pool->cached[index] != NULL) {
        item = pool->cached[index];
        pool->cached[index] = item->next;
        pool->cached_count[index]--;
    } else {
        item = mem_alloc(sizeof *item + (index + 1) * RPC_POOL_STEP);
        item->size = (index + 1) * RPC_POOL_STEP;
    }
    item->index = index;
    return item + 1;
}

static void pool_free(void *memory, void *user) {
    if (memory == NULL) {
        return;
    }
    struct rpc_pool *pool = user;
    struct rpc_pool_item *item = (struct rpc_pool_item *)memory - 1;
    size_t index = item->index;
    assert(index <= RPC_POOL_SIZES);
    if (index == RPC_POOL_SIZES || pool->cached_count[index] * item->size >= RPC_POOL_CACHED_BYTES) {
        free(item);
        return;
    }
    item->next = pool->cached[index];
    pool->cached[index] = item;
    pool->cached_count[index]++;
}

static void *pool_calloc(size_t count, size_t size, void *user) {
    return memset(pool_alloc(count * size, user), 0, count * size);
}

static void *pool_realloc(void *memory, size_t size, void *user) {
    if (memory == NULL) {
        return pool_alloc(size, user);
    }
    const struct rpc_pool_item *item = (const struct rpc_pool_item *)memory - 1;
    if (size <= item->size) {
        return memory;
    }
    void *larger = pool_alloc(size, user);
    memcpy(larger, memory, item->size);
    pool_free(memory, user);
    return larger;
}

void rpc_pool_init(struct rpc_pool *pool) {
    *pool = (struct rpc_pool){.mem = {pool, pool_alloc, pool_free, pool_calloc, pool_realloc}};
}

void rpc_pool_free(struct rpc_pool *pool) {
    for (size_t i = 0; i < RPC_POOL_SIZES; i++) {
        while (pool->cached[i] != NULL) {
            struct rpc_pool_item *item = pool->cached[i];
            pool->cached[i] = item->next;
            free(item);
        }
    }
}
