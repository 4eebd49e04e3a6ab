// Verifying and printing a data directory: offline.h.
#include "cmd/offline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/image.h"
#include "wal/wal.h"

enum { LISTINGS_MAX = 16 };  // of images, while a node takes new ones and removes old ones

static unsigned long long ull(uint64_t number) {
    return (unsigned long long)number;
}

// --- images ---

// The images of a directory, newest first, as they were listed last.
struct images {
    struct wal_directory dir;
    struct raft_entry_id *list;
    size_t count;
};

static enum error_code images_look(struct images *images, const char *path, struct error *error) {
    *images = (struct images){.list = NULL};
    enum error_code code = wal_directory_look(&images->dir, path, &wal_io_system, error);
    return code == OK ? wal_images(&images->dir, &images->list, &images->count, error) : code;
}

static void images_free(struct images *images) {
    wal_directory_close(&images->dir);
    free(images->list);
}

// Lists them again. True: they have changed, so that one may have vanished while it was read.
static bool images_changed(struct images *images) {
    struct error ignored = {0};
    struct raft_entry_id *list;
    size_t count;
    if (wal_images(&images->dir, &list, &count, &ignored) != OK) {
        return false;
    }
    bool changed = count != images->count;
    for (size_t i = 0; !changed && i < count; i++) {
        changed = list[i].index != images->list[i].index || list[i].term != images->list[i].term;
    }
    free(images->list);
    images->list = list;
    images->count = count;
    return changed;
}

// --- check ---

// What a check has found of the images.
struct survey {
    struct raft_entry_id newest;  // whole; index 0: none
    uint64_t bytes;               // of its file
    size_t whole;
    struct error damage;  // of the newest damaged one; code OK: none is
};

// Loads them all, which verifies files, records and digests.
static enum error_code survey_once(const struct images *images, struct survey *survey, struct error *error) {
    *survey = (struct survey){.damage.code = OK};
    for (size_t i = 0; i < images->count; i++) {
        struct image image;
        enum error_code code = image_load(&images->dir, images->list[i], &image, error);
        if (code == OK && survey->whole++ == 0) {
            survey->newest = image.last;
            survey->bytes = image.bytes;
        }
        image_free(&image);
        if (code == ERR_SNAP_CORRUPT && survey->damage.code == OK) {
            survey->damage = *error;
        } else if (code != OK && code != ERR_SNAP_CORRUPT) {
            return code;
        }
    }
    return OK;
}

static enum error_code survey_images(const char *path, struct survey *survey, struct error *error) {
    struct images images;
    enum error_code code = images_look(&images, path, error);
    if (code == OK) {
        code = survey_once(&images, survey, error);
    }
    for (int i = 1; code == ERR_IO && i < LISTINGS_MAX && images_changed(&images); i++) {
        code = survey_once(&images, survey, error);
    }
    images_free(&images);
    return code;
}

// Whether a node could start from what there is.
static enum error_code judge(const char *path, const struct survey *survey, raft_index log_base, struct error *error) {
    bool continues = log_base <= survey->newest.index;
    if (survey->damage.code == OK && continues) {
        return OK;
    }
    if (survey->damage.code == OK) {
        return error_set(error, ERR_WAL_GAP,
                         "WAL_GAP %s/wal: the log begins after entry %llu, and no image in snap/ reaches that far; restore "
                         "the missing files, or leave the node stopped and replace it",
                         path, ull(log_base));
    }
    const char *reason = survey->damage.message;
    if (!continues) {
        return error_set(error, ERR_SNAP_CORRUPT,
                         "%s; the log begins after entry %llu, and no whole image reaches that far: treat it as a lost disk",
                         reason, ull(log_base));
    }
    if (survey->newest.index == 0) {
        return error_set(error, ERR_SNAP_CORRUPT, "%s; the log has all entries: a node starts from it alone", reason);
    }
    return error_set(error, ERR_SNAP_CORRUPT,
                     "%s; the image at %llu is whole, and the log continues it: a node starts there", reason,
                     ull(survey->newest.index));
}

