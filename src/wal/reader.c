// Reading segments through a bounded window.
#include "wal/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wal/segment.h"

enum {
    READ_CHUNK = 64 * KIB,  // more only makes the window larger
    SURVEY_BLOCK = 512,     // looked at byte by byte unless it is filling
};

// Reads `len` bytes, fewer if the file ends. -1 on failure.
static ssize_t read_full(const struct wal_io *io, int fd, uint8_t *out, size_t len, uint64_t offset) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = io->read_at(io->self, fd, out + done, len - done, (off_t)(offset + done));
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)done;
}

static enum error_code read_failed(struct error *error) {
    return error_set(error, ERR_IO, "reading failed: %s", strerror(errno));
}

enum error_code wal_reader_open_file(struct wal_reader *reader, const struct wal_io *io, int dir, const char *name,
                                     const char **odd, struct error *error) {
    // Non-blocking: opening a FIFO would block until its other end is opened.
    int fd = io->open_at(io->self, dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0) {
        *odd = errno == ELOOP ? "a symbolic link" : errno == ENXIO ? "a socket" : NULL;
        return *odd != NULL ? ERR_WAL_CORRUPT
                            : error_set(error, ERR_IO, "opening %s: %s; check the disk and the file's permissions", name,
                                        strerror(errno));
    }
    reader->io = io;
    reader->fd = fd;
    reader->at = 0;
    reader->base = 0;
    buf_clear(&reader->window);
    struct stat st;
    enum error_code code = OK;
    if (io->stat(io->self, fd, &st) != 0) {
        code = error_set(error, ERR_IO, "looking at %s: %s", name, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        *odd = S_ISDIR(st.st_mode) ? "a directory" : S_ISFIFO(st.st_mode) ? "a FIFO" : "a device";
        code = ERR_WAL_CORRUPT;
    } else {
        reader->size = (uint64_t)st.st_size;
        reader->written_unix_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    }
    if (code != OK) {
        wal_reader_close(reader);
    }
    return code;
}

enum error_code wal_reader_open(struct wal_reader *reader, const struct wal_io *io, int dir, uint64_t segment,
                                const char **odd, struct error *error) {
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, segment);
    enum error_code code = wal_reader_open_file(reader, io, dir, name, odd, error);
    return code == ERR_IO ? error_wrap(error, "wal") : code;
}

void wal_reader_ahead(const struct wal_reader *reader) {
    reader->io->read_ahead(reader->io->self, reader->fd);
}

void wal_reader_close(struct wal_reader *reader) {
    if (reader->fd >= 0) {
        reader->io->close(reader->io->self, reader->fd);
    }
    reader->fd = -1;
}

void wal_reader_advance(struct wal_reader *reader, uint64_t at) {
    assert(at >= reader->at);
    reader->at = at;
}

// Drops the bytes before `at` and reads the next chunk, at most to the file's end.
static enum error_code extend(struct wal_reader *reader, struct error *error) {
    struct buf *window = &reader->window;
    uint64_t from = reader->base + window->len;
    size_t past = reader->at < from ? (size_t)(reader->at - reader->base) : window->len;
    if (past > 0) {
        memmove(window->data, window->data + past, window->len - past);
        window->len -= past;
        reader->base = reader->at;
        from = reader->base + window->len;
    }
    size_t len = from >= reader->size ? 0 : reader->size - from < READ_CHUNK ? (size_t)(reader->size - from) : READ_CHUNK;
    ssize_t n = read_full(reader->io, reader->fd, buf_reserve(window, len), len, from);
    if (n < 0) {
        return read_failed(error);
    }
    window->len += (size_t)n;
    if ((size_t)n < len) {
        reader->size = from + (size_t)n;  // it was trimmed meanwhile
    }
    return OK;
}

// The window's bytes from `offset` on.
static struct slice window_from(const struct wal_reader *reader, uint64_t offset) {
    assert(offset >= reader->base);
    uint64_t end = reader->base + reader->window.len;
    return offset < end ? slice_of(reader->window.data + (offset - reader->base), (size_t)(end - offset))
                        : slice_of(NULL, 0);
}

static bool at_end(const struct wal_reader *reader) {
    return reader->base + reader->window.len >= reader->size;
}

enum error_code wal_reader_line(struct wal_reader *reader, uint64_t offset, struct slice *line, bool *ended,
                                struct error *error) {
    for (;;) {
        struct slice rest = window_from(reader, offset);
        const uint8_t *newline = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
        *line = newline != NULL ? slice_of(rest.data, (size_t)(newline - rest.data)) : rest;
        *ended = newline == NULL;
        if (line->len >= WAL_LINE_MAX) {
            return error_set(error, ERR_WAL_CORRUPT, "the line is longer than %d bytes", WAL_LINE_MAX);
        }
        if (newline != NULL || at_end(reader)) {
            return OK;
        }
        enum error_code code = extend(reader, error);
        if (code != OK) {
            return code;
        }
    }
}

enum error_code wal_reader_bytes(struct wal_reader *reader, uint64_t to, struct slice *bytes, struct error *error) {
    while (reader->base + reader->window.len < to && !at_end(reader)) {
        enum error_code code = extend(reader, error);
        if (code != OK) {
            return code;
        }
    }
    *bytes = window_from(reader, reader->at);
    if (bytes->len > to - reader->at) {
        bytes->len = (size_t)(to - reader->at);
    }
    return OK;
}

static void survey_bytes(struct wal_survey *survey, const uint8_t *bytes, size_t len, uint64_t offset) {
    // Newlines alone: compared with itself one byte further on, without a look at each byte.
    if (bytes[0] == '\n' && memcmp(bytes, bytes + 1, len - 1) == 0) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\0') {
            survey->zeros = survey->zeros < offset + i ? survey->zeros : offset + i;
        } else if (bytes[i] != '\n') {
            survey->end = offset + i + 1;
        }
    }
}

static void survey_chunk(struct wal_survey *survey, const uint8_t *bytes, size_t len, uint64_t offset) {
    for (size_t at = 0; at < len; at += SURVEY_BLOCK) {
        survey_bytes(survey, bytes + at, len - at < SURVEY_BLOCK ? len - at : SURVEY_BLOCK, offset + at);
    }
}

enum error_code wal_reader_survey(struct wal_reader *reader, struct wal_survey *survey, struct error *error) {
    *survey = (struct wal_survey){.end = reader->at, .zeros = reader->size};
    if (reader->at >= reader->size) {
        return OK;
    }
    size_t cap = reader->size - reader->at < READ_CHUNK ? (size_t)(reader->size - reader->at) : READ_CHUNK;
    uint8_t *chunk = mem_alloc(cap);
    enum error_code code = OK;
    for (uint64_t offset = reader->at;
         code == OK && offset < reader->size && survey->end - reader->at <= WAL_BATCH_MAX * 2;) {
        ssize_t n = read_full(reader->io, reader->fd, chunk, cap, offset);
        if (n < 0) {
            code = read_failed(error);
        } else if (n == 0) {
            break;
        } else {
            survey_chunk(survey, chunk, (size_t)n, offset);
            offset += (uint64_t)n;
        }
    }
    free(chunk);
    return code;
}
