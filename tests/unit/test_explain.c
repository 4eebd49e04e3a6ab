// What explain says of journals that are made up here: each way in which a leader goes, workers alone and together, writes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "ctl/explain.h"
#include "unit.h"

enum { RECORDS_MAX = 64, PAIRS_MAX = 6 };

static struct {
    struct causes causes;
    struct cause list[RECORDS_MAX];
    struct pb_journal_record records[RECORDS_MAX];
    struct slice_pair pairs[RECORDS_MAX][PAIRS_MAX];
    struct buf answer;
} made;

static void begin(void) {
    buf_free(&made.answer);
    memset(&made, 0, sizeof made);
    made.causes.list = made.list;
}

// `fields`: key, value, key, value, ..., NULL.
static void add(const char *node, uint64_t term, int64_t ms, const char *event, const char *const *fields) {
    size_t at = made.causes.count++;
    assert_true(at < RECORDS_MAX);
    struct pb_journal_record *record = &made.records[at];
    *record = (struct pb_journal_record){.number = at + 1,
                                         .term = term,
                                         .count = 1,
                                         .event = slice_of_str(event),
                                         .message = slice_of_str(event),
                                         .fields = made.pairs[at]};
    for (; fields[0] != NULL; fields += 2) {
        made.pairs[at][record->fields_count++] =
            (struct slice_pair){.key = slice_of_str(fields[0]), .value = slice_of_str(fields[1])};
    }
    made.list[at] = (struct cause){
        .node = slice_of_str(node), .record = record, .term = term, .first_ms = 1000000 + ms, .last_ms = 1000000 + ms};
}

#define ADD(node, term, ms, event, ...) add(node, term, ms, event, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void answers(bool answered) {
    assert_true(answered);
    buf_append(&made.answer, "", 1);
}

static void assert_says(const char *text) {
    if (strstr((const char *)made.answer.data, text) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", text, (const char *)made.answer.data);
    }
}

static void assert_silent_about(const char *text) {
    if (strstr((const char *)made.answer.data, text) != NULL) {
        fail_msg("\"%s\" is in:\n%s", text, (const char *)made.answer.data);
    }
}

// n1 leads term 4, and n2 wins term 5 a minute later.
static void make_election(void) {
    begin();
    ADD("n1", 4, 0, "role-changed", "from", "Candidate", "to", "Leader");
    ADD("n2", 4, 10, "leader-followed", "leader", "n1");
    ADD("n2", 5, 60100, "role-changed", "from", "Candidate", "to", "Leader", "reason", "elected by a majority");
    ADD("n3", 5, 60120, "leader-followed", "leader", "n2");
    made.causes.nodes[0] = (struct journal_node){.node = slice_of_str("n1"), .answered = true};
    made.causes.node_count = 1;
}

static void explain(uint64_t term) {
    causes_sort(&made.causes);
    answers(explain_election(&made.causes, term, &made.answer));
    assert_says("n2 leads term 5 since 1970-01-01 00:17:40.100; before, n1 led term 4.\n");
}

static void TestExplainHandedOver(void **state) {
    (void)state;
    make_election();
    ADD("n1", 4, 60000, "leadership-handed-over", "target", "n2", "reason", "an operator asked for it");
    ADD("n1", 5, 60050, "role-changed", "from", "Leader", "to", "Follower", "reason", "a candidate has a higher term");
    explain(0);
    assert_says("n1 handed leadership over: an operator asked for it.\n");
    assert_says("to the new leader: 100 ms.\n");
    make_election();
    ADD("n1", 4, 59999, "placement-moves", "target", "n2", "reason", "n2 commits in 1 ms, n1 in 50");
    ADD("n1", 4, 60000, "leadership-handed-over", "target", "n2", "reason", "placement");
    explain(5);
    assert_says("n1 handed leadership over: placement, n2 commits in 1 ms, n1 in 50.\n");
}

