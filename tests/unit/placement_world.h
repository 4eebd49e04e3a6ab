// A cluster as placement learns of it on one leader, second by second.
#ifndef BATON_TESTS_PLACEMENT_WORLD_H
#define BATON_TESTS_PLACEMENT_WORLD_H

#include <stdio.h>
#include <string.h>

#include "policy/placement.h"
#include "unit.h"

enum { N1, N2, N3, N4, N5, NO_MOVE = -1 };

#define SECOND US_PER_S

// A cluster as one leader learns of it. A test changes what it is about.
struct world {
    struct placement placement;
    struct placement_report reports[PLACEMENT_MEMBERS_MAX];
    bool answers[PLACEMENT_MEMBERS_MAX];
    raft_index match[PLACEMENT_MEMBERS_MAX];
    raft_index commit;
    raft_term term;
    size_t count;
    size_t leader;
    uint64_t now_us;
};

static inline double rtt_between(size_t a, size_t b, const char *const *clouds) {
    return strcmp(clouds[a], clouds[b]) == 0 ? 0.3 : 50.0;
}

// Voters n1, n2, ... in these clouds, 0.3 ms apart within one and 50 ms between two.
static inline struct world world_of(size_t count, const char *const *clouds, size_t leader, const char *leader_cloud) {
    struct world world = {.count = count, .leader = leader, .now_us = 1000 * SECOND, .commit = 100, .term = 7};
    struct placement_member members[PLACEMENT_MEMBERS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        members[i].id.len = (uint8_t)snprintf(members[i].id.text, sizeof members[i].id.text, "n%zu", i + 1);
        members[i].voter = true;
        snprintf(members[i].cloud, sizeof members[i].cloud, "%s", clouds[i]);
        world.answers[i] = true;
        world.match[i] = 100;
        world.reports[i].disk_sync_ms = 0.2;
        for (size_t k = 0; k < count; k++) {
            world.reports[i].links[k].rtt_ms = i == k ? 0 : rtt_between(i, k, clouds);
        }
    }
    placement_init(&world.placement, true, leader_cloud, members, count, leader);
    return world;
}

static const char *const two_clouds[] = {"gcp", "gcp", "aws"};

// n1 and n2 in gcp, n3 in aws leads.
static inline struct world far_leader(void) {
    return world_of(3, two_clouds, N3, "");
}

// A second passes; the target of the transfer at its end.
static inline int step(struct world *world) {
    struct placement *placement = &world->placement;
    world->now_us += SECOND;
    for (size_t i = 0; i < world->count; i++) {
        if (world->answers[i]) {
            placement_heard(placement, world->now_us, i, &world->reports[i]);
        }
    }
    placement_lead(placement, world->term, true);
    placement_progress(placement, world->now_us, world->commit, world->match);
    const struct raft_id *target = placement_decide(placement, world->now_us);
    return target == NULL ? NO_MOVE : target->text[1] - '1';
}

// The first move within so many seconds.
static inline int run(struct world *world, int seconds) {
    for (int i = 0; i < seconds; i++) {
        int target = step(world);
        if (target != NO_MOVE) {
            return target;
        }
    }
    return NO_MOVE;
}

static inline void assert_says(const struct world *world, const char *text) {
    if (strstr(world->placement.verdict, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, world->placement.verdict);
    }
}

static inline void be_a_learner(struct world *world, size_t member) {
    world->placement.states[member].member.voter = false;
}

#endif
