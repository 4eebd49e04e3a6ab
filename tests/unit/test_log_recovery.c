// What recovery makes of a log whose end a crash has torn, and of one that is damaged, on a disk in memory.
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "log_fixture.h"
#include "unit.h"

static uint64_t seed_from_environment(void) {
    const char *text = getenv("BATON_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("BATON_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

// A log whose last batch follows others.
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

// The last batch is of `count` entries of `len` bytes; `opens`: the first one of segment 2. `vote` and an entry of `pad`
// bytes move it.
static void scene_init_moved(struct scene *s, const char *vote, uint32_t pad, bool opens, size_t count, uint32_t len) {
    memset(s, 0, sizeof *s);
    disk_init(&s->disk, 1);
    struct log log;
    log_init(&log, &s->disk, 16 * KIB);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, vote, 1, 3, 100);
    log_run(&log);
    log_append(&log, 5, 700);
    if (pad > 0) {
        log_append(&log, 1, pad);
    }
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

static void scene_init(struct scene *s, bool opens, size_t count, uint32_t len) {
    scene_init_moved(s, "n1", 0, opens, count, len);
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

// A torn batch is reported once. Opened again, the log is without it, and further writes follow what was there before.
static void check_repaired(struct scene *s, const struct model *holds) {
    log_close(&s->log, false);
    assert_int_equal(log_open(&s->log), OK);
    assert_int_equal(s->log.recovered.torn_bytes, 0);
    assert_string_equal(s->log.recovered.torn_where, "");
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

// A write of the repair ended one byte behind a sector's beginning, and of all that it wrote only this byte reached the
// disk: with what was missing before, that is a torn batch; in a batch of which all else is there it is damage.
static void check_one_byte(struct scene *s, uint64_t at) {
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(&s->file));
    bytes.data[at] = '\n';
    assert_int_equal(scene_open(s, buf_slice(&bytes)), ERR_WAL_CORRUPT);
    uint64_t missing = s->end - 10;
    if (at < missing) {
        memset(bytes.data + missing, '\n', s->end - missing);
        check_torn(s, buf_slice(&bytes), torn_len(s, buf_slice(&bytes)));
        check_repaired(s, &s->before);
        memcpy(bytes.data + missing, s->file.data + missing, s->end - missing);
    }
    memset(bytes.data + s->begin, '\n', (s->begin / 512 + 1) * 512 - s->begin);
    check_torn(s, buf_slice(&bytes), torn_len(s, buf_slice(&bytes)));
    check_repaired(s, &s->before);
    buf_free(&bytes);
}

// Two newlines in a row are in no batch: they are proof enough.
static void check_two_bytes(struct scene *s, uint64_t at) {
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(&s->file));
    memset(bytes.data + at, '\n', 2);
    check_torn(s, buf_slice(&bytes), torn_len(s, buf_slice(&bytes)));
    check_repaired(s, &s->before);
    buf_free(&bytes);
}

// The batch begins at a sector's last byte, so that this byte is all that a sector has of it.
static void TestLogSectorOfOneByte(void **state) {
    (void)state;
    struct scene s;
    scene_init_moved(&s, "n1", 0, false, 9, 300);
    for (uint32_t i = 1; s.begin % 512 != 511; i++) {
        assert_in_range(i, 1, 4 * 512);
        scene_free(&s);
        scene_init_moved(&s, &"nnnn"[i % 4], i / 4 * 3, false, 9, 300);
    }
    struct buf bytes = {0};
    buf_append_slice(&bytes, buf_slice(&s.file));
    bytes.data[s.begin] = '\n';
    check_torn(&s, buf_slice(&bytes), torn_len(&s, buf_slice(&bytes)));
    check_repaired(&s, &s.before);
    buf_free(&bytes);
    scene_free(&s);
}

static void TestLogRepairOfOneByte(void **state) {
    (void)state;
    for (uint32_t len = 300; len < 320; len++) {
        struct scene s;
        scene_init(&s, false, 9, len);
        for (uint64_t at = (s.begin / 512 + 1) * 512; at < s.end; at += 512) {
            if (s.file.data[at] != '\n' && s.file.data[at + 1] != '\n') {
                check_one_byte(&s, at);
                check_two_bytes(&s, at);
            }
        }
        scene_free(&s);
    }
}

// Filling that in part did not reach the disk before a crash reads as zeros, which are cut off. None follow a torn batch:
// filling is synced before a batch is written into it.
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

// The newline after the last mark is missing, and the machine stops in any call of the next write: there are never zeros in
// that newline's place, which would be damage.
static void TestLogLastNewlineMissing(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, false, 4, 150);
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            assert_int_equal(scene_open(&s, slice_of(s.file.data, s.end - 1)), OK);
            s.log.model = s.after;
            s.scratch.seed = seed;
            s.scratch.crash_at = s.scratch.calls + call;
            log_append(&s.log, 1, 3000);
            log_run(&s.log);
            finished = !s.scratch.dead;
            disk_crash(&s.scratch);
            log_close(&s.log, false);
            if (log_open(&s.log) != OK) {
                fail_msg("a crash in call %llu: %s", (unsigned long long)call, s.log.error.message);
            }
            assert_true(model_holds(&s.log.model, &s.log.recovered) ||
                        (!finished && model_holds(&s.after, &s.log.recovered)));
        }
    }
    scene_free(&s);
}

