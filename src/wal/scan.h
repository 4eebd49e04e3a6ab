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
};

// Called for the lines of complete batches, in file order. A code other than OK ends the scan, which returns it.
struct wal_visitor {
    void *self;
    // The log begins here, after `base`, or begins anew: all entries before are superseded by an image.
    void (*begins)(void *self, struct raft_entry_id base);
    // An entry whose index is not above the last one replaces that entry and discards all after it; its index may be at or
    // below the base. `line` is borrowed and has no newline.
    enum error_code (*entry)(void *self, const struct wal_record *record, struct slice line, uint64_t segment,
                             uint64_t offset, struct error *error);
};

// The log's end: all that the writer needs to continue, and what must be repaired first.
struct wal_log_end {
    struct raft_hard_state hard_state;
    struct raft_entry_id last;
    uint64_t generation;                       // of the last header
    char incarnation[INCARNATION_DIGITS + 1];  // the same; "": version 1, which has none
    uint64_t first_segment;                    // the lowest number there is; 0: there is no segment
    uint64_t anew_segment;                     // the last one at which the log begins anew after an image; 0: none was read
    uint64_t batch;                            // number of the last mark; 0: none
    uint32_t chain;                            // its checksum

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

// Scans the segments that hold the entries after `from`: it begins with the last one that has a batch and whose base is not
// above that, and with the first one if `from` is 0. The log need not begin with segment 1: an image may have taken the
// place of earlier ones. `want` NULL: any identity, but the same in all. ERR_WAL_CORRUPT, ERR_WAL_GAP, ERR_FOREIGN,
// ERR_WAL_VERSION with file:line, ERR_IO, or the visitor's.
enum error_code wal_scan(const struct wal_directory *dir, const struct wal_identity *want, raft_index from,
                         const struct wal_visitor *visitor, struct wal_log_end *end, struct error *error);

// A hint that the log is about to be scanned, for a caller that has something else to do before: the newest segments, in
// which a scan from the newest image on begins as a rule.
void wal_scan_ahead(const struct wal_directory *dir);

// The index of a segment's base; false: its header cannot be read, because it is blank, torn or damaged.
bool wal_segment_base(const struct wal_directory *dir, uint64_t number, raft_index *base);

#endif
