// The durable log as a node uses it: real files, its own thread.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "log_fixture.h"
#include "scratch.h"
#include "unit.h"
#include "wal/record.h"

enum { DEADLINE_MS = 20000 };

// A node's log in a directory of its own.
struct store {
    char root[128];
    char dir[160];
    const char *node;
    uint64_t segment_bytes;
    const struct wal_io *io;
    struct raft_slab *slab;
    struct wal *wal;
    struct wal_recovered recovered;
    struct wal_status status;
    struct error error;
    int woken;  // an eventfd
    uint64_t write;
};

static void store_init_in(struct store *s, enum scratch where) {
    *s = (struct store){.node = "n1", .slab = raft_slab_new(), .recovered.empty = true};
    scratch_make(s->root, sizeof s->root, where);
    snprintf(s->dir, sizeof s->dir, "%s/n1", s->root);
    s->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(s->woken >= 0);
}

static void store_init(struct store *s) {
    store_init_in(s, SCRATCH_DISK);
}

static void wake(void *user) {
    uint64_t one = 1;
    assert(write(((struct store *)user)->woken, &one, sizeof one) == sizeof one);
}

static enum error_code store_try(struct store *s, const char *cluster, const char *node, uint64_t generation) {
    struct wal_options options = {.dir = s->dir,
                                  .cluster_id = slice_of_str(cluster),
                                  .node_id = slice_of_str(node),
                                  .incarnation = slice_of_str(INCARNATION),
                                  .generation = generation,
                                  .segment_bytes = s->segment_bytes,
                                  .io = s->io};
    wal_recovered_free(&s->recovered);
    s->write = 0;
    return wal_open(&options, s->slab, &s->wal, &s->recovered, &s->error);
}

static void store_open(struct store *s) {
    if (store_try(s, "demo", s->node, 1) != OK) {
        fail_msg("%s", s->error.message);
    }
    assert_int_equal(wal_start(s->wal, wake, s, &s->error), OK);
}

static void store_close(struct store *s) {
    assert_int_equal(wal_close(s->wal, false, &s->error), OK);
    s->wal = NULL;
}

static void store_free(struct store *s) {
    wal_recovered_free(&s->recovered);
    raft_slab_free(s->slab);
    close(s->woken);
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", s->root);
    assert_int_equal(system(command), 0);
}

static void store_submit(struct store *s, raft_term term, const char *vote, raft_index first, size_t count, raft_term of,
                         uint32_t len) {
    struct raft_persist persist = {.write = ++s->write, .count = count};
    if (vote != NULL) {
        persist.has_hard_state = true;
        persist.hard_state = (struct raft_hard_state){.current_term = term, .voted_for = raft_id_of(slice_of_str(vote))};
    }
    struct raft_entry **entries = mem_zalloc((count + 1) * sizeof(struct raft_entry *));
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry_new(s->slab, first + i, of, len);
    }
    persist.entries = entries;
    wal_submit(s->wal, &persist, s->write);
    for (size_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    free(entries);
}

// Until `write` is durable.
static void store_wait(struct store *s, uint64_t write) {
    for (;;) {
        uint64_t seen;
        ssize_t n = read(s->woken, &seen, sizeof seen);
        (void)n;
        wal_poll(s->wal, &s->status);
        if (s->status.durable_write >= write) {
            return;
        }
        assert_int_not_equal(s->status.condition, WAL_FAILED);
        struct pollfd fd = {.fd = s->woken, .events = POLLIN};
        assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
    }
}

static void check_entries(const struct store *s, size_t count) {
    const struct raft_restored *log = &s->recovered.log;
    assert_int_equal(log->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(log->entries[i]->id.index, i + 1);
        assert_true(entry_is_as_made(log->entries[i]));
    }
}

static void segment_path(const struct store *s, uint64_t number, char path[224]) {
    snprintf(path, 224, "%s/wal/%016" PRIu64 ".jsonl", s->dir, number);
}

static struct buf file_bytes(const char *path) {
    struct buf bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n;
        while ((n = read(fd, buf_reserve(&bytes, 65536), 65536)) > 0) {
            bytes.len += (size_t)n;
        }
        close(fd);
    }
    return bytes;
}

