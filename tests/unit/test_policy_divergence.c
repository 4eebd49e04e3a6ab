// Which node's state has diverged, by the digests that they tell.
#include "base/array.h"
#include "policy/divergence.h"
#include "unit.h"

enum { MAX = 5, TOLD = 4 };

#define VOTER   true
#define LEARNER false

// From the side of the first member.
static const struct {
    const char *what;
    size_t count;
    struct {
        bool voter;
        struct index_digest told[TOLD];  // index 0: no more
    } members[MAX];
    enum divergence_verdict verdict;
    raft_index index;
    uint64_t other;
} cases[] = {
    {"alone", 1, {{VOTER, {{10, 1}}}}, DIVERGENCE_NONE, 0, 0},
    {"nothing is kept", 3, {{VOTER, {{0, 0}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}}, DIVERGENCE_NONE, 0, 0},
    {"all agree", 3, {{VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}}, DIVERGENCE_NONE, 0, 0},
    {"no index in common", 3, {{VOTER, {{10, 1}}}, {VOTER, {{20, 2}}}, {VOTER, {{20, 2}}}}, DIVERGENCE_NONE, 0, 0},
    {"this one differs", 3, {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}}, DIVERGENCE_OWN, 10, 1},
    {"another differs", 3, {{VOTER, {{10, 1}}}, {VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}}, DIVERGENCE_NONE, 0, 0},
    {"the third has not told", 3, {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{0, 0}}}}, DIVERGENCE_UNDECIDED, 10, 1},
    {"nobody else has told", 3, {{VOTER, {{10, 9}}}, {VOTER, {{0, 0}}}, {VOTER, {{0, 0}}}}, DIVERGENCE_NONE, 0, 0},
    {"two that differ", 2, {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}}, DIVERGENCE_UNDECIDED, 10, 1},
    {"three that differ", 3, {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 2}}}}, DIVERGENCE_UNDECIDED, 10, 2},
    {"half of four",
     4,
     {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 9}}}},
     DIVERGENCE_UNDECIDED,
     10,
     1},
    {"three of five",
     5,
     {{VOTER, {{10, 9}}}, {VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}},
     DIVERGENCE_OWN,
     10,
     1},
    {"three of five, and a third digest",
     5,
     {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 2}}}},
     DIVERGENCE_OWN,
     10,
     1},
    {"two of five, one has not told",
     5,
     {{VOTER, {{10, 9}}}, {VOTER, {{10, 9}}}, {VOTER, {{0, 0}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}},
     DIVERGENCE_UNDECIDED,
     10,
     1},
    {"a learner differs from the voters",
     4,
     {{LEARNER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{10, 1}}}, {VOTER, {{0, 0}}}},
     DIVERGENCE_OWN,
     10,
     1},
    {"learners do not count",
     4,
     {{VOTER, {{10, 9}}}, {VOTER, {{0, 0}}}, {LEARNER, {{10, 1}}}, {LEARNER, {{10, 1}}}},
     DIVERGENCE_NONE,
     0,
     0},
    {"not even with a voter",
     5,
     {{VOTER, {{10, 9}}}, {VOTER, {{10, 1}}}, {VOTER, {{0, 0}}}, {LEARNER, {{10, 1}}}, {LEARNER, {{10, 1}}}},
     DIVERGENCE_UNDECIDED,
     10,
     1},
    {"from the second index on",
     3,
     {{VOTER, {{10, 1}, {20, 9}, {30, 9}}}, {VOTER, {{10, 1}, {20, 2}, {30, 3}}}, {VOTER, {{10, 1}, {20, 2}, {30, 3}}}},
     DIVERGENCE_OWN,
     20,
     2},
    {"undecided before it is decided",
     3,
     {{VOTER, {{10, 9}, {20, 9}}}, {VOTER, {{10, 1}, {20, 2}}}, {VOTER, {{20, 2}}}},
     DIVERGENCE_OWN,
     20,
     2},
    {"the first of the undecided",
     3,
     {{VOTER, {{10, 9}, {20, 9}}}, {VOTER, {{10, 1}, {20, 2}}}, {VOTER, {{0, 0}}}},
     DIVERGENCE_UNDECIDED,
     10,
     1},
};

