// Image files on a disk in memory: written whole or not at all, and read back whole or refused.
#include <errno.h>
#include <stdio.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "unit.h"
#include "wal/image.h"
#include "wal_disk.h"

#define IMAGE_NAME "data/snap/0000000000000812-3.snap"

static const struct raft_entry_id last = {.index = 812, .term = 3};

struct fixture {
    struct disk disk;
    struct wal_directory dir;
    struct error error;
};

static void begin(struct fixture *f) {
    disk_init(&f->disk, 1);
    if (wal_directory_open(&f->dir, "data", &f->disk.io, &f->error) != OK) {
        fail_msg("%s", f->error.message);
    }
}

static void end(struct fixture *f) {
    wal_directory_close(&f->dir);
    disk_free(&f->disk);
}

// Opens the directory again, as after a crash or a start.
static void reopen(struct fixture *f) {
    wal_directory_close(&f->dir);
    if (wal_directory_open(&f->dir, "data", &f->disk.io, &f->error) != OK) {
        fail_msg("%s", f->error.message);
    }
    assert_int_equal(wal_images_tidy(&f->dir, &f->error), OK);
}

static struct wal_image_header header_of(struct raft_entry_id id) {
    return (struct wal_image_header){.cluster_id = slice_of_str("demo"),
                                     .generation = 2,
                                     .last = id,
                                     .configuration_index = 1,
                                     .configuration = slice_of_str("members")};
}

static struct slice record_of(char text[64], uint64_t i) {
    snprintf(text, 64, "\"item\":{\"key\":\"a2V5\",\"revision\":%llu}", (unsigned long long)i);
    return slice_of_str(text);
}

static enum error_code write_image(struct fixture *f, struct raft_entry_id id, uint64_t records, uint64_t *bytes) {
    struct wal_image_writer *writer;
    struct wal_image_header header = header_of(id);
    enum error_code code = wal_image_begin(&f->dir, &header, 0, &writer, &f->error);
    if (code != OK) {
        return code;
    }
    for (uint64_t i = 0; i < records; i++) {
        char text[64];
        code = wal_image_add(writer, record_of(text, i), &f->error);
        if (code != OK) {
            wal_image_abandon(writer);
            return code;
        }
    }
    return wal_image_finish(writer, 0xfedcba9876543210, bytes, &f->error);
}

// Reads the image to its end.
static enum error_code read_image(struct fixture *f, struct raft_entry_id id, uint64_t *records) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    *records = 0;
    enum error_code code = wal_image_open(&f->dir, id, &reader, &header, &f->error);
    bool in_order = true;
    if (code == OK) {
        assert_true(slice_equal(header.cluster_id, slice_of_str("demo")));
        assert_int_equal(header.generation, 2);
        assert_int_equal(header.last.index, id.index);
        assert_int_equal(header.last.term, id.term);
        assert_int_equal(header.configuration_index, 1);
        assert_true(slice_equal(header.configuration, slice_of_str("members")));
    }
    while (code == OK) {
        struct slice record;
        uint64_t digest;
        char text[64];
        code = wal_image_next(&reader, &record, &digest, &f->error);
        if (code == OK && record.data == NULL) {
            assert_true(digest == 0xfedcba9876543210);
            break;
        }
        if (code == OK) {
            in_order &= slice_equal(record, record_of(text, (*records)++));
        }
    }
    wal_image_close(&reader);
    assert_true(code != OK || in_order);
    return code;
}

static size_t count_images(struct fixture *f) {
    struct raft_entry_id *list;
    size_t count;
    assert_int_equal(wal_images(&f->dir, &list, &count, &f->error), OK);
    free(list);
    return count;
}

static void TestImageWriteAndRead(void **state) {
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2, 1000, 100000};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct fixture f;
        begin(&f);
        f.disk.short_max = i % 2 == 0 ? 0 : 777;
        f.disk.eintr = i % 2 == 0 ? 0 : 3;
        uint64_t bytes;
        uint64_t records;
        assert_int_equal(write_image(&f, last, sizes[i], &bytes), OK);
        assert_int_equal(disk_bytes(&f.disk, IMAGE_NAME).len, bytes);
        disk_crash(&f.disk);  // it was durable
        reopen(&f);
        assert_int_equal(read_image(&f, last, &records), OK);
        assert_int_equal(records, sizes[i]);
        end(&f);
    }
}

