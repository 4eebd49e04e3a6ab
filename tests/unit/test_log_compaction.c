// A log whose beginning an image has taken the place of: it begins at a later segment, gives up old ones, and begins anew
// after an image that another node has sent. On a disk in memory, with a crash at every call.
#include <errno.h>
#include <stdio.h>

#include "base/array.h"
#include "log_model.h"
#include "unit.h"

enum { SEGMENT = 16 * KIB };

static bool has_segment(const struct disk *disk, uint64_t number) {
    char path[64];
    snprintf(path, sizeof path, "data/wal/%016llu.jsonl", (unsigned long long)number);
    return disk_bytes(disk, path).data != NULL;
}

static void purge(struct log *log, raft_index index) {
    while (wal_writer_purge(log->writer, index)) {
    }
}

// --- from an index on ---

static void TestLogFromIndex(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 60);
    uint64_t last = log.writer->current.number;
    uint64_t bytes = log.writer->bytes;
    raft_index bases[10] = {0};
    assert_in_range(last, 5, ARRAY_COUNT(bases) - 1);
    for (uint64_t number = 1; number <= last; number++) {
        assert_true(wal_segment_base(&log.writer->dir, number, &bases[number]));
    }
    log_close(&log, false);
    for (raft_index from = 0; from <= 60; from++) {
        log_open_after(&log, log_id_at(&log, from > 50 ? from : 50), from);
        log_check_holds(&log);
        assert_int_equal(log.recovered.log.base.index, from);
        uint64_t first = last;  // nothing is read before the last segment that follows no later entry
        while (bases[first] > from) {
            first--;
        }
        assert_int_equal(log.recovered.segments, last - first + 1);
        assert_true(first == 1 ? log.recovered.bytes == bytes : log.recovered.bytes < bytes);
        log_close(&log, false);
    }
    log_end(&log, &disk);
}

// A segment's first entry may replace one that the segments before it hold: its base is then no entry of the log.
static void TestLogBaseReplaced(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 10);
    uint64_t before = log.writer->current.number;
    log_push(&log, 2, "n2", 6, 1, 8000);  // does not fit: it begins a segment, whose base is entry 10 of term 1
    log_run(&log);
    assert_int_equal(log.writer->current.number, before + 1);
    for (int i = 0; i < 20; i++) {
        log_append(&log, 1, 10);
        log_run(&log);
    }
    purge(&log, 10);
    assert_false(has_segment(&disk, before));
    assert_true(has_segment(&disk, before + 1));
    log_close(&log, false);
    for (raft_index from = 10; from <= 20; from++) {
        log_open_after(&log, log_id_at(&log, 20), from);
        log_check_holds(&log);
        assert_int_equal(log.recovered.log.base.index, from);
        log_close(&log, false);
    }
    log_open_after(&log, log_id_at(&log, 20), 3);  // more than there is: it begins as early as it can
    log_check_holds(&log);
    assert_int_equal(log.recovered.log.base.index, 6);
    log_end(&log, &disk);
}

// --- removing segments ---

static void TestLogPurge(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 60);
    uint64_t last = log.writer->current.number;
    purge(&log, 0);
    assert_true(has_segment(&disk, 1));
    for (raft_index index = 1; index <= 60; index++) {
        purge(&log, index);
        raft_index base;
        uint64_t first = log.writer->first_segment;
        assert_true(first == 1 || !has_segment(&disk, first - 1));
        assert_true(wal_segment_base(&log.writer->dir, first, &base) && base <= index);
        assert_true(first == last || (wal_segment_base(&log.writer->dir, first + 1, &base) && base > index));
    }
    assert_int_equal(log.writer->first_segment, last);  // the one being written stays
    log_append(&log, 3, 1000);
    log_run(&log);
    log_close(&log, true);
    log_open_after(&log, log_id_at(&log, 58), 58);
    log_check_holds(&log);
    log_append(&log, 30, 1000);
    log_run(&log);
    purge(&log, 90);
    log_end(&log, &disk);
}

