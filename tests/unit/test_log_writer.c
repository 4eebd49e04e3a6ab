// What the log's writer makes of its queue, and the room that it makes for it: batches that are full, segments and a reserve
// that just suffice, filling ahead, and descriptors.
#include <errno.h>

#include "log_fixture.h"
#include "unit.h"
#include "wal/record.h"

enum {
    HEAD_ROOM = WAL_HEADER_LINE_MAX + WAL_HARD_STATE_LINE_MAX,
    LINES_MAX = WAL_BATCH_MAX - HEAD_ROOM,  // of the writes in one batch
    MUCH = 9,                               // entries of COMMAND_MAX: more than a batch holds
};

// A new log of one batch: term 1 and three entries.
static void begin(struct log *log, struct disk *disk, uint64_t segment_bytes) {
    disk_init(disk, 1);
    log_init(log, disk, segment_bytes);
    assert_int_equal(log_open(log), OK);
    log_push(log, 1, "n1", 1, 3, 100);
    log_run(log);
    assert_int_equal(log->writer->durable_write, 1);
}

static void assert_holds_again(struct log *log) {
    log_close(log, false);
    assert_int_equal(log_open(log), OK);
    assert_true(model_holds(&log->model, &log->recovered));
}

static void end(struct log *log, struct disk *disk) {
    assert_holds_again(log);
    log_free(log);
    disk_free(disk);
}

static void prepare_all(struct log *log, bool idle) {
    for (int steps = 0; wal_writer_prepare(log->writer, idle); steps++) {
        assert_in_range(steps, 0, 200);
    }
}

static uint64_t room_left(const struct log *log) {
    return log->writer->current.filled - log->writer->current.end;
}

// --- batches ---

// Bytes of an entry's line, and of those that the writer sees to first.
static size_t entry_line(struct log *log, raft_index index, uint32_t len, size_t *max) {
    struct raft_entry *entry = entry_new(log->slab, index, log->model.term, len);
    *max = wal_entry_line_max(entry);
    uint8_t *line = malloc(*max);
    assert_non_null(line);
    size_t bytes = wal_put_entry(line, entry);
    free(line);
    raft_entry_unref(entry);
    return bytes;
}

// Queues entries that leave no room for another write in a batch; returns their number.
static uint64_t push_full_batch(struct log *log) {
    uint64_t count = 0;
    size_t bytes = 0;
    size_t max;
    for (uint32_t len = COMMAND_MAX; len > 0;) {
        size_t line = entry_line(log, log->model.count + 1, len, &max);
        if (bytes + max > LINES_MAX) {
            len -= len > 4096 ? 4096 : 1;
            continue;
        }
        bytes += line;
        log_append(log, 1, len);
        count++;
        if (LINES_MAX - bytes < WAL_HARD_STATE_LINE_MAX) {
            return count;
        }
    }
    fail_msg("no entry fills a batch");
    return 0;
}

// Writes that come when a batch is full are in the next one, and are not durable before. No batch is longer than its limit.
static void TestLogBatchFull(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    uint64_t first = 1 + push_full_batch(&log);
    for (raft_term term = 2; term < 20; term++) {
        log_push(&log, term, "n2", 0, 0, 0);
    }
    log_append(&log, 1, 10);
    uint64_t before = log.writer->bytes;
    assert_true(wal_writer_step(log.writer));
    assert_int_equal(log.writer->durable_write, first);
    assert_int_equal(log.writer->durable_hard_state_write, first);
    assert_in_range(log.writer->bytes - before, WAL_BATCH_MAX - 2000, WAL_BATCH_MAX);
    assert_true(wal_writer_step(log.writer));
    assert_int_equal(log.writer->durable_write, log.write);
    assert_int_equal(log.writer->batches, 3);
    end(&log, &disk);
}