static void TestImageFormat(void **state) {
    (void)state;
    static const char wanted[] =
        "{\"v\":1,\"cluster\":\"demo\",\"generation\":2,\"index\":812,\"term\":3,\"configuration_index\":1,"
        "\"configuration\":\"bWVtYmVycw==\",\"crc\":\"edfeafdc\"}\n"
        "{\"item\":{\"key\":\"a2V5\",\"revision\":0},\"crc\":\"7faa2046\"}\n"
        "{\"records\":1,\"bytes\":187,\"digest\":\"fedcba9876543210\",\"crc\":\"480530f2\"}\n";
    struct fixture f;
    begin(&f);
    uint64_t bytes;
    assert_int_equal(write_image(&f, last, 1, &bytes), OK);
    struct slice file = disk_bytes(&f.disk, IMAGE_NAME);
    if (!slice_equal(file, slice_of_str(wanted))) {
        fail_msg("the image is:\n%.*s", (int)file.len, (const char *)file.data);
    }
    end(&f);
}

// A crash at any call leaves a whole image or none, and nothing else after the next start.
static void TestImageCrash(void **state) {
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct fixture f;
            begin(&f);
            uint64_t bytes;
            uint64_t records;
            struct raft_entry_id before = {.index = 400, .term = 2};
            assert_int_equal(write_image(&f, before, 3, &bytes), OK);
            f.disk.seed = seed;
            f.disk.crash_at = f.disk.calls + call;
            enum error_code code = write_image(&f, last, 20000, &bytes);
            finished = !f.disk.dead;
            disk_crash(&f.disk);
            reopen(&f);
            assert_int_equal(read_image(&f, before, &records), OK);
            size_t count = count_images(&f);
            assert_true(count == 2 || (count == 1 && code != OK));
            if (count == 2) {
                assert_int_equal(read_image(&f, last, &records), OK);
                assert_int_equal(records, 20000);
            }
            assert_null(disk_bytes(&f.disk, IMAGE_NAME ".tmp").data);
            end(&f);
        }
    }
}

// A received image gets its name when all of it is durable, wherever the machine stops meanwhile.
static void TestImagePartCrash(void **state) {
    (void)state;
    bool finished = false;
    for (uint64_t call = 1; !finished; call++) {
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct fixture f;
            begin(&f);
            uint64_t bytes, records, size;
            int fd;
            struct buf image = {0};
            assert_int_equal(write_image(&f, last, 1000, &bytes), OK);
            buf_append_slice(&image, disk_bytes(&f.disk, IMAGE_NAME));
            assert_int_equal(wal_image_remove(&f.dir, last, &f.error), OK);
            assert_int_equal(wal_image_open_part(&f.dir, last, &fd, &size, &f.error), OK);
            struct iovec part = {.iov_base = image.data, .iov_len = image.len};
            assert_int_equal(f.disk.io.write_at(f.disk.io.self, fd, &part, 1, 0, 0), image.len);
            f.disk.io.close(f.disk.io.self, fd);
            f.disk.seed = seed;
            f.disk.crash_at = f.disk.calls + call;
            enum error_code code = wal_image_adopt_part(&f.dir, last, &f.error);
            finished = !f.disk.dead;
            disk_crash(&f.disk);
            reopen(&f);
            assert_true(count_images(&f) == 1 || code != OK);
            assert_true(count_images(&f) == 0 || (read_image(&f, last, &records) == OK && records == 1000));
            buf_free(&image);
            end(&f);
        }
    }
}

static void TestImageNoSpace(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    struct wal_image_writer *writer;
    struct wal_image_header header = header_of(last);
    uint64_t bytes;
    f.disk.space = 1000000;
    assert_int_equal(wal_image_begin(&f.dir, &header, 1000001, &writer, &f.error), ERR_NO_SPACE);
    assert_non_null(strstr(f.error.message, "1000000 bytes are free there, 1000001 are needed"));
    assert_null(disk_bytes(&f.disk, IMAGE_NAME ".tmp").data);
    assert_int_equal(write_image(&f, last, 100000, &bytes), ERR_NO_SPACE);  // others were faster
    assert_null(disk_bytes(&f.disk, IMAGE_NAME ".tmp").data);
    assert_int_equal(count_images(&f), 0);
    end(&f);
}

