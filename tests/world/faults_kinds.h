// The kinds of faults, and what each does: used by faults.c alone.
#ifndef BATON_TESTS_WORLD_FAULTS_KINDS_H
#define BATON_TESTS_WORLD_FAULTS_KINDS_H

#include <stdbool.h>
#include <stdint.h>

// Kind, in words, and how long it lasts: from, to, in milliseconds.
#define FAULT_KINDS(X)                                                                                                      \
    X(FAULT_CRASH, "crash", 20, 4000)                                                                                       \
    X(FAULT_CRASH_ALL, "crash of all", 20, 4000)                                                                            \
    X(FAULT_CRASH_AT_CALL, "crash in a disk's call", 20, 4000)                                                              \
    X(FAULT_KILL, "kill", 20, 4000)                                                                                         \
    X(FAULT_STOP, "stop", 20, 2000)                                                                                         \
    X(FAULT_PAUSE, "pause", 1, 3000)                                                                                        \
    X(FAULT_CUT, "cut", 20, 5000)                                                                                           \
    X(FAULT_CUT_ONE_WAY, "cut one way", 20, 5000)                                                                           \
    X(FAULT_ISOLATE, "isolation", 20, 5000)                                                                                 \
    X(FAULT_SEES_ONE, "sees one other alone", 20, 5000)                                                                     \
    X(FAULT_RESET, "connections reset", 0, 0)                                                                               \
    X(FAULT_LOSS, "loss", 20, 5000)                                                                                         \
    X(FAULT_JITTER, "jitter", 20, 5000)                                                                                     \
    X(FAULT_DISK_STALL, "disk stalls", 20, 2000)                                                                            \
    X(FAULT_DISK_SLOW, "disk is slow", 200, 5000)                                                                           \
    X(FAULT_DISK_ERROR, "disk fails once", 0, 0)                                                                            \
    X(FAULT_DISK_FULL, "disk is full", 100, 4000)                                                                           \
    X(FAULT_DISK_SHORT, "short transfers", 100, 4000)                                                                       \
    X(FAULT_WALL_JUMP, "wall clock jumps", 0, 0)                                                                            \
    X(FAULT_WIPE, "wiped disk", 20, 2000)                                                                                   \
    X(FAULT_FLIP, "flipped bit", 20, 2000)                                                                                  \
    X(FAULT_SET_BACK, "older disk", 50, 3000)                                                                               \
    X(FAULT_GONE, "majority gone", 500, 6000)                                                                               \
    X(FAULT_EXCHANGE, "another version", 20, 2000)                                                                          \
    X(FAULT_ADD, "member added", 0, 0)                                                                                      \
    X(FAULT_PROMOTE, "member promoted", 0, 0)                                                                               \
    X(FAULT_REMOVE, "member removed", 0, 0)                                                                                 \
    X(FAULT_TRANSFER, "leadership transferred", 0, 0)                                                                       \
    X(FAULT_SNAPSHOT, "snapshot asked for", 0, 0)

enum fault_kind {
#define X(kind, text, min_ms, max_ms) kind,
    FAULT_KINDS(X)
#undef X
        FAULT_KIND_COUNT
};

struct fault {
    uint64_t at_us;
    enum fault_kind kind;
    uint64_t host, other;  // draws that choose among the members
    uint64_t amount;       // a draw for what the kind needs
    uint64_t for_us;
};

// False: it could not be, and nothing has happened.
bool fault_strike(const struct fault *fault, int host, int other);

// Nothing that `from` sends arrives at `to` for so long; false: it is so already.
bool fault_cut(int from, int to, uint64_t for_us);

// Everything that lasts ends now.
void fault_mend(void);

// The disks that were kept of a run that has ended.
void fault_kinds_finish(void);

// Starts the host's node again whenever it has ended, until *closed; after it was removed, as a new machine.
void fault_look_after(int host, const bool *closed);

#endif
