// What the tests of compaction and of generations do with a log: beside log_fixture.h, which asks for no cmocka.
#ifndef BATON_TESTS_LOG_MODEL_H
#define BATON_TESTS_LOG_MODEL_H

#include "log_fixture.h"

// Opens a log with `image` as the last entry that an image covers, of which entries after `from` are needed.
void log_open_after(struct log *log, struct raft_entry_id image, raft_index from);

// The recovered entries are those of the model after the base.
void log_check_holds(const struct log *log);

struct raft_entry_id log_id_at(const struct log *log, raft_index index);

// A new log on a new disk with entries of 1,000 bytes: eleven fill a segment of 16 KiB.
void log_begin(struct log *log, struct disk *disk, uint64_t segment_bytes, size_t entries);

// Closes it as if killed, and frees both.
void log_end(struct log *log, struct disk *disk);

#endif
