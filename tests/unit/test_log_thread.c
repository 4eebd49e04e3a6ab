// What the log's thread tells the loop's: wal/wal.h.
#include "unit.h"
#include "wal/wal.c"  // what is published, which no header shows

// Of the writes that were handed over those count that are durable: a term or vote on a disk that is full is not.
static void TestLogTellsWhatIsDurable(void **state) {
    (void)state;
    struct wal_writer writer = {
        .pushed_write = 9, .durable_write = 4, .durable_hard_state_write = 6, .condition = WAL_FULL, .batches = 2};
    struct wal wal = {.writer = &writer};
    assert_true(publish(&wal));
    assert_int_equal(wal.status.durable_write, 4);
    assert_int_equal(wal.status.durable_hard_state_write, 6);
    assert_int_equal(wal.status.condition, WAL_FULL);
    assert_false(publish(&wal));  // nothing new
    writer.durable_hard_state_write = 7;
    assert_true(publish(&wal));
    assert_int_equal(wal.status.durable_hard_state_write, 7);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogTellsWhatIsDurable),
};

UNIT_MAIN(tests)
