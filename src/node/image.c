// Saving and loading images: node/image.h.
#include "node/image.h"

#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/mem.h"
#include "wire/json.h"

// --- saving ---

enum {
    PACE_BYTES = 512 * KIB,  // of an image, after which its thread looks whether it should rest
    RESTS = 5,               // while entries are applied: times as long as it has worked
    REST_MAX_MS = 100        // after a write that the disk has held up
};

// How the thread that writes an image divides its time.
struct pace {
    const struct image_orders *orders;
    size_t bytes;           // since it has looked
    uint64_t from_us;       // works since
    uint_fast64_t applied;  // as it was then
};

static uint64_t clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

static void rest(uint64_t worked_us) {
    uint64_t us = RESTS * worked_us;
    us = us < REST_MAX_MS * US_PER_MS ? us : REST_MAX_MS * US_PER_MS;
    struct timespec span = {.tv_sec = (time_t)(us / US_PER_S), .tv_nsec = (long)(us % US_PER_S * 1000)};
    nanosleep(&span, NULL);
}

static void keep_pace(struct pace *pace, size_t bytes) {
    pace->bytes += bytes;
    if (pace->bytes < PACE_BYTES) {
        return;
    }
    uint_fast64_t applied = atomic_load_explicit(&pace->orders->applied, memory_order_relaxed);
    if (applied != pace->applied && applied < pace->orders->hurry_from) {
        rest(clock_us() - pace->from_us);
    }
    *pace = (struct pace){.orders = pace->orders, .from_us = clock_us(), .applied = applied};
}

static enum error_code add_records(struct wal_image_writer *writer, struct state_records *records,
                                   const struct image_orders *orders, struct error *error) {
    struct buf json = {0};
    struct pb_image_record record;
    struct pace pace = {.orders = orders, .from_us = clock_us()};
    enum error_code code = OK;
    while (code == OK && state_records_next(records, &record)) {
        buf_clear(&json);
        pb_json_write(&pb_image_record_type, &record, &json);
        code = wal_image_add(writer, buf_slice(&json), error);
        if (code == OK && atomic_load_explicit(&orders->cancelled, memory_order_relaxed)) {
            code = error_set(error, ERR_UNAVAILABLE, "the image was given up: the node stops");
        }
        keep_pace(&pace, json.len);
    }
    buf_free(&json);
    return code;
}

// An image must not keep what damaged memory has made of the state.
static enum error_code compare_digests(const struct state_version *version, const struct state_records *records,
                                       struct error *error) {
    uint64_t kept = state_version_digest(version);
    uint64_t found = state_records_digest(records);
    if (kept == found) {
        return OK;
    }
    return error_set(
        error, ERR_STATE_DAMAGED,
        "STATE_DAMAGED in memory: the state after entry %llu holds contents of the digest %016llx, but what was "
        "applied has the digest %016llx",
        (unsigned long long)state_version_index(version), (unsigned long long)found, (unsigned long long)kept);
}

// The image's size, but for a few bytes more. Costs what writing it does, without the disk.
static uint64_t measure(const struct wal_image_header *header, const struct state_version *version) {
    struct buf json = {0};
    struct pb_image_record record;
    uint64_t bytes = WAL_IMAGE_ENDS_MAX + header->configuration.len * 2;
    struct state_records *records = state_records_new(version);
    while (state_records_next(records, &record)) {
        buf_clear(&json);
        pb_json_write(&pb_image_record_type, &record, &json);
        bytes += json.len + WAL_IMAGE_FRAME_MAX;
    }
    state_records_free(records);
    buf_free(&json);
    return bytes;
}

enum error_code image_save(const struct wal_directory *dir, const struct wal_image_header *header,
                           const struct state_version *version, const struct image_room *room,
                           const struct image_orders *orders, uint64_t *bytes, struct error *error) {
    assert(header->last.index == state_version_index(version));
    uint64_t needed = room->expected + room->spare;
    if (dir->io->free_bytes(dir->io->self, dir->snap) < needed) {
        needed = measure(header, version) + room->spare;
    }
    struct wal_image_writer *writer;
    enum error_code code = wal_image_begin(dir, header, needed, &writer, error);
    if (code != OK) {
        return code;
    }
    struct state_records *records = state_records_new(version);
    code = add_records(writer, records, orders, error);
    if (code == OK) {
        code = compare_digests(version, records, error);
    }
    state_records_free(records);
    if (code != OK) {
        wal_image_abandon(writer);
        return code;
    }
    return wal_image_finish(writer, state_version_digest(version), bytes, error);
}

