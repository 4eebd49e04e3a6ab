// Workers on a whole node: the epoch after a return from offline, races with that return, and the time when a worker was
// last seen.
#include <string.h>
#include <unistd.h>

#include "node/apply.h"
#include "node/calls.h"
#include "node/level.h"
#include "node/open.h"
#include "node/worker_liveness.c"  // its table of deadlines, which no header shows
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

static struct whole_node whole;
static enum outcome told;  // the last; OUTCOME_NOT_LEADER: none

// Intercepts what verbs tell their clients, by the linker's --wrap (meson.build).
void __wrap_node_tell(struct node *node, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts);

void __wrap_node_tell(struct node *node, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts) {
    (void)node;
    (void)call;
    (void)facts;
    told = outcome;
}

// The node raises the cluster's level by itself; this hurries it.
static void await_level(uint32_t level) {
    whole_node_await_leading(&whole);
    level_sample(whole.node);
    while (state_level(whole.node->state) < level) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
}

static int setup(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    await_level(COMMAND_LEVEL_EPOCH_ON_RETURN);
    whole_node_register_workers(&whole, 1, NULL, 0);
    return 0;
}

// The cluster is at level 0, since one of its members cannot read more.
static int setup_level_0(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    whole.node->level_rule.proposed = true;  // so that it does not raise it
    whole_node_register_workers(&whole, 1, NULL, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    whole_node_end(&whole);
    return 0;
}

static struct state_worker worker_now(void) {
    struct state_worker worker;
    assert_true(state_worker(whole.node->state, slice_of_str("w00000"), &worker));
    return worker;
}

static void await_applied(void) {
    while (writes_collected(whole.node->writes) || writes_count(whole.node->writes) > 0) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
}

static const struct verb silent_change = {.applied = ignore_result};

static void read_confirmed(void *user, const struct waiting_read *read, struct slice request, enum raft_refusal refusal) {
    assert_int_equal(refusal, RAFT_ACCEPTED);
    calls_read_ready(user, read, request);
}

// Sets when the worker was last heard, and lets the leader, confirmed by its quorum, propose that it is offline.
static void expire(uint64_t heard_us) {
    struct node *node = whole.node;
    liveness_reset(node->workers->liveness);
    liveness_heard(node->workers->liveness, worker_now().row, heard_us);
    node->now_us = node_clock_us();
    worker_liveness_tick(node);
    struct raft_event event;
    assert_true(reads_event(node->reads, &event));
    reads_answered(node->reads, &(struct raft_read){.tag = event.read.tag});
    reads_release(node->reads, 0, read_confirmed, node);
}

static void write_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    calls_write_refused(user, write, refusal);
}

static void propose_offline(void) {
    struct pb_worker_change change = {
        .worker_id = slice_of_str("w00000"), .epoch = worker_now().epoch, .reason = slice_of_str("missed-heartbeats")};
    struct pb_command command = {.op = PB_COMMAND_OP_CHANGE_WORKERS,
                                 .change_workers = {.changes = &change, .changes_count = 1}};
    whole_node_propose(&whole, &silent_change, &command);
}

static void deregister(uint64_t epoch) {
    struct pb_deregister_worker_request request = {
        .worker_id = slice_of_str("w00000"), .instance_id = slice_of_str("i"), .epoch = epoch};
    struct pb_command command = {.format = COMMAND_FORMAT};
    assert_true(verb_deregister_worker.propose(whole.node, (struct rpc_call){0}, &request, &command));
    node_propose(whole.node, (struct rpc_call){0}, &verb_deregister_worker, &command);
}

static void register_instance(const char *instance) {
    struct pb_register_worker_request request = worker_now().registration[0];
    struct pb_command command = {.format = COMMAND_FORMAT};
    request.instance_id = slice_of_str(instance);
    assert_true(verb_register_worker.propose(whole.node, (struct rpc_call){0}, &request, &command));
    node_propose(whole.node, (struct rpc_call){0}, &verb_register_worker, &command);
}

static void beat(uint64_t epoch) {
    struct pb_heartbeat_request request = {
        .worker_id = slice_of_str("w00000"), .instance_id = slice_of_str("i"), .epoch = epoch};
    buf_clear(&whole.node->out);
    told = OUTCOME_NOT_LEADER;
    verb_heartbeat.answer(whole.node, (struct rpc_call){0}, &request, 0);
}