// Without an image that reaches the log's beginning it must not start.
static void TestLogBeginsLate(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 60);
    purge(&log, 40);
    raft_index base = 0;
    assert_true(wal_segment_base(&log.writer->dir, log.writer->first_segment, &base));
    assert_true(base > 20);
    log_close(&log, false);
    assert_int_equal(log_open(&log), ERR_WAL_GAP);
    assert_non_null(strstr(log.error.message, "no image in snap/ reaches that far"));
    log.image = log_id_at(&log, base - 1);
    assert_int_equal(log_open(&log), ERR_WAL_GAP);
    log_open_after(&log, log_id_at(&log, base), base);
    log_check_holds(&log);
    log_end(&log, &disk);
}

static void TestLogSegmentMissing(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 60);
    purge(&log, 20);
    uint64_t first = log.writer->first_segment;
    log_close(&log, false);
    char path[64];
    snprintf(path, sizeof path, "data/wal/%016llu.jsonl", (unsigned long long)first + 1);
    disk_remove(&disk, path);
    log.image = log_id_at(&log, 60);
    log.from = 60;
    assert_int_equal(log_open(&log), ERR_WAL_GAP);
    char missing[64];
    snprintf(missing, sizeof missing, "/%016llu.jsonl:1: segment %llu is missing", (unsigned long long)first + 2,
             (unsigned long long)first + 1);
    assert_non_null(strstr(log.error.message, missing));
    log_end(&log, &disk);
}

// Only a blank segment is left.
static void TestLogNoBatchLeft(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 5);
    log_close(&log, true);
    disk_remove(&disk, SEGMENT_1);
    disk_put(&disk, SEGMENT_2, slice_of_str("\n\n\n"));
    assert_int_equal(log_open(&log), ERR_WAL_GAP);
    assert_non_null(strstr(log.error.message, "2.jsonl:1: segment 1 is missing, and there is no batch after it"));
    log_end(&log, &disk);
}

// A segment that is damaged is for the next start to find: those before it stay, whatever was removed before.
static void TestLogPurgeBeforeDamage(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 60);
    disk_put(&disk, "data/wal/0000000000000004.jsonl", slice_of_str("{\"v\":2,\"cluster\":\"dem0\"}\n"));
    purge(&log, 60);
    assert_int_equal(log.writer->first_segment, 3);
    assert_false(has_segment(&disk, 2));
    assert_true(has_segment(&disk, 3));
    assert_int_equal(log.writer->condition, WAL_GOOD);
    log_free(&log);
    disk_free(&disk);
}

// The directory cannot be synced, or the file cannot be removed: the process ends, and it is told why.
static void TestLogPurgeFails(void **state) {
    (void)state;
    for (int unlinked = 0; unlinked < 2; unlinked++) {
        struct disk disk;
        struct log log;
        log_begin(&log, &disk, SEGMENT, 60);
        disk.fail_errno = EIO;
        disk.fail_sync_at = 1;
        if (unlinked == 1) {
            disk_remove(&disk, SEGMENT_1);
        }
        assert_false(wal_writer_purge(log.writer, 60));
        assert_int_equal(log.writer->first_segment, 1);
        assert_int_equal(log.writer->condition, WAL_FAILED);
        uint64_t calls = disk.calls;
        assert_false(wal_writer_purge(log.writer, 60));
        assert_int_equal(disk.calls, calls);
        assert_int_equal(log_close(&log, true), ERR_IO);
        static const char removing[] = "removing wal/0000000000000001.jsonl: ";
        assert_memory_equal(log.error.message, removing, sizeof removing - 1);
        log_end(&log, &disk);
    }
}

