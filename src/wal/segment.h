// One segment file: its name, the newlines it is filled with ahead of the writer, and writing to it in full.
//
// `filled` is what makes a write cheap and recovery exact: bytes below it exist and are durable, as lines or as newlines, so
// that a batch written there changes no metadata, and whatever of it a crash takes leaves newlines behind.
//
// Batches and most of the filling go past the page cache (O_DIRECT) where the file system can: that costs a third less CPU
// and a seventh less time than through it, and no failed write can leave bytes there that look as if they were on the disk.
// Everything else, and all of it elsewhere, goes through the page cache; Linux keeps the two ways to one file coherent.
#ifndef BATON_WAL_SEGMENT_H
#define BATON_WAL_SEGMENT_H

#include "base/error.h"
#include "base/slice.h"
#include "wal/blocks.h"
#include "wal/io.h"

// "0000000000000001.jsonl" and its NUL.
enum { WAL_SEGMENT_DIGITS = 16, WAL_SEGMENT_NAME_SIZE = WAL_SEGMENT_DIGITS + sizeof ".jsonl" };

struct wal_segment {
    int fd;           // -1: there is none
    int direct;       // the same file past the page cache; -1: this file system has no such way
    uint64_t number;  // 1, 2, 3, ...
    uint64_t end;     // behind the last mark: where the next batch goes. 0: nothing is written yet, not even a header
    uint64_t filled;  // behind the last durable newline; > end but in a new file
};

void wal_segment_name(char name[WAL_SEGMENT_NAME_SIZE], uint64_t number);

// False: this is no segment's name.
bool wal_segment_parse_name(const char *name, uint64_t *number);

// The code for errno: ERR_NO_SPACE or ERR_IO. The message names what was done, the segment and what to do about it.
enum error_code wal_segment_failed(const char *doing, uint64_t number, struct error *error);

// All functions below: OK, ERR_NO_SPACE or ERR_IO.

// Opens an existing file for writing.
enum error_code wal_segment_open(const struct wal_io *io, int dir, struct wal_segment *segment, struct error *error);

// Creates the file and syncs the directory. An empty file that a crash has left is taken over.
enum error_code wal_segment_create(const struct wal_io *io, int dir, uint64_t number, struct wal_segment *segment,
                                   struct error *error);

// Writes newlines behind `filled` up to `to` and syncs them. On ERR_NO_SPACE the file is as before.
enum error_code wal_segment_fill(const struct wal_io *io, struct wal_segment *segment, uint64_t to, struct error *error);

// Writes all of `bytes` at `offset`, durable on return, through the page cache. *took_us: how long the system calls took.
enum error_code wal_segment_write(const struct wal_io *io, const struct wal_segment *segment, uint64_t offset,
                                  struct slice bytes, uint64_t *took_us, struct error *error);

// The same at segment->end, past the page cache if that is possible and the blocks end within the filling. Does not move the
// end.
enum error_code wal_segment_append(const struct wal_io *io, struct wal_segment *segment, struct wal_blocks *blocks,
                                   struct slice bytes, uint64_t *took_us, struct error *error);

// Overwrites [from, to) with newlines, durable on return; nothing if there is nothing between.
enum error_code wal_segment_blank(const struct wal_io *io, const struct wal_segment *segment, uint64_t from, uint64_t to,
                                  struct error *error);

// Cuts the filling off, but for the one newline that always follows the last mark.
enum error_code wal_segment_trim(const struct wal_io *io, struct wal_segment *segment, struct error *error);

void wal_segment_close(const struct wal_io *io, struct wal_segment *segment);

#endif
