// Workers' liveness on a simulated clock: when a silent worker is offline, and what a new leader knows.
#include <stdio.h>
#include <string.h>

#include "policy/liveness.h"
#include "unit.h"

#define SECOND US_PER_S

static uint64_t rng_state;

static uint64_t rng(void) {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static void seed(void) {
    const char *text = getenv("BATON_SEED");
    rng_state = text != NULL ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15;
    printf("seed %#llx\n", (unsigned long long)rng_state);
}

static bool expired(struct liveness *liveness, uint64_t now_us, uint32_t row) {
    uint32_t rows[64];
    size_t count = liveness_expired(liveness, now_us, rows, 64);
    for (size_t i = 0; i < count; i++) {
        if (rows[i] == row) {
            return true;
        }
    }
    return false;
}

// A worker that goes silent is offline 15 to 20 s after its last heartbeat, whatever the others do meanwhile.
static void TestWorkerLiveness(void **state) {
    (void)state;
    seed();
    for (int round = 0; round < 200; round++) {
        struct liveness *liveness = liveness_new();
        uint64_t last[32];
        uint64_t silent_from[32];
        bool gone[32] = {false};
        uint64_t now = 1000 * SECOND;
        for (uint32_t w = 0; w < 32; w++) {
            liveness_heard(liveness, w, now);
            last[w] = now;
            silent_from[w] = now + rng() % (60 * SECOND);
        }
        for (int step = 0; step < 20000; step++) {
            now += rng() % (10 * US_PER_MS);
            for (uint32_t w = 0; w < 32; w++) {
                if (!gone[w] && now < silent_from[w] && now - last[w] >= 5 * SECOND) {
                    liveness_heard(liveness, w, now);
                    last[w] = now;
                }
                if (!gone[w] && expired(liveness, now, w)) {
                    assert_true(now - last[w] >= 15 * SECOND);
                    assert_true(now - last[w] <= 20 * SECOND);
                    gone[w] = true;
                    liveness_forget(liveness, w);
                }
                assert_true(gone[w] || now - last[w] <= 20 * SECOND);
            }
        }
        liveness_free(liveness);
    }
}

// A new leader gives every worker a full timeout, and does not know yet when it was last heard.
static void TestWorkerLivenessNewLeader(void **state) {
    (void)state;
    struct liveness *liveness = liveness_new();
    uint64_t heard;
    liveness_heard(liveness, 1, 10 * SECOND);
    assert_true(liveness_last_heard(liveness, 1, &heard) && heard == 10 * SECOND);
    liveness_reset(liveness);
    assert_int_equal(liveness_next_us(liveness), UINT64_MAX);
    liveness_watch(liveness, 1, 24 * SECOND);
    assert_false(liveness_last_heard(liveness, 1, &heard));
    assert_false(expired(liveness, 39 * SECOND - 1, 1));
    assert_true(expired(liveness, 44 * SECOND, 1));
    liveness_free(liveness);
}

// liveness_heard_since against a plain table, through granted timeouts, too.
static void TestWorkerLivenessHeardSince(void **state) {
    (void)state;
    enum { ROWS = 8 };
    seed();
    struct liveness *liveness = liveness_new();
    uint64_t heard[ROWS] = {0};  // 0: not yet
    bool watched[ROWS] = {false};
    uint64_t now = SECOND;
    for (int step = 0; step < 100000; step++) {
        uint32_t row = (uint32_t)(rng() % ROWS);
        uint64_t what = rng() % 40;
        now += rng() % 3;
        if (what == 0) {
            liveness_reset(liveness);
            memset(heard, 0, sizeof heard);
            memset(watched, 0, sizeof watched);
        } else if (what < 4) {
            liveness_forget(liveness, row);
            watched[row] = false;
        } else if (what < 8) {
            liveness_watch(liveness, row, now);
            watched[row] = true;
        } else {
            liveness_heard(liveness, row, now);
            watched[row] = true;
            heard[row] = now;
        }
        uint64_t expected = UINT64_MAX;
        for (uint32_t i = 0; i < ROWS; i++) {
            expected = watched[i] && heard[i] < expected ? heard[i] : expected;
        }
        uint64_t since;
        bool is_known = liveness_heard_since(liveness, &since);
        assert_int_equal(is_known, expected != 0 && expected != UINT64_MAX);
        assert_true(!is_known || since == expected);
    }
    liveness_free(liveness);
}

// The deadline is when liveness_next_us says, to the microsecond, and no more rows are told than there is room for.
static void TestWorkerLivenessDeadline(void **state) {
    (void)state;
    struct liveness *liveness = liveness_new();
    uint64_t heard;
    uint32_t rows[] = {77, 77};
    assert_false(liveness_watches(liveness, 0));
    assert_false(liveness_last_heard(liveness, 0, &heard));
    liveness_heard(liveness, 0, SECOND);
    liveness_heard(liveness, 1, SECOND);
    uint64_t due = liveness_next_us(liveness);
    assert_int_equal(liveness_expired(liveness, due - 1, rows, 2), 0);
    assert_int_equal(liveness_expired(liveness, due, rows, 1), 1);
    assert_int_equal(rows[1], 77);
    liveness_free(liveness);
}

// Deadlines that were granted say nothing of when who was heard, though all were.
static void TestWorkerLivenessGranted(void **state) {
    (void)state;
    struct liveness *liveness = liveness_new();
    uint64_t since;
    liveness_heard(liveness, 0, 1 * SECOND);
    liveness_heard(liveness, 1, 2 * SECOND);
    liveness_watch(liveness, 1, 3 * SECOND);
    liveness_watch(liveness, 0, 4 * SECOND);
    assert_true(liveness_heard_since(liveness, &since) && since == SECOND);
    liveness_free(liveness);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestWorkerLivenessDeadline),   cmocka_unit_test(TestWorkerLivenessGranted),
    cmocka_unit_test(TestWorkerLiveness),           cmocka_unit_test(TestWorkerLivenessNewLeader),
    cmocka_unit_test(TestWorkerLivenessHeardSince),
};

UNIT_MAIN(tests)
