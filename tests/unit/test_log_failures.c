// The log on disks that are full, fail, write short, or refuse O_DIRECT.
#include <errno.h>
#include <fcntl.h>

#include "base/array.h"
#include "log_fixture.h"
#include "unit.h"

// A new log of one batch: term 1 and three entries.
static void log_begin(struct log *log, struct disk *disk, uint64_t segment_bytes) {
    log_init(log, disk, segment_bytes);
    assert_int_equal(log_open(log), OK);
    log_push(log, 1, "n1", 1, 3, 100);
    log_run(log);
}

// Closed, as log_close, and opened again.
static void assert_holds_again(struct log *log, bool trim, const struct model *model) {
    log_close(log, trim);
    assert_int_equal(log_open(log), OK);
    assert_true(model_holds(model, &log->recovered));
}

static void run_out_of_space(uint64_t segment_bytes) {
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_begin(&log, &disk, segment_bytes);
    assert_int_equal(log.writer->durable_write, 1);
    disk.space = disk_bytes(&disk, SEGMENT_1).len + 1000;

    // Entries go on until only the reserve is left; the last of them has a term of its own.
    for (raft_term term = 2; log.writer->condition == WAL_GOOD; term++) {
        assert_in_range(term, 2, 200);
        log_push(&log, term, "", log.model.count + 1, 1, 1000);
        log_run(&log);
    }
    uint64_t durable = log.write - 1;
    assert_int_equal(log.writer->condition, WAL_FULL);
    assert_int_equal(log.writer->error.code, ERR_NO_SPACE);
    assert_int_equal(log.writer->durable_write, durable);
    assert_int_equal(log.writer->durable_hard_state_write, log.write);
    for (int votes = 0; votes < 300; votes++) {
        log_push(&log, log.model.term + 1, "n3", 0, 0, 0);
        log_run(&log);
        assert_int_equal(log.writer->condition, WAL_FULL);
        assert_int_equal(log.writer->durable_write, durable);
        assert_int_equal(log.writer->durable_hard_state_write, log.write);
    }
    struct model full = log.model;
    full.count--;

    // A crash now: the votes are there, of the last entry nothing.
    struct disk image;
    disk_init(&image, 1);
    disk_copy(&image, &disk);
    struct log again;
    log_init(&again, &image, segment_bytes);
    assert_int_equal(log_open(&again), OK);
    assert_true(model_holds(&full, &again.recovered));
    log_free(&again);
    disk_free(&image);

    // Space, but it is not yet time to look again; then it is.
    disk.space = UINT64_MAX;
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FULL);
    disk.now_us = wal_writer_retry_us(log.writer);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_GOOD);
    assert_int_equal(log.writer->durable_write, log.write);
    assert_int_equal(log_close(&log, true), OK);
    assert_int_equal(log_open(&log), OK);
    assert_true(model_holds(&log.model, &log.recovered));
    log_free(&log);
    disk_free(&disk);
}

static void TestLogNoSpace(void **state) {
    (void)state;
    run_out_of_space(0);
    run_out_of_space(8 * KIB);  // at a segment's end, where only the next one would have room
}

// Votes take the reserve to its last bytes, where no whole block is left to write, and go on when there is space.
static void TestLogNoSpaceForVotes(void **state) {
    (void)state;
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_begin(&log, &disk, 0);
    log_close(&log, false);
    struct buf file = {0};
    buf_append_slice(&file, disk_bytes(&disk, SEGMENT_1));
    disk_put(&disk, SEGMENT_1, slice_of(file.data, file.len - 1000));
    buf_free(&file);
    disk.space = disk_bytes(&disk, SEGMENT_1).len;
    assert_int_equal(log_open(&log), OK);
    uint64_t votes = 0;
    for (; log.writer->durable_hard_state_write == log.write; votes++) {
        assert_in_range(votes, 0, 2000);
        log_push(&log, log.model.term + 1, "n3", 0, 0, 0);
        log_run(&log);
    }
    assert_in_range(votes, 300, 2000);
    assert_int_equal(log.writer->condition, WAL_FULL);
    assert_int_equal(disk_bytes(&disk, SEGMENT_1).len, disk.space);
    disk.space = UINT64_MAX;
    disk.now_us = wal_writer_retry_us(log.writer);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_GOOD);
    log_append(&log, 3, 1000);
    log_run(&log);
    assert_int_equal(log.writer->durable_write, log.write);
    assert_holds_again(&log, false, &log.model);
    log_free(&log);
    disk_free(&disk);
}

