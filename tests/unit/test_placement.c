// Placement of the leader: each rule on a simulated clock, a link that flaps at random, and the quality of links.
#include <math.h>
#include <string.h>

#include "base/array.h"
#include "placement_world.h"
#include "policy/link_quality.h"
#include "random.h"

// --- the rules ---

static void TestPlacementMovesToTheFaster(void **state) {
    (void)state;
    struct world world = far_leader();
    // A second until the commit index is known, then five of watching.
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_says(&world, "stay: watching; n1 would commit in 0.3 ms instead of 50.0 ms");
    assert_int_equal(step(&world), N1);
    assert_says(&world, "move: n1 would commit in 0.3 ms instead of 50.0 ms");
    assert_string_equal(world.placement.moved_to.text, "n1");
    assert_int_equal(world.placement.moved_us, world.now_us);
    // The faster of two.
    world = far_leader();
    world.reports[N1].links[N2].rtt_ms = 0.4;
    assert_int_equal(run(&world, 60), N2);
}

static void TestPlacementStaysWhereItIsBest(void **state) {
    (void)state;
    struct world world = world_of(3, two_clouds, N1, "");
    assert_says(&world, "the leader decides");
    world.answers[N1] = false;
    step(&world);
    assert_says(&world, "stay: the round trips are not known yet");
    world.answers[N1] = true;
    assert_int_equal(run(&world, 600), NO_MOVE);
    assert_says(&world, "stay: no fit voter would commit markedly faster than in 0.3 ms");
}

static void TestPlacementNeedsHalfTheTime(void **state) {
    (void)state;
    struct world world = far_leader();
    world.reports[N1].links[N2].rtt_ms = world.reports[N2].links[N1].rtt_ms = 25.1;
    assert_int_equal(run(&world, 60), NO_MOVE);
    world.reports[N2].links[N1].rtt_ms = 25.0;
    assert_int_equal(run(&world, 60), N2);
    // The spread of the target's links counts.
    world = far_leader();
    world.reports[N1].links[N2].spread_ms = world.reports[N2].links[N1].spread_ms = 25;
    assert_int_equal(run(&world, 60), NO_MOVE);
    // That of the leader's own links does not.
    world = far_leader();
    world.reports[N3].links[N1] = world.reports[N3].links[N2] = (struct placement_link){.rtt_ms = 2.2, .spread_ms = 50};
    assert_int_equal(run(&world, 60), NO_MOVE);
}

// A round trip that took long because the leader was busy does not make it distant.
static void TestPlacementForgivesALoadedLeader(void **state) {
    (void)state;
    struct world world = far_leader();
    world.reports[N3].links[N1].least_ms = world.reports[N3].links[N2].least_ms = 2;
    assert_int_equal(run(&world, 60), NO_MOVE);
    world.reports[N3].links[N1].least_ms = world.reports[N3].links[N2].least_ms = 20;
    assert_int_equal(run(&world, 60), N1);
    // The idle part never exceeds the round trip.
    world = far_leader();
    world.reports[N3].links[N1] = world.reports[N3].links[N2] = (struct placement_link){.rtt_ms = 2, .least_ms = 50};
    assert_int_equal(run(&world, 60), NO_MOVE);
    // Candidates are judged by their whole round trips.
    world = far_leader();
    world.reports[N1].links[N2] = world.reports[N2].links[N1] = (struct placement_link){.rtt_ms = 40, .least_ms = 1};
    assert_int_equal(run(&world, 60), NO_MOVE);
}

static void TestPlacementNeedsAGain(void **state) {
    (void)state;
    struct world world = far_leader();
    world.reports[N1].links[N2].rtt_ms = world.reports[N2].links[N1].rtt_ms = 0.5;
    world.reports[N3].links[N1].rtt_ms = world.reports[N3].links[N2].rtt_ms = 2.4375;
    assert_int_equal(run(&world, 60), NO_MOVE);
    world.reports[N3].links[N1].rtt_ms = world.reports[N3].links[N2].rtt_ms = 2.5;
    assert_int_equal(run(&world, 60), N1);
}

