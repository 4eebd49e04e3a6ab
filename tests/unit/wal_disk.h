// A disk in memory that implements struct wal_io, for tests of the log: it loses what was not synced, sector by sector and
// name by name, and fails on demand.
//
// The model. A file has what a process sees (its bytes and size) and what is on the platter. A sync moves all of it over, a
// write with RWF_DSYNC only its own sectors. A crash keeps, by the toss of a coin, each sector that was written but not
// synced, and each name that was created or removed but not synced, a directory's with all that is in it; the file's size is
// that of what was kept, with zeros where a sector in the middle was not. A sector is written whole or not at all. A
// directory that was renamed has its new name once what it is in there is synced; before, a crash may give it the old one
// back, and if that is another's by then, it is lost. With another `luck` all of what was not synced is kept, or all of it
// lost, or little.
#ifndef BATON_TESTS_WAL_DISK_H
#define BATON_TESTS_WAL_DISK_H

#include "base/buf.h"
#include "wal/io.h"

struct disk_file;
struct disk_move;
struct disk_open;

enum { DISK_FIRST_FD = 100 };

// What the file system makes of O_DIRECT.
enum disk_direct {
    DISK_DIRECT,         // takes it, and refuses what is not in whole blocks
    DISK_DIRECT_CLAIMS,  // takes it, and then refuses every write
    DISK_NO_DIRECT,      // refuses to open
};

// What a crash does to what was written but not synced.
enum disk_luck { DISK_COIN, DISK_KEEPS, DISK_LOSES, DISK_LOSES_LITTLE };

struct disk {
    struct wal_io io;  // give this to the log
    struct disk_file *files;
    size_t file_count;
    struct disk_move *moves;  // of directories, that may not be durable; in order
    size_t move_count;
    size_t move_cap;
    struct disk_open *opens;  // by descriptor
    size_t open_count;
    size_t open_cap;
    int first_fd;   // the lowest descriptor: a process without standard input has 0 for it
    uint64_t seed;  // of the coin
    enum disk_luck luck;
    enum disk_direct direct;
    uint64_t direct_writes;  // so far

    uint64_t calls;     // so far, but reads and looks
    uint64_t crash_at;  // the call at which the machine stops: it is begun, and fails like all after it; 0: never
    bool dead;

    // Faults of single calls; each is spent when it has happened.
    uint64_t fail_write_at;  // the write_at that fails, counted from 1; 0: none
    // The same of syncs, writes with RWF_DSYNC included: the bytes arrive, the sync fails, and as with Linux no later one
    // moves what this one should have: only writing it again does.
    uint64_t fail_sync_at;
    uint64_t fail_read_at;  // the same of reads,
    uint64_t fail_open_at;  // and of opening
    int fail_errno;
    uint64_t failed_call;  // which of `calls` it was; 0: none yet
    size_t fail_after;     // bytes that the failing write takes before, in a call of their own
    uint64_t writes;
    uint64_t syncs;
    uint64_t reads;
    uint64_t opened;

    size_t short_max;  // bytes of one read or write at most, but a block past the page cache; 0: all
    uint64_t eintr;    // each n-th read or write is interrupted; 0: none
    uint64_t halve;    // each n-th one moves half of its bytes; 0: none
    uint64_t transfers;
    uint64_t space;   // bytes that all files together may have
    uint64_t now_us;  // the clock; the test turns it
    uint64_t moved;   // bytes written so far
};

void disk_init(struct disk *disk, uint64_t seed);
void disk_free(struct disk *disk);

// The process ends: its descriptors close. Nothing is lost.
void disk_kill(struct disk *disk);

// The machine loses power and starts again: what was not synced is kept or lost.
void disk_crash(struct disk *disk);

// A file's bytes by its path below the root ("data/wal/0000000000000001.jsonl"); data NULL: there is none.
struct slice disk_bytes(const struct disk *disk, const char *path);

// Replaces a file's bytes, durably.
void disk_put(struct disk *disk, const char *path, struct slice bytes);

void disk_remove(struct disk *disk, const char *path);

// The descriptors that are open.
size_t disk_open_files(const struct disk *disk);

// Bytes of all files, as processes see them.
uint64_t disk_used(const struct disk *disk);

// Turns one bit of what is durable, which `draw` chooses among all; false: there is none.
bool disk_flip(struct disk *disk, uint64_t draw);

// Equal bytes under equal names, as processes see them.
bool disk_equal(const struct disk *a, const struct disk *b);

// A copy of what processes see, all of it durable.
void disk_copy(struct disk *to, const struct disk *from);

// A copy of all of it: what processes see, what is durable, and what is not yet.
void disk_clone(struct disk *to, const struct disk *from);

#endif
