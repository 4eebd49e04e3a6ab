// Opening, creating and locking the data directory.
#include "wal/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "wal/segment.h"

// Nobody else's: keys and values are in it, and who may write to it may vote twice.
enum { DIR_MODE = 0700, LOCK_MODE = 0600 };

static enum error_code failed(const struct wal_directory *dir, const char *doing, const char *what, struct error *error) {
    int reason = errno;
    enum error_code code = error_of_errno(reason);
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

// Opens a directory in `data`; with `create`, creates it first. *fd stays -1 if it is missing.
static enum error_code open_part(struct wal_directory *dir, int data, const char *name, bool create, int *fd,
                                 struct error *error) {
    const struct wal_io *io = dir->io;
    char path[16];
    snprintf(path, sizeof path, "/%s", name);
    if (create && io->make_dir(io->self, data, name, DIR_MODE) != 0 && errno != EEXIST) {
        return failed(dir, "creating", path, error);
    }
    *fd = open_dir(io, data, name);
    if (*fd < 0 && (create || errno != ENOENT)) {
        return failed(dir, "opening", path, error);
    }
    return OK;
}

static enum error_code open_parts(struct wal_directory *dir, int data, bool create, struct error *error) {
    enum error_code code = open_part(dir, data, "wal", create, &dir->wal, error);
    return code == OK ? open_part(dir, data, "snap", create, &dir->snap, error) : code;
}

// cmd/aside.h: between the two logs there may be none, which a node would take for an empty directory.
static enum error_code check_whole(struct wal_directory *dir, int data, struct error *error) {
    int fd = open_dir(dir->io, data, "rejoin");
    if (fd < 0) {
        return errno == ENOENT ? OK : failed(dir, "opening", "/rejoin", error);
    }
    dir->io->close(dir->io->self, fd);
    return error_set(error, ERR_INVALID, "%s is between two generations: batond --rejoin was interrupted; run it again",
                     dir->path);
}

static enum error_code open_inside(struct wal_directory *dir, int data, struct error *error) {
    const struct wal_io *io = dir->io;
    enum error_code code = take_lock(dir, data, error);
    if (code == OK) {
        code = check_whole(dir, data, error);
    }
    if (code == OK) {
        code = open_parts(dir, data, true, error);
    }
    if (code == OK &&
        (io->sync(io->self, data) != 0 || io->sync(io->self, dir->wal) != 0 || io->sync(io->self, dir->snap) != 0)) {
        code = failed(dir, "syncing", "", error);
    }
    return code;
}

enum error_code wal_directory_open(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error) {
    *dir = (struct wal_directory){.io = io, .path = mem_strdup(path), .wal = -1, .snap = -1, .lock = -1};
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
    *dir = (struct wal_directory){.io = io, .path = mem_strdup(path), .wal = -1, .snap = -1, .lock = -1};
    int data = open_dir(io, AT_FDCWD, path);
    if (data < 0) {
        return failed(dir, "opening", "", error);
    }
    enum error_code code = open_parts(dir, data, false, error);
    io->close(io->self, data);
    return code;
}

enum error_code wal_directory_hold(struct wal_directory *dir, const char *path, const struct wal_io *io,
                                   struct error *error) {
    *dir = (struct wal_directory){.io = io, .path = mem_strdup(path), .wal = -1, .snap = -1, .lock = -1};
    int data = open_dir(io, AT_FDCWD, path);
    if (data < 0) {
        return failed(dir, "opening", "", error);
    }
    enum error_code code = take_lock(dir, data, error);
    if (code == OK) {
        code = open_parts(dir, data, false, error);
    }
    io->close(io->self, data);
    return code;
}

void wal_directory_close(struct wal_directory *dir) {
    const struct wal_io *io = dir->io;
    if (dir->wal >= 0) {
        io->close(io->self, dir->wal);
    }
    if (dir->snap >= 0) {
        io->close(io->self, dir->snap);
    }
    if (dir->lock >= 0) {
        io->close(io->self, dir->lock);
    }
    free(dir->path);
    *dir = (struct wal_directory){.io = io, .wal = -1, .snap = -1, .lock = -1};
}

enum error_code wal_directory_segments(const struct wal_directory *dir, uint64_t **numbers, size_t *count,
                                       struct error *error) {
    *numbers = NULL;
    *count = 0;
    char *names;
    ssize_t listed = dir->io->list(dir->io->self, dir->wal, &names);
    if (listed < 0) {
        return failed(dir, "listing", "/wal", error);
    }
    size_t cap = 0;
    const char *name = names;
    for (ssize_t i = 0; i < listed; i++, name += strlen(name) + 1) {
        uint64_t number;
        if (wal_segment_parse_name(name, &number)) {  // anything else is an editor's backup, say
            array_reserve(*numbers, cap, *count + 1);
            (*numbers)[(*count)++] = number;
        }
    }
    free(names);
    return OK;
}
