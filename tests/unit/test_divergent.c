// The file with divergent entries: what --rejoin writes, batonctl reads, and a changed file is refused at the line that
// changed.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "cmd/divergent.h"
#include "cmd/divergent_file.h"
#include "scratch.h"
#include "unit.h"
#include "wal/record.h"
#include "wire/command.h"

enum { BASE = 41 };  // the last shared entry

static char dir[128];
static char path[256];
static struct node_config config;
static struct stopped stopped;
static struct raft_entry *entries[8];
static struct buf written;  // the file as divergent_write has made it
static struct buf listed;
static uint64_t wanted;  // entries that the taker takes
static struct error error;

// --- a stopped node ---

static struct raft_entry *add(struct raft_entry *entry, raft_term term) {
    struct raft_restored *log = &stopped.recovered.log;
    assert_non_null(entry);
    entry->id = (struct raft_entry_id){.index = log->base.index + log->count + 1, .term = term};
    log->entries[log->count++] = entry;
    return entry;
}

static void add_command(struct pb_command command, raft_term term) {
    command.format = COMMAND_FORMAT;
    add(wire_command_encode(stopped.slab, &command, &error), term);
}

static void add_other(enum raft_entry_type type, const char *bytes, raft_term term) {
    struct raft_entry *entry = raft_entry_new(stopped.slab, type, (struct raft_entry_id){0, 0}, strlen(bytes));
    memcpy(entry->data, bytes, strlen(bytes));
    add(entry, term);
}

static void read_back(struct buf *bytes) {
    buf_clear(bytes);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    bytes->len = fread(buf_reserve(bytes, 64 * KIB), 1, 64 * KIB, file);
    fclose(file);
}

static int write_it(void **state) {
    (void)state;
    char name[DIVERGENT_NAME_SIZE];
    scratch_make(dir, sizeof dir, SCRATCH_MEMORY);
    config = (struct node_config){.data_dir = dir};
    config.cluster_id = raft_id_of(slice_of_str("demo"));
    config.node_id = raft_id_of(slice_of_str("n1"));
    stopped = (struct stopped){.config = &config, .slab = raft_slab_new(), .generation = 3, .dir.io = &wal_io_system};
    stopped.recovered.log = (struct raft_restored){.base = {.index = BASE - 1, .term = 1}, .entries = entries};
    strcpy(stopped.recovered.incarnation, "00112233445566778899aabbccddeeff");
    struct wire_configuration members = {.generation = 3, .cluster_id = config.cluster_id, .count = 1};
    members.members[0] = (struct wire_member){.id = config.node_id, .address = "a:1", .cloud = "gcp", .voter = true};
    add_other(RAFT_ENTRY_NOOP, "", 1);  // shared: it is not written
    add_command(
        (struct pb_command){.op = PB_COMMAND_OP_PUT, .put = {.key = slice_of_str("k\"1"), .value = slice_of_str("xyz")}}, 5);
    add_other(RAFT_ENTRY_NOOP, "", 5);
    add_command((struct pb_command){.op = PB_COMMAND_OP_DELETE, .delete = {.key = slice_of_str("k2")}}, 5);
    add_command((struct pb_command){.op = PB_COMMAND_OP_RAISE_LEVEL, .raise_level = {.level = COMMAND_LEVEL}}, 7);
    add_other(RAFT_ENTRY_COMMAND, "of a later version", 7);
    add(wire_configuration_encode(stopped.slab, (struct raft_entry_id){0, 0}, &members), 8);
    assert_int_equal(divergent_write(&stopped, BASE + 1, name, &error), OK);
    assert_string_equal(name, "divergent-g3-42-47.log");
    snprintf(path, sizeof path, "%s/%s", dir, name);
    read_back(&written);
    wanted = UINT64_MAX;
    return 0;
}