// Of a log that was stopped only its end is written again, not all of the segment.
static void TestLogRepairWritesTheEndOnly(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s, false, 4, 150);
    disk_copy(&s.scratch, &s.disk);
    uint64_t moved = s.scratch.moved;
    assert_int_equal(log_open(&s.log), OK);
    assert_int_equal(s.scratch.moved - moved, s.file.len - s.begin);
    scene_free(&s);
}

// --- failures meanwhile ---

// A file that was being filled ahead: some of it has not reached the disk.
static void put_zeros(struct buf *bytes) {
    memset(buf_reserve(bytes, 2048), '\n', 2048);
    memset(bytes->data + bytes->len + 512, 0, 1024);
    bytes->len += 2048;
}

enum ending { WHOLE, WHOLE_AND_BLANK, TORN_AND_BLANK, TORN_LARGE, ENDINGS };

static const struct model *scene_of(struct scene *s, enum ending ending) {
    scene_init(s, ending == TORN_LARGE, ending == TORN_LARGE ? 9 : 4, ending == TORN_LARGE ? 20000 : 150);
    struct buf bytes = {0};
    buf_append(&bytes, s->file.data, s->end);
    if (ending == TORN_AND_BLANK || ending == TORN_LARGE) {
        uint64_t hole = (s->begin / 512 + 1) * 512;
        memset(bytes.data + hole, '\n', 512);
    } else {
        put_zeros(&bytes);
    }
    disk_put(&s->disk, s->path, buf_slice(&bytes));
    buf_clear(&bytes);
    if (ending == WHOLE_AND_BLANK || ending == TORN_AND_BLANK) {
        put_zeros(&bytes);
        disk_put(&s->disk, SEGMENT_2, buf_slice(&bytes));
    }
    buf_free(&bytes);
    return ending == WHOLE || ending == WHOLE_AND_BLANK ? &s->after : &s->before;
}

static void assert_no_zeros(const struct disk *disk, const char *path) {
    struct slice bytes = disk_bytes(disk, path);
    assert_non_null(bytes.data);
    assert_null(memchr(bytes.data, '\0', bytes.len));
}

// The file that was being prepared is used, or goes with a clean stop, whatever the crash has left in it.
static void TestLogBlankIsTakenOver(void **state) {
    (void)state;
    for (enum ending ending = WHOLE_AND_BLANK; ending <= TORN_AND_BLANK; ending++) {
        for (int trim = 0; trim < 2; trim++) {
            struct scene s;
            const struct model *holds = scene_of(&s, ending);
            disk_copy(&s.scratch, &s.disk);
            assert_int_equal(log_open(&s.log), OK);
            assert_true(model_holds(holds, &s.log.recovered));
            assert_int_equal(s.log.writer->next.number, 2);
            assert_no_zeros(&s.scratch, SEGMENT_1);
            assert_no_zeros(&s.scratch, SEGMENT_2);
            log_close(&s.log, trim != 0);
            assert_true((disk_bytes(&s.scratch, SEGMENT_2).data == NULL) == (trim != 0));
            scene_free(&s);
        }
    }
}

// The kinds of calls, and which of them is to fail.
enum { READS, OPENS, WRITES, SYNCS, KINDS };

static uint64_t *failing(struct disk *disk, int kind) {
    uint64_t *const fail_at[] = {&disk->fail_read_at, &disk->fail_open_at, &disk->fail_write_at, &disk->fail_sync_at};
    return fail_at[kind];
}

// The log is opened, and this call fails. False: there are fewer.
static bool check_fault(struct scene *s, const struct model *holds, int kind, uint64_t at) {
    struct disk *disk = &s->scratch;
    disk_copy(disk, &s->disk);
    disk->fail_errno = EIO;
    disk->reads = disk->opened = disk->writes = disk->syncs = 0;
    *failing(disk, kind) = at;
    size_t open = disk_open_files(disk);
    enum error_code code = log_open(&s->log);
    bool failed = *failing(disk, kind) == 0;
    *failing(disk, kind) = 0;
    if (code != (failed ? ERR_IO : OK) && !(code == OK && kind == OPENS)) {  // O_DIRECT may be refused
        fail_msg("call %llu of kind %d fails: %d, %s", (unsigned long long)at, kind, code, s->log.error.message);
    }
    assert_true(code != OK || model_holds(holds, &s->log.recovered));
    log_close(&s->log, false);
    assert_int_equal(disk_open_files(disk), open);
    assert_int_equal(log_open(&s->log), OK);  // the disk is well again
    assert_true(model_holds(holds, &s->log.recovered));
    log_close(&s->log, false);
    return failed;
}

