// When the cluster's level rises: pure. All members must be able to read what is made from then on, and none of them can
// come back after it with a version that does not.
#ifndef BATON_POLICY_LEVEL_H
#define BATON_POLICY_LEVEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

// How long all members tell a level before it is raised: one that has just been upgraded may prove bad and be set back.
#define LEVEL_SETTLE_US (10 * US_PER_S)

struct level_member {
    bool told;       // what it reads, since it started last
    uint32_t level;  // the highest that it reads
};

// What the leader knows.
struct level_world {
    struct level_member members[MEMBERS_MAX];  // voters and learners, this node too
    size_t count;
    uint32_t cluster;  // the cluster's level
    uint32_t least;    // the first level to which a cluster can be raised
    bool calm;         // it leads, has committed an entry of its term, and changes neither members nor leadership
};

// Zero at first.
struct level_rule {
    uint32_t reached;   // what all members read; 0: one has not told, or none of this leader's
    uint64_t since_us;  // when they were first found to
    bool proposed;      // a raise, and what became of it is not known: the caller clears it
};

// The level to propose to raise the cluster to; 0: none. Call it once a second on every node, with the monotonic time.
uint32_t level_decide(struct level_rule *rule, const struct level_world *world, uint64_t now_us);

#endif
