// The node's loop-free parts: workers' liveness by cranked time, and the queues of waiting writes and reads. And a whole
// node's end.
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "node/internal.h"
#include "scratch.h"
#include "unit.h"
#include "wire/protobuf_lite.h"

#define SECOND US_PER_S

static uint64_t rng_state;

static uint64_t rng(void) {
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static void seed(void) {
    const char *text = getenv("BATON_SEED");
    rng_state = text != NULL ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15;
    printf("seed %#llx\n", (unsigned long long)rng_state);
}

static bool expired(struct liveness *liveness, uint64_t now_us, uint32_t slot) {
    uint32_t slots[64];
    size_t count = liveness_expired(liveness, now_us, slots, 64);
    for (size_t i = 0; i < count; i++) {
        if (slots[i] == slot) {
            return true;
        }
    }
    return false;
}

// A worker that goes silent is offline 15 to 20 s after its last heartbeat, whatever the others do meanwhile.
static void TestWorkerLiveness(void **state) {
    (void)state;
    seed();
    for (int round = 0; round < 200; round++) {
        struct liveness *liveness = liveness_new();
        uint64_t last[32];
        uint64_t silent_from[32];
        bool gone[32] = {false};
        uint64_t now = 1000 * SECOND;
        for (uint32_t w = 0; w < 32; w++) {
            liveness_heard(liveness, w, now);
            last[w] = now;
            silent_from[w] = now + rng() % (60 * SECOND);
        }
        for (int step = 0; step < 20000; step++) {
            now += rng() % (10 * US_PER_MS);
            for (uint32_t w = 0; w < 32; w++) {
                if (!gone[w] && now < silent_from[w] && now - last[w] >= 5 * SECOND) {
                    liveness_heard(liveness, w, now);
                    last[w] = now;
                }
                if (!gone[w] && expired(liveness, now, w)) {
                    assert_true(now - last[w] >= 15 * SECOND);
                    assert_true(now - last[w] <= 20 * SECOND);
                    gone[w] = true;
                    liveness_forget(liveness, w);
                }
                assert_true(gone[w] || now - last[w] <= 20 * SECOND);
            }
        }
        liveness_free(liveness);
    }
}

// A new leader gives everybody a full timeout, and does not know yet when they were last heard.
static void TestWorkerLivenessNewLeader(void **state) {
    (void)state;
    struct liveness *liveness = liveness_new();
    uint64_t heard;
    liveness_heard(liveness, 1, 10 * SECOND);
    assert_true(liveness_last_heard(liveness, 1, &heard) && heard == 10 * SECOND);
    liveness_reset(liveness);
    assert_int_equal(liveness_next_us(liveness), UINT64_MAX);
    liveness_watch(liveness, 1, 24 * SECOND);
    assert_false(liveness_last_heard(liveness, 1, &heard));
    assert_false(expired(liveness, 39 * SECOND - 1, 1));
    assert_true(expired(liveness, 44 * SECOND, 1));
    liveness_free(liveness);
}

// --- the end ---

static void note_failure(void *user, enum error_code failure) {
    *(enum error_code *)user = failure;
}

static struct wire_member member_of(const char *id, const char *address) {
    struct wire_member member = {.id = raft_id_of(slice_of_str(id)), .cloud = "gcp", .voter = true};
    snprintf(member.address, sizeof member.address, "%s", address);
    return member;
}

struct whole_node {
    char dir[128];
    uv_loop_t loop;
    struct node_config config;
    struct metrics *metrics;
    enum error_code failure;
    struct node *node;
};

// n1 of so many; the others cannot be reached.
static void start_node(struct whole_node *whole, size_t members) {
    *whole = (struct whole_node){.metrics = metrics_new()};
    scratch_make(whole->dir, sizeof whole->dir, SCRATCH_MEMORY);
    uv_loop_init(&whole->loop);
    whole->config = (struct node_config){
        .node_id = raft_id_of(slice_of_str("n1")),
        .cluster_id = raft_id_of(slice_of_str("test")),
        .cloud = "gcp",
        .data_dir = whole->dir,
        .listen = "127.0.0.1:0",
        .advertise = "127.0.0.1:1",
        .advertise_http = "127.0.0.1:1",
        .bootstrap = true,
        .peers = {member_of("n1", "127.0.0.1:1"), member_of("n2", "127.0.0.1:2")},
        .peer_count = members,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
    };
    struct error error = {0};
    enum error_code code =
        node_start(&whole->loop, &whole->config, whole->metrics, note_failure, &whole->failure, &whole->node, &error);
    assert_int_equal(code, OK);
}

static void end_node(struct whole_node *whole) {
    node_close(whole->node);
    uv_run(&whole->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&whole->loop), 0);
    node_free(whole->node);  // asserts that no entry is left
    metrics_free(whole->metrics);
    char command[160];
    snprintf(command, sizeof command, "rm -r '%s'", whole->dir);
    assert_int_equal(system(command), 0);
}

