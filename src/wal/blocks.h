// A batch in whole blocks, for a file opened with O_DIRECT.
//
// O_DIRECT takes memory, offsets and lengths in whole blocks only, while a batch begins and ends anywhere. So the bytes
// before it in its first block are written again with it, unchanged, and its last block is padded with newlines, as the
// filling there is already. The first part of the block in which the log ends is therefore cached.
#ifndef BATON_WAL_BLOCKS_H
#define BATON_WAL_BLOCKS_H

#include "base/error.h"
#include "base/slice.h"
#include "wal/io.h"

enum { WAL_BLOCK = 4096 };  // no file system or disk in use needs more

struct wal_blocks {
    uint8_t *bytes;    // aligned; NULL: nothing is cached
    size_t cap;        // a multiple of WAL_BLOCK
    uint64_t segment;  // whose end is cached; 0: none
    uint64_t end;      // bytes begins with [end rounded down, end) of it
};

static inline uint64_t wal_block_down(uint64_t offset) {
    return offset / WAL_BLOCK * WAL_BLOCK;
}

static inline uint64_t wal_block_up(uint64_t offset) {
    return wal_block_down(offset + WAL_BLOCK - 1);
}

// The blocks that hold `bytes` at `end` of this segment, to be written at wal_block_down(end); borrowed until the next call.
// The bytes before it are read from the file unless they are cached. Data NULL: they cannot be read, errno says why.
struct slice wal_blocks_around(struct wal_blocks *blocks, const struct wal_io *io, int fd, uint64_t segment, uint64_t end,
                               struct slice bytes);

// To be called after the blocks were written: the log now ends `len` bytes further.
void wal_blocks_written(struct wal_blocks *blocks, size_t len);

void wal_blocks_free(struct wal_blocks *blocks);

#endif
