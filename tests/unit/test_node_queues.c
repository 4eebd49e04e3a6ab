// The node's queues, without a loop: waiting writes and reads, slow replies, and the transfer that pauses writes.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "node/reads.h"
#include "node/slow_replies.h"
#include "node/transfer.h"
#include "node/verb.h"
#include "node/writes.h"
#include "unit.h"

// The queues only hand them back.
static const struct verb a_write;
static const struct verb another_write = {.pauses = true};
static const struct verb a_read;

// --- slow replies ---

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
    struct slow_replies *replies = slow_replies_new(
        &(struct slow_replies_maker){.now_us = maker_clock, .wanted = is_there, .make = note_made, .user = &maker});
    for (uint32_t slot = 1; slot <= 7; slot++) {
        assert_true(slow_replies_ask(
            replies, &(struct waiting_read){.verb = &a_read, .call = {.index = slot, .generation = 1}}, slice_of_str("r")));
    }
    assert_string_equal(maker.made, "r1 r2 ");
    slow_replies_turn(replies);
    assert_string_equal(maker.made, "r1 r2 r3 r5 ");
    assert_true(slow_replies_waiting(replies));
    slow_replies_turn(replies);
    assert_string_equal(maker.made, "r1 r2 r3 r5 r6 r7 ");
    assert_false(slow_replies_waiting(replies));
    slow_replies_turn(replies);
    size_t waiting = 0;
    while (slow_replies_ask(replies, &(struct waiting_read){.verb = &a_read}, slice_of(NULL, 0))) {
        waiting++;
    }
    assert_int_equal(waiting, ANSWERS_MAX + 2);
    slow_replies_free(replies);
}

// --- writes ---

struct fates {
    uint32_t lost[16];
    size_t lost_count;
    uint32_t refused[16];
    size_t refused_count;
};

static void on_lost(void *user, const struct waiting_write *write) {
    struct fates *fates = user;
    fates->lost[fates->lost_count++] = write->call.index;
}

static void on_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    struct fates *fates = user;
    assert_int_equal(refusal, RAFT_NOT_LEADER);
    fates->refused[fates->refused_count++] = write->call.index;
}

static void collect_writes(struct writes *writes, struct raft_slab *slab, uint32_t from, uint32_t to) {
    struct raft_event event;
    for (uint32_t slot = from; slot <= to; slot++) {
        writes_collect(writes, raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0}, 1),
                       (struct rpc_call){.index = slot, .generation = 1}, &a_write);
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
    struct fates fates = {0};
    struct waiting_write write;
    collect_writes(writes, slab, 10, 12);
    struct raft_proposed accepted = {.refusal = RAFT_ACCEPTED, .first = {.term = 2, .index = 5}};
    writes_placed(writes, &accepted, 1, on_lost, on_refused, &fates);
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 2, .index = 4}, &write, on_lost, &fates));
    assert_true(writes_applied(writes, (struct raft_entry_id){.term = 2, .index = 5}, &write, on_lost, &fates));
    assert_int_equal(write.call.index, 10);
    assert_ptr_equal(write.verb, &a_write);
    // Leading again, this node appends at 7: the old 7 has been cut off.
    collect_writes(writes, slab, 20, 22);
    accepted.first = (struct raft_entry_id){.term = 4, .index = 7};
    writes_placed(writes, &accepted, 2, on_lost, on_refused, &fates);
    assert_int_equal(fates.lost_count, 1);
    assert_int_equal(fates.lost[0], 12);
    // Another leader's entry stands at 6: whoever waits there is lost, and who waits for an earlier term behind it.
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 3, .index = 6}, &write, on_lost, &fates));
    assert_int_equal(fates.lost_count, 2);
    assert_int_equal(fates.lost[1], 11);
    assert_true(writes_applied(writes, (struct raft_entry_id){.term = 4, .index = 7}, &write, on_lost, &fates));
    assert_int_equal(write.call.index, 20);
    assert_int_equal(writes_count(writes), 2);
    assert_false(writes_applied(writes, (struct raft_entry_id){.term = 5, .index = 8}, &write, on_lost, &fates));
    assert_int_equal(fates.lost_count, 4);
    assert_int_equal(fates.lost[3], 22);
    assert_int_equal(writes_count(writes), 0);
    writes_free(writes);
    raft_slab_free(slab);
}

