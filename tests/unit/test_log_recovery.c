// What the log survives, and what it refuses, on a disk in memory that tears, loses, flips and fails.
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "log_fixture.h"
#include "unit.h"
#include "wal/record.h"

#define SEGMENT_1 "data/wal/0000000000000001.jsonl"
#define SEGMENT_2 "data/wal/0000000000000002.jsonl"

static uint64_t seed_from_environment(void) {
    const char *text = getenv("BATON_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("BATON_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

// A log in which a last batch was written behind others.
struct scene {
    struct disk disk;     // as it is with the last batch
    struct model before;  // without it
    struct model after;   // with it
    const char *path;     // of the segment it is in
    struct buf file;      // that segment's bytes
    uint64_t begin;       // of the last batch
    uint64_t end;
    struct disk scratch;      // for the case at hand
    struct disk before_open;  // the same, for comparison
    struct log log;           // on it
};

// The last batch is of `count` entries of `len` bytes; `opens`: the first one of segment 2.
static void scene_init(struct scene *s, bool opens, size_t count, uint32_t len) {
    memset(s, 0, sizeof *s);
    disk_init(&s->disk, 1);
    struct log log;
    log_init(&log, &s->disk, 16 * KIB);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 3, 100);
    log_run(&log);
    log_append(&log, 5, 700);
    log_run(&log);
    if (opens) {
        log_append(&log, 1, 7000);
        log_run(&log);
    }
    s->before = log.model;
    s->begin = opens ? 0 : log.writer->current.end;
    log_push(&log, 2, "n2", log.model.count + 1, count, len);
    log_run(&log);
    s->after = log.model;
    assert_int_equal(log.writer->current.number, opens ? 2 : 1);
    s->path = opens ? SEGMENT_2 : SEGMENT_1;
    s->end = log.writer->current.end;
    log_close(&log, false);
    log_free(&log);
    buf_append_slice(&s->file, disk_bytes(&s->disk, s->path));
    disk_init(&s->scratch, 1);
    disk_init(&s->before_open, 1);
    log_init(&s->log, &s->scratch, 16 * KIB);
}

static void scene_free(struct scene *s) {
    log_free(&s->log);
    disk_free(&s->scratch);
    disk_free(&s->before_open);
    disk_free(&s->disk);
    buf_free(&s->file);
}

// Opens the scene with other bytes in the last segment.
static enum error_code scene_open(struct scene *s, struct slice bytes) {
    log_close(&s->log, false);
    disk_copy(&s->scratch, &s->disk);
    disk_put(&s->scratch, s->path, bytes);
    return log_open(&s->log);
}

// Said once: opened again the torn batch is gone, and what is written then follows what was there before.
static void check_repaired(struct scene *s, const struct model *holds) {
    log_close(&s->log, false);
    assert_int_equal(log_open(&s->log), OK);
    assert_int_equal(s->log.recovered.torn_bytes, 0);
    assert_true(model_holds(holds, &s->log.recovered));
    s->log.model = *holds;
    log_append(&s->log, 1, 10);
    log_run(&s->log);
    log_close(&s->log, false);
    assert_int_equal(log_open(&s->log), OK);
    assert_true(model_holds(&s->log.model, &s->log.recovered));
}

static void check_torn(struct scene *s, struct slice bytes, uint64_t left) {
    enum error_code code = scene_open(s, bytes);
    if (code != OK) {
        fail_msg("refused: %s", s->log.error.message);
    }
    assert_true(model_holds(&s->before, &s->log.recovered));
    assert_int_equal(s->log.recovered.torn_bytes, left);
    if (left > 0) {
        assert_non_null(strstr(s->log.recovered.torn_where, ".jsonl:"));
    }
}

static uint64_t torn_len(const struct scene *s, struct slice bytes) {
    uint64_t end = bytes.len;
    while (end > s->begin && bytes.data[end - 1] == '\n') {
        end--;
    }
    return end - s->begin;
}

// The last batch ends at `cut`, by newlines as it would in a file that was filled, and by the file's end.
static void check_cut(struct scene *s, uint64_t cut) {
    struct buf bytes = {0};
    buf_append(&bytes, s->file.data, s->file.len);
    memset(bytes.data + cut, '\n', s->end - cut);
    if (cut == s->end - 1) {  // only its last newline is gone: it is whole
        assert_int_equal(scene_open(s, slice_of(s->file.data, cut)), OK);
        check_repaired(s, &s->after);
    } else {
        check_torn(s, buf_slice(&bytes), torn_len(s, buf_slice(&bytes)));
        if (cut % 7 == 0) {
            check_repaired(s, &s->before);
        }
        struct slice shorter = slice_of(s->file.data, cut);
        check_torn(s, shorter, torn_len(s, shorter));
        check_repaired(s, &s->before);
    }
    buf_free(&bytes);
}

static void blank_sectors(const struct scene *s, struct buf *bytes, uint64_t missing) {
    for (uint64_t at = s->begin, i = 0; at < s->end; i++) {
        uint64_t next = (at / 512 + 1) * 512 < s->end ? (at / 512 + 1) * 512 : s->end;
        if ((missing >> i & 1) != 0) {
            memset(bytes->data + at, '\n', next - at);
        }
        at = next;
    }
}

// The repair ends at each of its calls, with the loss of some sectors, and is done again.
static void check_interrupted_repair(struct scene *s, struct slice bytes) {
    for (uint64_t call = 1;; call++) {
        log_close(&s->log, false);
        disk_copy(&s->scratch, &s->disk);
        disk_put(&s->scratch, s->path, bytes);
        s->scratch.calls = 0;
        s->scratch.crash_at = call;
        enum error_code code = log_open(&s->log);
        log_close(&s->log, false);
        bool whole = !s->scratch.dead;
        disk_crash(&s->scratch);
        code = log_open(&s->log);
        if (code != OK) {
            fail_msg("after a crash in call %llu of the repair: %s", (unsigned long long)call, s->log.error.message);
        }
        assert_true(model_holds(&s->before, &s->log.recovered));
        if (whole) {
            return;
        }
    }
}

static void check_patterns(struct scene *s) {
    uint64_t sectors = (s->end + 511) / 512 - s->begin / 512;
    assert_in_range(sectors, 5, 12);
    struct buf bytes = {0};
    for (uint64_t missing = 1; missing < UINT64_C(1) << sectors; missing++) {
        buf_clear(&bytes);
        buf_append_slice(&bytes, buf_slice(&s->file));
        blank_sectors(s, &bytes, missing);
        check_torn(s, buf_slice(&bytes), torn_len(s, buf_slice(&bytes)));
        if (missing % 13 == 0) {
            check_interrupted_repair(s, buf_slice(&bytes));
            check_repaired(s, &s->before);
        }
    }
    buf_free(&bytes);
}

static void TestLogTornTail(void **state) {
    (void)state;
    for (int opens = 0; opens < 2; opens++) {
        struct scene s;
        scene_init(&s, opens != 0, 4, 150);
        for (uint64_t cut = s.begin; cut < s.end; cut++) {
            check_cut(&s, cut);
        }
        scene_free(&s);
        scene_init(&s, opens != 0, 9, 300);
        check_patterns(&s);
        scene_free(&s);
    }
}

// Filling that a crash kept from the disk, in part, reads as zeros. It goes. Behind a torn batch there is none: filling is
// synced before a batch is written into it.
static void TestLogUnfilled(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, false, 4, 150);
    struct buf bytes = {0};
    buf_append(&bytes, s.file.data, s.end + 1);
    memset(buf_reserve(&bytes, 4096), 0, 4096);
    bytes.len += 4096;
    memset(bytes.data + s.end + 1024, '\n', 512);
    assert_int_equal(scene_open(&s, buf_slice(&bytes)), OK);
    assert_true(model_holds(&s.after, &s.log.recovered));
    assert_int_equal(s.log.recovered.torn_bytes, 0);
    struct slice repaired = disk_bytes(&s.scratch, s.path);
    assert_null(memchr(repaired.data, '\0', repaired.len));
    check_repaired(&s, &s.after);

    memset(bytes.data + s.end - 100, '\n', 100);
    assert_int_equal(scene_open(&s, buf_slice(&bytes)), ERR_WAL_CORRUPT);
    buf_free(&bytes);
    scene_free(&s);
}

