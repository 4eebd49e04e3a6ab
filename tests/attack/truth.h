// What the directory under attack must hold: each state of the log that was ever written, which of them were acknowledged,
// and the images.
#ifndef BATON_TESTS_ATTACK_TRUTH_H
#define BATON_TESTS_ATTACK_TRUTH_H

#include "raft/raft.h"
#include "victim.h"

enum { ENTRIES_MAX = 160, MOMENTS_MAX = 160, PICTURES_MAX = 8, WHY_MAX = 160 };

// The log after one write.
struct moment {
    raft_term term;
    char vote[8];
    struct raft_entry_id base;                // it begins after this entry: an image was installed
    size_t count;                             // the last entry's index
    struct raft_entry *entries[ENTRIES_MAX];  // by index - 1; NULL up to the base
};

struct picture {
    struct raft_entry_id last;
    uint64_t digest;
    bool durable;  // else it was begun
};

struct truth {
    struct moment moments[MOMENTS_MAX];  // [0]: an empty directory
    size_t made;                         // the last one
    size_t acknowledged;                 // all up to this one are
    struct picture pictures[PICTURES_MAX];
    size_t picture_count;
    raft_index compacted;  // entries up to here need not be in the log
    // What is committed, by all nodes' logs.
    struct raft_entry *committed[ENTRIES_MAX];
    size_t committed_count;
};

// The next moment, a copy of the last one, to be changed by the caller.
struct moment *truth_next(struct truth *truth);

// From `first` on the moment holds these entries.
void moment_take(struct moment *moment, raft_index first, struct raft_entry *const *entries, size_t count);

void truth_commit(struct truth *truth, raft_index index);

// A state machine that has applied what is committed up to `index`.
struct state *truth_state(const struct truth *truth, raft_index index);

void truth_begin_picture(struct truth *truth, struct raft_entry_id last, uint64_t digest);
void truth_keep_picture(struct truth *truth);  // the last one begun is durable

// Whether a victim that has just started holds this moment, and an image that continues it; *why: what is not so.
bool moment_holds(const struct truth *truth, const struct moment *moment, const struct victim *victim, char why[WHY_MAX]);

// The first moment from `from` to `to` that the victim holds; MOMENTS_MAX: none. `older_image`: it need not be the newest.
size_t truth_find(const struct truth *truth, size_t from, size_t to, bool older_image, const struct victim *victim,
                  char why[WHY_MAX]);

#endif
