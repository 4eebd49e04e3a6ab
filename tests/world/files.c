// What nodes ask of the system besides time and threads: the disk in memory of their host, clocks, random numbers, marks.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>

#include "host.h"
#include "node/marks.h"
#include "wal/wal.h"
#include "world.h"

enum { SEGMENT_BYTES = 32 * KIB };

static const struct wal_io *io(void) {
    return &host_of(current_host())->disk.io;
}

// What is synced takes time, and another thread of the node runs meanwhile; libuv's own threads take theirs elsewhere.
static void wait_for_disk(void) {
    if (!host_of(current_host())->no_wait) {
        fiber_sleep(host_sync_us(current_host()));
    }
}

static int open_at(void *self, int dir, const char *name, int flags, mode_t mode) {
    (void)self;
    return io()->open_at(io()->self, dir, name, flags, mode);
}

static int close_fd(void *self, int fd) {
    (void)self;
    return io()->close(io()->self, fd);
}

static int make_dir(void *self, int dir, const char *name, mode_t mode) {
    (void)self;
    return io()->make_dir(io()->self, dir, name, mode);
}

static ssize_t read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    (void)self;
    return io()->read_at(io()->self, fd, out, len, offset);
}

static ssize_t write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    (void)self;
    if ((flags & RWF_DSYNC) != 0) {
        wait_for_disk();
    }
    return io()->write_at(io()->self, fd, parts, count, offset, flags);
}

static int sync_fd(void *self, int fd) {
    (void)self;
    wait_for_disk();
    return io()->sync(io()->self, fd);
}

static int truncate_fd(void *self, int fd, off_t size) {
    (void)self;
    return io()->truncate(io()->self, fd, size);
}

static int unlink_at(void *self, int dir, const char *name) {
    (void)self;
    return io()->unlink_at(io()->self, dir, name);
}

static int rename_at(void *self, int dir, const char *from, const char *to) {
    (void)self;
    return io()->rename_at(io()->self, dir, from, to);
}

static int stat_fd(void *self, int fd, struct stat *out) {
    (void)self;
    return io()->stat(io()->self, fd, out);
}

static int lock_fd(void *self, int fd) {
    (void)self;
    return io()->lock(io()->self, fd);
}

static ssize_t list(void *self, int dir, char **names) {
    (void)self;
    return io()->list(io()->self, dir, names);
}

static uint64_t free_bytes(void *self, int fd) {
    (void)self;
    return io()->free_bytes(io()->self, fd);
}

static uint64_t now_us(void *self) {
    (void)self;
    return host_clock(current_host());
}

static void read_ahead(void *self, int fd) {
    (void)self;
    io()->read_ahead(io()->self, fd);
}

const struct wal_io wal_io_system = {
    .open_at = open_at,
    .close = close_fd,
    .make_dir = make_dir,
    .read_at = read_at,
    .read_ahead = read_ahead,
    .write_at = write_at,
    .sync = sync_fd,
    .truncate = truncate_fd,
    .unlink_at = unlink_at,
    .rename_at = rename_at,
    .stat = stat_fd,
    .lock = lock_fd,
    .list = list,
    .free_bytes = free_bytes,
    .now_us = now_us,
};

// Small segments, so that a short run has many.
enum error_code __real_wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                                struct wal_recovered *recovered, struct error *error);
enum error_code __wrap_wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                                struct wal_recovered *recovered, struct error *error);
enum error_code __wrap_wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                                struct wal_recovered *recovered, struct error *error) {
    struct wal_options small = *options;
    small.segment_bytes = SEGMENT_BYTES;
    return __real_wal_open(&small, slab, wal, recovered, error);
}

// --- marks ---

enum error_code __wrap_mark_find(const char *data_dir, const char *mark, bool *found, struct error *error);
enum error_code __wrap_mark_find(const char *data_dir, const char *mark, bool *found, struct error *error) {
    char path[128];
    (void)error;
    snprintf(path, sizeof path, "%s/%s", data_dir, mark);
    *found = disk_bytes(&host_of(current_host())->disk, path).data != NULL;
    return OK;
}

enum error_code __wrap_mark_leave(const char *data_dir, const char *mark, const char *text, struct error *error);
enum error_code __wrap_mark_leave(const char *data_dir, const char *mark, const char *text, struct error *error) {
    char path[128];
    (void)error;
    snprintf(path, sizeof path, "%s/%s", data_dir, mark);
    if (!host_of(current_host())->disk.dead) {
        disk_put(&host_of(current_host())->disk, path, slice_of_str(text));
    }
    return OK;
}

// --- the rest ---

int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode) {
    (void)mode;
    return io()->open_at(io()->self, AT_FDCWD, path, O_RDONLY, 0) >= 0 ? 0 : -1;
}

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    (void)flags;
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)world_between(0, 255);
    }
    return (ssize_t)len;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
    uint64_t us = current_host() == NO_HOST ? world_now()
                  : clock == CLOCK_REALTIME ? (uint64_t)host_wall_us(current_host())
                                            : host_clock(current_host());
    out->tv_sec = (time_t)(us / US_PER_S);
    out->tv_nsec = (long)(us % US_PER_S * 1000);
    return 0;
}