// --- corruption ---

static uint64_t line_of(struct slice bytes, uint64_t at) {
    uint64_t line = 1;
    for (uint64_t i = 0; i < at; i++) {
        line += bytes.data[i] == '\n';
    }
    return line;
}

static void expect_corrupt(struct scene *s, const char *path, uint64_t line) {
    char where[128];
    snprintf(where, sizeof where, "WAL_CORRUPT %s:%llu: ", path, (unsigned long long)line);
    disk_copy(&s->before_open, &s->scratch);
    enum error_code code = log_open(&s->log);
    if (code != ERR_WAL_CORRUPT || strncmp(s->log.error.message, where, strlen(where)) != 0) {
        fail_msg("wanted %s, got %d: %s", where, code, code == OK ? "opened" : s->log.error.message);
    }
    assert_true(disk_equal(&s->before_open, &s->scratch));
    struct wal_recovered recovered;
    assert_int_equal(wal_check("data", &s->scratch.io, s->log.slab, &recovered, &s->log.error), ERR_WAL_CORRUPT);
}

// Flips bits of each byte up to `end`: one of them in turn, or each.
static void flip_all(struct scene *s, const char *path, uint64_t begin, uint64_t end, bool each_bit) {
    struct buf bytes = {0};
    buf_append_slice(&bytes, disk_bytes(&s->disk, path));
    disk_copy(&s->scratch, &s->disk);  // once: a refused log leaves the disk as it is
    for (uint64_t at = begin; at < end; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (!each_bit && bit != at % 8) {
                continue;
            }
            bytes.data[at] ^= (uint8_t)(1u << bit);
            disk_put(&s->scratch, path, buf_slice(&bytes));
            bytes.data[at] ^= (uint8_t)(1u << bit);
            expect_corrupt(s, path, line_of(buf_slice(&bytes), at));
        }
    }
    buf_free(&bytes);
}

