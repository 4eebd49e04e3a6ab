// What a node makes of a leader's word that it has lost entries: node/lost_entries.h.
#include "base/array.h"
#include "node/lost_entries.c"  // the claim, and how it is compared with the log, which no header shows
#include "node_fixture.h"
#include "unit.h"

// What was acknowledged in the present term, or in a later one, must be here. What was acknowledged in an earlier one may
// have been overwritten in order since.
static void TestNodeHasLostWhatItAcknowledged(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    const struct node *node = whole.node;
    raft_term term = raft_current_term(node->raft);
    struct raft_entry_id last = raft_last_log(node->raft);
    struct raft_entry_id behind = {.term = term, .index = last.index + 1};
    struct raft_entry_id other = {.term = last.term - 1, .index = last.index};
    struct raft_entry_id unknown = {.term = 0, .index = last.index};
    const struct {
        struct claim claim;
        bool lost;
    } cases[] = {
        {{.generation = 1, .term = term, .entry = behind}, true},
        {{.generation = 1, .term = term + 1, .entry = behind}, true},
        {{.generation = 1, .term = term - 1, .entry = behind}, false},
        {{.generation = 2, .term = term, .entry = behind}, false},
        {{.generation = 1, .term = term, .entry = last}, false},
        {{.generation = 1, .term = term, .entry = other}, true},
        {{.generation = 1, .term = term, .entry = unknown}, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(is_lost(node, &cases[i].claim), cases[i].lost);
    }
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeHasLostWhatItAcknowledged),
};

UNIT_MAIN(tests)