// n2, leading term 2, sends the entry of an index by a call that has ended meanwhile.
static void receive_entry(struct node *node, raft_index index) {
    struct raft_entry_id before = {.term = index == 2 ? 1 : 2, .index = index - 1};
    struct raft_entry **entries = arena_alloc(&node->turn, sizeof(struct raft_entry *));
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
    start_node(&whole, 2);
    receive_entry(whole.node, 2);
    node_fail(whole.node, ERR_IO, "as if the disk had failed");
    assert_int_equal(whole.failure, ERR_IO);
    end_node(&whole);
}

// A disk that stands still for an hour: what would answer calls that have ended is not kept for it.
static void TestNodeHoldsNoRepliesForDeadCalls(void **state) {
    (void)state;
    struct whole_node whole;
    start_node(&whole, 2);
    struct node *node = whole.node;
    for (raft_index index = 2; index < 1000; index++) {
        receive_entry(node, index);
        node_turn(node, false);
        assert_int_equal(raft_last_log(node->raft).index, index);
        for (size_t i = 0; i < node->held_count; i++) {
            node->held[i].after_write = UINT64_MAX;  // never durable
        }
    }
    assert_in_range(node->held_count, 1, 64);
    end_node(&whole);
}

// So many, w00000 and on, with the same labels.
static void register_workers(struct whole_node *whole, size_t count, const struct state_label *labels, size_t label_count) {
    struct node *node = whole->node;
    for (size_t i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof id, "w%05zu", i);
        struct state_command command = {
            .operation = STATE_REGISTER_WORKER,
            .register_worker = {.worker_id = slice_of_str(id),
                                .instance_id = slice_of_str("i"),
                                .cloud = slice_of_str("gcp"),
                                .address = slice_of_str("127.0.0.1:1"),
                                .labels = labels,
                                .label_count = label_count},
        };
        while (!node->serving_workers) {
            uv_run(&whole->loop, UV_RUN_ONCE);
        }
        writes_collect(node->writes, wire_command_encode(node->slab, &command), (struct rpc_call){0}, WRITE_REGISTER);
    }
    while (state_worker_count(node->state) < count) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

// What a reply promises is on the disk before it leaves, also where the core and the log are joined.
static void TestNodeHoldsRepliesUntilDurable(void **state) {
    (void)state;
    struct whole_node whole;
    start_node(&whole, 2);
    struct node *node = whole.node;
    for (raft_index index = 2; index < 50; index++) {
        receive_entry(node, index);
        node_turn(node, false);  // has looked at the log's completions before it handed the entry out
        assert_int_equal(node->held_count, 1);
        assert_true(node->held[0].after_write > node->durable_write);
        while (node->held_count > 0) {
            uv_run(&whole.loop, UV_RUN_ONCE);
            assert_true(node->held_count == 0 || node->held[0].after_write > node->durable_write);
        }
    }
    end_node(&whole);
}