// A power loss at any call of a purge, and of the writes around it.
static void TestLogPurgeCrash(void **state) {
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct disk disk;
            struct log log;
            log_begin(&log, &disk, SEGMENT, 45);
            disk.seed = seed;
            disk.crash_at = disk.calls + call;
            purge(&log, 33);
            finished = !disk.dead;
            disk_crash(&disk);
            log_close(&log, false);
            log_open_after(&log, log_id_at(&log, 40), 33);
            log_check_holds(&log);
            purge(&log, 33);
            log_append(&log, 1, 10);
            log_run(&log);
            log_close(&log, false);
            log_open_after(&log, log_id_at(&log, 40), 33);
            log_check_holds(&log);
            log_end(&log, &disk);
        }
    }
}

// A new segment whose first batch found no space holds nothing that could take the place of the one before.
static void TestLogPurgeFull(void **state) {
    (void)state;
    for (uint64_t write = 1; write <= 12; write++) {
        struct disk disk;
        struct log log;
        log_begin(&log, &disk, SEGMENT, 44);
        disk.writes = 0;
        disk.fail_write_at = write;
        disk.fail_errno = ENOSPC;
        for (int i = 0; i < 12; i++) {
            log_append(&log, 1, 1000);
            wal_writer_step(log.writer);
            purge(&log, 44);
        }
        disk.now_us += 5 * US_PER_S;  // there is space again
        log_run(&log);
        purge(&log, 44);
        raft_index base;
        assert_true(log.writer->first_segment == log.writer->current.number ||
                    (wal_segment_base(&log.writer->dir, log.writer->first_segment + 1, &base) && base > 44));
        disk_crash(&disk);
        uint64_t durable = log.writer->durable_write;  // one entry each
        log_close(&log, false);
        log_open_after(&log, log_id_at(&log, 44), 44);
        assert_true(log.recovered.log.base.index + log.recovered.log.count >= durable);
        assert_int_equal(log.recovered.log.hard_state.current_term, 1);
        log_end(&log, &disk);
    }
}

// --- beginning anew after an installed image ---

static void push_reset(struct log *log, struct raft_entry_id image, raft_term term) {
    log_push(log, term, "", image.index + 1, 0, 0);
    struct wal_write *write = log->made;
    write->persist.reset = image;
    struct model *m = &log->model;
    for (m->count = 0; m->count < image.index; m->count++) {  // what the image covers has no model: only its last entry
        m->entries[m->count].term = m->count + 1 == image.index ? image.term : 0;
    }
}

static void check_anew(struct log *log, struct raft_entry_id image, size_t entries) {
    assert_int_equal(log->recovered.log.base.index, image.index);
    assert_int_equal(log->recovered.log.base.term, image.term);
    assert_int_equal(log->recovered.log.count, entries);
    log_check_holds(log);
}

static void TestLogBeginsAnew(void **state) {
    (void)state;
    static const struct raft_entry_id images[] = {
        {.index = 200, .term = 3},  // beyond the log
        {.index = 30, .term = 3},   // inside, of another term
        {.index = 45, .term = 2},   // at its end
    };
    for (size_t i = 0; i < ARRAY_COUNT(images); i++) {
        for (size_t entries = 0; entries < 3; entries++) {
            struct disk disk;
            struct log log;
            log_begin(&log, &disk, SEGMENT, 45);
            uint64_t before = log.writer->current.number;
            push_reset(&log, images[i], 3);
            log_run(&log);
            assert_int_equal(log.writer->current.number, before + 1);
            for (size_t k = 0; k < entries; k++) {
                log_append(&log, 1, 100);
                log_run(&log);
            }
            if (entries == 2) {
                purge(&log, images[i].index);
                assert_int_equal(log.writer->first_segment, before + 1);
            }
            log_close(&log, entries == 1);
            log_open_after(&log, images[i], images[i].index);
            check_anew(&log, images[i], entries);
            log_close(&log, false);
            log_open_after(&log, images[i], 0);
            check_anew(&log, images[i], entries);
            purge(&log, images[i].index);
            assert_int_equal(log.writer->first_segment, before + 1);
            log_append(&log, 1, 100);
            log_run(&log);
            log_close(&log, false);
            log_open_after(&log, images[i], images[i].index);
            check_anew(&log, images[i], entries + 1);
            log_end(&log, &disk);
        }
    }
}