static void TestImageDiskFails(void **state) {
    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        for (uint64_t at = 1; at <= 20; at++) {
            struct fixture f;
            begin(&f);
            uint64_t bytes;
            f.disk.writes = f.disk.syncs = 0;
            f.disk.fail_errno = EIO;
            *(sync ? &f.disk.fail_sync_at : &f.disk.fail_write_at) = at;
            enum error_code code = write_image(&f, last, 60000, &bytes);
            bool failed = f.disk.fail_sync_at == 0 && f.disk.fail_write_at == 0;
            assert_int_equal(code, failed ? ERR_IO : OK);
            assert_null(disk_bytes(&f.disk, IMAGE_NAME ".tmp").data);
            end(&f);
        }
    }
}

// Any byte changed, and any end cut off, is found.
static void TestImageDamaged(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t bytes;
    uint64_t records;
    assert_int_equal(write_image(&f, last, 3, &bytes), OK);
    assert_int_equal(wal_image_verify(&f.dir, last, &f.error), OK);
    struct buf whole = {0};
    buf_append_slice(&whole, disk_bytes(&f.disk, IMAGE_NAME));
    for (size_t i = 0; i < whole.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            whole.data[i] ^= (uint8_t)(1 << bit);
            disk_put(&f.disk, IMAGE_NAME, buf_slice(&whole));
            whole.data[i] ^= (uint8_t)(1 << bit);
            enum error_code code = read_image(&f, last, &records);
            assert_int_equal(wal_image_verify(&f.dir, last, &f.error), code);
            if (code != ERR_SNAP_CORRUPT || strstr(f.error.message, "SNAP_CORRUPT snap/0000000000000812-3.snap:") == NULL) {
                fail_msg("byte %zu, bit %d: %d %s", i, bit, code, code == OK ? "" : f.error.message);
            }
        }
        disk_put(&f.disk, IMAGE_NAME, slice_of(whole.data, i));
        assert_int_equal(read_image(&f, last, &records), ERR_SNAP_CORRUPT);
    }
    buf_append_str(&whole, "\n");
    disk_put(&f.disk, IMAGE_NAME, buf_slice(&whole));
    assert_int_equal(read_image(&f, last, &records), ERR_SNAP_CORRUPT);
    buf_free(&whole);
    end(&f);
}

// A record too few with every line's checksum right.
static void TestImageRecordMissing(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t bytes;
    uint64_t records;
    assert_int_equal(write_image(&f, last, 3, &bytes), OK);
    struct slice file = disk_bytes(&f.disk, IMAGE_NAME);
    const uint8_t *first = memchr(file.data, '\n', file.len);
    const uint8_t *second = memchr(first + 1, '\n', file.len - (size_t)(first + 1 - file.data));
    struct buf without = {0};
    buf_append(&without, file.data, (size_t)(first - file.data));
    buf_append(&without, second, file.len - (size_t)(second - file.data));
    disk_put(&f.disk, IMAGE_NAME, buf_slice(&without));
    assert_int_equal(read_image(&f, last, &records), ERR_SNAP_CORRUPT);
    assert_non_null(strstr(f.error.message, ":4: the file's checksum does not match its contents"));
    buf_free(&without);
    end(&f);
}

