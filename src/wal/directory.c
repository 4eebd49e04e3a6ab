// Opening, creating and locking the data directory.
#include "wal/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { DIR_MODE = 0750, LOCK_MODE = 0640 };

static enum error_code failed(const struct wal_directory *dir, const char *doing, const char *what, struct error *error) {
    int reason = errno;
    enum error_code code = reason == ENOSPC || reason == EDQUOT ? ERR_NO_SPACE : ERR_IO;
    return error_set(error, code, "%s %s%s: %s; the data directory must be a writable directory of this user", doing,
                     dir->path, what, strerror(reason));
}

static int open_dir(const struct wal_io *io, int at, const char *name) {
    return io->open_at(io->self, at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static int sync_parent(const struct wal_directory *dir) {
    const struct wal_io *io = dir->io;
    char *parent = mem_strdup(dir->path);
    size_t len = strlen(parent);
    while (len > 1 && parent[len - 1] == '/') {
        parent[--len] = '\0';
    }
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    int fd = open_dir(io, AT_FDCWD, slash != NULL ? parent : ".");
    int result = fd < 0 ? -1 : io->sync(io->self, fd);
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    free(parent);
    return result;
}

static enum error_code take_lock(struct wal_directory *dir, int data, struct error *error) {
    const struct wal_io *io = dir->io;
    dir->lock = io->open_at(io->self, data, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, LOCK_MODE);
    if (dir->lock < 0) {
        return failed(dir, "opening", "/LOCK", error);
    }
    if (io->lock(io->self, dir->lock) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        return error_set(error, ERR_BUSY, "%s is in use by another process: stop that one first, or give another directory",
                         dir->path);
    }
    return failed(dir, "locking", "/LOCK", error);
}

// Opens wal/ in `data`; with `create`, creates it first. dir->wal stays -1 if it is missing: the log is empty.
static enum error_code open_wal(struct wal_directory *dir, int data, bool create, struct error *error) {
    const struct wal_io *io = dir->io;
    if (create && io->make_dir(io->self, data, "wal", DIR_MODE) != 0 && errno != EEXIST) {
        return failed(dir, "creating", "/wal", error);
    }
    dir->wal = open_dir(io, data, "wal");
    if (dir->wal < 0 && (create || errno != ENOENT)) {
        return failed(dir, "opening", "/wal", error);
    }
    return OK;
}

static enum error_code open_inside(struct wal_directory *dir, int data, struct error *error) {
    const struct wal_io *io = dir->io;
    enum error_code code = take_lock(dir, data, error);
    if (code == OK) {
        code = open_wal(dir, data, true, error);
    }
    if (code == OK && (io->sync(io->self, data) != 0 || io->sync(io->self, dir->wal) != 0)) {
        code = failed(dir, "syncing", "", error);
    }
    return code;
}

enum error_code wal_directory_open(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error) {
    *dir = (struct wal_directory){.io = io, .path = mem_strdup(path), .wal = -1, .lock = -1};
    int data = open_dir(io, AT_FDCWD, path);
    if (data < 0 && errno == ENOENT) {
        if (io->make_dir(io->self, AT_FDCWD, path, DIR_MODE) != 0) {
            return failed(dir, "creating", "", error);
        }
        data = open_dir(io, AT_FDCWD, path);
    }
    if (data < 0) {
        return failed(dir, "opening", "", error);
    }
    enum error_code code = sync_parent(dir) == 0 ? OK : failed(dir, "syncing the parent of", "", error);
    if (code == OK) {
        code = open_inside(dir, data, error);
    }
    io->close(io->self, data);
    return code;
}

enum error_code wal_directory_look(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error) {
    *dir = (struct wal_directory){.io = io, .path = mem_strdup(path), .wal = -1, .lock = -1};
    int data = open_dir(io, AT_FDCWD, path);
    if (data < 0) {
        return failed(dir, "opening", "", error);
    }
    enum error_code code = open_wal(dir, data, false, error);
    io->close(io->self, data);
    return code;
}

void wal_directory_close(struct wal_directory *dir) {
    const struct wal_io *io = dir->io;
    if (dir->wal >= 0) {
        io->close(io->self, dir->wal);
    }
    if (dir->lock >= 0) {
        io->close(io->self, dir->lock);
    }
    free(dir->path);
    *dir = (struct wal_directory){.io = io, .wal = -1, .lock = -1};
}
