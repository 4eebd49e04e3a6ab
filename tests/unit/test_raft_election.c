// Elections: terms, votes, timeouts and CheckQuorum over many rounds. The rules one by one are in tests/scenarios.
#include "base/array.h"
#include "raft_solo.h"

static void assert_state(const struct solo *solo, enum raft_state state, raft_term term) {
    assert_int_equal(raft_state(solo->node), state);
    assert_int_equal(raft_current_term(solo->node), term);
}

static void assert_vote(const struct solo *solo, bool granted, raft_term term) {
    assert_int_equal(solo_granted(solo), granted);
    assert_int_equal(solo_reply(solo, NULL)->term, term);
}

static void TestTermMonotonic(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_message(solo, solo_vote(solo, 2, 4, at(9, 99)));  // a lower term: refused with the current one
    assert_vote(solo, false, 5);
    solo_heartbeat(solo, 2, 4, at(0, 0), 0);
    assert_false(solo_reply(solo, NULL)->append_reply.success);
    assert_state(solo, RAFT_FOLLOWER, 5);
    assert_false(solo->update.has_persist);
    solo_message(solo, solo_vote(solo, 2, 8, at(9, 99)));  // a higher one: adopted, and durable before the reply
    assert_vote(solo, true, 8);
    assert_true(solo->update.persist.has_hard_state);
    assert_int_equal(solo->update.persist.hard_state.current_term, 8);
    solo_message(solo, solo_vote(solo, 3, 7, at(9, 99)));
    assert_vote(solo, false, 8);
    solo_heartbeat(solo, 3, 9, at(0, 0), 0);
    assert_state(solo, RAFT_FOLLOWER, 9);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    assert_state(solo, RAFT_LEADER, 6);
    solo_propose(solo, 8);
    struct raft_message append = solo_sent_append(solo, 2);
    struct raft_message answer = solo_answer(&append, RAFT_APPEND_ENTRIES_REPLY, 9);
    solo_message(solo, answer);  // also in a reply
    assert_state(solo, RAFT_FOLLOWER, 9);
    assert_int_equal(solo->update.transitions[0].from, RAFT_LEADER);
    assert_int_equal(solo->update.transitions[0].term, 9);
    assert_true(solo->update.leader_changed);
    solo_free(solo);
}

static void TestVoteOncePerTerm(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 5});
    bool waits;
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 1)));
    assert_vote(solo, true, 6);
    solo_reply(solo, &waits);
    assert_true(waits);
    assert_true(solo->update.persist.has_hard_state);
    struct raft_id n2 = solo_id(2);
    assert_true(raft_id_equal(&solo->update.persist.hard_state.voted_for, &n2));
    solo_message(solo, solo_vote(solo, 3, 6, at(1, 1)));  // another candidate
    assert_vote(solo, false, 6);
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 1)));  // the same candidate again, before the vote is durable
    assert_vote(solo, true, 6);
    solo_reply(solo, &waits);
    assert_true(waits);
    solo_persist(solo);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = 0});  // an earlier one, late
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 1)));                                        // and after
    assert_vote(solo, true, 6);
    solo_reply(solo, &waits);
    assert_false(waits);
    assert_false(solo->update.has_persist);
    // Neither pre-votes nor its own timeout change the vote.
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    solo_message(solo, solo_pre_vote(solo, 3, 6, at(1, 1)));
    solo_message(solo, solo_vote(solo, 3, 6, at(1, 1)));
    assert_vote(solo, false, 6);
    solo_message(solo, solo_vote(solo, 3, 7, at(1, 1)));  // a new term, a new vote
    assert_vote(solo, true, 7);
    solo_free(solo);

    // The vote survives a restart. Of two requests in one step one is granted.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .voted_for = 2});
    solo_message(solo, solo_vote(solo, 3, 5, at(1, 1)));
    assert_vote(solo, false, 5);
    struct raft_event both[2] = {
        {.type = RAFT_EVENT_MESSAGE, .message = solo_vote(solo, 2, 6, at(1, 1))},
        {.type = RAFT_EVENT_MESSAGE, .message = solo_vote(solo, 3, 6, at(1, 1))},
    };
    solo_step(solo, both, 2);
    assert_int_equal(solo->update.send_now_count, 0);
    assert_int_equal(solo->update.send_after_persist_count, 2);
    assert_true(solo->update.send_after_persist[0].vote_reply.granted);
    assert_false(solo->update.send_after_persist[1].vote_reply.granted);
    solo_free(solo);
}

