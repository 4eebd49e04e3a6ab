// One segment file: its name, the newlines it is filled with ahead of the writer, and complete writes to it.
//
// `filled` makes a write cheap and recovery exact: the bytes below it exist and are durable, as lines or as newlines. So a
// batch written there changes no metadata, and where a crash loses a part of it there are newlines.
//
// Batches and most of the filling bypass the page cache (O_DIRECT) where the file system supports it: that costs a third
// less CPU and a seventh less time, and a failed write leaves no cached bytes that look as if they were on the disk.
// Everything else goes through the page cache; Linux keeps the two views of one file coherent.
#ifndef BATON_WAL_SEGMENT_H
#define BATON_WAL_SEGMENT_H

#include "base/error.h"
#include "base/slice.h"
#include "wal/blocks.h"
#include "wal/io.h"

// "0000000000000001.jsonl" and its NUL.
enum { WAL_SEGMENT_DIGITS = 16, WAL_SEGMENT_NAME_SIZE = WAL_SEGMENT_DIGITS + sizeof ".jsonl" };

struct wal_segment {
    int fd;           // -1: no file is open
    int direct;       // the same file, opened with O_DIRECT; -1: not supported
    uint64_t number;  // 1, 2, 3, ...
    uint64_t end;     // after the last mark, where the next batch goes. 0: nothing is written yet, not even a header
    uint64_t filled;  // after the last durable newline; > end except in a new file
};

void wal_segment_name(char name[WAL_SEGMENT_NAME_SIZE], uint64_t number);

// False: not a segment's name.
bool wal_segment_parse_name(const char *name, uint64_t *number);

// Turns errno into ERR_NO_SPACE or ERR_IO. The message names the failed operation, the segment, and what to do.
enum error_code wal_segment_failed(const char *doing, uint64_t number, struct error *error);

// All functions below: OK, ERR_NO_SPACE or ERR_IO.

// Opens an existing file for writing.
enum error_code wal_segment_open(const struct wal_io *io, int dir, struct wal_segment *segment, struct error *error);

// Creates the file and syncs the directory. An empty file left by a crash is reused.
enum error_code wal_segment_create(const struct wal_io *io, int dir, uint64_t number, struct wal_segment *segment,
                                   struct error *error);

// Writes newlines from `filled` up to `to` and syncs them. On ERR_NO_SPACE the file is unchanged.
enum error_code wal_segment_fill(const struct wal_io *io, struct wal_segment *segment, uint64_t to, struct error *error);

// Writes all of `bytes` at `offset` through the page cache; durable on return. *took_us: duration of the system calls.
enum error_code wal_segment_write(const struct wal_io *io, const struct wal_segment *segment, uint64_t offset,
                                  struct slice bytes, uint64_t *took_us, struct error *error);

// The same at segment->end, by O_DIRECT if it is supported and the last block lies within the filling. `bytes` and a newline
// after them must fit the filling. Does not advance segment->end.
enum error_code wal_segment_append(const struct wal_io *io, struct wal_segment *segment, struct wal_blocks *blocks,
                                   struct slice bytes, uint64_t *took_us, struct error *error);

// Overwrites [from, to) with newlines, durable on return; does nothing if from >= to.
enum error_code wal_segment_blank(const struct wal_io *io, const struct wal_segment *segment, uint64_t from, uint64_t to,
                                  struct error *error);

// Cuts off the filling except the one newline that always follows the last mark, and `kept` bytes after it.
enum error_code wal_segment_trim(const struct wal_io *io, struct wal_segment *segment, uint64_t kept, struct error *error);

void wal_segment_close(const struct wal_io *io, struct wal_segment *segment);

#endif