static void TestPlacementWatchesWithoutABreak(void **state) {
    (void)state;
    struct world world = far_leader();
    for (int round = 0; round < 20; round++) {
        assert_int_equal(run(&world, 4), NO_MOVE);
        world.reports[N1].disk_full = world.reports[N2].disk_full = true;
        assert_int_equal(step(&world), NO_MOVE);
        world.reports[N1].disk_full = world.reports[N2].disk_full = false;
    }
    assert_int_equal(run(&world, 5), NO_MOVE);
    assert_int_equal(step(&world), N1);
    // Another term of leadership begins to watch from scratch, even if the change was not seen.
    world = far_leader();
    assert_int_equal(run(&world, 6), NO_MOVE);
    world.term++;
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_int_equal(step(&world), N1);
    world = far_leader();
    assert_int_equal(run(&world, 6), NO_MOVE);
    placement_lead(&world.placement, 7, false);
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_int_equal(step(&world), N1);
}

// Ways to be unfit, applied to one member while n3 leads.
static void be_behind(struct world *world, size_t member) {
    world->match[member] = 99;
}

static void have_a_full_disk(struct world *world, size_t member) {
    world->reports[member].disk_full = true;
}

static void have_a_slow_disk(struct world *world, size_t member) {
    world->reports[member].disk_sync_ms = 20.1;
}

static void be_silent(struct world *world, size_t member) {
    world->answers[member] = false;
}

static void be_out_of_reach(struct world *world, size_t member) {
    world->reports[world->leader].links[member].rtt_ms = 0;
}

static void flap_before_the_leader(struct world *world, size_t member) {
    world->reports[world->leader].links[member].losses = PLACEMENT_LOSSES_MAX;
}

static void flap_before_the_others(struct world *world, size_t member) {
    for (size_t i = 0; i < world->count; i++) {
        world->reports[member].links[i].losses = PLACEMENT_LOSSES_MAX;
    }
}

static void (*const unfit[])(struct world *, size_t) = {
    be_behind,       have_a_full_disk,       have_a_slow_disk,       be_silent,
    be_out_of_reach, flap_before_the_leader, flap_before_the_others,
};

static void TestPlacementNeverToTheUnfit(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(unfit); i++) {
        struct world world = far_leader();
        unfit[i](&world, N1);
        if (run(&world, 60) != N2) {
            fail_msg("way %zu: not to n2, but: %s", i, world.placement.verdict);
        }
        world = far_leader();
        unfit[i](&world, N1);
        unfit[i](&world, N2);
        if (run(&world, 60) != NO_MOVE) {
            fail_msg("way %zu: %s", i, world.placement.verdict);
        }
    }
    // Four voters and a learner: the learner is neither a target nor part of a majority.
    static const char *const clouds[] = {"gcp", "gcp", "gcp", "aws", "aws"};
    struct world world = world_of(5, clouds, N5, "");
    assert_int_equal(run(&world, 60), N1);
    world = world_of(5, clouds, N5, "");
    be_a_learner(&world, N1);
    assert_int_equal(run(&world, 60), NO_MOVE);  // two others of three are needed, one of them 50 ms away
    assert_true(placement_commit_ms(&world.placement, world.now_us, N1) < 0);
    be_a_learner(&world, N4);
    assert_int_equal(run(&world, 60), N2);  // n2, n3 and n5 vote: one other is needed
}

static void TestPlacementForgivesTwoLosses(void **state) {
    (void)state;
    struct world world = far_leader();
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 3; k++) {
            world.reports[i].links[k].losses = 2;
        }
    }
    assert_int_equal(run(&world, 60), N1);
}

static void TestPlacementComparesDisks(void **state) {
    (void)state;
    struct world world = far_leader();
    world.reports[N3].disk_sync_ms = 40;
    world.reports[N1].disk_sync_ms = 81;
    world.reports[N2].disk_sync_ms = 80;
    assert_int_equal(run(&world, 60), N2);
    // A hundred times the leader's time is not slow if it is below PLACEMENT_SLOW_SYNC_MS.
    world = far_leader();
    world.reports[N1].disk_sync_ms = 20;
    assert_int_equal(run(&world, 60), N1);
}