// Right checksums around contents that no writer makes.
static void TestImageContradicts(void **state) {
    (void)state;
#define HEADER(index, configuration_index, configuration)                                                                   \
    "{\"v\":1,\"cluster\":\"demo\",\"generation\":2,\"index\":" index                                                       \
    ",\"term\":3,\"configuration_index\":" configuration_index ",\"configuration\":\"" configuration "\""
#define MARK(records, bytes) "{\"records\":" records ",\"bytes\":" bytes ",\"digest\":\"fedcba9876543210\""
    static const struct {
        const char *header;
        const char *mark;
        const char *message;
    } cases[] = {
        {HEADER("812", "1", "bWVtYmVycw=="), MARK("0", "133"), NULL},
        {HEADER("812", "1", "bWVtYmVycw=="), MARK("1", "133"), ":2: the mark has other numbers"},
        {HEADER("812", "1", "bWVtYmVycw=="), MARK("0", "132"), ":2: the mark has other numbers"},
        {HEADER("813", "1", "bWVtYmVycw=="), MARK("0", "133"), ":1: the header names another entry"},
        {HEADER("812", "0", "bWVtYmVycw=="), MARK("0", "133"), ":1: the configuration's entry does not lie"},
        {HEADER("812", "813", "bWVtYmVycw=="), MARK("0", "136"), ":1: the configuration's entry does not lie"},
        {HEADER("812", "1", "bWVtYmVycw="), MARK("0", "132"), ":1: the configuration is not base64"},
        {HEADER("0812", "1", "bWVtYmVycw=="), MARK("0", "135"), ":1: malformed line: byte "},
        {HEADER("812", "1", "bWVtYmVycw=="), MARK("00", "133"), ":2: malformed line: byte "},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fixture f;
        begin(&f);
        struct buf file = {0};
        uint64_t records;
        buf_append_str(&file, cases[i].header);
        buf_printf(&file, ",\"crc\":\"%08x\"}\n", crc32c(0, file.data, file.len));
        buf_append_str(&file, cases[i].mark);
        buf_printf(&file, ",\"crc\":\"%08x\"}\n", crc32c(0, file.data, file.len));
        disk_put(&f.disk, IMAGE_NAME, buf_slice(&file));
        enum error_code code = read_image(&f, last, &records);
        bool as_wanted =
            cases[i].message == NULL ? code == OK : code == ERR_SNAP_CORRUPT && strstr(f.error.message, cases[i].message);
        if (!as_wanted) {
            fail_msg("case %zu: %d %s", i, code, code == OK ? "" : f.error.message);
        }
        buf_free(&file);
        end(&f);
    }
}

static void TestImageOfNewerVersion(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    uint64_t records;
    disk_put(&f.disk, IMAGE_NAME, slice_of_str("{\"v\":2,\"x\":0,\"crc\":\"233f3c12\"}\n"));
    enum error_code code = read_image(&f, last, &records);
    if (code != ERR_WAL_VERSION || strstr(f.error.message, "format version 2; this program knows up to 1") == NULL) {
        fail_msg("%d %s", code, f.error.message);
    }
    end(&f);
}

static void TestImagesNewestFirst(void **state) {
    (void)state;
    static const struct raft_entry_id ids[] = {{.index = 9, .term = 1},
                                               {.index = 10, .term = 1},
                                               {.index = 10, .term = 2},
                                               {.index = UINT64_MAX, .term = UINT64_MAX},
                                               {.index = 11, .term = 1}};
    struct fixture f;
    begin(&f);
    uint64_t bytes;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        assert_int_equal(write_image(&f, ids[i], 1, &bytes), OK);
    }
    disk_put(&f.disk, "data/snap/README", slice_of_str("a person's"));
    disk_put(&f.disk, "data/snap/11-1.snap", slice_of_str("not our form"));
    disk_put(&f.disk, "data/snap/0000000000000012-1.snap.tmp", slice_of_str("of a crash"));
    struct raft_entry_id *list;
    size_t count;
    assert_int_equal(wal_images(&f.dir, &list, &count, &f.error), OK);
    assert_int_equal(count, 5);
    assert_true(list[0].index == UINT64_MAX && list[1].index == 11 && list[2].term == 2 && list[4].index == 9);
    free(list);
    assert_int_equal(wal_image_remove(&f.dir, ids[4], &f.error), OK);
    assert_int_equal(wal_image_remove(&f.dir, ids[4], &f.error), OK);  // it is gone already
    disk_crash(&f.disk);
    reopen(&f);
    assert_int_equal(count_images(&f), 4);
    assert_null(disk_bytes(&f.disk, "data/snap/0000000000000012-1.snap.tmp").data);
    assert_non_null(disk_bytes(&f.disk, "data/snap/README").data);
    end(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestImageWriteAndRead),   cmocka_unit_test(TestImageFormat),
    cmocka_unit_test(TestImageCrash),          cmocka_unit_test(TestImagePartCrash),
    cmocka_unit_test(TestImageNoSpace),        cmocka_unit_test(TestImageDiskFails),
    cmocka_unit_test(TestImageDamaged),        cmocka_unit_test(TestImageRecordMissing),
    cmocka_unit_test(TestImageOfNewerVersion), cmocka_unit_test(TestImagesNewestFirst),
    cmocka_unit_test(TestImageContradicts),
};

UNIT_MAIN(tests)