// The disk fills up while the node does not run, and it stops and starts again meanwhile, in order or killed: it still
// votes.
static void TestLogReserveOutlastsStops(void **state) {
    (void)state;
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_begin(&log, &disk, 0);
    log_run(&log);
    assert_int_equal(log_close(&log, true), OK);
    size_t size = disk_bytes(&disk, SEGMENT_1).len;
    assert_in_range(size, WAL_RESERVE_BYTES, WAL_RESERVE_BYTES + 4 * KIB);
    disk.space = size;
    for (int start = 0; start < 20; start++) {
        assert_int_equal(log_open(&log), OK);
        for (int votes = 0; votes < 10; votes++) {
            log_push(&log, log.model.term + 1, "n3", 0, 0, 0);
            log_run(&log);
            assert_int_equal(log.writer->durable_hard_state_write, log.write);
        }
        assert_int_equal(log.writer->condition, WAL_FULL);
        assert_int_equal(log_close(&log, start % 2 == 0), ERR_NO_SPACE);
        assert_int_equal(disk_bytes(&disk, SEGMENT_1).len, size);
    }
    assert_int_equal(log_open(&log), OK);
    assert_true(model_holds(&log.model, &log.recovered));
    // An entry waits for space, and a stop before the disk was found full takes nothing of the reserve.
    assert_int_equal(log_close(&log, true), OK);
    assert_int_equal(log_open(&log), OK);
    log_append(&log, 1, 100);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FULL);
    assert_int_equal(log.writer->durable_write, 0);
    disk.space = UINT64_MAX;
    disk.now_us = wal_writer_retry_us(log.writer);
    log_run(&log);
    assert_int_equal(log.writer->durable_write, log.write);
    assert_holds_again(&log, true, &log.model);
    log_free(&log);
    disk_free(&disk);
}

// A copy-on-write file system runs out of space in the middle of a batch: what was written of it is blanked.
static void run_out_in_batch(enum disk_direct direct, size_t after) {
    struct disk disk;
    disk_init(&disk, 1);
    disk.direct = direct;
    struct log log;
    log_begin(&log, &disk, 0);
    struct buf before = {0};
    buf_append_slice(&before, disk_bytes(&disk, SEGMENT_1));
    disk.writes = 0;
    disk.fail_write_at = 1;
    disk.fail_after = after;
    disk.fail_errno = ENOSPC;
    log_append(&log, 3, 3000);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FULL);
    assert_int_equal(log.writer->durable_write, 1);
    assert_true(slice_equal(buf_slice(&before), disk_bytes(&disk, SEGMENT_1)));
    disk.now_us += US_PER_S;
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_GOOD);
    assert_int_equal(log.writer->durable_write, 2);
    assert_holds_again(&log, false, &log.model);
    buf_free(&before);
    log_free(&log);
    disk_free(&disk);
}

static void TestLogNoSpaceInBatch(void **state) {
    (void)state;
    for (size_t after = 0; after < 12000; after += 500) {
        run_out_in_batch(DISK_NO_DIRECT, after);
    }
    for (size_t after = 0; after < 3 * WAL_BLOCK; after += WAL_BLOCK) {
        run_out_in_batch(DISK_DIRECT, after);
    }
}

