// The images of a directory: names, listing, removal.
#include "wal/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "wal/image_files.h"

#define UNFINISHED ".tmp"

void wal_image_name(char name[WAL_IMAGE_NAME_SIZE], struct raft_entry_id last) {
    snprintf(name, WAL_IMAGE_NAME_SIZE, "%0*" PRIu64 "-%" PRIu64 ".snap", WAL_IMAGE_INDEX_DIGITS, last.index, last.term);
}

bool wal_image_parse_name(const char *name, struct raft_entry_id *last, const char **rest) {
    char again[WAL_IMAGE_NAME_SIZE];
    if (sscanf(name, "%" SCNu64 "-%" SCNu64, &last->index, &last->term) != 2) {
        return false;
    }
    wal_image_name(again, *last);
    *rest = name + strlen(again);
    return strncmp(name, again, strlen(again)) == 0;
}

static int newest_first(const void *a, const void *b) {
    const struct raft_entry_id *left = a;
    const struct raft_entry_id *right = b;
    if (left->index != right->index) {
        return left->index < right->index ? 1 : -1;
    }
    return left->term < right->term ? 1 : left->term > right->term ? -1 : 0;
}

enum error_code wal_image_failed(const struct wal_directory *dir, const char *doing, const char *name, struct error *error) {
    int reason = errno;
    enum error_code code = error_of_errno(reason);
    return error_set(error, code, "%s %s/snap/%s: %s; %s", doing, dir->path, name, strerror(reason),
                     code == ERR_NO_SPACE ? "free some space" : "check the disk");
}

enum error_code wal_image_each(const struct wal_directory *dir,
                               enum error_code (*visit)(void *self, const char *name, struct error *error), void *self,
                               struct error *error) {
    char *names;
    ssize_t listed = dir->io->list(dir->io->self, dir->snap, &names);
    if (listed < 0) {
        return wal_image_failed(dir, "listing", "", error);
    }
    enum error_code code = OK;
    const char *name = names;
    for (ssize_t i = 0; code == OK && i < listed; i++, name += strlen(name) + 1) {
        code = visit(self, name, error);
    }
    free(names);
    return code;
}

struct list {
    struct raft_entry_id *ids;
    size_t count;
    size_t cap;
};

static enum error_code add_to_list(void *self, const char *name, struct error *error) {
    (void)error;
    struct list *list = self;
    struct raft_entry_id last;
    const char *rest;
    if (wal_image_parse_name(name, &last, &rest) && *rest == '\0') {
        array_reserve(list->ids, list->cap, list->count + 1);
        list->ids[list->count++] = last;
    }
    return OK;
}

enum error_code wal_images(const struct wal_directory *dir, struct raft_entry_id **ids, size_t *count, struct error *error) {
    struct list list = {0};
    enum error_code code = dir->snap < 0 ? OK : wal_image_each(dir, add_to_list, &list, error);
    if (list.count > 1) {
        qsort(list.ids, list.count, sizeof *list.ids, newest_first);
    }
    *ids = list.ids;
    *count = list.count;
    return code;
}

static enum error_code remove_file(const struct wal_directory *dir, const char *name, struct error *error) {
    const struct wal_io *io = dir->io;
    bool gone = io->unlink_at(io->self, dir->snap, name) == 0 || errno == ENOENT;
    if (!gone || io->sync(io->self, dir->snap) != 0) {
        return wal_image_failed(dir, "removing", name, error);
    }
    return OK;
}

enum error_code wal_image_remove(const struct wal_directory *dir, struct raft_entry_id last, struct error *error) {
    char name[WAL_IMAGE_NAME_SIZE];
    wal_image_name(name, last);
    return remove_file(dir, name, error);
}

static bool is_unfinished(const char *name) {
    size_t len = strlen(name);
    return len > sizeof UNFINISHED - 1 && strcmp(name + len - (sizeof UNFINISHED - 1), UNFINISHED) == 0;
}

static enum error_code remove_unfinished(void *self, const char *name, struct error *error) {
    return is_unfinished(name) ? remove_file(self, name, error) : OK;
}

enum error_code wal_images_tidy(const struct wal_directory *dir, struct error *error) {
    return wal_image_each(dir, remove_unfinished, (void *)(uintptr_t)dir, error);
}
