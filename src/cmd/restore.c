// Restoring a backup: restore.h.
//
// The image comes first, durable under its name, then the log, in one batch. So a directory that has an image and no log is
// one whose restore was interrupted: a node does not start from it.
#include "cmd/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/found.h"
#include "node/image.h"

enum { COPY_BLOCK = 256 * KIB };

// --- what is to be written ---

// What the new cluster begins with.
struct plan {
    const char *file;
    const struct node_config *config;
    struct raft_entry_id last;  // of the image
    uint64_t bytes;
    struct wire_configuration configuration;
};

// The members of --peers. Ids that were removed once stay so: whoever had one may still have its old disk.
static enum error_code plan_members(struct plan *plan, const struct wire_configuration *before, struct error *error) {
    const struct node_config *config = plan->config;
    struct wire_configuration *next = &plan->configuration;
    *next = *before;
    next->generation = before->generation + 1;
    next->count = config->peer_count;
    memcpy(next->members, config->peers, sizeof next->members);
    for (size_t i = 0; i < next->count; i++) {
        for (size_t k = 0; k < next->removed_count; k++) {
            if (raft_id_equal(&next->members[i].id, &next->removed[k])) {
                return error_set(error, ERR_INVALID,
                                 "--peers: %s was removed from this cluster, and an id is never used again; choose another",
                                 next->members[i].id.text);
            }
        }
    }
    return OK;
}

// Verifies all of the backup, as a node that starts from it does.
static enum error_code make_plan(struct plan *plan, struct error *error) {
    struct image image;
    struct wire_configuration before;
    enum error_code code = image_load_file(plan->file, &image, error);
    if (code != OK) {
        return code;
    }
    const char *cluster = plan->config->cluster_id.text;
    plan->last = image.last;
    plan->bytes = image.bytes;
    if (strcmp(image.cluster_id, cluster) != 0) {
        code = error_set(error, ERR_FOREIGN,
                         "%s is a backup of cluster %s, not of %s; a cluster keeps its name when it is restored: give "
                         "--cluster-id %s",
                         plan->file, image.cluster_id, cluster, image.cluster_id);
    } else if (wire_configuration_read(buf_slice(&image.configuration), &before, error) != OK) {
        code = error_wrap(error, "the members in %s", plan->file);
    } else {
        code = plan_members(plan, &before, error);
    }
    image_free(&image);
    return code;
}

// --- the directory ---

static enum error_code not_empty(const struct plan *plan, const char *what, struct error *error) {
    return error_set(
        error, ERR_INVALID,
        "%s is not empty: it has %s. If a restore into it has completed, start the node without --restore; else "
        "give an empty directory",
        plan->config->data_dir, what);
}

// An image of the same entry is left by an interrupted restore; it is written again.
static enum error_code check_empty(const struct plan *plan, const struct wal_directory *dir, struct error *error) {
    struct raft_slab *slab = raft_slab_new();
    struct wal_recovered recovered;
    struct raft_entry_id *list = NULL;
    size_t count = 0;
    enum error_code code = wal_check(plan->config->data_dir, NULL, slab, &recovered, error);
    if (code == ERR_INVALID) {
        code = wal_images(dir, &list, &count, error);
    } else if (code == OK) {
        code = not_empty(plan, "a log", error);
    } else {
        error_wrap(error, "the data directory is not empty");
    }
    for (size_t i = 0; code == OK && i < count; i++) {
        if (list[i].index != plan->last.index || list[i].term != plan->last.term) {
            code = not_empty(plan, "another snapshot", error);
        }
    }
    free(list);
    wal_recovered_free(&recovered);
    raft_slab_free(slab);
    return code;
}

static enum error_code check_room(const struct plan *plan, const struct wal_directory *dir, struct error *error) {
    uint64_t room = plan->bytes + WAL_SEGMENT_BYTES;
    uint64_t free_bytes = dir->io->free_bytes(dir->io->self, dir->snap);
    return free_bytes >= room ? OK
                              : error_set(error, ERR_NO_SPACE,
                                          "%s has %" PRIu64 " bytes free, and %" PRIu64 " are needed; nothing was restored",
                                          plan->config->data_dir, free_bytes, room);
}

// --- the image ---

static enum error_code copy_block(const struct plan *plan, const struct wal_directory *dir, int to, uint64_t at,
                                  struct slice block, struct error *error) {
    const struct wal_io *io = dir->io;
    while (block.len > 0) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)block.data, .iov_len = block.len};
        ssize_t n = io->write_at(io->self, to, &part, 1, (off_t)at, 0);
        if (n < 0 && errno != EINTR) {
            enum error_code code = error_of_errno(errno);
            return error_set(error, code, "writing %s/snap: %s; nothing was restored", plan->config->data_dir,
                             strerror(errno));
        }
        if (n > 0) {
            block = slice_of(block.data + n, block.len - (size_t)n);
            at += (uint64_t)n;
        }
    }
    return OK;
}

