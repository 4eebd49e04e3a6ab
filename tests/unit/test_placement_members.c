// Placement and its members: what stays known of them when they change, what a change would cost, and a cluster as large as
// they come.
#include "base/array.h"
#include "placement_world.h"

// n4 comes before all others in none of the orders: it takes the place of n2, and n1 becomes a learner. What is known of n1
// and n3 stays, under their new places.
static void TestPlacementFollowsMembers(void **state) {
    (void)state;
    struct world world = far_leader();
    step(&world);
    struct placement *placement = &world.placement;
    placement_pause(placement, world.now_us, 7);
    struct placement_member members[] = {placement->states[N1].member, placement->states[N3].member,
                                         placement->states[N2].member};
    members[0].voter = false;
    snprintf(members[2].id.text, sizeof members[2].id.text, "n4");
    placement_follow(placement, members, 3, 1);
    assert_int_equal(placement->self, 1);
    assert_false(placement->states[0].member.voter);
    assert_int_equal(placement->states[0].heard_us, world.now_us);
    assert_true(placement->states[0].report.links[1].rtt_ms == 50.0);  // n1 to n3
    assert_true(placement->states[0].report.links[2].rtt_ms == 0);     // n1 to n4, which it has not met
    assert_true(placement->states[1].report.links[0].rtt_ms == 50.0);  // n3 to n1
    assert_int_equal(placement->states[1].match_index, 100);
    assert_int_equal(placement->states[2].heard_us, 0);
    assert_true(placement_pause_left(placement, world.now_us).left_us > 0);
    placement_follow(placement, members, 2, 1);
    assert_true(placement_commit_ms(placement, world.now_us, 1) == 0);  // the sole voter
}

// What a write costs after a change of members, wherever leadership is then.
static double cost(struct world *world, bool n1, bool n2, bool n3) {
    const bool votes[PLACEMENT_MEMBERS_MAX] = {n1, n2, n3};
    return placement_commit_ms_with(&world->placement, world->now_us, votes);
}

static void TestPlacementTellsTheCostOfAChange(void **state) {
    (void)state;
    struct world world = world_of(3, two_clouds, N1, "");
    assert_true(cost(&world, true, true, true) < 0);  // nobody has reported
    assert_true(cost(&world, false, true, true) < 0);
    run(&world, 3);
    assert_true(cost(&world, true, true, true) == 0.3);
    assert_true(cost(&world, true, false, true) == 50);
    assert_true(cost(&world, true, false, false) == 0);
    // This leader goes. Its own round trips are 50 ms, but its successor is near the other that stays.
    static const char *const clouds[] = {"gcp", "aws", "aws"};
    world = world_of(3, clouds, N1, "");
    run(&world, 3);
    assert_true(cost(&world, false, true, true) == 0.3);
    // It stays, and placement moves leadership to the nearer, unless that is off or paused.
    assert_true(cost(&world, true, true, true) == 0.3);
    world.placement.on = false;
    assert_true(cost(&world, true, true, true) == 50);
    world.placement.on = true;
    placement_pause(&world.placement, world.now_us, world.term);
    assert_true(cost(&world, true, true, true) == 50);
    // Until the pause is over.
    world.placement.pause.deadline_us = world.now_us + 1;
    assert_true(cost(&world, true, true, true) == 50);
    world.placement.pause.deadline_us = world.now_us;
    assert_true(cost(&world, true, true, true) == 0.3);
    // A learner of today counts as the voter that it will be.
    world = world_of(3, clouds, N2, "");
    be_a_learner(&world, N3);
    run(&world, 3);
    assert_true(cost(&world, true, true, false) == 50);
    assert_true(cost(&world, true, true, true) == 0.3);
    // Also if it makes another voter the better leader, which none is today.
    world = world_of(3, clouds, N1, "");
    be_a_learner(&world, N3);
    run(&world, 3);
    assert_true(cost(&world, true, true, false) == 50);
    assert_true(cost(&world, true, true, true) == 0.3);
}

// The layouts that docs/operations.md compares, led from the first site.
static void TestPlacementCostsOfLayouts(void **state) {
    (void)state;
    static const struct {
        const char *clouds[PLACEMENT_MEMBERS_MAX];
        size_t count;
        double whole;    // what a write costs
        double without;  // and while the leader's neighbour, n2, is down
    } layouts[] = {
        {{"a", "a", "b"}, 3, 0.3, 50},                // 2+1
        {{"a", "b", "c"}, 3, 50, 50},                 // 1+1+1
        {{"a", "a", "b", "b"}, 4, 50, 50},            // 2+2
        {{"a", "a", "a", "b", "b"}, 5, 0.3, 50},      // 3+2
        {{"a", "a", "b", "b", "c"}, 5, 50, 50},       // 2+2+1
        {{"a", "a", "b", "b", "c", "c"}, 6, 50, 50},  // 2+2+2
        {{"a", "a", "b", "b", "c", "c", "d", "d", "e", "e"}, PLACEMENT_MEMBERS_MAX, 50, 50},
    };
    for (size_t i = 0; i < ARRAY_COUNT(layouts); i++) {
        struct world world = world_of(layouts[i].count, layouts[i].clouds, N1, "");
        step(&world);
        assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N1), layouts[i].whole, 0);
        world.reports[N1].links[N2].rtt_ms = 0;
        step(&world);
        assert_float_equal(placement_commit_ms(&world.placement, world.now_us, N1), layouts[i].without, 0);
    }
}

