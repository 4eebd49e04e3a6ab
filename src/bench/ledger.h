// A writer's work that can be checked: each value says which key it is of and how often that was written, and what was
// acknowledged is recorded, so that a reader of the cluster's state at any revision knows what must be there.
//
// That no write is applied twice is seen in two ways. A Watch reports each change: a key's counts must follow each other,
// 1, 2, 3, ...; the same count again is a write that was applied twice, and one left out is a write that was lost. And every
// second write of a key expects the revision of the one before: the answer to a retry of such a write that was applied twice
// is that of a mismatch, and so is the first answer after a key has changed on the sly.
#ifndef BATON_BENCH_LEDGER_H
#define BATON_BENCH_LEDGER_H

#include <stdio.h>

#include "bench/writer.h"

enum {
    LEDGER_KEYS_MIN = 2 * WRITER_SPAN_MAX,  // a key is not written again before it was acknowledged
    LEDGER_KEYS_MAX = 10000000,
    LEDGER_VALUE_MIN = 128,  // key and count fit
    LEDGER_VALUE_MAX = 65536,
    LEDGER_PREFIX_MAX = 64,
};

// The file: 16 bytes "baton-ledger-1" and NULs, and 8 bytes of the unix time in microseconds when it was opened. Then 24
// bytes for each acknowledged write, in the order of acknowledgement: its key's number (4 bytes), the count of that key's
// writes (4), its revision (8), when it was acknowledged in milliseconds since then (4), and its latency from its first
// attempt in microseconds (4). All in the machine's own byte order; tests/year/ledger.py reads it.
struct ledger_key {
    uint64_t revision;      // of its last acknowledged write
    uint32_t acknowledged;  // counts
    uint32_t watched;       // the last that the Watch reported
    bool known;             // `watched` is: no change has been missed since
};

struct ledger {
    const char *prefix;  // borrowed
    size_t keys;
    size_t value_bytes;
    struct ledger_key *states;
    FILE *file;
    uint64_t watched;  // changes
    uint64_t missed;   // times that the Watch missed changes
    uint64_t watched_revision;
    struct error fault;  // the first; OK: none
    char key[LEDGER_PREFIX_MAX + 16];
    char *value;  // the one made last, and
    char *right;  // the one that a change should have
};

// Creates the file. ERR_IO.
enum error_code ledger_open(struct ledger *ledger, const char *path, const char *prefix, size_t keys, size_t value_bytes,
                            struct error *error);

// Writes the rest. ERR_IO: the file is incomplete, `path` says which.
enum error_code ledger_close(struct ledger *ledger, const char *path, struct error *error);

// Borrows `ledger`.
struct writer_work ledger_work(struct ledger *ledger);

#endif
