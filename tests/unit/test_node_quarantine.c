// A node in quarantine: what ends, what goes on, and what it says of itself.
#include <string.h>

#include "base/array.h"
#include "node/calls.h"
#include "node/http_view.h"
#include "node/node.h"
#include "node/quarantine.h"
#include "node_fixture.h"
#include "scratch.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

#define REASON "its state is another than the majority's; rebuild it"

// One call from outside.
struct outside {
    struct rpc_channel *channel;
    bool done;
    enum rpc_status status;
    char text[512];
    char outcome[16];
    char reason[16];
    size_t messages;
};

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)tag;
    struct outside *outside = user;
    struct slice outcome = rpc_result_trailer(result, "baton-outcome");
    struct slice reason = rpc_result_trailer(result, "baton-reason");
    snprintf(outside->reason, sizeof outside->reason, "%.*s", (int)reason.len, (const char *)reason.data);
    outside->done = true;
    outside->status = result->status;
    snprintf(outside->text, sizeof outside->text, "%.*s", (int)result->message.len, (const char *)result->message.data);
    snprintf(outside->outcome, sizeof outside->outcome, "%.*s", (int)outcome.len, (const char *)outcome.data);
}

static void on_message(void *user, uint64_t tag, struct slice message) {
    (void)tag;
    (void)message;
    ((struct outside *)user)->messages++;
}

static void send_call(struct outside *outside, const struct pb_method *method, const void *request) {
    struct buf body = {0};
    if (request != NULL) {
        pb_encode(method->request, request, &body);
    }
    outside->done = false;
    outside->messages = 0;
    rpc_channel_call(outside->channel, &(struct rpc_request){
                                           .path = method->path,
                                           .body = buf_slice(&body),
                                           .timeout_ms = 10000,
                                           .wait_for_ready = true,
                                           .user = outside,
                                           .on_done = on_done,
                                           .on_message = method->server_streaming ? on_message : NULL,
                                       });
    buf_free(&body);
}