// Whole stretches of the last batch zeroed, or put elsewhere.
static void garble(struct scene *s) {
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(&s->file));
    uint64_t line = line_of(buf_slice(&s->file), s->begin);
    memset(bytes.data + s->begin, 0, s->end - s->begin);
    disk_copy(&s->scratch, &s->disk);
    disk_put(&s->scratch, s->path, buf_slice(&bytes));
    expect_corrupt(s, s->path, line);

    // The last batch a second time behind itself: a write that went to the wrong place.
    buf_clear(&bytes);
    buf_append(&bytes, s->file.data, s->end);
    buf_append(&bytes, s->file.data + s->begin, s->end - s->begin);
    disk_put(&s->scratch, s->path, buf_slice(&bytes));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);

    // A hole would make the last batch torn, were nothing behind it; nor does another batch's mark end it.
    memset(bytes.data + (s->begin / 512 + 1) * 512, '\n', 512);
    disk_put(&s->scratch, s->path, buf_slice(&bytes));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);
    const uint8_t *mark = memmem(s->file.data, s->file.len, "{\"batch\":", 9);
    size_t len = (size_t)((const uint8_t *)memchr(mark, '\n', 200) - mark);
    buf_clear(&bytes);
    buf_append(&bytes, s->file.data, s->end);
    memset(bytes.data + s->begin, '\n', s->end - s->begin);
    uint64_t place = (s->begin / 512 + 2) * 512;
    memcpy(bytes.data + place, mark, len);
    disk_put(&s->scratch, s->path, slice_of(bytes.data, place + len + 1));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);

    // Text behind the filling.
    buf_clear(&bytes);
    buf_append_slice(&bytes, buf_slice(&s->file));
    buf_append_str(&bytes, "# a note\n");
    disk_put(&s->scratch, s->path, buf_slice(&bytes));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);
    buf_free(&bytes);
}

