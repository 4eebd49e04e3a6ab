// bench/ledger.h: what a change may be, and what a ledger says of one that nobody wrote, that is lost, that comes twice or
// out of order.
#include "base/mem.h"
#include "bench/ledger.h"
#include "scratch.h"
#include "unit.h"

enum { KEYS = LEDGER_KEYS_MIN, SIZE = LEDGER_VALUE_MIN };

struct fixture {
    char directory[64];
    char path[80];
    struct ledger ledger;
    struct writer_work work;
};

static int begin(void **state) {
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    struct error error;
    scratch_make(fixture->directory, sizeof fixture->directory, SCRATCH_MEMORY);
    snprintf(fixture->path, sizeof fixture->path, "%s/ledger", fixture->directory);
    assert_int_equal(ledger_open(&fixture->ledger, fixture->path, "k-", KEYS, SIZE, &error), OK);
    fixture->work = ledger_work(&fixture->ledger);
    *state = fixture;
    return 0;
}

static int end(void **state) {
    struct fixture *fixture = *state;
    struct error error;
    assert_int_equal(ledger_close(&fixture->ledger, fixture->path, &error), OK);
    unlink(fixture->path);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

// Makes write `sequence`, acknowledges it, and gives the change that it was.
static struct pb_watch_event written(struct fixture *fixture, uint64_t sequence, uint64_t revision) {
    static char key[64];
    static char value[SIZE];
    struct pb_put_request put = {.has_expected_revision = false};
    fixture->work.make(&fixture->ledger, sequence, &put);
    fixture->work.acknowledged(&fixture->ledger,
                               &(struct writer_ack){.sequence = sequence, .revision = revision, .acked_us = 1});
    memcpy(key, put.key.data, put.key.len);
    memcpy(value, put.value.data, put.value.len);
    return (struct pb_watch_event){.type = PB_WATCH_EVENT_TYPE_PUT,
                                   .key = slice_of(key, put.key.len),
                                   .value = slice_of(value, put.value.len),
                                   .revision = revision};
}

static void changed(struct fixture *fixture, struct pb_watch_event event) {
    fixture->work.changed(&fixture->ledger, &event);
}

static void assert_fault(struct fixture *fixture, const char *words) {
    assert_true(fixture->work.is_over(&fixture->ledger));
    if (strstr(fixture->ledger.fault.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", fixture->ledger.fault.message, words);
    }
}

static void TestLedgerTakesEveryWriteOnce(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t sequence = 1; sequence <= 3 * KEYS; sequence++) {
        changed(fixture, written(fixture, sequence, sequence + 10));
    }
    assert_false(fixture->work.is_over(&fixture->ledger));
    assert_int_equal(fixture->ledger.watched, 3 * KEYS);
}

// The value that tests/year/test_year.py makes, too.
static void TestLedgerMakesTheSameValues(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t sequence = 1; sequence < 3 * KEYS; sequence++) {
        written(fixture, sequence, sequence + 10);
    }
    struct pb_put_request put = {.has_expected_revision = false};
    fixture->work.make(&fixture->ledger, 3 * KEYS, &put);
    assert_memory_equal(put.value.data, "k-2047 3 083791eda9a6a5ab083791eda9a6a5ab", 41);
    assert_memory_equal(put.value.data + SIZE - 3, "91e", 3);
}

static void TestLedgerExpectsEverySecondRevision(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t sequence = 1; sequence <= KEYS; sequence++) {
        written(fixture, sequence, sequence + 10);
    }
    struct pb_put_request put = {.has_expected_revision = false};
    fixture->work.make(&fixture->ledger, KEYS + 5, &put);
    assert_true(put.has_expected_revision);
    assert_int_equal(put.expected_revision, 15);
    for (uint64_t sequence = KEYS + 1; sequence <= 2 * KEYS; sequence++) {
        written(fixture, sequence, sequence + 10);
    }
    fixture->work.make(&fixture->ledger, 2 * KEYS + 5, &put);
    assert_false(put.has_expected_revision);
}