static void await(struct whole_node *whole, const bool *done) {
    while (!*done) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

static void open_channel(struct outside *outside, struct whole_node *whole) {
    struct rpc_channel_options options = {.target = node_address(whole->node)};
    *outside = (struct outside){.channel = rpc_channel_new(whole->node->rpc, &options)};
}

static void finish(struct outside *outside, struct whole_node *whole) {
    rpc_channel_close(outside->channel);
    whole_node_end(whole);
}

static const struct pb_put_request put = {.key = {(const uint8_t *)"k", 1}, .value = {(const uint8_t *)"v", 1}};

// Every call of a client ends with the reason; but who looks at the node, or at its log, is answered.
static void TestNodeQuarantineEndsAllCalls(void **state) {
    (void)state;
    struct whole_node whole;
    struct outside outside;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    open_channel(&outside, &whole);
    quarantine_begin(whole.node, QUARANTINE_DIVERGED, REASON);
    size_t answered = 0;
    for (const struct verb *const *verb = all_verbs; *verb != NULL; verb++) {
        send_call(&outside, (*verb)->method, NULL);
        await(&whole, &outside.done);
        if (*verb == &verb_status || *verb == &verb_read_log || *verb == &verb_journal || *verb == &verb_report) {
            assert_int_equal(outside.status, RPC_OK);
            answered++;
            continue;
        }
        assert_int_equal(outside.status, RPC_UNAVAILABLE);
        assert_non_null(strstr(outside.text, REASON));
        assert_string_equal(outside.outcome, "");
        assert_int_equal(outside.messages, 0);
    }
    assert_int_equal(answered, 4);
    finish(&outside, &whole);
}

// A write that waits for its commit is in doubt: its entry is in the log. A Watch that runs ends.
static void TestNodeQuarantineEndsWhatWaits(void **state) {
    (void)state;
    struct whole_node whole;
    struct outside outside;
    struct outside watch;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    open_channel(&outside, &whole);
    open_channel(&watch, &whole);
    send_call(&watch, &pb_control_service_watch, &(struct pb_watch_request){.prefix = slice_of_str("")});
    while (watch.messages == 0) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    send_call(&outside, &pb_control_service_put, &put);
    while (writes_count(whole.node->writes) == 0) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    quarantine_begin(whole.node, QUARANTINE_DIVERGED, REASON);
    await(&whole, &outside.done);
    await(&whole, &watch.done);
    assert_int_equal(outside.status, RPC_UNAVAILABLE);
    assert_string_equal(outside.outcome, "unknown");
    assert_non_null(strstr(outside.text, REASON));
    assert_int_equal(watch.status, RPC_UNAVAILABLE);
    assert_string_equal(watch.reason, "quarantined");
    rpc_channel_close(watch.channel);
    finish(&outside, &whole);
}

static void must_not_answer(struct node *node, struct rpc_call waiting, const void *request, raft_index index) {
    (void)node;
    (void)waiting;
    (void)request;
    (void)index;
    fail_msg("the state of a node in quarantine has answered");
}

static bool was_lost;

static void note_lost(struct node *node) {
    (void)node;
    was_lost = true;
}

// Reads that wait, for an index or for their turn, are not answered either. Those of the leader itself hear of it.
static void TestNodeQuarantineEndsReads(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    quarantine_begin(whole.node, QUARANTINE_DIVERGED, REASON);
    struct verb get = verb_get;
    get.answer = must_not_answer;
    struct verb own = {.answer = must_not_answer, .lost = note_lost};
    struct buf message = {0};
    pb_encode(get.method->request, &(struct pb_get_request){.key = slice_of_str("k")}, &message);
    struct waiting_read read = {.verb = &get};
    calls_read_ready(whole.node, &read, buf_slice(&message));
    calls_reply_slowly(whole.node, &read, buf_slice(&message));
    calls_read_refused(whole.node, &read, buf_slice(&message));
    assert_false(reads_collected(whole.node->reads));
    was_lost = false;
    calls_read_ready(whole.node, &(struct waiting_read){.verb = &own}, slice_of(NULL, 0));
    assert_true(was_lost);
    buf_free(&message);
    whole_node_end(&whole);
}

static bool status_says(struct node *node, const char *text) {
    struct node_status status;
    node_status(node, &status);
    return slice_equal(status.response.quarantine, slice_of_str(text)) &&
           slice_equal(status.members[0].quarantine, slice_of_str(text));
}

// The metric.
static bool is_quarantined(struct node *node, const char *reason) {
    struct buf text = {0};
    char series[64];
    metrics_render(node->metrics, &text);
    buf_append(&text, "", 1);
    snprintf(series, sizeof series, "baton_quarantined{reason=\"%s\"} 1\n", reason);
    bool is = strstr((const char *)text.data, series) != NULL;
    buf_free(&text);
    return is;
}

// It gives up leadership, does not come back to it, and says why wherever an operator looks.
static void TestNodeQuarantineNeverLeads(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    struct node *node = whole.node;
    whole_node_await_leading(&whole);
    struct http_source source = http_view_source(node);
    struct buf reasons = {0};
    assert_true(source.ready(source.user, &reasons));
    assert_true(status_says(node, ""));
    quarantine_begin(node, QUARANTINE_DIVERGED, REASON);
    while (node_leads(node)) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_false(node_serves_workers(node));
    assert_true(status_says(node, REASON));
    assert_false(source.ready(source.user, &reasons));
    buf_append(&reasons, "", 1);
    assert_non_null(strstr((const char *)reasons.data, REASON));
    assert_true(is_quarantined(node, "diverged") && !is_quarantined(node, "superseded"));
    raft_term term = raft_current_term(node->raft);
    uint64_t until_us = node_clock_us() + 2 * ELECTION_TIMEOUT_MAX_US;  // alone, it would be elected after one
    while (node_clock_us() < until_us) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_int_equal(raft_current_term(node->raft), term);
    buf_free(&reasons);
    whole_node_end(&whole);
}

// A node of a superseded generation answers no Raft message; one that has diverged does. The graver reason prevails.
static void TestNodeQuarantineOfGenerationIsSilent(void **state) {
    (void)state;
    struct whole_node whole;
    struct outside outside;
    whole_node_start(&whole, 2);
    open_channel(&outside, &whole);
    struct raft_message vote = {.type = RAFT_REQUEST_VOTE,
                                .from = raft_id_of(slice_of_str("n2")),
                                .to = raft_id_of(slice_of_str("n1")),
                                .term = 9,
                                .request_vote.last_log = {.term = 8, .index = 8}};
    struct wire_identity n2 = {.cluster_id = whole.config.cluster_id, .generation = 1, .node_id = vote.from};
    struct buf body = {0};
    wire_raft_encode(&n2, &vote, &body);
    static const enum rpc_status expected[] = {RPC_OK, RPC_UNAVAILABLE, RPC_UNAVAILABLE};
    static const enum quarantine_reason reasons[] = {QUARANTINE_DIVERGED, QUARANTINE_SUPERSEDED, QUARANTINE_DIVERGED};
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        quarantine_begin(whole.node, reasons[i], REASON);
        outside.done = false;
        rpc_channel_call(outside.channel, &(struct rpc_request){.path = wire_raft_method(RAFT_REQUEST_VOTE)->path,
                                                                .body = buf_slice(&body),
                                                                .wait_for_ready = true,
                                                                .user = &outside,
                                                                .on_done = on_done});
        await(&whole, &outside.done);
        assert_int_equal(outside.status, expected[i]);
        assert_int_equal(raft_current_term(whole.node->raft), 9);
        assert_true(is_quarantined(whole.node, "diverged") == (i == 0));
        assert_true(is_quarantined(whole.node, "superseded") == (i > 0));
    }
    buf_free(&body);
    finish(&outside, &whole);
}

