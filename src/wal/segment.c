// Segment files: names, filling, writing.
#include "wal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "wal/torn.h"

enum {
    BLANK_BLOCK = 64 * KIB,
    BLANK_PARTS = 16,  // blocks in one system call
    FILE_MODE = 0600,
};

static _Alignas(WAL_BLOCK) const uint8_t blank[BLANK_BLOCK] = {[0 ... BLANK_BLOCK - 1] = '\n'};

void wal_segment_name(char name[WAL_SEGMENT_NAME_SIZE], uint64_t number) {
    snprintf(name, WAL_SEGMENT_NAME_SIZE, "%0*" PRIu64 ".jsonl", WAL_SEGMENT_DIGITS, number);
}

bool wal_segment_parse_name(const char *name, uint64_t *number) {
    if (strlen(name) != WAL_SEGMENT_NAME_SIZE - 1 || strcmp(name + WAL_SEGMENT_DIGITS, ".jsonl") != 0) {
        return false;
    }
    *number = 0;
    for (int i = 0; i < WAL_SEGMENT_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(name[i] - '0');
    }
    return true;
}

enum error_code wal_segment_failed(const char *doing, uint64_t number, struct error *error) {
    int failed = errno;
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, number);
    if (error_of_errno(failed) == ERR_NO_SPACE) {
        return error_set(
            error, ERR_NO_SPACE,
            "%s wal/%s: %s; free some space, the log then continues by itself, or when a node that has ended is "
            "started again",
            doing, name, strerror(failed));
    }
    return error_set(error, ERR_IO, "%s wal/%s: %s; check the disk and start again, nothing unsynced was acknowledged",
                     doing, name, strerror(failed));
}

static int open_direct(const struct wal_io *io, int dir, const char *name) {
    return io->open_at(io->self, dir, name, O_RDWR | O_DIRECT | O_CLOEXEC | O_NOFOLLOW, 0);
}

enum error_code wal_segment_open(const struct wal_io *io, int dir, struct wal_segment *segment, struct error *error) {
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, segment->number);
    segment->fd = io->open_at(io->self, dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    segment->direct = segment->fd >= 0 ? open_direct(io, dir, name) : -1;
    return segment->fd >= 0 ? OK : wal_segment_failed("opening for writing", segment->number, error);
}

enum error_code wal_segment_create(const struct wal_io *io, int dir, uint64_t number, struct wal_segment *segment,
                                   struct error *error) {
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, number);
    int fd = io->open_at(io->self, dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return wal_segment_failed("creating", number, error);
    }
    *segment = (struct wal_segment){.fd = fd, .direct = open_direct(io, dir, name), .number = number};
    if (io->sync(io->self, dir) != 0) {
        enum error_code code = wal_segment_failed("syncing the directory of", number, error);
        wal_segment_close(io, segment);
        return code;
    }
    return OK;
}

// One system call, which may write less than asked. A regular file never returns 0, so that counts as a failure.
static ssize_t write_some(const struct wal_io *io, int fd, const struct iovec *parts, int count, uint64_t offset,
                          int flags) {
    ssize_t n;
    do {
        n = io->write_at(io->self, fd, parts, count, (off_t)offset, flags);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        errno = EIO;
    }
    return n > 0 ? n : -1;
}

static bool write_blank(const struct wal_io *io, int fd, uint64_t from, uint64_t to, int flags) {
    while (from < to) {
        struct iovec parts[BLANK_PARTS];
        int count = 0;
        for (uint64_t at = from; at < to && count < BLANK_PARTS; at += parts[count++].iov_len) {
            uint64_t len = to - at < BLANK_BLOCK ? to - at : BLANK_BLOCK;
            parts[count] = (struct iovec){.iov_base = (void *)(uintptr_t)blank, .iov_len = len};
        }
        ssize_t n = write_some(io, fd, parts, count, from, flags);
        if (n < 0) {
            return false;
        }
        from += (uint64_t)n;
    }
    return true;
}

// After a failed O_DIRECT write: true if only O_DIRECT itself was refused and nothing was written; it is not used again
// then.
static bool takes_refusal(const struct wal_io *io, struct wal_segment *segment) {
    if (errno != EINVAL) {
        return false;
    }
    io->close(io->self, segment->direct);
    segment->direct = -1;
    return true;
}

// The first newline after the last mark is written and synced alone. A file that grows by several sectors may have zeros in
// some of them after a crash, and recovery must tell these from a batch that was zeroed: a newline always follows a mark,
// and zeros may only follow that newline.
static bool write_filling(const struct wal_io *io, struct wal_segment *segment, uint64_t to) {
    if (segment->filled == segment->end) {
        if (!write_blank(io, segment->fd, segment->filled, segment->filled + 1, RWF_DSYNC)) {
            return false;
        }
        segment->filled++;
    }
    uint64_t from = segment->filled;
    uint64_t first = wal_block_up(from);
    uint64_t last = wal_block_down(to);
    if (segment->direct >= 0 && first < last) {
        if (!write_blank(io, segment->fd, from, first, 0)) {
            return false;
        }
        // If O_DIRECT is refused, the page cache is used below.
        from = write_blank(io, segment->direct, first, last, 0) ? last : first;
        if (from == first && !takes_refusal(io, segment)) {
            return false;
        }
    }
    return write_blank(io, segment->fd, from, to, 0) && io->sync(io->self, segment->fd) == 0;
}