static void TestLedgerFindsAWriteAppliedTwice(void **state) {
    struct fixture *fixture = *state;
    struct pb_watch_event event = written(fixture, 1, 11);
    changed(fixture, event);
    event.revision = 12;
    changed(fixture, event);
    assert_fault(fixture, "applied twice: key k-0, count 1, revision 12");
}

static void TestLedgerFindsALostWrite(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t sequence = 1; sequence <= 2 * KEYS; sequence++) {
        struct pb_watch_event event = written(fixture, sequence, sequence + 10);
        if (sequence != KEYS + 3) {
            changed(fixture, event);
        }
    }
    assert_false(fixture->work.is_over(&fixture->ledger));
    for (uint64_t sequence = 2 * KEYS + 1; sequence <= 2 * KEYS + 3; sequence++) {
        changed(fixture, written(fixture, sequence, sequence + 10));
    }
    assert_fault(fixture, "a write between two was lost: key k-2, count 2,");
}

static void TestLedgerFindsWhatNobodyWrote(void **state) {
    struct fixture *fixture = *state;
    struct pb_watch_event event = written(fixture, 1, 11);
    char value[SIZE];
    memcpy(value, event.value.data, SIZE);
    value[SIZE - 1] ^= 1;
    event.value = slice_of(value, SIZE);
    changed(fixture, event);
    assert_fault(fixture, "in a way that nobody wrote: key k-0");
}

static void TestLedgerFindsADelete(void **state) {
    struct fixture *fixture = *state;
    struct pb_watch_event event = written(fixture, 1, 11);
    event.type = PB_WATCH_EVENT_TYPE_DELETE;
    changed(fixture, event);
    assert_fault(fixture, "in a way that nobody wrote");
}

static void TestLedgerFindsAChangeOutOfOrder(void **state) {
    struct fixture *fixture = *state;
    changed(fixture, written(fixture, 1, 11));
    changed(fixture, written(fixture, 2, 10));
    assert_fault(fixture, "out of order");
}

static void TestLedgerFindsAChangeFromTheFuture(void **state) {
    struct fixture *fixture = *state;
    struct pb_watch_event events[2];
    for (uint64_t sequence = 1; sequence <= KEYS + 1; sequence++) {
        events[sequence > KEYS] = written(fixture, sequence, sequence + 10);
    }
    fixture->ledger.states[0].acknowledged = 0;  // as if neither were written yet
    fixture->ledger.states[0].known = false;
    changed(fixture, events[1]);
    assert_fault(fixture, "before it was written");
}

static void TestLedgerFindsARevisionThatFalls(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t sequence = 1; sequence <= KEYS; sequence++) {
        written(fixture, sequence, sequence + 10);
    }
    written(fixture, KEYS + 1, 11);
    assert_fault(fixture, "no higher than the one before");
}

static void TestLedgerKnowsNothingAfterAGap(void **state) {
    struct fixture *fixture = *state;
    struct pb_watch_event event = written(fixture, 1, 11);
    changed(fixture, event);
    fixture->work.missed(&fixture->ledger);
    event.revision = 12;
    changed(fixture, event);
    assert_false(fixture->work.is_over(&fixture->ledger));
    assert_int_equal(fixture->ledger.missed, 1);
    event.revision = 13;
    changed(fixture, event);
    assert_fault(fixture, "applied twice");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static const struct CMUnitTest tests[] = {
    TEST(TestLedgerTakesEveryWriteOnce),
    TEST(TestLedgerMakesTheSameValues),
    TEST(TestLedgerExpectsEverySecondRevision),
    TEST(TestLedgerFindsAWriteAppliedTwice),
    TEST(TestLedgerFindsALostWrite),
    TEST(TestLedgerFindsWhatNobodyWrote),
    TEST(TestLedgerFindsADelete),
    TEST(TestLedgerFindsAChangeOutOfOrder),
    TEST(TestLedgerFindsAChangeFromTheFuture),
    TEST(TestLedgerFindsARevisionThatFalls),
    TEST(TestLedgerKnowsNothingAfterAGap),
};

UNIT_MAIN(tests)
