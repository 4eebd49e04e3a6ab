// Telling a batch that a crash tore from one that was whole and is damaged.
//
// The difference decides everything: a torn batch was never acknowledged and must go, a damaged one may have been and must
// stay. What makes it decidable is that every byte the writer writes to was a durable newline before, and that nothing is
// written behind a batch before it is durable. So a crash can leave of the last batch, sector by sector, the new bytes or
// the newlines of before, and nothing else.
//
// Bytes behind the last complete mark are a torn batch exactly if some of it is provably missing (its end, or a whole sector
// that is still newlines) and all that is there is as the writer wrote it. docs/wal-format.md, "Torn or damaged", has the
// reasoning, and why no flipped bit passes for it.
#ifndef BATON_WAL_TORN_H
#define BATON_WAL_TORN_H

#include "base/slice.h"

enum { WAL_SECTOR = 512 };  // what a disk writes all or nothing of, at least

// `bytes` stands at `offset` in its file, right behind the last mark, and ends with the last byte that is no newline; more
// newlines or the file's end follow. `batch` is the number that a mark would have here.
bool wal_is_torn_batch(struct slice bytes, uint64_t offset, uint64_t batch);

#endif