// A node that knows no cluster never votes, even if the candidate names its data directory: it may have promised another
// vote before its disk was wiped.
static void TestNodeOfNoClusterNeverVotes(void **state) {
    (void)state;
    struct whole_node whole;
    struct outside outside;
    struct error error;
    char command[160];
    whole_node_start(&whole, 1);
    snprintf(command, sizeof command, "rm -r %s", whole.dir);
    scratch_make(whole.dir, sizeof whole.dir, SCRATCH_MEMORY);
    whole.config.bootstrap = false;
    assert_int_equal(whole_node_restart(&whole, &error), OK);
    assert_int_equal(system(command), 0);
    open_channel(&outside, &whole);
    struct raft_message vote = {.type = RAFT_REQUEST_VOTE,
                                .from = raft_id_of(slice_of_str("n2")),
                                .to = raft_id_of(slice_of_str("n1")),
                                .term = 9,
                                .request_vote.last_log = {.term = 8, .index = 8}};
    struct wire_configuration members = {.count = 1, .members = {{.id = vote.to}}};
    memcpy(members.members[0].incarnation, whole.node->identity.incarnation, sizeof members.members[0].incarnation);
    struct wire_identity n2 = {
        .cluster_id = whole.config.cluster_id, .generation = 1, .node_id = vote.from, .configuration = &members};
    struct buf body = {0};
    wire_raft_encode(&n2, &vote, &body);
    rpc_channel_call(outside.channel, &(struct rpc_request){.path = wire_raft_method(RAFT_REQUEST_VOTE)->path,
                                                            .body = buf_slice(&body),
                                                            .wait_for_ready = true,
                                                            .user = &outside,
                                                            .on_done = on_done});
    await(&whole, &outside.done);
    assert_int_equal(outside.status, RPC_FAILED_PRECONDITION);
    assert_non_null(strstr(outside.text, "belongs to no cluster"));
    assert_int_equal(raft_current_term(whole.node->raft), 0);
    buf_free(&body);
    finish(&outside, &whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeQuarantineEndsAllCalls),
    cmocka_unit_test(TestNodeQuarantineEndsWhatWaits),
    cmocka_unit_test(TestNodeQuarantineEndsReads),
    cmocka_unit_test(TestNodeQuarantineNeverLeads),
    cmocka_unit_test(TestNodeQuarantineOfGenerationIsSilent),
    cmocka_unit_test(TestNodeOfNoClusterNeverVotes),
};

UNIT_MAIN(tests)