// Of the segments before the new beginning none is needed, but the one at which it is stays as long as others do.
static void TestLogPurgeKeepsTheNewBeginning(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 200, .term = 3};
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 45);
    push_reset(&log, image, 3);
    log_run(&log);
    uint64_t anew = log.writer->current.number;
    size_t entries = 0;
    for (; log.writer->current.number < anew + 2; entries++) {
        log_append(&log, 1, 1000);
        log_run(&log);
    }
    purge(&log, image.index);
    assert_int_equal(log.writer->first_segment, anew);
    assert_true(has_segment(&disk, anew) && !has_segment(&disk, anew - 1));
    log_close(&log, false);
    log_open_after(&log, image, image.index);
    check_anew(&log, image, entries);
    purge(&log, image.index + entries);
    assert_int_equal(log.writer->first_segment, anew + 2);
    log_end(&log, &disk);
}

// One batch may hold writes before, at and after the new beginning.
static void TestLogBeginsAnewInOneStep(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 100, .term = 2};
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 5);
    log_append(&log, 2, 100);
    push_reset(&log, image, 2);
    log_append(&log, 2, 100);
    push_reset(&log, (struct raft_entry_id){.index = 120, .term = 2}, 2);
    log_append(&log, 1, 100);
    uint64_t last = log.write;
    log_run(&log);
    assert_int_equal(log.writer->durable_write, last);
    image.index = 120;
    for (raft_index from = 0; from <= 120; from += 120) {
        log_close(&log, false);
        log_open_after(&log, image, from);
        check_anew(&log, image, 1);
    }
    log_end(&log, &disk);
}

// Its entries fill more than one batch.
static void TestLogBeginsAnewWithMuch(void **state) {
    (void)state;
    enum { ENTRIES = 9 };
    struct raft_entry_id image = {.index = 100, .term = 2};
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    log_init(&log, &disk, 0);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 3, 100);
    log_run(&log);
    log_push(&log, 2, "", image.index + 1, 0, 0);
    struct model *m = &log.model;
    m->entries[image.index - 1].term = image.term;
    m->count = image.index;
    log_append(&log, ENTRIES, COMMAND_MAX);
    struct wal_write *write = log.made;
    write->persist.reset = image;
    log_run(&log);
    assert_int_equal(log.writer->current.number, 2);
    log_close(&log, false);
    log_open_after(&log, image, 100);
    check_anew(&log, image, ENTRIES);
    log_end(&log, &disk);
}

// The crash came between the image and the first batch after it: the log lacks the image's last entry, or has another there.
static void TestLogImageNotInLog(void **state) {
    (void)state;
    static const raft_index indexes[] = {30, 35, 40, 45, 46, 50, 55, 60};  // 46: the very next
    for (size_t i = 0; i < ARRAY_COUNT(indexes); i++) {
        raft_index index = indexes[i];
        struct raft_entry_id image = {.index = index, .term = 2};
        struct disk disk;
        struct log log;
        log_begin(&log, &disk, SEGMENT, 45);
        log_push(&log, 2, "", log.model.count + 1, 0, 0);
        log_run(&log);
        log_close(&log, false);
        log.model.entries[index - 1].term = 2;
        log.model.count = index;
        log_open_after(&log, image, index % 2 == 0 ? index : 0);
        check_anew(&log, image, 0);
        purge(&log, index);
        assert_int_equal(log.writer->first_segment, log.writer->current.number);
        log_append(&log, 1, 100);
        log_run(&log);
        log_close(&log, false);
        log_open_after(&log, image, index);
        check_anew(&log, image, 1);
        log_end(&log, &disk);
    }
}

