// Writing divergent entries to a file: divergent.h.
#include "cmd/divergent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "wal/record.h"

enum { FILE_MODE = 0600, BLOCK = 256 * KIB };

struct writing {
    const struct wal_io *io;
    const char *dir;
    int fd;
    struct buf out;
    uint64_t written;
    uint32_t crc;
};

static enum error_code failed(const struct writing *w, const char *doing, const char *name, struct error *error) {
    enum error_code code = error_of_errno(errno);
    return error_set(error, code, "%s %s/%s: %s; nothing else was changed", doing, w->dir, name, strerror(errno));
}

static enum error_code flush(struct writing *w, const char *name, struct error *error) {
    for (size_t done = 0; done < w->out.len;) {
        struct iovec part = {.iov_base = w->out.data + done, .iov_len = w->out.len - done};
        ssize_t n = w->io->write_at(w->io->self, w->fd, &part, 1, (off_t)(w->written + done), 0);
        if (n < 0 && errno != EINTR) {
            return failed(w, "writing", name, error);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    w->written += w->out.len;
    buf_clear(&w->out);
    return OK;
}

static void take_line(struct writing *w, size_t len) {
    w->crc = crc32c(w->crc, w->out.data + w->out.len, len);
    w->out.len += len;
}

static enum error_code write_lines(struct writing *w, const struct stopped *stopped, size_t at, const char *name,
                                   struct error *error) {
    const struct raft_restored *log = &stopped->recovered.log;
    struct wal_header header = {
        .cluster_id = raft_id_slice(&stopped->config->cluster_id),
        .node_id = raft_id_slice(&stopped->config->node_id),
        .incarnation = slice_of_str(stopped->recovered.incarnation),
        .segment = 1,
        .generation = stopped->generation,
        .base = at == 0 ? log->base : log->entries[at - 1]->id,
    };
    take_line(w, wal_put_header(buf_reserve(&w->out, WAL_HEADER_LINE_MAX), &header));
    enum error_code code = OK;
    for (size_t i = at; code == OK && i < log->count; i++) {
        const struct raft_entry *entry = log->entries[i];
        take_line(w, wal_put_entry(buf_reserve(&w->out, wal_entry_line_max(entry)), entry));
        code = w->out.len >= BLOCK ? flush(w, name, error) : OK;
    }
    if (code == OK) {
        uint32_t crc;
        uint8_t *to = buf_reserve(&w->out, WAL_MARK_LINE_MAX);
        w->out.len += wal_put_mark(to, 1, w->written + w->out.len, w->crc, &crc);
        code = flush(w, name, error);
    }
    return code;
}

static enum error_code write_file(struct writing *w, int data, const struct stopped *stopped, size_t at, const char *name,
                                  struct error *error) {
    char part[DIVERGENT_NAME_SIZE + sizeof ".tmp"];
    snprintf(part, sizeof part, "%s.tmp", name);
    w->fd = w->io->open_at(w->io->self, data, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (w->fd < 0) {
        return failed(w, "making", part, error);
    }
    enum error_code code = write_lines(w, stopped, at, part, error);
    if (code == OK && w->io->sync(w->io->self, w->fd) != 0) {
        code = failed(w, "syncing", part, error);
    }
    w->io->close(w->io->self, w->fd);
    if (code == OK && w->io->rename_at(w->io->self, data, part, name) != 0) {
        code = failed(w, "renaming", part, error);
    }
    if (code == OK && w->io->sync(w->io->self, data) != 0) {
        code = failed(w, "syncing", "", error);
    }
    return code;
}

enum error_code divergent_write(const struct stopped *stopped, raft_index first, char name[DIVERGENT_NAME_SIZE],
                                struct error *error) {
    const struct raft_restored *log = &stopped->recovered.log;
    struct writing w = {.io = stopped->dir.io, .dir = stopped->config->data_dir};
    assert(first > log->base.index && first <= log->base.index + log->count);
    snprintf(name, DIVERGENT_NAME_SIZE, "divergent-g%" PRIu64 "-%" PRIu64 "-%" PRIu64 ".log", stopped->generation, first,
             log->base.index + log->count);
    int data = w.io->open_at(w.io->self, AT_FDCWD, w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (data < 0) {
        return failed(&w, "opening", "", error);
    }
    enum error_code code = write_file(&w, data, stopped, (size_t)(first - log->base.index - 1), name, error);
    w.io->close(w.io->self, data);
    buf_free(&w.out);
    return code;
}
