// Tells a torn batch, an incomplete write, from a damaged one that was complete.
//
// A torn batch was never acknowledged and must be discarded; a damaged one may have been acknowledged and must not be. It is
// decidable because every byte that the writer overwrites was a durable newline before, and nothing is written after a batch
// before that batch is durable. So a crash leaves in each sector of the last batch either its new bytes or newlines.
//
// The bytes after the last complete mark are a torn batch exactly if a part is provably missing (the end, or the beginning
// of a sector, which is newlines) and every byte present is what the writer wrote, but for single newlines at the beginnings
// of sectors, which a repair may have left. docs/wal-format.md, "Torn or damaged", has the reasoning, and why no flipped bit
// makes a damaged batch look torn.
#ifndef BATON_WAL_TORN_H
#define BATON_WAL_TORN_H

#include "base/slice.h"

enum { WAL_SECTOR = 512 };  // a disk writes at least so many bytes atomically

// `bytes` begins at `offset` in its file, directly after the last mark's line, and ends with the file's last byte that is
// not a newline; no more of them than a batch can have. `batch`: the number of the batch that was being written.
bool wal_is_torn_batch(struct slice bytes, uint64_t offset, uint64_t batch);

#endif
