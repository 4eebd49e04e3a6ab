// Fuzzes recovery: the input is the files of a data directory, segments and images, on a disk in memory. What is refused is
// refused with a reason; what is accepted is the same after a second start, after a power cut, and with more written behind
// it.
//
// The first byte says how they are read; then each file is its text after a byte 1 (a segment), 2 (a segment whose number
// leaves a gap) or 3 (an image).
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/node/image.h"
#include "../unit/wal_disk.h"
#include "base/mem.h"
#include "fuzz.h"
#include "lines.h"
#include "wal/writer.h"
#include "wire/json.h"

enum { MEND = 1, COUNTS = 2, GOLDEN = 4, FROM = 8, CUT = 16, SHORT = 32, TRIM = 64 };
enum { FILES_MAX = 16, PATH_SIZE = 64 };

static const char *const incarnation = "0123456789abcdef0123456789abcdef";

struct run {
    uint8_t how;
    struct disk disk;
    struct raft_slab *slab;
    struct image image;
    struct error error;
    struct wal_writer *writer;
    struct wal_recovered recovered;
};

// --- the directory ---

static bool is_file(uint8_t byte) {
    return byte >= 1 && byte <= 3;
}

static uint64_t number_after(struct slice text, const char *key, uint64_t otherwise) {
    const uint8_t *found = memmem(text.data, text.len, key, strlen(key));
    uint64_t number = 0;
    if (found == NULL) {
        return otherwise;
    }
    for (found += strlen(key); found < text.data + text.len && *found >= '0' && *found <= '9'; found++) {
        number = number * 10 + (uint64_t)(*found - '0');
    }
    return number;
}

// An image's mark has a digest that no fuzzer finds; the refusal says it.
static void put_image(struct run *run, struct slice text) {
    char path[PATH_SIZE + WAL_IMAGE_NAME_SIZE] = "data/snap/";
    struct raft_entry_id last = {.index = number_after(text, "\"index\":", 1), .term = number_after(text, "\"term\":", 1)};
    wal_image_name(path + strlen(path), last);
    if ((run->how & MEND) == 0) {
        disk_put(&run->disk, path, text);
        return;
    }
    struct buf mended = {.len = 0};
    struct wal_directory dir;
    struct image image;
    char digest[17];
    lines_mend_image(text, NULL, &mended);
    disk_put(&run->disk, path, buf_slice(&mended));
    enum error_code code = wal_directory_look(&dir, "data", &run->disk.io, &run->error);
    assert(code == OK);
    code = image_load(&dir, last, &image, &run->error);
    const char *given = code == OK ? NULL : strstr(run->error.message, "the records give ");
    if (given != NULL && sscanf(given, "the records give %16[0-9a-f]", digest) == 1) {
        buf_clear(&mended);
        lines_mend_image(text, digest, &mended);
        disk_put(&run->disk, path, buf_slice(&mended));
    }
    image_free(&image);
    wal_directory_close(&dir);
    buf_free(&mended);
}

static void put_files(struct run *run, struct slice input) {
    struct lines_chain chain = {.batch = 0};
    uint64_t segment = 0;
    struct buf mended = {.len = 0};
    for (int files = 0; input.len > 0 && files < FILES_MAX; files++) {
        uint8_t kind = take_byte(&input);
        size_t len = 0;
        while (len < input.len && !is_file(input.data[len])) {
            len++;
        }
        struct slice text = take_bytes(&input, len);
        if (kind == 3) {
            put_image(run, text);
            continue;
        }
        char path[PATH_SIZE];
        segment += kind == 2 ? 2 : 1;
        snprintf(path, sizeof path, "data/wal/%016" PRIu64 ".jsonl", segment);
        buf_clear(&mended);
        if ((run->how & MEND) != 0) {
            lines_mend_segment(text, (run->how & COUNTS) != 0, &chain, &mended);
            text = buf_slice(&mended);
        }
        disk_put(&run->disk, path, text);
    }
    buf_free(&mended);
}