// A write that is longer than a batch stops it: what is queued behind comes after all of it.
static void TestLogBatchEndsInWrite(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    log_append(&log, MUCH, COMMAND_MAX);
    log_append(&log, 1, 10);
    log_push(&log, 2, "n2", 5, 1, 10);  // in place of most of it
    assert_true(wal_writer_step(log.writer));
    assert_int_equal(log.writer->durable_write, 1);
    assert_in_range(log.writer->head->written, 1, MUCH - 1);
    assert_true(wal_writer_step(log.writer));
    assert_int_equal(log.writer->durable_write, log.write);
    end(&log, &disk);
}

// The disk is full when a part of a write is durable. A vote goes ahead of the rest and leaves that part as it is; writes
// that have neither term nor vote hold no vote back.
static void TestLogVoteAheadOfAPart(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    disk.space = disk_used(&disk) + WAL_BATCH_MAX + 2 * WAL_RESERVE_BYTES;
    log_append(&log, MUCH, COMMAND_MAX);
    struct wal_write *write = log.made;
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_FULL);
    assert_int_equal(log.writer->durable_hard_state_write, log.write);
    size_t written = write->written;
    assert_in_range(written, 1, MUCH - 1);
    log_push(&log, 2, "n3", 0, 0, 0);
    log_run(&log);
    assert_int_equal(log.writer->durable_hard_state_write, log.write);
    assert_int_equal(write->written, written);
    log_append(&log, 1, 10);
    log_run(&log);
    assert_int_equal(log.writer->durable_hard_state_write, log.write);
    assert_int_equal(log.writer->durable_write, 1);
    disk.space = UINT64_MAX;
    disk.now_us = wal_writer_retry_us(log.writer);
    log_run(&log);
    assert_int_equal(log.writer->condition, WAL_GOOD);
    assert_int_equal(log.writer->durable_write, log.write);
    end(&log, &disk);
}

// --- what is told of them ---

enum { SLOW_US = 2500 };

static ssize_t (*write_at)(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags);

static ssize_t slow_write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    ((struct disk *)self)->now_us += SLOW_US;
    return write_at(self, fd, parts, count, offset, flags);
}

static void TestLogTellsOfBatches(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    write_at = disk.io.write_at;
    disk.io.write_at = slow_write_at;
    for (uint64_t batch = 2; batch < 5; batch++) {
        log_append(&log, 2, 50);
        log_append(&log, 1, 50);
        log_run(&log);
        assert_int_equal(log.writer->batches, batch);
        assert_int_equal(log.writer->bytes, log.writer->current.end);
        assert_int_equal((uint64_t)(log.writer->sync_seconds * 1e6 + 0.5), SLOW_US);  // one write into filling
    }
    end(&log, &disk);
}

// --- room that just suffices ---

// What a batch needs that has this term and a vote for this node alone.
static uint64_t vote_need(raft_term term, const char *vote) {
    struct raft_hard_state hard_state = {.current_term = term, .voted_for = raft_id_of(slice_of_str(vote))};
    uint8_t line[WAL_HARD_STATE_LINE_MAX];
    return HEAD_ROOM + wal_put_hard_state(line, &hard_state) + WAL_MARK_LINE_MAX;
}

// Closes the log, replaces its first segment by as much of it as `len` says, and opens it on a disk without space.
static void open_full(struct log *log, uint64_t len) {
    log_close(log, false);
    struct buf file = {0};
    buf_append_slice(&file, disk_bytes(log->disk, SEGMENT_1));
    assert_in_range(len, 1, file.len);
    disk_put(log->disk, SEGMENT_1, slice_of(file.data, len));
    buf_free(&file);
    log->disk->space = disk_used(log->disk);
    assert_int_equal(log_open(log), OK);
}

// A segment is filled to its last byte; one byte more begins the next.
static void TestLogSegmentJustFits(void **state) {
    (void)state;
    for (uint64_t missing = 0; missing < 2; missing++) {
        struct disk disk;
        struct log log;
        begin(&log, &disk, 0);
        log.segment_bytes = log.writer->current.end + vote_need(2, "n3") - missing;
        assert_holds_again(&log);
        log_push(&log, 2, "n3", 0, 0, 0);
        log_run(&log);
        assert_int_equal(log.writer->current.number, 1 + missing);
        end(&log, &disk);
    }
}

