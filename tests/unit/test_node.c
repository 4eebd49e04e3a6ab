// A whole node on its loop: what it holds back, in which order it answers, and its end.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "node/apply.h"
#include "node/calls.h"
#include "node/node.h"
#include "node/turn.c"  // the turn's state and one turn at a time, which no header shows
#include "node/worker_liveness.h"
#include "node_fixture.h"
#include "policy/liveness.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

// n2, leading term 2, sends the entry of an index by a call that has ended meanwhile.
static void receive_entry(struct node *node, raft_index index) {
    struct raft_entry_id before = {.term = index == 2 ? 1 : 2, .index = index - 1};
    struct raft_entry **entries = arena_alloc(&node->event_arena, sizeof(struct raft_entry *));
    entries[0] = raft_entry_new(node->slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){.term = 2, .index = index}, 0);
    *node_event(node) = (struct raft_event){
        .type = RAFT_EVENT_MESSAGE,
        .message = {.type = RAFT_APPEND_ENTRIES,
                    .from = raft_id_of(slice_of_str("n2")),
                    .to = raft_id_of(slice_of_str("n1")),
                    .term = 2,
                    .append = {.prev_log = before, .entries = entries, .count = 1}},
    };
}

// The log fails while a leader's entries are waiting for the next step: the node ends with everything given back.
static void TestNodeFailsWithEntriesWaiting(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    receive_entry(whole.node, 2);
    node_fail(whole.node, ERR_IO, "as if the disk had failed");
    assert_int_equal(whole.failure, ERR_IO);
    whole_node_end(&whole);
}

// A disk that stands still for an hour: what would answer calls that have ended is not kept for it.
static void TestNodeHoldsNoRepliesForDeadCalls(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    for (raft_index index = 2; index < 1000; index++) {
        receive_entry(node, index);
        take_turn(node, false);
        assert_int_equal(raft_last_log(node->raft).index, index);
        for (size_t i = 0; i < node->turn->held_count; i++) {
            node->turn->held[i].after_write = UINT64_MAX;  // never durable
        }
    }
    assert_in_range(node->turn->held_count, 1, 64);
    whole_node_end(&whole);
}

// What a reply promises is on the disk before it leaves, also where the core and the log are joined.
static void TestNodeHoldsRepliesUntilDurable(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    for (raft_index index = 2; index < 50; index++) {
        receive_entry(node, index);
        take_turn(node, false);  // has looked at the log's completions before it handed the entry out
        assert_int_equal(node->turn->held_count, 1);
        assert_true(node->turn->held[0].after_write > node->turn->durable_told);
        while (node->turn->held_count > 0) {
            uv_run(&whole.loop, UV_RUN_ONCE);
            assert_true(node->turn->held_count == 0 || node->turn->held[0].after_write > node->turn->durable_told);
        }
    }
    whole_node_end(&whole);
}

// What a node of a superseded generation has to say counts for nothing any more; one whose state has diverged has a sound
// log.
static void TestNodeOfAnEarlierGenerationSendsNothing(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 2);
    struct node *node = whole.node;
    const struct raft_message messages[] = {
        {.type = RAFT_REQUEST_VOTE}, {.type = RAFT_APPEND_ENTRIES}, {.type = RAFT_APPEND_ENTRIES_REPLY}};
    static const enum quarantine_reason reasons[] = {QUARANTINE_DIVERGED, QUARANTINE_SUPERSEDED};
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
        quarantine_begin(node, reasons[i], "for a test");
        for (size_t k = 0; k < ARRAY_COUNT(messages); k++) {
            assert_int_equal(is_kept_back(node, &messages[k]), reasons[i] == QUARANTINE_SUPERSEDED);
        }
    }
    whole_node_end(&whole);
}

// A read waits until what was committed when it came is applied, however much that is.
static void TestNodeReadsWaitForTheirIndex(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    for (size_t i = 0; i < 3 * APPLY_TURN_MAX; i++) {
        struct pb_command command = {.op = PB_COMMAND_OP_DELETE, .delete = {.key = slice_of_str("k")}};
        whole_node_propose(&whole, &verb_delete, &command);
    }
    raft_index before = raft_commit_index(node->raft);
    while (raft_commit_index(node->raft) == before) {
        take_turn(node, true);
    }
    raft_index commit = raft_commit_index(node->raft);
    assert_true(state_last_applied(node->state) < commit);
    struct buf request = {0};
    pb_encode(verb_get.method->request, &(struct pb_get_request){.key = slice_of_str("k")}, &request);
    reads_collect(node->reads, &verb_get, (struct rpc_call){0}, buf_slice(&request));
    for (double applied = 0; applied < (double)commit; applied = node->m.applied_index->value) {
        assert_true(node->m.reads->value == 0);
        take_turn(node, true);
    }
    assert_true(node->m.reads->value == 1);
    buf_free(&request);
    whole_node_end(&whole);
}

