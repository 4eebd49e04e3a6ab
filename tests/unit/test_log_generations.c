// A log's incarnation, which stays, and its generation, which only rises and is durable with what is written under it. On a
// disk in memory, with a crash at every call.
#include "base/array.h"
#include "log_model.h"
#include "unit.h"

enum { SEGMENT = 16 * KIB };

static void TestLogIncarnationStays(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 30);
    log_close(&log, false);
    log_open_after(&log, (struct raft_entry_id){0}, 0);
    assert_string_equal(log.recovered.incarnation, INCARNATION);
    assert_int_equal(log.recovered.generation, 1);
    log_close(&log, false);
    log.incarnation = "ffffffffffffffffffffffffffffffff";  // another start draws another one, for a new directory only
    log_open_after(&log, (struct raft_entry_id){0}, 0);
    assert_string_equal(log.recovered.incarnation, INCARNATION);
    log_end(&log, &disk);
}

static void raise_and_append(struct log *log) {
    wal_writer_raise_generation(log->writer, 2);
    log_append(log, 1, 50);
    log_run(log);
}

// There is no generation 0, whatever is asked for.
static void TestLogFirstGeneration(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    log_init(&log, &disk, SEGMENT);
    log.generation = 0;
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 1, 10);
    log_run(&log);
    log_close(&log, false);
    log_open_after(&log, (struct raft_entry_id){0}, 0);
    assert_int_equal(log.recovered.generation, 1);
    log_check_holds(&log);
    log_end(&log, &disk);
}

static void TestLogGenerationRises(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 3);
    uint64_t segment = log.writer->current.number;
    wal_writer_raise_generation(log.writer, 2);
    log_close(&log, false);
    log_open_after(&log, (struct raft_entry_id){0}, 0);
    assert_int_equal(log.recovered.generation, 1);  // nothing was written
    raise_and_append(&log);
    assert_int_equal(log.writer->current.number, segment + 1);
    log_append(&log, 1, 50);
    log_run(&log);
    assert_int_equal(log.writer->current.number, segment + 1);  // once
    log_close(&log, false);
    log_open_after(&log, (struct raft_entry_id){0}, 0);  // the options say 1
    assert_int_equal(log.recovered.generation, 2);
    log_check_holds(&log);
    log_append(&log, 1, 50);
    log_run(&log);
    assert_int_equal(log.writer->current.number, segment + 1);
    wal_writer_raise_generation(log.writer, 1);  // it never falls
    for (size_t i = 0; i < 15; i++) {
        log_append(&log, 1, 1000);
        log_run(&log);
    }
    assert_int_equal(log.writer->current.number, segment + 2);
    log_close(&log, true);
    log_open_after(&log, (struct raft_entry_id){0}, 0);
    assert_int_equal(log.recovered.generation, 2);
    log_check_holds(&log);
    log_end(&log, &disk);
}

// A node without a log says who it is only once that is durable: a crash at any call leaves a directory that has either no
// incarnation yet or the one that was drawn first, and that starts.
static void TestLogBeginCrash(void **state) {
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct disk disk;
            struct log log;
            disk_init(&disk, seed);
            log_init(&log, &disk, SEGMENT);
            disk.crash_at = call;
            bool told = log_open(&log) == OK && wal_writer_begin(log.writer, &log.error) == OK;
            finished = !disk.dead;
            disk_crash(&disk);
            log_close(&log, false);
            log.incarnation = "ffffffffffffffffffffffffffffffff";
            log_open_after(&log, (struct raft_entry_id){0}, 0);
            assert_true(!told || strcmp(log.recovered.incarnation, INCARNATION) == 0);
            assert_int_equal(log.recovered.log.count, 0);
            assert_int_equal(log.recovered.log.hard_state.current_term, 0);
            char first[INCARNATION_DIGITS + 1];
            strcpy(first, log.recovered.incarnation);
            if (log.recovered.empty) {
                assert_int_equal(wal_writer_begin(log.writer, &log.error), OK);
            }
            log_push(&log, 3, "n2", 1, 2, 100);  // its first leader's
            log_run(&log);
            log_close(&log, seed % 2 == 0);
            disk_crash(&disk);
            log_open_after(&log, (struct raft_entry_id){0}, 0);
            assert_string_equal(log.recovered.incarnation, first);
            log_check_holds(&log);
            log_end(&log, &disk);
        }
    }
}

