// Who answers at a peer's address: the peer, or a stranger.
#include <string.h>

#include "base/array.h"
#include "node/raft_service.h"
#include "node/stranger.h"
#include "unit.h"

static struct stranger found;

static bool finds(const char *cluster, struct slice node) {
    struct wire_identity us = {.generation = 1};
    us.cluster_id = raft_id_of(slice_of_str("demo"));
    us.node_id = raft_id_of(slice_of_str("n1"));
    struct raft_id called = raft_id_of(slice_of_str("n2"));
    struct pb_status_response status = {.cluster_id = slice_of_str(cluster), .node = node};
    return stranger_find(&us, &called, &status, &found);
}

static void TestNodeStranger(void **state) {
    (void)state;
    assert_false(finds("demo", slice_of_str("n2")));
    assert_true(finds("demo", slice_of_str("n3")));
    assert_string_equal(found.text, "node n3 of cluster demo");
    assert_true(finds("demo", slice_of_str("n1")));  // this node itself
    assert_true(finds("other", slice_of_str("n2")));
    assert_string_equal(found.text, "node n2 of cluster other");
    assert_true(finds("demo", slice_of_str("n")));
    assert_true(finds("demo", slice_of_str("n22")));
    assert_true(finds("dem", slice_of_str("n2")));
}

// Its answer is shown to people, so it may not bring what no id has.
static void TestNodeStrangerWithoutAnId(void **state) {
    (void)state;
    assert_true(finds("", slice_of_str("")));
    assert_string_equal(found.text, "node (not an id) of cluster (not an id)");
    assert_true(finds("demo", slice_of_str("n2\n")));
    assert_string_equal(found.text, "node (not an id) of cluster demo");
    assert_true(finds("demo", slice_of("n2\0", 3)));
    assert_true(finds("demo", slice_of_str("\xff\xfe")));
    char longest[1000];
    memset(longest, 'a', sizeof longest);
    assert_true(finds("demo", slice_of(longest, sizeof longest)));
    assert_string_equal(found.text, "node (not an id) of cluster demo");
    assert_true(finds("demo", slice_of(longest, ID_MAX)));
    assert_int_equal(strlen(found.text), strlen("node  of cluster demo") + ID_MAX);
}

static bool finds_of(uint64_t generation, uint64_t configuration_index) {
    struct wire_identity us = {.generation = 2};
    us.cluster_id = raft_id_of(slice_of_str("demo"));
    us.node_id = raft_id_of(slice_of_str("n1"));
    struct raft_id called = raft_id_of(slice_of_str("n2"));
    struct pb_status_response status = {.cluster_id = slice_of_str("demo"),
                                        .node = slice_of_str("n2"),
                                        .generation = generation,
                                        .configuration_index = configuration_index};
    return stranger_find(&us, &called, &status, &found);
}

// A peer of another generation is a stranger, and which one it is of is told; a node that waits to be added is of none yet.
static void TestNodeStrangerOfAnotherGeneration(void **state) {
    (void)state;
    assert_false(finds_of(2, 7));
    assert_int_equal(found.generation, 0);
    assert_true(finds_of(3, 7));
    assert_int_equal(found.generation, 3);
    assert_string_equal(found.text, "n2 of the cluster's generation 3");
    assert_true(finds_of(1, 7));
    assert_int_equal(found.generation, 1);
    assert_string_equal(found.text, "n2 of the cluster's generation 1 (stop it, and run batond --rejoin there)");
    assert_true(finds_of(0, 7));  // a version that knows none
    assert_int_equal(found.generation, 1);
    assert_false(finds_of(1, 0));
    assert_true(finds_of(3, 0));  // it has joined the next one
    assert_true(finds("other", slice_of_str("n2")));
    assert_int_equal(found.generation, 0);
}

// By its certificate a node speaks in its own name alone, and nobody else in a node's. Without TLS there is no telling.
static void TestNodeSpeaksForItself(void **state) {
    (void)state;
    struct raft_id n1 = raft_id_of(slice_of_str("n1"));
    static const struct {
        const char *identity;
        bool speaks;
    } cases[] = {{"node/n1", true},    {"node/n2", false},     {"node/n11", false}, {"node/n", false}, {"node/", false},
                 {"worker/n1", false}, {"operator/n1", false}, {"n1", false},       {NULL, true}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(raft_service_is_sender((struct rpc_peer){.identity = cases[i].identity}, &n1), cases[i].speaks);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeStrangerOfAnotherGeneration),
    cmocka_unit_test(TestNodeStranger),
    cmocka_unit_test(TestNodeStrangerWithoutAnId),
    cmocka_unit_test(TestNodeSpeaksForItself),
};

UNIT_MAIN(tests)
