// Lines and batches with right checksums that the writer cannot have written.
#include <fcntl.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "log_fixture.h"
#include "unit.h"
#include "wal/record.h"

// A segment written by hand, every checksum of it right.
struct craft {
    struct buf bytes;
    size_t begin;  // of the batch
    uint32_t chain;
};

static void craft_header(struct craft *c, uint64_t segment, raft_index base, uint32_t prev) {
    struct wal_header header = {.cluster_id = slice_of_str("demo"),
                                .node_id = slice_of_str("n1"),
                                .incarnation = slice_of_str(INCARNATION),
                                .segment = segment,
                                .generation = 1,
                                .base = {.index = base, .term = base > 0 ? 1 : 0},
                                .prev = prev};
    c->bytes.len += wal_put_header(buf_reserve(&c->bytes, WAL_HEADER_LINE_MAX), &header);
    c->chain = prev;
}

// Replaces `old` in the header by `new`, with a right checksum.
static void craft_edit(struct craft *c, const char *old, const char *new) {
    struct buf line = {0};
    buf_append_slice(&line, buf_slice(&c->bytes));
    buf_append(&line, "", 1);
    char *at = strstr((char *)line.data, old);
    assert_non_null(at);
    buf_clear(&c->bytes);
    buf_append(&c->bytes, line.data, (size_t)(at - (char *)line.data));
    buf_append_str(&c->bytes, new);
    buf_append_str(&c->bytes, at + strlen(old));
    buf_free(&line);
    c->bytes.len -= sizeof ",'crc':'xxxxxxxx'}";
    buf_printf(&c->bytes, ",\"crc\":\"%08x\"}\n", crc32c(0, c->bytes.data, c->bytes.len));
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

// An entry's line of term 2, or of its first `len` bytes, with a command of as many characters as given.
static void craft_command(struct craft *c, raft_index index, size_t chars, size_t len) {
    struct buf line = {0};
    buf_printf(&line, "{\"index\":%llu,\"term\":2,\"type\":\"command\",\"command\":\"", (unsigned long long)index);
    memset(buf_reserve(&line, chars), 'A', chars);
    line.len += chars;
    buf_append_str(&line, "\"");
    buf_printf(&line, ",\"crc\":\"%08x\"}\n", crc32c(0, line.data, line.len));
    buf_append(&c->bytes, line.data, line.len < len ? line.len : len);
    buf_free(&line);
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
    struct disk before;
    disk_init(&before, 1);
    disk_copy(&before, &disk);
    enum error_code code = log_open(&log);
    if (code != wanted || (code != OK && strstr(log.error.message, what) == NULL)) {
        fail_msg("wanted %s, got %d: %s", what, code, code == OK ? "opened" : log.error.message);
    }
    assert_true(code == OK || disk_equal(&before, &disk));
    log_free(&log);
    disk_free(&before);
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

    // A vote that comes later in a term that began without one, again and again.
    c = craft_begin();
    craft_hard_state(&c, 2, "");
    craft_hard_state(&c, 2, "n2");
    craft_hard_state(&c, 2, "n2");
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, OK, "");

    // There is no entry 0.
    c = craft_begin();
    craft_entry(&c, 0);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: an entry has index 0");

    c = craft_begin();
    craft_header(&c, 1, 0, c.chain);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: a header inside a segment");

    c = (struct craft){.begin = 0};
    craft_header(&c, 1, 0, 0);
    craft_entry(&c, 1);
    craft_mark(&c, 1, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:2: no term and vote after the header");

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
    craft_entry_of(&c, 3, 2);  // replaces it, after entry 2 of term 1
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
        static const char *const messages[] = {"", "the log begins after entry 3, and no image in snap/ reaches that far",
                                               "2.jsonl:1: the chain is broken"};
        struct craft first = craft_begin();
        struct craft second = {.begin = 0};
        craft_header(&second, 2, what == 1 ? 3 : 2, what == 2 ? 5 : first.chain);
        craft_hard_state(&second, 1, "n1");
        craft_entry(&second, 3);
        craft_mark(&second, 2, 0);
        expect_crafted(&first, &second, codes[what], messages[what]);
    }
    static const struct {
        const char *old;
        const char *new;
        enum error_code code;
        const char *message;
    } edits[] = {
        {"\"generation\":1", "\"generation\":2", OK, ""},
        {"\"generation\":1", "\"generation\":0", ERR_WAL_CORRUPT, "2.jsonl:1: the generation falls from 1 to 0"},
        {INCARNATION, "ffffffffffffffffffffffffffffffff", ERR_WAL_CORRUPT, "2.jsonl:1: the directory's incarnation changes"},
        {INCARNATION, "0123456789ABCDEF0123456789abcdef", ERR_WAL_CORRUPT, "is not an incarnation"},
        {INCARNATION, "0123456789abcdef0123456789abcde", ERR_WAL_CORRUPT, "is not an incarnation"},
        {"\"base_index\":2", "\"base_index\":4", ERR_WAL_GAP, "no image in snap/ reaches that far"},
        {"\"v\":2", "\"v\":0", ERR_WAL_CORRUPT, "2.jsonl:1: malformed line: byte 7 is not a version"},
        {"{\"v\":2,\"cluster\":\"demo\",\"node\":\"n1\",\"incarnation\":\"" INCARNATION "\",\"segment\":2,\"generation\":1,"
         "\"base_index\":2",
         "{\"v\":1,\"cluster\":\"demo\",\"node\":\"n1\",\"segment\":2,\"generation\":1,\"base_index\":3", ERR_WAL_CORRUPT,
         "2.jsonl:1: the directory's incarnation changes"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(edits); i++) {
        struct craft first = craft_begin();
        struct craft second = {.begin = 0};
        craft_header(&second, 2, 2, first.chain);
        craft_edit(&second, edits[i].old, edits[i].new);
        craft_hard_state(&second, 1, "n1");
        craft_mark(&second, 2, 0);
        expect_crafted(&first, &second, edits[i].code, edits[i].message);
    }
    for (int what = 0; what < 2; what++) {  // segment 1 follows nothing
        struct craft first = {.begin = 0};
        craft_header(&first, 1, what == 0 ? 4 : 0, what == 0 ? 0 : 5);
        craft_hard_state(&first, 1, "n1");
        craft_mark(&first, 1, 0);
        expect_crafted(&first, NULL, ERR_WAL_CORRUPT, "1.jsonl:1: segment 1 says that a log lies before it");
    }
    struct craft blank = {.begin = 0};
    struct craft second = {.begin = 0};
    buf_append_str(&blank.bytes, "\n\n\n");
    buf_append_str(&second.bytes, "\n\n\n");
    expect_crafted(&blank, &second, ERR_WAL_GAP, "2.jsonl:1: segment 1 before it holds nothing");
}

static void craft_version_1(struct craft *c, uint64_t segment, struct raft_entry_id base, uint32_t prev) {
    craft_header(c, segment, base.index, prev);
    craft_edit(c, "{\"v\":2", "{\"v\":1");
    craft_edit(c, ",\"incarnation\":\"" INCARNATION "\"", "");
    if (base.term == 2) {
        craft_edit(c, "\"base_term\":1", "\"base_term\":2");
    }
    craft_hard_state(c, 1, "n1");
}

// Version 1 knew no image after which a log could begin anew: a segment follows the entry before it, by index and by term.
static void TestLogVersion1Contradicts(void **state) {
    (void)state;
    static const struct raft_entry_id bases[] = {
        {.index = 1, .term = 1},
        {.index = 3, .term = 1},
        {.index = 0, .term = 0},
        {.index = 1, .term = 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        struct craft first = {.begin = 0};
        struct craft second = {.begin = 0};
        craft_version_1(&first, 1, (struct raft_entry_id){0}, 0);
        craft_entry(&first, 1);
        craft_mark(&first, 1, 0);
        craft_version_1(&second, 2, bases[i], first.chain);
        craft_mark(&second, 2, 0);
        expect_crafted(&first, &second, i == 0 ? OK : ERR_WAL_GAP, "2.jsonl:1: the segment follows entry");
    }
}

// Where everything is needed all segments are read, entries or none.
static void TestLogAllIsRead(void **state) {
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct craft first = {.begin = 0};
        craft_header(&first, 1, 0, 0);
        craft_edit(&first, "\"generation\":1", what == 0 ? "\"generation\":1" : "\"generation\":2");
        craft_hard_state(&first, 1, "n1");
        craft_mark(&first, 1, 0);
        struct craft second = {.begin = 0};
        craft_header(&second, 2, 0, first.chain);
        craft_hard_state(&second, 1, "n1");
        craft_mark(&second, 2, 0);
        expect_crafted(&first, &second, what == 0 ? OK : ERR_WAL_CORRUPT, "2.jsonl:1: the generation falls from 2 to 1");
    }
}

// Segment 1 may begin behind an image in a generation after the first, which was founded with it; but it has no log before
// it.
static void TestLogFoundedBehindAnImage(void **state) {
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct craft first = {.begin = 0};
        craft_header(&first, 1, 4, what == 0 ? 0 : 5);
        craft_edit(&first, "\"generation\":1", "\"generation\":2");
        craft_hard_state(&first, 1, "n1");
        craft_mark(&first, 1, 0);
        expect_crafted(&first, NULL, what == 0 ? ERR_WAL_GAP : ERR_WAL_CORRUPT,
                       what == 0 ? "the log begins after entry 4, and no image in snap/ reaches that far"
                                 : "1.jsonl:1: segment 1 says that a log lies before it");
    }
}