// A member that lacks what was committed a second ago is behind; what is in flight does not count.
static void TestPlacementWaitsForTheLog(void **state) {
    (void)state;
    struct world world = far_leader();
    int target = NO_MOVE;
    for (int i = 0; i < 20 && target == NO_MOVE; i++) {
        world.commit += 1000;
        target = step(&world);
        world.match[N2] = world.commit;
    }
    assert_int_equal(target, N2);
    // However often progress is reported.
    world = far_leader();
    for (int i = 0; i < 100; i++) {
        raft_index told = world.commit;
        if (step(&world) == N2) {
            return;
        }
        for (int k = 0; k < 9; k++) {
            world.commit += 100;
            placement_progress(&world.placement, world.now_us + (uint64_t)k * 100 * US_PER_MS, world.commit, world.match);
        }
        world.match[N2] = told;
    }
    fail_msg("%s", world.placement.verdict);
}

static void TestPlacementCoolsDown(void **state) {
    (void)state;
    struct world world = far_leader();
    // Every transfer fails: this node continues to lead.
    uint64_t last_us = 0;
    for (int i = 0; i < 200; i++) {
        if (step(&world) == NO_MOVE) {
            continue;
        }
        if (last_us != 0) {
            assert_int_equal(world.now_us - last_us, PLACEMENT_COOLDOWN_US);
        }
        last_us = world.now_us;
        assert_int_equal(step(&world), NO_MOVE);
    }
    assert_true(last_us > 0);
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_says(&world, "stay: the last move is too recent");
    // What is waited for: first that it is better for long enough, and then the rest of the cooldown.
    world = far_leader();
    world.reports[N1].cooldown = (struct placement_suspension){.term = 7, .left_us = PLACEMENT_COOLDOWN_US};
    step(&world);
    world.reports[N1].cooldown.left_us = 0;
    assert_int_equal(run(&world, 5), NO_MOVE);
    assert_says(&world, "stay: watching");
    assert_int_equal(step(&world), NO_MOVE);
    assert_says(&world, "stay: the last move is too recent, for another 24 s");
}

// The next leader knows the cooldown, from the last leader or from a member that has heard of it.
static void TestPlacementCoolsDownElsewhere(void **state) {
    (void)state;
    struct world old = far_leader();
    while (step(&old) == NO_MOVE) {
    }
    struct world middle = world_of(3, two_clouds, N1, "");
    struct world next = far_leader();
    middle.now_us = next.now_us = old.now_us;
    middle.reports[N3].cooldown = placement_cooldown_left(&old.placement, old.now_us);
    assert_int_equal(middle.reports[N3].cooldown.left_us, PLACEMENT_COOLDOWN_US);
    assert_int_equal(middle.reports[N3].cooldown.term, 7);
    step(&middle);
    next.reports[N1].cooldown = placement_cooldown_left(&middle.placement, middle.now_us);
    step(&next);
    next.reports[N1].cooldown.left_us = 0;
    assert_int_equal(run(&next, 29), NO_MOVE);
    assert_int_equal(run(&next, 3), N1);
}

static void TestPlacementPausesForAnOperator(void **state) {
    (void)state;
    struct world world = far_leader();
    placement_pause(&world.placement, world.now_us, 7);
    assert_int_equal(run(&world, 599), NO_MOVE);
    assert_says(&world, "stay: paused by an operator's transfer for another 1 s; n1 would commit in 0.3 ms");
    assert_int_equal(step(&world), N1);
    // It ends while a candidate is watched.
    world = far_leader();
    placement_pause(&world.placement, world.now_us + 3 * SECOND - PLACEMENT_PAUSE_US, 7);
    assert_int_equal(run(&world, 2), NO_MOVE);
    assert_says(&world, "stay: paused by an operator's transfer for another 1 s");
    assert_int_equal(step(&world), NO_MOVE);
    assert_says(&world, "stay: watching");
    // As another member reports it, but never for longer than a pause lasts.
    world = far_leader();
    world.reports[N1].pause = (struct placement_suspension){.term = 9, .left_us = UINT64_MAX};
    step(&world);
    world.reports[N1].pause.left_us = 0;
    assert_int_equal(run(&world, 599), NO_MOVE);
    assert_int_equal(step(&world), N1);
}

