// A small seeded generator (splitmix64), so that equal seeds give equal runs.
#ifndef BATON_RAFT_RNG_H
#define BATON_RAFT_RNG_H

#include <stdint.h>

struct raft_rng {
    uint64_t state;
};

uint64_t raft_rng_next(struct raft_rng *rng);

// Uniform in [min, max].
uint64_t raft_rng_between(struct raft_rng *rng, uint64_t min, uint64_t max);

#endif
