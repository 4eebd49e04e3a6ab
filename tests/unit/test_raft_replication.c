// Replication: what a leader knows of its followers, what it sends them, and what becomes committed. A follower's side and
// the rules of the paper are in tests/scenarios.
#include "base/array.h"
#include "raft/node.h"
#include "raft_solo.h"

static void TestStorageFullLeader(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    assert_int_equal(solo_propose(solo, 8), 0);
    solo_free(solo);

    // To a peer with a full disk the leader sends only once per heartbeat interval.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    raft_index index = solo_propose(solo, 8);
    struct raft_message append = solo_sent_append(solo, 2);
    solo_accept(solo, &append, index - 1);
    assert_int_equal(solo_progress(solo, 2).next_index, index);
    size_t sent = 0;
    for (size_t i = 0; i < 10; i++) {
        struct raft_message to2 = solo_sent_append(solo, 2);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, 2);
        sent += to2.call != 0;
        if (to2.call != 0) {
            solo_accept(solo, &to2, index - 1);
        }
        if (heartbeat.call != 0) {
            solo_accept(solo, &heartbeat, index - 1);
        }
        solo_tick(solo, HEARTBEAT_INTERVAL_US / 5);
    }
    assert_in_range(sent, 1, 3);
    solo_free(solo);
}

static void TestCommitMajority(void **state) {
    (void)state;
    static const struct {
        size_t voters, learners, needed;  // replies from peers
    } cases[] = {{2, 0, 1}, {3, 0, 1}, {4, 0, 2}, {5, 0, 2}, {3, 3, 1}, {5, 2, 2}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t voters = cases[i].voters;
        struct solo *solo = solo_new(&(struct solo_config){.voters = voters, .learners = cases[i].learners, .term = 5});
        solo_establish(solo);
        raft_index index = solo_propose(solo, 8);
        struct raft_message sent[MEMBERS_MAX + 1];
        for (size_t n = 2; n <= voters + cases[i].learners; n++) {
            sent[n] = solo_sent_append(solo, n);
        }
        solo_persist(solo);
        for (size_t n = voters + 1; n <= voters + cases[i].learners; n++) {
            solo_accept(solo, &sent[n], index);
        }
        for (size_t n = 2; n < 2 + cases[i].needed; n++) {
            assert_int_equal(raft_commit_index(solo->node), index - 1);
            solo_accept(solo, &sent[n], index);
        }
        assert_int_equal(raft_commit_index(solo->node), index);
        solo_free(solo);
    }
}

// The leader's own entry counts once it is durable; a majority of followers may have it before.
static void TestCommitOwnDisk(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    raft_index index = solo_propose(solo, 8);
    struct raft_message to2 = solo_sent_append(solo, 2);
    struct raft_message to3 = solo_sent_append(solo, 3);
    assert_int_equal(to2.append.count, 1);  // sent in parallel with the leader's own write
    solo_accept(solo, &to2, index);
    assert_int_equal(raft_commit_index(solo->node), index - 1);
    solo_accept(solo, &to3, index);
    assert_int_equal(raft_commit_index(solo->node), index);
    raft_index next = solo_propose(solo, 8);
    to2 = solo_sent_append(solo, 2);
    solo_accept(solo, &to2, next);
    assert_int_equal(raft_commit_index(solo->node), index);
    solo_persist(solo);
    assert_int_equal(raft_commit_index(solo->node), next);
    solo_free(solo);
}

// Paper figure 8: an entry of an earlier term is not committed because a majority has it, but with an entry of the leader's
// term.
static void TestFigure8(void **state) {
    (void)state;
    static const raft_term log[] = {1, 2};
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 3, .log = log, .log_count = 2});
    solo_elect(solo);
    assert_int_equal(raft_current_term(solo->node), 4);
    // Each term starts with a no-op.
    assert_int_equal(raft_entry_at(solo->node, 3)->type, RAFT_ENTRY_NOOP);
    assert_int_equal(raft_entry_at(solo->node, 3)->id.term, 4);
    solo_persist(solo);
    struct raft_progress peer = solo_progress(solo, 2);
    assert_int_equal(peer.next_index, 4);
    // n2 and n3 lack entry 2 of term 2, and get it before the no-op.
    for (size_t n = 2; n <= 3; n++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, n);
        solo_accept(solo, &heartbeat, 2);  // entry 2, but not the no-op
        assert_int_equal(solo_progress(solo, n).match_index, 2);
    }
    assert_int_equal(raft_commit_index(solo->node), 0);
    assert_false(raft_leader_is_established(solo->node));
    for (size_t n = 2; n <= 3; n++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, n);
        solo_accept(solo, &heartbeat, 3);
    }
    assert_int_equal(raft_commit_index(solo->node), 3);
    assert_true(raft_leader_is_established(solo->node));
    solo_free(solo);
}

