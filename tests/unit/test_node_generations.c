// A whole node whose directory is of a later generation than all that its log says yet.
#include "node/generation.h"
#include "node_fixture.h"
#include "raft/node.h"
#include "unit.h"

// Who has rejoined gets the log from its beginning, and first meets the members of generations before, in which it may be
// the only voter. A start in the middle of that finds no more than those, and must not lead them: the new generation has
// others.
static void TestNodeStartsWithPastMembersOnly(void **state) {
    (void)state;
    struct whole_node whole;
    struct error error = {0};
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    generation_follow(whole.node, 2);
    whole_node_register_workers(&whole, 1, NULL, 0);  // an entry under it
    for (int start = 0; start < 2; start++) {
        assert_int_equal(whole_node_restart(&whole, &error), OK);
        assert_int_equal(whole.node->identity.generation, 2);
        assert_int_equal(whole.node->configuration.generation, 1);
        assert_int_equal(whole.node->configuration.count, 1);
        assert_false(raft_is_electable(whole.node->raft));
    }
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeStartsWithPastMembersOnly),
};

UNIT_MAIN(tests)
