// SplitMix64: one addition and a mix; every seed is a good one.
#include "raft/rng.h"

#include <assert.h>

uint64_t raft_rng_next(struct raft_rng *rng) {
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t raft_rng_between(struct raft_rng *rng, uint64_t min, uint64_t max) {
    assert(min <= max);
    uint64_t span = max - min + 1;
    // The remainder favours small values by at most span / 2^64: nothing, for a timeout.
    return span == 0 ? raft_rng_next(rng) : min + raft_rng_next(rng) % span;
}
