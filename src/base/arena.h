// A bump allocator: many small allocations that all end together (one call, one turn of the loop).
#ifndef BATON_BASE_ARENA_H
#define BATON_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

// Zero-initialised is ready to use. Allocations live until arena_reset or arena_free.
struct arena {
    struct arena_block *blocks;  // newest first; the oldest is kept by arena_reset
    size_t limit;                // bytes it may hold in all; 0: no limit
    size_t held;                 // bytes held in blocks
};

// Aligned for any type. NULL only when `limit` would be passed or an outside-chosen size cannot be had.
void *arena_alloc(struct arena *arena, size_t size);

// A copy of s in the arena; an empty slice with data NULL when it cannot be had and s was not empty.
struct slice arena_copy(struct arena *arena, struct slice s);

// Ends all allocations, keeps the first block for the next use.
void arena_reset(struct arena *arena);

// Ends all allocations and gives the memory back; the arena is ready to use again.
void arena_free(struct arena *arena);

#endif
