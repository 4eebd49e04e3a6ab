// Random numbers for tests: a seed that is printed, and can be given back through BATON_TEST_SEED.
#ifndef BATON_TESTS_RANDOM_H
#define BATON_TESTS_RANDOM_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/slice.h"

// SplitMix64 (Steele, Lea and Flood 2014).
static inline uint64_t random_u64(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// 0 to bound - 1.
static inline size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)(random_u64(state) % bound);
}

// As often small as large, 0 and the largest too.
static inline uint64_t random_number(uint64_t *state) {
    return random_u64(state) >> random_below(state, 64) >> (random_below(state, 4) == 0 ? 63 : 0);
}

static inline uint64_t random_seed(const char *test) {
    const char *given = getenv("BATON_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    printf("%s: BATON_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

#endif