// A read waits until what was committed when it came is applied, however much that is.
static void TestNodeReadsWaitForTheirIndex(void **state) {
    (void)state;
    struct whole_node whole;
    start_node(&whole, 1);
    struct node *node = whole.node;
    while (!node->serving_workers) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 3 * APPLY_TURN_MAX; i++) {
        struct state_command command = {.operation = STATE_DELETE, .delete = {.key = slice_of_str("k")}};
        writes_collect(node->writes, wire_command_encode(node->slab, &command), (struct rpc_call){0}, WRITE_DELETE);
    }
    raft_index before = raft_commit_index(node->raft);
    while (raft_commit_index(node->raft) == before) {
        node_turn(node, true);
    }
    raft_index commit = raft_commit_index(node->raft);
    assert_true(state_last_applied(node->state) < commit);
    reads_collect(node->reads, READ_GET, (struct rpc_call){0}, slice_of(NULL, 0));
    for (double applied = 0; applied < (double)commit; applied = node->m.applied_index->value) {
        assert_true(node->m.reads->value == 0);
        node_turn(node, true);
    }
    assert_true(node->m.reads->value == 1);
    end_node(&whole);
}

// However many fall silent at once, one confirmation of the leader calls all of them offline.
static void TestNodeExpiresAllAtOnce(void **state) {
    (void)state;
    struct whole_node whole;
    start_node(&whole, 1);
    struct node *node = whole.node;
    register_workers(&whole, 2500, NULL, 0);
    struct raft_event event;
    assert_false(writes_event(node->writes, &event));
    node->now_us += LIVENESS_TIMEOUT_US;
    workers_confirmed(node, true);
    assert_true(writes_event(node->writes, &event));
    assert_int_equal(event.propose.count, 3);
    assert_int_equal(liveness_next_us(node->liveness), UINT64_MAX);
    end_node(&whole);
}

static void ask_control(struct node *node, const char *method, struct slice message) {
    for (size_t i = 0; i < control_service.method_count; i++) {
        if (strcmp(control_service.methods[i].name, method) == 0) {
            control_service.methods[i].on_message(node, (struct rpc_call){0}, message);
        }
    }
}

// A read waits for its quorum with its key, and not with whatever else, unknown to us, its client has sent along.
static void TestNodeKeepsOfReadsWhatItUnderstands(void **state) {
    (void)state;
    enum { READS = 16, UNKNOWN = 15 };
    struct whole_node whole;
    start_node(&whole, 1);
    while (!whole.node->serving_workers) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    struct buf request = {0};
    wire_get_request_encode(&(struct wire_get_request){.key = slice_of_str("k")}, &request);
    struct buf unknown = {0};
    memset(buf_reserve(&unknown, MIB), 'x', MIB);
    unknown.len = MIB;
    pb_add_bytes(&request, UNKNOWN, buf_slice(&unknown));
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < READS; i++) {
        ask_control(whole.node, "Get", buf_slice(&request));
    }
    assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd, 0, before + MIB);
    buf_free(&request);
    buf_free(&unknown);
    end_node(&whole);
}

// The answer to a request for workers behind an id; false: refused.
static bool list_workers(struct node *node, const char *after, uint32_t limit, struct wire_list_workers_response *response) {
    struct buf request = {0};
    struct error error;
    wire_list_workers_request_encode(&(struct wire_list_workers_request){.start_after = slice_of_str(after), .limit = limit},
                                     &request);
    buf_clear(&node->out);
    answers_turn(node->answers);
    control_read_ready(node, &(struct waiting_read){.kind = READ_WORKERS, .index = 1}, buf_slice(&request));
    buf_free(&request);
    assert_in_range(node->out.len, 0, MESSAGE_MAX);
    arena_reset(&node->turn);
    assert_int_equal(wire_list_workers_response_decode(&node->turn, buf_slice(&node->out), response, &error), OK);
    return node->out.len > 0;
}