// An image of entries that only the segment being written holds, and the process is killed: what the image covers counts
// once, and what follows it is there, whether the image is in the middle of the segment or at its end.
static void TestLogImageInOpenSegment(void **state) {
    (void)state;
    for (raft_index index = 1; index <= 5; index++) {
        struct disk disk;
        struct log log;
        log_begin(&log, &disk, SEGMENT, 5);
        assert_int_equal(log.writer->current.number, 1);
        log_close(&log, false);
        for (raft_index from = 0; from <= index; from++) {
            log_open_after(&log, log_id_at(&log, index), from);
            assert_int_equal(log.recovered.log.base.index, from);
            log_check_holds(&log);
            assert_int_equal(log.writer->current.number, 1);  // nothing began anew
            log_close(&log, false);
        }
        log_end(&log, &disk);
    }
}

// The log's last entry replaced one before those that are needed: the image, which another node has sent since, is not in
// it.
static void TestLogReplacedBeforeTheImage(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 20, .term = 2};
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 45);
    log_push(&log, 2, "n2", 15, 1, 100);
    log_run(&log);
    log_close(&log, false);
    log.model.entries[19].term = 2;
    log.model.count = 20;
    log_open_after(&log, image, 20);
    check_anew(&log, image, 0);
    log_end(&log, &disk);
}

// The crash came before the first write with the term of the leader whose image it is: the core adopts the term.
static void TestLogImageOfALaterTerm(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 60, .term = 2};
    struct disk disk;
    struct log log;
    log_begin(&log, &disk, SEGMENT, 45);
    log_close(&log, false);
    log_open_after(&log, image, 60);
    assert_int_equal(log.recovered.log.base.index, 60);
    assert_int_equal(log.recovered.log.hard_state.current_term, 1);
    log.model.count = 60;
    log.model.entries[59].term = 2;
    log_push(&log, 2, "", 61, 1, 100);
    log_run(&log);
    log_close(&log, false);
    log_open_after(&log, image, 60);
    check_anew(&log, image, 1);
    log_end(&log, &disk);
}

// The image is durable first. Then a crash at any call leaves a log that the image continues, before or after the reset.
static void TestLogBeginsAnewCrash(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 70, .term = 2};
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct disk disk;
            struct log log;
            log_begin(&log, &disk, SEGMENT, 45);
            log_push(&log, 2, "", log.model.count + 1, 0, 0);  // the leader's term is durable before its image is taken
            log_run(&log);
            disk.seed = seed;
            disk.crash_at = disk.calls + call;
            push_reset(&log, image, 2);
            log_append(&log, 1, 100);
            uint64_t last = log.write;
            log_run(&log);
            bool durable = log.writer->durable_write == last;
            finished = !disk.dead;
            disk_crash(&disk);
            log_close(&log, false);
            disk.crash_at = seed % 2 == 0 ? disk.calls + 1 + call % 5 : 0;  // and again while it recovers
            log.image = image;
            log.from = 70;
            if (log_open(&log) != OK) {
                assert_true(disk.dead);
                disk_crash(&disk);
                log_open_after(&log, image, 70);
            }
            disk.crash_at = 0;
            assert_int_equal(log.recovered.log.base.index, 70);
            assert_int_equal(log.recovered.log.base.term, 2);
            assert_true(log.recovered.log.count == 1 || (!durable && log.recovered.log.count == 0));
            log.model.count = 70 + log.recovered.log.count;
            log_append(&log, 1, 50);
            log_run(&log);
            log_close(&log, false);
            log_open_after(&log, image, 70);
            log_check_holds(&log);
            log_end(&log, &disk);
        }
    }
}