static void TestDivergenceVerdicts(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct digests digests[MAX] = {{.count = 0}};
        struct divergence_member members[MAX];
        for (size_t m = 0; m < cases[i].count; m++) {
            for (size_t t = 0; t < TOLD && cases[i].members[m].told[t].index > 0; t++) {
                digests_note(&digests[m], cases[i].members[m].told[t].index, cases[i].members[m].told[t].digest);
            }
            members[m] = (struct divergence_member){.voter = cases[i].members[m].voter, .digests = &digests[m]};
        }
        // Wherever this node is in the list.
        for (size_t self = 0; self < cases[i].count; self++) {
            struct divergence_member turned[MAX];
            for (size_t m = 0; m < cases[i].count; m++) {
                turned[(m + self) % cases[i].count] = members[m];
            }
            struct divergence found = divergence_find(turned, cases[i].count, self);
            if (found.verdict != cases[i].verdict) {
                fail_msg("%s: verdict %d", cases[i].what, (int)found.verdict);
            }
            if (found.verdict != DIVERGENCE_NONE) {
                assert_int_equal(found.index, cases[i].index);
                assert_int_not_equal(found.own, found.other);
            }
            if (found.verdict == DIVERGENCE_OWN) {
                assert_int_equal(found.other, cases[i].other);
            }
        }
    }
}

// The newest stay, in order; a state that was replaced forgets what came after.
static void TestDivergenceKeepsTheNewest(void **state) {
    (void)state;
    struct digests digests = {.count = 0};
    enum { NOTED = 2 * DIGESTS_KEPT + 3 };
    for (raft_index i = 1; i <= NOTED; i++) {
        digests_note(&digests, i * DIGEST_INTERVAL, i);
        assert_int_equal(digests.count, i < DIGESTS_KEPT ? i : DIGESTS_KEPT);
    }
    for (size_t i = 0; i < DIGESTS_KEPT; i++) {
        assert_int_equal(digests.list[i].digest, NOTED - DIGESTS_KEPT + 1 + i);
        assert_int_equal(digests.list[i].index, digests.list[i].digest * DIGEST_INTERVAL);
    }
    digests_note(&digests, (NOTED - 10) * DIGEST_INTERVAL, 7);
    assert_int_equal(digests.count, DIGESTS_KEPT - 10);
    assert_int_equal(digests.list[digests.count - 1].digest, 7);
    assert_int_equal(digests.list[digests.count - 2].index, (NOTED - 11) * DIGEST_INTERVAL);
}

// A digest of the state that was replaced is compared with nobody's, and nobody's with it.
static void TestDivergenceForgetsWhatWasReplaced(void **state) {
    (void)state;
    struct digests replaced = {.count = 0};
    struct digests others = {.count = 0};
    digests_note(&replaced, 10, 1);
    digests_note(&replaced, 20, 9);
    digests_note(&replaced, 10, 1);
    digests_note(&others, 10, 1);
    digests_note(&others, 20, 2);
    struct divergence_member members[] = {
        {.voter = true, .digests = &replaced}, {.voter = true, .digests = &others}, {.voter = true, .digests = &others}};
    assert_int_equal(divergence_find(members, 3, 0).verdict, DIVERGENCE_NONE);
    members[2].digests = &replaced;
    assert_int_equal(divergence_find(members, 3, 1).verdict, DIVERGENCE_NONE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestDivergenceForgetsWhatWasReplaced),
    cmocka_unit_test(TestDivergenceVerdicts),
    cmocka_unit_test(TestDivergenceKeepsTheNewest),
};

UNIT_MAIN(tests)