// Three nodes report one pause to each other, each a little late: it ends for all of them, and a later one replaces it.
static void TestPlacementPausesEnd(void **state) {
    (void)state;
    struct world worlds[3] = {far_leader(), far_leader(), far_leader()};
    uint64_t began_us = worlds[0].now_us;
    placement_pause(&worlds[0].placement, began_us, 7);
    uint64_t latest_us = 0;
    for (int round = 0; round < 600; round++) {
        for (size_t to = 0; to < 3; to++) {
            for (size_t from = 0; from < 3; from++) {
                struct placement_report report = {
                    .pause = placement_pause_left(&worlds[from].placement, began_us + (uint64_t)round * SECOND)};
                placement_heard(&worlds[to].placement, began_us + (uint64_t)round * SECOND + 100 * US_PER_MS, from, &report);
            }
            latest_us =
                worlds[to].placement.pause.deadline_us > latest_us ? worlds[to].placement.pause.deadline_us : latest_us;
        }
    }
    assert_in_range(latest_us, began_us + PLACEMENT_PAUSE_US + 1, began_us + PLACEMENT_PAUSE_US + 300 * US_PER_MS);
    struct placement_report later = {.pause = {.term = 8, .left_us = 5 * SECOND}};
    placement_heard(&worlds[0].placement, began_us, N2, &later);
    assert_int_equal(placement_pause_left(&worlds[0].placement, began_us).left_us, 5 * SECOND);
    assert_int_equal(placement_pause_left(&worlds[0].placement, began_us).term, 8);
    struct placement_report earlier = {.pause = {.term = 7, .left_us = 500 * SECOND}};
    placement_heard(&worlds[0].placement, began_us, N2, &earlier);
    assert_int_equal(placement_pause_left(&worlds[0].placement, began_us).left_us, 5 * SECOND);
    // One that is over changes nothing.
    placement_heard(&worlds[0].placement, began_us, N2, &(struct placement_report){.pause = {.term = 9}});
    assert_int_equal(placement_pause_left(&worlds[0].placement, began_us).left_us, 5 * SECOND);
    // Renewed in the same term.
    later.pause.left_us = 7 * SECOND;
    placement_heard(&worlds[0].placement, began_us, N2, &later);
    assert_int_equal(placement_pause_left(&worlds[0].placement, began_us).left_us, 7 * SECOND);
}

static void TestPlacementPrefersACloud(void **state) {
    (void)state;
    // Into it, even to a slower voter; and never out.
    struct world world = world_of(3, two_clouds, N1, "aws");
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_int_equal(step(&world), N3);
    assert_says(&world, "in the preferred cloud");
    world = world_of(3, two_clouds, N3, "aws");
    assert_int_equal(run(&world, 60), NO_MOVE);
    world = world_of(3, two_clouds, N1, "gcp");
    assert_int_equal(run(&world, 60), NO_MOVE);  // nor within it without a gain
    // To the fastest inside.
    world = world_of(3, two_clouds, N3, "gcp");
    world.reports[N1].links[N2].rtt_ms = 0.5;
    assert_int_equal(run(&world, 60), N2);
    // No member is inside.
    world = world_of(3, two_clouds, N3, "azure");
    assert_int_equal(run(&world, 60), N1);
    // Within it, to a faster voter.
    static const char *const all_gcp[] = {"gcp", "gcp", "gcp"};
    world = world_of(3, all_gcp, N3, "gcp");
    world.reports[N3].links[N1].rtt_ms = world.reports[N3].links[N2].rtt_ms = 10;
    assert_int_equal(run(&world, 60), N1);
}

// No voter in the preferred cloud is fit, or reaches a majority: then the fastest of the others is chosen.
static void TestPlacementPrefersInVain(void **state) {
    (void)state;
    static const char *const clouds[] = {"gcp", "gcp", "aws", "azure", "azure"};
    for (int way = 0; way < 3; way++) {
        struct world world = world_of(5, clouds, N3, "gcp");
        world.reports[N4].links[N1].rtt_ms = 0.3;  // and to n5: a majority
        for (size_t i = N1; i <= N2; i++) {
            world.reports[i].disk_full = way == 1;
            if (way == 2) {
                flap_before_the_others(&world, i);
            }
        }
        assert_int_equal(run(&world, 60), way == 0 ? N1 : N4);
    }
}