enum error_code wal_segment_fill(const struct wal_io *io, struct wal_segment *segment, uint64_t to, struct error *error) {
    if (to <= segment->filled) {
        return OK;
    }
    if (write_filling(io, segment, to)) {
        segment->filled = to;
        return OK;
    }
    enum error_code code = wal_segment_failed("filling", segment->number, error);
    if (code == ERR_NO_SPACE && io->truncate(io->self, segment->fd, (off_t)segment->filled) != 0) {
        return wal_segment_failed("cutting back", segment->number, error);
    }
    return code;
}

// What the next write may take. After one that was short, a sector may have its beginning durable and nothing of its rest:
// it is completed alone, so that a crash leaves no later sector behind such a one, which wal_is_torn_batch would not know.
static size_t next_len(uint64_t offset, size_t done, size_t len) {
    size_t left = len - done;
    size_t in_sector = (size_t)((offset + done) % WAL_SECTOR);
    size_t sector_left = WAL_SECTOR - in_sector;
    return done > 0 && in_sector > 0 && left > sector_left ? sector_left : left;
}

// A short write is continued from a multiple of `unit`.
static bool write_all(const struct wal_io *io, int fd, uint64_t offset, struct slice bytes, size_t unit) {
    for (size_t done = 0; done < bytes.len;) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)(bytes.data + done),
                             .iov_len = next_len(offset, done, bytes.len)};
        ssize_t n = write_some(io, fd, &part, 1, offset + done, RWF_DSYNC);
        if (n < 0) {
            return false;
        }
        size_t whole = (size_t)n / unit * unit;
        if (whole == 0) {
            errno = EIO;
            return false;
        }
        done += whole;
    }
    return true;
}

enum error_code wal_segment_write(const struct wal_io *io, const struct wal_segment *segment, uint64_t offset,
                                  struct slice bytes, uint64_t *took_us, struct error *error) {
    uint64_t started = io->now_us(io->self);
    if (!write_all(io, segment->fd, offset, bytes, 1)) {
        return wal_segment_failed("writing", segment->number, error);
    }
    *took_us = io->now_us(io->self) - started;
    return OK;
}

enum error_code wal_segment_append(const struct wal_io *io, struct wal_segment *segment, struct wal_blocks *blocks,
                                   struct slice bytes, uint64_t *took_us, struct error *error) {
    uint64_t end = segment->end;
    assert(segment->fd >= 0 && end + bytes.len < segment->filled);
    if (segment->direct < 0 || wal_block_up(end + bytes.len) > segment->filled) {
        return wal_segment_write(io, segment, end, bytes, took_us, error);
    }
    struct slice whole = wal_blocks_around(blocks, io, segment->fd, segment->number, end, bytes);
    if (whole.data == NULL) {
        return wal_segment_failed("reading the end of", segment->number, error);
    }
    uint64_t started = io->now_us(io->self);
    if (!write_all(io, segment->direct, wal_block_down(end), whole, WAL_BLOCK)) {
        return takes_refusal(io, segment) ? wal_segment_write(io, segment, end, bytes, took_us, error)
                                          : wal_segment_failed("writing", segment->number, error);
    }
    *took_us = io->now_us(io->self) - started;
    wal_blocks_written(blocks, bytes.len);
    return OK;
}

enum error_code wal_segment_blank(const struct wal_io *io, const struct wal_segment *segment, uint64_t from, uint64_t to,
                                  struct error *error) {
    return write_blank(io, segment->fd, from, to, RWF_DSYNC) ? OK : wal_segment_failed("blanking", segment->number, error);
}

enum error_code wal_segment_trim(const struct wal_io *io, struct wal_segment *segment, uint64_t kept, struct error *error) {
    uint64_t to = segment->end + 1 + kept;
    if (segment->filled <= to) {
        return OK;
    }
    if (io->truncate(io->self, segment->fd, (off_t)to) != 0 || io->sync(io->self, segment->fd) != 0) {
        return wal_segment_failed("trimming", segment->number, error);
    }
    segment->filled = to;
    return OK;
}

void wal_segment_close(const struct wal_io *io, struct wal_segment *segment) {
    if (segment->fd >= 0) {
        io->close(io->self, segment->fd);
        if (segment->direct >= 0) {
            io->close(io->self, segment->direct);
        }
    }
    segment->fd = segment->direct = -1;
}
