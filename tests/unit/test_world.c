// Whole nodes on virtual time: tests/world/world.h. A violated invariant prints its seed and ends the process; BATON_SEED=n
// runs that one alone.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../world/run.h"
#include "../world/world.h"
#include "base/slog.h"
#include "unit.h"

enum { SECONDS = 10, FIXED = 150, FRESH = 150 };

int __real_clock_gettime(clockid_t clock, struct timespec *out);

static void run_seeds(uint64_t first, uint64_t count) {
    const char *only = getenv("BATON_SEED");
    slog_setup(SLOG_ERROR, SLOG_LOGFMT, NULL);
    fprintf(stderr, "seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (only == NULL || strtoull(only, NULL, 10) == seed) {
            world_run(seed, SECONDS);
        }
    }
}

// With these seeds every kind of fault happens, and all clients get somewhere.
static void TestWorld(void **state) {
    (void)state;
    struct world_ran before = world_ran();
    run_seeds(1, FIXED);
    struct world_ran ran = world_ran();
    if (getenv("BATON_SEED") == NULL) {
        assert_true(ran.calls - before.calls > 100 * FIXED);
        assert_true(ran.watched - before.watched > 20 * FIXED);
    }
}

// Others every day.
static void TestWorldOfToday(void **state) {
    (void)state;
    struct timespec now;
    __real_clock_gettime(CLOCK_REALTIME, &now);
    run_seeds((uint64_t)now.tv_sec / 86400 * 1000, FRESH);
}

// The same seed is the same run, to the last bit; another is another.
static void TestWorldSameSeedSameRun(void **state) {
    (void)state;
    world_run(7, SECONDS);
    uint64_t hash = world_ran().hash;
    world_run(8, SECONDS);
    assert_int_not_equal(world_ran().hash, hash);
    world_run(7, SECONDS);
    assert_int_equal(world_ran().hash, hash);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestWorld),
    cmocka_unit_test(TestWorldOfToday),
    cmocka_unit_test(TestWorldSameSeedSameRun),
};

UNIT_MAIN(tests)
