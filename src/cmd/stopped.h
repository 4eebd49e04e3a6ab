// A stopped node's data directory, for commands that found or join a generation: its lock, and all that it holds.
#ifndef BATON_CMD_STOPPED_H
#define BATON_CMD_STOPPED_H

#include "node/config.h"
#include "node/image.h"
#include "wal/wal.h"
#include "wire/configuration.h"

struct stopped {
    const struct node_config *config;
    struct wal_directory dir;  // with the lock
    struct raft_slab *slab;
    struct image image;                       // the newest whole one; state NULL: none
    struct wal_recovered recovered;           // all entries on the disk
    struct wire_configuration configuration;  // in force
    uint64_t generation;                      // the configuration's, or the directory's if that is higher
    struct raft_entry_id last;                // that it has
    int64_t written_unix_ms;                  // when the last segment was last written to
    int64_t command_unix_ms;                  // when the last command was proposed; 0: there is none
};

// Takes the lock and reads everything; changes nothing. Close it in any case. ERR_INVALID: it holds no log, or none with
// members; ERR_BUSY: a node runs on it; ERR_FOREIGN: another node's; ERR_WAL_CORRUPT, ERR_WAL_GAP, ERR_WAL_VERSION,
// ERR_SNAP_CORRUPT, ERR_UNKNOWN_COMMAND, ERR_NO_MEMORY, ERR_IO.
enum error_code stopped_open(const struct node_config *config, struct stopped *stopped, struct error *error);

// Gives up the lock alone, for who opens the log to write.
void stopped_unlock(struct stopped *stopped);

void stopped_close(struct stopped *stopped);

#endif
