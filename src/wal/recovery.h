// From the files to what a node starts with, and making the log's end fit to be written to.
#ifndef BATON_WAL_RECOVERY_H
#define BATON_WAL_RECOVERY_H

#include "wal/scan.h"
#include "wal/wal.h"

// Scans the log and collects its effective entries. Errors as wal_scan, and ERR_NO_MEMORY; then nothing is held.
enum error_code wal_collect(const struct wal_directory *dir, const struct wal_identity *want, struct raft_slab *slab,
                            struct wal_recovered *recovered, struct wal_log_end *end, struct error *error);

// Opens the segments of `end` for writing (closing them if it fails) and repairs: what follows the last batch becomes
// newlines, the last batch is written and synced again. Can be repeated after a crash at any point. ERR_IO, ERR_NO_SPACE.
enum error_code wal_repair(const struct wal_directory *dir, struct wal_log_end *end, struct error *error);

#endif
