// Reading and verifying a log, changing nothing.
#ifndef BATON_WAL_SCAN_H
#define BATON_WAL_SCAN_H

#include "wal/directory.h"
#include "wal/record.h"
#include "wal/segment.h"

// Whose log it is.
struct wal_identity {
    struct slice cluster_id;
    struct slice node_id;
    uint64_t generation;
};

// Told of the entries of complete batches, in the order of the file; one with an index at or below the last cuts the log
// there. `line` is without its newline and borrowed. Another code than OK ends the scan with it.
struct wal_visitor {
    void *self;
    enum error_code (*entry)(void *self, const struct wal_record *record, struct slice line, uint64_t segment,
                             uint64_t offset, struct error *error);
};

// How the log ends, which is all that one needs to go on writing it, and what has to be repaired first.
struct wal_log_end {
    struct raft_hard_state hard_state;
    struct raft_entry_id last;
    uint64_t batch;  // number and
    uint32_t chain;  // checksum of the last mark; 0: there is none

    struct wal_segment current;  // that holds the last mark; number 0: none
    uint64_t current_size;       // zeros behind `filled` up to here
    uint64_t last_batch;         // where in `current` the last batch begins
    struct wal_segment next;     // begun without anything whole in it; number 0: none
    uint64_t next_size;

    uint64_t torn_bytes;   // of a torn batch; 0: none. At the end of
    bool torn_in_next;     // `next`, else of `current`
    char torn_where[128];  // file:line
    uint64_t segments;
    uint64_t bytes;  // up to the last mark, all segments together
};

// Scans all segments. `want` NULL: any identity, as long as it is one. ERR_WAL_CORRUPT, ERR_WAL_GAP, ERR_FOREIGN,
// ERR_WAL_VERSION with file:line, ERR_IO, or the visitor's.
enum error_code wal_scan(const struct wal_directory *dir, const struct wal_identity *want, const struct wal_visitor *visitor,
                         struct wal_log_end *end, struct error *error);

#endif
