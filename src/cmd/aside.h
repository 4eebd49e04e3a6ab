// Putting a log of an old generation aside, for a new one in the same data directory.
//
// The new log is made in DIR/rejoin.tmp/new; renaming that to DIR/rejoin decides it. Then wal/ and snap/ change places with
// the new ones, and DIR/rejoin, which has the old ones now, becomes DIR/generation-N. A node does not start from a directory
// that has DIR/rejoin. Whatever the command was doing when it ended, the same command goes on from there.
#ifndef BATON_CMD_ASIDE_H
#define BATON_CMD_ASIDE_H

#include <stdbool.h>

#include "node/config.h"
#include "wal/io.h"
#include "wal/wal.h"

// Whether that is decided, but not complete.
bool aside_begun(const char *dir, const struct wal_io *io);

// Makes an empty log of this generation, with an incarnation of its own, and decides. The caller holds the lock.
enum error_code aside_begin(const struct node_config *config, const struct wal_io *io, uint64_t generation,
                            struct error *error);

// Completes it. *old: the generation of the log that was put aside, to DIR/generation-<old>. The caller holds the lock.
enum error_code aside_complete(const struct node_config *config, const struct wal_io *io, uint64_t *old,
                               struct error *error);

#endif
