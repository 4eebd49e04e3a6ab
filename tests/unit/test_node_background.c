// Work beside the loop: threads of a lower priority, and images that leave most of the time to the log.
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "base/limits.h"
#include "node/background.h"
#include "node/image.h"
#include "state_machine.h"
#include "wal_disk.h"

// --- threads ---

struct job {
    pthread_t loop;
    bool worked;
    int done;
};

static void work(void *user) {
    struct job *job = user;
    assert_false(pthread_equal(pthread_self(), job->loop));
    assert_true(getpriority(PRIO_PROCESS, 0) >= 10);
    job->worked = true;
}

static void done(void *user) {
    struct job *job = user;
    assert_true(pthread_equal(pthread_self(), job->loop) && job->worked);
    job->done++;
}

static void TestBackgroundRuns(void **state) {
    (void)state;
    uv_loop_t loop;
    struct error error = {0};
    struct job jobs[4];
    int priority = getpriority(PRIO_PROCESS, 0);
    uv_loop_init(&loop);
    for (size_t i = 0; i < ARRAY_COUNT(jobs); i++) {
        jobs[i] = (struct job){.loop = pthread_self()};
        assert_int_equal(background_run(&loop, work, done, &jobs[i], &error), OK);
    }
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);  // it lives until all have ended
    for (size_t i = 0; i < ARRAY_COUNT(jobs); i++) {
        assert_int_equal(jobs[i].done, 1);
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), priority);
    assert_int_equal(uv_loop_close(&loop), 0);
}

// Where the system gives no thread: its stack has no room in the address space.
static void TestBackgroundWithoutAThread(void **state) {
    (void)state;
    uv_loop_t loop;
    struct error error = {0};
    struct job job = {.loop = pthread_self()};
    struct rlimit before;
    uv_loop_init(&loop);
    assert_int_equal(getrlimit(RLIMIT_STACK, &before), 0);
    struct rlimit vast = {.rlim_cur = (rlim_t)1 << 48, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_STACK, &vast), 0);
    assert_int_equal(background_run(&loop, work, done, &job, &error), ERR_NO_MEMORY);
    assert_int_equal(setrlimit(RLIMIT_STACK, &before), 0);
    assert_non_null(strstr(error.message, "no thread: "));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(!job.worked && job.done == 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

// --- images ---

enum { KEYS = 1000, VALUE = 10000 };

static void fill(void) {
    char value[VALUE + 1];
    memset(value, 'v', VALUE);
    value[VALUE] = '\0';
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05d", i);
        apply_to(&m, put_command(key, value));
    }
}

static enum error_code save(struct image_orders *orders, struct disk *disk, struct error *error) {
    struct wal_directory dir;
    assert_int_equal(wal_directory_open(&dir, "data", &disk->io, error), OK);
    struct state_version *version = state_version_new(m.state);
    struct wal_image_header header = {.cluster_id = slice_of_str("demo"),
                                      .generation = 1,
                                      .last = {.index = m.index, .term = 1},
                                      .configuration_index = 1,
                                      .configuration = slice_of_str("members")};
    uint64_t bytes;
    enum error_code code = image_save(&dir, &header, version, &(struct image_room){0}, orders, &bytes, error);
    assert_true(code != OK || bytes > (uint64_t)KEYS * VALUE);
    state_version_release(m.state, version);
    wal_directory_close(&dir);
    return code;
}

static uint64_t read_clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

struct applying {
    struct image_orders orders;
    atomic_bool stop;
};

static void *apply(void *user) {
    struct applying *applying = user;
    while (!atomic_load(&applying->stop)) {
        atomic_fetch_add(&applying->orders.applied, 1);
    }
    return NULL;
}

// It rests five times as long as it works, but not for long at once, which counts on a slow machine.
static void TestImageRestsWhileEntriesAreApplied(void **state) {
    (void)state;
    struct disk disk;
    struct error error = {0};
    struct applying applying = {.stop = false, .orders.hurry_from = UINT64_MAX};
    pthread_t thread;
    fill();
    disk_init(&disk, 1);
    assert_int_equal(pthread_create(&thread, NULL, apply, &applying), 0);
    uint64_t elapsed_us = read_clock_us(CLOCK_MONOTONIC);
    uint64_t worked_us = read_clock_us(CLOCK_THREAD_CPUTIME_ID);
    enum error_code code = save(&applying.orders, &disk, &error);
    elapsed_us = read_clock_us(CLOCK_MONOTONIC) - elapsed_us;
    worked_us = read_clock_us(CLOCK_THREAD_CPUTIME_ID) - worked_us;
    atomic_store(&applying.stop, true);
    pthread_join(thread, NULL);
    print_message("%llu us of %llu\n", (unsigned long long)worked_us, (unsigned long long)elapsed_us);
    assert_int_equal(code, OK);
    assert_true(elapsed_us > worked_us * 5 / 4);
    disk_free(&disk);
}

static void TestImageIsGivenUp(void **state) {
    (void)state;
    struct disk disk;
    struct error error = {0};
    struct image_orders orders = {.cancelled = true};
    fill();
    disk_init(&disk, 1);
    assert_int_equal(save(&orders, &disk, &error), ERR_UNAVAILABLE);
    assert_null(disk_bytes(&disk, "data/snap/0000000000001000-1.snap").data);
    disk_free(&disk);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestBackgroundRuns),
    cmocka_unit_test(TestBackgroundWithoutAThread),
    MACHINE_TEST(TestImageRestsWhileEntriesAreApplied),
    MACHINE_TEST(TestImageIsGivenUp),
};

UNIT_MAIN(tests)
