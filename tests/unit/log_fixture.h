// A log under test on a disk in memory, driven step by step, and a model of what it must hold.
#ifndef BATON_TESTS_LOG_FIXTURE_H
#define BATON_TESTS_LOG_FIXTURE_H

#include "wal/writer.h"
#include "wal_disk.h"

#define SEGMENT_1 "data/wal/0000000000000001.jsonl"
#define SEGMENT_2 "data/wal/0000000000000002.jsonl"
#define SEGMENT_3 "data/wal/0000000000000003.jsonl"

#define INCARNATION "0123456789abcdef0123456789abcdef"

enum { MODEL_ENTRIES = 512 };

// What a log holds. An entry's bytes follow from its index, term and length.
struct model {
    raft_term term;
    char vote[8];
    size_t count;
    struct {
        raft_term term;
        uint32_t len;
    } entries[MODEL_ENTRIES];
};

struct log {
    struct disk *disk;
    uint64_t segment_bytes;
    struct raft_slab *slab;
    struct wal_writer *writer;  // NULL: not open
    struct wal_recovered recovered;
    struct error error;
    struct raft_entry_id image;  // for the next log_open
    raft_index from;             // the same
    const char *incarnation;     // the same
    uint64_t generation;         // the same
    uint64_t write;              // the last one pushed
    struct wal_write *made;      // all of them, by next_outstanding
    struct model model;          // after the last one pushed
};

void log_init(struct log *log, struct disk *disk, uint64_t segment_bytes);
void log_free(struct log *log);

// The code of wal_writer_open; log->recovered and log->error have the rest.
enum error_code log_open(struct log *log);

// Closes the writer, with `trim` as after a clean stop, without as if killed. Writes that wait are lost.
enum error_code log_close(struct log *log, bool trim);

// Pushes one write and adds it to the model: term and vote if `vote` is not NULL, and `count` entries of `len` bytes from
// `first` on, in the model's term.
void log_push(struct log *log, raft_term term, const char *vote, raft_index first, size_t count, uint32_t len);

// log_push of entries after the last one.
void log_append(struct log *log, size_t count, uint32_t len);

// Steps until nothing is to be done.
void log_run(struct log *log);

bool model_holds(const struct model *model, const struct wal_recovered *recovered);

struct raft_entry *entry_new(struct raft_slab *slab, raft_index index, raft_term term, uint32_t len);
bool entry_is_as_made(const struct raft_entry *entry);

#endif