static void read_confirmed(void *user, const struct waiting_read *read, struct slice request, enum raft_refusal refusal) {
    assert_int_equal(refusal, RAFT_ACCEPTED);
    calls_read_ready(user, read, request);
}

// However many fall silent at once, one confirmation of the leader calls all of them offline.
static void TestNodeExpiresAllAtOnce(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_register_workers(&whole, 2500, NULL, 0);
    struct raft_event event;
    assert_false(writes_event(node->writes, &event));
    node->now_us += LIVENESS_TIMEOUT_US;
    worker_liveness_tick(node);
    assert_true(reads_event(node->reads, &event));
    assert_false(writes_event(node->writes, &event));  // not before a quorum has answered
    reads_answered(node->reads, &(struct raft_read){.tag = event.read.tag});
    reads_release(node->reads, 0, read_confirmed, node);
    assert_true(writes_event(node->writes, &event));
    assert_int_equal(event.propose.count, 3);
    assert_int_equal(worker_liveness_due_us(node), UINT64_MAX);
    // Not for want of an answer: who is heard now is watched.
    struct state_worker worker;
    assert_true(state_worker(node->state, slice_of_str("w00000"), &worker));
    node_heard_worker(node, &worker);
    assert_in_range(worker_liveness_due_us(node), 0, UINT64_MAX - 1);
    whole_node_end(&whole);
}

// The answer to a request for workers behind an id; false: refused.
static bool list_workers(struct node *node, const char *after, uint32_t limit, struct pb_list_workers_response *response) {
    struct buf request = {0};
    struct error error;
    pb_encode(verb_list_workers.method->request,
              &(struct pb_list_workers_request){.start_after = slice_of_str(after), .limit = limit}, &request);
    buf_clear(&node->out);
    slow_replies_turn(node->slow_replies);
    calls_read_ready(node, &(struct waiting_read){.verb = &verb_list_workers, .index = 1}, buf_slice(&request));
    buf_free(&request);
    assert_in_range(node->out.len, 0, MESSAGE_MAX);
    arena_reset(&node->event_arena);
    assert_int_equal(
        pb_decode(&node->event_arena, verb_list_workers.method->response, buf_slice(&node->out), response, &error), OK);
    return node->out.len > 0;
}

// Pages make up the whole, each no larger than an answer may be; and who asks for all is never given a part.
static void TestNodeListsWorkersInPages(void **state) {
    (void)state;
    enum { WORKERS = 600 };
    static uint8_t value[LABEL_MAX];
    struct slice_pair labels[LABELS_MAX];
    char keys[LABELS_MAX][8];
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < LABELS_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "k%02zu", i);
        labels[i] = (struct slice_pair){.key = slice_of_str(keys[i]), .value = slice_of(value, sizeof value)};
    }
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_register_workers(&whole, WORKERS, labels, LABELS_MAX);
    static const uint32_t limits[] = {7, 100, LIST_DEFAULT, UINT32_MAX};
    struct pb_list_workers_response response;
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        char after[24] = "";
        size_t seen = 0;
        do {
            assert_true(list_workers(whole.node, after, limits[i], &response));
            assert_in_range(response.workers_count, 1, limits[i]);
            for (size_t k = 0; k < response.workers_count; k++) {
                struct slice id = response.workers[k].id;
                snprintf(after, sizeof after, "w%05zu", seen++);
                assert_true(slice_equal(id, slice_of_str(after)));
                assert_int_equal(response.workers[k].labels_count, LABELS_MAX);
            }
        } while (response.more);
        assert_int_equal(seen, WORKERS);
    }
    assert_false(list_workers(whole.node, "", 0, &response));
    assert_true(list_workers(whole.node, "w00399", 0, &response) && response.workers_count == 200 && !response.more);
    assert_true(list_workers(whole.node, "w00599", 7, &response) && response.workers_count == 0 && !response.more);
    whole_node_end(&whole);
}