// The follower's log conflicts with the leader's: back by whole terms.
static void TestRollback(void **state) {
    (void)state;
    // The leader of paper figure 7.
    static const raft_term log[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    static const struct {
        raft_term conflict_term;
        raft_index conflict_index, next;
    } cases[] = {
        {0, 10, 10},              // (a) one entry is missing
        {0, 5, 5},                // (b) ends after entry 4
        {4, 4, 6},                // (e) 1 1 1 4 4 4 4: the leader's last entry of term 4 is entry 5
        {3, 7, 7},                // (f) a term that the leader never had is skipped
        {2, 4, 4},   {6, 8, 10},  // a term that the leader has
        {9, 0, 1},                // nonsense stays in bounds
        {0, 99, 10},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 7, .log = log, .log_count = 10});
        solo_elect(solo);
        struct raft_message probe = solo_sent_append(solo, 2);
        assert_int_equal(probe.append.prev_log.index, 10);
        assert_int_equal(probe.append.prev_log.term, 6);
        solo_reject(solo, &probe, cases[i].conflict_term, cases[i].conflict_index);
        struct raft_message next = solo_sent_append(solo, 2);
        assert_int_equal(next.append.prev_log.index, cases[i].next - 1);
        assert_int_equal(next.append.prev_log.term, cases[i].next == 1 ? 0 : log[cases[i].next - 2]);
        assert_int_equal(next.append.count, 12 - cases[i].next);
        solo_free(solo);
    }
}

// Replies to requests of an earlier leadership are ignored.
static void TestStaleAckOfOldTerm(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, 8);  // 3 in term 6
    struct raft_message old = solo_sent_append(solo, 2);
    static const raft_term other[] = {7};
    solo_append(solo, 3, 7, at(6, 2), other, 1, 0);          // replaced by 3 in term 7
    assert_int_equal(solo_progress(solo, 2).next_index, 0);  // who does not lead knows nothing of the others
    solo_persist(solo);
    solo_establish(solo);  // term 8
    raft_index index = solo_propose(solo, 8);
    struct raft_progress before = solo_progress(solo, 2);
    struct raft_message answer = solo_answer(&old, RAFT_APPEND_ENTRIES_REPLY, 6);
    answer.append_reply.success = true;
    answer.append_reply.match_index = index;
    solo_message(solo, answer);
    solo_reject(solo, &old, 0, 1);
    old.term = 8;
    solo_reject(solo, &old, 0, 1);  // the right term, but an old request
    struct raft_progress after = solo_progress(solo, 2);
    assert_int_equal(after.match_index, before.match_index);
    assert_int_equal(after.next_index, before.next_index);
    assert_int_equal(after.inflight, before.inflight);
    assert_int_equal(after.last_heard_us, before.last_heard_us);
    assert_int_equal(raft_commit_index(solo->node), index - 1);
    // Nor does a reply to what was never sent, by a node that has it all.
    struct raft_message never = solo_sent_append(solo, 2);
    solo_accept(solo, &never, index);
    solo_propose(solo, 8);
    never = solo_sent_append(solo, 2);
    solo_accept(solo, &never, index + 1);
    never.call += RAFT_CALL_KINDS;
    solo_reject(solo, &never, 0, 1);
    solo_propose(solo, 8);
    assert_int_not_equal(solo_sent_append(solo, 2).call, 0);  // it does not back off
    // A new leader starts without knowledge of its peers.
    solo_tick(solo, QUORUM_TIMEOUT_US + 1);
    solo_persist(solo);
    solo_elect(solo);
    assert_int_equal(solo_progress(solo, 2).match_index, 0);
    assert_int_equal(solo_progress(solo, 2).last_heard_us, 0);
    assert_int_equal(solo_progress(solo, 2).inflight, 1);
    solo_free(solo);
}

