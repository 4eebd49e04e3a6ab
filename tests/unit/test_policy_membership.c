// Which changes of members are refused, and what those that are allowed lead to.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "policy/membership.h"
#include "unit.h"

static struct raft_id id_of(const char *id) {
    struct raft_id out = {.len = (uint8_t)strlen(id)};
    memcpy(out.text, id, out.len);
    return out;
}

static struct change_member member(const char *id, const char *cloud) {
    struct change_member out = {
        .id = id_of(id), .address = slice_of_str(id), .voter = true, .reachable = true, .match_index = 100};
    snprintf(out.cloud, sizeof out.cloud, "%s", cloud);
    return out;
}

// n1 leads; n2 beside it, n3 in the other cloud.
static struct change_world three(void) {
    return (struct change_world){
        .members = {member("n1", "gcp"), member("n2", "gcp"), member("n3", "aws")},
        .count = 3,
        .established = true,
        .caught_up = 90,
    };
}

static struct change change_of(enum change_kind kind, const char *id) {
    return (struct change){.kind = kind, .id = id_of(id), .address = slice_of_str(id)};
}

static enum change_refusal check(const struct change_world *world, enum change_kind kind, const char *id) {
    struct change change = change_of(kind, id);
    struct change_effect effect;
    return change_check(world, &change, &effect);
}

static void TestMembershipRefusals(void **state) {
    (void)state;
    struct change_world world = three();
    struct raft_id removed = id_of("n0");
    world.removed = &removed;
    world.removed_count = 1;
    assert_int_equal(check(&world, CHANGE_ADD, "n4"), CHANGE_ALLOWED);
    assert_int_equal(check(&world, CHANGE_ADD, "n0"), CHANGE_WAS_REMOVED);
    assert_int_equal(check(&world, CHANGE_ADD, "n3"), CHANGE_IS_MEMBER);
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_IS_VOTER);
    assert_int_equal(check(&world, CHANGE_REMOVE, "n9"), CHANGE_NO_MEMBER);
    assert_int_equal(check(&world, CHANGE_REMOVE, "n0"), CHANGE_WAS_REMOVED);
    struct change taken = {.kind = CHANGE_UPDATE, .id = id_of("n2"), .address = slice_of_str("n3")};
    struct change_effect effect;
    assert_int_equal(change_check(&world, &taken, &effect), CHANGE_ADDRESS_TAKEN);
    assert_string_equal(effect.other->id.text, "n3");
    taken.address = slice_of_str("n2");  // its own
    assert_int_equal(change_check(&world, &taken, &effect), CHANGE_ALLOWED);
    world.pending = true;
    assert_int_equal(check(&world, CHANGE_ADD, "n4"), CHANGE_PENDING);
    world.established = false;
    assert_int_equal(check(&world, CHANGE_ADD, "n4"), CHANGE_NOT_ESTABLISHED);
}

// With as many members as there may be, and removed ones.
static void TestMembershipOfAFullCluster(void **state) {
    (void)state;
    struct change_world world = three();
    char ids[MEMBERS_MAX][16];
    for (; world.count < MEMBERS_MAX; world.count++) {
        snprintf(ids[world.count], sizeof ids[world.count], "n%zu", world.count + 1);
        world.members[world.count] = member(ids[world.count], "aws");
    }
    struct raft_id *removed = calloc(REMOVED_MAX, sizeof *removed);
    world.removed = removed;
    world.removed_count = REMOVED_MAX - 1;
    assert_int_equal(check(&world, CHANGE_ADD, "m"), CHANGE_TOO_MANY);
    assert_int_equal(check(&world, CHANGE_REMOVE, "n3"), CHANGE_ALLOWED);
    world.removed_count = REMOVED_MAX;
    assert_int_equal(check(&world, CHANGE_REMOVE, "m"), CHANGE_NO_MEMBER);
    assert_int_equal(check(&world, CHANGE_REMOVE, "n3"), CHANGE_TOO_MANY_REMOVED);
    assert_int_equal(check(&world, CHANGE_UPDATE, "n3"), CHANGE_ALLOWED);
    world.count = 3;
    struct change taken = {.kind = CHANGE_ADD, .id = id_of("m"), .address = slice_of_str("n3")};
    struct change_effect effect;
    assert_int_equal(change_check(&world, &taken, &effect), CHANGE_ADDRESS_TAKEN);
    taken.address = world.members[world.count].address;  // of one that is a member no more
    assert_int_equal(change_check(&world, &taken, &effect), CHANGE_ALLOWED);
    free(removed);
}

