// The story stopped in each of its calls. What the crash leaves of what was not synced is drawn in several ways: all,
// nothing, and by the toss of a coin, sector by sector and name by name. The start that follows is stopped in each of its
// own calls, too, and after the last one; then one more start must find all that was acknowledged.
#include <stdio.h>

#include "story.h"

enum {
    LUCKS = 5,         // ways of losing: all kept, all lost, and coins
    SECOND_LUCKS = 3,  // of the second crash
    PART_TRIES = 2,    // of receiving an image whose part the crash may have damaged
};

// A disk after a crash, and what must be on it.
struct scene {
    struct story *story;
    struct disk base;
    struct disk scratch;
    struct victim victim;  // on the scratch disk
    size_t from;           // moments that it may hold
    size_t to;
    char name[96];
};

static void set_luck(struct disk *disk, uint64_t luck, uint64_t seed) {
    disk->luck = luck == 0 ? DISK_KEEPS : luck == 1 ? DISK_LOSES : DISK_COIN;
    disk->seed = seed * 0x9e3779b97f4a7c15 + luck;
}

static void scene_init(struct scene *scene, struct story *story) {
    *scene = (struct scene){.story = story, .from = story->truth.acknowledged, .to = story->truth.made};
    disk_init(&scene->base, 1);
    disk_copy(&scene->base, &story->disk);
    disk_init(&scene->scratch, 1);
    scene->scratch.direct = story->disk.direct;
    victim_init(&scene->victim, &scene->scratch, story->slab);
    buf_append_slice(&scene->victim.configuration, buf_slice(&story->victim.configuration));
}

static void scene_free(struct scene *scene) {
    victim_free(&scene->victim);
    disk_free(&scene->scratch);
    disk_free(&scene->base);
}

// The moment that a start finds, which must be one of those from `from` to `to`; MOMENTS_MAX: it is broken.
static size_t start(struct scene *scene, size_t from, size_t to) {
    char why[WHY_MAX];
    enum error_code code = victim_start(&scene->victim);
    if (scene->scratch.dead) {
        return MOMENTS_MAX;
    }
    if (code != OK) {
        report_broken("%s: refused after a mere crash: %s", scene->name, scene->victim.error.message);
        return MOMENTS_MAX;
    }
    size_t found = truth_find(&scene->story->truth, from, to, false, &scene->victim, why);
    if (found == MOMENTS_MAX) {
        report_broken("%s: of moments %zu to %zu it holds none: %s", scene->name, from, to, why);
    }
    return found;
}

// What was found is no accident of one start: the log goes on from there, and is found again with what was added.
static void go_on(struct scene *scene, size_t found) {
    struct story *story = scene->story;
    struct victim *v = &scene->victim;
    struct moment next = story->truth.moments[found];
    char why[WHY_MAX];
    if (v->recovered.log.base.index + v->recovered.log.count != next.count) {  // it begins anew behind an image
        memset(next.entries, 0, sizeof next.entries);
        next.base = v->newest;
        next.count = (size_t)v->newest.index;
    }
    struct raft_hard_state hard_state = {.current_term = ++next.term, .voted_for = raft_id_of(slice_of_str("n2"))};
    snprintf(next.vote, sizeof next.vote, "n2");
    struct raft_entry_id id = {.term = next.term, .index = next.count + 1};
    struct raft_entry *entry = raft_entry_new(story->slab, RAFT_ENTRY_NOOP, id, 0);
    moment_take(&next, id.index, &entry, 1);
    victim_push(v, &hard_state, (struct raft_entry_id){0}, &entry, 1);
    victim_run(v);
    victim_stop(v, found % 2 == 0);
    if (victim_start(v) != OK) {
        report_broken("%s: refused after it went on: %s", scene->name, v->error.message);
    } else if (!moment_holds(&story->truth, &next, v, why)) {
        report_broken("%s: after it went on: %s", scene->name, why);
    }
    victim_stop(v, false);
    raft_entry_unref(entry);
}

