// Arrays: how many items a fixed one has, and room for more in one that grows.
#ifndef BATON_BASE_ARRAY_H
#define BATON_BASE_ARRAY_H

#include <stddef.h>

#include "base/mem.h"

// Items of an array whose size the compiler knows.
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ARRAY_CAP_FIRST = 16 };

// The next capacity: doubled, so that appending n items copies at most 2n.
static inline size_t array_next_cap(size_t cap, size_t count) {
    size_t next = cap == 0 ? ARRAY_CAP_FIRST : cap * 2;
    return next < count ? count : next;
}

// Makes room for `count` items in an owned array of capacity `cap`; both are lvalues. Never fails (mem_realloc's promise),
// so `count` must be bounded by a limit of base/limits.h. Pointers into the array end here. Free it with free().
#define array_reserve(items, cap, count)                                                                                    \
    do {                                                                                                                    \
        if ((size_t)(count) > (size_t)(cap)) {                                                                              \
            size_t array_cap_ = array_next_cap((size_t)(cap), (size_t)(count));                                             \
            (items) = mem_realloc((items), array_cap_ * sizeof *(items));                                                   \
            (cap) = (__typeof__(cap))array_cap_;                                                                            \
        }                                                                                                                   \
    } while (0)

#endif
