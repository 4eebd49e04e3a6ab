// TestLogOf010: a log written by version 0.1.0 (tests/data/README.md) is opened, verified and replayed to the state that
// 0.1.0 made of it. argv[1] is batond, argv[2] is tests/data.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "digest_010.h"
#include "scratch.h"
#include "state/state.h"
#include "unit.h"
#include "wal/wal.h"
#include "wire/command.h"
#include "wire/configuration.h"

#define INCARNATION_DRAWN "00112233445566778899aabbccddeeff"

enum { ENTRIES = 68, NOOPS = 10, SEGMENTS = 6, EXIT_DAMAGED = 3 };

static const char *batond;
static const char *golden;  // tests/data/log-0.1.0

// --- files ---

static struct buf read_file(const char *path) {
    struct buf bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, 0);
    ssize_t count;
    while ((count = read(fd, buf_reserve(&bytes, 64 * KIB), 64 * KIB)) > 0) {
        bytes.len += (size_t)count;
    }
    assert_int_equal(count, 0);
    close(fd);
    return bytes;
}

static void write_file(const char *path, const struct buf *bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_return_code(fd, 0);
    assert_int_equal(write(fd, bytes->data, bytes->len), bytes->len);
    close(fd);
}

struct path {
    char text[512];
};

static struct path segment_of(const char *dir, uint64_t number) {
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/wal/%016" PRIu64 ".jsonl", dir, number);
    return path;
}

// A copy of the golden log in a directory of its own, and what is open of it.
struct replica {
    char dir[128];
    struct raft_slab *slab;
    struct wal *wal;
    struct wal_recovered recovered;
    struct state *state;
    struct digest_010 *digest;
    struct arena arena;
};

static struct replica r;