// The reserve is there for votes up to its last byte.
static void TestLogVoteJustFits(void **state) {
    (void)state;
    for (uint64_t missing = 0; missing < 2; missing++) {
        struct disk disk;
        struct log log;
        begin(&log, &disk, 0);
        open_full(&log, log.writer->current.end + vote_need(2, "n3") + 1 - missing);
        log_push(&log, 2, "n3", 0, 0, 0);
        log_run(&log);
        assert_int_equal(log.writer->condition, WAL_FULL);
        assert_int_equal(log.writer->durable_hard_state_write, missing == 0 ? log.write : 0);
        disk.space = UINT64_MAX;
        disk.now_us = wal_writer_retry_us(log.writer);
        log_run(&log);
        assert_int_equal(log.writer->durable_write, log.write);
        end(&log, &disk);
    }
}

// Votes may make a segment longer than others while there is room in it; when there is not, the next one's is used, which
// was made before the disk was full.
static void TestLogVoteInTheNextSegment(void **state) {
    (void)state;
    for (uint64_t spare = 0; spare < 2; spare++) {
        struct disk disk;
        struct log log;
        begin(&log, &disk, 0);
        uint8_t blank[2000];
        memset(blank, '\n', sizeof blank);
        disk_put(&disk, SEGMENT_2, slice_of(blank, sizeof blank));
        uint64_t end_of_log = log.writer->current.end;
        log.segment_bytes = end_of_log;
        open_full(&log, end_of_log + vote_need(2, "n3") + spare);
        log_push(&log, 2, "n3", 0, 0, 0);
        log_run(&log);
        assert_int_equal(log.writer->durable_hard_state_write, log.write);
        assert_int_equal(log.writer->current.number, spare == 0 ? 2 : 1);
        end(&log, &disk);
    }
}

// --- filling ahead ---

// So much, and not a chunk more: half of it while batches wait.
static void TestLogFillsAhead(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    prepare_all(&log, false);
    assert_in_range(room_left(&log), WAL_FILL_AHEAD / 2, WAL_FILL_AHEAD / 2 + WAL_FILL_CHUNK);
    prepare_all(&log, true);
    assert_in_range(room_left(&log), WAL_FILL_AHEAD, WAL_FILL_AHEAD + WAL_FILL_CHUNK);
    assert_true(log.writer->next.fd < 0);
    end(&log, &disk);
}

// A segment that is nearly at its end is filled to it, with its reserve, and then the next one is.
static void TestLogFillsTheNextSegment(void **state) {
    (void)state;
    enum { SEGMENT = 1 * MIB + 512 * KIB, WHOLE = SEGMENT + WAL_RESERVE_BYTES };
    struct disk disk;
    struct log log;
    begin(&log, &disk, SEGMENT);
    prepare_all(&log, true);
    assert_int_equal(log.writer->current.filled, WHOLE);
    assert_int_equal(log.writer->next.number, 2);
    assert_int_equal(log.writer->next.filled, WHOLE);
    uint64_t calls = disk.calls;
    assert_false(wal_writer_prepare(log.writer, true));
    while (log.writer->current.number == 1) {
        log_append(&log, 1, 100000);
        log_run(&log);
    }
    assert_int_equal(disk_bytes(&disk, SEGMENT_2).len, WHOLE);
    assert_int_equal(log.writer->next.fd, -1);
    assert_true(disk.calls > calls);
    end(&log, &disk);
}

// Nobody waits for filling that finds no space: it is tried again after a while, and the log is good meanwhile.
static void TestLogFillsAheadWithoutSpace(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    begin(&log, &disk, 0);
    disk.space = disk_used(&disk) + WAL_FILL_CHUNK / 2;
    uint64_t left = room_left(&log);
    for (int second = 0; second < 3; second++) {
        uint64_t calls = disk.calls;
        assert_false(wal_writer_prepare(log.writer, true));
        assert_true(disk.calls > calls);
        assert_int_equal(log.writer->condition, WAL_GOOD);
        assert_int_equal(room_left(&log), left);
        calls = disk.calls;
        disk.now_us += US_PER_S - 1;
        assert_false(wal_writer_prepare(log.writer, true));
        assert_int_equal(disk.calls, calls);
        disk.now_us++;
    }
    disk.space = UINT64_MAX;
    assert_true(wal_writer_prepare(log.writer, true));
    assert_true(room_left(&log) > left);
    end(&log, &disk);
}

