// A disk after a crash, what must be on it, and starts on it.
#ifndef BATON_TESTS_ATTACK_SCENE_H
#define BATON_TESTS_ATTACK_SCENE_H

#include "story.h"

// What a crash leaves of what was not synced.
enum luck {
    LUCK_KEEPS,
    LUCK_LOSES,
    LUCK_LITTLE,  // is lost
    LUCK_KILLED,  // only the process ends: all is there, and still not synced
    LUCK_COIN,    // sector by sector and name by name; so is each number from here on
    LUCKS = LUCK_COIN + 3,
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

void set_luck(struct disk *disk, uint64_t luck, uint64_t seed);

// The story is over; its disk is copied as it is.
void scene_init(struct scene *scene, struct story *story);
void scene_free(struct scene *scene);

// Starts. False: the disk has stopped, or it is broken, as it must not refuse.
bool scene_start(struct scene *scene);

// The moment that it holds, which must be one of those from `from` to `to`; MOMENTS_MAX: it is broken.
size_t scene_find(const struct scene *scene, size_t from, size_t to);

// An image that was on its way arrives in the end, whatever the crash has left of its part.
void scene_arrive(struct scene *scene);

// A start, which finds the moment `found`, and a write, with a crash in their call of this number (0: after them), and what
// the next start finds. True: the crash came after all of it.
bool scene_crash_again(struct scene *scene, size_t found, uint64_t call, uint64_t luck, uint64_t seed);

#endif