// A good first batch, and as many lines in term 2 after it.
static struct craft craft_lines(size_t bytes) {
    enum { ENTRIES = 7, CHARS = 1200000 };  // fewer than the 1 MiB of a command make
    struct craft c = craft_begin();
    size_t vote = 1;
    for (;; vote++) {  // whose length makes what is left for the last command a multiple of four
        c.bytes.len = c.begin;
        craft_hard_state(&c, 2, &"nnnn"[4 - vote]);
        for (raft_index index = 3; index < 2 + ENTRIES; index++) {
            craft_command(&c, index, CHARS, SIZE_MAX);
        }
        size_t before = c.bytes.len;
        craft_command(&c, 2 + ENTRIES, 0, SIZE_MAX);
        size_t left = bytes - (c.bytes.len - c.begin);
        if (left % 4 == 0) {
            c.bytes.len = before;
            craft_command(&c, 2 + ENTRIES, left, SIZE_MAX);
            assert_int_equal(c.bytes.len - c.begin, bytes);
            return c;
        }
    }
}

// A batch may have WAL_BATCH_MAX bytes and its mark, and what is left of a torn one no more than that.
static void TestLogBatchLength(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct craft c = craft_lines(WAL_BATCH_MAX + more);
        craft_mark(&c, 2, 0);
        expect_crafted(&c, NULL, more == 0 ? OK : ERR_WAL_CORRUPT, ".jsonl:14: the batch is longer than 8388608 bytes");
        c = craft_lines(WAL_BATCH_MAX);
        craft_command(&c, 10, 500, WAL_MARK_LINE_MAX + more);
        expect_crafted(&c, NULL, more == 0 ? OK : ERR_WAL_CORRUPT, ".jsonl:14: the line does not end in");
    }
}

