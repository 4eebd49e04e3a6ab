// What happens to the directory under attack, from an empty disk on: every operation of a node that changes it. A story is
// told up to a chapter, or until the disk stops.
#ifndef BATON_TESTS_ATTACK_STORY_H
#define BATON_TESTS_ATTACK_STORY_H

#include "attack.h"
#include "base/rng.h"
#include "truth.h"
#include "victim.h"

enum chapter {
    CHAPTER_LOG,        // three segments and no image
    CHAPTER_IMAGES,     // two images; of the log what the older one needs, and what is retained
    CHAPTER_INSTALLED,  // one image, from another node, and the log that began anew behind it
    CHAPTER_END,
};

enum { PLACES_MAX = 200, STORY_ENTRIES_MAX = 400, STORY_CALLS_MAX = 1000 };

// Where a batch ends, and the moment that is durable with it.
struct place {
    uint64_t segment;
    uint64_t begin;
    uint64_t end;
    size_t moment;
};

struct story {
    struct disk disk;
    struct victim victim;
    struct truth truth;
    struct rng rng;
    enum operation operation;           // what it does, or did when the disk stopped
    bool faulty;                        // a call is to fail
    bool failed;                        // it did, and the node's process ends, or waits for space
    size_t opened_at;                   // the moment at the last start
    uint64_t durable_hard_state_write;  // as the log had it when the story was over
    struct place places[PLACES_MAX];
    size_t place_count;
    struct raft_entry *entries[STORY_ENTRIES_MAX];  // all that were made
    size_t entry_count;
    struct raft_slab *slab;
    // The image that was on its way when the disk stopped; index 0: none.
    struct raft_entry_id arriving;
    struct buf arriving_bytes;
};

void story_init(struct story *story, uint64_t seed, enum disk_direct direct);
void story_free(struct story *story);

// The victim is as killed then.
void story_tell(struct story *story, enum chapter chapter);

// The next entry of the log that a moment ends with, for tests that go on with it.
struct raft_entry *story_entry(struct story *story, struct raft_entry_id id, size_t len);

#endif
