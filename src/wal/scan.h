// Reading and verifying a log, changing nothing.
#ifndef BATON_WAL_SCAN_H
#define BATON_WAL_SCAN_H

#include "wal/directory.h"
#include "wal/record.h"
#include "wal/segment.h"

// The node that owns a log.
struct wal_identity {
    struct slice cluster_id;
    struct slice node_id;
    uint64_t generation;
};

// Called for each entry of a complete batch, in file order. An entry whose index is not above the last one replaces that
// entry and discards all after it. `line` is borrowed and has no newline. A code other than OK ends the scan, which returns
// it.
struct wal_visitor {
    void *self;
    enum error_code (*entry)(void *self, const struct wal_record *record, struct slice line, uint64_t segment,
                             uint64_t offset, struct error *error);
};

// The log's end: all that the writer needs to continue, and what must be repaired first.
struct wal_log_end {
    struct raft_hard_state hard_state;
    struct raft_entry_id last;
    uint64_t batch;  // number of the last mark; 0: none
    uint32_t chain;  // its checksum

    struct wal_segment current;  // has the last mark; number 0: none
    uint64_t current_size;       // of the file; from `filled` on there are zeros
    uint64_t last_batch;         // offset of the last batch in `current`
    struct wal_segment next;     // created, without a complete batch; number 0: none
    uint64_t next_size;

    uint64_t torn_bytes;   // length of a torn batch; 0: none
    char torn_where[128];  // file:line
    uint64_t segments;
    uint64_t bytes;  // up to the last mark, in all segments
};

// Scans all segments. `want` NULL: any identity, but the same in all. ERR_WAL_CORRUPT, ERR_WAL_GAP, ERR_FOREIGN,
// ERR_WAL_VERSION with file:line, ERR_IO, or the visitor's.
enum error_code wal_scan(const struct wal_directory *dir, const struct wal_identity *want, const struct wal_visitor *visitor,
                         struct wal_log_end *end, struct error *error);

#endif