static int drop_it(void **state) {
    (void)state;
    for (size_t i = 0; i < stopped.recovered.log.count; i++) {
        raft_entry_unref(entries[i]);
    }
    raft_slab_free(stopped.slab);
    buf_free(&written);
    buf_free(&listed);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

// --- reading ---

static bool list(void *self, const struct pb_log_entry *entry) {
    struct buf *out = self;
    buf_printf(out, "%" PRIu64 " %" PRIu64 " %u ", entry->index, entry->term, entry->type);
    buf_append_slice(out, entry->summary);
    buf_append_str(out, "\n");
    return --wanted > 0;
}

static bool list_same(void *self, const struct pb_log_entry *entry) {
    assert_in_range(entry->index, BASE + 1, BASE + stopped.recovered.log.count - 1);
    assert_true(slice_equal(entry->command, raft_entry_command(entries[entry->index - BASE])));
    return list(self, entry);
}

static enum error_code read_file(void) {
    buf_clear(&listed);
    error = (struct error){.code = OK};
    return divergent_file_read(path, list, &listed, &error);
}

static void put_file(struct slice bytes) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void refuse(struct slice bytes, enum error_code code, size_t line, const char *why) {
    char where[320];
    put_file(bytes);
    assert_int_equal(read_file(), code);
    snprintf(where, sizeof where, "%s %s:%zu: ", error_name(code), path, line);
    if (strstr(error.message, where) != error.message || strstr(error.message, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.message, where, why);
    }
}

// --- files written by hand, every checksum of them right ---

static void craft_header(struct buf *out) {
    struct wal_header header = {.cluster_id = slice_of_str("demo"),
                                .node_id = slice_of_str("n1"),
                                .incarnation = slice_of_str("00112233445566778899aabbccddeeff"),
                                .segment = 1,
                                .generation = 3,
                                .base = {.index = BASE, .term = 4}};
    buf_clear(out);
    out->len += wal_put_header(buf_reserve(out, WAL_HEADER_LINE_MAX), &header);
}

static void craft_entry(struct buf *out, raft_index index, raft_term term) {
    struct raft_entry *entry =
        raft_entry_new(stopped.slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){.index = index, .term = term}, 0);
    out->len += wal_put_entry(buf_reserve(out, wal_entry_line_max(entry)), entry);
    raft_entry_unref(entry);
}

// The entry after the base, with this command in base64, right or not.
static void craft_command(struct buf *out, struct slice base64) {
    size_t begin = out->len;
    buf_printf(out, "{\"index\":%d,\"term\":4,\"type\":\"command\",\"command\":\"", BASE + 1);
    buf_append_slice(out, base64);
    buf_append_str(out, "\"");
    buf_printf(out, ",\"crc\":\"%08x\"}\n", crc32c(0, out->data + begin, out->len - begin));
}

// As if the lines before began with this checksum.
static void craft_mark(struct buf *out, uint64_t batch, size_t bytes, uint32_t begins) {
    uint32_t crc;
    uint32_t so_far = crc32c(begins, out->data, out->len);
    out->len += wal_put_mark(buf_reserve(out, WAL_MARK_LINE_MAX), batch, bytes, so_far, &crc);
}

// --- tests ---

static void TestDivergentIsReadAsItWasWritten(void **state) {
    (void)state;
    assert_int_equal(divergent_file_read(path, list_same, &listed, &error), OK);
    buf_append(&listed, "", 1);
    assert_string_equal(listed.data, "42 5 1 put \"k\\\"1\" (3 bytes)\n"
                                     "43 5 2 no-op\n"
                                     "44 5 1 delete \"k2\"\n"
                                     "45 7 1 raise_level\n"
                                     "46 7 1 unreadable command\n"
                                     "47 8 3 members n1\n");
}

static void TestDivergentTakerMayStop(void **state) {
    (void)state;
    wanted = 2;
    assert_int_equal(read_file(), OK);
    assert_int_equal(wanted, 0);
}

// Any changed byte is found in its line, and the entries before that line are given.
static void TestDivergentDamageIsNamed(void **state) {
    (void)state;
    size_t line = 1;
    for (size_t i = 0; i < written.len; i++) {
        bool newline = written.data[i] == '\n';
        for (int bit = 0; bit < 8; bit++) {
            written.data[i] ^= (uint8_t)(1 << bit);
            refuse(buf_slice(&written), ERR_WAL_CORRUPT, line, "");
            written.data[i] ^= (uint8_t)(1 << bit);
            size_t given = 0;
            for (size_t k = 0; k < listed.len; k++) {
                given += listed.data[k] == '\n';
            }
            assert_int_equal(given, line < 2 ? 0 : line - 2);
        }
        line += newline;
    }
    assert_int_equal(line, 9);
}