static void TestPlacementOff(void **state) {
    (void)state;
    struct world world = far_leader();
    world.placement.on = false;
    assert_int_equal(run(&world, 100), NO_MOVE);
    world = far_leader();
    step(&world);
    for (int i = 0; i < 100; i++) {
        world.now_us += SECOND;
        for (size_t k = 0; k < 3; k++) {
            placement_heard(&world.placement, world.now_us, k, &world.reports[k]);
        }
        placement_lead(&world.placement, 7, false);
        assert_null(placement_decide(&world.placement, world.now_us));
    }
    assert_says(&world, "the leader decides");
}

static void TestPlacementEstimates(void **state) {
    (void)state;
    static const char *const clouds[] = {"gcp", "gcp", "gcp", "aws", "aws"};
    struct world world = world_of(5, clouds, N4, "");
    assert_true(placement_commit_ms(&world.placement, world.now_us, N1) < 0);  // nothing was reported yet
    step(&world);
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N1), 0.3, 0);  // three of five
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N4), 50, 0);
    world.reports[N1].links[N2].rtt_ms = 0;
    step(&world);
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N1), 50, 0);
    world.reports[N1].links[N3].losses = world.reports[N1].links[N4].losses = PLACEMENT_LOSSES_MAX;
    step(&world);
    assert_true(placement_commit_ms(&world.placement, world.now_us, N1) < 0);
    assert_true(placement_commit_ms(&world.placement, world.now_us + PLACEMENT_FRESH_US, N2) > 0);
    assert_true(placement_commit_ms(&world.placement, world.now_us + PLACEMENT_FRESH_US + 1, N2) < 0);
    world.reports[N5].links[N1].rtt_ms = 80;  // the nearer come last
    world.reports[N5].links[N2].rtt_ms = 70;
    world.reports[N5].links[N3].rtt_ms = 60;
    step(&world);
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N5), 60, 0);
    world.answers[N3] = false;
    step(&world);
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N3), 0.3, 0);  // a second old
    static const char *const one[] = {"gcp"};
    world = world_of(1, one, N1, "aws");
    assert_int_equal(run(&world, 60), NO_MOVE);
    assert_says(&world, "markedly faster than in 0.0 ms");
    assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N1), 0, 0);
}

static void TestPlacementTakesAnyNumber(void **state) {
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY, -1, 1e6, 0};
    for (size_t i = 0; i < ARRAY_COUNT(odd); i++) {
        struct world world = far_leader();
        world.reports[N1].links[N2].rtt_ms = odd[i];
        world.reports[N1].links[N3].rtt_ms = odd[i];
        assert_int_equal(run(&world, 60), N2);
        assert_true(world.placement.states[N1].report.links[N2].rtt_ms == 0);
        world = far_leader();
        world.reports[N2].links[N1].rtt_ms = world.reports[N2].links[N3].rtt_ms = 0;
        world.reports[N1].links[N2].spread_ms = world.reports[N1].disk_sync_ms = odd[i];
        assert_int_equal(run(&world, 60), N1);
        assert_true(world.placement.states[N1].report.disk_sync_ms == 0);
    }
}

static void TestPlacementSuccessor(void **state) {
    (void)state;
    struct world world = world_of(3, two_clouds, N1, "");
    assert_null(placement_successor(&world.placement, world.now_us));
    run(&world, 3);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n2");  // its own cloud first
    for (size_t i = 0; i < ARRAY_COUNT(unfit); i++) {
        if (unfit[i] == flap_before_the_others) {
            continue;  // still the best there is
        }
        world = world_of(3, two_clouds, N1, "");
        unfit[i](&world, N2);
        run(&world, 5);
        assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n3");
    }
    world = world_of(3, two_clouds, N1, "aws");
    run(&world, 3);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n3");  // the preferred one first
    world = far_leader();
    world.reports[N1].links[N2].rtt_ms = 1;
    run(&world, 3);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n2");  // then the faster
    world.reports[N1].links[N2].rtt_ms = 0.1;
    step(&world);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n1");
    be_a_learner(&world, N1);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n2");
    be_a_learner(&world, N2);
    assert_null(placement_successor(&world.placement, world.now_us));
    world = world_of(3, two_clouds, N1, "");
    world.reports[N2].links[N1].rtt_ms = world.reports[N2].links[N3].rtt_ms = 70;
    run(&world, 3);
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n2");  // though slower
}

