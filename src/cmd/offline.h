// What batond does with a data directory instead of running a node: it verifies or prints what is there. All of it only
// reads, and works beside a running node, which may remove old segments and images meanwhile.
#ifndef BATON_CMD_OFFLINE_H
#define BATON_CMD_OFFLINE_H

#include "base/error.h"
#include "raft/raft.h"

// Verifies the log, every image, and that the log continues the newest whole image; says on stdout what there is. Errors as
// wal_check; ERR_WAL_GAP: entries that a node needs are missing; ERR_SNAP_CORRUPT: an image is damaged, even if a node could
// start from another one, which the message then says; ERR_UNKNOWN_COMMAND: an image of a later version.
enum error_code offline_check(const char *path, struct error *error);

// Prints the log's entries up to index `to` (0: all). Errors as wal_dump.
enum error_code offline_dump_log(const char *path, raft_index to, struct error *error);

// Prints the records of the newest whole image, or of the one at `index` if that is not 0, as JSON objects without
// checksums. The image is verified before anything is printed; damaged ones that are passed over are said on stderr.
// ERR_INVALID: there is no such image; ERR_SNAP_CORRUPT, ERR_WAL_VERSION, ERR_UNKNOWN_COMMAND, ERR_IO.
enum error_code offline_dump_snapshot(const char *path, raft_index index, struct error *error);

#endif
