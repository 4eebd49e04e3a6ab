// Runs worlds, one after the other.
#ifndef BATON_TESTS_WORLD_RUN_H
#define BATON_TESTS_WORLD_RUN_H

#include <stdint.h>

// Some nodes, clients, watches and workers (shape.h) for so many seconds of virtual time under the seed's faults. Then all
// is mended: every call must end, and all nodes have the same state. What is wrong ends the process: world_broken.
void world_run(uint64_t seed, uint64_t seconds);

// Of all so far.
struct world_ran {
    uint64_t seeds;
    uint64_t virtual_us;  // until all was well
    uint64_t events;
    uint64_t entries;
    uint64_t calls;
    uint64_t watched;
    uint64_t changes;        // of members
    uint64_t offline;        // declarations of workers
    uint64_t founded;        // generations
    uint64_t rejoined;       // nodes
    uint64_t lost;           // acknowledged writes that a survivor did not have
    uint64_t sessions_gone;  // so often a client was told so
    uint64_t raised;         // the cluster's level
    uint64_t too_old;        // programs that said so
    uint64_t again;          // first writes of sessions that were evicted, done once more
    int nodes;               // of the last one, those that are added later included
    uint64_t hash;           // of its trace
};
struct world_ran world_ran(void);

#endif
