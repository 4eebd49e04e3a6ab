// Arrays: the length of a fixed one, and the growth of a dynamic one.
#ifndef BATON_BASE_ARRAY_H
#define BATON_BASE_ARRAY_H

#include <assert.h>
#include <stddef.h>

#include "base/mem.h"

// The number of items in an array of fixed size; not for a pointer.
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { ARRAY_CAP_FIRST = 16 };

// The next capacity: doubled, so that appending n items copies at most 2n.
static inline size_t array_next_cap(size_t cap, size_t count) {
    size_t next = cap == 0 ? ARRAY_CAP_FIRST : cap * 2;
    return next < count ? count : next;
}

// Grows the owned array `items` of capacity `cap` so that it has room for `count` items in all; the new ones are not
// initialized. `items` and `cap` are lvalues, NULL and 0 at first; `cap` may have any unsigned type that holds the
// capacity. Does not return without memory, as mem_realloc, so `count` must be bounded by a limit of base/limits.h.
// Invalidates pointers into the array; free it with free(). Evaluates its arguments more than once.
#define array_reserve(items, cap, count)                                                                                    \
    do {                                                                                                                    \
        if ((size_t)(count) > (size_t)(cap)) {                                                                              \
            size_t array_cap_ = array_next_cap((size_t)(cap), (size_t)(count));                                             \
            (items) = mem_realloc((items), array_cap_ * sizeof *(items));                                                   \
            (cap) = (__typeof__(cap))array_cap_;                                                                            \
            assert((size_t)(cap) == array_cap_);                                                                            \
        }                                                                                                                   \
    } while (0)

#endif
