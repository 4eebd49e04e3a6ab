// Pages of the system's, of which nodes take and give back many as they start and end: given back, they stay with the
// process. Under AddressSanitizer they go back, so that a use after that is seen.
#include "base/mem.h"
#include "context.h"

enum { POOL_MAX = 256 };

static struct {
    void *pages[POOL_MAX];
    size_t size;  // of each
    size_t count;
} pool;

void *__real_mem_try_map(size_t size);
void __real_mem_unmap(void *pages, size_t size);

// Not zeroed, which raft/slab.c, whose blocks these are, does not ask for.
void *__wrap_mem_try_map(size_t size);
void *__wrap_mem_try_map(size_t size) {
    return size == pool.size && pool.count > 0 ? pool.pages[--pool.count] : __real_mem_try_map(size);
}

void *__real_mem_map(size_t size);
void *__wrap_mem_map(size_t size);
void *__wrap_mem_map(size_t size) {
    return size == pool.size && pool.count > 0 ? pool.pages[--pool.count] : __real_mem_map(size);
}

void __wrap_mem_unmap(void *pages, size_t size);
void __wrap_mem_unmap(void *pages, size_t size) {
    pool.size = pool.size == 0 ? size : pool.size;
    if (WITH_SHADOW || size != pool.size || pool.count == POOL_MAX) {
        __real_mem_unmap(pages, size);
    } else {
        pool.pages[pool.count++] = pages;
    }
}
