// The durable half of a node: victim.h.
#include "victim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/image.h"
#include "wire/command.h"

enum { CHUNK = 1500, CHUNKS_A_SYNC = 3 };  // of an image that arrives

void victim_init(struct victim *v, struct disk *disk, struct raft_slab *slab) {
    *v = (struct victim){.disk = disk, .slab = slab, .segment_bytes = 6 * KIB, .retained = 12, .recovered.empty = true};
}

// --- starting ---

static void skipped(void *user, const struct error *error) {
    struct error *damage = user;
    if (damage->code == OK) {
        *damage = *error;
    }
}

static bool has_directory(const struct victim *v) {
    const struct wal_io *io = &v->disk->io;
    int fd = io->open_at(io->self, AT_FDCWD, "data", O_RDONLY | O_DIRECTORY, 0);
    return fd >= 0 && io->close(io->self, fd) == 0;
}

static enum error_code load_image(struct victim *v, struct image *image, struct error *damage) {
    struct wal_directory dir;
    if (!has_directory(v)) {
        return OK;
    }
    enum error_code code = wal_directory_look(&dir, "data", &v->disk->io, &v->error);
    if (code == OK && dir.snap >= 0) {
        code = image_load_newest(&dir, image, skipped, damage, &v->error);
    }
    wal_directory_close(&dir);
    return code;
}

static enum error_code open_log(struct victim *v, const struct image *image) {
    struct wal_options options = {
        .dir = "data",
        .cluster_id = slice_of_str("demo"),
        .node_id = slice_of_str("n1"),
        .incarnation = slice_of_str("0123456789abcdef0123456789abcdef"),
        .generation = 1,
        .image = image->last,
        .from = image->last.index > v->retained ? image->last.index - v->retained : 0,
        .segment_bytes = v->segment_bytes,
        .io = &v->disk->io,
    };
    enum error_code code = wal_writer_open(&options, v->slab, &v->writer, &v->recovered, &v->error);
    if (code == OK && v->recovered.empty && image->last.index > 0) {
        return error_set(&v->error, ERR_WAL_GAP, "WAL_GAP: a snapshot, but no log");
    }
    return code;
}

// All images go but the newest and, if `before` is not NULL, the one before it.
static void remove_others(struct victim *v, struct raft_entry_id last, struct raft_entry_id *before) {
    struct wal_directory dir;
    struct error ignored;
    struct raft_entry_id *list = NULL;
    size_t count = 0;
    if (wal_directory_look(&dir, "data", &v->disk->io, &ignored) == OK) {
        enum error_code code = wal_images_tidy(&dir, &ignored);
        code = code == OK ? wal_images(&dir, &list, &count, &ignored) : code;
        for (size_t i = 0; code == OK && i < count; i++) {
            if (before != NULL && list[i].index < last.index && before->index == 0) {
                *before = list[i];
            } else if (list[i].index != last.index || list[i].term != last.term) {
                code = wal_image_remove(&dir, list[i], &ignored);
            }
        }
    }
    free(list);
    wal_directory_close(&dir);
}

enum error_code victim_start(struct victim *v) {
    struct image image = {.state = NULL};
    struct error damage = {.code = OK};
    v->newest = v->before = (struct raft_entry_id){0};
    v->write = 0;
    enum error_code code = load_image(v, &image, &damage);
    if (code == OK) {
        code = open_log(v, &image);
    }
    if (code == ERR_WAL_GAP && damage.code != OK) {
        v->error = damage;
        code = damage.code;
    }
    v->skipped = damage.code != OK;
    if (code == OK) {
        v->state = image.state != NULL ? image.state : state_new();
        image.state = NULL;
        v->newest = image.last;
        remove_others(v, v->newest, &v->before);
    }
    image_free(&image);
    return code;
}

void victim_stop(struct victim *v, bool in_order) {
    struct error error;
    if (v->writer != NULL) {
        wal_writer_close(v->writer, in_order, &error);
        v->writer = NULL;
    }
    if (v->state != NULL) {
        state_free(v->state);
        v->state = NULL;
    }
    for (struct wal_write *write = v->made, *next; write != NULL; write = next) {
        next = write->next_outstanding;
        free(write);
    }
    v->made = NULL;
    wal_recovered_free(&v->recovered);
}

void victim_free(struct victim *v) {
    victim_stop(v, false);
    buf_free(&v->configuration);
}

// --- the log ---

void victim_push(struct victim *v, const struct raft_hard_state *hard_state, struct raft_entry_id reset,
                 struct raft_entry *const *entries, size_t count) {
    struct wal_write *write = mem_zalloc(sizeof *write + count * sizeof write->entries[0]);
    write->persist = (struct raft_persist){.write = ++v->write,
                                           .has_hard_state = hard_state != NULL,
                                           .reset = reset,
                                           .entries = write->entries,
                                           .count = count};
    if (hard_state != NULL) {
        write->persist.hard_state = *hard_state;
    }
    if (count > 0) {
        memcpy(write->entries, entries, count * sizeof entries[0]);
    }
    write->next_outstanding = v->made;
    v->made = write;
    wal_writer_push(v->writer, write);
}