// What the checksums of a whole batch do not tell.
static void TestLogBatchIsOdd(void **state) {
    (void)state;
    struct craft c = craft_begin();
    craft_entry(&c, 3);
    buf_append_str(&c.bytes, "\n");
    craft_entry(&c, 4);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:7: an empty line inside a batch");

    c = craft_begin();
    buf_append_str(&c.bytes, "\n\n# a note\n");
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: unexpected bytes follow the last batch");

    c = craft_begin();
    buf_append_str(&c.bytes, "{\"index\":3,\"term\":1,\"type\":\"command\",\"command\":\"AA*A\"");
    buf_printf(&c.bytes, ",\"crc\":\"%08x\"}\n", crc32c(0, c.bytes.data + c.begin, c.bytes.len - c.begin));
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:6: the command is not base64");

    c = craft_begin();
    craft_hard_state(&c, 2, "");
    craft_command(&c, 3, COMMAND_MAX / 3 * 4 + 8, SIZE_MAX);
    craft_mark(&c, 2, 0);
    expect_crafted(&c, NULL, ERR_WAL_CORRUPT, ".jsonl:7: the command is longer than 1048576 bytes");
}

// A torn first batch is blanked, but not in a file of another node, or of a version to come.
static void TestLogTornOfAnother(void **state) {
    (void)state;
    static const struct {
        const char *old;
        const char *new;
        enum error_code code;
        const char *message;
    } edits[] = {
        {"\"node\":\"n1\"", "\"node\":\"n1\"", OK, ""},
        {"\"node\":\"n1\"", "\"node\":\"n2\"", ERR_FOREIGN, "1.jsonl:1: this log belongs to node n2 of cluster demo"},
        {"{\"v\":2", "{\"v\":3", ERR_WAL_VERSION, "1.jsonl:1: format version 3"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(edits); i++) {
        struct craft c = {.begin = 0};
        craft_header(&c, 1, 0, 0);
        craft_edit(&c, edits[i].old, edits[i].new);
        expect_crafted(&c, NULL, edits[i].code, edits[i].message);
    }
}

// Who verifies a log without knowing whose it is takes the first segment's word for it.
static void TestLogCheckForeign(void **state) {
    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        struct disk disk;
        struct log log;
        struct wal_recovered recovered;
        disk_init(&disk, 1);
        log_init(&log, &disk, 0);
        assert_int_equal(log_open(&log), OK);
        log_close(&log, false);
        struct craft first = craft_begin();
        struct craft second = {.begin = 0};
        craft_header(&second, 2, 2, first.chain);
        craft_edit(&second, "\"node\":\"n1\"", foreign == 0 ? "\"node\":\"n1\"" : "\"node\":\"n2\"");
        craft_hard_state(&second, 1, "n1");
        craft_mark(&second, 2, 0);
        disk_put(&disk, SEGMENT_1, buf_slice(&first.bytes));
        disk_put(&disk, SEGMENT_2, buf_slice(&second.bytes));
        enum error_code code = wal_check("data", &disk.io, log.slab, &recovered, &log.error);
        assert_int_equal(code, foreign == 0 ? OK : ERR_FOREIGN);
        assert_true(foreign == 0 || strstr(log.error.message, "2.jsonl:1: this log belongs to node n2 of") != NULL);
        assert_string_equal(recovered.incarnation, foreign == 0 ? INCARNATION : "");
        assert_int_equal(recovered.bytes, foreign == 0 ? first.bytes.len + second.bytes.len : 0);
        wal_recovered_free(&recovered);
        buf_free(&first.bytes);
        buf_free(&second.bytes);
        log_free(&log);
        disk_free(&disk);
    }
}

