// Putting a log aside: aside.h.
#include "cmd/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/found.h"
#include "wal/recovery.h"

enum { DIR_MODE = 0700, PATH_SIZE = 4096 };

#define BEING_MADE "rejoin.tmp"
#define DECIDED    "rejoin"

static enum error_code failed(const char *doing, const char *dir, const char *name, struct error *error) {
    enum error_code code = error_of_errno(errno);
    return error_set(error, code, "%s %s/%s: %s; nothing is lost, and the same command goes on", doing, dir, name,
                     strerror(errno));
}

static int open_dir(const struct wal_io *io, int at, const char *name) {
    return io->open_at(io->self, at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static bool has(const struct wal_io *io, int data, const char *name) {
    int fd = open_dir(io, data, name);
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    return fd >= 0;
}

static enum error_code sync_dir(const struct wal_io *io, const char *dir, int data, const char *name, struct error *error) {
    int fd = open_dir(io, data, name);
    enum error_code code = fd < 0 || io->sync(io->self, fd) != 0 ? failed("syncing", dir, name, error) : OK;
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    return code;
}

bool aside_begun(const char *dir, const struct wal_io *io) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/" DECIDED, dir);
    return has(io, AT_FDCWD, path);
}

// --- the new log ---

static enum error_code make_log(const struct node_config *config, const struct wal_io *io, uint64_t generation,
                                struct error *error) {
    char path[PATH_SIZE];
    char incarnation[INCARNATION_DIGITS + 1];
    struct wal *wal;
    struct wal_recovered recovered;
    snprintf(path, sizeof path, "%s/" BEING_MADE "/new", config->data_dir);
    draw_incarnation(incarnation);
    struct wal_options options = {
        .dir = path,
        .cluster_id = raft_id_slice(&config->cluster_id),
        .node_id = raft_id_slice(&config->node_id),
        .incarnation = slice_of_str(incarnation),
        .generation = generation,
        .io = io,
    };
    struct raft_slab *slab = raft_slab_new();
    enum error_code code = wal_open(&options, slab, &wal, &recovered, error);
    if (code == OK) {
        struct error closing = {0};
        code = recovered.empty ? wal_begin(wal, error) : OK;  // an earlier attempt may have begun it
        wal_recovered_free(&recovered);
        if (wal_close(wal, code != OK, &closing) != OK && code == OK) {
            code = error_set(error, closing.code, "%s", closing.message);
        }
    }
    raft_slab_free(slab);
    return code;
}

enum error_code aside_begin(const struct node_config *config, const struct wal_io *io, uint64_t generation,
                            struct error *error) {
    const char *dir = config->data_dir;
    int data = open_dir(io, AT_FDCWD, dir);
    if (data < 0) {
        return failed("opening", dir, "", error);
    }
    enum error_code code = OK;
    if (io->make_dir(io->self, data, BEING_MADE, DIR_MODE) != 0 && errno != EEXIST) {
        code = failed("making", dir, BEING_MADE, error);
    }
    if (code == OK) {
        code = make_log(config, io, generation, error);
    }
    if (code == OK) {
        code = sync_dir(io, dir, data, BEING_MADE, error);
    }
    if (code == OK && io->rename_at(io->self, data, BEING_MADE, DECIDED) != 0) {
        code = failed("renaming", dir, BEING_MADE, error);
    }
    if (code == OK) {
        code = sync_dir(io, dir, data, ".", error);
    }
    io->close(io->self, data);
    return code;
}

// --- changing places ---

// Moves the old part out of the way, and then the new one to its place.
static enum error_code exchange(const struct wal_io *io, const char *dir, int data, const char *part, struct error *error) {
    char old[32];
    char new[32];
    snprintf(old, sizeof old, DECIDED "/%s", part);
    snprintf(new, sizeof new, DECIDED "/new/%s", part);
    if (!has(io, data, new)) {
        return OK;  // it is there already
    }
    if (io->rename_at(io->self, data, part, old) != 0 && errno != ENOENT) {
        return failed("putting aside", dir, part, error);
    }
    enum error_code code = sync_dir(io, dir, data, DECIDED, error);
    if (code == OK) {
        code = sync_dir(io, dir, data, ".", error);
    }
    if (code == OK && io->rename_at(io->self, data, new, part) != 0) {
        code = failed("moving", dir, new, error);
    }
    if (code == OK) {
        code = sync_dir(io, dir, data, DECIDED "/new", error);
    }
    return code == OK ? sync_dir(io, dir, data, ".", error) : code;
}

static enum error_code read_generation(const struct wal_io *io, const char *dir, uint64_t *generation, struct error *error) {
    char path[PATH_SIZE];
    struct wal_directory aside;
    struct wal_log_end end = {.generation = 0};
    struct wal_recovered recovered = {.empty = true};
    struct raft_slab *slab = raft_slab_new();
    snprintf(path, sizeof path, "%s/" DECIDED, dir);
    enum error_code code = wal_directory_look(&aside, path, io, error);
    if (code == OK) {
        code = wal_collect(&aside, NULL, 0, slab, &recovered, &end, error);
    }
    *generation = recovered.generation;
    wal_recovered_free(&recovered);
    wal_directory_close(&aside);
    raft_slab_free(slab);
    return code;
}

enum error_code aside_complete(const struct node_config *config, const struct wal_io *io, uint64_t *old,
                               struct error *error) {
    const char *dir = config->data_dir;
    char name[48];
    int data = open_dir(io, AT_FDCWD, dir);
    if (data < 0) {
        return failed("opening", dir, "", error);
    }
    enum error_code code = exchange(io, dir, data, "wal", error);
    if (code == OK) {
        code = exchange(io, dir, data, "snap", error);
    }
    if (code == OK) {
        code = read_generation(io, dir, old, error);
    }
    snprintf(name, sizeof name, "generation-%" PRIu64, *old);
    if (code == OK && io->rename_at(io->self, data, DECIDED, name) != 0) {
        code = failed("renaming to generation-N", dir, DECIDED, error);
    }
    if (code == OK) {
        code = sync_dir(io, dir, data, ".", error);
    }
    io->close(io->self, data);
    return code;
}