static void TestExplainLost(void **state) {
    (void)state;
    make_election();
    ADD("n2", 4, 60000, "leader-lost", "leader", "n1");
    ADD("n2", 4, 60000, "peer-lost", "peer", "n1", "reason", "reset");
    ADD("n3", 4, 60020, "vote-deferred", "peer", "n2", "reason", "hears its leader");
    ADD("n3", 4, 60040, "vote-answered", "peer", "n2", "pre_vote", "true", "granted", "true");
    ADD("n3", 5, 60090, "vote-answered", "peer", "n2", "pre_vote", "false", "granted", "true");
    ADD("n4", 5, 60095, "vote-answered", "peer", "n2", "pre_vote", "false", "granted", "false", "reason",
        "has voted for another");
    ADD("n1", 5, 90000, "up");
    explain(0);
    assert_says("The connection from n2 to n1 broke (reset), as it does when a process ends, or a network refuses.\n");
    assert_says("Its process had ended: it was started again at 1970-01-01 00:18:10.000.\n");
    assert_says("n3 kept its pre-vote back: hears its leader.\nn3 granted its pre-vote.\nn3 granted its vote.\n"
                "n4 refused its vote: has voted for another.\n");
    // An old leader that finds out later that it has no majority was lost before.
    make_election();
    ADD("n2", 4, 60000, "leader-lost", "leader", "n1");
    ADD("n1", 4, 60600, "role-changed", "from", "Leader", "to", "Follower", "reason", "no answer from a majority");
    made.causes.nodes[0].answered = false;
    made.causes.nodes[0].why_not = slice_of_str("cannot connect");
    explain(0);
    assert_says("The connection from n2 to n1 broke, as");
    assert_says("It does not answer now either (cannot connect)");
}

static void TestExplainSilent(void **state) {
    (void)state;
    make_election();
    ADD("n2", 4, 60000, "election-timeout", "leader", "n1", "timeout_ms", "391.3");
    explain(0);
    assert_says("n2 heard nothing of n1 for 391 ms, the timeout that it had drawn.\nNothing says why");
    ADD("n1", 4, 63000, "loop-stalled", "seconds", "3.4");
    buf_clear(&made.answer);
    explain(0);
    assert_says("Its process stood still for 3.4 s: was it stopped");
    // Also of less than a second.
    make_election();
    ADD("n2", 4, 60000, "election-timeout", "leader", "n1", "timeout_ms", "391.3");
    ADD("n1", 4, 60150, "loop-paused", "seconds", "0.6");
    explain(0);
    assert_says("Its process stood still for 0.6 s");
    // One that began afterwards is another story.
    make_election();
    ADD("n2", 4, 60000, "election-timeout", "leader", "n1", "timeout_ms", "391.3");
    ADD("n1", 4, 70000, "loop-stalled", "seconds", "3.4");
    explain(0);
    assert_says("Nothing says why");
}

static void TestExplainSteppedDown(void **state) {
    (void)state;
    make_election();
    ADD("n1", 4, 59000, "role-changed", "from", "Leader", "to", "Follower", "reason", "no answer from a majority");
    ADD("n1", 4, 59000, "voter-unheard", "peer", "n2", "silent_ms", "1204");
    ADD("n1", 4, 59000, "voter-unheard", "peer", "n3", "silent_ms", "612");
    ADD("n2", 4, 59500, "leader-lost", "leader", "n1");
    explain(0);
    assert_says(
        "n1 stepped down: no answer from a majority. It did not get an answer of n2 for 1.2 s, nor of n3 for 612 ms.\n");
    make_election();
    ADD("n1", 4, 59000, "role-changed", "from", "Leader", "to", "Follower", "reason", "the process stood still");
    ADD("n1", 4, 59000, "loop-stalled", "seconds", "2.5");
    explain(0);
    assert_says("n1 stepped down: the process stood still. Its process stood still for 2.5 s");
    make_election();
    ADD("n1", 4, 59000, "quarantined", "reason", "its state differs");
    explain(0);
    assert_says("n1 stopped serving: its state differs.\n");
    make_election();
    ADD("n1", 4, 59000, "disk-full");
    explain(0);
    assert_says("n1 had no space left for the log.\n");
}

static void TestExplainUnknown(void **state) {
    (void)state;
    make_election();
    // What is long ago, or of an earlier term, is of another election.
    ADD("n1", 4, 10000, "leadership-handed-over", "target", "n2", "reason", "an operator asked for it");
    ADD("n2", 3, 59999, "leader-lost", "leader", "n1");
    explain(0);
    assert_says("The journals do not say how n1 went.\n");
    begin();
    assert_false(explain_election(&made.causes, 0, &made.answer));
    ADD("n1", 2, 0, "role-changed", "from", "Candidate", "to", "Leader");
    assert_false(explain_election(&made.causes, 3, &made.answer));
    answers(explain_election(&made.causes, 2, &made.answer));
    assert_says("the nodes had just started");
}

