// What the fuzz targets share: a limited arena, a slab, and the end of an input.
#ifndef BATON_TESTS_FUZZ_H
#define BATON_TESTS_FUZZ_H

#include "base/arena.h"
#include "base/limits.h"
#include "raft/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct arena arena;
    struct raft_slab *slab;
};

static inline struct fuzz fuzz_begin(void) {
    return (struct fuzz){.arena = {.limit = 16 * MIB}, .slab = raft_slab_new()};
}

// Asserts, through the slab, that no entry is held.
static inline void fuzz_end(struct fuzz *fuzz) {
    arena_free(&fuzz->arena);
    raft_slab_free(fuzz->slab);
}

#endif