static void TestElectionTimeoutRange(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3});
    size_t tenths[10] = {0};
    uint64_t before = 0;
    size_t equal = 0;
    for (size_t i = 0; i < 10000; i++) {
        solo_heartbeat(solo, 2, 2, at(0, 0), 0);
        uint64_t timeout_us = solo->update.next_tick_us - solo->now_us;
        assert_in_range(timeout_us, 300 * US_PER_MS, 600 * US_PER_MS);
        tenths[timeout_us == 600 * US_PER_MS ? 9 : (timeout_us - 300 * US_PER_MS) / (30 * US_PER_MS)]++;
        equal += timeout_us == before;
        before = timeout_us;
        solo->now_us += 1000;
    }
    for (size_t i = 0; i < 10; i++) {
        assert_in_range(tenths[i], 850, 1150);  // 1,000 expected, standard deviation 30
    }
    assert_true(equal < 10);  // each one is drawn
    solo_free(solo);

    // Different seeds give different timeouts, the same seed the same ones.
    uint64_t ticks[3];
    for (size_t i = 0; i < 3; i++) {
        solo = solo_new(&(struct solo_config){.voters = 3, .seed = i == 2 ? 1 : i + 1});
        solo_heartbeat(solo, 2, 2, at(0, 0), 0);
        ticks[i] = solo->update.next_tick_us;
        solo_free(solo);
    }
    assert_int_not_equal(ticks[0], ticks[1]);
    assert_int_equal(ticks[0], ticks[2]);
}

// A tick has an effect exactly from next_tick_us on.
static void TestElectionNextTick(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3});
    solo_tick(solo, 0);
    uint64_t due = solo->update.next_tick_us;
    solo->now_us = due - 1;
    solo_tick(solo, 0);
    assert_int_equal(solo_sent_count(solo), 0);
    assert_int_equal(solo->update.next_tick_us, due);
    solo_tick(solo, 1);
    assert_int_equal(solo_sent_count(solo), 2);
    assert_true(solo->update.next_tick_us >= due + ELECTION_TIMEOUT_MIN_US);
    solo_free(solo);
}

static void assert_timer(const struct solo *solo, uint64_t due, bool kept) {
    if (kept) {
        assert_int_equal(solo->update.next_tick_us, due);
    } else {
        assert_true(solo->update.next_tick_us >= solo->now_us + ELECTION_TIMEOUT_MIN_US);
    }
}

static void TestHeartbeatResetsTimer(void **state) {
    (void)state;
    static const raft_term terms[] = {6};
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    for (size_t i = 0; i < 100; i++) {
        solo->now_us += 299 * US_PER_MS;
        solo_heartbeat(solo, 2, 6, at(0, 0), 0);
        assert_state(solo, RAFT_FOLLOWER, 6);
        assert_int_equal(solo->update.send_now_count + solo->update.send_after_persist_count, 1);
    }
    solo->now_us += 250 * US_PER_MS;
    solo_append(solo, 2, 6, at(9, 99), NULL, 0, 0);  // also if it is rejected because of prev_log
    assert_timer(solo, 0, false);
    solo->now_us += 250 * US_PER_MS;
    solo_append(solo, 2, 6, at(1, 1), terms, 1, 0);  // and with entries
    assert_timer(solo, 0, false);
    uint64_t due = solo->update.next_tick_us;
    solo->now_us += 250 * US_PER_MS;
    solo_heartbeat(solo, 3, 5, at(0, 0), 0);  // but not by a former leader
    assert_timer(solo, due, true);
    solo_heartbeat(solo, 3, 6, at(0, 0), 0);  // nor by a second one of the same term
    assert_timer(solo, due, true);
    assert_false(solo_reply(solo, NULL)->append_reply.success);
    solo_free(solo);
}

// --- CheckQuorum ---

static void TestCheckQuorum(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 5});
    solo_elect(solo);
    uint64_t elected_us = solo->now_us;
    while (solo->now_us < elected_us + QUORUM_TIMEOUT_US) {
        assert_state(solo, RAFT_LEADER, 6);
        solo_tick(solo, 100 * US_PER_MS);
    }
    assert_state(solo, RAFT_LEADER, 6);
    assert_int_equal(solo->update.next_tick_us, elected_us + QUORUM_TIMEOUT_US + 1);
    solo_persist(solo);
    solo_tick(solo, 1);
    assert_state(solo, RAFT_FOLLOWER, 6);
    assert_int_equal(raft_leader(solo->node)->len, 0);
    assert_int_equal(solo->update.send_now_count, 0);
    solo_tick(solo, ELECTION_TIMEOUT_MIN_US - 1);  // a full election timeout
    assert_int_equal(solo_sent_count(solo), 0);
    solo_free(solo);
}

// A reply counts from the time its request was sent. Of five, the leader and one peer are no majority, with two peers they
// are.
static void TestCheckQuorumCountsSent(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 5});
    solo_establish(solo);
    for (size_t i = 0; i < 20; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message to2 = solo_sent_heartbeat(solo, 2);
        struct raft_message to3 = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &to2, 2);
        solo_accept(solo, &to3, 2);
    }
    assert_state(solo, RAFT_LEADER, 6);
    // From now on n3 only repeats an old reply.
    struct raft_message old = solo_sent_heartbeat(solo, 3);
    assert_int_equal(old.call, 0);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    old = solo_sent_heartbeat(solo, 3);
    uint64_t old_us = solo->now_us;
    while (raft_state(solo->node) == RAFT_LEADER && solo->now_us < old_us + 5 * QUORUM_TIMEOUT_US) {
        solo_accept(solo, &old, 2);
        solo_tick(solo, HEARTBEAT_INTERVAL_US / 2);
        struct raft_message to2 = solo_sent_heartbeat(solo, 2);
        if (to2.call != 0) {
            solo_accept(solo, &to2, 2);
        }
    }
    assert_in_range(solo->now_us, old_us + QUORUM_TIMEOUT_US, old_us + QUORUM_TIMEOUT_US + HEARTBEAT_INTERVAL_US);
    solo_free(solo);
}