// An image that was on its way arrives in the end, whatever the crash has left of its part.
static void arrive(struct scene *scene) {
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

static void crash_again(struct scene *scene, enum operation operation, uint64_t call, uint64_t seed, size_t whole,
                        uint64_t calls) {
    for (uint64_t luck = 0; luck < SECOND_LUCKS; luck++) {
        disk_copy(&scene->scratch, &scene->base);
        scene->scratch.calls = 0;
        scene->scratch.crash_at = call;
        set_luck(&scene->scratch, luck, seed + call);
        enum error_code code = victim_start(&scene->victim);
        victim_stop(&scene->victim, false);
        if (code != OK && !scene->scratch.dead) {
            report_broken("%s: refused after a mere crash: %s", scene->name, scene->victim.error.message);
        }
        disk_crash(&scene->scratch);
        // A start that has ended may have voted since: the next one must find the same.
        size_t found = call <= calls ? start(scene, scene->from, scene->to) : start(scene, whole, whole);
        if (found != MOMENTS_MAX) {
            report_case(ATTACK_DOUBLE, OUTCOME_WHOLE);
            report_crash(operation, true);
        }
        victim_stop(&scene->victim, false);
    }
}

// The disk as the story's crash has left it is started, with a second crash in each call.
static void start_all(struct scene *scene, enum operation operation, uint64_t seed) {
    disk_copy(&scene->scratch, &scene->base);
    scene->scratch.calls = scene->scratch.crash_at = 0;
    size_t found = start(scene, scene->from, scene->to);
    uint64_t calls = scene->scratch.calls;
    if (found == MOMENTS_MAX) {
        victim_stop(&scene->victim, false);
        return;
    }
    report_case(ATTACK_CRASH, OUTCOME_WHOLE);
    report_crash(operation, false);
    arrive(scene);
    victim_stop(&scene->victim, false);
    disk_copy(&scene->scratch, &scene->base);
    if (start(scene, found, found) != MOMENTS_MAX) {
        go_on(scene, found);
    }
    victim_stop(&scene->victim, false);
    for (uint64_t call = 1; call <= calls + 1; call++) {
        crash_again(scene, operation, call, seed, found, calls);
    }
}

// The start after a crash that has torn the last batch is a repair; each of its calls is a first crash, too.
static void repair(struct story *story, struct scene *torn, uint64_t seed) {
    for (uint64_t call = 1;; call++) {
        struct scene scene;
        disk_copy(&torn->scratch, &torn->base);
        torn->scratch.calls = 0;
        torn->scratch.crash_at = call;
        set_luck(&torn->scratch, 2, seed + call);
        victim_start(&torn->victim);
        victim_stop(&torn->victim, false);
        bool ended = !torn->scratch.dead;
        disk_crash(&torn->scratch);
        if (ended) {
            return;
        }
        scene_init(&scene, story);
        disk_copy(&scene.base, &torn->scratch);
        snprintf(scene.name, sizeof scene.name, "%.60s, repair stopped in call %llu", torn->name, (unsigned long long)call);
        start_all(&scene, OP_REPAIR, seed + call);
        scene_free(&scene);
    }
}

static bool is_torn(struct scene *scene) {
    disk_copy(&scene->scratch, &scene->base);
    scene->scratch.crash_at = 0;
    enum error_code code = victim_start(&scene->victim);
    bool torn = code == OK && scene->victim.recovered.torn_bytes > 0;
    victim_stop(&scene->victim, false);
    return torn;
}

static void crash_in(uint64_t seed, uint64_t call, uint64_t luck, bool repairs) {
    struct story story;
    struct scene scene;
    story_init(&story, seed, seed % 3 == 2 ? DISK_NO_DIRECT : DISK_DIRECT);
    story.disk.crash_at = call;
    story_tell(&story, CHAPTER_END);
    set_luck(&story.disk, luck, seed + call);
    disk_crash(&story.disk);
    scene_init(&scene, &story);
    snprintf(scene.name, sizeof scene.name, "SEED=%llu call %llu luck %llu", (unsigned long long)seed,
             (unsigned long long)call, (unsigned long long)luck);
    start_all(&scene, story.operation, seed + call);
    if (repairs && is_torn(&scene)) {
        repair(&story, &scene, seed + call);
    }
    scene_free(&scene);
    story_free(&story);
}

void attack_crashes(uint64_t seed, const struct share *share) {
    struct story whole;
    story_init(&whole, seed, DISK_DIRECT);
    story_tell(&whole, CHAPTER_END);
    uint64_t calls = whole.disk.calls;
    story_free(&whole);
    for (uint64_t n = 0; n < calls * LUCKS; n++) {
        if (share_has(share, n)) {
            crash_in(seed, 1 + n / LUCKS, n % LUCKS, n % LUCKS == LUCKS - 1);
        }
    }
}
