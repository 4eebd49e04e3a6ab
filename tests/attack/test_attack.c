// The attack on the log as a unit test. It is all of it, with one story for the crashes; under AddressSanitizer it is a
// part that goes round by the day: BATON_TEST_SEED=DAY gives a day's part again.
#include <time.h>

#include "../unit/unit.h"
#include "attack.h"

enum { PARTS = UNDER_ASAN ? 29 : 1 };

static const struct share *share_of_today(void) {
    static struct share share = {.parts = PARTS};
    const char *given = getenv("BATON_TEST_SEED");
    uint64_t day = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) / (24 * 60 * 60);
    share.part = day % PARTS;
    print_message("BATON_TEST_SEED=%llu: part %llu of %d\n", (unsigned long long)day, (unsigned long long)share.part, PARTS);
    return &share;
}

static void none_is_broken(void) {
    report_print();
    assert_int_equal(report_failures(), 0);
    report_reset();
}

static void TestAttackCuts(void **state) {
    (void)state;
    attack_cuts(share_of_today());
    none_is_broken();
}

static void TestAttackBytes(void **state) {
    (void)state;
    attack_bytes(share_of_today());
    none_is_broken();
}

static void TestAttackSectors(void **state) {
    (void)state;
    attack_sectors();
    none_is_broken();
}

static void TestAttackCrashes(void **state) {
    (void)state;
    attack_crashes(1, share_of_today());
    none_is_broken();
}

static void TestAttackFaults(void **state) {
    (void)state;
    attack_faults(1, share_of_today());
    none_is_broken();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestAttackCuts),    cmocka_unit_test(TestAttackBytes),  cmocka_unit_test(TestAttackSectors),
    cmocka_unit_test(TestAttackCrashes), cmocka_unit_test(TestAttackFaults),
};

UNIT_MAIN(tests)