static void TestWritesRefused(void **state) {
    (void)state;
    struct raft_slab *slab = raft_slab_new();
    struct writes *writes = writes_new();
    struct fates fates = {0};
    collect_writes(writes, slab, 1, 3);
    struct raft_proposed refused = {.refusal = RAFT_NOT_LEADER};
    writes_placed(writes, &refused, 1, on_lost, on_refused, &fates);
    assert_int_equal(fates.refused_count, 3);
    assert_int_equal(fates.refused[2], 3);
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
            reads_collect(reads, &a_read, (struct rpc_call){0}, slice_of_str("z"));
            assert_true(reads_event(reads, &event));
        }
    }
}

static uint64_t ask(struct reads *reads, const char *one, const char *two) {
    struct raft_event event;
    reads_collect(reads, &a_read, (struct rpc_call){0}, slice_of_str(one));
    reads_collect(reads, &a_read, (struct rpc_call){0}, slice_of_str(two));
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

// --- transfer ---

static const struct raft_id nobody;
static const struct rpc_call asker = {.index = 7, .generation = 1};

static void answer_asker(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome,
                         enum raft_refusal refusal) {
    (void)node;
    (void)call;
    (void)outcome;
    (void)refusal;
    fail();  // the queue only hands it back
}

// A transfer that the core knows of, begun at time 0.
static struct transfer *asked_transfer(void) {
    struct transfer *transfer = transfer_new();
    struct raft_event event;
    struct raft_id target = raft_id_of(slice_of_str("n2"));
    assert_false(transfer_is_running(transfer));
    assert_false(transfer_event(transfer, &event));
    assert_true(transfer_begin(transfer, &target, asker, answer_asker, 0));
    assert_true(transfer_is_running(transfer));
    assert_true(transfer_has_event(transfer));
    assert_true(transfer_event(transfer, &event));
    assert_int_equal(event.type, RAFT_EVENT_TRANSFER);
    assert_string_equal(event.transfer.target.text, "n2");
    assert_false(transfer_has_event(transfer));
    assert_false(transfer_event(transfer, &event));
    assert_false(transfer_begin(transfer, &nobody, (struct rpc_call){0}, NULL, 0));  // one at a time
    return transfer;
}

static bool follow(struct transfer *transfer, enum raft_transfer_outcome said, bool leader_known, uint64_t now_us,
                   struct transfer_end *end) {
    struct raft_update update = {.transfer = said, .transfer_refusal = RAFT_NO_SUCH_NODE};
    return transfer_follow(transfer, &update, leader_known, now_us, end);
}

static void assert_end(const struct transfer *transfer, const struct transfer_end *end, enum raft_transfer_outcome outcome,
                       enum raft_refusal refusal) {
    assert_false(transfer_is_running(transfer));
    assert_int_equal(end->outcome, outcome);
    assert_int_equal(end->refusal, refusal);
    assert_int_equal(end->call.index, asker.index);
    assert_ptr_equal(end->done, answer_asker);
}

static void TestTransferEndsWithANewLeader(void **state) {
    (void)state;
    struct transfer *transfer = asked_transfer();
    struct transfer_end end;
    assert_false(follow(transfer, RAFT_TRANSFER_NONE, true, 1, &end));
    assert_false(follow(transfer, RAFT_TRANSFER_DONE, false, 2, &end));  // a higher term: who leads it is not known yet
    assert_true(transfer_is_running(transfer));
    assert_true(follow(transfer, RAFT_TRANSFER_NONE, true, 3, &end));
    assert_end(transfer, &end, RAFT_TRANSFER_DONE, RAFT_ACCEPTED);
    assert_false(follow(transfer, RAFT_TRANSFER_DONE, true, 10 * US_PER_S, &end));
    transfer_free(transfer);
}

static void TestTransferRefusedByTheCore(void **state) {
    (void)state;
    struct transfer *transfer = asked_transfer();
    struct transfer_end end;
    assert_true(follow(transfer, RAFT_TRANSFER_REFUSED, true, 1, &end));
    assert_end(transfer, &end, RAFT_TRANSFER_REFUSED, RAFT_NO_SUCH_NODE);
    assert_true(transfer_begin(transfer, &nobody, asker, answer_asker, 0));
    transfer_free(transfer);
}

// Whether the core never says a word, or the new term's leader never does.
static void TestTransferHasADeadline(void **state) {
    (void)state;
    static const enum raft_transfer_outcome said[] = {RAFT_TRANSFER_NONE, RAFT_TRANSFER_DONE};
    for (size_t i = 0; i < ARRAY_COUNT(said); i++) {
        struct transfer *transfer = asked_transfer();
        struct transfer_end end;
        assert_false(follow(transfer, said[i], false, 2 * US_PER_S, &end));
        assert_true(follow(transfer, RAFT_TRANSFER_NONE, false, 2 * US_PER_S + 1, &end));
        assert_end(transfer, &end, RAFT_TRANSFER_FAILED, RAFT_ACCEPTED);
        transfer_free(transfer);
    }
}

static struct {
    size_t count;
    size_t bytes;
} resumed;

static void note_resumed(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message) {
    assert_null(node);
    assert_ptr_equal(verb, resumed.count % 2 == 0 ? &a_write : &another_write);
    assert_int_equal(call.index, resumed.count);
    for (size_t i = 0; i < message.len; i++) {
        assert_int_equal(message.data[i], (uint8_t)call.index);
    }
    resumed.count++;
    resumed.bytes += message.len;
}

// Pauses writes of so many bytes until one is refused, but not many more than expected.
static size_t pause_all(struct transfer *transfer, size_t len, size_t expected) {
    uint8_t *message = malloc(len);
    size_t count = 0;
    assert_non_null(message);
    memset(message, 0, len);
    while (count < expected + 2 &&
           transfer_pause(transfer, count % 2 == 0 ? &a_write : &another_write,
                          (struct rpc_call){.index = (uint32_t)count, .generation = 1}, slice_of(message, len))) {
        count++;
        memset(message, (uint8_t)count, len);  // it was copied
    }
    free(message);
    return count;
}

static void TestTransferPausesWrites(void **state) {
    (void)state;
    static const struct {
        size_t len;
        size_t count;
    } paused[] = {{3, PAUSED_WRITES_MAX}, {MIB, UNCOMMITTED_BYTES_MAX / MIB}, {3 * MIB, UNCOMMITTED_BYTES_MAX / (3 * MIB)}};
    struct transfer *transfer = transfer_new();
    struct transfer_end end;
    for (size_t i = 0; i < ARRAY_COUNT(paused); i++) {
        struct raft_event event;
        assert_true(transfer_begin(transfer, &nobody, asker, answer_asker, 0));
        assert_true(transfer_event(transfer, &event));
        assert_int_equal(pause_all(transfer, paused[i].len, paused[i].count), paused[i].count);
        assert_true(follow(transfer, RAFT_TRANSFER_FAILED, true, 1, &end));
        resumed.count = resumed.bytes = 0;
        transfer_resume(transfer, note_resumed, NULL);
        assert_int_equal(resumed.count, paused[i].count);
        assert_int_equal(resumed.bytes, paused[i].count * paused[i].len);
        transfer_resume(transfer, note_resumed, NULL);  // each once
        assert_int_equal(resumed.count, paused[i].count);
    }
    transfer_free(transfer);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestLongAnswersWaitForTheirTurn),
    cmocka_unit_test(TestWritesAnsweredByTheirEntry),
    cmocka_unit_test(TestWritesRefused),
    cmocka_unit_test(TestReadsWaitForTheirIndex),
    cmocka_unit_test(TestTransferEndsWithANewLeader),
    cmocka_unit_test(TestTransferRefusedByTheCore),
    cmocka_unit_test(TestTransferHasADeadline),
    cmocka_unit_test(TestTransferPausesWrites),
};

UNIT_MAIN(tests)
