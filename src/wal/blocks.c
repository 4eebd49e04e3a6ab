// Batches in whole blocks: see blocks.h.
#include "wal/blocks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

// Keeps the first block only: the rest is about to be overwritten.
static void make_room(struct wal_blocks *blocks, size_t need) {
    if (need <= blocks->cap) {
        return;
    }
    size_t cap = blocks->cap == 0 ? 16 * WAL_BLOCK : blocks->cap;
    while (cap < need) {
        cap *= 2;
    }
    uint8_t *bytes = mem_alloc_aligned(WAL_BLOCK, cap);
    if (blocks->bytes != NULL) {
        memcpy(bytes, blocks->bytes, WAL_BLOCK);
        free(blocks->bytes);
    }
    blocks->bytes = bytes;
    blocks->cap = cap;
}

static bool read_first(struct wal_blocks *blocks, const struct wal_io *io, int fd, uint64_t end) {
    uint64_t from = wal_block_down(end);
    for (uint64_t at = from; at < end;) {
        ssize_t n = io->read_at(io->self, fd, blocks->bytes + (at - from), (size_t)(end - at), (off_t)at);
        if (n == 0) {
            errno = EIO;  // the log ends here, so the file cannot end before
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        at += n > 0 ? (uint64_t)n : 0;
    }
    return true;
}

struct slice wal_blocks_around(struct wal_blocks *blocks, const struct wal_io *io, int fd, uint64_t segment, uint64_t end,
                               struct slice bytes) {
    assert(segment != 0 && bytes.len > 0);
    size_t before = (size_t)(end - wal_block_down(end));
    size_t len = (size_t)wal_block_up(before + bytes.len);
    make_room(blocks, len);
    if (blocks->segment != segment || blocks->end != end) {
        blocks->segment = 0;
        if (!read_first(blocks, io, fd, end)) {
            return slice_of(NULL, 0);
        }
        blocks->segment = segment;
        blocks->end = end;
    }
    memcpy(blocks->bytes + before, bytes.data, bytes.len);
    memset(blocks->bytes + before + bytes.len, '\n', len - before - bytes.len);
    return slice_of(blocks->bytes, len);
}

void wal_blocks_written(struct wal_blocks *blocks, size_t len) {
    assert(blocks->segment != 0);
    uint64_t from = wal_block_down(blocks->end);
    blocks->end += len;
    memmove(blocks->bytes, blocks->bytes + (wal_block_down(blocks->end) - from), (size_t)(blocks->end % WAL_BLOCK));
}

void wal_blocks_free(struct wal_blocks *blocks) {
    free(blocks->bytes);
    *blocks = (struct wal_blocks){.bytes = NULL};
}
