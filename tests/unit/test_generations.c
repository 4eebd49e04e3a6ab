// Founding a generation, out of the reach of the one before, and putting a log of an old one aside: ended at any call, the
// same command completes it, and nothing is lost.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/aside.h"
#include "cmd/promote.h"
#include "node/found.h"
#include "scratch.h"
#include "unit.h"
#include "wal/directory.h"
#include "wal_disk.h"

// The system's, as long as `left` calls that change something last; then the process is as good as dead.
static long left;

static bool dies(void) {
    if (left > 0) {
        left--;
        return false;
    }
    errno = EIO;
    return true;
}

static int io_make_dir(void *self, int dir, const char *name, mode_t mode) {
    return dies() ? -1 : wal_io_system.make_dir(self, dir, name, mode);
}

static ssize_t io_write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return dies() ? -1 : wal_io_system.write_at(self, fd, parts, count, offset, flags);
}

static int io_sync(void *self, int fd) {
    return dies() ? -1 : wal_io_system.sync(self, fd);
}

static int io_truncate(void *self, int fd, off_t size) {
    return dies() ? -1 : wal_io_system.truncate(self, fd, size);
}

static int io_unlink_at(void *self, int dir, const char *name) {
    return dies() ? -1 : wal_io_system.unlink_at(self, dir, name);
}

static int io_rename_at(void *self, int dir, const char *from, const char *to) {
    return dies() ? -1 : wal_io_system.rename_at(self, dir, from, to);
}

static struct wal_io mortal(void) {
    struct wal_io io = wal_io_system;
    io.make_dir = io_make_dir;
    io.write_at = io_write_at;
    io.sync = io_sync;
    io.truncate = io_truncate;
    io.unlink_at = io_unlink_at;
    io.rename_at = io_rename_at;
    return io;
}

static struct raft_entry_id found_as(struct node_config *config, const struct wal_io *io, uint64_t generation) {
    struct raft_slab *slab = raft_slab_new();
    struct wal_options options = {.dir = config->data_dir,
                                  .cluster_id = raft_id_slice(&config->cluster_id),
                                  .node_id = raft_id_slice(&config->node_id),
                                  .incarnation = slice_of_str("00112233445566778899aabbccddeeff"),
                                  .generation = generation,
                                  .io = io};
    struct wire_configuration configuration = {.generation = generation, .cluster_id = config->cluster_id, .count = 2};
    configuration.members[0] = (struct wire_member){.id = config->node_id, .address = "a:1", .cloud = "gcp", .voter = true};
    configuration.members[1] =
        (struct wire_member){.id = raft_id_of(slice_of_str("n2")), .address = "b:1", .cloud = "aws", .voter = true};
    struct raft_entry_id founded;
    struct error error = {0};
    assert_int_equal(found_generation(&options, slab, &configuration, &founded, &error), OK);
    raft_slab_free(slab);
    return founded;
}

static enum error_code put_aside(const struct node_config *config, const struct wal_io *io, struct error *error) {
    uint64_t old = 0;
    enum error_code code = aside_begun(config->data_dir, io) ? OK : aside_begin(config, io, 2, error);
    if (code == OK) {
        code = aside_complete(config, io, &old, error);
    }
    assert_true(code != OK || old == 1);
    return code;
}

static enum error_code read_log(const char *dir, const struct wal_io *io, struct wal_recovered *recovered) {
    struct raft_slab *slab = raft_slab_new();
    struct error error = {0};
    enum error_code code = wal_check(dir, io, slab, recovered, &error);
    size_t count = recovered->log.count;
    char incarnation[INCARNATION_DIGITS + 1];
    memcpy(incarnation, recovered->incarnation, sizeof incarnation);
    uint64_t generation = recovered->generation;
    wal_recovered_free(recovered);
    recovered->log.count = count;
    recovered->generation = generation;
    memcpy(recovered->incarnation, incarnation, sizeof incarnation);
    raft_slab_free(slab);
    return code;
}

// A node may start only from one of the two logs, whole.
static void check_between(const struct node_config *config, const struct wal_io *io, bool decided) {
    struct wal_directory dir;
    struct wal_recovered recovered;
    struct error error = {0};
    enum error_code code = wal_directory_open(&dir, config->data_dir, io, &error);
    if (decided) {
        assert_int_equal(code, ERR_INVALID);
        assert_non_null(strstr(error.message, "batond --rejoin was interrupted"));
    } else {
        assert_int_equal(code, OK);
        assert_int_equal(read_log(config->data_dir, io, &recovered), OK);
        assert_true((recovered.generation == 1 && recovered.log.count == 1) ||
                    (recovered.generation == 2 && recovered.log.count == 0));
    }
    wal_directory_close(&dir);
}

