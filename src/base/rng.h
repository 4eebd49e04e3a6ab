// A small seeded generator, SplitMix64 (Steele, Lea and Flood 2014). Every seed is as good as another; equal seeds give
// equal sequences.
#ifndef BATON_BASE_RNG_H
#define BATON_BASE_RNG_H

#include <assert.h>
#include <stdint.h>

struct rng {
    uint64_t state;  // the seed, at first
};

static inline uint64_t rng_next(struct rng *rng) {
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = rng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// Uniform in [min, max].
static inline uint64_t rng_between(struct rng *rng, uint64_t min, uint64_t max) {
    assert(min <= max);
    uint64_t span = max - min + 1;
    // The remainder is biased by at most span / 2^64: negligible for a timeout.
    return span == 0 ? rng_next(rng) : min + rng_next(rng) % span;
}

// Uniform in [0, 1).
static inline double rng_unit(struct rng *rng) {
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

#endif