// --- what is in it ---

static void on_skipped(void *user, const struct error *error) {
    (void)user;
    assert(error->code == ERR_SNAP_CORRUPT && strstr(error->message, "snap/") != NULL);
}

// An image that is whole is the only one of its state: written again it has the same bytes.
static void save_again(struct run *run, const struct wal_directory *dir) {
    struct wal_image_header header = {.cluster_id = slice_of_str(run->image.cluster_id),
                                      .generation = run->image.generation,
                                      .last = run->image.last,
                                      .configuration_index = run->image.configuration_index,
                                      .configuration = buf_slice(&run->image.configuration)};
    char path[PATH_SIZE + WAL_IMAGE_NAME_SIZE] = "data/snap/";
    wal_image_name(path + strlen(path), header.last);
    struct buf before = {.len = 0};
    buf_append_slice(&before, disk_bytes(&run->disk, path));
    struct state_version *version = state_version_new(run->image.state);
    struct state_records *records = state_records_new(version);
    struct wal_image_writer *writer;
    struct pb_image_record record;
    struct buf json = {.len = 0};
    uint64_t bytes;
    enum error_code code = wal_image_begin(dir, &header, 0, &writer, &run->error);
    while (code == OK && state_records_next(records, &record)) {
        buf_clear(&json);
        pb_json_write(&pb_image_record_type, &record, &json);
        code = wal_image_add(writer, buf_slice(&json), &run->error);
    }
    assert(code == OK && state_records_digest(records) == state_version_digest(version));
    code = wal_image_finish(writer, state_version_digest(version), &bytes, &run->error);
    assert(code == OK && slice_equal(buf_slice(&before), disk_bytes(&run->disk, path)));
    state_records_free(records);
    state_version_release(run->image.state, version);
    buf_free(&json);
    buf_free(&before);
}

static bool load_image(struct run *run) {
    struct wal_directory dir;
    enum error_code code = wal_directory_look(&dir, "data", &run->disk.io, &run->error);
    assert(code == OK);
    code = image_load_newest(&dir, &run->image, on_skipped, NULL, &run->error);
    assert(code == OK || code == ERR_WAL_VERSION || code == ERR_UNKNOWN_COMMAND);
    if (code == OK && run->image.state != NULL) {
        save_again(run, &dir);
    }
    wal_directory_close(&dir);
    return code == OK;
}

static enum error_code open_log(struct run *run) {
    bool golden = (run->how & GOLDEN) != 0;
    struct wal_options options = {.dir = "data",
                                  .cluster_id = slice_of_str(golden ? "golden" : "demo"),
                                  .node_id = slice_of_str("n1"),
                                  .incarnation = slice_of_str(incarnation),
                                  .generation = 1,
                                  .image = run->image.last,
                                  .from = (run->how & FROM) != 0 ? run->image.last.index / 2 : 0,
                                  .segment_bytes = (run->how & SHORT) != 0 ? 4096 : 0,
                                  .io = &run->disk.io};
    return wal_writer_open(&options, run->slab, &run->writer, &run->recovered, &run->error);
}

static void close_log(struct run *run, bool trim) {
    wal_writer_close(run->writer, trim, NULL);
    wal_recovered_free(&run->recovered);
}

// Everything that was recovered, as one number.
static uint64_t sum_of(const struct wal_recovered *recovered) {
    const struct raft_restored *log = &recovered->log;
    uint64_t sum = log->base.index * 31 + log->base.term * 37 + log->hard_state.current_term * 41 + recovered->generation;
    for (const char *c = log->hard_state.voted_for.text; *c != '\0'; c++) {
        sum = sum * 43 + (uint8_t)*c;
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct raft_entry *entry = log->entries[i];
        assert(entry->id.index == log->base.index + i + 1 && entry->id.term <= log->hard_state.current_term);
        sum = (sum * 47 + entry->id.term) * 53 + entry->type;
        for (uint32_t k = 0; k < entry->len; k++) {
            sum = sum * 59 + entry->data[k];
        }
    }
    return sum * 61 + log->count;
}