// Pages make up the whole, each no larger than an answer may be; and who asks for all is never given a part.
static void TestNodeListsWorkersInPages(void **state) {
    (void)state;
    enum { WORKERS = 600 };
    static uint8_t value[LABEL_MAX];
    struct state_label labels[LABELS_MAX];
    char keys[LABELS_MAX][8];
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < LABELS_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "k%02zu", i);
        labels[i] = (struct state_label){.key = slice_of_str(keys[i]), .value = slice_of(value, sizeof value)};
    }
    struct whole_node whole;
    start_node(&whole, 1);
    register_workers(&whole, WORKERS, labels, LABELS_MAX);
    static const uint32_t limits[] = {7, 100, LIST_DEFAULT, UINT32_MAX};
    struct wire_list_workers_response response;
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        char after[24] = "";
        size_t seen = 0;
        do {
            assert_true(list_workers(whole.node, after, limits[i], &response));
            assert_in_range(response.count, 1, limits[i]);
            for (size_t k = 0; k < response.count; k++) {
                struct slice id = response.workers[k].worker.id;
                snprintf(after, sizeof after, "w%05zu", seen++);
                assert_true(slice_equal(id, slice_of_str(after)));
                assert_int_equal(response.workers[k].worker.label_count, LABELS_MAX);
            }
        } while (response.more);
        assert_int_equal(seen, WORKERS);
    }
    assert_false(list_workers(whole.node, "", 0, &response));
    assert_true(list_workers(whole.node, "w00399", 0, &response) && response.count == 200 && !response.more);
    assert_true(list_workers(whole.node, "w00599", 7, &response) && response.count == 0 && !response.more);
    end_node(&whole);
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
    struct node *node = whole->node;
    struct state_command command = {.operation = STATE_PUT, .put = {.key = slice_of_str("k"), .value = slice_of_str("v")}};
    while (!node->serving_workers) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
    raft_index end = state_last_applied(node->state) + count;
    for (size_t i = 0; i < count; i++) {
        writes_collect(node->writes, wire_command_encode(node->slab, &command), (struct rpc_call){0}, WRITE_PUT);
    }
    while (state_last_applied(node->state) < end) {
        uv_run(&whole->loop, UV_RUN_ONCE);
    }
}

// Many ask at once what has changed since long ago, which takes a millisecond for each: the loop goes round in between.
static void TestNodeGoesRoundBetweenLongAnswers(void **state) {
    (void)state;
    enum { WATCHES = 500 };
    struct whole_node whole;
    start_node(&whole, 1);
    put_often(&whole, HISTORY_MAX + 10);
    struct buf request = {0};
    struct wire_watch_request watch = {
        .prefix = slice_of_str("none"), .has_from = true, .from_revision = state_history_from(whole.node->state)};
    wire_watch_request_encode(&watch, &request);
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
    end_node(&whole);
}

// --- long answers ---

struct maker {
    char made[32];
    uint64_t clock_us;
    uint64_t takes_us;
    uint32_t gone;  // whom nobody waits for
};

static struct maker maker;

static uint64_t maker_clock(void) {
    return maker.clock_us;
}

static bool is_there(void *user, struct rpc_call call) {
    return call.index != ((struct maker *)user)->gone;
}

static void note_made(void *user, const struct waiting_read *read, struct slice request) {
    struct maker *m = user;
    m->clock_us += m->takes_us;
    snprintf(m->made + strlen(m->made), sizeof m->made - strlen(m->made), "%.*s%u ", (int)request.len,
             (const char *)request.data, read->call.index);
}