static void TestMembershipLearnersCatchUpFirst(void **state) {
    (void)state;
    struct change_world world = three();
    world.members[2].voter = false;
    struct change promotion = change_of(CHANGE_PROMOTE, "n3");
    struct change_effect effect;
    assert_int_equal(change_check(&world, &promotion, &effect), CHANGE_ALLOWED);
    assert_int_equal(effect.voters, 3);
    world.members[2].match_index = 90;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_ALLOWED);
    world.members[2].match_index = 89;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_BEHIND);
    world.members[2].match_index = 90;
    world.caught_up = UINT64_MAX;  // a leader of less than two seconds
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_BEHIND);
    world.caught_up = 90;
    world.members[2].reachable = false;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_BEHIND);
}

// It stops at the first entry that it cannot read, and the leader knows why.
static void TestMembershipTooOldALearner(void **state) {
    (void)state;
    struct change_world world = three();
    world.level = 3;
    world.members[2].voter = false;
    world.members[2].level = 2;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_TOO_OLD);
    world.members[2].reachable = false;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_TOO_OLD);
    world.members[2].level = 0;  // it has not told, or runs 0.1.0, which is too old for any change
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_BEHIND);
    world.members[2].reachable = true;
    world.members[2].level = 3;
    assert_int_equal(check(&world, CHANGE_PROMOTE, "n3"), CHANGE_ALLOWED);
}

static void TestMembershipKeepsAMajority(void **state) {
    (void)state;
    struct change_world world = three();
    assert_int_equal(check(&world, CHANGE_REMOVE, "n3"), CHANGE_ALLOWED);
    world.members[1].reachable = false;
    assert_int_equal(check(&world, CHANGE_REMOVE, "n3"), CHANGE_NO_MAJORITY);  // n1 alone of n1 and n2
    assert_int_equal(check(&world, CHANGE_REMOVE, "n2"), CHANGE_ALLOWED);
    world.count = 1;
    assert_int_equal(check(&world, CHANGE_REMOVE, "n1"), CHANGE_NO_MAJORITY);
}

// The comparison of docs/operations.md.
static void TestMembershipEffects(void **state) {
    (void)state;
    struct change_world world = three();
    struct change nothing = change_of(CHANGE_UPDATE, "n1");
    struct change_effect effect;
    assert_int_equal(change_check(&world, &nothing, &effect), CHANGE_ALLOWED);
    assert_int_equal(effect.voters, 3);
    assert_int_equal(effect.may_fail, 1);
    assert_int_equal(effect.lost_count, 1);  // 2+1: only the cloud with one
    assert_string_equal(effect.lost[0], "aws");
    struct change last = change_of(CHANGE_REMOVE, "n2");
    assert_int_equal(change_check(&world, &last, &effect), CHANGE_ALLOWED);
    assert_int_equal(effect.may_fail, 0);
    assert_int_equal(effect.lost_count, 0);
    world.members[3] = member("n4", "aws");
    world.members[4] = member("n5", "third");
    world.count = 5;
    assert_int_equal(change_check(&world, &nothing, &effect), CHANGE_ALLOWED);
    assert_int_equal(effect.may_fail, 2);
    assert_int_equal(effect.lost_count, 3);  // 2+2+1: any
}

// One digit a voter: its site.
static void TestMembershipLayouts(void **state) {
    (void)state;
    static const struct {
        const char *sites;
        size_t may_fail;
        const char *lost;
    } layouts[] = {
        {"112", 1, "2"}, {"123", 1, "123"}, {"1122", 1, ""}, {"11122", 2, "2"}, {"11223", 2, "123"}, {"112233", 2, "123"},
    };
    static const char *const ids[] = {"n1", "n2", "n3", "n4", "n5", "n6"};
    for (size_t i = 0; i < ARRAY_COUNT(layouts); i++) {
        struct change_world world = three();
        world.count = strlen(layouts[i].sites);
        for (size_t k = 0; k < world.count; k++) {
            const char site[] = {layouts[i].sites[k], '\0'};
            world.members[k] = member(ids[k], site);
        }
        struct change nothing = change_of(CHANGE_UPDATE, "n1");
        struct change_effect effect;
        assert_int_equal(change_check(&world, &nothing, &effect), CHANGE_ALLOWED);
        assert_int_equal(effect.may_fail, layouts[i].may_fail);
        assert_int_equal(effect.lost_count, strlen(layouts[i].lost));
        for (size_t k = 0; k < effect.lost_count; k++) {
            assert_int_equal(effect.lost[k][0], layouts[i].lost[k]);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestMembershipOfAFullCluster),
    cmocka_unit_test(TestMembershipRefusals),
    cmocka_unit_test(TestMembershipLearnersCatchUpFirst),
    cmocka_unit_test(TestMembershipTooOldALearner),
    cmocka_unit_test(TestMembershipKeepsAMajority),
    cmocka_unit_test(TestMembershipEffects),
    cmocka_unit_test(TestMembershipLayouts),
};

UNIT_MAIN(tests)