static bool is_there(const struct wal_io *io, const char *path) {
    int fd = io->open_at(io->self, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    return fd >= 0;
}

static void check_after(const struct node_config *config, const struct wal_io *io) {
    struct wal_recovered recovered;
    char path[256];
    assert_int_equal(read_log(config->data_dir, io, &recovered), OK);
    assert_int_equal(recovered.log.count, 0);
    assert_int_equal(recovered.generation, 2);
    assert_string_not_equal(recovered.incarnation, "00112233445566778899aabbccddeeff");
    snprintf(path, sizeof path, "%s/generation-1", config->data_dir);
    assert_int_equal(read_log(path, io, &recovered), OK);
    assert_int_equal(recovered.log.count, 1);
    assert_int_equal(recovered.generation, 1);
    assert_string_equal(recovered.incarnation, "00112233445566778899aabbccddeeff");
    snprintf(path, sizeof path, "%s/generation-1/snap", config->data_dir);
    assert_true(is_there(io, path));
    snprintf(path, sizeof path, "%s/snap", config->data_dir);
    assert_true(is_there(io, path));
    assert_false(aside_begun(config->data_dir, io));
}

static void remove_all(const char *dir) {
    char command[192];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

// Whoever stays behind may go on with elections, and must never have an entry of a term that the new generation has, too.
static void TestGenerationsTermsAreOutOfReach(void **state) {
    (void)state;
    char dir[128];
    scratch_make(dir, sizeof dir, SCRATCH_MEMORY);
    struct node_config config = {.data_dir = dir};
    config.cluster_id = raft_id_of(slice_of_str("demo"));
    config.node_id = raft_id_of(slice_of_str("n1"));
    raft_term before = 0;
    for (uint64_t generation = 1; generation <= 3; generation++) {
        struct raft_entry_id founded = found_as(&config, NULL, generation);
        assert_int_equal(founded.index, generation);
        assert_int_equal(founded.term, before + (generation == 1 ? 1 : GENERATION_TERMS));
        before = founded.term;
    }
    remove_all(dir);
}

// A node that has rejoined has the new generation's directory, and of its log only a beginning, which is of the one before.
static void TestGenerationsSurvivorHasRejoined(void **state) {
    (void)state;
    char dir[128];
    scratch_make(dir, sizeof dir, SCRATCH_MEMORY);
    struct node_config config = {.data_dir = dir, .advertise = "a:1", .cloud = "gcp"};
    config.cluster_id = raft_id_of(slice_of_str("demo"));
    config.node_id = raft_id_of(slice_of_str("n1"));
    found_as(&config, NULL, 1);
    struct raft_slab *slab = raft_slab_new();
    struct wal *wal;
    struct wal_recovered recovered;
    struct error error = {0};
    struct wal_options options = {.dir = dir,
                                  .cluster_id = slice_of_str("demo"),
                                  .node_id = slice_of_str("n1"),
                                  .incarnation = slice_of_str("00112233445566778899aabbccddeeff"),
                                  .generation = 2};
    assert_int_equal(wal_open(&options, slab, &wal, &recovered, &error), OK);
    wal_recovered_free(&recovered);
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){.index = 2, .term = 1}, 0);
    wal_submit(wal, &(struct raft_persist){.write = 1, .entries = &entry, .count = 1}, 0);
    assert_int_equal(wal_close(wal, false, &error), OK);
    raft_entry_unref(entry);
    raft_slab_free(slab);

    assert_int_equal(promote_survivor(&config, true, &error), OK);
    assert_int_equal(read_log(dir, &wal_io_system, &recovered), OK);
    assert_int_equal(recovered.generation, 3);  // 2 is founded already
    assert_int_equal(recovered.log.count, 3);
    remove_all(dir);
}

static void TestGenerationsAsideEndsAnywhere(void **state) {
    (void)state;
    bool whole = false;
    long calls = 0;
    for (; !whole; calls++) {
        char dir[128];
        scratch_make(dir, sizeof dir, SCRATCH_MEMORY);
        struct node_config config = {.data_dir = dir};
        struct error error = {0};
        struct wal_io io = mortal();
        config.cluster_id = raft_id_of(slice_of_str("demo"));
        config.node_id = raft_id_of(slice_of_str("n1"));
        found_as(&config, NULL, 1);
        left = calls;
        whole = put_aside(&config, &io, &error) == OK;
        check_between(&config, &wal_io_system, aside_begun(dir, &wal_io_system));
        // All but its last sync may be done: the command then finds an empty log of the new generation, and refuses.
        struct wal_recovered recovered;
        bool done = !aside_begun(dir, &wal_io_system) && read_log(dir, &wal_io_system, &recovered) == OK &&
                    recovered.generation == 2;
        if (!done) {
            assert_int_equal(put_aside(&config, &wal_io_system, &error), OK);
        }
        check_after(&config, &wal_io_system);
        remove_all(dir);
    }
    assert_in_range(calls, 15, 200);
}

// True: it was done before the machine lost power, at the call `at`.
static bool lose_power(uint64_t seed, uint64_t at) {
    struct disk disk;
    struct node_config config = {.data_dir = "data"};
    struct wal_recovered recovered;
    struct error error = {0};
    config.cluster_id = raft_id_of(slice_of_str("demo"));
    config.node_id = raft_id_of(slice_of_str("n1"));
    disk_init(&disk, seed);
    found_as(&config, &disk.io, 1);
    disk.crash_at = disk.calls + at;
    bool done = put_aside(&config, &disk.io, &error) == OK;
    disk_crash(&disk);
    bool decided = aside_begun("data", &disk.io);
    check_between(&config, &disk.io, decided);
    assert_false(done && decided);  // else the node would not start
    if (decided || (read_log("data", &disk.io, &recovered) == OK && recovered.generation == 1)) {
        assert_false(done);
        assert_int_equal(put_aside(&config, &disk.io, &error), OK);
    }
    check_after(&config, &disk.io);
    disk_free(&disk);
    return done;
}

// Of what it has renamed and not synced any part may be lost. Then, too, one of the two logs is there, or both are, and the
// same command goes on.
static void TestGenerationsAsideLosesPower(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        uint64_t at = 1;
        while (!lose_power(seed, at)) {
            at++;
        }
        assert_in_range(at, 15, 200);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestGenerationsTermsAreOutOfReach),
    cmocka_unit_test(TestGenerationsSurvivorHasRejoined),
    cmocka_unit_test(TestGenerationsAsideEndsAnywhere),
    cmocka_unit_test(TestGenerationsAsideLosesPower),
};

UNIT_MAIN(tests)
