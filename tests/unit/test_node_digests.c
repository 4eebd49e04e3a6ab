// Digests of the state between nodes: what is kept and told, and what a node does about what others tell.
#include <string.h>

#include "node/apply.h"
#include "node/digests.h"
#include "node/image.h"
#include "node/quarantine.h"
#include "node/snapshots.h"
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/command.h"

// Returns once the node, which leads alone, has applied it.
static void put(struct whole_node *whole, const char *key) {
    struct pb_command command = {.op = PB_COMMAND_OP_PUT, .put = {.key = slice_of_str(key), .value = slice_of_str("value")}};
    whole_node_propose(whole, &verb_put, &command);
    struct state_item item;
    while (!state_get(whole->node->state, slice_of_str(key), &item)) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

// A node that has a state, and is then told that it is one of three voters.
static void start_of_three(struct whole_node *whole) {
    whole_node_start(whole, 1);
    put(whole, "k");
    struct wire_configuration *configuration = &whole->node->configuration;
    for (const char *const *id = (const char *const[]){"n2", "n3", NULL}; *id != NULL; id++) {
        struct wire_member member = configuration->members[0];
        member.id = raft_id_of(slice_of_str(*id));
        configuration->members[configuration->count++] = member;
    }
}

static void end_of_three(struct whole_node *whole) {
    whole->node->configuration.count = 1;
    whole_node_end(whole);
}

static void hear_of(uint64_t generation, struct node *node, const char *from, raft_index index, uint64_t digest) {
    struct pb_state_digest told = {.index = index, .digest = digest};
    struct pb_status_response status = {.digests = &told, .digests_count = index > 0, .generation = generation};
    struct raft_id id = raft_id_of(slice_of_str(from));
    digests_heard(node, &id, &status);
}

static void hear(struct node *node, const char *from, raft_index index, uint64_t digest) {
    hear_of(node->identity.generation, node, from, index, digest);
}

static double undecided(const struct node *node) {
    return node->m.digests_undecided->value;
}

// The digest of the state at the last index is told; a majority that has another takes this node out of service.
static void TestDigestsOfAMajority(void **state) {
    (void)state;
    struct whole_node whole;
    start_of_three(&whole);
    struct node *node = whole.node;
    struct pb_state_digest told[DIGESTS_TOLD_MAX];
    digests_keep(node);
    size_t count = digests_tell(node, told);
    assert_in_range(count, 1, DIGESTS_TOLD_MAX);
    raft_index index = told[count - 1].index;
    uint64_t digest = told[count - 1].digest;
    assert_int_equal(index, state_last_applied(node->state));
    assert_int_equal(digest, state_digest(node->state));
    hear(node, "n2", index, digest);
    hear(node, "n3", index, digest + 1);
    assert_true(undecided(node) == 0 && !quarantine_begun(node));
    hear(node, "n2", index, digest + 2);  // it was started again with another state
    assert_true(undecided(node) == 1 && !quarantine_begun(node));
    hear(node, "n9", index, digest + 1);
    assert_true(undecided(node) == 1 && !quarantine_begun(node));
    hear_of(node->identity.generation + 1, node, "n2", index, digest + 1);  // of another log
    hear_of(node->identity.generation + 1, node, "n3", index, digest + 1);
    assert_true(undecided(node) == 0 && !quarantine_begun(node));
    hear(node, "n2", 0, 0);
    hear(node, "n3", index + 1, digest + 1);
    assert_true(undecided(node) == 0 && !quarantine_begun(node));
    hear(node, "n2", index, digest + 1);
    assert_false(quarantine_begun(node));
    hear(node, "n3", index, digest + 1);
    assert_true(quarantine_begun(node));
    assert_non_null(strstr(quarantine_message(node), "--rebuild"));
    end_of_three(&whole);
}

// Digests of a state that another has taken the place of count no more.
static void TestDigestsOfAReplacedState(void **state) {
    (void)state;
    struct whole_node whole;
    start_of_three(&whole);
    struct node *node = whole.node;
    raft_index index = state_last_applied(node->state);
    digests_keep(node);
    state_skip(node->state, index + 1);
    digests_replaced(node);
    hear(node, "n2", index, 1);
    hear(node, "n3", index, 1);
    assert_true(undecided(node) == 0 && !quarantine_begun(node));
    struct pb_state_digest told[DIGESTS_TOLD_MAX];
    assert_int_equal(digests_tell(node, told), 1);
    assert_int_equal(told[0].index, index + 1);
    end_of_three(&whole);
}

static struct {
    size_t count;
    char error[512];
} taken;

static void on_taken(struct node *node, struct rpc_call call, const struct snapshot_result *result) {
    (void)node;
    (void)call;
    taken.count++;
    snprintf(taken.error, sizeof taken.error, "%s", result->error == NULL ? "" : result->error);
}

// A bit of a value is another: the next snapshot finds it, is given up, and the node stops serving. All who wait for one are
// told.
static void TestDigestsOfDamagedMemory(void **state) {
    (void)state;
    struct whole_node whole;
    start_of_three(&whole);
    struct node *node = whole.node;
    struct state_item item;
    assert_true(state_get(node->state, slice_of_str("k"), &item));
    taken.count = 0;
    assert_true(node_take_snapshot(node, (struct rpc_call){0}, on_taken));
    while (taken.count < 1) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_string_equal(taken.error, "");
    put(&whole, "l");  // else that one would do
    *(uint8_t *)item.value.data ^= 1;
    assert_true(node_take_snapshot(node, (struct rpc_call){0}, on_taken));
    assert_true(node_take_snapshot(node, (struct rpc_call){0}, on_taken));  // for the one after it
    while (taken.count < 3) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_non_null(strstr(taken.error, "STATE_DAMAGED"));
    assert_true(quarantine_begun(node));
    assert_non_null(strstr(quarantine_message(node), "STATE_DAMAGED"));
    assert_non_null(strstr(quarantine_message(node), "start it again"));
    assert_int_equal(snapshots_status(node->snapshots).last.index, state_last_applied(node->state) - 1);
    end_of_three(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestDigestsOfAMajority),
    cmocka_unit_test(TestDigestsOfAReplacedState),
    cmocka_unit_test(TestDigestsOfDamagedMemory),
};

UNIT_MAIN(tests)
