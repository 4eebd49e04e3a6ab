// What who rejoins leaves behind: left_behind.h. Read from a copy of the disk, so that the world goes on as if nobody had
// looked.
#include "left_behind.h"

#include <inttypes.h>
#include <stdio.h>

#include "host.h"
#include "ledger.h"
#include "wal/record.h"
#include "wal/wal.h"
#include "world.h"

enum { PATH_SIZE = 128 };

static bool read_log(struct disk *disk, const char *path, struct raft_slab *slab, struct wal_recovered *recovered) {
    struct error error = {0};
    return wal_check(path, &disk->io, slab, recovered, &error) == OK;
}

// Whether it has this log's entries from `at` on to the last one: after a header, each as it is in a segment, and then a
// mark.
static bool has_entries(struct slice file, const struct raft_restored *log, size_t at) {
    struct buf expected = {0};
    for (size_t i = at; i < log->count; i++) {
        uint8_t *to = buf_reserve(&expected, wal_entry_line_max(log->entries[i]));
        expected.len += wal_put_entry(to, log->entries[i]);
    }
    const uint8_t *line = memchr(file.data, '\n', file.len);
    size_t before = line == NULL ? file.len : (size_t)(line + 1 - file.data);
    bool has = file.len - before > expected.len && memcmp(file.data + before, expected.data, expected.len) == 0;
    buf_free(&expected);
    return has;
}

// A file that begins with the entry that differs first, or before it.
static bool is_kept(const struct disk *disk, const struct raft_restored *log, raft_index differs) {
    raft_index last = log->base.index + log->count;
    for (uint64_t generation = 1; generation <= GENERATIONS_MAX; generation++) {
        for (raft_index first = log->base.index + 1; first <= differs; first++) {
            char path[PATH_SIZE];
            snprintf(path, sizeof path, "data/divergent-g%" PRIu64 "-%" PRIu64 "-%" PRIu64 ".log", generation, first, last);
            struct slice file = disk_bytes(disk, path);
            if (file.data != NULL && has_entries(file, log, (size_t)(first - log->base.index - 1))) {
                return true;
            }
        }
    }
    return false;
}

static void check_old(const struct host *h, struct disk *disk, struct raft_slab *slab, uint64_t generation) {
    char path[PATH_SIZE];
    struct wal_recovered old = {.empty = true};
    uint64_t left = GENERATIONS_MAX + 1;
    bool found = false;
    while (!found && --left > 0) {
        snprintf(path, sizeof path, "data/generation-%" PRIu64, left);
        found = read_log(disk, path, slab, &old);
    }
    if (!found || left >= generation) {
        world_broken("%s has rejoined generation %" PRIu64 ", and has left %" PRIu64, h->name, generation, left);
    }
    raft_index differs = ledger_differs(&old.log);
    if (differs > 0 && !is_kept(disk, &old.log, differs)) {
        world_broken("%s has rejoined, and of its entries %" PRIu64 " to %" PRIu64 ", which only it had, not all are kept",
                     h->name, differs, old.log.base.index + old.log.count);
    }
    wal_recovered_free(&old);
}

void left_behind_check(int host) {
    struct host *h = host_of(host);
    struct disk disk;
    struct wal_recovered now = {.empty = true};
    if (h->flipped) {
        return;  // it may be that bit which cannot be read
    }
    struct raft_slab *slab = raft_slab_new();
    disk_init(&disk, 1);
    disk_copy(&disk, &h->disk);
    if (!read_log(&disk, "data", slab, &now) || now.log.count > 0 || now.log.base.index > 0) {
        world_broken("%s has rejoined, and its directory is not that of a new node", h->name);
    }
    check_old(h, &disk, slab, now.generation);
    wal_recovered_free(&now);
    disk_free(&disk);
    raft_slab_free(slab);
}