// --- loading ---

static enum error_code load_record(struct arena *arena, struct wal_image_reader *reader, struct state_loader *loader,
                                   struct slice members, struct error *error) {
    struct pb_image_record record;
    arena_reset(arena);
    enum error_code code = pb_json_read(arena, &pb_image_record_type, members, &record, error);
    if (code == OK) {
        code = state_loader_add(loader, &record, error);
    }
    return code == OK || code == ERR_UNKNOWN_COMMAND ? code : wal_image_blame(reader, error);
}

static enum error_code load_records(struct wal_image_reader *reader, struct state_loader *loader, struct image *image,
                                    struct error *error) {
    struct arena arena = {0};
    struct slice members;
    uint64_t digest;
    enum error_code code = wal_image_next(reader, &members, &digest, error);
    while (code == OK && members.data != NULL) {
        code = load_record(&arena, reader, loader, members, error);
        if (code == OK) {
            code = wal_image_next(reader, &members, &digest, error);
        }
    }
    arena_free(&arena);
    if (code == OK && state_loader_finish(loader, digest, &image->state, error) != OK) {
        code = wal_image_blame(reader, error);
    }
    if (code == OK && state_last_applied(image->state) != image->last.index) {
        error_set(error, ERR_SNAP_CORRUPT, "the state is that of another entry than the header's");
        code = wal_image_blame(reader, error);
    }
    return code;
}

// Loads the rest of an image whose header was read, closes it, and frees *image on failure.
static enum error_code load(enum error_code opened, struct wal_image_reader *reader, const struct wal_image_header *header,
                            struct image *image, struct error *error) {
    enum error_code code = opened;
    *image = (struct image){.state = NULL};
    if (code == OK) {
        image->last = header->last;
        image->bytes = reader->file.size;
        image->written_unix_ms = reader->file.written_unix_ms;
        image->generation = header->generation;
        memcpy(image->cluster_id, header->cluster_id.data, header->cluster_id.len);
        image->configuration_index = header->configuration_index;
        buf_append_slice(&image->configuration, header->configuration);
        struct state_loader *loader = state_loader_new();
        code = load_records(reader, loader, image, error);
        state_loader_free(loader);
    }
    wal_image_close(reader);
    if (code != OK) {
        image_free(image);
    }
    return code;
}

enum error_code image_load(const struct wal_directory *dir, struct raft_entry_id last, struct image *image,
                           struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    return load(wal_image_open(dir, last, &reader, &header, error), &reader, &header, image, error);
}

enum error_code image_load_part(const struct wal_directory *dir, struct raft_entry_id last, struct image *image,
                                struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    return load(wal_image_read_part(dir, last, &reader, &header, error), &reader, &header, image, error);
}

enum error_code image_load_file(const char *path, struct image *image, struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    return load(wal_image_open_file(path, &reader, &header, error), &reader, &header, image, error);
}

enum error_code image_load_newest(const struct wal_directory *dir, struct image *image,
                                  void (*skipped)(void *user, const struct error *error), void *user, struct error *error) {
    *image = (struct image){.state = NULL};
    struct raft_entry_id *list;
    size_t count;
    enum error_code code = wal_images(dir, &list, &count, error);
    for (size_t i = 0; code == OK && i < count && image->state == NULL; i++) {
        struct wal_image_reader reader;
        struct wal_image_header header;
        code = wal_image_open(dir, list[i], &reader, &header, error);
        if (code == OK) {
            wal_reader_ahead(&reader.file);
            mem_expect(reader.file.size);  // more than the state takes, and the rest of the log is then applied
        }
        code = load(code, &reader, &header, image, error);
        if (code == ERR_SNAP_CORRUPT) {
            skipped(user, error);
            code = OK;
        }
    }
    free(list);
    return code;
}

void image_free(struct image *image) {
    if (image->state != NULL) {
        state_free(image->state);
    }
    buf_free(&image->configuration);
    *image = (struct image){.state = NULL};
}