// The leader sends without waiting for replies, within limits; no entry is omitted or sent twice.
static void TestPipeline(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_elect(solo);
    struct raft_message no_op = solo_sent_append(solo, 2);
    solo_propose(solo, 8);
    struct raft_message first = solo_sent_append(solo, 2);  // does not wait for the no-op's reply
    assert_int_equal(first.append.prev_log.index, 2);
    assert_int_equal(first.lane, RAFT_BULK);
    solo_accept(solo, &no_op, 2);
    raft_index sent = 3;
    for (size_t i = 0; i < INFLIGHT_MESSAGES_MAX + 10; i++) {
        solo_propose(solo, 8);
        struct raft_message next = solo_sent_append(solo, 2);
        if (i + 1 < INFLIGHT_MESSAGES_MAX) {
            assert_int_equal(next.append.prev_log.index, sent);
            assert_int_equal(next.append.count, 1);
            sent++;
        } else {
            assert_int_equal(next.call, 0);
        }
    }
    assert_int_equal(solo_progress(solo, 2).inflight, INFLIGHT_MESSAGES_MAX);
    solo_accept(solo, &first, 3);  // room for one more, with all waiting entries
    assert_int_equal(solo_sent_append(solo, 2).append.prev_log.index, sent);
    assert_int_equal(solo_sent_append(solo, 2).append.count, 11);
    solo_free(solo);
}

// As long as replies arrive, requests in flight are not given up, even if there are always some.
static void TestPipelineSteady(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, 8);
    struct raft_message before = solo_sent_append(solo, 2);
    for (raft_index index = 4; index < 40; index++) {
        assert_int_equal(solo_propose(solo, 8), index);
        struct raft_message next = solo_sent_append(solo, 2);
        assert_int_equal(next.append.prev_log.index, index - 1);
        solo_persist(solo);
        solo_accept(solo, &before, index - 1);
        assert_int_equal(solo_progress(solo, 2).inflight, 1);
        solo_tick(solo, APPEND_RETRY_US / 10);
        before = next;
    }
    solo_free(solo);
}

static void TestPipelineBytes(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    size_t sent = 0;
    struct raft_message first = {0};
    for (size_t i = 0; i < 40; i++) {
        solo_propose(solo, 300 * KIB);  // each larger than a batch, and sent alone
        struct raft_message next = solo_sent_append(solo, 2);
        if (next.call == 0) {
            continue;
        }
        assert_int_equal(next.append.count, 1);
        first = sent++ == 0 ? next : first;
    }
    assert_in_range(sent, INFLIGHT_BYTES_MAX / (300 * KIB), INFLIGHT_BYTES_MAX / (300 * KIB) + 1);
    solo_accept(solo, &first, 3);
    assert_int_equal(solo_sent_append(solo, 2).append.count, 1);
    solo_free(solo);
}

// A message has as many entries as fit the batch, in order; the rest follow at once.
static void TestAppendBatch(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    static const size_t sizes[] = {100 * KIB, 100 * KIB, 100 * KIB, 300 * KIB, 1, 200 * KIB, 100 * KIB};
    static const size_t batches[] = {2, 1, 1, 2, 1};
    struct raft_entry *entries[7];
    for (size_t i = 0; i < 7; i++) {
        entries[i] = solo_entry(solo, 0, 0, sizes[i]);
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE, .propose = {.entries = entries, .count = 7}};
    solo_event(solo, event);
    raft_index next = 3;
    for (size_t i = 0; i < 5; i++) {
        for (size_t n = 2; n <= 3; n++) {
            struct raft_message sent = solo_sent_append(solo, n);
            assert_int_equal(sent.append.prev_log.index, next - 1);
            assert_int_equal(sent.append.count, batches[i]);
            for (size_t j = 0; j < sent.append.count; j++) {
                assert_int_equal(sent.append.entries[j]->id.index, next + j);
            }
        }
        next += batches[i];
        if (i < 4) {
            assert_int_equal(solo->update.next_tick_us, solo->now_us);  // more to send at once
        } else {
            assert_true(solo->update.next_tick_us > solo->now_us);
        }
        solo_tick(solo, 0);
    }
    assert_int_equal(solo_sent_count(solo), 0);
    solo_free(solo);
}

// The length of a command whose entry costs that much.
static size_t len_of_cost(size_t cost) {
    return cost - sizeof(struct raft_entry);
}

// What just fills a limit fits it, and nothing fits beside it.
static void TestAppendLimits(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_entry *entries[3];
    for (size_t i = 0; i < 3; i++) {
        entries[i] = solo_entry(solo, 0, 0, len_of_cost(APPEND_BATCH_MAX / 2));
    }
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_PROPOSE, .propose = {.entries = entries, .count = 3}});
    assert_int_equal(solo_sent_append(solo, 2).append.count, 2);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    for (size_t i = 0; i < INFLIGHT_BYTES_MAX / MIB; i++) {
        solo_propose(solo, len_of_cost(MIB));
        assert_int_not_equal(solo_sent_append(solo, 2).call, 0);
    }
    solo_propose(solo, 8);
    assert_int_equal(solo_sent_append(solo, 2).call, 0);
    solo_free(solo);
}

