// What becomes of calls when leadership is lost: node/leadership.h.
#include "node/leadership.h"
#include "node_fixture.h"
#include "unit.h"

static size_t lost;

static void count_lost(struct node *node) {
    (void)node;
    lost++;
}

static const struct verb waiting = {.lost = count_lost};

static void is_lost(void *user, const struct waiting_write *write) {
    (void)user;
    (void)write;
    fail();
}

static void is_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    (void)user;
    (void)write;
    (void)refusal;
    fail();
}

// A write of an earlier leader, which waits for what a later one makes of its entry.
static void place_write(struct node *node) {
    writes_collect(node->writes, NULL, (struct rpc_call){0}, &waiting);
    struct raft_proposed placed = {.refusal = RAFT_ACCEPTED, .first = {.term = 1, .index = 1000}};
    writes_placed(node->writes, &placed, node->now_us, is_lost, is_refused, node);
}

static size_t lost_after(struct node *node, uint64_t leaderless_us) {
    node->now_us = node->leader_lost_us + leaderless_us;
    leadership_settle(node, &(struct raft_update){.has_persist = false});
    return lost;
}

// For two seconds without a leader; while there is one, for as long as it takes.
static void TestNodeWritesWaitForTheNextLeader(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);  // the other cannot be reached: there is no leader
    struct node *node = whole.node;
    place_write(node);
    node->leader_lost_us = 0;
    assert_int_equal(lost_after(node, 100 * US_PER_S), 0);
    node->leader_lost_us = node_clock_us();
    assert_int_equal(lost_after(node, 2 * US_PER_S), 0);
    assert_int_equal(lost_after(node, 2 * US_PER_S + 1), 1);
    assert_int_equal(lost_after(node, 3 * US_PER_S), 1);
    node->now_us = node_clock_us();
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeWritesWaitForTheNextLeader),
};

UNIT_MAIN(tests)