// The earlier segment's end missing while the log goes on is no torn batch.
static void shorten_earlier(struct scene *s) {
    struct slice first = disk_bytes(&s->disk, SEGMENT_1);
    disk_copy(&s->scratch, &s->disk);
    disk_put(&s->scratch, SEGMENT_1, slice_of(first.data, first.len - 40));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);
    assert_non_null(strstr(s->log.error.message, "0000000000000001.jsonl:"));

    disk_copy(&s->scratch, &s->disk);
    disk_remove(&s->scratch, SEGMENT_1);
    assert_int_equal(log_open(&s->log), ERR_WAL_GAP);
}

static void TestLogCorruption(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, false, 4, 60);
    flip_all(&s, SEGMENT_1, 0, s.begin, false);
    flip_all(&s, SEGMENT_1, s.begin, s.end, true);
    garble(&s);
    scene_free(&s);
    scene_init(&s, true, 4, 60);
    flip_all(&s, SEGMENT_2, 0, s.end, true);
    garble(&s);
    shorten_earlier(&s);
    scene_free(&s);
}

// A new log of one batch: term 1 and three entries.
static void log_begin(struct log *log, struct disk *disk, uint64_t segment_bytes) {
    log_init(log, disk, segment_bytes);
    assert_int_equal(log_open(log), OK);
    log_push(log, 1, "n1", 1, 3, 100);
    log_run(log);
}

// --- full and failing disks ---

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

// A file system that writes elsewhere runs out in the middle of a batch: what was written of it goes.
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
    assert_int_equal(log_close(log, true), ERR_IO);
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
        log_append(&log, 2, 10);  // behind an end that must be read first
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

// --- crashes everywhere ---

enum { WRITES_MAX = 64, OPERATIONS = 12 };

struct story {
    struct disk disk;
    struct log log;
    struct model after[WRITES_MAX];  // after each write of this opening; [0]: as opened
    uint64_t random;
};

static uint64_t draw(struct story *s, uint64_t below) {
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return (s->random >> 33) % below;
}

static void push_something(struct story *s) {
    struct log *log = &s->log;
    const struct model *m = &log->model;
    size_t count = draw(s, 4);
    uint32_t len = (uint32_t)draw(s, draw(s, 3) == 0 ? 4000 : 200);
    raft_index first = m->count + 1;
    if (draw(s, 4) == 0 || m->term == 0) {
        first -= draw(s, 3) < m->count ? draw(s, 3) % (m->count + 1) : 0;
        log_push(log, m->term + 1, draw(s, 2) == 0 ? "n2" : "", first, count, len);
    } else {
        log_append(log, count, len);
    }
    s->after[log->write] = log->model;
}

// Some operations; they stop where the machine does.
static void operate(struct story *s, uint64_t operations) {
    struct log *log = &s->log;
    s->after[0] = log->model;
    for (uint64_t i = 0; i < operations && log->write + 4 < WRITES_MAX; i++) {
        for (uint64_t n = 1 + draw(s, 3); n > 0; n--) {
            push_something(s);
        }
        log_run(log);
        if (draw(s, 3) == 0) {
            wal_writer_prepare(log->writer, draw(s, 2) == 0);
        }
        if (s->disk.dead) {
            return;
        }
    }
}

// After a crash: whole writes, all that were acknowledged and none that were not made.
static void check_story(struct story *s, uint64_t acknowledged, uint64_t made, uint64_t call) {
    enum error_code code = log_open(&s->log);
    if (code != OK) {
        fail_msg("crash in call %llu: %s", (unsigned long long)call, s->log.error.message);
    }
    for (uint64_t k = acknowledged; k <= made; k++) {
        if (model_holds(&s->after[k], &s->log.recovered)) {
            s->log.model = s->after[k];
            return;
        }
    }
    fail_msg("crash in call %llu: recovered something else: %zu entries", (unsigned long long)call,
             s->log.recovered.log.count);
}

