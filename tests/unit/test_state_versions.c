// Versions of the state while it changes: read on another thread, given back in steps; and the memory of a store that is
// overwritten for long.
#include <malloc.h>
#include <pthread.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "random.h"
#include "random_log.h"
#include "state/image.h"
#include "wire/json.h"

// --- read on another thread ---

enum { KEYS = 3000, CLIENTS = 200, WORKERS = 200, VERSIONS = 3 };

static void put(struct random_log *log, size_t key, size_t value, const char *client, uint64_t sequence) {
    char name[32];
    char text[32];
    snprintf(name, sizeof name, "key-%zu", key);
    snprintf(text, sizeof text, "value-%zu", value);
    random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_PUT,
                                            .client_id = slice_of_str(client),
                                            .sequence = sequence,
                                            .put = {.key = slice_of_str(name), .value = slice_of_str(text)}});
}

static void change_worker(struct random_log *log, size_t worker, uint64_t epoch, bool online) {
    char name[32];
    snprintf(name, sizeof name, "worker-%zu", worker);
    struct pb_worker_change change = {.worker_id = slice_of_str(name), .epoch = epoch, .online = online};
    random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_CHANGE_WORKERS,
                                            .change_workers = {.changes = &change, .changes_count = 1}});
}

// Everything there is, in use.
static struct state *full_state(struct random_log *log) {
    struct state *state = state_new();
    for (size_t i = 0; i < WORKERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%zu", i);
        struct pb_register_worker_request request = {.worker_id = slice_of_str(name),
                                                     .instance_id = slice_of_str("i"),
                                                     .address = slice_of_str("a:1"),
                                                     .cloud = slice_of_str("aws")};
        random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_REGISTER_WORKER, .register_worker = request});
    }
    for (size_t i = 0; i < KEYS; i++) {
        char client[32];
        snprintf(client, sizeof client, "client-%zu", i % CLIENTS);
        put(log, i, i, client, 1 + i / CLIENTS);
    }
    while (state_last_applied(state) < log->count) {
        random_log_apply(log, state);
    }
    return state;
}

// All that there is becomes another, or goes.
static void change_all(struct random_log *log, struct state *state, size_t round) {
    for (size_t i = 0; i < WORKERS; i++) {
        change_worker(log, i, i + 1, round % 2 == 1);
    }
    for (size_t i = 0; i < KEYS; i++) {
        char client[32];
        snprintf(client, sizeof client, "client-%zu", i % CLIENTS);
        put(log, i + (round % 2) * 7, round, client, 1 + (round + 1) * KEYS + i);
    }
    for (size_t i = 0; i < KEYS; i += 1 + round % 2) {
        char name[32];
        snprintf(name, sizeof name, "key-%zu", i);
        random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_DELETE, .delete = {.key = slice_of_str(name)}});
    }
    while (state_last_applied(state) < log->count) {
        random_log_apply(log, state);
        state_collect(state);
    }
}

static void read_all(const struct state_version *version, struct buf *lines) {
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    buf_clear(lines);
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, lines);
    }
    state_records_free(records);
}

struct reader {
    pthread_t thread;
    const struct state_version *version;
    struct buf before;  // what it showed when nothing had changed yet
    bool differs;
};

static void *read_again_and_again(void *user) {
    struct reader *reader = user;
    struct buf lines = {0};
    for (int i = 0; i < 5; i++) {
        read_all(reader->version, &lines);
        reader->differs |= !slice_equal(buf_slice(&lines), buf_slice(&reader->before));
    }
    buf_free(&lines);
    return NULL;
}

// Under ThreadSanitizer it shows that a reader needs nothing that the changing thread writes.
static void TestStateVersionsAreReadByThreads(void **state) {
    (void)state;
    struct random_log log;
    random_log_open(&log, 0);
    struct state *machine = full_state(&log);
    struct reader readers[VERSIONS] = {{.differs = false}};
    struct state_version *versions[VERSIONS];
    for (size_t i = 0; i < VERSIONS; i++) {
        versions[i] = state_version_new(machine);
        readers[i].version = versions[i];
        read_all(versions[i], &readers[i].before);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_again_and_again, &readers[i]), 0);
        change_all(&log, machine, i);
    }
    for (size_t i = 0; i < VERSIONS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_false(readers[i].differs);
        state_version_release(machine, versions[i]);
        state_collect(machine);
        buf_free(&readers[i].before);
    }
    state_free(machine);
    random_log_close(&log);
}

// --- memory ---

// Of the sanitizers, whose malloc this is if there is one.
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t memory_in_use(void) {
    if (__sanitizer_get_current_allocated_bytes != NULL) {
        return __sanitizer_get_current_allocated_bytes();
    }
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

enum { LIVING = 10000, OVERWRITES = 1000000, TAIL = 10000, SLACK = 8 * MIB };

struct living {
    struct slice values[LIVING];  // lengths only
    size_t bytes;                 // of keys and values
};

static void overwrite(struct raft_slab *slab, struct state *state, struct living *living, size_t which, size_t len) {
    static const uint8_t zeros[4096];
    char key[16];
    size_t key_len = (size_t)snprintf(key, sizeof key, "key-%zu", which);
    raft_index index = state_last_applied(state) + 1;
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){1, index}, key_len + len);
    memcpy(entry->data, key, key_len);
    memcpy(entry->data + key_len, zeros, len);
    struct pb_command command = {
        .op = PB_COMMAND_OP_PUT,
        .put = {.key = slice_of(entry->data, key_len), .value = slice_of(entry->data + key_len, len)}};
    struct state_result result;
    state_apply(state, entry, &command, &result);
    raft_entry_unref(entry);
    living->bytes += len + (living->values[which].data == NULL ? key_len : 0) - living->values[which].len;
    living->values[which] = slice_of("", len);
    if (index > TAIL) {
        state_forget_history(state, index - TAIL);
    }
    state_collect(state);
}

// Values grow and shrink, and a few keys are never written again among many that are: an old value must hold nothing but its
// own bytes. The history's entries are the log's, in pages of its own.
static void TestStateMemoryFollowsTheLiving(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestStateMemoryFollowsTheLiving");
    size_t before = memory_in_use();
    struct raft_slab *slab = raft_slab_new();
    struct state *machine = state_new();
    struct living *living = mem_zalloc(sizeof *living);
    for (size_t i = 0; i < OVERWRITES; i++) {
        size_t phase = i / (OVERWRITES / 10);
        size_t most = phase % 3 == 0 ? 64 : phase % 3 == 1 ? 1024 : 256;
        // Of a hundred keys one is written in the first phase only; the value of another is large now and then.
        size_t which = random_below(&seed, LIVING);
        if (which % 100 == 0 && phase > 0) {
            which++;
        }
        overwrite(slab, machine, living, which, i % 1000 == 999 ? 4096 : random_below(&seed, most + 1));
        if (i % (OVERWRITES / 20) == 0) {
            size_t in_use = memory_in_use() - before;
            assert_in_range(in_use, 0, 2 * living->bytes + SLACK);
        }
    }
    assert_true(raft_slab_bytes(slab) < TAIL * 1024 + SLACK);  // the history holds the tail's blocks only
    state_free(machine);
    raft_slab_free(slab);
    free(living);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestStateVersionsAreReadByThreads),
    cmocka_unit_test(TestStateMemoryFollowsTheLiving),
};

UNIT_MAIN(tests)
