// Putting a log of an old generation aside: ended at any call, the same command completes it, and nothing is lost.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/aside.h"
#include "node/found.h"
#include "scratch.h"
#include "unit.h"
#include "wal/directory.h"

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

static void found_old(struct node_config *config) {
    struct raft_slab *slab = raft_slab_new();
    struct wal_options options = {.dir = config->data_dir,
                                  .cluster_id = raft_id_slice(&config->cluster_id),
                                  .node_id = raft_id_slice(&config->node_id),
                                  .incarnation = slice_of_str("00112233445566778899aabbccddeeff"),
                                  .generation = 1};
    struct wire_configuration configuration = {.generation = 1, .cluster_id = config->cluster_id, .count = 1};
    configuration.members[0] = (struct wire_member){.id = config->node_id, .address = "a:1", .cloud = "gcp", .voter = true};
    struct raft_entry_id founded;
    struct error error = {0};
    assert_int_equal(found_generation(&options, slab, &configuration, &founded, &error), OK);
    raft_slab_free(slab);
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

static enum error_code read_log(const char *dir, struct wal_recovered *recovered) {
    struct raft_slab *slab = raft_slab_new();
    struct error error = {0};
    enum error_code code = wal_check(dir, NULL, slab, recovered, &error);
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
static void check_between(const struct node_config *config, bool decided) {
    struct wal_directory dir;
    struct wal_recovered recovered;
    struct error error = {0};
    enum error_code code = wal_directory_open(&dir, config->data_dir, &wal_io_system, &error);
    if (decided) {
        assert_int_equal(code, ERR_INVALID);
        assert_non_null(strstr(error.message, "batond --rejoin was interrupted"));
    } else {
        assert_int_equal(code, OK);
        assert_int_equal(read_log(config->data_dir, &recovered), OK);
        assert_true((recovered.generation == 1 && recovered.log.count == 1) ||
                    (recovered.generation == 2 && recovered.log.count == 0));
    }
    wal_directory_close(&dir);
}

static void check_after(const struct node_config *config) {
    struct wal_recovered recovered;
    char path[256];
    assert_int_equal(read_log(config->data_dir, &recovered), OK);
    assert_int_equal(recovered.log.count, 0);
    assert_int_equal(recovered.generation, 2);
    assert_string_not_equal(recovered.incarnation, "00112233445566778899aabbccddeeff");
    snprintf(path, sizeof path, "%s/generation-1", config->data_dir);
    assert_int_equal(read_log(path, &recovered), OK);
    assert_int_equal(recovered.log.count, 1);
    assert_int_equal(recovered.generation, 1);
    assert_string_equal(recovered.incarnation, "00112233445566778899aabbccddeeff");
    snprintf(path, sizeof path, "%s/generation-1/snap", config->data_dir);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/snap", config->data_dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_false(aside_begun(config->data_dir, &wal_io_system));
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
        found_old(&config);
        left = calls;
        whole = put_aside(&config, &io, &error) == OK;
        check_between(&config, aside_begun(dir, &wal_io_system));
        // All but its last sync may be done: the command then finds an empty log of the new generation, and refuses.
        struct wal_recovered recovered;
        bool done = !aside_begun(dir, &wal_io_system) && read_log(dir, &recovered) == OK && recovered.generation == 2;
        if (!done) {
            assert_int_equal(put_aside(&config, &wal_io_system, &error), OK);
        }
        check_after(&config);
        char command[192];
        snprintf(command, sizeof command, "rm -r %s", dir);
        assert_int_equal(system(command), 0);
    }
    assert_in_range(calls, 15, 200);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestGenerationsAsideEndsAnywhere),
};

UNIT_MAIN(tests)
