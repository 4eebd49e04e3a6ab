// The bump allocator: a list of blocks, the newest first, and only that one being filled.
#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

struct arena_block {
    struct arena_block *older;
    size_t cap;   // bytes in data
    size_t used;  // of those; a multiple of the alignment
    _Alignas(max_align_t) uint8_t data[];
};

enum {
    ALIGNMENT = _Alignof(max_align_t),
    BLOCK_MIN = 1 * KIB,   // a small call's messages
    BLOCK_MAX = 64 * KIB,  // blocks double up to here; a larger allocation gets a block of its own size
};

static size_t block_size_next(const struct arena *arena, size_t size) {
    size_t cap = arena->blocks == NULL ? BLOCK_MIN : arena->blocks->cap * 2;
    cap = cap > BLOCK_MAX ? BLOCK_MAX : cap;
    return cap < size ? size : cap;
}

// Pushes a new block with room for `size`; NULL if the limit would be exceeded or there is no memory.
static struct arena_block *block_push(struct arena *arena, size_t size) {
    size_t cap = block_size_next(arena, size);
    if (arena->limit != 0) {
        assert(arena->held <= arena->limit);
        size_t left = arena->limit - arena->held;
        if (size > left) {
            return NULL;
        }
        cap = cap > left ? left : cap;
    }
    struct arena_block *block = cap > SIZE_MAX - sizeof *block ? NULL : mem_try_alloc(sizeof *block + cap);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct arena_block){.older = arena->blocks, .cap = cap};
    arena->blocks = block;
    arena->held += cap;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size) {
    if (size > SIZE_MAX - ALIGNMENT) {
        return NULL;
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct arena_block *block = arena->blocks;
    if (block == NULL || size > block->cap - block->used) {
        block = block_push(arena, size);
        if (block == NULL) {
            return NULL;
        }
    }
    void *p = block->data + block->used;
    block->used += size;
    assert(block->used <= block->cap);
    return p;
}

struct slice arena_copy(struct arena *arena, struct slice s) {
    if (s.len == 0) {
        return s;
    }
    void *p = arena_alloc(arena, s.len);
    if (p == NULL) {
        return slice_of(NULL, 0);
    }
    memcpy(p, s.data, s.len);
    return slice_of(p, s.len);
}

void arena_reset(struct arena *arena) {
    struct arena_block *block = arena->blocks;
    while (block != NULL && block->older != NULL) {
        struct arena_block *older = block->older;
        arena->held -= block->cap;
        free(block);
        block = older;
    }
    if (block != NULL) {
        block->used = 0;
    }
    arena->blocks = block;
}

void arena_free(struct arena *arena) {
    arena_reset(arena);
    free(arena->blocks);
    arena->blocks = NULL;
    arena->held = 0;
}