// --- as many members as there may be, and this node ---

static const char *const ten_clouds[] = {"gcp", "aws", "aws", "aws", "aws", "aws", "aws", "aws", "aws", "aws"};

// n1 leads, far from all others.
static struct world full(void) {
    static_assert(ARRAY_COUNT(ten_clouds) == PLACEMENT_MEMBERS_MAX, "as many as there may be");
    return world_of(PLACEMENT_MEMBERS_MAX, ten_clouds, N1, "");
}

// What lies behind the last member is none: here that is the rest of the struct.
static void TestPlacementOfAFullCluster(void **state) {
    (void)state;
    struct world world = full();
    assert_int_equal(run(&world, 60), N2);
    assert_int_equal(run(&world, 10), NO_MOVE);
    assert_says(&world, "stay: the last move is too recent, for another 20 s; n2 would commit in 0.3 ms instead of 50.0 ms");
    assert_string_equal(world.placement.moved_why, "n2 would commit in 0.3 ms instead of 50.0 ms");
    assert_string_equal(placement_successor(&world.placement, world.now_us)->text, "n2");
    for (size_t i = 0; i < world.count; i++) {
        assert_true(world.placement.states[i].report.disk_sync_ms == 0.2);
    }
    // No larger than they must be, so that AddressSanitizer sees who reads on.
    bool *votes = calloc(PLACEMENT_MEMBERS_MAX, sizeof *votes);
    votes[N1] = votes[N2] = true;
    assert_true(placement_commit_ms_with(&world.placement, world.now_us, votes) == 50);
    free(votes);
}

static void TestPlacementFollowsAFullCluster(void **state) {
    (void)state;
    struct world world = full();
    run(&world, 3);
    struct placement *placement = &world.placement;
    enum { LAST = PLACEMENT_MEMBERS_MAX - 1 };
    struct placement_member *members = calloc(PLACEMENT_MEMBERS_MAX, sizeof *members);
    for (size_t i = 0; i < PLACEMENT_MEMBERS_MAX; i++) {
        members[i] = placement->states[i].member;
    }
    members[LAST].id = raft_id_of(slice_of_str("n99"));
    placement_follow(placement, members, PLACEMENT_MEMBERS_MAX, N1);
    free(members);
    assert_int_equal(placement->count, PLACEMENT_MEMBERS_MAX);
    assert_int_equal(placement->self, N1);
    assert_string_equal(placement->states[LAST].member.id.text, "n99");
    assert_int_equal(placement->states[LAST].heard_us, 0);
    for (size_t i = 0; i < PLACEMENT_MEMBERS_MAX; i++) {
        const struct placement_link *from = &placement->states[LAST].report.links[i];
        const struct placement_link *to = &placement->states[i].report.links[LAST];
        assert_true(from->rtt_ms == 0 && from->least_ms == 0 && from->spread_ms == 0 && from->losses == 0);
        assert_true(to->rtt_ms == 0 && to->least_ms == 0 && to->spread_ms == 0 && to->losses == 0);
    }
    assert_true(placement->states[LAST - 1].report.links[N1].rtt_ms == 50);
    assert_true(placement->states[N1].report.links[LAST - 1].rtt_ms == 50);
}

// A leader that is being removed, and leaves one voter, who is in the preferred cloud: that one commits alone.
static void TestPlacementEntersTheCloudOfASoleVoter(void **state) {
    (void)state;
    static const char *const clouds[] = {"gcp", "aws"};
    struct world world = world_of(2, clouds, N1, "aws");
    be_a_learner(&world, N1);
    assert_int_equal(run(&world, 6), NO_MOVE);
    assert_int_equal(step(&world), N2);
    assert_says(&world,
                "move: n2 would commit in 0.0 ms instead of a time that is not known, and is in the preferred cloud");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestPlacementTellsTheCostOfAChange), cmocka_unit_test(TestPlacementCostsOfLayouts),
    cmocka_unit_test(TestPlacementFollowsMembers),        cmocka_unit_test(TestPlacementOfAFullCluster),
    cmocka_unit_test(TestPlacementFollowsAFullCluster),   cmocka_unit_test(TestPlacementEntersTheCloudOfASoleVoter),
};

UNIT_MAIN(tests)