void victim_run(struct victim *v) {
    for (int steps = 0; wal_writer_step(v->writer); steps++) {
        assert(steps < 1000);
    }
}

void victim_apply(struct victim *v, struct raft_entry *entry) {
    struct arena arena = {0};
    struct pb_command command;
    struct state_result result;
    struct error error;
    if (entry->type != RAFT_ENTRY_COMMAND) {
        state_skip(v->state, entry->id.index);
    } else {
        enum error_code code = wire_command_decode(&arena, entry, &command, &error);
        assert(code == OK);
        state_apply(v->state, entry, &command, &result);
    }
    arena_free(&arena);
}

// --- images ---

enum error_code victim_save_image(struct victim *v, raft_term term) {
    struct wal_directory dir;
    struct image_room room = {.expected = 0};
    struct image_orders orders = {.hurry_from = 0};
    uint64_t bytes;
    struct state_version *version = state_version_new(v->state);
    struct wal_image_header header = {.cluster_id = slice_of_str("demo"),
                                      .generation = 1,
                                      .last = {.term = term, .index = state_version_index(version)},
                                      .configuration_index = 1,
                                      .configuration = buf_slice(&v->configuration)};
    enum error_code code = wal_directory_look(&dir, "data", &v->disk->io, &v->error);
    if (code == OK) {
        code = image_save(&dir, &header, version, &room, &orders, &bytes, &v->error);
    }
    wal_directory_close(&dir);
    state_version_release(v->state, version);
    return code;
}

void victim_drop_superseded(struct victim *v) {
    struct wal_directory dir;
    if (v->before.index > 0 && wal_directory_look(&dir, "data", &v->disk->io, &v->error) == OK) {
        wal_image_remove(&dir, v->before, &v->error);
        wal_directory_close(&dir);
    }
}

raft_index victim_compact_to(const struct victim *v) {
    raft_index limit = v->newest.index > v->retained ? v->newest.index - v->retained : 0;
    return limit < v->before.index ? limit : v->before.index;
}

void victim_compact(struct victim *v) {
    while (wal_writer_purge(v->writer, victim_compact_to(v))) {
    }
}

static enum error_code store_part(const struct wal_directory *dir, struct raft_entry_id last, struct slice bytes,
                                  struct error *error) {
    const struct wal_io *io = dir->io;
    int fd;
    uint64_t stored;
    enum error_code code = wal_images_drop_parts(dir, last, error);
    code = code == OK ? wal_image_open_part(dir, last, &fd, &stored, error) : code;
    if (code != OK) {
        return code;
    }
    if (stored > bytes.len) {
        code = error_set(error, ERR_SNAP_CORRUPT, "the part is longer than its image");
    }
    for (int chunks = 1; code == OK && stored < bytes.len; chunks++) {
        size_t len = bytes.len - stored < CHUNK ? (size_t)(bytes.len - stored) : CHUNK;
        struct iovec part = {.iov_base = (void *)(uintptr_t)(bytes.data + stored), .iov_len = len};
        ssize_t n = io->write_at(io->self, fd, &part, 1, (off_t)stored, 0);
        bool failed = n < 0 && errno != EINTR;
        if (failed || (chunks % CHUNKS_A_SYNC == 0 && io->sync(io->self, fd) != 0)) {
            code = error_set(error, ERR_IO, "the part was not stored");
        }
        stored += n > 0 ? (uint64_t)n : 0;
    }
    io->close(io->self, fd);
    return code;
}

enum error_code victim_receive(struct victim *v, struct raft_entry_id last, struct slice bytes) {
    struct wal_directory dir;
    struct image image = {.state = NULL};
    enum error_code code = wal_directory_look(&dir, "data", &v->disk->io, &v->error);
    code = code == OK ? store_part(&dir, last, bytes, &v->error) : code;
    if (code == OK) {
        code = image_load_part(&dir, last, &image, &v->error);
    }
    if (code == OK) {
        code = wal_image_adopt_part(&dir, last, &v->error);
    }
    if (code == ERR_SNAP_CORRUPT) {  // it is asked for again
        struct error ignored;
        wal_images_drop_parts(&dir, (struct raft_entry_id){0}, &ignored);
    }
    if (code == OK) {
        state_free(v->state);
        v->state = image.state;
        image.state = NULL;
    }
    image_free(&image);
    wal_directory_close(&dir);
    return code;
}

void victim_installed(struct victim *v, struct raft_entry_id last) {
    v->newest = last;
    v->before = (struct raft_entry_id){0};
    remove_others(v, last, NULL);
}
