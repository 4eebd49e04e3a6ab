// What a scan asks of the disk, and where a log may end. On a disk in memory.
#include <stdio.h>

#include "log_model.h"
#include "unit.h"
#include "wal/scan.h"

enum { SEGMENT = 16 * KIB, ENTRIES = 40, PATH_SIZE = 64 };

// A disk whose reads are watched.
static struct {
    struct disk disk;
    struct wal_io io;
    struct log log;
    int ahead;        // the file of which all is to be read
    uint64_t files;   // such so far
    uint64_t behind;  // reads of another one
} t;

static void watched_read_ahead(void *self, int fd) {
    t.disk.io.read_ahead(self, fd);
    t.ahead = fd;
    t.files++;
}

static ssize_t watched_read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    t.behind += fd != t.ahead;
    return t.disk.io.read_at(self, fd, out, len, offset);
}

static int begin(void **state) {
    (void)state;
    log_begin(&t.log, &t.disk, SEGMENT, ENTRIES);
    log_close(&t.log, true);
    t.io = t.disk.io;
    t.io.read_at = watched_read_at;
    t.io.read_ahead = watched_read_ahead;
    t.files = t.behind = 0;
    return 0;
}

static int end(void **state) {
    (void)state;
    assert_int_equal(disk_open_files(&t.disk), 0);
    log_free(&t.log);
    disk_free(&t.disk);
    return 0;
}

static const char *segment_path(char path[static PATH_SIZE], uint64_t number) {
    snprintf(path, PATH_SIZE, "data/wal/%016llu.jsonl", (unsigned long long)number);
    return path;
}

static enum error_code check(struct wal_recovered *recovered) {
    return wal_check("data", &t.io, t.log.slab, recovered, &t.log.error);
}

// The system is told of each segment before it is read, and so reads more of it than it does by itself.
static void TestLogReadsAhead(void **state) {
    (void)state;
    struct wal_recovered recovered;
    assert_int_equal(check(&recovered), OK);
    assert_in_range(recovered.segments, 3, 10);
    assert_int_equal(t.files, recovered.segments);
    assert_int_equal(t.behind, 0);
    wal_recovered_free(&recovered);
}

// And of the newest two by a start that loads an image first; of one, if there is no other; of none.
static void TestLogReadsAheadBeforeAScan(void **state) {
    (void)state;
    struct wal_directory dir;
    char path[PATH_SIZE];
    assert_int_equal(wal_directory_look(&dir, "data", &t.io, &t.log.error), OK);
    wal_scan_ahead(&dir);
    assert_int_equal(t.files, 2);
    for (uint64_t number = 2; disk_bytes(&t.disk, segment_path(path, number)).data != NULL; number++) {
        disk_remove(&t.disk, path);
    }
    t.files = 0;
    wal_scan_ahead(&dir);
    assert_int_equal(t.files, 1);
    disk_remove(&t.disk, "data/wal/0000000000000001.jsonl");
    wal_scan_ahead(&dir);
    assert_int_equal(t.files, 1);
    assert_int_equal(t.behind, 0);
    wal_directory_close(&dir);
    struct wal_directory none = {.io = &t.io, .wal = -1};
    wal_scan_ahead(&none);
    assert_int_equal(t.files, 1);
}

// Of the last segment the filling may never have reached the disk: it ends with the last mark.
static void TestLogEndsWithItsLastMark(void **state) {
    (void)state;
    struct wal_recovered recovered;
    assert_int_equal(check(&recovered), OK);
    char path[PATH_SIZE];
    segment_path(path, recovered.segments);
    wal_recovered_free(&recovered);
    struct slice bytes = disk_bytes(&t.disk, path);
    struct buf kept = {.len = 0};
    buf_append_slice(&kept, bytes);
    while (kept.len > 1 && kept.data[kept.len - 2] == '\n') {
        kept.len--;
    }
    assert_true(kept.len < bytes.len && kept.data[kept.len - 1] == '\n');
    for (size_t lost = 0; lost < 2; lost++) {  // the mark's own newline, too
        disk_put(&t.disk, path, slice_of(kept.data, kept.len - lost));
        if (check(&recovered) != OK) {
            fail_msg("%s", t.log.error.message);
        }
        assert_true(model_holds(&t.log.model, &recovered));
        wal_recovered_free(&recovered);
    }
    buf_free(&kept);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(TestLogReadsAhead, begin, end),
    cmocka_unit_test_setup_teardown(TestLogReadsAheadBeforeAScan, begin, end),
    cmocka_unit_test_setup_teardown(TestLogEndsWithItsLastMark, begin, end),
};

UNIT_MAIN(tests)