static void print_findings(const char *path, const struct survey *survey, const struct wal_recovered *recovered) {
    printf("%s is sound: ", path);
    if (survey->whole > 0) {
        printf("snapshot at %llu (%llu bytes), ", ull(survey->newest.index), ull(survey->bytes));
    }
    if (survey->whole > 1) {
        printf("%zu older, ", survey->whole - 1);
    }
    printf("%zu entries", recovered->log.count);
    if (recovered->log.base.index > 0 && recovered->log.count > 0) {
        printf(" from index %llu", ull(recovered->log.base.index + 1));
    }
    printf(" up to index %llu in %llu segments, term %llu", ull(recovered->log.base.index + recovered->log.count),
           ull(recovered->segments), ull(recovered->log.hard_state.current_term));
    if (recovered->torn_bytes > 0) {
        printf("; a torn last batch of %llu bytes at %s was never acknowledged and will be overwritten at the next start",
               ull(recovered->torn_bytes), recovered->torn_where);
    }
    printf("\n");
}

enum error_code offline_check(const char *path, struct error *error) {
    struct wal_recovered recovered = {.empty = true};
    struct survey survey = {.whole = 0};
    struct raft_slab *slab = raft_slab_new();
    // The log first: a running node removes segments only behind images, which are there when the images are read.
    enum error_code code = wal_check(path, NULL, slab, &recovered, error);
    if (code == OK) {
        code = survey_images(path, &survey, error);
    }
    if (code == OK) {
        code = judge(path, &survey, recovered.log.base.index, error);
    }
    if (code == OK) {
        print_findings(path, &survey, &recovered);
    }
    wal_recovered_free(&recovered);
    raft_slab_free(slab);
    return code;
}

// --- printing ---

enum error_code offline_dump_log(const char *path, raft_index to, struct error *error) {
    return wal_dump(path, NULL, to, STDOUT_FILENO, error);
}

static void say_skipped(void *user, const struct error *error) {
    (void)user;
    fprintf(stderr, "batond: %s; passing it over\n", error->message);
}

// Verifies the image at `index`, or the newest whole one, and says which it is.
static enum error_code choose(const struct images *images, const char *path, raft_index index, struct raft_entry_id *chosen,
                              struct error *error) {
    struct image image = {.state = NULL};
    enum error_code code = OK;
    if (index == 0) {
        code = image_load_newest(&images->dir, &image, say_skipped, NULL, error);
    }
    for (size_t i = 0; i < images->count && index > 0; i++) {
        if (images->list[i].index == index) {
            code = image_load(&images->dir, images->list[i], &image, error);
            break;
        }
    }
    if (code == OK && image.state == NULL && index == 0 && images->count > 0) {
        code = error_set(error, ERR_SNAP_CORRUPT, "SNAP_CORRUPT %s/snap: no image is whole", path);
    } else if (code == OK && image.state == NULL) {
        code = error_set(error, ERR_INVALID,
                         index == 0 ? "%s holds no snapshot: there is none in %s/snap; is it the data directory?"
                                    : "%s holds no snapshot at that index; ls %s/snap shows which there are",
                         path, path);
    }
    *chosen = image.last;
    image_free(&image);
    return code;
}

static enum error_code print_records(struct wal_image_reader *reader, struct error *error) {
    struct slice members;
    uint64_t digest;
    enum error_code code = wal_image_next(reader, &members, &digest, error);
    while (code == OK && members.data != NULL) {
        putchar('{');
        fwrite(members.data, 1, members.len, stdout);
        fputs("}\n", stdout);
        code = wal_image_next(reader, &members, &digest, error);
    }
    if (code == OK && (fflush(stdout) != 0 || ferror(stdout))) {
        code = error_set(error, ERR_IO, "writing the records: %s", strerror(errno));
    }
    return code;
}

// *began: something may have been printed.
static enum error_code print_image(const struct images *images, const char *path, raft_index index, bool *began,
                                   struct error *error) {
    struct raft_entry_id chosen;
    enum error_code code = choose(images, path, index, &chosen, error);
    if (code != OK) {
        return code;
    }
    struct wal_image_reader reader;
    struct wal_image_header header;
    code = wal_image_open(&images->dir, chosen, &reader, &header, error);
    if (code == OK) {
        *began = true;
        code = print_records(&reader, error);
    }
    wal_image_close(&reader);
    return code;
}

enum error_code offline_dump_snapshot(const char *path, raft_index index, struct error *error) {
    struct images images;
    bool began = false;
    enum error_code code = images_look(&images, path, error);
    if (code == OK) {
        code = print_image(&images, path, index, &began, error);
    }
    for (int i = 1; code == ERR_IO && !began && i < LISTINGS_MAX && images_changed(&images); i++) {
        code = print_image(&images, path, index, &began, error);
    }
    images_free(&images);
    return code;
}