// Learners do not count towards the leader's quorum.
static void TestCheckQuorumLearners(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 3, .term = 5});
    solo_establish(solo);
    for (size_t i = 0; i < 6; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message sent[3] = {solo_sent_heartbeat(solo, 4), solo_sent_heartbeat(solo, 5),
                                       solo_sent_heartbeat(solo, 6)};
        for (size_t j = 0; j < 3 && sent[j].call != 0; j++) {
            solo_accept(solo, &sent[j], 2);
        }
    }
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    solo_free(solo);
}

// A leader that was not stepped for too long steps down before anything else.
static void TestCheckQuorumGap(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo->now_us += QUORUM_TIMEOUT_US + 1;
    assert_int_equal(solo_propose(solo, 8), 0);
    assert_int_equal(solo->update.proposed[0].refusal, RAFT_NOT_LEADER);
    assert_state(solo, RAFT_FOLLOWER, 6);
    solo_free(solo);

    // Also a single voter. Up to the limit it goes on.
    solo = solo_new(&(struct solo_config){.voters = 1, .term = 5});
    solo_establish(solo);
    solo->now_us += QUORUM_TIMEOUT_US;
    assert_int_not_equal(solo_propose(solo, 8), 0);
    solo_persist(solo);
    solo->now_us += QUORUM_TIMEOUT_US + 1;
    assert_int_equal(solo_propose(solo, 8), 0);
    solo_free(solo);
}

// A leader that has lost its quorum can be elected again.
static void TestElectionAgain(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    for (raft_term term = 6; term < 10; term++) {
        solo_establish(solo);
        assert_state(solo, RAFT_LEADER, term);
        solo_tick(solo, QUORUM_TIMEOUT_US + 1);
        assert_state(solo, RAFT_FOLLOWER, term);
    }
    solo_free(solo);
}

// Nobody's request gets no vote, which would be the same as none, and neither does one of an absurd term; the last term that
// is not absurd is like any other.
static void TestVoteOutlandish(void **state) {
    (void)state;
    const raft_term last = UINT64_MAX / 2;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    struct raft_message message = solo_vote(solo, 2, 6, at(1, 1));
    message.from = (struct raft_id){.len = 0};
    solo_message(solo, message);
    assert_vote(solo, false, 5);
    solo_message(solo, solo_vote(solo, 2, last + 1, at(1, 1)));
    assert_vote(solo, false, 5);
    solo_message(solo, solo_vote(solo, 2, last, at(1, 1)));
    assert_vote(solo, true, last);
    solo_free(solo);
}

// A node whose write takes longer than a disk may take does not campaign, not even for its leader.
static void TestElectionWithAStuckDisk(void **state) {
    (void)state;
    for (uint64_t late_us = 0; late_us <= 1; late_us++) {
        struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
        static const raft_term terms[] = {5};
        solo_append(solo, 2, 5, at(1, 1), terms, 1, 0);
        for (uint64_t us = 0; us + HEARTBEAT_INTERVAL_US <= DISK_STUCK_US; us += HEARTBEAT_INTERVAL_US) {
            solo->now_us += HEARTBEAT_INTERVAL_US;
            solo_heartbeat(solo, 2, 5, at(1, 1), 0);
        }
        solo->now_us += DISK_STUCK_US % HEARTBEAT_INTERVAL_US + late_us;
        struct raft_message timeout_now = solo_vote(solo, 2, 5, at(0, 0));
        timeout_now.type = RAFT_TIMEOUT_NOW;
        solo_message(solo, timeout_now);
        assert_int_equal(raft_state(solo->node), late_us == 0 ? RAFT_CANDIDATE : RAFT_FOLLOWER);
        solo_free(solo);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestVoteOutlandish),      cmocka_unit_test(TestTermMonotonic),
    cmocka_unit_test(TestVoteOncePerTerm),     cmocka_unit_test(TestElectionTimeoutRange),
    cmocka_unit_test(TestElectionNextTick),    cmocka_unit_test(TestHeartbeatResetsTimer),
    cmocka_unit_test(TestCheckQuorum),         cmocka_unit_test(TestCheckQuorumCountsSent),
    cmocka_unit_test(TestCheckQuorumLearners), cmocka_unit_test(TestCheckQuorumGap),
    cmocka_unit_test(TestElectionAgain),       cmocka_unit_test(TestElectionWithAStuckDisk),
};

UNIT_MAIN(tests)