static void file_write(const char *path, struct slice bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    close(fd);
}

// --- appending and reading ---

static void TestLogAppend(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    assert_true(s.recovered.empty);
    wal_poll(s.wal, &s.status);
    assert_int_equal(s.status.oldest_pending_us, 0);
    store_submit(&s, 1, "n1", 1, 2, 1, 10);
    store_wait(&s, 1);
    store_submit(&s, 0, NULL, 3, 1, 1, 0);
    store_wait(&s, 2);
    assert_int_equal(s.status.batches, 2);
    assert_int_equal(s.status.condition, WAL_GOOD);
    assert_int_equal(s.status.durable_hard_state_write, 2);
    assert_int_equal(s.status.oldest_pending_us, 0);
    store_close(&s);

    char path[224];
    segment_path(&s, 1, path);
    struct buf bytes = file_bytes(path);
    buf_append(&bytes, "", 1);
    static const char *const starts[] = {
        ("{\"v\":2,\"cluster\":\"demo\",\"node\":\"n1\",\"incarnation\":\"" INCARNATION
         "\",\"segment\":1,\"generation\":1,\"base_index\":0,\"base_term\":0,\"prev\":\"00000000\",\"crc\":\""),
        "{\"term\":1,\"votedFor\":\"n1\",\"crc\":\"",
        "{\"index\":1,\"term\":1,\"type\":\"configuration\",\"command\":\"JjNATVpndIGOmw==\",\"crc\":\"",
        "{\"index\":2,\"term\":1,\"type\":\"command\",\"command\":\"RVJfbHmGk6Ctug==\",\"crc\":\"",
        "{\"batch\":1,\"bytes\":",
        "{\"index\":3,\"term\":1,\"type\":\"noop\",\"command\":\"\",\"crc\":\"",
        "{\"batch\":2,\"bytes\":65,\"crc\":\"",
    };
    char *rest = NULL;
    char *line = strtok_r((char *)bytes.data, "\n", &rest);
    for (size_t i = 0; i < ARRAY_COUNT(starts); i++) {
        assert_non_null(line);
        assert_memory_equal(line, starts[i], strlen(starts[i]));
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);  // any reader takes it
        assert_non_null(json);
        json_decref(json);
        line = strtok_r(NULL, "\n", &rest);
    }
    assert_null(line);
    buf_free(&bytes);
    store_free(&s);
}

static void TestLogRead(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    static const uint32_t lens[] = {0, 1, 2, 3, 4, 255, 256, 257, 511, 512, 4095, 65536, COMMAND_MAX};
    size_t count = ARRAY_COUNT(lens);
    for (size_t i = 0; i < count; i++) {
        store_submit(&s, 1, "n1", i + 1, 1, 1, lens[i]);
    }
    // More than one batch can hold.
    store_submit(&s, 0, NULL, count + 1, 20, 1, COMMAND_MAX);
    store_wait(&s, s.write);
    assert_true(s.status.batches >= 4);
    store_close(&s);
    store_open(&s);
    check_entries(&s, count + 20);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(s.recovered.log.entries[i]->len, lens[i]);
    }
    assert_int_equal(s.recovered.log.hard_state.current_term, 1);
    assert_string_equal(s.recovered.log.hard_state.voted_for.text, "n1");
    assert_int_equal(s.recovered.torn_bytes, 0);
    store_close(&s);

    struct wal_recovered checked;
    assert_int_equal(wal_check(s.dir, NULL, s.slab, &checked, &s.error), OK);
    assert_int_equal(checked.log.count, count + 20);
    wal_recovered_free(&checked);
    store_free(&s);
}

// In a process of its own: writes 100 entries, says so, and waits for its end.
static void write_and_wait(struct store *s, int report) {
    store_open(s);
    for (raft_index i = 1; i <= 100; i++) {
        store_submit(s, 3, "n2", i, 1, 3, 200);
    }
    store_wait(s, 100);
    if (write(report, "x", 1) == 1) {
        pause();
    }
    _exit(1);
}