// There may be no wal/ yet.
static void TestLogCheckWithoutALog(void **state) {
    (void)state;
    struct disk disk;
    struct wal_recovered recovered;
    struct error error;
    disk_init(&disk, 1);
    disk.io.make_dir(&disk, AT_FDCWD, "data", 0);
    struct raft_slab *slab = raft_slab_new();
    assert_int_equal(wal_check("data", &disk.io, slab, &recovered, &error), ERR_INVALID);
    raft_slab_free(slab);
    disk_free(&disk);
}

// A segment's header says what it follows, if it can be read at all.
static void TestLogSegmentBase(void **state) {
    (void)state;
    struct disk disk;
    struct log log;
    disk_init(&disk, 1);
    log_init(&log, &disk, 0);
    assert_int_equal(log_open(&log), OK);
    struct craft c = {.begin = 0};
    craft_header(&c, 2, 7, 5);
    size_t open = disk_open_files(&disk);
    raft_index base = 0;
    const struct wal_directory *dir = &log.writer->dir;
    assert_false(wal_segment_base(dir, 2, &base));  // it is missing
    disk_put(&disk, SEGMENT_2, buf_slice(&c.bytes));
    assert_true(wal_segment_base(dir, 2, &base));
    assert_int_equal(base, 7);
    disk_put(&disk, SEGMENT_2, slice_of(c.bytes.data, c.bytes.len - 1));  // its newline is
    assert_false(wal_segment_base(dir, 2, &base));
    c.bytes.data[20] ^= 1;
    disk_put(&disk, SEGMENT_2, buf_slice(&c.bytes));
    assert_false(wal_segment_base(dir, 2, &base));
    buf_clear(&c.bytes);
    craft_hard_state(&c, 1, "n1");
    disk_put(&disk, SEGMENT_2, buf_slice(&c.bytes));
    assert_false(wal_segment_base(dir, 2, &base));
    disk_put(&disk, SEGMENT_2, slice_of_str("\n\n"));
    assert_false(wal_segment_base(dir, 2, &base));
    assert_int_equal(disk_open_files(&disk), open);
    buf_free(&c.bytes);
    log_free(&log);
    disk_free(&disk);
}

// Lines with a right checksum that a JSON parser may accept, but that the encoder never writes.
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
    cmocka_unit_test(TestLogLines),
    cmocka_unit_test(TestLogContradictions),
    cmocka_unit_test(TestLogTermsContradict),
    cmocka_unit_test(TestLogSegmentsContradict),
    cmocka_unit_test(TestLogFoundedBehindAnImage),
    cmocka_unit_test(TestLogVersion1Contradicts),
    cmocka_unit_test(TestLogAllIsRead),
    cmocka_unit_test(TestLogBatchLength),
    cmocka_unit_test(TestLogBatchIsOdd),
    cmocka_unit_test(TestLogTornOfAnother),
    cmocka_unit_test(TestLogCheckForeign),
    cmocka_unit_test(TestLogCheckWithoutALog),
    cmocka_unit_test(TestLogSegmentBase),
};

UNIT_MAIN(tests)
