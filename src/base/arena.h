// A bump allocator: many small allocations that are freed together (those of one call, or one turn of the loop).
#ifndef BATON_BASE_ARENA_H
#define BATON_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

// Zero-initialised is ready to use. Allocations live until arena_reset or arena_free.
struct arena {
    struct arena_block *blocks;  // newest first; arena_reset retains the oldest
    size_t limit;                // bytes of all blocks; 0: no limit
    size_t held;                 // bytes of all blocks now
};

// Aligned for any type. NULL if `limit` would be exceeded or there is no memory.
void *arena_alloc(struct arena *arena, size_t size);

// A copy of s in the arena; an empty slice with data NULL if arena_alloc fails. An empty s is returned as it is.
struct slice arena_copy(struct arena *arena, struct slice s);

// Frees all allocations, but retains the first block for the next use.
void arena_reset(struct arena *arena);

// Frees everything; the arena is ready to use again.
void arena_free(struct arena *arena);

#endif
