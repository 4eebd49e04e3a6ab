// When the cluster's level is raised, and to which.
#include "policy/level.h"
#include "unit.h"

#define SECOND US_PER_S

// Three members that read level 3 and have told so, in a cluster of level 2.
static struct level_world calm_world(void) {
    return (struct level_world){
        .members = {{true, 3}, {true, 3}, {true, 3}},
        .count = 3,
        .cluster = 2,
        .least = 2,
        .calm = true,
    };
}

// As the node asks it: once a second. The second, after the first, in which it is raised; 0: in none.
static uint64_t raised_after(struct level_rule *rule, const struct level_world *world, uint64_t from, uint64_t seconds,
                             uint32_t *level) {
    for (uint64_t second = 0; second <= seconds; second++) {
        *level = level_decide(rule, world, (from + second) * SECOND);
        if (*level > 0) {
            return from + second;
        }
    }
    return 0;
}

static void TestLevelIsRaisedOnceAllReadIt(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    world.members[2].level = 2;
    assert_int_equal(raised_after(&rule, &world, 1, 60, &level), 0);
    world.members[2].level = 3;
    assert_int_equal(raised_after(&rule, &world, 100, 60, &level), 110);
    assert_int_equal(level, 3);
}

static void TestLevelIsTheLowestThatAMemberReads(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    world.members[0].level = 7;
    world.members[1].level = 5;
    world.members[2].level = 4;
    assert_int_equal(raised_after(&rule, &world, 1, 60, &level), 11);
    assert_int_equal(level, 4);
    rule.proposed = false;
    world.cluster = 4;
    assert_int_equal(raised_after(&rule, &world, 100, 60, &level), 0);
}

// A learner that has not started, one that is not reached, and one that is set back before all have settled.
static void TestLevelWaitsForAllToTell(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    world.members[1].told = false;
    assert_int_equal(raised_after(&rule, &world, 1, 60, &level), 0);
    world.members[1].told = true;
    assert_int_equal(raised_after(&rule, &world, 100, 9, &level), 0);
    world.members[1].level = 2;
    assert_int_equal(level_decide(&rule, &world, 110 * SECOND), 0);
    world.members[1].level = 3;
    assert_int_equal(raised_after(&rule, &world, 111, 60, &level), 121);
}

// A leader that has just been elected, or that changes members or leadership, waits from then on.
static void TestLevelWaitsForCalm(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    assert_int_equal(raised_after(&rule, &world, 1, 9, &level), 0);
    world.calm = false;
    assert_int_equal(raised_after(&rule, &world, 11, 60, &level), 0);
    world.calm = true;
    assert_int_equal(raised_after(&rule, &world, 100, 60, &level), 110);
}

// The command that raises it has a level, too; nobody can go back from the first one to 0.1.0, so nothing is waited for.
static void TestLevelOfA010Cluster(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    world.cluster = 0;
    world.members[0].level = 1;
    assert_int_equal(raised_after(&rule, &world, 1, 60, &level), 0);
    world.members[0].level = 0;
    assert_int_equal(raised_after(&rule, &world, 100, 60, &level), 0);
    world.members[0].level = 2;
    assert_int_equal(level_decide(&rule, &world, 200 * SECOND), 2);
    world.count = 0;  // it belongs to no cluster
    rule.proposed = false;
    assert_int_equal(level_decide(&rule, &world, 201 * SECOND), 0);
}

static void TestLevelIsProposedOnce(void **state) {
    (void)state;
    struct level_rule rule = {0};
    struct level_world world = calm_world();
    uint32_t level;
    assert_int_equal(raised_after(&rule, &world, 1, 60, &level), 11);
    assert_int_equal(raised_after(&rule, &world, 12, 60, &level), 0);
    rule.proposed = false;  // it was lost
    assert_int_equal(level_decide(&rule, &world, 100 * SECOND), 3);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLevelIsRaisedOnceAllReadIt), cmocka_unit_test(TestLevelIsTheLowestThatAMemberReads),
    cmocka_unit_test(TestLevelWaitsForAllToTell),     cmocka_unit_test(TestLevelWaitsForCalm),
    cmocka_unit_test(TestLevelOfA010Cluster),         cmocka_unit_test(TestLevelIsProposedOnce),
};

UNIT_MAIN(tests)