static int setup(void **state) {
    (void)state;
    r = (struct replica){.slab = raft_slab_new(), .state = state_new(), .digest = digest_010_new()};
    scratch_make(r.dir, sizeof r.dir, SCRATCH_DISK);
    struct path wal;
    snprintf(wal.text, sizeof wal.text, "%s/wal", r.dir);
    assert_return_code(mkdir(wal.text, 0700), 0);
    for (uint64_t i = 1; i <= SEGMENTS; i++) {
        struct buf bytes = read_file(segment_of(golden, i).text);
        write_file(segment_of(r.dir, i).text, &bytes);
        buf_free(&bytes);
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    struct path path;
    state_free(r.state);
    digest_010_free(r.digest);
    arena_free(&r.arena);
    wal_recovered_free(&r.recovered);
    raft_slab_free(r.slab);
    for (uint64_t i = 1; i <= SEGMENTS + 1; i++) {  // the last one was begun by this version
        unlink(segment_of(r.dir, i).text);
    }
    snprintf(path.text, sizeof path.text, "%s/LOCK", r.dir);
    unlink(path.text);
    snprintf(path.text, sizeof path.text, "%s/wal", r.dir);
    assert_return_code(rmdir(path.text), errno);
    snprintf(path.text, sizeof path.text, "%s/snap", r.dir);
    assert_return_code(rmdir(path.text), errno);
    assert_return_code(rmdir(r.dir), errno);
    return 0;
}

// `incarnation`: of this start, for a directory that has none.
static void open_log_as(const char *incarnation) {
    struct error error = {0};
    wal_recovered_free(&r.recovered);
    struct wal_options options = {.dir = r.dir,
                                  .cluster_id = slice_of_str("golden"),
                                  .node_id = slice_of_str("n1"),
                                  .incarnation = slice_of_str(incarnation),
                                  .generation = 1};
    if (wal_open(&options, r.slab, &r.wal, &r.recovered, &error) != OK) {
        fail_msg("%s", error.message);
    }
    assert_false(r.recovered.empty);
    assert_int_equal(r.recovered.torn_bytes, 0);
    assert_string_equal(r.recovered.incarnation, INCARNATION_DRAWN);
}

static void open_log(void) {
    open_log_as(INCARNATION_DRAWN);
}

static void close_log(void) {
    struct error error = {0};
    assert_int_equal(wal_close(r.wal, false, &error), OK);
}

// --- the state as text, in the format of log-0.1.0/expected.txt ---

static void print_base64(struct buf *out, struct slice bytes) {
    buf_append_str(out, bytes.len == 0 ? " -" : " ");
    out->len += base64_encode((char *)buf_reserve(out, base64_encoded_len(bytes.len)), bytes.data, bytes.len);
}

static bool print_key(void *user, const struct state_item *item) {
    buf_append_str(user, "key");
    print_base64(user, item->key);
    print_base64(user, item->value);
    buf_printf(user, " revision %" PRIu64 "\n", item->revision);
    return true;
}

static void print_slice(struct buf *out, const char *before, struct slice text) {
    buf_append_str(out, before);
    buf_append_slice(out, text);
}

static bool print_worker(void *user, const struct state_worker *worker) {
    print_slice(user, "worker ", worker->id);
    print_slice(user, " instance ", worker->registration->instance_id);
    print_slice(user, " address ", worker->registration->address);
    print_slice(user, " cloud ", worker->registration->cloud);
    buf_printf(user, " slots %" PRIu32 " epoch %" PRIu64 " %s", worker->registration->slots, worker->epoch,
               worker->online ? "online" : "offline");
    print_slice(user, " reason ", worker->reason.len == 0 ? slice_of_str("-") : worker->reason);
    buf_printf(user, " since %" PRIu64 "\n", worker->since_index);
    for (size_t i = 0; i < worker->registration->labels_count; i++) {
        print_slice(user, "label ", worker->id);
        print_slice(user, " ", worker->registration->labels[i].key);
        print_slice(user, "=", worker->registration->labels[i].value);
        buf_append_str(user, "\n");
    }
    return true;
}

static const char *outcome_name(enum state_outcome outcome) {
    switch (outcome) {
    case STATE_DONE:
        return "done";
    case STATE_REVISION_MISMATCH:
        return "revision-mismatch";
    case STATE_SESSION_EXPIRED:
        return "session-expired";
    case STATE_SEQUENCE_REUSED:
        return "sequence-reused";
    case STATE_TOO_MANY:
        return "too-many";
    }
    return "?";
}

static void print_result(struct buf *out, const struct state_result *result) {
    buf_printf(out, " command %s revision %" PRIu64 " existed %d epoch %" PRIu64 " repeated %d",
               outcome_name(result->outcome), result->revision, result->existed, result->epoch, result->repeated);
}

// --- replaying ---

// The one place that knows how a committed command reaches the state machine.
static void apply(struct raft_entry *entry, struct state_result *result) {
    struct pb_command command;
    struct error error = {0};
    arena_reset(&r.arena);
    if (wire_command_decode(&r.arena, entry, &command, &error) != OK) {
        fail_msg("entry %" PRIu64 ": %s", entry->id.index, error.message);
    }
    digest_010_before(r.digest, r.state, &command);
    state_apply(r.state, entry, &command, result);
    digest_010_after(r.digest, r.state, &command, result);
}

static void replay(struct buf *out) {
    const struct raft_restored *log = &r.recovered.log;
    buf_printf(out, "term %" PRIu64 "\nvoted-for %s\nsegments %" PRIu64 "\nentries %zu\nlast-index %" PRIu64 "\n",
               log->hard_state.current_term, log->hard_state.voted_for.text, r.recovered.segments, log->count,
               log->entries[log->count - 1]->id.index);
    for (size_t i = 0; i < log->count; i++) {
        struct raft_entry *entry = log->entries[i];
        buf_printf(out, "entry %" PRIu64 " term %" PRIu64, entry->id.index, entry->id.term);
        if (entry->type == RAFT_ENTRY_COMMAND) {
            struct state_result result = {0};
            apply(entry, &result);
            print_result(out, &result);
        } else {
            state_skip(r.state, entry->id.index);
            buf_append_str(out, entry->type == RAFT_ENTRY_NOOP ? " noop" : " configuration");
        }
        buf_printf(out, " digest %016" PRIx64 "\n", digest_010_of(r.digest, r.state));
    }
    state_list(r.state, slice_of(NULL, 0), slice_of(NULL, 0), print_key, out);
    state_workers(r.state, slice_of(NULL, 0), print_worker, out);
    buf_printf(out, "time-unix-ms %" PRId64 "\ndigest %016" PRIx64 "\n", state_time_unix_ms(r.state),
               digest_010_of(r.digest, r.state));
}

// Line by line, so that a failure names the first entry whose effect differs.
static void assert_same_lines(struct buf *actual, struct buf *expected) {
    buf_append(actual, "", 1);
    buf_append(expected, "", 1);
    char *actual_rest;
    char *expected_rest;
    char *a = strtok_r((char *)actual->data, "\n", &actual_rest);
    char *e = strtok_r((char *)expected->data, "\n", &expected_rest);
    for (; a != NULL && e != NULL; a = strtok_r(NULL, "\n", &actual_rest), e = strtok_r(NULL, "\n", &expected_rest)) {
        assert_string_equal(a, e);
    }
    assert_null(a);
    assert_null(e);
}

static void TestLogOf010IsReplayedToTheSameState(void **state) {
    (void)state;
    open_log();
    struct buf actual = {0};
    replay(&actual);
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/expected.txt", golden);
    struct buf expected = read_file(path.text);
    assert_same_lines(&actual, &expected);
    buf_free(&expected);
    buf_free(&actual);
    close_log();
}

// --- the way back ---

static struct raft_entry *encoded_again(const struct raft_entry *entry) {
    struct error error = {0};
    arena_reset(&r.arena);
    if (entry->type == RAFT_ENTRY_CONFIGURATION) {
        struct wire_configuration configuration;
        assert_int_equal(wire_configuration_decode(entry, &configuration, &error), OK);
        return wire_configuration_encode(r.slab, entry->id, &configuration);
    }
    struct pb_command command;
    assert_int_equal(wire_command_decode(&r.arena, entry, &command, &error), OK);
    return wire_command_encode(r.slab, &command, &error);
}

static void TestLogOf010IsEncodedToTheSameBytes(void **state) {
    (void)state;
    open_log();
    size_t compared = 0;
    for (size_t i = 0; i < r.recovered.log.count; i++) {
        const struct raft_entry *entry = r.recovered.log.entries[i];
        if (entry->type == RAFT_ENTRY_NOOP) {
            assert_int_equal(entry->len, 0);
            continue;
        }
        struct raft_entry *again = encoded_again(entry);
        bool same = slice_equal(raft_entry_command(again), raft_entry_command(entry));
        raft_entry_unref(again);
        if (!same) {
            fail_msg("entry %" PRIu64 " is encoded to other bytes", entry->id.index);
        }
        compared++;
    }
    assert_int_equal(r.recovered.log.count, ENTRIES);
    assert_int_equal(compared, ENTRIES - NOOPS);
    close_log();
}

// --- as an operator sees it ---

static int check_wal(void) {
    pid_t pid = fork();
    assert_return_code(pid, 0);
    if (pid == 0) {
        execl(batond, batond, "--check-wal", r.dir, (char *)NULL);
        perror(batond);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_untouched(void) {
    for (uint64_t i = 1; i <= SEGMENTS; i++) {
        struct buf before = read_file(segment_of(golden, i).text);
        struct buf now = read_file(segment_of(r.dir, i).text);
        assert_int_equal(now.len, before.len);
        assert_memory_equal(now.data, before.data, before.len);
        buf_free(&before);
        buf_free(&now);
    }
}

static void TestLogOf010PassesCheckWal(void **state) {
    (void)state;
    assert_int_equal(check_wal(), 0);
    assert_untouched();
    open_log();
    close_log();
    open_log_as("ffffffffffffffffffffffffffffffff");  // the first one was written to the log
    close_log();
    assert_untouched();
    struct path damaged = segment_of(r.dir, 3);
    struct buf bytes = read_file(damaged.text);
    bytes.data[bytes.len / 2] ^= 4;
    write_file(damaged.text, &bytes);
    buf_free(&bytes);
    assert_int_equal(check_wal(), EXIT_DAMAGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(TestLogOf010IsReplayedToTheSameState),
    TEST(TestLogOf010IsEncodedToTheSameBytes),
    TEST(TestLogOf010PassesCheckWal),
};

int main(int argc, char **argv) {
    static struct path data;
    assert(argc == 3);
    batond = argv[1];
    snprintf(data.text, sizeof data.text, "%s/log-0.1.0", argv[2]);
    golden = data.text;
    const char *filter = getenv("BATON_TEST_FILTER");
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
