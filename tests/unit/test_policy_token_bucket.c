// Limits on rates: policy/token_bucket.h.
#include "policy/token_bucket.h"
#include "random.h"
#include "unit.h"

#define SECOND UINT64_C(1000000000)

// A full bucket at once, then one by one at the rate; who waits as long as he is told is let through.
static void TestTokenBucketRate(void **state) {
    (void)state;
    uint64_t used = 0;
    uint64_t wait = 0;
    uint64_t now = 77 * SECOND;
    for (int i = 0; i < 10; i++) {
        assert_true(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
    }
    uint64_t before = used;
    assert_false(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
    assert_int_equal(wait, SECOND / 10);
    assert_int_equal(used, before);
    assert_false(token_bucket_take(&used, 10, SECOND, 1, now + wait - 1, &wait));
    assert_int_equal(wait, 1);
    now += SECOND / 10;
    assert_true(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
    assert_false(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
    now += 100 * SECOND;  // what was not used for long is no more than a full bucket
    for (int i = 0; i < 10; i++) {
        assert_true(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
    }
    assert_false(token_bucket_take(&used, 10, SECOND, 1, now, &wait));
}

// More than fits the bucket gets through when that is full, however much it is.
static void TestTokenBucketLargeAmounts(void **state) {
    (void)state;
    static const uint64_t amounts[] = {1000, 1001, 4194304, UINT64_MAX / SECOND, UINT64_MAX};
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        uint64_t used = 0;
        uint64_t wait = 0;
        assert_true(token_bucket_take(&used, 1000, SECOND, amounts[i], 5 * SECOND, &wait));
        assert_false(token_bucket_take(&used, 1000, SECOND, 1, 5 * SECOND, &wait));
        assert_true(wait > 0 && wait <= SECOND);
        assert_true(token_bucket_take(&used, 1000, SECOND, amounts[i], 6 * SECOND, &wait));
    }
}

// By seed: over any time no more than the bucket and the rate allow, and no less if there is always more to take.
static void TestTokenBucketKeepsTheRate(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestTokenBucketKeepsTheRate");
    for (int round = 0; round < 100; round++) {
        uint64_t rate = 1 + random_below(&seed, 100000);
        uint64_t used = 0;
        uint64_t wait = 0;
        uint64_t begin = random_below(&seed, 1000) * SECOND;
        uint64_t now = begin;
        uint64_t taken = 0;
        for (int i = 0; i < 1000; i++) {
            uint64_t amount = 1 + random_below(&seed, rate);
            if (token_bucket_take(&used, rate, SECOND, amount, now, &wait)) {
                taken += amount;
            } else {
                now += wait;
            }
            double most = (double)rate * (1.0 + (double)(now - begin) / (double)SECOND);
            assert_true((double)taken <= most + 0.001 * (double)taken + 1000);
        }
        double least = (double)rate * (double)(now - begin) / (double)SECOND;
        assert_true((double)taken >= 0.99 * least);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestTokenBucketRate),
    cmocka_unit_test(TestTokenBucketLargeAmounts),
    cmocka_unit_test(TestTokenBucketKeepsTheRate),
};

UNIT_MAIN(tests)
