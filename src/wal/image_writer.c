// Writing an image: wal/image.h.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wal/image.h"
#include "wal/image_files.h"
#include "wal/line.h"

enum {
    WRITE_BLOCK = 256 * KIB,
    // Synced after so many bytes: the log's own syncs would have to wait for whatever the page cache has piled up.
    SYNC_BLOCK = 2 * MIB,
    FILE_MODE = 0600,
};

struct wal_image_writer {
    const struct wal_directory *dir;
    struct raft_entry_id last;
    int fd;
    struct buf block;
    uint64_t written;   // bytes handed to the file
    uint64_t unsynced;  // of these
    uint64_t records;
    uint32_t crc;
};

static void temporary_name(char name[WAL_IMAGE_NAME_SIZE], struct raft_entry_id last) {
    wal_image_name(name, last);
    size_t len = strlen(name);
    snprintf(name + len, WAL_IMAGE_NAME_SIZE - len, ".tmp");
}

static enum error_code failed(const struct wal_image_writer *w, const char *doing, struct error *error) {
    char name[WAL_IMAGE_NAME_SIZE];
    wal_image_name(name, w->last);
    return wal_image_failed(w->dir, doing, name, error);
}

// A short write is continued; a regular file never takes 0 bytes.
static enum error_code flush(struct wal_image_writer *w, struct error *error) {
    const struct wal_io *io = w->dir->io;
    for (size_t done = 0; done < w->block.len;) {
        struct iovec part = {.iov_base = w->block.data + done, .iov_len = w->block.len - done};
        ssize_t n = io->write_at(io->self, w->fd, &part, 1, (off_t)(w->written + done), 0);
        if (n == 0) {
            errno = EIO;
        }
        if (n <= 0 && (n == 0 || errno != EINTR)) {
            return failed(w, "writing", error);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    w->written += w->block.len;
    w->unsynced += w->block.len;
    buf_clear(&w->block);
    if (w->unsynced < SYNC_BLOCK) {
        return OK;
    }
    w->unsynced = 0;
    return io->sync(io->self, w->fd) == 0 ? OK : failed(w, "syncing", error);
}

static void put_header(struct buf *out, const struct wal_image_header *header) {
    buf_printf(out,
               "{\"v\":%d,\"cluster\":\"%.*s\",\"generation\":%" PRIu64 ",\"index\":%" PRIu64 ",\"term\":%" PRIu64
               ",\"configuration_index\":%" PRIu64 ",\"configuration\":\"",
               WAL_IMAGE_VERSION, (int)header->cluster_id.len, (const char *)header->cluster_id.data, header->generation,
               header->last.index, header->last.term, header->configuration_index);
    char *base64 = (char *)buf_reserve(out, base64_encoded_len(header->configuration.len));
    out->len += base64_encode(base64, header->configuration.data, header->configuration.len);
    buf_append_str(out, "\"");
    uint8_t *end = buf_reserve(out, WAL_CRC_TAIL + 1);  // and only then out->data: it may move
    out->len = wal_finish_line(out->data, end);
}

enum error_code wal_image_begin(const struct wal_directory *dir, const struct wal_image_header *header, uint64_t room,
                                struct wal_image_writer **writer, struct error *error) {
    const struct wal_io *io = dir->io;
    uint64_t free_bytes = io->free_bytes(io->self, dir->snap);
    if (free_bytes < room) {
        return error_set(error, ERR_NO_SPACE,
                         "no image is begun in %s/snap: %" PRIu64 " bytes are free there, %" PRIu64 " are needed; free some "
                         "space",
                         dir->path, free_bytes, room);
    }
    struct wal_image_writer *w = mem_zalloc(sizeof *w);
    *w = (struct wal_image_writer){.dir = dir, .last = header->last};
    char name[WAL_IMAGE_NAME_SIZE];
    temporary_name(name, header->last);
    w->fd = io->open_at(io->self, dir->snap, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (w->fd < 0) {
        enum error_code code = failed(w, "creating", error);
        free(w);
        return code;
    }
    put_header(&w->block, header);
    w->crc = crc32c(0, w->block.data, w->block.len);
    *writer = w;
    return OK;
}

enum error_code wal_image_add(struct wal_image_writer *w, struct slice members, struct error *error) {
    assert(members.len > 0 && members.len + WAL_CRC_TAIL + 2 < WAL_LINE_MAX);
    uint8_t *out = buf_reserve(&w->block, 1 + members.len + WAL_CRC_TAIL + 1);
    size_t len = wal_finish_line(out, wal_put_slice(WAL_PUT(out, "{"), members));
    w->crc = crc32c(w->crc, out, len);
    w->block.len += len;
    w->records++;
    return w->block.len < WRITE_BLOCK ? OK : flush(w, error);
}

static enum error_code finish(struct wal_image_writer *w, uint64_t digest, struct error *error) {
    char mark[160];
    int len = snprintf(mark, sizeof mark, "{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\"",
                       w->records, w->written + w->block.len, digest);
    uint8_t *out = buf_reserve(&w->block, (size_t)len + WAL_CRC_TAIL + 1);
    uint8_t *at = wal_put(out, mark, (size_t)len);
    w->block.len += wal_put_tail(out, at, crc32c(w->crc, out, (size_t)len));
    const struct wal_io *io = w->dir->io;
    enum error_code code = flush(w, error);
    if (code == OK && io->sync(io->self, w->fd) != 0) {
        code = failed(w, "syncing", error);
    }
    char name[WAL_IMAGE_NAME_SIZE];
    char temporary[WAL_IMAGE_NAME_SIZE];
    wal_image_name(name, w->last);
    temporary_name(temporary, w->last);
    if (code == OK && io->rename_at(io->self, w->dir->snap, temporary, name) != 0) {
        code = failed(w, "renaming", error);
    }
    if (code == OK && io->sync(io->self, w->dir->snap) != 0) {
        code = failed(w, "syncing the directory of", error);
    }
    return code;
}

static void free_writer(struct wal_image_writer *w) {
    w->dir->io->close(w->dir->io->self, w->fd);
    buf_free(&w->block);
    free(w);
}

enum error_code wal_image_finish(struct wal_image_writer *w, uint64_t digest, uint64_t *bytes, struct error *error) {
    enum error_code code = finish(w, digest, error);
    if (code != OK) {
        wal_image_abandon(w);
        return code;
    }
    *bytes = w->written;
    free_writer(w);
    return OK;
}

// What cannot be removed now is at the next start (wal_images_tidy).
void wal_image_abandon(struct wal_image_writer *w) {
    char name[WAL_IMAGE_NAME_SIZE];
    temporary_name(name, w->last);
    w->dir->io->unlink_at(w->dir->io->self, w->dir->snap, name);
    free_writer(w);
}