// The epoch in the answer to the last heartbeat; 0: it was not accepted, or not answered yet.
static uint64_t answered_epoch(void) {
    struct pb_heartbeat_response response = {0};
    struct error error = {0};
    if (whole.node->out.len == 0) {
        return 0;
    }
    arena_reset(&whole.node->event_arena);
    assert_int_equal(
        pb_decode(&whole.node->event_arena, verb_heartbeat.method->response, buf_slice(&whole.node->out), &response, &error),
        OK);
    assert_true(response.accepted);
    return response.epoch;
}

static void TestNodeWorkerReturnsUnderANewEpoch(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    beat(first);
    assert_int_equal(answered_epoch(), first);  // at once: it is online
    propose_offline();
    await_applied();
    assert_false(worker_now().online);

    beat(first);
    assert_int_equal(answered_epoch(), 0);  // not before its return is applied
    await_applied();
    struct state_worker worker = worker_now();
    assert_true(worker.online && worker.epoch > first && worker.first_epoch == first);
    assert_int_equal(answered_epoch(), worker.epoch);

    beat(first);  // that reply was lost
    assert_int_equal(answered_epoch(), worker.epoch);
    beat(worker.epoch);
    assert_int_equal(answered_epoch(), worker.epoch);
    beat(worker.epoch + 1);  // no epoch of this registration
    assert_int_equal(told, OUTCOME_REGISTRATION_ENDED);
    beat(first - 1);
    assert_int_equal(told, OUTCOME_REGISTRATION_ENDED);
    assert_int_equal(worker_now().epoch, worker.epoch);
}

// As with 0.1.0, which may be a member: nothing that is proposed has a level, the epoch stays, and no reply waits.
static void TestNodeWorkerReturnsAtLevel0(void **state) {
    (void)state;
    struct node *node = whole.node;
    uint64_t first = worker_now().epoch;
    for (int i = 0; i < 2; i++) {
        propose_offline();
        await_applied();
        assert_false(worker_now().online);
        if (i == 0) {
            beat(first);
            assert_int_equal(answered_epoch(), first);
        } else {
            register_instance("i");
        }
        await_applied();
        assert_true(worker_now().online && worker_now().epoch == first);
    }
    for (raft_index index = raft_base(node->raft).index + 1; index <= raft_commit_index(node->raft); index++) {
        const struct raft_entry *entry = raft_entry_at(node->raft, index);
        struct pb_command command = {.level = 0};
        struct error error = {0};
        arena_reset(&node->scratch);
        if (entry->type == RAFT_ENTRY_COMMAND) {
            assert_int_equal(wire_command_decode(&node->scratch, entry, &command, &error), OK);
        }
        assert_int_equal(command.level, 0);
    }
}

// A heartbeat repeated while the return is in flight: both are answered with the epoch that the first has begun.
static void TestNodeWorkerReturnsOnce(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    beat(first);
    beat(first);
    assert_int_equal(answered_epoch(), 0);
    await_applied();
    assert_int_equal(answered_epoch(), worker_now().epoch);
    assert_int_equal(worker_now().epoch, state_last_applied(whole.node->state) - 1);
}

// A heartbeat that arrives between the proposal that the worker is offline and its application must not extend a lease under
// the old epoch.
static void TestNodeWorkerReturnsWhileItExpires(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    expire(node_clock_us() - LIVENESS_TIMEOUT_US);
    assert_true(writes_collected(whole.node->writes) && worker_now().online);
    beat(first);
    assert_int_equal(answered_epoch(), 0);
    await_applied();
    struct state_worker worker = worker_now();
    assert_true(worker.online && worker.epoch > first);
    assert_int_equal(answered_epoch(), worker.epoch);
}

static void TestNodeWorkerGoodbyeOvertakesNoReturn(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    beat(first);
    deregister(first);
    await_applied();
    struct state_worker worker = worker_now();
    assert_true(!worker.online && slice_equal(worker.reason, slice_of_str("left")));
}

// The worker has returned, does not know its new epoch, and deregisters.
static void TestNodeWorkerGoodbyeUnderAnOlderEpoch(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    beat(first);
    await_applied();
    assert_true(worker_now().online && worker_now().epoch > first);
    deregister(first);
    await_applied();
    struct state_worker worker = worker_now();
    assert_true(!worker.online && slice_equal(worker.reason, slice_of_str("left")));
}

// Another instance is registered before the return is applied: the reply to the first must not make it register again, as
// that of an ended registration would.
static void TestNodeWorkerIsReplacedWhileItReturns(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    register_instance("j");
    beat(first);
    await_applied();
    struct state_worker worker = worker_now();
    assert_true(worker.online && slice_equal(worker.registration->instance_id, slice_of_str("j")));
    assert_int_equal(worker.epoch, worker.first_epoch);
    assert_int_equal(told, OUTCOME_REGISTRATION_CHANGED);
    beat(first);
    assert_int_equal(told, OUTCOME_REPLACED);
}