static void TestLongAnswersWaitForTheirTurn(void **state) {
    (void)state;
    maker = (struct maker){.takes_us = ANSWERS_TURN_US / 2, .gone = 4};
    struct answers *answers =
        answers_new(&(struct answers_maker){.now_us = maker_clock, .wanted = is_there, .make = note_made, .user = &maker});
    for (uint32_t slot = 1; slot <= 7; slot++) {
        assert_true(answers_ask(answers, &(struct waiting_read){.kind = READ_LIST, .call = {.index = slot, .generation = 1}},
                                slice_of_str("r")));
    }
    assert_string_equal(maker.made, "r1 r2 ");
    answers_turn(answers);
    assert_string_equal(maker.made, "r1 r2 r3 r5 ");
    assert_true(answers_waiting(answers));
    answers_turn(answers);
    assert_string_equal(maker.made, "r1 r2 r3 r5 r6 r7 ");
    assert_false(answers_waiting(answers));
    answers_turn(answers);
    size_t waiting = 0;
    while (answers_ask(answers, &(struct waiting_read){.kind = READ_LIST}, slice_of(NULL, 0))) {
        waiting++;
    }
    assert_int_equal(waiting, ANSWERS_MAX + 2);
    answers_free(answers);
}

// --- writes ---

struct outcome {
    uint32_t lost[16];
    size_t lost_count;
    uint32_t refused[16];
    size_t refused_count;
};

static void on_lost(void *user, const struct waiting_write *write) {
    struct outcome *outcome = user;
    outcome->lost[outcome->lost_count++] = write->call.index;
}

static void on_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    struct outcome *outcome = user;
    assert_int_equal(refusal, RAFT_NOT_LEADER);
    outcome->refused[outcome->refused_count++] = write->call.index;
}

static void collect_writes(struct writes *writes, struct raft_slab *slab, uint32_t from, uint32_t to) {
    struct raft_event event;
    for (uint32_t slot = from; slot <= to; slot++) {
        writes_collect(writes, raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0}, 1),
                       (struct rpc_call){.index = slot, .generation = 1}, WRITE_PUT);
    }
    assert_true(writes_event(writes, &event));
    assert_int_equal(event.propose.count, to - from + 1);
    for (size_t i = 0; i < event.propose.count; i++) {
        raft_entry_unref(event.propose.entries[i]);  // as the core would
    }
}

static void TestWritesAnsweredByTheirEntry(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    struct writes *writes = writes_new();
    struct outcome outcome = {0};
    struct waiting_write write;
    collect_writes(writes, slab, 10, 12);
    struct raft_proposed accepted = {.refusal = RAFT_ACCEPTED, .first = {.term = 2, .index = 5}};
    writes_placed(writes, &accepted, 1, on_lost, on_refused, &outcome);
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 2, .index = 4}, &write, on_lost, &outcome));
    assert_true(writes_applied(writes, (struct raft_entry_id){.term = 2, .index = 5}, &write, on_lost, &outcome));
    assert_int_equal(write.call.index, 10);
    // Leading again, this node appends at 7: the old 7 has been cut off.
    collect_writes(writes, slab, 20, 22);
    accepted.first = (struct raft_entry_id){.term = 4, .index = 7};
    writes_placed(writes, &accepted, 2, on_lost, on_refused, &outcome);
    assert_int_equal(outcome.lost_count, 1);
    assert_int_equal(outcome.lost[0], 12);
    // Another leader's entry stands at 6: whoever waits there is lost, and who waits for an earlier term behind it.
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 3, .index = 6}, &write, on_lost, &outcome));
    assert_int_equal(outcome.lost_count, 2);
    assert_int_equal(outcome.lost[1], 11);
    assert_true(writes_applied(writes, (struct raft_entry_id){.term = 4, .index = 7}, &write, on_lost, &outcome));
    assert_int_equal(write.call.index, 20);
    assert_int_equal(writes_count(writes), 2);
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 5, .index = 8}, &write, on_lost, &outcome));
    assert_int_equal(outcome.lost_count, 4);
    assert_int_equal(outcome.lost[3], 22);
    assert_int_equal(writes_count(writes), 0);
    writes_free(writes);
    raft_slab_free(slab);
}

