// What the fuzz targets share: a limited arena and a slab, and an input that is taken apart from its front.
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

// --- an input as a sequence of values; beyond its end there are zeros ---

static inline uint8_t take_byte(struct slice *input) {
    if (input->len == 0) {
        return 0;
    }
    uint8_t byte = *input->data;
    *input = slice_of(input->data + 1, input->len - 1);
    return byte;
}

static inline uint32_t take_number(struct slice *input, unsigned bytes) {
    uint32_t number = 0;
    while (bytes-- > 0) {
        number = number << 8 | take_byte(input);
    }
    return number;
}

// So many bytes, or as many as there are.
static inline struct slice take_bytes(struct slice *input, size_t len) {
    struct slice bytes = slice_of(input->data, len < input->len ? len : input->len);
    if (bytes.len > 0) {
        *input = slice_of(input->data + bytes.len, input->len - bytes.len);
    }
    return bytes;
}

// With their number in front, in one byte.
static inline struct slice take_text(struct slice *input) {
    uint8_t len = take_byte(input);
    return take_bytes(input, len);
}

#endif