// Heartbeats: every 150 ms to all peers, empty, on the control connection, with prev_log at match_index.
static void TestHeartbeat(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 1, .term = 5});
    solo_elect(solo);
    for (size_t n = 2; n <= 4; n++) {
        struct raft_message heartbeat = solo_sent_heartbeat(solo, n);  // upon election
        assert_int_not_equal(heartbeat.call, 0);
        assert_int_equal(heartbeat.lane, RAFT_CONTROL);
        assert_int_equal(heartbeat.append.prev_log.index, 0);
    }
    struct raft_message append = solo_sent_append(solo, 2);
    solo_persist(solo);
    solo_accept(solo, &append, 2);
    assert_int_equal(raft_commit_index(solo->node), 2);
    for (size_t i = 0; i < 3; i++) {
        uint64_t due = solo->update.next_tick_us;
        solo->now_us = due - 1;
        solo_tick(solo, 0);
        assert_int_equal(solo_sent_count(solo), 0);
        solo_tick(solo, 1);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, 2);
        assert_int_equal(heartbeat.append.prev_log.index, 2);
        assert_int_equal(heartbeat.append.prev_log.term, 6);
        assert_int_equal(heartbeat.append.leader_commit, 2);
        assert_int_not_equal(solo_sent_heartbeat(solo, 4).call, 0);
        assert_int_equal(solo->update.next_tick_us, solo->now_us + HEARTBEAT_INTERVAL_US);
        solo_accept(solo, &heartbeat, 2);
    }
    solo_free(solo);
}

// Time passes, heartbeats are answered with `match` and everything else is lost, until n2 is sent entries on that
// connection.
static struct raft_message await_append(struct solo *solo, enum raft_lane lane, raft_index match) {
    struct raft_message found = {0};
    uint64_t end_us = solo->now_us + 5 * US_PER_S;
    while (found.call == 0 && solo->now_us < end_us) {
        struct raft_message heartbeats[2] = {solo_sent_heartbeat(solo, 2), solo_sent_heartbeat(solo, 3)};
        for (size_t i = 0; i < 2 && heartbeats[i].call != 0; i++) {
            solo_accept(solo, &heartbeats[i], match);
        }
        solo_persist(solo);
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        found = solo_sent_append(solo, 2);
        if (found.call != 0 && found.lane != lane) {
            found.call = 0;
        }
    }
    return found;
}

// A request with neither reply nor reported failure is sent again after a while.
// When a peer was last heard does not go back with the late answer to an earlier heartbeat.
static void TestHeardLate(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_message heartbeats[2];
    for (size_t i = 0; i < 2; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        heartbeats[i] = solo_sent_heartbeat(solo, 2);
    }
    uint64_t sent_us = solo->now_us;
    solo_accept(solo, &heartbeats[1], raft_commit_index(solo->node));
    assert_int_equal(solo_progress(solo, 2).last_heard_us, sent_us);
    solo_accept(solo, &heartbeats[0], raft_commit_index(solo->node));
    assert_int_equal(solo_progress(solo, 2).last_heard_us, sent_us);
    // The answer to the oldest heartbeat that is still known counts, and that to one before it does not.
    for (size_t i = 0; i < 2; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        heartbeats[i] = solo_sent_heartbeat(solo, 2);
    }
    sent_us = solo->now_us;
    for (size_t i = 1; i < RAFT_TRACKED; i++) {
        struct raft_message to3 = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &to3, 2);
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
    }
    uint64_t before_us = solo_progress(solo, 2).last_heard_us;
    solo_accept(solo, &heartbeats[0], 2);
    assert_int_equal(solo_progress(solo, 2).last_heard_us, before_us);
    solo_accept(solo, &heartbeats[1], 2);
    assert_int_equal(solo_progress(solo, 2).last_heard_us, sent_us);
    solo_free(solo);
}

static void TestSendLost(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, 8);
    solo_propose(solo, 8);
    uint64_t start_us = solo->now_us;
    struct raft_message again = await_append(solo, RAFT_BULK, 2);
    assert_in_range(solo->now_us, start_us + APPEND_RETRY_US, start_us + APPEND_RETRY_US + 2 * HEARTBEAT_INTERVAL_US);
    assert_int_equal(again.append.prev_log.index, 2);
    assert_int_equal(again.append.count, 2);
    solo_free(solo);

    static const raft_term log[] = {1, 2, 3};
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .log = log, .log_count = 3});
    solo_elect(solo);  // nothing is known about n2
    again = await_append(solo, RAFT_BULK, 0);
    assert_int_equal(again.append.prev_log.index, 3);
    solo_free(solo);
}