static void note_outcome(struct story *s, uint64_t *acknowledged, uint64_t *made) {
    *acknowledged = s->log.writer->durable_write;
    *made = s->log.write;
    log_close(&s->log, !s->disk.dead && draw(s, 2) == 0);
}

// Stops the machine (or the process only) in `call`, starts it again, perhaps with a crash in the repair, and stops it again
// somewhere. False: the story has fewer calls.
static bool crash_in(uint64_t seed, uint64_t call, uint64_t segment_bytes, enum disk_direct direct) {
    struct story s = {.random = seed};
    disk_init(&s.disk, seed + call);
    s.disk.direct = direct;
    log_init(&s.log, &s.disk, segment_bytes);
    s.disk.crash_at = call;
    uint64_t acknowledged = 0;
    uint64_t made = 0;
    if (log_open(&s.log) == OK) {
        operate(&s, OPERATIONS);
        note_outcome(&s, &acknowledged, &made);
    }
    bool crashed = s.disk.dead;
    bool only_process = draw(&s, 3) == 0;
    for (int round = 0; round < 3; round++) {
        if (only_process) {
            disk_kill(&s.disk);
        } else {
            disk_crash(&s.disk);
            s.disk.crash_at = s.disk.calls + 1 + draw(&s, 8);
            log_open(&s.log);
            log_close(&s.log, false);
            disk_crash(&s.disk);
        }
        check_story(&s, acknowledged, made, call);
        s.disk.crash_at = round < 2 ? s.disk.calls + 1 + draw(&s, 60) : 0;
        operate(&s, 1 + draw(&s, OPERATIONS));
        note_outcome(&s, &acknowledged, &made);
        only_process = false;
    }
    log_free(&s.log);
    disk_free(&s.disk);
    return crashed;
}

static void TestLogCrashEverywhere(void **state) {
    (void)state;
    uint64_t seed = seed_from_environment();
    for (uint64_t story = 0; story < 20; story++) {
        uint64_t segment_bytes = story % 10 == 0 ? 256 * KIB : 24 * KIB;
        enum disk_direct direct = story % 3 == 2 ? DISK_NO_DIRECT : DISK_DIRECT;
        for (uint64_t call = 1; crash_in(seed + story * 1000, call, segment_bytes, direct); call++) {
        }
    }
}

// --- lines ---

// A segment written by hand, every checksum of it right.
struct craft {
    struct buf bytes;
    size_t begin;  // of the batch
    uint32_t chain;
};

static void craft_header(struct craft *c, uint64_t segment, raft_index base, uint32_t prev) {
    struct wal_header header = {.cluster_id = slice_of_str("demo"),
                                .node_id = slice_of_str("n1"),
                                .segment = segment,
                                .generation = 1,
                                .base = {.index = base, .term = base > 0 ? 1 : 0},
                                .prev = prev};
    c->bytes.len += wal_put_header(buf_reserve(&c->bytes, WAL_HEADER_LINE_MAX), &header);
    c->chain = prev;
}

static void craft_hard_state(struct craft *c, raft_term term, const char *vote) {
    struct raft_hard_state hard_state = {.current_term = term, .voted_for = raft_id_of(slice_of_str(vote))};
    c->bytes.len += wal_put_hard_state(buf_reserve(&c->bytes, WAL_HARD_STATE_LINE_MAX), &hard_state);
}

static void craft_entry_of(struct craft *c, raft_index index, raft_term term) {
    struct raft_slab *slab = raft_slab_new();
    struct raft_entry *entry = entry_new(slab, index, term, 20);
    c->bytes.len += wal_put_entry(buf_reserve(&c->bytes, wal_entry_line_max(entry)), entry);
    raft_entry_unref(entry);
    raft_slab_free(slab);
}

static void craft_entry(struct craft *c, raft_index index) {
    craft_entry_of(c, index, 1);
}