// And if that does not go either, what lies there would be taken for damage one day: the process must not go on.
static void TestLogNoSpaceCannotBlank(void **state) {
    (void)state;
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_begin(&log, &disk, 0);
    disk.fail_write_at = 1;
    disk.fail_after = 500;
    disk.fail_errno = ENOSPC;
    disk.fail_sync_at = 2;  // of those first bytes, then of the newlines over them
    log_append(&log, 3, 3000);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FAILED);
    assert_int_equal(log.writer->error.code, ERR_IO);
    assert_string_equal(log.writer->error.message,
                        "blanking wal/0000000000000001.jsonl: No space left on device; free some space, the log then "
                        "continues by itself, or when a node that has ended is started again");
    log_free(&log);
    disk_free(&disk);
}

// A vote that goes ahead of entries on a full disk may fail for good, too.
static void TestLogNoSpaceThenFails(void **state) {
    (void)state;
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_begin(&log, &disk, 0);
    disk.space = disk_bytes(&disk, SEGMENT_1).len;
    for (uint64_t write = 2; log.writer->condition == WAL_GOOD; write++) {
        assert_in_range(write, 2, 200);
        log_append(&log, 1, 10000);
        log_run(&log);
    }
    assert_int_equal(log.writer->condition, WAL_FULL);
    uint64_t hard_state_write = log.writer->durable_hard_state_write;
    disk.fail_errno = EIO;
    disk.fail_sync_at = 1;
    log_push(&log, 2, "n3", 0, 0, 0);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FAILED);
    assert_int_equal(log.writer->durable_hard_state_write, hard_state_write);
    log_free(&log);
    disk_free(&disk);
}

static void expect_failed_for_good(struct log *log, uint64_t durable) {
    log_run(log);
    assert_int_equal(log->writer->condition, WAL_FAILED);
    assert_int_equal(log->writer->error.code, ERR_IO);
    assert_int_equal(log->writer->durable_write, durable);
    uint64_t calls = log->disk->calls;
    log_append(log, 1, 10);
    log->disk->now_us += 10 * US_PER_S;
    assert_false(wal_writer_step(log->writer));
    assert_false(wal_writer_prepare(log->writer, true));
    assert_int_equal(log->writer->durable_write, durable);
    assert_int_equal(log->disk->calls, calls);
    struct error failed = log->writer->error;
    assert_int_equal(log_close(log, true), ERR_IO);
    assert_string_equal(log->error.message, failed.message);
}

static void TestLogSyncFails(void **state) {
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct disk disk;
        disk_init(&disk, 1);
        struct log log;
        log_begin(&log, &disk, 0);
        disk.fail_errno = EIO;
        disk.fail_sync_at = what == 0 ? 1 : 0;
        disk.fail_write_at = what == 1 ? 1 : 0;
        if (what == 2) {  // the filling's sync
            disk.fail_sync_at = 1;
            assert_true(wal_writer_prepare(log.writer, true));
        } else {
            log_append(&log, 3, 700);
        }
        expect_failed_for_good(&log, 1);

        // The process starts again and finds the batch whole, but nowhere but in memory. It must not build on that: after
        // the next power failure everything it has said must still be there.
        assert_int_equal(log_open(&log), OK);
        disk.seed = 7;
        struct model found = log.model;
        found.count = log.recovered.log.count;
        assert_true(model_holds(&found, &log.recovered));
        disk_crash(&disk);
        assert_holds_again(&log, false, &found);
        log_free(&log);
        disk_free(&disk);
    }
}

static void write_piecemeal(enum disk_direct direct, size_t step) {
    struct disk disk;
    disk_init(&disk, 1);
    disk.direct = direct;
    struct log log;
    log_init(&log, &disk, 8 * KIB);
    disk.eintr = 5;
    disk.short_max = 0;
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 3, 100);
    log_run(&log);  // files are made in one piece, or byte by byte would take too long
    disk.short_max = step;
    log_append(&log, 4, 500);
    log_append(&log, 2, 0);
    log_run(&log);
    disk.short_max = step < 100 ? 0 : step;
    log_append(&log, 4, 3000);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_GOOD);
    assert_int_equal(log.writer->durable_write, log.write);
    log_close(&log, true);
    disk.short_max = step;
    assert_int_equal(log_open(&log), OK);
    assert_true(model_holds(&log.model, &log.recovered));
    log_free(&log);
    disk_free(&disk);
}

