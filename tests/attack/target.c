// The files of a directory, and starts on damaged ones: target.h.
#include "target.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/image.h"

// --- the files ---

static void add_batches(const struct story *story, struct target *target, uint64_t number) {
    for (size_t i = 0; i < story->place_count; i++) {
        const struct place *place = &story->places[i];
        if (place->segment == number) {
            assert(target->batches < SEGMENT_BATCHES_MAX);
            target->ends[target->batches] = place->end;
            target->moments[target->batches++] = place->moment;
        } else if (place->segment < number) {
            target->moment_before = place->moment;
        }
    }
}

// The entry that a segment begins behind.
static raft_index base_of(const struct story *story, const struct target *target) {
    const struct moment *before = &story->truth.moments[target->moment_before];
    const struct moment *after = &story->truth.moments[target->batches > 0 ? target->moments[0] : target->moment_before];
    return after->base.index != before->base.index ? after->base.index : before->count;
}

static struct target *add_target(struct range *r, enum kind kind, const char *name) {
    assert(r->count < TARGETS_MAX);
    struct target *target = &r->targets[r->count++];
    *target = (struct target){.kind = kind};
    snprintf(target->path, sizeof target->path, "data/%.58s", name);
    target->size = disk_bytes(&r->base, target->path).len;
    return target;
}

static void add_segments(struct range *r, const struct wal_directory *dir) {
    uint64_t *numbers;
    size_t count;
    struct error error;
    enum error_code code = wal_directory_segments(dir, &numbers, &count, &error);
    assert(code == OK && count > 0);
    raft_index newest = r->story.victim.newest.index;
    raft_index from = newest > r->story.victim.retained ? newest - r->story.victim.retained : 0;
    for (size_t i = 0; i < count; i++) {
        char name[WAL_SEGMENT_NAME_SIZE + 4] = "wal/";
        wal_segment_name(name + 4, numbers[i]);
        struct target *target = add_target(r, KIND_SEGMENT, name);
        add_batches(&r->story, target, numbers[i]);
        target->first = i == 0;
        target->kind = target->batches == 0 ? KIND_BLANK : KIND_SEGMENT;
        r->has_blank |= target->batches == 0;
        for (struct target *t = r->targets; i > 0 && target->batches > 0 && t < target; t++) {
            t->kind = base_of(&r->story, target) <= from ? KIND_SKIPPED : t->kind;
        }
    }
    struct target *last = &r->targets[r->count - 1];
    last -= last->kind == KIND_BLANK;
    last->kind = KIND_LAST_SEGMENT;
    free(numbers);
}

static void add_images(struct range *r, const struct wal_directory *dir) {
    struct raft_entry_id *list;
    size_t count;
    struct error error;
    enum error_code code = wal_images(dir, &list, &count, &error);
    assert(code == OK);
    for (size_t i = 0; i < count; i++) {
        char name[WAL_IMAGE_NAME_SIZE + 5] = "snap/";
        wal_image_name(name + 5, list[i]);
        add_target(r, i == 0 ? KIND_IMAGE : KIND_OLDER_IMAGE, name);
        r->older_image |= i > 0;
    }
    free(list);
}

static void cut_filling(struct range *r, uint64_t filling) {
    for (size_t i = 0; i < r->count; i++) {
        struct target *target = &r->targets[i];
        uint64_t to = (target->kind == KIND_BLANK ? 0
                       : target->batches > 0      ? target->ends[target->batches - 1]
                                                  : 0) +
                      filling;
        bool filled = target->kind == KIND_BLANK || target->kind == KIND_LAST_SEGMENT;
        if (filled && target->size > to) {
            struct buf bytes = {0};
            buf_append(&bytes, disk_bytes(&r->base, target->path).data, to);
            disk_put(&r->base, target->path, buf_slice(&bytes));
            buf_free(&bytes);
            target->size = to;
        }
    }
}

void range_init(struct range *r, enum chapter chapter, uint64_t filling) {
    struct wal_directory dir;
    struct error error;
    *r = (struct range){.changed = true};
    story_init(&r->story, 1, DISK_DIRECT);
    story_tell(&r->story, chapter);
    disk_init(&r->base, 1);
    disk_init(&r->scratch, 1);
    disk_copy(&r->base, &r->story.disk);
    victim_init(&r->victim, &r->scratch, r->story.slab);
    enum error_code code = wal_directory_look(&dir, "data", &r->base.io, &error);
    assert(code == OK);
    add_segments(r, &dir);
    add_images(r, &dir);
    wal_directory_close(&dir);
    cut_filling(r, filling);
}

void range_free(struct range *r) {
    victim_free(&r->victim);
    disk_free(&r->base);
    disk_free(&r->scratch);
    story_free(&r->story);
}

size_t target_moment(const struct target *target, uint64_t bytes) {
    size_t moment = target->moment_before;
    for (size_t i = 0; i < target->batches && target->ends[i] <= bytes + 1; i++) {
        moment = target->moments[i];
    }
    return moment;
}

// --- starts ---

static void put(struct range *r, const struct target *target, struct slice bytes) {
    if (bytes.data == NULL) {
        disk_remove(&r->scratch, target->path);
    } else {
        disk_put(&r->scratch, target->path, bytes);
    }
}

// A refusal has changed nothing: the scratch disk is the base but for the file.
static enum outcome refused(struct range *r, const struct target *target, struct slice bytes, enum error_code code,
                            const char *name) {
    put(r, target, disk_bytes(&r->base, target->path));
    bool same = bytes.data == NULL || disk_equal(&r->base, &r->scratch);
    if (!same) {
        report_broken("%s: refused, but files have changed", name);
        r->changed = true;
    }
    switch (code) {
    case ERR_WAL_CORRUPT:
        return OUTCOME_WAL_CORRUPT;
    case ERR_WAL_GAP:
        return OUTCOME_WAL_GAP;
    case ERR_SNAP_CORRUPT:
        return OUTCOME_SNAP_CORRUPT;
    default:
        report_broken("%s: refused with %s: %s", name, error_name(code), r->victim.error.message);
        return OUTCOMES;
    }
}

enum outcome range_start(struct range *r, const struct target *target, struct slice bytes, size_t moment, const char *name) {
    struct truth *truth = &r->story.truth;
    struct victim *v = &r->victim;
    char why[WHY_MAX];
    if (r->changed) {
        disk_copy(&r->scratch, &r->base);
        r->changed = false;
    }
    put(r, target, bytes);
    enum error_code code = victim_start(v);
    if (code != OK) {
        victim_stop(v, false);
        return refused(r, target, bytes, code, name);
    }
    r->changed = true;
    raft_index compacted = truth->compacted;
    if (bytes.data == NULL && target->first) {  // of what the image covers, less is kept
        truth->compacted = v->newest.index;
    }
    bool older = target->kind == KIND_IMAGE;
    size_t found = truth_find(truth, moment, moment, older, v, why);
    truth->compacted = compacted;
    if (found == MOMENTS_MAX) {
        report_broken("%s: silently something else: %s", name, why);
    }
    bool torn = moment != truth->acknowledged;
    enum outcome outcome = torn                                              ? OUTCOME_TORN
                           : v->newest.index == r->story.victim.newest.index ? OUTCOME_WHOLE
                                                                             : OUTCOME_OLDER_IMAGE;
    victim_stop(v, false);
    return outcome;
}