static void TestNodeWorkerLeavesWhileItReturns(void **state) {
    (void)state;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    deregister(first);
    beat(first);
    await_applied();
    assert_false(worker_now().online);
    assert_int_equal(told, OUTCOME_REGISTRATION_CHANGED);
    beat(first);
    assert_int_equal(told, OUTCOME_REGISTRATION_ENDED);
}

// The proposal of its return is refused: nothing waits for it, and the next heartbeat proposes anew.
static void TestNodeWorkerReturnIsLost(void **state) {
    (void)state;
    struct node *node = whole.node;
    uint64_t first = worker_now().epoch;
    propose_offline();
    await_applied();
    beat(first);
    struct raft_event event;
    assert_true(writes_event(node->writes, &event));
    raft_entry_unref(event.propose.entries[0]);
    struct raft_proposed refused = {.refusal = RAFT_TOO_MUCH};
    writes_placed(node->writes, &refused, node->now_us, NULL, write_refused, node);
    assert_false(worker_now().online);
    beat(first);
    await_applied();
    assert_int_equal(answered_epoch(), worker_now().epoch);
    assert_true(worker_now().online && worker_now().epoch > first);
}

// --- when it was last seen ---

static void assert_seen(const char *source, int64_t unix_ms) {
    struct state_worker worker = worker_now();
    struct worker_seen seen;
    assert_true(node_worker_seen(whole.node, &worker, &seen));
    assert_string_equal(seen.source, source);
    assert_in_range(seen.unix_ms, unix_ms - 1, unix_ms + 1);  // two clocks are read
}

// The node stops leading and leads again, as far as workers are concerned.
static void change_leader(const struct pb_status_response *predecessor) {
    struct node *node = whole.node;
    node->serving_workers = false;
    worker_liveness_leadership(node);
    if (predecessor != NULL) {
        struct raft_node *raft = node->raft;
        struct raft_config follower = {.id = *node_id(node),
                                       .decode_configuration = node_decode_configuration,
                                       .user = node,
                                       .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
                                       .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
                                       .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
                                       .quorum_timeout_us = QUORUM_TIMEOUT_US};
        node->raft = raft_new(&follower, node->slab, &(struct raft_restored){.count = 0}, node->now_us);
        worker_liveness_peer(node, predecessor);
        raft_free(node->raft);
        node->raft = raft;
    }
    node->serving_workers = true;
    worker_liveness_leadership(node);
}

static void TestNodeWorkerLastSeen(void **state) {
    (void)state;
    uint64_t epoch = worker_now().epoch;
    int64_t registered_ms = worker_now().seen_unix_ms;
    assert_in_range(registered_ms, node_wall_ms() - 60000, node_wall_ms());
    usleep(20 * 1000);  // a heartbeat later than the registration
    beat(epoch);
    int64_t heard_ms = node_wall_ms();
    assert_seen("leader", heard_ms);
    assert_in_range(worker_liveness_heard_since_ms(whole.node), heard_ms - 1, heard_ms + 1);

    change_leader(NULL);  // it succeeds itself
    assert_seen("predecessor", heard_ms);
    assert_in_range(worker_liveness_heard_since_ms(whole.node), heard_ms - 1, heard_ms + 1);  // handed on

    struct pb_status_response status = {.role = slice_of_str("leader"), .workers_heard_since_unix_ms = heard_ms + 5000};
    change_leader(&status);
    assert_seen("predecessor", heard_ms + 5000);
    status.workers_heard_since_unix_ms = 0;  // one that leads since a moment ago, or of 0.1.0
    change_leader(&status);
    assert_seen("predecessor", heard_ms + 5000);
    status = (struct pb_status_response){.role = slice_of_str("follower"), .workers_heard_since_unix_ms = heard_ms + 9000};
    change_leader(&status);
    assert_seen("predecessor", heard_ms + 5000);
    status = (struct pb_status_response){.role = slice_of_str("leader"), .workers_heard_since_unix_ms = 1};
    change_leader(&status);
    assert_seen("log", registered_ms);  // the later of the two

    beat(epoch);
    assert_seen("leader", node_wall_ms());
}