// What is left for the next start is cut off, and it is told what of it fails.
static void TestLogTrimFails(void **state) {
    (void)state;
    static const char *const doing[] = {"trimming wal/0000000000000001.jsonl: ",
                                        "removing the unused wal/0000000000000002.jsonl: "};
    for (uint64_t sync = 1; sync <= 2; sync++) {
        struct disk disk;
        struct log log;
        begin(&log, &disk, 128 * KIB);
        prepare_all(&log, true);
        disk.fail_errno = EIO;
        disk.fail_sync_at = sync;
        assert_int_equal(log_close(&log, true), ERR_IO);
        assert_memory_equal(log.error.message, doing[sync - 1], strlen(doing[sync - 1]));
        end(&log, &disk);
    }
}

// --- descriptors ---

// A process without standard input has descriptor 0 for a file. Segments and the next ones have it in turn.
static void live_with_descriptors_from(int first_fd, struct disk *disk) {
    struct log log;
    disk_init(disk, 1);
    disk->first_fd = first_fd;
    log_init(&log, disk, 16 * KIB);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 3, 100);
    bool zero[2] = {false, false};
    for (uint64_t segment = 1; segment <= 4; segment++) {
        while (log.writer->current.number < segment) {
            log_append(&log, 1, 1000);
            log_run(&log);
        }
        log_run(&log);
        assert_int_equal(log.writer->current.number, segment);
        prepare_all(&log, true);
        assert_int_equal(log.writer->next.number, segment + 1);
        zero[0] |= log.writer->current.fd == 0;
        zero[1] |= log.writer->next.fd == 0;
        if (segment == 3) {
            uint64_t end_of_log = log.writer->current.end;
            log_close(&log, true);
            assert_int_equal(disk_bytes(disk, SEGMENT_3).len, end_of_log + 1 + WAL_RESERVE_BYTES);
            assert_int_equal(log_open(&log), OK);
            log_append(&log, 1, 10);
            log_run(&log);
            prepare_all(&log, true);
            zero[0] |= log.writer->current.fd == 0;
        }
    }
    assert_true(zero[0] == (first_fd == 0) && zero[1] == (first_fd == 0));
    assert_int_equal(log_close(&log, true), OK);
    assert_int_equal(log_open(&log), OK);
    assert_true(model_holds(&log.model, &log.recovered));
    log_free(&log);
}

static void TestLogDescriptorZero(void **state) {
    (void)state;
    struct disk disk;
    struct disk from_zero;
    live_with_descriptors_from(DISK_FIRST_FD, &disk);
    live_with_descriptors_from(0, &from_zero);
    assert_true(disk_equal(&disk, &from_zero));
    assert_true(disk_equal(&from_zero, &disk));
    disk_free(&disk);
    disk_free(&from_zero);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogBatchFull),
    cmocka_unit_test(TestLogBatchEndsInWrite),
    cmocka_unit_test(TestLogVoteAheadOfAPart),
    cmocka_unit_test(TestLogTellsOfBatches),
    cmocka_unit_test(TestLogSegmentJustFits),
    cmocka_unit_test(TestLogVoteJustFits),
    cmocka_unit_test(TestLogVoteInTheNextSegment),
    cmocka_unit_test(TestLogFillsAhead),
    cmocka_unit_test(TestLogFillsTheNextSegment),
    cmocka_unit_test(TestLogFillsAheadWithoutSpace),
    cmocka_unit_test(TestLogTrimFails),
    cmocka_unit_test(TestLogDescriptorZero),
};

UNIT_MAIN(tests)