static void TestLogRecovery(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        write_and_wait(&s, report[1]);
    }
    close(report[1]);
    char byte;
    assert_int_equal(read(report[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(report[0]);

    store_open(&s);
    assert_false(s.recovered.empty);
    check_entries(&s, 100);
    assert_int_equal(s.recovered.log.hard_state.current_term, 3);
    assert_string_equal(s.recovered.log.hard_state.voted_for.text, "n2");
    store_submit(&s, 0, NULL, 101, 1, 3, 200);
    store_wait(&s, 1);
    store_close(&s);
    store_open(&s);
    check_entries(&s, 101);
    store_close(&s);
    store_free(&s);
}

// A disk whose writes wait for a gate.
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool open;
    unsigned waiting;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static ssize_t gated_write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    if (((const char *)parts[0].iov_base)[0] == '{') {
        pthread_mutex_lock(&gate.mutex);
        gate.waiting++;
        pthread_cond_broadcast(&gate.changed);
        while (!gate.open) {
            pthread_cond_wait(&gate.changed, &gate.mutex);
        }
        pthread_mutex_unlock(&gate.mutex);
    }
    return wal_io_system.write_at(self, fd, parts, count, offset, flags);
}

static void TestLogGroupCommit(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    struct wal_io io = wal_io_system;
    io.write_at = gated_write_at;
    s.io = &io;
    store_open(&s);
    store_submit(&s, 1, "n1", 1, 1, 1, 100);
    pthread_mutex_lock(&gate.mutex);
    while (gate.waiting == 0) {
        pthread_cond_wait(&gate.changed, &gate.mutex);
    }
    pthread_mutex_unlock(&gate.mutex);
    // One batch is on its way and stays there. Nothing of this waits for it, and nothing is durable.
    for (raft_index i = 2; i <= 500; i++) {
        store_submit(&s, 0, NULL, i, 1, 1, 100);
    }
    wal_poll(s.wal, &s.status);
    assert_int_equal(s.status.durable_write, 0);
    assert_int_equal(s.status.oldest_pending_us, 1);
    pthread_mutex_lock(&gate.mutex);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
    store_wait(&s, 500);
    assert_int_equal(s.status.batches, 2);
    store_close(&s);
    store_open(&s);
    check_entries(&s, 500);
    store_close(&s);
    store_free(&s);
}

// --- segments ---

static size_t count_segments(const struct store *s) {
    char path[224];
    size_t count = 0;
    for (segment_path(s, 1, path); access(path, F_OK) == 0; segment_path(s, count + 1, path)) {
        count++;
    }
    return count;
}

static void TestLogRotation(void **state) {
    (void)state;
    struct store s;
    store_init_in(&s, SCRATCH_MEMORY);
    s.segment_bytes = 64 * KIB;
    raft_index next = 1;
    for (int round = 0; round < 3; round++) {
        store_open(&s);
        check_entries(&s, next - 1);
        for (int i = 0; i < 100; i++, next += 3) {
            store_submit(&s, (raft_term)(1 + i + 100 * round), "n2", next, 3, (raft_term)(1 + 100 * round), 1000);
            store_wait(&s, s.write);
        }
        store_close(&s);
    }
    size_t segments = count_segments(&s);
    assert_in_range(segments, 15, 30);
    uint64_t prev = 0;
    for (size_t i = 1; i <= segments; i++) {
        char path[224];
        segment_path(&s, i, path);
        struct buf bytes = file_bytes(path);
        size_t reserve = i == segments ? WAL_RESERVE_BYTES : 0;
        assert_in_range(bytes.len, reserve + 4, reserve + 64 * KIB + 1);
        size_t end = bytes.len - reserve;  // after one newline
        assert_true(bytes.data[end - 1] == '\n' && bytes.data[end - 3] == '}');
        struct wal_record record;
        uint8_t *newline = memchr(bytes.data, '\n', bytes.len);
        assert_true(wal_record_parse(slice_of(bytes.data, (size_t)(newline - bytes.data)), &record));
        assert_int_equal(record.kind, WAL_RECORD_HEADER);
        assert_int_equal(record.header.segment, i);
        assert_true(record.header.base.index >= prev && (i == 1 || record.header.base.index > 0));
        prev = record.header.base.index;
        uint8_t *second = memchr(newline + 1, '\n', bytes.len);
        assert_true(wal_record_parse(slice_of(newline + 1, (size_t)(second - newline - 1)), &record));
        assert_int_equal(record.kind, WAL_RECORD_HARD_STATE);
        buf_free(&bytes);
    }
    store_open(&s);
    check_entries(&s, next - 1);
    assert_int_equal(s.recovered.segments, segments);
    store_close(&s);
    store_free(&s);
}

static void TestLogTruncation(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    s.segment_bytes = 16 * KIB;
    store_open(&s);
    store_submit(&s, 1, "n1", 1, 30, 1, 1000);
    store_submit(&s, 2, "n2", 11, 5, 2, 1000);  // 11 to 15 in term 2: 16 to 30 are gone
    store_wait(&s, 2);
    store_submit(&s, 3, "", 15, 1, 3, 50);
    store_submit(&s, 0, NULL, 16, 1, 3, 50);
    store_close(&s);
    store_open(&s);
    check_entries(&s, 16);
    assert_int_equal(s.recovered.log.entries[9]->id.term, 1);
    assert_int_equal(s.recovered.log.entries[10]->id.term, 2);
    assert_int_equal(s.recovered.log.entries[13]->id.term, 2);
    assert_int_equal(s.recovered.log.entries[14]->id.term, 3);
    assert_int_equal(s.recovered.log.hard_state.voted_for.len, 0);
    store_submit(&s, 4, "", 15, 1, 2, 50);  // by an entry of a lower term: a later leader's log may lack the higher one
    store_wait(&s, s.write);
    store_close(&s);
    store_open(&s);
    check_entries(&s, 15);
    assert_int_equal(s.recovered.log.entries[14]->id.term, 2);
    store_submit(&s, 4, "n3", 1, 1, 4, 50);  // everything is replaced
    store_wait(&s, 1);
    store_close(&s);
    store_open(&s);
    check_entries(&s, 1);
    assert_int_equal(s.recovered.log.entries[0]->id.term, 4);
    store_close(&s);
    store_free(&s);
}

// --- what is not ours to read ---

static void TestLogForeign(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    store_submit(&s, 1, "n1", 1, 3, 1, 10);
    store_close(&s);
    char path[224];
    segment_path(&s, 1, path);
    struct buf before = file_bytes(path);
    assert_int_equal(store_try(&s, "demo", "n2", 1), ERR_FOREIGN);
    assert_non_null(strstr(s.error.message, "node n1 of cluster demo"));
    assert_non_null(strstr(s.error.message, "node n2 of cluster demo"));
    assert_non_null(strstr(s.error.message, ".jsonl:1: "));
    assert_int_equal(store_try(&s, "other", "n1", 1), ERR_FOREIGN);
    assert_non_null(strstr(s.error.message, "cluster other"));
    struct buf after = file_bytes(path);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    buf_free(&before);
    buf_free(&after);
    store_open(&s);  // the refusals have let go of the lock
    check_entries(&s, 3);
    store_close(&s);
    store_free(&s);
}

static void TestLogVersion(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    store_close(&s);
    struct buf line = {0};
    buf_append_str(&line, "{\"v\":3,\"cluster\":\"demo\",\"compression\":\"zstd\"");
    buf_printf(&line, ",\"crc\":\"%08x\"}\n\n\n", crc32c(0, line.data, line.len));
    char path[224];
    segment_path(&s, 1, path);
    file_write(path, buf_slice(&line));
    assert_int_equal(store_try(&s, "demo", "n1", 1), ERR_WAL_VERSION);
    assert_non_null(strstr(s.error.message, ".jsonl:1: format version 3"));
    struct buf after = file_bytes(path);
    assert_true(slice_equal(buf_slice(&line), buf_slice(&after)));
    buf_free(&after);
    buf_free(&line);
    store_free(&s);
}

enum { HUGE = 1 << 30 };

static ssize_t huge_read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    (void)self;
    (void)fd;
    size_t n = offset >= HUGE ? 0 : len < (size_t)(HUGE - offset) ? len : (size_t)(HUGE - offset);
    memset(out, 'x', n);
    return (ssize_t)n;
}