// A file without its mark, or cut anywhere else, is refused at the line that is not whole.
static void TestDivergentIsCut(void **state) {
    (void)state;
    size_t line = 1;
    for (size_t len = 0; len < written.len; len++) {
        refuse(slice_of(written.data, len), ERR_WAL_CORRUPT, line, "the file ends before its mark");
        line += written.data[len] == '\n';
    }
    buf_append_str(&written, "\n");
    refuse(buf_slice(&written), ERR_WAL_CORRUPT, 8, "something follows the mark");
}

static void TestDivergentEntriesThatNobodyWrites(void **state) {
    (void)state;
    struct buf out = {.len = 0};
    craft_header(&out);
    craft_entry(&out, BASE + 1, 4);
    craft_mark(&out, 1, out.len, 0);
    put_file(buf_slice(&out));
    assert_int_equal(read_file(), OK);
    craft_header(&out);
    craft_entry(&out, BASE + 2, 4);
    refuse(buf_slice(&out), ERR_WAL_GAP, 2, "entry 43 follows entry 41");
    craft_header(&out);
    craft_entry(&out, BASE, 4);
    refuse(buf_slice(&out), ERR_WAL_GAP, 2, "entry 41 follows entry 41");
    craft_header(&out);
    craft_entry(&out, BASE + 1, 3);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the term falls from 4 to 3");
    craft_header(&out);
    craft_command(&out, slice_of_str("QUJ!"));
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the command is not base64");
    craft_header(&out);
    size_t too_long = (COMMAND_MAX + 3) / 3 * 4;
    uint8_t *base64 = memset(mem_alloc(too_long), 'A', too_long);
    craft_command(&out, slice_of(base64, too_long));
    free(base64);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the command is longer than 1048576 bytes");
    buf_free(&out);
}

static void TestDivergentMarksThatNobodyWrites(void **state) {
    (void)state;
    struct buf out = {.len = 0};
    craft_header(&out);
    craft_mark(&out, 2, out.len, 0);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the mark is of other lines");
    craft_header(&out);
    craft_mark(&out, 1, out.len - 1, 0);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the mark is of other lines");
    craft_header(&out);
    craft_mark(&out, 1, out.len, 7);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "the mark's checksum");
    craft_header(&out);
    size_t header = out.len;
    uint8_t *second = buf_reserve(&out, header);
    memcpy(second, out.data, header);
    out.len += header;
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 2, "a second header");
    buf_free(&out);
}

static void TestDivergentIsAnotherFile(void **state) {
    (void)state;
    struct buf out = {.len = 0};
    craft_header(&out);
    struct raft_hard_state hard_state = {.current_term = 4};
    out.len += wal_put_hard_state(buf_reserve(&out, WAL_HARD_STATE_LINE_MAX), &hard_state);
    refuse(buf_slice(&out), ERR_INVALID, 2, "this is a segment of a log");
    refuse(slice_of_str("a list\nof things\n"), ERR_WAL_CORRUPT, 1, "is it a file that batond --rejoin has kept?");
    refuse(slice_of_str(""), ERR_WAL_CORRUPT, 1, "is it a file that batond --rejoin has kept?");
    buf_clear(&out);
    craft_entry(&out, BASE + 1, 4);
    refuse(buf_slice(&out), ERR_WAL_CORRUPT, 1, "no header; is it a file that batond --rejoin has kept?");
    buf_free(&out);
    assert_int_equal(divergent_file_read(dir, list, &listed, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "is a directory, not a file"));
    char missing[320];
    snprintf(missing, sizeof missing, "%s.not", path);
    assert_int_equal(divergent_file_read(missing, list, &listed, &error), ERR_IO);
    assert_non_null(strstr(error.message, missing));
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, write_it, drop_it)

static const struct CMUnitTest tests[] = {
    WITH_FILE(TestDivergentIsReadAsItWasWritten),    WITH_FILE(TestDivergentTakerMayStop),
    WITH_FILE(TestDivergentDamageIsNamed),           WITH_FILE(TestDivergentIsCut),
    WITH_FILE(TestDivergentEntriesThatNobodyWrites), WITH_FILE(TestDivergentMarksThatNobodyWrites),
    WITH_FILE(TestDivergentIsAnotherFile),
};

UNIT_MAIN(tests)
