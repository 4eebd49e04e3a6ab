// Whole nodes on virtual time: tests/world/world.h. A violated invariant prints its seed and ends the process; BATON_SEED=n
// runs that one alone.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../world/faults.h"
#include "../world/regressions.h"
#include "../world/run.h"
#include "../world/world.h"
#include "base/slog.h"
#include "unit.h"

enum { SLOWER = UNDER_ASAN ? 40 : 1 };
enum { SECONDS = 10, FIXED = 500 / SLOWER, FRESH = 2000 / SLOWER, QUIET = SLOG_ERROR + 1 };

static const struct {
    uint64_t seed, seconds;
} regressions[] = {
#define X(seed, seconds) {seed, seconds},
    REGRESSIONS(X)
#undef X
};

int __real_clock_gettime(clockid_t clock, struct timespec *out);

static bool is_wanted(uint64_t seed) {
    const char *only = getenv("BATON_SEED");
    return only == NULL || strtoull(only, NULL, 10) == seed;
}

// Nodes that are hurt on purpose have much to say.
static void run_seeds(uint64_t first, uint64_t count) {
    slog_setup((enum slog_level)QUIET, SLOG_LOGFMT, NULL);
    fprintf(stderr, "seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (is_wanted(seed)) {
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
    faults_print();
    if (getenv("BATON_SEED") == NULL) {
        assert_true(ran.calls - before.calls > 100 * FIXED);
        assert_true(ran.watched - before.watched > 20 * FIXED);
        assert_true(ran.changes - before.changes > FIXED);
        assert_true(ran.founded - before.founded > FIXED / 10);
        assert_true(ran.sessions_gone - before.sessions_gone > FIXED);
        assert_true(ran.raised - before.raised > FIXED / 4);
    }
}

// Others every day.
static void TestWorldOfToday(void **state) {
    (void)state;
    struct timespec now;
    __real_clock_gettime(CLOCK_REALTIME, &now);
    run_seeds((uint64_t)now.tv_sec / 86400 * 10000, FRESH);
}

static void TestWorldRegressions(void **state) {
    (void)state;
    slog_setup((enum slog_level)QUIET, SLOG_LOGFMT, NULL);
    for (size_t i = 0; i < sizeof regressions / sizeof regressions[0]; i++) {
        if (is_wanted(regressions[i].seed)) {
            world_run(regressions[i].seed, regressions[i].seconds);
        }
    }
}

// The same seed is the same run, to the last bit; another is another.
static void TestWorldSameSeedSameRun(void **state) {
    (void)state;
    slog_setup((enum slog_level)QUIET, SLOG_LOGFMT, NULL);
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
    cmocka_unit_test(TestWorldRegressions),
    cmocka_unit_test(TestWorldSameSeedSameRun),
};

UNIT_MAIN(tests)