static int huge_stat(void *self, int fd, struct stat *out) {
    int result = wal_io_system.stat(self, fd, out);
    out->st_size = HUGE;
    return result;
}

static void TestLogHugeLine(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    store_submit(&s, 1, "n1", 1, 3, 1, 10);
    store_close(&s);
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    struct wal_io io = wal_io_system;
    io.read_at = huge_read_at;
    io.stat = huge_stat;
    struct wal_recovered recovered;
    assert_int_equal(wal_check(s.dir, &io, s.slab, &recovered, &s.error), ERR_WAL_CORRUPT);
    assert_non_null(strstr(s.error.message, ".jsonl:1: the line is longer than"));
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 64 * KIB);  // in KiB
    store_free(&s);
}

static void expect_refused(struct store *s, const char *what) {
    assert_int_equal(store_try(s, "demo", "n1", 1), ERR_WAL_CORRUPT);
    assert_non_null(strstr(s->error.message, what));
    assert_non_null(strstr(s->error.message, "0000000000000001.jsonl:1: "));
}

static void TestLogOddFiles(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    store_close(&s);
    char path[224];
    segment_path(&s, 1, path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    expect_refused(&s, "a symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(&s, "a FIFO");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(&s, "a directory");
    assert_int_equal(rmdir(path), 0);

    // Files without a segment's name are ignored.
    char other[224];
    snprintf(other, sizeof other, "%s/wal/notes.txt", s.dir);
    file_write(other, slice_of_str("x"));
    snprintf(other, sizeof other, "%s/wal/0000000000000001.jsonl~", s.dir);
    file_write(other, slice_of_str("x"));
    store_open(&s);
    assert_true(s.recovered.empty);
    store_close(&s);

    snprintf(s.dir, sizeof s.dir, "%s/missing/n1", s.root);
    assert_int_equal(store_try(&s, "demo", "n1", 1), ERR_IO);
    assert_non_null(strstr(s.error.message, "missing/n1"));
    snprintf(s.dir, sizeof s.dir, "%s/n1/wal/notes.txt", s.root);
    assert_int_equal(store_try(&s, "demo", "n1", 1), ERR_IO);
    struct wal_recovered recovered;
    assert_int_equal(wal_check(s.dir, NULL, s.slab, &recovered, &s.error), ERR_IO);
    store_free(&s);
}

static void TestLogLock(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    struct store second = s;
    assert_int_equal(store_try(&second, "demo", "n1", 1), ERR_BUSY);
    assert_non_null(strstr(second.error.message, "in use by another process"));
    store_submit(&s, 1, "n1", 1, 3, 1, 10);
    store_wait(&s, 1);
    struct wal_recovered checked;  // looking takes no lock
    assert_int_equal(wal_check(s.dir, NULL, s.slab, &checked, &s.error), OK);
    assert_int_equal(checked.log.count, 3);
    wal_recovered_free(&checked);
    store_close(&s);
    store_open(&s);
    store_close(&s);
    store_free(&s);
}

// --- the dump ---

static struct buf dump(const struct store *s, raft_index to) {
    char path[224];
    snprintf(path, sizeof path, "%s/dump", s->root);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    struct error error;
    if (wal_dump(s->dir, NULL, to, fd, &error) != OK) {
        fail_msg("%s", error.message);
    }
    close(fd);
    return file_bytes(path);
}

// A folder without a log is not a sound log: who gives the wrong one must hear of it.
static void TestLogCheckAndDumpWantALog(void **state) {
    (void)state;
    struct store s;
    struct wal_recovered checked;
    store_init(&s);
    store_open(&s);  // makes the directory, and no segment
    assert_int_equal(wal_check(s.dir, NULL, s.slab, &checked, &s.error), ERR_INVALID);
    assert_non_null(strstr(s.error.message, "holds no log"));
    wal_recovered_free(&checked);
    assert_int_equal(wal_dump(s.dir, NULL, 0, STDOUT_FILENO, &s.error), ERR_INVALID);
    store_submit(&s, 1, "n1", 1, 1, 1, 9);
    store_wait(&s, 1);
    assert_int_equal(wal_check(s.dir, NULL, s.slab, &checked, &s.error), OK);
    wal_recovered_free(&checked);
    store_close(&s);
    store_free(&s);
}

static size_t count_lines(struct slice bytes) {
    size_t lines = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        lines += bytes.data[i] == '\n';
    }
    return lines;
}

// Two nodes that came to the same log in different ways print the same bytes, and one prints while it is being written.
static void TestLogDumpEqual(void **state) {
    (void)state;
    struct store a;
    struct store b;
    store_init_in(&a, SCRATCH_MEMORY);
    store_init_in(&b, SCRATCH_MEMORY);
    b.node = "n2";
    b.segment_bytes = 32 * KIB;
    store_open(&a);
    store_open(&b);
    store_submit(&a, 2, "n1", 1, 300, 2, 500);
    store_wait(&a, 1);
    store_submit(&b, 1, "n2", 1, 100, 1, 700);  // never committed
    for (raft_index i = 1; i <= 300; i++) {
        store_submit(&b, 2, "n1", i, 1, 2, 500);
        store_wait(&b, b.write);
        if (i % 50 == 0) {
            struct buf some = dump(&b, 0);
            assert_int_equal(count_lines(buf_slice(&some)), i);
            buf_free(&some);
        }
    }
    store_submit(&b, 0, NULL, 301, 1, 2, 9);
    store_wait(&b, b.write);
    for (raft_index to = 299; to <= 300; to++) {
        struct buf of_a = dump(&a, to);
        struct buf of_b = dump(&b, to);
        assert_int_equal(count_lines(buf_slice(&of_a)), to);
        assert_true(slice_equal(buf_slice(&of_a), buf_slice(&of_b)));
        buf_free(&of_a);
        buf_free(&of_b);
    }
    // Beside a writer that does not pause.
    size_t least = 301;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 20; i++) {
            store_submit(&b, 0, NULL, 302 + (raft_index)(round * 20 + i), 1, 2, 3000);
        }
        struct buf some = dump(&b, 0);
        size_t lines = count_lines(buf_slice(&some));
        assert_in_range(lines, least, 321 + (size_t)round * 20);
        least = lines;
        buf_free(&some);
    }
    store_close(&a);
    store_close(&b);
    store_free(&a);
    store_free(&b);
}

