// The data directory: LOCK and wal/.
#ifndef BATON_WAL_DIRECTORY_H
#define BATON_WAL_DIRECTORY_H

#include "base/error.h"
#include "wal/io.h"

struct wal_directory {
    const struct wal_io *io;
    char *path;  // as given; for messages
    int wal;     // wal/; -1: missing
    int lock;    // LOCK, held; -1: not locked
};

// For a node: creates what is missing, takes the lock, and syncs the directories, in any case: an earlier process may have
// been killed between creating something and syncing it. ERR_BUSY, ERR_NO_SPACE, ERR_IO.
enum error_code wal_directory_open(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error);

// For reading only: creates nothing, takes no lock. ERR_IO.
enum error_code wal_directory_look(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error);

void wal_directory_close(struct wal_directory *dir);

#endif