// The predecessor's report covers online workers only.
static void TestNodeOfflineWorkerLastSeen(void **state) {
    (void)state;
    int64_t registered_ms = worker_now().seen_unix_ms;
    propose_offline();
    await_applied();
    struct pb_status_response status = {.role = slice_of_str("leader"),
                                        .workers_heard_since_unix_ms = registered_ms + 60000};
    change_leader(&status);
    assert_seen("log", registered_ms);
    deregister(worker_now().epoch);
    await_applied();
    assert_true(worker_now().seen_unix_ms >= registered_ms);
    assert_seen("log", worker_now().seen_unix_ms);
}

// An expiring worker counts until its change is applied: if this leader failed now, its successor would find it online.
static void TestNodeExpiringWorkerCountsAsOnline(void **state) {
    (void)state;
    struct node *node = whole.node;
    whole_node_register_workers(&whole, 2, NULL, 0);
    struct state_worker other;
    assert_true(state_worker(node->state, slice_of_str("w00001"), &other));
    uint64_t heard_us = node_clock_us() - LIVENESS_TIMEOUT_US - US_PER_S;
    int64_t heard_ms = wall_of(heard_us);
    expire(heard_us);
    node_heard_worker(node, &other);
    assert_in_range(worker_liveness_heard_since_ms(node), heard_ms - 1, heard_ms + 1);
    await_applied();
    assert_false(worker_now().online);
    assert_true(worker_liveness_heard_since_ms(node) > heard_ms + 10000);
}

// After a start all of the log is to be applied, a part in each turn: until then the registry is that of some time before.
static void TestNodeServesWorkersWhenAllIsApplied(void **state) {
    (void)state;
    struct error error;
    struct pb_command put = {.op = PB_COMMAND_OP_PUT, .put = {.key = slice_of_str("k"), .value = slice_of_str("v")}};
    for (size_t i = 0; i <= 2 * APPLY_TURN_MAX; i++) {
        whole_node_propose(&whole, &silent_change, &put);
    }
    await_applied();
    assert_true(state_last_applied(whole.node->state) > 2 * APPLY_TURN_MAX);
    assert_int_equal(whole_node_restart(&whole, &error), OK);
    whole_node_await_leading(&whole);
    assert_int_equal(state_last_applied(whole.node->state), raft_commit_index(whole.node->raft));
}

static bool is_watched(void) {
    return liveness_watches(whole.node->workers->liveness, worker_now().row);
}

// A new leader has heard no worker yet: each has a full timeout from when it is served, and no longer.
static void TestNodeWatchesWorkersOfItsPredecessor(void **state) {
    (void)state;
    struct error error;
    assert_int_equal(whole_node_restart(&whole, &error), OK);
    assert_int_equal(worker_liveness_due_us(whole.node), UINT64_MAX);
    uint64_t from_us = node_clock_us();
    whole_node_await_leading(&whole);
    assert_true(worker_now().online && is_watched());
    assert_in_range(worker_liveness_due_us(whole.node), from_us + LIVENESS_TIMEOUT_US,
                    node_clock_us() + LIVENESS_TIMEOUT_US);
}

// A change to offline that is not applied leaves the worker online: it is to be declared offline later.
static void TestNodeWatchesWorkersWhoseChangeIsLost(void **state) {
    (void)state;
    expire(node_clock_us() - LIVENESS_TIMEOUT_US);
    assert_false(is_watched());
    worker_changes.lost(whole.node);
    assert_true(is_watched());
    assert_true(worker_liveness_due_us(whole.node) > node_clock_us());
    await_applied();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(TestNodeWorkerReturnsUnderANewEpoch),
    cmocka_unit_test_setup_teardown(TestNodeWorkerReturnsAtLevel0, setup_level_0, teardown),
    TEST(TestNodeWorkerReturnsOnce),
    TEST(TestNodeWorkerReturnsWhileItExpires),
    TEST(TestNodeWorkerGoodbyeOvertakesNoReturn),
    TEST(TestNodeWorkerGoodbyeUnderAnOlderEpoch),
    TEST(TestNodeWorkerIsReplacedWhileItReturns),
    TEST(TestNodeWorkerLeavesWhileItReturns),
    TEST(TestNodeWorkerReturnIsLost),
    TEST(TestNodeWorkerLastSeen),
    TEST(TestNodeOfflineWorkerLastSeen),
    TEST(TestNodeExpiringWorkerCountsAsOnline),
    TEST(TestNodeServesWorkersWhenAllIsApplied),
    TEST(TestNodeWatchesWorkersOfItsPredecessor),
    TEST(TestNodeWatchesWorkersWhoseChangeIsLost),
};

UNIT_MAIN(tests)
