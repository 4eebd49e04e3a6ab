// Every system call of the log goes through here, so that tests and a simulator can fail, tear, reorder and delay them.
#ifndef BATON_WAL_IO_H
#define BATON_WAL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

// Each is the system call of its name: the same arguments after `self`, the same results, errno on failure.
struct wal_io {
    void *self;
    int (*open_at)(void *self, int dir, const char *name, int flags, mode_t mode);
    int (*close)(void *self, int fd);
    int (*make_dir)(void *self, int dir, const char *name, mode_t mode);
    ssize_t (*read_at)(void *self, int fd, void *out, size_t len, off_t offset);
    void (*read_ahead)(void *self, int fd);  // a hint that all of the file will be read soon: posix_fadvise
    ssize_t (*write_at)(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags);  // pwritev2
    int (*sync)(void *self, int fd);  // fdatasync of a file, fsync of a directory
    int (*truncate)(void *self, int fd, off_t size);
    int (*unlink_at)(void *self, int dir, const char *name);
    int (*rename_at)(void *self, int dir, const char *from, const char *to);  // within a directory
    int (*stat)(void *self, int fd, struct stat *out);
    int (*lock)(void *self, int fd);  // flock exclusive, non-blocking
    // The names in the directory except "." and "..", sorted, each NUL-terminated, concatenated; the caller frees *names.
    // Returns their number, or -1.
    ssize_t (*list)(void *self, int dir, char **names);
    // Bytes that this process could still write on the file system of the open file; UINT64_MAX if that is unknown.
    uint64_t (*free_bytes)(void *self, int fd);
    uint64_t (*now_us)(void *self);  // monotonic, to time syncs
};

extern const struct wal_io wal_io_system;

#endif