static void craft_mark(struct craft *c, uint64_t batch, size_t bytes_off) {
    size_t len = c->bytes.len - c->begin;
    uint8_t *at = buf_reserve(&c->bytes, WAL_MARK_LINE_MAX);
    uint32_t crc = crc32c(c->chain, c->bytes.data + c->begin, len);
    c->bytes.len += wal_put_mark(at, batch, len + bytes_off, crc, &c->chain);
    c->begin = c->bytes.len;
}

// A good first batch: term 1, entries 1 and 2.
static struct craft craft_begin(void) {
    struct craft c = {.begin = 0};
    craft_header(&c, 1, 0, 0);
    craft_hard_state(&c, 1, "n1");
    craft_entry(&c, 1);
    craft_entry(&c, 2);
    craft_mark(&c, 1, 0);
    return c;
}

// Opens a log of these one or two segments. `what` is in the message.
static void expect_crafted(struct craft *first, struct craft *second, enum error_code wanted, const char *what) {
    struct disk disk;
    disk_init(&disk, 1);
    struct log log;
    log_init(&log, &disk, 0);
    assert_int_equal(log_open(&log), OK);
    log_close(&log, false);
    disk_put(&disk, SEGMENT_1, buf_slice(&first->bytes));
    if (second != NULL) {
        disk_put(&disk, SEGMENT_2, buf_slice(&second->bytes));
        buf_free(&second->bytes);
    }
    buf_free(&first->bytes);
    enum error_code code = log_open(&log);
    if (code != wanted || (code != OK && strstr(log.error.message, what) == NULL)) {
        fail_msg("wanted %s, got %d: %s", what, code, code == OK ? "opened" : log.error.message);
    }
    log_free(&log);
    disk_free(&disk);
}