// The crash came in the first batch of a segment. Its header, which says that nothing before it is needed, is there, the
// rest is not: the segment holds nothing, and term and vote are those of the log before it.
static void TestLogBeginsAnewTorn(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 70, .term = 2};
    for (int purged = 0; purged < 2; purged++) {
        struct disk disk;
        struct log log;
        log_begin(&log, &disk, SEGMENT, 45);
        log_push(&log, 2, "n2", log.model.count + 1, 0, 0);
        log_run(&log);
        purge(&log, purged != 0 ? 40 : 0);
        uint64_t first = log.writer->first_segment;
        uint64_t before = log.writer->current.number;
        struct model model = log.model;
        push_reset(&log, image, 3);
        log_append(&log, 1, 1000);
        log_run(&log);
        assert_int_equal(log.writer->current.number, before + 1);
        log_close(&log, false);
        char path[64];
        snprintf(path, sizeof path, "data/wal/%016llu.jsonl", (unsigned long long)before + 1);
        struct buf torn = {0};
        buf_append(&torn, disk_bytes(&disk, path).data, 512);
        disk_put(&disk, path, buf_slice(&torn));
        buf_free(&torn);
        log_open_after(&log, image, 70);
        assert_int_equal(log.recovered.torn_bytes, 512);
        assert_int_equal(log.writer->first_segment, first);
        assert_string_equal(log.recovered.log.hard_state.voted_for.text, "n2");
        log.model = model;
        log.model.count = 70;
        log.model.entries[69].term = 2;
        check_anew(&log, image, 0);
        log_append(&log, 1, 100);
        log_run(&log);
        log_close(&log, false);
        log_open_after(&log, image, 70);
        check_anew(&log, image, 1);
        log_end(&log, &disk);
    }
}

// A directory that has a restored image and no log: founding writes one batch. After a crash at any call there is all of it,
// or no log.
static void TestLogFoundedCrash(void **state) {
    (void)state;
    struct raft_entry_id image = {.index = 70, .term = 2};
    bool finished = false;
    bool founded[2] = {false, false};
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct disk disk;
            struct log log;
            disk_init(&disk, seed);
            log_init(&log, &disk, 0);
            log.generation = 2;
            log.image = image;
            log.from = image.index;
            disk.crash_at = call;
            if (log_open(&log) == OK) {
                push_reset(&log, image, 3);
                log_append(&log, 1, 100);
                log_run(&log);
            }
            bool durable = !disk.dead;
            finished = durable;
            disk_crash(&disk);
            log_close(&log, false);
            disk.crash_at = 0;
            assert_int_equal(log_open(&log), OK);
            founded[!log.recovered.empty] = true;
            assert_true(!log.recovered.empty || !durable);
            if (!log.recovered.empty) {
                assert_int_equal(log.recovered.log.base.index, 70);
                assert_int_equal(log.recovered.log.base.term, 2);
                assert_int_equal(log.recovered.log.count, 1);
                assert_int_equal(log.recovered.log.hard_state.current_term, 3);
                assert_int_equal(log.recovered.generation, 2);
            }
            log_free(&log);
            disk_free(&disk);
        }
    }
    assert_true(founded[false] && founded[true]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogFromIndex),
    cmocka_unit_test(TestLogBaseReplaced),
    cmocka_unit_test(TestLogPurge),
    cmocka_unit_test(TestLogBeginsLate),
    cmocka_unit_test(TestLogSegmentMissing),
    cmocka_unit_test(TestLogNoBatchLeft),
    cmocka_unit_test(TestLogPurgeCrash),
    cmocka_unit_test(TestLogPurgeBeforeDamage),
    cmocka_unit_test(TestLogPurgeFails),
    cmocka_unit_test(TestLogPurgeKeepsTheNewBeginning),
    cmocka_unit_test(TestLogBeginsAnew),
    cmocka_unit_test(TestLogBeginsAnewInOneStep),
    cmocka_unit_test(TestLogBeginsAnewCrash),
    cmocka_unit_test(TestLogBeginsAnewTorn),
    cmocka_unit_test(TestLogFoundedCrash),
    cmocka_unit_test(TestLogBeginsAnewWithMuch),
    cmocka_unit_test(TestLogImageNotInLog),
    cmocka_unit_test(TestLogImageInOpenSegment),
    cmocka_unit_test(TestLogPurgeFull),
    cmocka_unit_test(TestLogImageOfALaterTerm),
    cmocka_unit_test(TestLogReplacedBeforeTheImage),
};

UNIT_MAIN(tests)
