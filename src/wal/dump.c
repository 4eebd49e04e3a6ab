// For operators: verifying a log and printing its effective entries. Both only read, and both work beside a running node.
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "wal/reader.h"
#include "wal/recovery.h"

enum {
    READINGS_MAX = 16,      // of a log that changes while it is read
    OUT_BLOCK = 256 * KIB,  // bytes of one write to the output
};

// A reading during a node's write can look like damage, so an error counts only if the next reading gives the same one.
static enum error_code read_steadily(enum error_code (*reading)(void *self, struct error *error), void *self,
                                     struct error *error) {
    struct error before = {.code = OK};
    for (int i = 0;; i++) {
        enum error_code code = reading(self, error);
        if (code == OK || i == READINGS_MAX || (i > 0 && strcmp(before.message, error->message) == 0)) {
            return code;
        }
        before = *error;
    }
}

// --- check ---

// A check of the wrong directory must not report a sound log.
static enum error_code no_log(const char *path, struct error *error) {
    return error_set(error, ERR_INVALID, "%s holds no log: there is no segment in %s/wal; is it the data directory?", path,
                     path);
}

struct check {
    struct wal_directory dir;
    struct raft_slab *slab;
    struct wal_recovered *recovered;
};

static enum error_code check_once(void *self, struct error *error) {
    struct check *check = self;
    struct wal_log_end end;
    return wal_collect(&check->dir, NULL, 0, check->slab, check->recovered, &end, error);
}

enum error_code wal_check(const char *path, const struct wal_io *io, struct raft_slab *slab, struct wal_recovered *recovered,
                          struct error *error) {
    *recovered = (struct wal_recovered){.empty = true};
    struct check check = {.slab = slab, .recovered = recovered};
    enum error_code code = wal_directory_look(&check.dir, path, io != NULL ? io : &wal_io_system, error);
    if (code == OK) {
        code = read_steadily(check_once, &check, error);
    }
    if (code == OK && recovered->empty) {
        code = no_log(path, error);
    }
    wal_directory_close(&check.dir);
    return code;
}

// --- dump ---

// Position of an effective entry's line, without its newline.
struct line_position {
    uint64_t segment;
    uint64_t offset;
    uint64_t len;
};

struct dump {
    struct wal_directory dir;
    raft_index base;              // the log on the disk begins after this entry
    struct line_position *lines;  // of the entries from there on
    size_t count;
    size_t cap;
    bool empty;  // no segment holds a batch

    struct wal_reader reader;
    uint64_t segment;  // open in it
    struct buf out;
    int fd;
};

static enum error_code note_line(void *self, const struct wal_record *record, struct slice line, uint64_t segment,
                                 uint64_t offset, struct error *error) {
    (void)error;
    struct dump *dump = self;
    raft_index index = record->entry.id.index;
    if (index <= dump->base) {
        dump->base = index;
        dump->count = 0;
        return OK;
    }
    assert(index - 1 - dump->base <= dump->count);   // the scan refuses a gap
    dump->count = (size_t)(index - 1 - dump->base);  // what lay there and after it is cut
    array_reserve(dump->lines, dump->cap, dump->count + 1);
    dump->lines[dump->count++] = (struct line_position){.segment = segment, .offset = offset, .len = line.len};
    return OK;
}

static void note_base(void *self, struct raft_entry_id base) {
    struct dump *dump = self;
    dump->base = base.index;
    dump->count = 0;
}

static enum error_code scan_once(void *self, struct error *error) {
    struct dump *dump = self;
    struct wal_visitor visitor = {.self = dump, .begins = note_base, .entry = note_line};
    struct wal_log_end end;
    dump->count = 0;
    enum error_code code = wal_scan(&dump->dir, NULL, 0, &visitor, &end, error);
    dump->empty = end.current.number == 0;
    return code;
}

static enum error_code flush(struct dump *dump, struct error *error) {
    for (size_t done = 0; done < dump->out.len;) {
        ssize_t n = write(dump->fd, dump->out.data + done, dump->out.len - done);
        if (n < 0 && errno != EINTR) {
            return error_set(error, ERR_IO, "writing the entries: %s", strerror(errno));
        }
        done += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&dump->out);
    return OK;
}

static enum error_code print_line(struct dump *dump, const struct line_position *at, struct error *error) {
    enum error_code code = OK;
    if (at->segment != dump->segment) {
        wal_reader_close(&dump->reader);
        const char *odd = NULL;
        code = wal_reader_open(&dump->reader, dump->dir.io, dump->dir.wal, at->segment, &odd, error);
        if (odd != NULL) {
            return error_set(error, ERR_IO, "segment %llu has become %s", (unsigned long long)at->segment, odd);
        }
        dump->segment = at->segment;
    }
    struct slice line = slice_of(NULL, 0);
    if (code == OK) {
        wal_reader_advance(&dump->reader, at->offset);
        code = wal_reader_bytes(&dump->reader, at->offset + at->len + 1, &line, error);
    }
    if (code == OK) {
        buf_append_slice(&dump->out, line);
        code = dump->out.len >= OUT_BLOCK ? flush(dump, error) : OK;
    }
    return code;
}

enum error_code wal_dump(const char *path, const struct wal_io *io, raft_index to, int fd, struct error *error) {
    struct dump dump = {.reader.fd = -1, .fd = fd};
    enum error_code code = wal_directory_look(&dump.dir, path, io != NULL ? io : &wal_io_system, error);
    if (code == OK) {
        code = read_steadily(scan_once, &dump, error);
    }
    if (code == OK && dump.empty) {
        code = no_log(path, error);
    }
    for (size_t i = 0; code == OK && i < dump.count && (to == 0 || dump.base + i < to); i++) {
        code = print_line(&dump, &dump.lines[i], error);
    }
    if (code == OK) {
        code = flush(&dump, error);
    }
    wal_reader_close(&dump.reader);
    buf_free(&dump.reader.window);
    buf_free(&dump.out);
    free(dump.lines);
    wal_directory_close(&dump.dir);
    return code;
}