// Whole batches with right checksums that contradict each other.
static void TestLogContradictions(void **state) {
    (void)state;
    struct craft c = craft_begin();
    expect_crafted(&c, NULL, OK, "");

    c = craft_begin();
    craft_entry(&c, 4);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_GAP, ".jsonl:6: entries are missing: 4 follows 2");

    c = craft_begin();
    craft_entry(&c, 3);
    craft_mark(&c, 3, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:7: batch 3 follows batch 1");

    c = craft_begin();
    craft_entry(&c, 3);
    craft_mark(&c, 2, 1);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:7: the mark says");

    c = craft_begin();
    craft_hard_state(&c, 0, "");
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: the term falls from 1 to 0");

    c = craft_begin();
    craft_hard_state(&c, 1, "n2");
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: the vote in term 1 changes from n1");

    c = craft_begin();
    craft_header(&c, 1, 0, c.chain);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: a header inside a segment");

    c = (struct craft){.begin = 0};
    craft_header(&c, 1, 0, 0);
    craft_entry(&c, 1);
    craft_mark(&c, 1, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:2: no term and vote behind the header");

    c = (struct craft){.begin = 0};
    craft_header(&c, 2, 0, 0);
    craft_hard_state(&c, 1, "");
    craft_mark(&c, 1, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:1: the file says that it is segment 2");
}

// What the core takes for granted.
static void TestLogTermsContradict(void **state) {
    (void)state;
    struct craft c = craft_begin();
    craft_entry_of(&c, 3, 2);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: an entry of term 2 in term 1");

    c = craft_begin();
    craft_entry_of(&c, 3, 0);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: an entry of term 0 in term 1");

    c = craft_begin();
    craft_hard_state(&c, 3, "");
    craft_entry_of(&c, 3, 3);
    craft_entry_of(&c, 3, 2);  // in its place, behind entry 2 of term 1
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, OK, "");

    c = craft_begin();
    craft_hard_state(&c, 3, "");
    craft_entry_of(&c, 3, 3);
    craft_entry_of(&c, 4, 2);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:8: an entry of term 2 follows one of term 3");
}

static void TestLogSegmentsContradict(void **state) {
    (void)state;
    for (int what = 0; what < 3; what++) {
        static const enum error_code codes[] = {OK, ERR_WAL_GAP, ERR_WAL_CORRUPT};
        static const char *const messages[] = {"", "2.jsonl:1: the segment follows entry 3 of term 1, but",
                                               "2.jsonl:1: the chain is broken"};
        struct craft first = craft_begin();
        struct craft second = {.begin = 0};
        craft_header(&second, 2, what == 1 ? 3 : 2, what == 2 ? 5 : first.chain);
        craft_hard_state(&second, 1, "n1");
        craft_entry(&second, 3);
        craft_mark(&second, 2, 0);
        expect_crafted(&first, &second, codes[what], messages[what]);
    }
    struct craft blank = {.begin = 0};
    struct craft second = {.begin = 0};
    buf_append_str(&blank.bytes, "\n\n\n");
    buf_append_str(&second.bytes, "\n\n\n");
    expect_crafted(&blank, &second, ERR_WAL_GAP, "2.jsonl:1: segment 1 before it holds nothing");
}

// Lines that any JSON parser would take, with a good checksum, and that nobody here wrote.
static void TestLogLines(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"index\":7,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\",\"index\":8",
        "{\"term\":2,\"index\":7,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\": 7,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":07,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":18446744073709551616,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":99999999999999999999999,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":-7,\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":\"7\",\"term\":2,\"type\":\"command\",\"command\":\"AAAA\"",
        "{\"index\":7,\"term\":2,\"type\":\"snapshot\",\"command\":\"AAAA\"",
        "{\"index\":7,\"term\":2,\"type\":\"comm\",\"command\":\"AAAA\"",
        "{\"index\":7,\"term\":2,\"type\":\"command\"",
        "{\"term\":2,\"votedFor\":\"n/2\"",
        "{\"term\":2,\"votedFor\":null",
        "{\"term\":2",
        "{}",
        "",
    };
    struct wal_record record;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct buf line = {0};
        buf_append_str(&line, bad[i]);
        buf_printf(&line, ",\"crc\":\"%08x\"}", crc32c(0, line.data, line.len));
        struct error error;
        assert_int_equal(wal_record_decode(buf_slice(&line), &record, &error), ERR_WAL_CORRUPT);
        buf_free(&line);
    }
    struct raft_slab *slab = raft_slab_new();
    struct raft_entry *entry = entry_new(slab, UINT64_MAX, UINT64_MAX, 10);
    uint8_t line[512];
    size_t len = wal_put_entry(line, entry);
    assert_in_range(len, 1, wal_entry_line_max(entry));
    struct error error;
    assert_int_equal(wal_record_decode(slice_of(line, len - 1), &record, &error), OK);
    assert_int_equal(record.entry.id.index, UINT64_MAX);
    for (size_t cut = 1; cut < len - 1; cut++) {
        assert_true(wal_record_is_prefix(slice_of(line, cut)));
    }
    assert_false(wal_record_is_prefix(slice_of(line, len - 1)));
    raft_entry_unref(entry);
    raft_slab_free(slab);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogTornTail),
    cmocka_unit_test(TestLogUnfilled),
    cmocka_unit_test(TestLogCorruption),
    cmocka_unit_test(TestLogNoSpace),
    cmocka_unit_test(TestLogNoSpaceForVotes),
    cmocka_unit_test(TestLogNoSpaceInBatch),
    cmocka_unit_test(TestLogNoSpaceCannotBlank),
    cmocka_unit_test(TestLogNoSpaceThenFails),
    cmocka_unit_test(TestLogSyncFails),
    cmocka_unit_test(TestLogShortWrites),
    cmocka_unit_test(TestLogDirect),
    cmocka_unit_test(TestLogCrashEverywhere),
    cmocka_unit_test(TestLogLines),
    cmocka_unit_test(TestLogContradictions),
    cmocka_unit_test(TestLogTermsContradict),
    cmocka_unit_test(TestLogSegmentsContradict),
};

UNIT_MAIN(tests)
