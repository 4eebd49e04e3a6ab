// The story stopped in each of its calls: the process alone, whose writes stay in the page cache, or the machine. The start
// that follows is stopped in each of its own calls, too, in those of a write after it, and after that; then one more start
// must find all that was acknowledged.
#include <stdio.h>

#include "scene.h"

enum { SECOND_LUCKS = 3 };  // of the second crash, of the machine: all kept, all lost, a coin

// The disk as the story's crash has left it is started, with a second crash in each call.
static void start_all(struct scene *scene, enum operation operation, uint64_t seed) {
    disk_clone(&scene->scratch, &scene->base);
    scene->scratch.crash_at = 0;
    size_t found = scene_start(scene) ? scene_find(scene, scene->from, scene->to) : MOMENTS_MAX;
    report_case(ATTACK_CRASH, OUTCOME_WHOLE);
    report_crash(operation, false);
    if (found == MOMENTS_MAX) {
        victim_stop(&scene->victim, false);
        return;
    }
    scene_arrive(scene);
    victim_stop(&scene->victim, false);
    bool ended = false;
    for (uint64_t call = 1; !ended; call++) {
        for (uint64_t luck = 0; luck < SECOND_LUCKS; luck++) {
            ended = scene_crash_again(scene, found, call, luck < LUCK_LITTLE ? luck : LUCK_COIN, seed);
            report_case(ATTACK_DOUBLE, OUTCOME_WHOLE);
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
        set_luck(&torn->scratch, LUCK_COIN, seed + call);
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