// A power loss at any call leaves the entry with its generation, or neither.
static void TestLogGenerationCrash(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        bool whole = false;
        for (uint64_t at = 1; !whole; at++) {
            struct disk disk;
            struct log log;
            log_begin(&log, &disk, SEGMENT, 3);
            disk.seed = seed;
            disk.crash_at = disk.calls + at;
            raise_and_append(&log);
            whole = !disk.dead;
            bool durable = log.writer->last.index == 4;
            log_close(&log, false);
            disk_crash(&disk);
            log_open_after(&log, (struct raft_entry_id){0}, 0);
            assert_int_equal(log.recovered.generation, 1 + (log.recovered.log.count == 4));
            assert_true(log.recovered.log.count == 4 || (log.recovered.log.count == 3 && !durable));
            log_end(&log, &disk);
        }
    }
}

// What founds is an entry and its term (node/found.h), behind `entries` others.
static void open_to_found(struct log *log, struct disk *disk, size_t entries, bool begun, uint64_t generation) {
    if (entries > 0) {
        log_begin(log, disk, SEGMENT, entries);
    } else {
        disk_init(disk, 1);
        log_init(log, disk, SEGMENT);
        assert_int_equal(log_open(log), OK);
    }
    if (begun) {
        assert_int_equal(wal_writer_begin(log->writer, &log->error), OK);
        log_close(log, true);  // which leaves no filling but what a term needs
        log_open_after(log, (struct raft_entry_id){0}, 0);
    }
    wal_writer_raise_generation(log->writer, generation);
}

static void check_copy(const struct disk *disk, const struct model *model, uint64_t generation) {
    struct disk copy;
    struct log again;
    disk_init(&copy, 1);
    disk_copy(&copy, disk);
    log_init(&again, &copy, SEGMENT);
    log_open_after(&again, (struct raft_entry_id){0}, 0);
    assert_true(model_holds(model, &again.recovered));
    assert_int_equal(again.recovered.generation, generation);
    log_end(&again, &copy);
}

// True: there was room for the entry.
static bool found_with_room(size_t entries, bool begun, uint64_t generation, uint64_t room) {
    struct disk disk;
    struct log log;
    open_to_found(&log, &disk, entries, begun, generation);
    struct model before = log.model;
    uint64_t generation_before = log.writer->last_generation;
    disk.space = disk_used(&disk) + room;
    log_push(&log, (raft_term)1 << 20, "", entries + 1, 1, 1000);
    log_run(&log);
    bool founded = log.writer->condition == WAL_GOOD;
    assert_int_equal(log.writer->durable_write, founded ? log.write : log.write - 1);
    assert_int_equal(log.writer->durable_hard_state_write, log.writer->durable_write);
    check_copy(&disk, founded ? &log.model : &before, founded ? generation : generation_before);
    disk.space = UINT64_MAX;
    disk.now_us = wal_writer_retry_us(log.writer);
    log_run(&log);
    check_copy(&disk, &log.model, generation);
    log_end(&log, &disk);
    return founded;
}

// However little room the disk has, the log either has the entry that founds, or it is what it was: neither of a generation
// that nobody founded, nor in a term that it does not need. It goes on when there is room.
static void TestLogFoundingWithoutSpace(void **state) {
    (void)state;
    static const struct {
        size_t entries;
        bool begun;
        uint64_t generation;
    } logs[] = {
        {.entries = 0, .begun = false, .generation = 1},   // batond --bootstrap
        {.entries = 0, .begun = true, .generation = 1},    // the same where a node has waited to be added
        {.entries = 0, .begun = false, .generation = 2},   // batond --restore
        {.entries = 3, .begun = false, .generation = 2},   // batond --promote-survivor
        {.entries = 11, .begun = false, .generation = 2},  // the same, where the segment is full
    };
    for (size_t i = 0; i < ARRAY_COUNT(logs); i++) {
        size_t founded = 0;
        size_t rooms = 0;
        for (uint64_t room = 0; room <= 256 * KIB; room += 4 * KIB) {
            founded += found_with_room(logs[i].entries, logs[i].begun, logs[i].generation, room);
            rooms++;
        }
        assert_in_range(founded, 1, rooms - 1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogIncarnationStays), cmocka_unit_test(TestLogFirstGeneration),
    cmocka_unit_test(TestLogGenerationRises),  cmocka_unit_test(TestLogBeginCrash),
    cmocka_unit_test(TestLogGenerationCrash),  cmocka_unit_test(TestLogFoundingWithoutSpace),
};

UNIT_MAIN(tests)