// --- a link that flaps ---

// Several nodes, each with its own knowledge; n1 and n2 are joined by a link that comes and goes.
struct shaky {
    struct world worlds[5];
    size_t count;
    double distances[5][5];
    bool up;
    double ms;
    uint32_t losses;  // within a minute, roughly: they are forgotten by chance
    size_t leader;
    raft_term term;
};

static struct shaky shaky_of(uint64_t *seed) {
    static const char *const clouds[] = {"gcp", "gcp", "aws", "aws", "gcp"};
    struct shaky shaky = {.count = 3 + random_below(seed, 2) * 2, .up = true, .ms = 0.3, .term = 5};
    for (size_t i = 0; i < shaky.count; i++) {
        shaky.worlds[i] = world_of(shaky.count, clouds, i, random_below(seed, 4) == 0 ? "gcp" : "");
        for (size_t k = 0; k < i; k++) {
            shaky.distances[i][k] = shaky.distances[k][i] = (double)(1 + random_below(seed, 80));
        }
    }
    shaky.leader = random_below(seed, shaky.count);
    return shaky;
}

static bool is_shaken(size_t i, size_t k) {
    return i + k == N1 + N2 && i != k;
}

static void shake(struct shaky *shaky, uint64_t *seed) {
    bool was_up = shaky->up;
    shaky->up = random_below(seed, 8) == 0 ? !shaky->up : shaky->up;
    shaky->losses += was_up && !shaky->up;
    shaky->losses -= shaky->losses > 0 && random_below(seed, 30) == 0;
    if (random_below(seed, 10) == 0) {
        shaky->ms = random_below(seed, 2) == 0 ? 0.3 : 80;
    }
}

static struct placement_report report_of(struct shaky *shaky, size_t i) {
    struct placement_report report = shaky->worlds[i].reports[i];
    for (size_t k = 0; k < shaky->count; k++) {
        double ms = is_shaken(i, k) ? shaky->up * shaky->ms : shaky->distances[i][k];
        report.links[k] = (struct placement_link){.rtt_ms = ms, .losses = is_shaken(i, k) ? shaky->losses : 0};
    }
    report.cooldown = placement_cooldown_left(&shaky->worlds[i].placement, shaky->worlds[i].now_us);
    return report;
}

// A second passes at node i; the target of its transfer, if it leads.
static const struct raft_id *live(struct shaky *shaky, size_t i) {
    struct world *world = &shaky->worlds[i];
    world->now_us += SECOND;
    for (size_t k = 0; k < shaky->count; k++) {
        struct placement_report report = report_of(shaky, k);
        if (shaky->up || !is_shaken(i, k)) {
            placement_heard(&world->placement, world->now_us, k, &report);
        }
    }
    placement_lead(&world->placement, shaky->term, i == shaky->leader);
    placement_progress(&world->placement, world->now_us, world->commit, world->match);
    return placement_decide(&world->placement, world->now_us);
}

// All report to each other and transfer leadership as they decide; some transfers fail, and sometimes there is an election.
// There are never two moves within a cooldown, and many over a long time.
static void TestPlacementFlappingLink(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestPlacementFlappingLink");
    unsigned moves = 0;
    for (int round = 0; round < 60; round++) {
        struct shaky shaky = shaky_of(&seed);
        uint64_t last_us = 0;
        for (int second = 0; second < 1000; second++) {
            const struct raft_id *target = NULL;
            shake(&shaky, &seed);
            for (size_t i = 0; i < shaky.count; i++) {
                const struct raft_id *decided = live(&shaky, i);
                target = decided != NULL ? decided : target;
            }
            uint64_t now_us = shaky.worlds[0].now_us;
            if (target != NULL) {
                assert_true(last_us == 0 || now_us - last_us >= PLACEMENT_COOLDOWN_US);
                last_us = now_us;
                moves++;
            }
            bool election = random_below(&seed, 40) == 0;
            if (election || (target != NULL && random_below(&seed, 5) != 0)) {
                shaky.leader = election ? random_below(&seed, shaky.count) : (size_t)(target->text[1] - '1');
                shaky.term++;
            }
        }
    }
    printf("%u moves\n", moves);
    assert_true(moves > 60);
}

