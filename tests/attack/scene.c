// A disk after a crash: scene.h.
#include "scene.h"

#include <stdio.h>

enum {
    MORE_BYTES = 900,  // of an entry: several sectors
    PART_TRIES = 2,    // of receiving an image whose part the crash may have damaged
};

void set_luck(struct disk *disk, uint64_t luck, uint64_t seed) {
    disk->luck = luck == LUCK_KEEPS    ? DISK_KEEPS
                 : luck == LUCK_LOSES  ? DISK_LOSES
                 : luck == LUCK_LITTLE ? DISK_LOSES_LITTLE
                                       : DISK_COIN;
    disk->seed = seed * 0x9e3779b97f4a7c15 + luck;
}

void scene_init(struct scene *scene, struct story *story) {
    *scene = (struct scene){.story = story, .from = story->truth.acknowledged, .to = story->truth.made};
    disk_init(&scene->base, 1);
    disk_clone(&scene->base, &story->disk);
    disk_init(&scene->scratch, 1);
    scene->scratch.direct = story->disk.direct;
    scene->scratch.halve = story->disk.halve;
    scene->scratch.eintr = story->disk.eintr;
    victim_init(&scene->victim, &scene->scratch, story->slab);
    buf_append_slice(&scene->victim.configuration, buf_slice(&story->victim.configuration));
}

void scene_free(struct scene *scene) {
    victim_free(&scene->victim);
    disk_free(&scene->scratch);
    disk_free(&scene->base);
}

bool scene_start(struct scene *scene) {
    enum error_code code = victim_start(&scene->victim);
    if (scene->scratch.dead) {
        return false;
    }
    if (code != OK) {
        report_broken("%s: refused after a mere crash: %s", scene->name, scene->victim.error.message);
    }
    return code == OK;
}

size_t scene_find(const struct scene *scene, size_t from, size_t to) {
    char why[WHY_MAX];
    size_t found = truth_find(&scene->story->truth, from, to, false, &scene->victim, why);
    if (found == MOMENTS_MAX) {
        report_broken("%s: of moments %zu to %zu it holds none: %s", scene->name, from, to, why);
    }
    return found;
}

// --- going on ---

// One more write, in a new term: what the log must hold then.
static void write_more(struct scene *scene, size_t found, struct raft_entry *entry, struct moment *next) {
    struct victim *v = &scene->victim;
    *next = scene->story->truth.moments[found];
    if (v->recovered.log.base.index + v->recovered.log.count != next->count) {  // it begins anew behind an image
        memset(next->entries, 0, sizeof next->entries);
        next->base = v->newest;
        next->count = (size_t)v->newest.index;
    }
    entry->id = (struct raft_entry_id){.term = ++next->term, .index = next->count + 1};
    snprintf(next->vote, sizeof next->vote, "n2");
    struct raft_hard_state hard_state = {.current_term = next->term, .voted_for = raft_id_of(slice_of_str(next->vote))};
    moment_take(next, entry->id.index, &entry, 1);
    victim_push(v, &hard_state, (struct raft_entry_id){0}, &entry, 1);
    victim_run(v);
}

static void check_more(const struct scene *scene, size_t found, const struct moment *next, bool durable) {
    const struct truth *truth = &scene->story->truth;
    char why[WHY_MAX];
    if (!moment_holds(truth, next, &scene->victim, why) &&
        (durable || !moment_holds(truth, &truth->moments[found], &scene->victim, why))) {
        report_broken("%s: after it went on: %s", scene->name, why);
    }
}

void scene_arrive(struct scene *scene) {
    struct story *story = scene->story;
    struct victim *v = &scene->victim;
    if (story->arriving.index == 0 || v->newest.index >= story->arriving.index) {
        return;
    }
    enum error_code code = ERR_IO;
    for (int tries = 0; code != OK && tries < PART_TRIES; tries++) {
        code = victim_receive(v, story->arriving, buf_slice(&story->arriving_bytes));
    }
    if (code != OK) {
        report_broken("%s: the image does not arrive: %s", scene->name, v->error.message);
    }
}

// --- the second crash ---

bool scene_crash_again(struct scene *scene, size_t found, uint64_t call, uint64_t luck, uint64_t seed) {
    struct victim *v = &scene->victim;
    struct moment next;
    struct raft_entry *entry = raft_entry_new(scene->story->slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0}, MORE_BYTES);
    memset(entry->data, 'm', MORE_BYTES);
    disk_clone(&scene->scratch, &scene->base);
    scene->scratch.calls = 0;
    scene->scratch.crash_at = call;
    set_luck(&scene->scratch, luck, seed + call);
    bool started = scene_start(scene);
    if (started) {
        write_more(scene, found, entry, &next);
    }
    bool durable = started && v->writer->durable_write == 1;
    bool ended = !scene->scratch.dead;
    victim_stop(v, false);
    disk_crash(&scene->scratch);
    if (scene_start(scene)) {
        if (started) {
            check_more(scene, found, &next, durable);
        } else {
            scene_find(scene, scene->from, scene->to);
        }
    }
    victim_stop(v, false);
    raft_entry_unref(entry);
    return ended;
}
