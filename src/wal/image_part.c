// Images that arrive from another node: wal/image.h.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/image.h"
#include "wal/image_files.h"

enum { FILE_MODE = 0600 };

#define PART ".part"

void wal_image_part_name(char name[WAL_IMAGE_NAME_SIZE], struct raft_entry_id last) {
    wal_image_name(name, last);
    size_t len = strlen(name);
    snprintf(name + len, WAL_IMAGE_NAME_SIZE - len, PART);
}

enum error_code wal_image_open_part(const struct wal_directory *dir, struct raft_entry_id last, int *fd, uint64_t *size,
                                    struct error *error) {
    const struct wal_io *io = dir->io;
    char name[WAL_IMAGE_NAME_SIZE];
    struct stat st;
    wal_image_part_name(name, last);
    *fd = io->open_at(io->self, dir->snap, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (*fd < 0) {
        return wal_image_failed(dir, "opening", name, error);
    }
    if (io->stat(io->self, *fd, &st) != 0) {
        enum error_code code = wal_image_failed(dir, "looking at", name, error);
        io->close(io->self, *fd);
        return code;
    }
    *size = (uint64_t)st.st_size;
    return OK;
}

enum error_code wal_image_adopt_part(const struct wal_directory *dir, struct raft_entry_id last, struct error *error) {
    const struct wal_io *io = dir->io;
    char part[WAL_IMAGE_NAME_SIZE];
    char name[WAL_IMAGE_NAME_SIZE];
    wal_image_part_name(part, last);
    wal_image_name(name, last);
    int fd = io->open_at(io->self, dir->snap, part, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    enum error_code code = fd < 0 || io->sync(io->self, fd) != 0 ? wal_image_failed(dir, "syncing", part, error) : OK;
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    if (code == OK && io->rename_at(io->self, dir->snap, part, name) != 0) {
        code = wal_image_failed(dir, "renaming", part, error);
    }
    if (code == OK && io->sync(io->self, dir->snap) != 0) {
        code = wal_image_failed(dir, "syncing the directory of", name, error);
    }
    return code;
}

static bool is_part(const char *name, struct raft_entry_id *last) {
    const char *rest;
    return wal_image_parse_name(name, last, &rest) && strcmp(rest, PART) == 0;
}

static enum error_code note_part(void *self, const char *name, struct error *error) {
    (void)error;
    struct raft_entry_id *newest = self;
    struct raft_entry_id found;
    if (is_part(name, &found) && found.index > newest->index) {
        *newest = found;
    }
    return OK;
}

enum error_code wal_image_find_part(const struct wal_directory *dir, struct raft_entry_id *last, struct error *error) {
    *last = (struct raft_entry_id){0};
    return wal_image_each(dir, note_part, last, error);
}

struct dropping {
    const struct wal_directory *dir;
    struct raft_entry_id kept;
};

static enum error_code drop_part(void *self, const char *name, struct error *error) {
    const struct dropping *d = self;
    const struct wal_io *io = d->dir->io;
    struct raft_entry_id found;
    bool kept = !is_part(name, &found) || (found.index == d->kept.index && found.term == d->kept.term);
    return kept || io->unlink_at(io->self, d->dir->snap, name) == 0 ? OK : wal_image_failed(d->dir, "removing", name, error);
}

enum error_code wal_images_drop_parts(const struct wal_directory *dir, struct raft_entry_id kept, struct error *error) {
    struct dropping dropping = {.dir = dir, .kept = kept};
    return wal_image_each(dir, drop_part, &dropping, error);
}