// A reader of a log that grows meanwhile: its first bytes are from before, the rest is from after. That looks like damage
// once, and only once.
static struct {
    struct buf before;
    uint64_t reads;
} straddled;

static ssize_t straddling_read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    ssize_t n = wal_io_system.read_at(self, fd, out, len, offset);
    if (straddled.reads++ == 0 && n > 0) {
        memset(out, '\n', (size_t)n);
        memcpy(out, straddled.before.data, straddled.before.len < (size_t)n ? straddled.before.len : (size_t)n);
    }
    return n;
}

static void TestLogDumpBeside(void **state) {
    (void)state;
    struct store s;
    store_init(&s);
    store_open(&s);
    store_submit(&s, 1, "n1", 1, 10, 1, 10000);
    store_close(&s);
    char path[224];
    segment_path(&s, 1, path);
    straddled.before = file_bytes(path);
    store_open(&s);
    for (raft_index i = 11; i <= 31; i += 10) {
        store_submit(&s, 0, NULL, i, 10, 1, 10000);
        store_wait(&s, s.write);
    }
    struct wal_io io = wal_io_system;
    io.read_at = straddling_read_at;
    struct wal_recovered recovered;
    if (wal_check(s.dir, &io, s.slab, &recovered, &s.error) != OK) {
        fail_msg("%s", s.error.message);
    }
    assert_int_equal(recovered.log.count, 40);
    wal_recovered_free(&recovered);
    buf_free(&straddled.before);
    store_close(&s);
    store_free(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLogAppend),      cmocka_unit_test(TestLogRead),       cmocka_unit_test(TestLogRecovery),
    cmocka_unit_test(TestLogGroupCommit), cmocka_unit_test(TestLogRotation),   cmocka_unit_test(TestLogTruncation),
    cmocka_unit_test(TestLogForeign),     cmocka_unit_test(TestLogVersion),    cmocka_unit_test(TestLogHugeLine),
    cmocka_unit_test(TestLogOddFiles),    cmocka_unit_test(TestLogLock),       cmocka_unit_test(TestLogCheckAndDumpWantALog),
    cmocka_unit_test(TestLogDumpEqual),   cmocka_unit_test(TestLogDumpBeside),
};

UNIT_MAIN(tests)
