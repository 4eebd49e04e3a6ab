// The cluster's level on a whole node: when it is raised, and what is above this version's.
#include "node/calls.h"
#include "node/level.c"  // what it knows of the others, which no header shows
#include "node_fixture.h"
#include "unit.h"
#include "wire/command.h"

static struct whole_node whole;

static int teardown(void **state) {
    (void)state;
    whole_node_end(&whole);
    return 0;
}

static int setup(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    return 0;
}

static int setup_two(void **state) {
    (void)state;
    whole_node_start(&whole, 2);
    return 0;
}

static void assert_told(uint32_t cluster_level, uint32_t level) {
    struct node_status status;
    node_status(whole.node, &status);
    assert_int_equal(status.response.cluster_level, cluster_level);
    assert_int_equal(status.response.level, level);
    assert_int_equal(status.members[0].level, level);
}

// By itself, as soon as it leads, by an entry that a restart applies again.
static void TestNodeRaisesTheLevel(void **state) {
    (void)state;
    whole_node_await_leading(&whole);
    assert_told(0, COMMAND_LEVEL);
    while (state_level(whole.node->state) == 0) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_told(COMMAND_LEVEL, COMMAND_LEVEL);
    assert_false(whole.node->level_rule.proposed);  // so that it can raise it again
    raft_index last = raft_last_log(whole.node->raft).index;
    level_sample(whole.node);
    assert_false(writes_collected(whole.node->writes));  // not twice

    struct error error = {0};
    assert_int_equal(whole_node_restart(&whole, &error), OK);
    whole_node_await_leading(&whole);
    assert_told(COMMAND_LEVEL, COMMAND_LEVEL);
    assert_int_equal(raft_last_log(whole.node->raft).index, last + 1);  // its no-op
}

static void assert_proposes(bool expected) {
    level_sample(whole.node);
    assert_int_equal(writes_collected(whole.node->writes), expected);
}

static void refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    calls_write_refused(user, write, refusal);
}

// Not while members or leadership change; and once more if the proposal was refused.
static void TestNodeRaisesTheLevelInCalm(void **state) {
    (void)state;
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    raft_index index = node->configuration.index;
    node->configuration.index = raft_commit_index(node->raft) + 1;
    assert_proposes(false);
    node->configuration.index = index;
    node->stopping = TRANSFERRING;
    assert_proposes(false);
    node->stopping = RUNNING;
    assert_proposes(true);
    struct raft_event event;
    assert_true(writes_event(node->writes, &event));
    raft_entry_unref(event.propose.entries[0]);
    struct raft_proposed answer = {.refusal = RAFT_TRANSFERRING};
    writes_placed(node->writes, &answer, node->now_us, NULL, refused, node);
    assert_proposes(true);
}

// Whatever it has heard.
static void TestNodeFollowersRaiseNothing(void **state) {
    (void)state;
    struct raft_id other = raft_id_of(slice_of_str("n2"));
    struct peer_view *view = (struct peer_view *)peers_view(whole.node->peers, &other);
    whole.node->configuration.index = 0;  // or the founding, not committed yet, would keep it from it
    view->reachable = true;
    view->level = COMMAND_LEVEL;
    assert_proposes(false);
}

// What it told before it was lost counts no more: it may come back with an older version.
static void TestNodeForgetsTheLevelOfALostPeer(void **state) {
    (void)state;
    struct raft_id other = raft_id_of(slice_of_str("n2"));
    struct peer_view *view = (struct peer_view *)peers_view(whole.node->peers, &other);
    struct level_world world;
    view->level = COMMAND_LEVEL;
    for (int reachable = 0; reachable < 2; reachable++) {
        view->reachable = reachable;
        describe_world(whole.node, &world);
        assert_int_equal(world.count, 2);
        assert_int_equal(world.members[1].told, reachable);
        assert_true(world.members[0].told && world.members[0].level == COMMAND_LEVEL);
    }
    assert_int_equal(world.members[1].level, COMMAND_LEVEL);
}

// As a newer leader would send it. It is not committed when this node stops, and may be when it starts again.
static void add_entry(uint32_t level, uint32_t raised_to) {
    struct pb_command command = {.format = COMMAND_FORMAT, .level = level};
    if (raised_to > 0) {
        command.op = PB_COMMAND_OP_RAISE_LEVEL;
        command.raise_level.level = raised_to;
    } else {
        command.op = PB_COMMAND_OP_DELETE;
        command.delete.key = slice_of_str("k");
    }
    struct error error = {0};
    struct raft_entry *entry = wire_command_encode(whole.node->slab, &command, &error);
    assert_non_null(entry);
    writes_collect(whole.node->writes, entry, (struct rpc_call){0}, &(struct verb){0});
}

// With a status of its own, and again at each start; nothing is changed.
static void assert_stops_at(uint32_t level, uint32_t raised_to, const char *words) {
    whole_node_await_leading(&whole);
    add_entry(level, raised_to);
    while (whole.failure == OK) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_int_equal(whole.failure, ERR_UNKNOWN_COMMAND);
    for (int i = 0; i < 2; i++) {
        struct error error = {0};
        assert_int_equal(whole_node_restart(&whole, &error), ERR_UNKNOWN_COMMAND);
        assert_non_null(strstr(error.message, words));
        assert_non_null(strstr(error.message, whole.dir));
    }
}

static void TestNodeStopsAtALaterCommand(void **state) {
    (void)state;
    assert_stops_at(COMMAND_LEVEL + 1, 0, "a command of level 4; this version knows level 3: upgrade this node");
}

static void TestNodeStopsAtALaterLevel(void **state) {
    (void)state;
    assert_stops_at(COMMAND_LEVEL_RAISE, COMMAND_LEVEL + 1,
                    "the cluster is raised to level 4; this version knows level 3: upgrade this node");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(TestNodeRaisesTheLevel, setup, teardown),
    cmocka_unit_test_setup_teardown(TestNodeRaisesTheLevelInCalm, setup, teardown),
    cmocka_unit_test_setup_teardown(TestNodeFollowersRaiseNothing, setup_two, teardown),
    cmocka_unit_test_setup_teardown(TestNodeForgetsTheLevelOfALostPeer, setup_two, teardown),
    cmocka_unit_test_setup_teardown(TestNodeStopsAtALaterCommand, setup, teardown),
    cmocka_unit_test_setup_teardown(TestNodeStopsAtALaterLevel, setup, teardown),
};

UNIT_MAIN(tests)