// Not before it has waited for that long, to the microsecond.
static void TestSendLostInTime(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    const uint64_t waits = APPEND_RETRY_US / HEARTBEAT_INTERVAL_US;
    solo->now_us += HEARTBEAT_INTERVAL_US - APPEND_RETRY_US % HEARTBEAT_INTERVAL_US;
    solo_propose(solo, APPEND_COPY_MAX);  // too large to be sent twice
    assert_int_not_equal(solo_sent_append(solo, 2).call, 0);
    uint64_t sent_us = solo->now_us;
    for (uint64_t i = 0; i <= waits; i++) {
        solo_tick(solo, i == 0 ? APPEND_RETRY_US % HEARTBEAT_INTERVAL_US : HEARTBEAT_INTERVAL_US);
        assert_int_equal(solo_sent_append(solo, 2).call, 0);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &heartbeat, 2);
        solo_persist(solo);
    }
    assert_int_equal(solo->now_us, sent_us + APPEND_RETRY_US);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    assert_int_not_equal(solo_sent_append(solo, 2).call, 0);
    solo_free(solo);
}

// A small AppendEntries that is stuck on the bulk connection is also sent on the control connection, and its reply counts.
static void TestSendStuck(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_elect(solo);  // nothing is known about the peers' logs yet
    solo_persist(solo);
    solo_propose(solo, 8);
    uint64_t start_us = solo->now_us;
    struct raft_message copy = await_append(solo, RAFT_CONTROL, 0);
    assert_in_range(solo->now_us, start_us + APPEND_COPY_US, start_us + APPEND_COPY_US + 2 * HEARTBEAT_INTERVAL_US);
    assert_int_equal(copy.append.prev_log.index, 1);
    assert_int_equal(copy.append.count, 1);
    solo_accept(solo, &copy, 2);
    assert_int_equal(raft_commit_index(solo->node), 2);
    assert_int_equal(solo_progress(solo, 2).match_index, 2);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, APPEND_COPY_MAX);  // too large to be sent twice
    start_us = solo->now_us;
    await_append(solo, RAFT_CONTROL, 2);
    assert_true(solo->now_us - start_us >= 5 * US_PER_S);
    solo_free(solo);

    // One as large as may be, right behind what the leader has compacted.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, len_of_cost(APPEND_COPY_MAX));
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = 2});
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = 2});
    assert_int_equal(raft_base(solo->node).index, 2);
    start_us = solo->now_us;
    copy = await_append(solo, RAFT_CONTROL, 2);
    assert_in_range(solo->now_us, start_us + APPEND_COPY_US, start_us + APPEND_COPY_US + 2 * HEARTBEAT_INTERVAL_US);
    assert_int_equal(copy.append.prev_log.index, 2);
    assert_int_equal(copy.append.prev_log.term, 6);
    solo_free(solo);
}

// What a peer has lost may be the last entry that the leader has compacted: its term is still known.
static void TestForgotTheBase(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = 2});
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = 2});
    assert_int_equal(raft_base(solo->node).index, 2);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message heartbeat = solo_sent_heartbeat(solo, 2);
    solo_reject(solo, &heartbeat, 0, 2);
    assert_int_equal(solo_progress(solo, 2).forgot.index, 2);
    assert_int_equal(solo_progress(solo, 2).forgot.term, 6);
    solo_free(solo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestStorageFullLeader), cmocka_unit_test(TestCommitMajority), cmocka_unit_test(TestCommitOwnDisk),
    cmocka_unit_test(TestFigure8),           cmocka_unit_test(TestRollback),       cmocka_unit_test(TestStaleAckOfOldTerm),
    cmocka_unit_test(TestPipeline),          cmocka_unit_test(TestPipelineSteady), cmocka_unit_test(TestPipelineBytes),
    cmocka_unit_test(TestAppendBatch),       cmocka_unit_test(TestHeartbeat),      cmocka_unit_test(TestHeardLate),
    cmocka_unit_test(TestSendLost),          cmocka_unit_test(TestSendStuck),      cmocka_unit_test(TestSendLostInTime),
    cmocka_unit_test(TestAppendLimits),      cmocka_unit_test(TestForgotTheBase),
};

UNIT_MAIN(tests)
