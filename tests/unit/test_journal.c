// The journal: what is kept of each group, what counts as the same, and what is cut.
#include <stdio.h>
#include <stdlib.h>

#include "base/journal.h"
#include "unit.h"

static void assert_slice_str(struct slice found, const char *expected) {
    assert_true(slice_equal(found, slice_of_str(expected)));
}

static void add(struct journal *journal, size_t group, int64_t now_ms, const char *event, const char *worker) {
    journal_add(journal, group, now_ms, 3, event, "a message", &F_STR("worker", worker), 1);
}

static const struct journal_record **list(const struct journal *journal) {
    const struct journal_record **records = mem_alloc((journal_count(journal) + 1) * sizeof(struct journal_record *));
    journal_list(journal, records);
    return records;
}

static void TestJournalGroups(void **state) {
    (void)state;
    struct journal *journal = journal_new(2, 4);
    assert_int_equal(journal_count(journal), 0);
    add(journal, 0, 1000, "elected", "");
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        add(journal, 1, 2000 + i, "lost", name);
    }
    assert_int_equal(journal_count(journal), 5);  // a flood of one group leaves the other
    const struct journal_record **records = list(journal);
    assert_string_equal(records[0]->event, "elected");
    assert_int_equal(records[0]->term, 3);
    assert_string_equal(records[0]->message, "a message");
    for (size_t i = 1; i <= 4; i++) {
        assert_int_equal(records[i]->number, 97 + i);
        assert_int_equal(records[i]->first_ms, 2095 + i);
    }
    assert_slice_str(journal_value(records[4], "worker"), "w99");
    assert_int_equal(journal_value(records[4], "w").len, 0);
    free(records);
    journal_free(journal);
}

static void TestJournalCountsWhatIsAlike(void **state) {
    (void)state;
    struct journal *journal = journal_new(2, 100);
    for (int i = 0; i < 50; i++) {
        add(journal, 0, i, "asked", "n1");
        add(journal, 0, i, "asked", "n2");
        add(journal, 1, i, "asked", "n1");
    }
    const struct journal_record **records = list(journal);
    assert_int_equal(journal_count(journal), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(records[i]->count, 50);
        assert_int_equal(records[i]->first_ms, 0);
        assert_int_equal(records[i]->last_ms, 49);
    }
    free(records);
    // Of another term, event or field, or after more than a few others, it is another one.
    journal_add(journal, 1, 60, 4, "asked", "a message", &F_STR("worker", "n1"), 1);
    add(journal, 1, 60, "granted", "n1");
    journal_add(journal, 1, 60, 3, "asked", "a message", &F_STR("peer", "n1"), 1);
    journal_add(journal, 1, 60, 3, "asked", "another", &F_STR("worker", "n1"), 1);
    journal_add(journal, 1, 60, 3, "asked", "a message", NULL, 0);
    struct slog_field split[] = {F_STR("worker", "n"), F_STR("x", "1")};
    journal_add(journal, 1, 60, 3, "asked", "a message", split, 2);
    assert_int_equal(journal_count(journal), 9);
    for (int i = 0; i < 10; i++) {
        add(journal, 0, 70, "other", (const char *[]){"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}[i]);
    }
    add(journal, 0, 80, "asked", "n1");
    assert_int_equal(journal_count(journal), 20);
    journal_free(journal);
}

static void TestJournalCuts(void **state) {
    (void)state;
    struct journal *journal = journal_new(1, 4);
    char message[3 * JOURNAL_MESSAGE_MAX], value[3 * JOURNAL_VALUES_MAX];
    for (size_t i = 0; i + 3 < sizeof message; i += 3) {
        memcpy(message + i, "\xe2\x82\xac", 4);
    }
    for (size_t i = 0; i + 4 < sizeof value; i += 4) {
        memcpy(value + i, "\xf0\x9f\x98\x80", 5);
    }
    struct slog_field fields[JOURNAL_FIELDS_MAX + 2] = {F_U64("number", UINT64_MAX),
                                                        F_I64("signed", -5),
                                                        F_BOOL("yes", true),
                                                        F_DOUBLE("half", 0.5),
                                                        F_BYTES("bad", slice_of("a\xff", 2)),
                                                        F_STR("none", NULL),
                                                        F_STR("long", value),
                                                        F_STR("after", "x"),
                                                        F_STR("ninth", "x"),
                                                        F_STR("tenth", "x")};
    journal_add(journal, 0, 1, 1, "e", message, fields, ARRAY_COUNT(fields));
    const struct journal_record **records = list(journal);
    assert_int_equal(strlen(records[0]->message), (JOURNAL_MESSAGE_MAX - 1) / 3 * 3);
    assert_slice_str(journal_value(records[0], "number"), "18446744073709551615");
    assert_slice_str(journal_value(records[0], "signed"), "-5");
    assert_slice_str(journal_value(records[0], "yes"), "true");
    assert_slice_str(journal_value(records[0], "half"), "0.5");
    assert_slice_str(journal_value(records[0], "bad"), "?");
    assert_int_equal(journal_value(records[0], "none").len, 0);
    struct slice cut = journal_value(records[0], "long");
    assert_int_equal(cut.len % 4, 0);
    assert_in_range(cut.len, JOURNAL_VALUES_MAX - 64, JOURNAL_VALUES_MAX);
    assert_int_equal(records[0]->field_count, JOURNAL_FIELDS_MAX);
    free(records);
    journal_free(journal);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestJournalGroups),
    cmocka_unit_test(TestJournalCountsWhatIsAlike),
    cmocka_unit_test(TestJournalCuts),
};

UNIT_MAIN(tests)
