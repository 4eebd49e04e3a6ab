// The log under attack: a data directory as a node really writes it, on the disk in memory (tests/unit/wal_disk.h), which is
// cut, changed, and stopped at every call; and what the node makes of it at its next start. Everything but the disk is the
// product's own object files.
//
//   truth.c    what the directory must hold: all that was acknowledged, byte for byte
//   victim.c   the durable half of a node: starts, writes, takes images, compacts, receives an image
//   story.c    what happens to it: every operation that changes the disk
//   damage.c   the story's end with one file cut, changed, or gone
//   sectors.c  the same with sectors of the last batch lost or zeroed
//   crashes.c  the story stopped in each of its calls, and the start after it in each of its own
//   faults.c   the story with each of its writes and syncs failing once
//   scene.c    what the two have in common: a disk after a crash, and starts on it
//   report.c   the counts
//
// The expectation is one: a start finds all that was acknowledged, or it refuses with a code that says what is wrong and
// changes nothing; after a mere crash it never refuses. What the format cannot tell from a crash is counted apart, and then
// the start must find exactly what was there before (docs/wal-format.md, "Torn or damaged").
#ifndef BATON_TESTS_ATTACK_H
#define BATON_TESTS_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

// How a start ended. The order is that of the report.
enum outcome {
    OUTCOME_WHOLE,         // all is there
    OUTCOME_OLDER_IMAGE,   // all is there, from an older image and the log behind it
    OUTCOME_TORN,          // the end is taken for a torn batch, or for one that was never written: see above
    OUTCOME_WAL_CORRUPT,   // refused
    OUTCOME_WAL_GAP,       // the same
    OUTCOME_SNAP_CORRUPT,  // the same
    OUTCOMES,
};

enum attack {
    ATTACK_CUT,      // a file ends at each of its bytes, or is gone
    ATTACK_FLIP,     // each bit
    ATTACK_CHANGE,   // each byte is another one
    ATTACK_SECTORS,  // of the last batch: lost or zeroed
    ATTACK_CRASH,    // in a call
    ATTACK_DOUBLE,   // and again in a call of the start that follows
    ATTACK_FAULT,    // a write or a sync fails, or there is no space, and then a crash
    ATTACKS,
};

enum operation {
    OP_START,
    OP_APPEND,
    OP_ROTATE,
    OP_SNAPSHOT,
    OP_COMPACT,
    OP_INSTALL,
    OP_STOP,
    OP_REPAIR,
    OPERATIONS,
};

// --- report.c ---

// One case and how it ended.
void report_case(enum attack attack, enum outcome outcome);
// A case of a crash, in this operation.
void report_crash(enum operation operation, bool twice);

// What must not be. The first few are printed.
void report_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t report_failures(void);

void report_print(void);
void report_write(FILE *out, uint64_t seed, double seconds);  // as JSON
void report_reset(void);

// --- the attacks ---

// How much of an attack is made: `part` of `parts`, which together are all of it.
struct share {
    uint64_t part;
    uint64_t parts;
};

// Whether the n-th case is in the share.
static inline bool share_has(const struct share *share, uint64_t n) {
    return n % share->parts == share->part;
}

void attack_cuts(const struct share *share);
void attack_bytes(const struct share *share);
void attack_sectors(void);
void attack_crashes(uint64_t seed, const struct share *share);
void attack_faults(uint64_t seed, const struct share *share);

#endif