struct listener {
    size_t told;
    size_t ended;
};

static void on_told(void *user, uint64_t tag, struct slice message) {
    struct listener *listener = user;
    (void)tag;
    (void)message;
    listener->told++;
}

static void on_ended(void *user, uint64_t tag, const struct rpc_result *result) {
    struct listener *listener = user;
    (void)tag;
    (void)result;
    listener->ended++;
}

// A key's value, so often.
static void put_often(struct whole_node *whole, size_t count) {
    enum { AT_ONCE = 1000 };  // more take so long on a slow machine that the leader steps down
    struct node *node = whole->node;
    whole_node_await_leading(whole);
    raft_index end = state_last_applied(node->state) + count;
    while (state_last_applied(node->state) < end) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            struct pb_command command = {.op = PB_COMMAND_OP_PUT,
                                         .put = {.key = slice_of_str("k"), .value = slice_of_str("v")}};
            whole_node_propose(whole, &verb_put, &command);
        }
        while (writes_count(node->writes) > 0 || writes_collected(node->writes)) {
            uv_run(&whole->loop, UV_RUN_ONCE);
        }
        whole_node_await_leading(whole);  // it may have stepped down all the same
    }
}

// Many ask at once what has changed since long ago, which takes a millisecond for each: the loop goes round in between.
static void TestNodeGoesRoundBetweenLongAnswers(void **state) {
    (void)state;
    enum { WATCHES = 500, CHANGES = 100000 };
    struct whole_node whole;
    whole_node_start(&whole, 1);
    put_often(&whole, CHANGES);
    struct buf request = {0};
    struct pb_watch_request watch = {
        .prefix = slice_of_str("none"), .has_from_revision = true, .from_revision = state_history_from(whole.node->state)};
    pb_encode(verb_watch.method->request, &watch, &request);
    struct rpc_channel_options options = {.target = node_address(whole.node)};
    struct rpc_channel *channel = rpc_channel_new(whole.node->rpc, &options);
    struct listener listener = {0};
    for (int i = 0; i < WATCHES; i++) {
        rpc_channel_call(channel, &(struct rpc_request){.path = "/baton.v1.ControlService/Watch",
                                                        .body = buf_slice(&request),
                                                        .wait_for_ready = true,
                                                        .user = &listener,
                                                        .on_done = on_ended,
                                                        .on_message = on_told});
    }
    size_t most = 0;
    while (listener.told < WATCHES) {
        size_t before = listener.told;
        uv_run(&whole.loop, UV_RUN_ONCE);
        most = listener.told - before > most ? listener.told - before : most;
        assert_int_equal(listener.ended, 0);
    }
    assert_in_range(most, 1, WATCHES / 2);
    rpc_channel_close(channel);
    buf_free(&request);
    whole_node_end(&whole);
}

// A client gives up while its Watch waits for the index at which it begins: there is nobody left to tell, and the call's
// place is another one's.
static void TestNodeWatchesNothingForDeadCalls(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    struct buf request = {0};
    pb_encode(verb_watch.method->request, &(struct pb_watch_request){.prefix = slice_of_str("")}, &request);
    struct waiting_read read = {.verb = &verb_watch, .index = state_last_applied(whole.node->state)};
    assert_false(rpc_call_alive(whole.node->server, read.call));
    calls_read_ready(whole.node, &read, buf_slice(&request));
    assert_int_equal(watches_count(whole.node->watches), 0);
    buf_free(&request);
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeWatchesNothingForDeadCalls),
    cmocka_unit_test(TestNodeFailsWithEntriesWaiting),
    cmocka_unit_test(TestNodeHoldsNoRepliesForDeadCalls),
    cmocka_unit_test(TestNodeHoldsRepliesUntilDurable),
    cmocka_unit_test(TestNodeOfAnEarlierGenerationSendsNothing),
    cmocka_unit_test(TestNodeReadsWaitForTheirIndex),
    cmocka_unit_test(TestNodeExpiresAllAtOnce),
    cmocka_unit_test(TestNodeListsWorkersInPages),
    cmocka_unit_test(TestNodeGoesRoundBetweenLongAnswers),
};

UNIT_MAIN(tests)
