// The story stopped in each of its calls. What the crash leaves of what was not synced is drawn in several ways: all,
// nothing, and by the toss of a coin, sector by sector and name by name. The start that follows is stopped in each of its
// own calls, too, and after the last one; then one more start must find all that was acknowledged.
#include <stdio.h>

#include "story.h"

enum {
    LUCK_KEEPS,
    LUCK_LOSES,
    LUCK_KILLED,       // only the process ends
    LUCKS = 6,         // these, and coins
    SECOND_LUCKS = 3,  // of the second crash, of the machine: all kept, all lost, a coin
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
    disk->luck = luck == LUCK_KEEPS ? DISK_KEEPS : luck == LUCK_LOSES ? DISK_LOSES : DISK_COIN;
    disk->seed = seed * 0x9e3779b97f4a7c15 + luck;
}

static void scene_init(struct scene *scene, struct story *story) {
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

static void scene_free(struct scene *scene) {
    victim_free(&scene->victim);
    disk_free(&scene->scratch);
    disk_free(&scene->base);
}

// Starts. False: the disk has stopped, or it is broken, as it must not refuse.
static bool start(struct scene *scene) {
    enum error_code code = victim_start(&scene->victim);
    if (scene->scratch.dead) {
        return false;
    }
    if (code != OK) {
        report_broken("%s: refused after a mere crash: %s", scene->name, scene->victim.error.message);
    }
    return code == OK;
}

// The moment that it holds, which must be one of those from `from` to `to`; MOMENTS_MAX: it is broken.
static size_t find(const struct scene *scene, size_t from, size_t to) {
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

// --- the second crash ---

// In a call of the start, which would find the moment `found`, or of the write that follows it, or after that.
static bool crash_again(struct scene *scene, size_t found, uint64_t call, uint64_t luck, uint64_t seed) {
    struct victim *v = &scene->victim;
    struct moment next;
    struct raft_entry *entry = raft_entry_new(scene->story->slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){0}, 0);
    disk_clone(&scene->scratch, &scene->base);
    scene->scratch.calls = 0;
    scene->scratch.crash_at = call;
    set_luck(&scene->scratch, luck, seed + call);
    bool started = start(scene);
    if (started) {
        write_more(scene, found, entry, &next);
    }
    bool durable = started && v->writer->durable_write == 1;
    bool ended = !scene->scratch.dead;
    victim_stop(v, false);
    disk_crash(&scene->scratch);
    if (start(scene)) {
        if (started) {
            check_more(scene, found, &next, durable);
        } else {
            find(scene, scene->from, scene->to);
        }
        report_case(ATTACK_DOUBLE, OUTCOME_WHOLE);
    }
    victim_stop(v, false);
    raft_entry_unref(entry);
    return ended;
}

// The disk as the story's crash has left it is started, with a second crash in each call.
static void start_all(struct scene *scene, enum operation operation, uint64_t seed) {
    disk_clone(&scene->scratch, &scene->base);
    scene->scratch.crash_at = 0;
    size_t found = start(scene) ? find(scene, scene->from, scene->to) : MOMENTS_MAX;
    report_case(ATTACK_CRASH, OUTCOME_WHOLE);
    report_crash(operation, false);
    if (found == MOMENTS_MAX) {
        victim_stop(&scene->victim, false);
        return;
    }
    arrive(scene);
    victim_stop(&scene->victim, false);
    bool ended = false;
    for (uint64_t call = 1; !ended; call++) {
        for (uint64_t luck = 0; luck < SECOND_LUCKS; luck++) {
            ended = crash_again(scene, found, call, luck < LUCK_KILLED ? luck : LUCKS, seed);
            report_crash(operation, true);
        }
    }
}

// The start after a crash that has torn the last batch is a repair; each of its calls is a first crash, too.
static void repair(struct story *story, struct scene *torn, uint64_t seed) {
    for (uint64_t call = 1;; call++) {
        struct scene scene;
        disk_clone(&torn->scratch, &torn->base);
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
        disk_clone(&scene.base, &torn->scratch);
        snprintf(scene.name, sizeof scene.name, "%.60s, repair stopped in call %llu", torn->name, (unsigned long long)call);
        start_all(&scene, OP_REPAIR, seed + call);
        scene_free(&scene);
    }
}

static bool is_torn(struct scene *scene) {
    disk_clone(&scene->scratch, &scene->base);
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
    if (luck == LUCK_KILLED) {
        disk_kill(&story.disk);
    } else {
        disk_crash(&story.disk);
    }
    scene_init(&scene, &story);
    snprintf(scene.name, sizeof scene.name, "SEED=%llu call %llu luck %llu", (unsigned long long)seed,
             (unsigned long long)call, (unsigned long long)luck);
    start_all(&scene, story.operation, seed + call * LUCKS + luck);
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
