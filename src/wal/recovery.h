// Recovery: the log's effective entries, and the repair of its end for further writes.
#ifndef BATON_WAL_RECOVERY_H
#define BATON_WAL_RECOVERY_H

#include "wal/scan.h"
#include "wal/wal.h"

// Scans the log and collects its effective entries after `from`, or after where the log begins if that is later:
// recovered->log.base says which. Errors as wal_scan, and ERR_NO_MEMORY; `recovered` is empty then.
enum error_code wal_collect(const struct wal_directory *dir, const struct wal_identity *want, raft_index from,
                            struct raft_slab *slab, struct wal_recovered *recovered, struct wal_log_end *end,
                            struct error *error);

// Opens the segments of `end` for writing (and closes them on failure), overwrites what follows the last batch with
// newlines, and writes and syncs the last batch again. Idempotent: a crash at any point does no harm. ERR_IO, ERR_NO_SPACE.
enum error_code wal_repair(const struct wal_directory *dir, struct wal_log_end *end, struct error *error);

#endif
