// What calls answer, on a whole node: src/verbs. What a client would receive is read from the node's buffer.
#include "base/array.h"
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

static struct whole_node whole;
static uint64_t watched_from;  // by the last Watch

// Intercepts what Watch asks of the node, by the linker's --wrap (meson.build).
bool __wrap_node_watch(struct node *node, struct rpc_call call, struct slice prefix, uint64_t from);

bool __wrap_node_watch(struct node *node, struct rpc_call call, struct slice prefix, uint64_t from) {
    (void)node;
    (void)call;
    (void)prefix;
    watched_from = from;
    return true;
}

static void ignore_result(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)node;
    (void)call;
    (void)result;
}

static const struct verb unawaited = {.applied = ignore_result};

static void put(const char *key) {
    struct pb_command command = {.op = PB_COMMAND_OP_PUT, .put = {.key = slice_of_str(key), .value = slice_of_str("v")}};
    whole_node_propose(&whole, &unawaited, &command);
    while (writes_collected(whole.node->writes) || writes_count(whole.node->writes) > 0) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
}

// The verb's answer, decoded into *response; valid until the next one.
static void ask(const struct verb *verb, const void *request, raft_index index, void *response) {
    struct error error;
    buf_clear(&whole.node->out);
    arena_reset(&whole.node->scratch);
    verb->answer(whole.node, (struct rpc_call){0}, request, index);
    assert_true(whole.node->out.len > 0);
    arena_reset(&whole.node->event_arena);
    assert_int_equal(
        pb_decode(&whole.node->event_arena, verb->method->response, buf_slice(&whole.node->out), response, &error), OK);
}

// A client has had the answers to what it has written, and not to what it is about to write.
static void TestVerbsSessionsAcknowledgeThePast(void **state) {
    (void)state;
    static const struct {
        uint64_t sequence, acknowledged_below;
        enum error_code code;
    } cases[] = {{3, 0, OK}, {3, 3, OK}, {3, 4, ERR_INVALID}, {1, 2, ERR_INVALID}, {1, 1, OK}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error;
        struct pb_session session = {.client_id = slice_of_str("c"),
                                     .sequence = cases[i].sequence,
                                     .acknowledged_below = cases[i].acknowledged_below};
        struct pb_put_request put_request = {.has_session = true, .session = session};
        struct pb_delete_request delete_request = {.has_session = true, .session = session};
        assert_int_equal(verb_put.check(&put_request, &error), cases[i].code);
        assert_int_equal(verb_delete.check(&delete_request, &error), cases[i].code);
    }
}

// ReadLog shows what is committed, on a follower that has more.
static void TestVerbsReadLogShowsWhatIsCommitted(void **state) {
    (void)state;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    struct raft_entry **entries = arena_alloc(&node->event_arena, sizeof(struct raft_entry *));
    entries[0] = raft_entry_new(node->slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){.term = 2, .index = 2}, 0);
    *node_event(node) = (struct raft_event){
        .type = RAFT_EVENT_MESSAGE,
        .message = {.type = RAFT_APPEND_ENTRIES,
                    .from = raft_id_of(slice_of_str("n2")),
                    .to = raft_id_of(slice_of_str("n1")),
                    .term = 2,
                    .append = {.prev_log = {.term = 1, .index = 1}, .entries = entries, .count = 1, .leader_commit = 1}},
    };
    while (raft_last_log(node->raft).index < 2 || raft_commit_index(node->raft) < 1) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    struct pb_read_log_response response;
    ask(&verb_read_log, &(struct pb_read_log_request){.from = 0}, 0, &response);
    assert_int_equal(response.commit_index, 1);
    assert_int_equal(response.entries_count, 1);
    ask(&verb_read_log, &(struct pb_read_log_request){.from = 2, .to = 2}, 0, &response);
    assert_int_equal(response.entries_count, 0);
    whole_node_end(&whole);
}

// All pages of a list are of the version that the first one was of.
static void TestVerbsListPagesOfOneVersion(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    put("a");
    put("b");
    put("d");
    struct pb_list_response response;
    ask(&verb_list, &(struct pb_list_request){.limit = 2}, 0, &response);
    uint64_t at = response.read_index;
    assert_true(response.items_count == 2 && response.more);
    put("c");
    ask(&verb_list, &(struct pb_list_request){.limit = 2, .start_after = slice_of_str("b"), .at = at}, 0, &response);
    assert_true(response.items_count == 1 && !response.more);
    assert_true(slice_equal(response.items[0].key, slice_of_str("d")));
    assert_int_equal(response.read_index, at);
    whole_node_end(&whole);
}

// From now on is from when the call came, which the confirmed index tells: this node may have applied more meanwhile.
static void TestVerbsWatchFromWhenItCame(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    put("a");
    raft_index confirmed = state_last_applied(whole.node->state);
    put("b");
    verb_watch.answer(whole.node, (struct rpc_call){0}, &(struct pb_watch_request){.has_from_revision = false}, confirmed);
    assert_int_equal(watched_from, confirmed + 1);
    struct pb_watch_request old = {.has_from_revision = true, .from_revision = 2};
    verb_watch.answer(whole.node, (struct rpc_call){0}, &old, confirmed);
    assert_int_equal(watched_from, 2);
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestVerbsSessionsAcknowledgeThePast),
    cmocka_unit_test(TestVerbsReadLogShowsWhatIsCommitted),
    cmocka_unit_test(TestVerbsListPagesOfOneVersion),
    cmocka_unit_test(TestVerbsWatchFromWhenItCame),
};

UNIT_MAIN(tests)
