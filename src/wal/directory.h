// The data directory: LOCK, wal/ and snap/.
#ifndef BATON_WAL_DIRECTORY_H
#define BATON_WAL_DIRECTORY_H

#include "base/error.h"
#include "wal/io.h"

struct wal_directory {
    const struct wal_io *io;
    char *path;  // as given; for messages
    int wal;     // wal/; -1: missing
    int snap;    // snap/; -1: missing
    int lock;    // LOCK, held; -1: not locked
};

// For a node: creates what is missing, takes the lock, and syncs the directories, in any case: an earlier process may have
// been killed between creating something and syncing it. ERR_BUSY, ERR_NO_SPACE, ERR_IO; ERR_INVALID: a
// batond --rejoin was interrupted.
enum error_code wal_directory_open(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error);

// For reading only: creates nothing, takes no lock. ERR_IO.
enum error_code wal_directory_look(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error);

// For a command on a stopped node's directory: takes the lock, and creates nothing else. ERR_BUSY, ERR_IO.
enum error_code wal_directory_hold(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error);

void wal_directory_close(struct wal_directory *dir);

// The numbers of the segments, rising; other files are ignored. NULL if there is none; else the caller frees *numbers.
// ERR_IO.
enum error_code wal_directory_segments(const struct wal_directory *dir, uint64_t **numbers, size_t *count,
                                       struct error *error);

#endif
