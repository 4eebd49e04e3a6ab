// A batch in whole blocks, for a file that is written past the page cache (O_DIRECT).
//
// Such a file takes memory, offsets and lengths in whole blocks only, while a batch begins and ends anywhere. So what stands
// before it in its first block goes out again with it, unchanged, and its last block ends in newlines, as the filling there
// does already. For that the beginning of the block in which the log ends is kept.
#ifndef BATON_WAL_BLOCKS_H
#define BATON_WAL_BLOCKS_H

#include "base/error.h"
#include "base/slice.h"
#include "wal/io.h"

enum { WAL_BLOCK = 4096 };  // no file system and no disk in use asks for more

struct wal_blocks {
    uint8_t *bytes;    // aligned; NULL: nothing is kept
    size_t cap;        // a multiple of WAL_BLOCK
    uint64_t segment;  // whose end is kept; 0: nobody's
    uint64_t end;      // bytes begins with [end rounded down, end) of it
};

static inline uint64_t wal_block_down(uint64_t offset) {
    return offset / WAL_BLOCK * WAL_BLOCK;
}

static inline uint64_t wal_block_up(uint64_t offset) {
    return wal_block_down(offset + WAL_BLOCK - 1);
}

// The blocks that hold `bytes` at `end` of this segment, to be written at wal_block_down(end); borrowed until the next call.
// What stands before is read from the file unless it is kept from the last time. Data NULL: errno says why it cannot be
// read.
struct slice wal_blocks_around(struct wal_blocks *blocks, const struct wal_io *io, int fd, uint64_t segment, uint64_t end,
                               struct slice bytes);

// They have been written: the log now ends `len` bytes further.
void wal_blocks_written(struct wal_blocks *blocks, size_t len);

void wal_blocks_free(struct wal_blocks *blocks);

#endif
