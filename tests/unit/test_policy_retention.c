// How much of the log stays behind an image: for short logs and long ones, every relation of the numbers.
#include "policy/retention.h"
#include "unit.h"

// A log shorter than what is kept behind an image has nothing to drop, whatever the other numbers say; the difference must
// not be taken for a huge one.
static void TestRetentionOfAShortLog(void **state) {
    (void)state;
    for (raft_index image = 0; image <= RETAINED_ENTRIES; image += RETAINED_ENTRIES / 50) {
        for (raft_index last = image; last <= image + 3; last++) {
            struct retention short_log = {.image_index = image,
                                          .last_index = last,
                                          .bytes_max = 1,
                                          .lowest_match = UINT64_MAX,
                                          .sending_index = UINT64_MAX};
            assert_int_equal(retention_limit(&short_log), 0);
            short_log.lowest_match = last;
            short_log.log_bytes = 1000;
            assert_int_equal(retention_limit(&short_log), 0);
            short_log.sending_index = image;
            assert_int_equal(retention_limit(&short_log), 0);
        }
    }
}

// Never back, never more than an image covers less what is kept, never what an image on its way needs.
static void TestRetentionBounds(void **state) {
    (void)state;
    static const raft_index steps[] = {
        0, 1, RETAINED_ENTRIES - 1, RETAINED_ENTRIES, RETAINED_ENTRIES + 1, 3 * RETAINED_ENTRIES};
    enum { STEPS = sizeof steps / sizeof steps[0] };
    size_t dropped = 0;
    for (size_t n = 0; n < STEPS * STEPS * STEPS * STEPS * STEPS * 2; n++) {
        size_t pick = n / 2;
        struct retention r = {.base_index = steps[pick % STEPS], .bytes_max = 1000, .log_bytes = n % 2 == 0 ? 10 : 4000};
        r.image_index = r.base_index + steps[pick / STEPS % STEPS];
        r.last_index = r.image_index + steps[pick / STEPS / STEPS % STEPS];
        r.lowest_match = r.base_index + steps[pick / STEPS / STEPS / STEPS % STEPS];
        r.sending_index = r.base_index + steps[pick / STEPS / STEPS / STEPS / STEPS];
        raft_index limit = retention_limit(&r);
        assert_true(limit >= r.base_index);
        if (limit > r.base_index) {
            assert_true(limit + RETAINED_ENTRIES <= r.image_index && limit <= r.sending_index);
            assert_true(limit <= r.lowest_match || r.log_bytes > r.bytes_max);
            dropped++;
        }
    }
    assert_in_range(dropped, 100, STEPS * STEPS * STEPS * STEPS * STEPS * 2);
}

// A member that lags keeps what it lacks, unless the log would be too long: then it keeps what there is room for.
static void TestRetentionOfALongLog(void **state) {
    (void)state;
    enum { LAST = 4 * RETAINED_ENTRIES };
    struct retention r = {.image_index = LAST,
                          .last_index = LAST,
                          .log_bytes = 1000,
                          .bytes_max = 1000,
                          .lowest_match = 5,
                          .sending_index = UINT64_MAX};
    assert_int_equal(retention_limit(&r), 5);
    r.bytes_max = 500;
    assert_int_equal(retention_limit(&r), LAST / 2);
    r.lowest_match = LAST / 2 + 7;
    assert_int_equal(retention_limit(&r), LAST / 2 + 7);
    r.bytes_max = 10;
    assert_int_equal(retention_limit(&r), LAST - RETAINED_ENTRIES);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRetentionOfALongLog),
    cmocka_unit_test(TestRetentionOfAShortLog),
    cmocka_unit_test(TestRetentionBounds),
};

UNIT_MAIN(tests)
