// The operating system's struct wal_io.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "wal/io.h"

static int system_open_at(void *self, int dir, const char *name, int flags, mode_t mode) {
    (void)self;
    return openat(dir, name, flags, mode);
}

static int system_close(void *self, int fd) {
    (void)self;
    return close(fd);
}

static int system_make_dir(void *self, int dir, const char *name, mode_t mode) {
    (void)self;
    return mkdirat(dir, name, mode);
}

static ssize_t system_read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    (void)self;
    return pread(fd, out, len, offset);
}

// By itself the system reads 128 KiB ahead, and a start that finds its log outside the page cache waits for each.
static void system_read_ahead(void *self, int fd) {
    (void)self;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
}

static ssize_t system_write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    (void)self;
    return pwritev2(fd, parts, count, offset, flags);
}

// fdatasync would suffice for a directory too; fsync states the intent.
static int system_sync(void *self, int fd) {
    (void)self;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        return fsync(fd);
    }
    return fdatasync(fd);
}

static int system_truncate(void *self, int fd, off_t size) {
    (void)self;
    return ftruncate(fd, size);
}

static int system_unlink_at(void *self, int dir, const char *name) {
    (void)self;
    return unlinkat(dir, name, 0);
}

static int system_rename_at(void *self, int dir, const char *from, const char *to) {
    (void)self;
    return renameat(dir, from, dir, to);
}

static uint64_t system_free_bytes(void *self, int fd) {
    (void)self;
    struct statvfs st;
    return fstatvfs(fd, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

static int system_stat(void *self, int fd, struct stat *out) {
    (void)self;
    return fstat(fd, out);
}

static int system_lock(void *self, int fd) {
    (void)self;
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int skip_dots(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static ssize_t system_list(void *self, int dir, char **names) {
    (void)self;
    struct dirent **entries;
    int count = scandirat(dir, ".", &entries, skip_dots, by_bytes);
    if (count < 0) {
        return -1;
    }
    struct buf all = {0};
    buf_reserve(&all, 1);
    for (int i = 0; i < count; i++) {
        buf_append(&all, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        free(entries[i]);
    }
    free(entries);
    *names = (char *)all.data;
    return count;
}

static uint64_t system_now_us(void *self) {
    (void)self;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

const struct wal_io wal_io_system = {
    .open_at = system_open_at,
    .close = system_close,
    .make_dir = system_make_dir,
    .read_at = system_read_at,
    .read_ahead = system_read_ahead,
    .write_at = system_write_at,
    .sync = system_sync,
    .truncate = system_truncate,
    .unlink_at = system_unlink_at,
    .rename_at = system_rename_at,
    .free_bytes = system_free_bytes,
    .stat = system_stat,
    .lock = system_lock,
    .list = system_list,
    .now_us = system_now_us,
};