static void offline(const char *worker, const char *cloud, int64_t ms, const char *reason) {
    ADD("n1", 4, ms, "worker-offline", "worker", worker, "cloud", cloud, "reason", reason);
    ADD("n2", 4, ms + 20, "worker-offline", "worker", worker, "cloud", cloud, "reason", reason);
}

static void ask_worker(const char *id) {
    buf_clear(&made.answer);
    answers(explain_worker(&made.causes, slice_of_str(id), &made.answer));
}

static void TestExplainWorker(void **state) {
    (void)state;
    make_election();
    ADD("n2", 5, 99900, "worker-silent", "worker", "w1", "silent_ms", "16000.4", "limit_ms", "16000");
    offline("w1", "aws", 99950, "missed-heartbeats");
    ask_worker("w1");
    assert_says("w1 is offline since 1970-01-01 00:18:19.970.\n");
    assert_says("n2, which leads, had not heard it for 16.0 s; a worker may be silent for 16.0 s.\n");
    assert_silent_about("It had led for");
    assert_says("No other worker was lost with it");
    offline("w2", "aws", 100900, "missed-heartbeats");
    offline("w3", "aws", 100900, "missed-heartbeats");
    offline("w8", "gcp", 109000, "missed-heartbeats");
    ask_worker("w1");
    assert_says("2 more in aws were lost with it, and none elsewhere");
    offline("w4", "gcp", 98000, "missed-heartbeats");
    ask_worker("w1");
    assert_says("2 more in its cloud and 1 elsewhere");
    buf_clear(&made.answer);
    answers(explain_workers(&made.causes, &made.answer));
    assert_says("5 workers were lost");
    assert_says("\nw8 is offline");
    ADD("n1", 5, 120000, "worker-online", "worker", "w1");
    ask_worker("w1");
    assert_says("w1 is online since 1970-01-01 00:18:40.000.\nBefore, it was offline from");
    // A node that starts tells of old changes.
    ADD("n1", 6, 900000, "worker-offline", "worker", "w1", "reason", "missed-heartbeats", "since_unix_ms", "1100000");
    ask_worker("w1");
    assert_says("w1 is online since 1970-01-01 00:18:40.000.\nBefore, it was offline from 1970-01-01 00:18:20.000 on.\n");
    offline("w5", "gcp", 98000, "left");
    ask_worker("w5");
    assert_says("It had left by itself (left).\n");
    assert_false(explain_worker(&made.causes, slice_of_str("w9"), &made.answer));
}

static void TestExplainWorkerOfANewLeader(void **state) {
    (void)state;
    make_election();
    ADD("n2", 5, 76200, "worker-silent", "worker", "w1", "silent_ms", "0", "limit_ms", "16000");
    offline("w1", "aws", 76300, "missed-heartbeats");
    ask_worker("w1");
    assert_says("n2 never heard it since it was elected; a worker");
    assert_says("It had led for 16.1 s only: could the worker find the new leader?");
}

static void TestExplainWrites(void **state) {
    (void)state;
    begin();
    assert_false(explain_writes(&made.causes, true, &made.answer));
    ADD("n1", 4, 50000, "write-slow", "writes", "12", "slowest_ms", "812.4", "voters", "n2 had it, n3 lacked 4 entries");
    ADD("n1", 4, 20000, "disk-slow", "slowest_ms", "500");  // another time
    answers(explain_writes(&made.causes, true, &made.answer));
    assert_says("12 writes of n1, the leader, took long, the slowest 812 ms. When it was committed, n2 had it, n3 lacked");
    assert_says("nothing that a journal knows of");
    ADD("n2", 4, 49000, "disk-slow", "slowest_ms", "790");
    ADD("n1", 4, 48000, "peer-lost", "peer", "n3");
    buf_clear(&made.answer);
    answers(explain_writes(&made.causes, false, &made.answer));
    assert_says("  n2: its disk was slow, 790 ms\n  n1: it lost the connection to n3\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestExplainHandedOver),
    cmocka_unit_test(TestExplainLost),
    cmocka_unit_test(TestExplainSilent),
    cmocka_unit_test(TestExplainSteppedDown),
    cmocka_unit_test(TestExplainUnknown),
    cmocka_unit_test(TestExplainWorker),
    cmocka_unit_test(TestExplainWorkerOfANewLeader),
    cmocka_unit_test(TestExplainWrites),
};

UNIT_MAIN(tests)