static void TestWritesRefused(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    struct writes *writes = writes_new();
    struct outcome outcome = {0};
    collect_writes(writes, slab, 1, 3);
    struct raft_proposed refused = {.refusal = RAFT_NOT_LEADER};
    writes_placed(writes, &refused, 1, on_lost, on_refused, &outcome);
    assert_int_equal(outcome.refused_count, 3);
    assert_int_equal(outcome.refused[2], 3);
    assert_int_equal(writes_count(writes), 0);
    writes_free(writes);
    raft_slab_free(slab);
}

// --- reads ---

struct answered {
    char text[64];
    struct reads *again;  // collect one more from within the callback
};

static void on_ready(void *user, const struct waiting_read *read, struct slice request, enum raft_refusal refusal) {
    struct answered *answered = user;
    size_t len = strlen(answered->text);
    snprintf(answered->text + len, sizeof answered->text - len, "%.*s%s@%d ", (int)request.len, (const char *)request.data,
             refusal == RAFT_ACCEPTED ? "" : "!", (int)read->index);
    if (answered->again != NULL) {
        struct reads *reads = answered->again;
        answered->again = NULL;
        for (int i = 0; i < 20; i++) {
            struct raft_event event;
            reads_collect(reads, READ_GET, (struct rpc_call){0}, slice_of_str("z"));
            assert_true(reads_event(reads, &event));
        }
    }
}

static uint64_t ask(struct reads *reads, const char *one, const char *two) {
    struct raft_event event;
    reads_collect(reads, READ_GET, (struct rpc_call){0}, slice_of_str(one));
    reads_collect(reads, READ_LIST, (struct rpc_call){0}, slice_of_str(two));
    assert_true(reads_event(reads, &event));
    assert_false(reads_event(reads, &event));
    return event.read.tag;
}

static void TestReadsWaitForTheirIndex(void **state) {
    (void)state;
    struct reads *reads = reads_new();
    struct answered answered = {.text = "", .again = reads};
    uint64_t first = ask(reads, "a", "b");
    uint64_t second = ask(reads, "c", "d");
    uint64_t third = ask(reads, "e", "f");
    reads_release(reads, 100, on_ready, &answered);
    assert_string_equal(answered.text, "");
    reads_answered(reads, &(struct raft_read){.tag = second, .refusal = RAFT_NOT_LEADER});
    reads_answered(reads, &(struct raft_read){.tag = first, .index = 7});
    reads_answered(reads, &(struct raft_read){.tag = third, .index = 9});
    reads_release(reads, 6, on_ready, &answered);
    assert_string_equal(answered.text, "c!@0 d!@0 ");
    reads_release(reads, 8, on_ready, &answered);
    assert_string_equal(answered.text, "c!@0 d!@0 a@7 b@7 ");
    reads_release(reads, 9, on_ready, &answered);
    assert_string_equal(answered.text, "c!@0 d!@0 a@7 b@7 e@9 f@9 ");
    reads_free(reads);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestWorkerLiveness),
    cmocka_unit_test(TestWorkerLivenessNewLeader),
    cmocka_unit_test(TestWritesAnsweredByTheirEntry),
    cmocka_unit_test(TestWritesRefused),
    cmocka_unit_test(TestReadsWaitForTheirIndex),
    cmocka_unit_test(TestNodeFailsWithEntriesWaiting),
    cmocka_unit_test(TestNodeHoldsNoRepliesForDeadCalls),
    cmocka_unit_test(TestNodeHoldsRepliesUntilDurable),
    cmocka_unit_test(TestNodeReadsWaitForTheirIndex),
    cmocka_unit_test(TestNodeExpiresAllAtOnce),
    cmocka_unit_test(TestNodeKeepsOfReadsWhatItUnderstands),
    cmocka_unit_test(TestNodeListsWorkersInPages),
    cmocka_unit_test(TestNodeGoesRoundBetweenLongAnswers),
    cmocka_unit_test(TestLongAnswersWaitForTheirTurn),
};

UNIT_MAIN(tests)