static enum error_code copy_all(const struct plan *plan, const struct wal_directory *dir, int from, int to,
                                struct error *error) {
    uint8_t *block = mem_alloc(COPY_BLOCK);
    uint64_t at = 0;
    enum error_code code = OK;
    while (code == OK) {
        ssize_t n = dir->io->read_at(dir->io->self, from, block, COPY_BLOCK, (off_t)at);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            code = error_set(error, ERR_IO, "reading %s: %s; nothing was restored", plan->file, strerror(errno));
        } else if (n > 0) {
            code = copy_block(plan, dir, to, at, slice_of(block, (size_t)n), error);
            at += (uint64_t)n;
        }
    }
    free(block);
    return code;
}

// Reads the part again: it must be what was verified, whatever has become of the file meanwhile.
static enum error_code verify_part(const struct plan *plan, const struct wal_directory *dir, struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    struct slice members;
    uint64_t digest;
    enum error_code code = wal_image_read_part(dir, plan->last, &reader, &header, error);
    if (code == OK && reader.file.size != plan->bytes) {
        code = error_set(error, ERR_IO, "%s has changed while it was read; nothing was restored", plan->file);
    }
    while (code == OK) {
        code = wal_image_next(&reader, &members, &digest, error);
        if (members.data == NULL) {
            break;
        }
    }
    wal_image_close(&reader);
    return code;
}

static enum error_code write_image(const struct plan *plan, const struct wal_directory *dir, struct error *error) {
    uint64_t size;
    int to;
    int from = open(plan->file, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        return error_set(error, ERR_IO, "opening %s: %s; nothing was restored", plan->file, strerror(errno));
    }
    enum error_code code = wal_image_open_part(dir, plan->last, &to, &size, error);
    if (code == OK) {
        if (dir->io->truncate(dir->io->self, to, 0) != 0) {
            code = error_set(error, ERR_IO, "emptying %s/snap: %s", plan->config->data_dir, strerror(errno));
        }
        if (code == OK) {
            code = copy_all(plan, dir, from, to, error);
        }
        dir->io->close(dir->io->self, to);
    }
    close(from);
    if (code == OK) {
        code = verify_part(plan, dir, error);
    }
    return code == OK ? wal_image_adopt_part(dir, plan->last, error) : code;
}

// --- the log ---

static enum error_code write_log(const struct plan *plan, struct raft_entry_id *founded, struct error *error) {
    char incarnation[INCARNATION_DIGITS + 1];
    draw_incarnation(incarnation);
    struct wal_options options = {
        .dir = plan->config->data_dir,
        .cluster_id = raft_id_slice(&plan->config->cluster_id),
        .node_id = raft_id_slice(&plan->config->node_id),
        .incarnation = slice_of_str(incarnation),
        .generation = plan->configuration.generation,
        .image = plan->last,
        .from = plan->last.index,
    };
    struct raft_slab *slab = raft_slab_new();
    enum error_code code = found_generation(&options, slab, &plan->configuration, founded, error);
    raft_slab_free(slab);
    return code;
}

// --- all of it ---

static enum error_code prepare(const struct plan *plan, struct error *error) {
    struct wal_directory dir;
    enum error_code code = wal_directory_open(&dir, plan->config->data_dir, &wal_io_system, error);
    if (code == OK) {
        code = check_empty(plan, &dir, error);
    }
    if (code == OK) {
        code = check_room(plan, &dir, error);
    }
    if (code == OK) {
        code = write_image(plan, &dir, error);
    }
    wal_directory_close(&dir);
    return code;
}

static void say_done(const struct plan *plan, const struct raft_entry_id *founded) {
    printf("restored %s into %s: generation %" PRIu64 " of cluster %s begins with entry %" PRIu64 " in term %" PRIu64
           ", behind the backup's %" PRIu64 ".\n"
           "Do the same on every node of --peers, with the same backup and the same --peers; then start them without "
           "--restore and --bootstrap.\n",
           plan->file, plan->config->data_dir, plan->configuration.generation, plan->config->cluster_id.text, founded->index,
           founded->term, plan->last.index);
}

enum error_code restore_backup(const char *file, const struct node_config *config, struct error *error) {
    struct plan plan = {.file = file, .config = config};
    struct raft_entry_id founded;
    enum error_code code = make_plan(&plan, error);
    if (code == OK) {
        code = prepare(&plan, error);
    }
    if (code == OK) {
        code = write_log(&plan, &founded, error);
    }
    if (code == OK) {
        say_done(&plan, &founded);
    }
    return code;
}