// --- links ---

static void TestLinkQuality(void **state) {
    (void)state;
    struct link_quality link = {0};
    assert_float_equal(link_quality_rtt_ms(&link), 0, 0);
    assert_float_equal(link_quality_spread_ms(&link), 0, 0);
    link_quality_measured(&link, 900, 900 - 0.5);
    assert_float_equal(link_quality_rtt_ms(&link), 900, 0);
    assert_float_equal(link_quality_spread_ms(&link), 0, 0);
    link_quality_measured(&link, 2, 2 - 0.5);
    assert_float_equal(link_quality_rtt_ms(&link), 2, 0);
    link_quality_measured(&link, 1, 1 - 0.5);
    link_quality_measured(&link, 3, 3 - 0.5);
    link_quality_measured(&link, 4, 4 - 0.5);
    assert_float_equal(link_quality_rtt_ms(&link), 3, 0);
    assert_float_equal(link_quality_spread_ms(&link), 1, 0);  // the 900 is rare
    link_quality_measured(&link, 5, 5 - 0.5);                 // and leaves the window: 1 2 3 4 5
    link_quality_measured(&link, 70, 70 - 0.5);               // 1 3 4 5 70
    link_quality_measured(&link, 80, 80 - 0.5);               // 3 4 5 70 80
    assert_float_equal(link_quality_rtt_ms(&link), 5, 0);
    assert_float_equal(link_quality_least_ms(&link), 4.5, 0);
    assert_float_equal(link_quality_spread_ms(&link), 65, 0);
}

static void TestLinkLosses(void **state) {
    (void)state;
    struct link_quality link = {0};
    uint64_t now_us = 5 * SECOND;
    assert_int_equal(link_quality_losses(&link, now_us), 0);
    link_quality_lost(&link, now_us);
    assert_int_equal(link_quality_losses(&link, now_us), 1);
    link_quality_lost(&link, now_us + 30 * SECOND);
    assert_int_equal(link_quality_losses(&link, now_us + 59 * SECOND), 2);
    assert_int_equal(link_quality_losses(&link, now_us + 60 * SECOND), 1);
    for (uint64_t i = 0; i < 100; i++) {
        link_quality_lost(&link, now_us + 60 * SECOND + i);
    }
    assert_int_equal(link_quality_losses(&link, now_us + 61 * SECOND), LINK_LOSSES_MAX);
    assert_int_equal(link_quality_losses(&link, now_us + 180 * SECOND), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestPlacementMovesToTheFaster),
    cmocka_unit_test(TestPlacementStaysWhereItIsBest),
    cmocka_unit_test(TestPlacementNeedsHalfTheTime),
    cmocka_unit_test(TestPlacementForgivesALoadedLeader),
    cmocka_unit_test(TestPlacementNeedsAGain),
    cmocka_unit_test(TestPlacementWatchesWithoutABreak),
    cmocka_unit_test(TestPlacementNeverToTheUnfit),
    cmocka_unit_test(TestPlacementForgivesTwoLosses),
    cmocka_unit_test(TestPlacementComparesDisks),
    cmocka_unit_test(TestPlacementWaitsForTheLog),
    cmocka_unit_test(TestPlacementCoolsDown),
    cmocka_unit_test(TestPlacementCoolsDownElsewhere),
    cmocka_unit_test(TestPlacementPausesForAnOperator),
    cmocka_unit_test(TestPlacementPausesEnd),
    cmocka_unit_test(TestPlacementPrefersACloud),
    cmocka_unit_test(TestPlacementPrefersInVain),
    cmocka_unit_test(TestPlacementOff),
    cmocka_unit_test(TestPlacementEstimates),
    cmocka_unit_test(TestPlacementTakesAnyNumber),
    cmocka_unit_test(TestPlacementSuccessor),
    cmocka_unit_test(TestPlacementFlappingLink),
    cmocka_unit_test(TestLinkQuality),
    cmocka_unit_test(TestLinkLosses),
};

UNIT_MAIN(tests)