static void TestLogShortWrites(void **state) {
    (void)state;
    static const size_t steps[] = {1, 7, 511, 4096, 8192};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        write_piecemeal(DISK_DIRECT, steps[i]);
        write_piecemeal(DISK_NO_DIRECT, steps[i]);
    }
}

// A file system may refuse O_DIRECT when a file is opened, or only when it is written: then everything goes through the page
// cache. Otherwise what is written is the same, byte by byte.
static void TestLogDirect(void **state) {
    (void)state;
    struct disk disks[DISK_NO_DIRECT + 1];
    for (int direct = DISK_DIRECT; direct <= DISK_NO_DIRECT; direct++) {
        struct disk *disk = &disks[direct];
        disk_init(disk, 1);
        disk->direct = (enum disk_direct)direct;
        struct log log;
        log_init(&log, disk, 64 * KIB);
        assert_int_equal(log_open(&log), OK);
        log_push(&log, 1, "n1", 1, 3, 100);
        log_run(&log);
        for (uint32_t len = 0; len < 4200; len += 300) {  // ends all over a block
            while (wal_writer_prepare(log.writer, true)) {
            }
            uint64_t transfers = disk->transfers;
            log_append(&log, 2, len);
            log_run(&log);
            assert_true(direct == DISK_DIRECT_CLAIMS || disk->transfers == transfers + 1);
        }
        if (direct == DISK_DIRECT) {
            assert_true(disk->direct_writes > 15);  // each batch, and filling
        }
        assert_holds_again(&log, false, &log.model);
        log_append(&log, 2, 10);  // after an end that must be read first
        log_run(&log);
        assert_holds_again(&log, true, &log.model);
        log_free(&log);
    }
    assert_true(disks[DISK_DIRECT_CLAIMS].direct_writes > 0);
    assert_int_equal(disks[DISK_NO_DIRECT].direct_writes, 0);
    assert_true(disk_equal(&disks[DISK_DIRECT], &disks[DISK_NO_DIRECT]));
    assert_true(disk_equal(&disks[DISK_DIRECT_CLAIMS], &disks[DISK_NO_DIRECT]));
    for (int direct = DISK_DIRECT; direct <= DISK_NO_DIRECT; direct++) {
        disk_free(&disks[direct]);
    }
}

// A directory whose rejoin was interrupted has no log for a while. It is never taken for a new one, whatever cannot be
// opened.
static void TestLogBetweenGenerations(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    disk.fail_errno = EIO;
    disk.io.make_dir(&disk, AT_FDCWD, "data", 0);
    disk.io.make_dir(&disk, AT_FDCWD, "data/rejoin", 0);
    log_init(&log, &disk, 0);
    bool failed = true;
    for (uint64_t at = 1; failed; at++) {
        disk.opened = 0;
        disk.fail_open_at = at;
        enum error_code code = log_open(&log);
        failed = disk.fail_open_at == 0;
        assert_int_equal(code, failed ? ERR_IO : ERR_INVALID);
        assert_int_equal(disk_open_files(&disk), 0);
    }
    assert_non_null(strstr(log.error.message, "data is between two generations: batond --rejoin was interrupted"));
    log_free(&log);
    disk_free(&disk);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogNoSpace),
    cmocka_unit_test(TestLogNoSpaceForVotes),
    cmocka_unit_test(TestLogReserveOutlastsStops),
    cmocka_unit_test(TestLogReserveOutlastsStops),
    cmocka_unit_test(TestLogNoSpaceInBatch),
    cmocka_unit_test(TestLogNoSpaceCannotBlank),
    cmocka_unit_test(TestLogNoSpaceThenFails),
    cmocka_unit_test(TestLogSyncFails),
    cmocka_unit_test(TestLogShortWrites),
    cmocka_unit_test(TestLogDirect),
    cmocka_unit_test(TestLogBetweenGenerations),
};

UNIT_MAIN(tests)