// What cannot be read or repaired is neither taken for damage nor for the log's end, and no descriptor stays open.
static void TestLogRecoveryFails(void **state) {
    (void)state;
    for (enum ending ending = WHOLE; ending < ENDINGS; ending++) {
        struct scene s;
        const struct model *holds = scene_of(&s, ending);
        for (int kind = 0; kind < KINDS; kind++) {
            for (uint64_t at = 1; check_fault(&s, holds, kind, at); at++) {
            }
        }
        scene_free(&s);
    }
}

// In a process of its own: opens the log with memory for a few more of its entries.
static int open_with_little_memory(struct log *log) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) {
        return 2;
    }
    struct rlimit limit = {.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + 10 * MIB, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 3;
    }
    bool told = log_open(log) == ERR_NO_MEMORY && strcmp(log->error.message, "no memory for the entries of the log") == 0;
    raft_slab_free(log->slab);  // no entry is left
    return told && log->recovered.empty ? 0 : 1;
}

static void TestLogWithoutMemory(void **state) {
    (void)state;
    if (UNDER_ASAN) {
        skip();  // it takes terabytes of the address space
    }
    mallopt(M_MMAP_THRESHOLD, 128 * KIB);  // what is freed goes back
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    log_init(&log, &disk, 0);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 1, COMMAND_MAX);
    log_run(&log);
    for (int i = 0; i < 15; i++) {
        log_append(&log, 1, COMMAND_MAX);
        log_run(&log);
    }
    log_close(&log, false);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(open_with_little_memory(&log));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(log_open(&log), OK);
    assert_true(model_holds(&log.model, &log.recovered));
    log_free(&log);
    disk_free(&disk);
}

// The log that a start reads comes to lie in huge pages, but for a small one.
static void TestLogInHugePages(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    log_init(&log, &disk, 0);
    assert_int_equal(log_open(&log), OK);
    log_push(&log, 1, "n1", 1, 1, 10);
    log_append(&log, 300, 8000);
    log_run(&log);
    struct raft_slab *slab = raft_slab_new();
    struct wal_recovered recovered;
    assert_int_equal(wal_check("data", &disk.io, slab, &recovered, &log.error), OK);
    assert_true(model_holds(&log.model, &recovered));
    assert_int_equal(raft_slab_bytes(slab), 2 * MEM_HUGE_PAGE);  // in usual blocks up to here, and one more
    wal_recovered_free(&recovered);
    raft_slab_free(slab);
    log_free(&log);
    disk_free(&disk);
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

    // The last batch a second time after itself: a misdirected write.
    buf_clear(&bytes);
    buf_append(&bytes, s->file.data, s->end);
    buf_append(&bytes, s->file.data + s->begin, s->end - s->begin);
    disk_put(&s->scratch, s->path, buf_slice(&bytes));
    assert_int_equal(log_open(&s->log), ERR_WAL_CORRUPT);

    // With a hole it would be a torn batch if nothing followed it. Nor may another batch's mark end it.
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

    // Text after the filling.
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
// somewhere. No write takes more than `short_max` bytes; 0: all. False: the story has fewer calls.
static bool crash_in(uint64_t seed, uint64_t call, uint64_t segment_bytes, enum disk_direct direct, size_t short_max) {
    struct story s = {.random = seed};
    disk_init(&s.disk, seed + call);
    s.disk.direct = direct;
    s.disk.short_max = short_max;
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
        size_t short_max = story % 4 == 1 ? 700 : 0;
        for (uint64_t call = 1; crash_in(seed + story * 1000, call, segment_bytes, direct, short_max); call++) {
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogTornTail),
    cmocka_unit_test(TestLogRepairOfOneByte),
    cmocka_unit_test(TestLogUnfilled),
    cmocka_unit_test(TestLogCorruption),
    cmocka_unit_test(TestLogCrashEverywhere),
    cmocka_unit_test(TestLogLastNewlineMissing),
    cmocka_unit_test(TestLogRepairWritesTheEndOnly),
    cmocka_unit_test(TestLogBlankIsTakenOver),
    cmocka_unit_test(TestLogRecoveryFails),
    cmocka_unit_test(TestLogWithoutMemory),
    cmocka_unit_test(TestLogInHugePages),
    cmocka_unit_test(TestLogSectorOfOneByte),
};

UNIT_MAIN(tests)