static void open_again(struct run *run, uint64_t sum) {
    enum error_code code = open_log(run);
    assert(code == OK && sum_of(&run->recovered) == sum);
}

// One more entry and a term, durable: the sum of what must be there now.
static uint64_t write_more(struct run *run) {
    struct raft_restored *log = &run->recovered.log;
    struct wal_write *write = mem_zalloc(sizeof *write + sizeof write->entries[0]);
    raft_index index = log->base.index + log->count + 1;
    raft_term term = log->hard_state.current_term + 1;
    struct raft_hard_state hard_state = {.current_term = term, .voted_for = raft_id_of(slice_of_str("n1"))};
    write->persist = (struct raft_persist){
        .write = 1, .has_hard_state = true, .hard_state = hard_state, .entries = write->entries, .count = 1};
    write->entries[0] = raft_entry_new(run->slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){term, index}, 3);
    memcpy(write->entries[0]->data, "abc", 3);
    wal_writer_push(run->writer, write);
    while (wal_writer_step(run->writer)) {
    }
    assert(run->writer->condition == WAL_GOOD && run->writer->durable_write == 1);
    log->entries = mem_realloc(log->entries, (log->count + 1) * sizeof *log->entries);
    log->entries[log->count++] = write->entries[0];
    log->hard_state = hard_state;
    free(write);
    return sum_of(&run->recovered);
}

static bool may_go_on(const struct run *run) {
    const struct raft_restored *log = &run->recovered.log;
    return log->hard_state.current_term < UINT64_MAX && log->base.index + log->count < UINT64_MAX - 1;
}

static void recover(struct run *run) {
    struct wal_recovered looked;
    uint64_t calls = run->disk.calls;
    bool sound = wal_check("data", &run->disk.io, run->slab, &looked, &run->error) == OK;
    assert(run->disk.calls == calls);  // looking changes nothing
    wal_recovered_free(&looked);
    static int null_fd = -1;
    null_fd = null_fd < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : null_fd;
    enum error_code dumped = wal_dump("data", &run->disk.io, 0, null_fd, &run->error);
    assert(!sound || dumped == OK);
    if (open_log(run) != OK) {
        assert(run->error.message[0] != '\0');
        return;
    }
    bool is_empty = run->recovered.empty;
    uint64_t sum = sum_of(&run->recovered);
    close_log(run, (run->how & TRIM) != 0);
    if (is_empty) {
        return;
    }
    if ((run->how & CUT) != 0) {
        disk_crash(&run->disk);
    }
    open_again(run, sum);
    if (may_go_on(run)) {
        sum = write_more(run);
        close_log(run, (run->how & TRIM) != 0);
        if ((run->how & CUT) != 0) {
            disk_crash(&run->disk);
        }
        open_again(run, sum);
    }
    close_log(run, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_of(data, size);
    struct run run = {.how = take_byte(&input), .slab = raft_slab_new()};
    disk_init(&run.disk, size);
    run.disk.direct = DISK_NO_DIRECT;
    const struct wal_io *io = &run.disk.io;
    static const char *const folders[] = {"data", "data/wal", "data/snap"};
    for (size_t i = 0; i < 3; i++) {
        io->make_dir(io->self, AT_FDCWD, folders[i], 0);
        io->sync(io->self, io->open_at(io->self, AT_FDCWD, i == 0 ? "." : "data", O_RDONLY, 0));
    }
    put_files(&run, input);
    if (load_image(&run)) {
        recover(&run);
        image_free(&run.image);
    }
    disk_free(&run.disk);
    raft_slab_free(run.slab);
    return 0;
}
