// The story with each of its writes and each of its syncs failing once: an error, or no space, before or after some bytes
// have arrived. The node's process ends, or it waits for space; then there is a crash, and a start must find all that was
// acknowledged, and no refusal. A sync that has failed is lost for good, however often it is repeated (wal_disk.h).
#include <errno.h>
#include <stdio.h>

#include "scene.h"

enum fault { FAULT_WRITE, FAULT_WRITE_LATER, FAULT_SYNC, FAULT_SPACE, FAULT_SPACE_LATER, FAULTS };

enum { SOME_BYTES = 600, NEXT_CALLS = 3 };

static bool is_write(enum fault fault) {
    return fault != FAULT_SYNC;
}

static void plan(struct disk *disk, enum fault fault, uint64_t at) {
    *(is_write(fault) ? &disk->fail_write_at : &disk->fail_sync_at) = at;
    disk->fail_errno = fault >= FAULT_SPACE ? ENOSPC : EIO;
    disk->fail_after = fault == FAULT_WRITE_LATER || fault == FAULT_SPACE_LATER ? SOME_BYTES : 0;
}

// On a full disk term and vote are written ahead of the entries that wait: so there are further moments, with the votes of
// those that wait, but not their entries.
static void note_votes(struct story *story) {
    struct truth *truth = &story->truth;
    size_t entries = truth->acknowledged;
    size_t made = truth->made;
    size_t voted = story->opened_at + story->durable_hard_state_write;
    truth->acknowledged = voted > entries ? voted : entries;
    for (size_t k = truth->acknowledged; k <= made; k++) {
        struct moment votes = truth->moments[entries];
        votes.term = truth->moments[k].term;
        memcpy(votes.vote, truth->moments[k].vote, sizeof votes.vote);
        *truth_next(truth) = votes;
    }
}

static void crash_after(struct story *story, uint64_t luck, uint64_t seed, const char *name) {
    struct scene scene;
    scene_init(&scene, story);
    snprintf(scene.name, sizeof scene.name, "%s, luck %llu", name, (unsigned long long)luck);
    set_luck(&scene.base, luck, seed);
    if (luck != LUCK_KILLED) {
        disk_crash(&scene.base);
    }
    disk_clone(&scene.scratch, &scene.base);
    size_t found = scene_start(&scene) ? scene_find(&scene, scene.from, scene.to) : MOMENTS_MAX;
    victim_stop(&scene.victim, false);
    if (found != MOMENTS_MAX) {
        scene_crash_again(&scene, found, 0, LUCK_LOSES, seed);
    }
    report_case(ATTACK_FAULT, OUTCOME_WHOLE);
    scene_free(&scene);
}

static void tell(struct story *story, uint64_t seed, enum fault fault, uint64_t at, uint64_t crash_at) {
    story_init(story, seed, seed % 3 == 2 ? DISK_NO_DIRECT : DISK_DIRECT);
    story->faulty = true;
    plan(&story->disk, fault, at);
    story->disk.crash_at = crash_at;
    story_tell(story, CHAPTER_END);
    if (fault >= FAULT_SPACE) {
        note_votes(story);
    }
}

// The machine stops in one of the next calls, if the node goes on at all.
static void crash_soon(uint64_t seed, enum fault fault, uint64_t at, uint64_t failed_call) {
    for (uint64_t next = 1; next <= NEXT_CALLS; next++) {
        struct story story;
        char name[64];
        tell(&story, seed, fault, at, failed_call + next);
        snprintf(name, sizeof name, "SEED=%llu fault %d at %llu, %llu later", (unsigned long long)seed, fault,
                 (unsigned long long)at, (unsigned long long)next);
        for (uint64_t luck = LUCK_COIN; luck < LUCKS; luck++) {
            crash_after(&story, luck, seed + at, name);
        }
        story_free(&story);
    }
}

// False: there is no such call.
static bool fail_at(uint64_t seed, enum fault fault, uint64_t at) {
    struct story story;
    char name[64];
    tell(&story, seed, fault, at, 0);
    bool met = story.disk.failed_call > 0;
    snprintf(name, sizeof name, "SEED=%llu fault %d at %llu", (unsigned long long)seed, fault, (unsigned long long)at);
    for (uint64_t luck = 0; met && luck <= LUCK_COIN; luck++) {
        crash_after(&story, luck, seed + at, name);
    }
    if (met && story.disk.calls > story.disk.failed_call) {
        crash_soon(seed, fault, at, story.disk.failed_call);
    }
    story_free(&story);
    return met;
}

void attack_faults(uint64_t seed, const struct share *share) {
    uint64_t n = 0;
    for (enum fault fault = 0; fault < FAULTS; fault++) {
        bool met = true;
        for (uint64_t at = 1; met; at++) {
            met = !share_has(share, n++) || fail_at(seed, fault, at);
            met = met && at < STORY_CALLS_MAX;
        }
    }
}
