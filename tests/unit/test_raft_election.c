// Elections: PreVote, votes, timeouts, CheckQuorum.
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

// To a real candidacy in the next term, with the votes asked for in the last update.
static void become_candidate(struct solo *solo) {
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message asked = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    assert_true(asked.request_vote.pre_vote);
    solo_answer_vote(solo, &asked, asked.term, true);
    assert_int_equal(raft_state(solo->node), RAFT_CANDIDATE);
}

static void TestTermMonotonic(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_message(solo, solo_vote(solo, 2, 4, at(9, 99)));  // a lower term: refused, told ours
    assert_vote(solo, false, 5);
    solo_heartbeat(solo, 2, 4, at(0, 0), 0);
    assert_false(solo_reply(solo, NULL)->append_reply.success);
    assert_state(solo, RAFT_FOLLOWER, 5);
    assert_false(solo->update.has_persist);
    solo_message(solo, solo_vote(solo, 2, 8, at(9, 99)));  // a higher one: adopted, and durable before it is said
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
    solo_message(solo, answer);  // an answer, too
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
    solo_message(solo, solo_vote(solo, 3, 6, at(1, 1)));  // another one
    assert_vote(solo, false, 6);
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 1)));  // the same again, before the vote is durable
    assert_vote(solo, true, 6);
    solo_reply(solo, &waits);
    assert_true(waits);
    solo_persist(solo);
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 1)));  // and after
    assert_vote(solo, true, 6);
    solo_reply(solo, &waits);
    assert_false(waits);
    assert_false(solo->update.has_persist);
    // Neither PreVotes nor its own timeout make it forget (a PreVote is a Follower's).
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    solo_message(solo, solo_pre_vote(solo, 3, 6, at(1, 1)));
    solo_message(solo, solo_vote(solo, 3, 6, at(1, 1)));
    assert_vote(solo, false, 6);
    solo_message(solo, solo_vote(solo, 3, 7, at(1, 1)));  // in a new term the vote is free
    assert_vote(solo, true, 7);
    solo_free(solo);

    // A restart remembers; and two in one turn get one vote.
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

// A candidate that gives way to the term's leader, or falls back to asking PreVotes, keeps the vote for itself.
static void TestVoteKeptOnStepDown(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    become_candidate(solo);
    solo_heartbeat(solo, 2, 6, at(0, 0), 0);
    assert_state(solo, RAFT_FOLLOWER, 6);
    struct raft_message vote = solo_vote(solo, 3, 6, at(9, 9));
    vote.request_vote.leadership_transfer = true;
    solo_message(solo, vote);
    assert_vote(solo, false, 6);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    become_candidate(solo);
    solo_persist(solo);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    assert_state(solo, RAFT_FOLLOWER, 6);
    assert_true(solo_sent(solo, 2, RAFT_REQUEST_VOTE).request_vote.pre_vote);
    solo_message(solo, solo_vote(solo, 3, 6, at(9, 9)));
    assert_vote(solo, false, 6);
    solo_free(solo);
}

static void TestVoteUpToDate(void **state) {
    (void)state;
    static const raft_term log[] = {1, 2, 3, 3};
    static const struct {
        struct raft_entry_id last;
        bool granted;
    } cases[] = {
        {{2, 9}, false},  // longer, but of an earlier term
        {{3, 3}, false},  // shorter
        {{3, 4}, true},   // equal
        {{3, 5}, true},   // longer
        {{4, 1}, true},   // shorter, but of a later term
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .log = log, .log_count = 4});
        solo_message(solo, solo_pre_vote(solo, 2, 5, cases[i].last));
        assert_vote(solo, cases[i].granted, 5);
        solo_message(solo, solo_vote(solo, 2, 6, cases[i].last));
        assert_vote(solo, cases[i].granted, 6);
        solo_free(solo);
    }
}

static void TestVoteDurableBeforeCounted(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    become_candidate(solo);
    // The requests wait for term and vote to be durable.
    assert_int_equal(solo->update.send_now_count, 0);
    assert_int_equal(solo->update.send_after_persist_count, 2);
    assert_true(solo->update.persist.has_hard_state);
    struct raft_id n1 = solo_id(1);
    assert_true(raft_id_equal(&solo->update.persist.hard_state.voted_for, &n1));
    assert_int_equal(solo->update.persist.hard_state.current_term, 6);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(solo->update.send_after_persist[i].after_write, solo->update.persist.write);
        assert_int_equal(solo->update.send_after_persist[i].term, 6);
    }
    // Even when all others have granted, it does not lead before.
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message to3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &to2, 6, true);
    solo_answer_vote(solo, &to3, 6, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
    solo_persist(solo);
    assert_state(solo, RAFT_LEADER, 6);
    solo_free(solo);
}

// Each vote counts once, and only one for this very candidacy.
static void TestVoteCounting(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 5});
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message to3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &to2, 5, true);
    solo_answer_vote(solo, &to2, 5, true);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_answer_vote(solo, &to3, 5, false);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_answer_vote(solo, &to3, 4, true);  // a voter behind us
    assert_state(solo, RAFT_CANDIDATE, 6);
    struct raft_message old2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message old3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_persist(solo);
    solo_answer_vote(solo, &to2, 5, true);  // late PreVotes are no votes
    solo_answer_vote(solo, &to3, 5, true);
    to2.request_vote.pre_vote = to3.request_vote.pre_vote = false;
    solo_answer_vote(solo, &to2, 6, true);  // nor if they claim to be
    solo_answer_vote(solo, &to3, 6, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
    solo_answer_vote(solo, &old2, 6, true);
    solo_answer_vote(solo, &old2, 6, true);  // twice
    assert_state(solo, RAFT_CANDIDATE, 6);

    // The next candidacy: votes of the one before do not count, whatever number they carry.
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message pre2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message pre3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &pre2, 6, true);
    solo_answer_vote(solo, &pre3, 6, true);
    assert_state(solo, RAFT_CANDIDATE, 7);
    struct raft_message new2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message new3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_persist(solo);
    solo_answer_vote(solo, &old2, 6, true);
    solo_answer_vote(solo, &old3, 6, true);
    solo_answer_vote(solo, &new2, 6, true);  // the right number, the wrong term
    solo_answer_vote(solo, &new3, 6, true);
    assert_state(solo, RAFT_CANDIDATE, 7);
    solo_answer_vote(solo, &new2, 7, true);
    solo_answer_vote(solo, &new3, 7, true);
    assert_state(solo, RAFT_LEADER, 7);
    solo_free(solo);
}

// Of four, two are no majority.
static void TestVoteMajorityOfFour(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 4, .term = 5});
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message to3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &to2, 5, true);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_answer_vote(solo, &to3, 5, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
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
    assert_true(equal < 10);  // drawn anew each time
    solo_free(solo);

    // Different seeds, different draws; the same seed, the same.
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

// A tick does something exactly when next_tick_us said.
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
    solo_append(solo, 2, 6, at(9, 99), NULL, 0, 0);  // also one that is refused for its prev entry
    assert_timer(solo, 0, false);
    solo->now_us += 250 * US_PER_MS;
    solo_append(solo, 2, 6, at(1, 1), terms, 1, 0);  // and one with entries
    assert_timer(solo, 0, false);
    uint64_t due = solo->update.next_tick_us;
    solo->now_us += 250 * US_PER_MS;
    solo_heartbeat(solo, 3, 5, at(0, 0), 0);  // but no former leader
    assert_timer(solo, due, true);
    solo_heartbeat(solo, 3, 6, at(0, 0), 0);  // nor a second one of the same term
    assert_timer(solo, due, true);
    assert_false(solo_reply(solo, NULL)->append_reply.success);
    solo_free(solo);
}

static void TestVoteResetsTimer(void **state) {
    (void)state;
    static const raft_term log[] = {1, 2};
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .log = log, .log_count = 2});
    solo_tick(solo, 250 * US_PER_MS);
    uint64_t due = solo->update.next_tick_us;
    solo_message(solo, solo_pre_vote(solo, 2, 5, at(2, 2)));  // a PreVote granted promises nothing
    assert_vote(solo, true, 5);
    assert_timer(solo, due, true);
    solo_message(solo, solo_vote(solo, 2, 6, at(1, 9)));  // refused
    assert_vote(solo, false, 6);
    assert_timer(solo, due, true);
    solo_message(solo, solo_vote(solo, 2, 6, at(2, 2)));  // granted
    assert_vote(solo, true, 6);
    assert_timer(solo, due, false);
    solo_free(solo);
}

static void TestPreVoteChangesNothing(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .voted_for = 3});
    bool waits;
    solo_message(solo, solo_pre_vote(solo, 2, 9, at(1, 1)));  // its term may be far ahead
    assert_vote(solo, true, 5);
    solo_reply(solo, &waits);
    assert_false(waits);
    solo_message(solo, solo_pre_vote(solo, 2, 5, at(1, 1)));  // and who was voted for does not matter
    assert_vote(solo, true, 5);
    solo_message(solo, solo_pre_vote(solo, 2, 4, at(1, 1)));  // behind us it would not win
    assert_vote(solo, false, 5);
    assert_false(solo->update.has_persist);
    assert_state(solo, RAFT_FOLLOWER, 5);

    // Asking changes nothing either, however often.
    for (size_t i = 0; i < 20; i++) {
        solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
        assert_true(solo_sent(solo, 2, RAFT_REQUEST_VOTE).request_vote.pre_vote);
        assert_int_equal(solo_sent(solo, 2, RAFT_REQUEST_VOTE).term, 5);
        assert_state(solo, RAFT_FOLLOWER, 5);
        assert_false(solo->update.has_persist);
        assert_int_equal(solo->update.elections_started, 0);
        assert_int_equal(solo->update.transition_count, 0);
    }
    struct raft_message asked = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &asked, 5, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
    assert_int_equal(solo->update.elections_started, 1);
    assert_int_equal(solo->update.transition_count, 1);
    assert_string_equal(raft_state_name(solo->update.transitions[0].from), "Follower");
    assert_string_equal(raft_state_name(solo->update.transitions[0].to), "Candidate");
    assert_int_equal(solo->update.transitions[0].term, 6);
    solo_free(solo);
}

// Refused by somebody of a higher term, it goes there: else one that is behind never gets in (a deadlock others have had).
static void TestPreVoteHigherTerm(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message to3 = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &to2, 8, false);
    assert_state(solo, RAFT_FOLLOWER, 8);
    assert_int_equal(solo->update.persist.hard_state.current_term, 8);
    solo_answer_vote(solo, &to3, 8, true);  // that round is over
    assert_state(solo, RAFT_FOLLOWER, 8);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    assert_int_equal(solo_sent(solo, 2, RAFT_REQUEST_VOTE).term, 8);
    solo_free(solo);
}

// While the leader is heard, nobody is helped against it, and no term is adopted.
static void TestVoteProtectsLeader(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo->now_us += ELECTION_TIMEOUT_MIN_US - 1;
    solo_message(solo, solo_pre_vote(solo, 3, 9, at(9, 9)));
    assert_int_equal(solo->kept, 1);
    assert_int_equal(solo_sent_count(solo), 0);
    solo_message(solo, solo_vote(solo, 3, 9, at(9, 9)));
    assert_vote(solo, false, 5);
    assert_state(solo, RAFT_FOLLOWER, 5);
    struct raft_message transfer = solo_vote(solo, 3, 6, at(9, 9));
    transfer.request_vote.leadership_transfer = true;  // the leader itself wants it
    solo_free(solo);
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo_message(solo, transfer);
    assert_vote(solo, true, 6);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo->now_us += ELECTION_TIMEOUT_MIN_US;  // no longer heard
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(9, 9)));
    assert_vote(solo, true, 5);
    solo_message(solo, solo_vote(solo, 3, 9, at(9, 9)));
    assert_vote(solo, true, 9);
    solo_free(solo);

    // A leader protects itself; one who is stuck at a higher term comes back by refusing what the leader sends.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_message(solo, solo_pre_vote(solo, 3, 9, at(9, 9)));
    assert_vote(solo, false, 6);
    solo_message(solo, solo_vote(solo, 3, 9, at(9, 9)));
    assert_vote(solo, false, 6);
    assert_state(solo, RAFT_LEADER, 6);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message heartbeat = solo_sent_heartbeat(solo, 3);
    solo_message(solo, solo_answer(&heartbeat, RAFT_APPEND_ENTRIES_REPLY, 9));
    assert_state(solo, RAFT_FOLLOWER, 9);
    solo_free(solo);

    // And the one that is stuck answers a leader of a lower term with its own.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 9});
    solo_heartbeat(solo, 2, 6, at(0, 0), 0);
    assert_int_equal(solo_reply(solo, NULL)->term, 9);
    assert_state(solo, RAFT_FOLLOWER, 9);
    solo_free(solo);
}

static void lose(struct solo *solo, size_t peer) {
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = solo_id(peer)});
}

// A follower of n2 that n3 asks while n2 is heard.
static struct solo *keeping(void) {
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo->now_us += 10 * US_PER_MS;
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(9, 9)));
    assert_int_equal(solo->kept, 1);
    return solo;
}

// A PreVote refused only because the leader is heard waits for the leader's loss.
static void TestPreVoteKept(void **state) {
    (void)state;
    struct solo *solo = keeping();
    lose(solo, 2);  // of the same log as n1, n3 would have to give way; its log is better
    assert_vote(solo, true, 5);
    assert_int_equal(solo->kept, 0);
    solo_free(solo);

    solo = keeping();  // the leader falls silent
    assert_int_equal(solo->update.next_tick_us, solo->now_us + ELECTION_TIMEOUT_MIN_US - 10 * US_PER_MS);
    solo_tick(solo, ELECTION_TIMEOUT_MIN_US - 10 * US_PER_MS - 1);
    assert_int_equal(solo->kept, 1);
    solo_tick(solo, 1);
    assert_vote(solo, true, 5);
    solo_free(solo);

    solo = keeping();  // the leader lives
    for (uint64_t waited_us = 0; waited_us + 100 * US_PER_MS < KEPT_PRE_VOTE_US; waited_us += 100 * US_PER_MS) {
        solo->now_us += 100 * US_PER_MS;
        solo_heartbeat(solo, 2, 5, at(0, 0), 0);
        assert_int_equal(solo->kept, 1);
    }
    solo_tick(solo, 100 * US_PER_MS);
    assert_vote(solo, false, 5);
    solo_free(solo);

    solo = keeping();  // asked again: the older question is closed, the newer one waits
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(9, 9)));
    assert_vote(solo, false, 5);
    assert_int_equal(solo->kept, 1);
    lose(solo, 2);
    assert_vote(solo, true, 5);
    solo_free(solo);

    solo = keeping();  // overtaken by a term, or by a better log here
    solo_heartbeat(solo, 2, 6, at(0, 0), 0);
    assert_int_equal(solo->kept, 0);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo_message(solo, solo_pre_vote(solo, 3, 4, at(9, 9)));  // not only for the leader's sake: refused at once
    assert_vote(solo, false, 5);
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(0, 0)));
    assert_vote(solo, false, 5);
    solo_free(solo);
}

// The loss of the leader's connection starts a round of PreVotes at once; of nobody else's.
static void TestPreVoteEarly(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    lose(solo, 3);
    assert_int_equal(solo_sent_count(solo), 0);
    assert_int_equal(raft_leader(solo->node)->len, 2);
    lose(solo, 2);
    struct raft_message asked = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    assert_true(asked.call != 0 && asked.request_vote.pre_vote);
    assert_state(solo, RAFT_FOLLOWER, 5);  // no term changes before it is granted
    assert_false(solo->update.has_persist);
    solo_answer_vote(solo, &asked, 5, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    lose(solo, 2);
    asked = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo->now_us += LOST_LEADER_ECHO_US;
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);  // only a connection was lost
    assert_int_equal(raft_leader(solo->node)->len, 2);
    solo_answer_vote(solo, &asked, 5, true);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_free(solo);

    // What the leader sent before it died is taken, but brings it back to nobody's mind.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    lose(solo, 2);
    asked = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo->now_us += LOST_LEADER_ECHO_US - 1;
    static const raft_term fresh[] = {5};
    solo_append(solo, 2, 5, at(1, 1), fresh, 1, 0);
    assert_int_equal(raft_last_log(solo->node).index, 2);
    assert_int_equal(raft_leader(solo->node)->len, 0);
    solo_answer_vote(solo, &asked, 5, true);
    assert_state(solo, RAFT_CANDIDATE, 6);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    lose(solo, 2);
    assert_int_equal(solo_sent_count(solo), 0);
    solo_free(solo);
}

// Of two nodes that ask each other, exactly one gives way.
static void TestPreVoteGivesWay(void **state) {
    (void)state;
    static const raft_term log[] = {1, 1};
    const struct {
        size_t self;
        size_t other;
        size_t preferred;
        struct raft_entry_id theirs;
        bool gives_way;
    } cases[] = {
        // The better log wins, then the preferred one, then the earlier id.
        {1, 3, 0, {1, 2}, false}, {3, 1, 0, {1, 2}, true},  {1, 3, 2, {1, 2}, false}, {3, 1, 2, {1, 2}, true},
        {1, 3, 3, {1, 2}, true},  {3, 1, 3, {1, 2}, false}, {3, 1, 1, {1, 2}, true},  {1, 3, 1, {1, 2}, false},
        {1, 3, 0, {1, 3}, true},  {3, 1, 0, {1, 1}, false}, {1, 3, 0, {2, 1}, true},  {1, 3, 1, {1, 3}, true},
        {3, 1, 1, {1, 1}, false}, {1, 3, 1, {2, 1}, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct solo *solo = solo_new(&(struct solo_config){
            .voters = 3, .term = 5, .log = log, .log_count = 2, .self = cases[i].self, .preferred = cases[i].preferred});
        solo_heartbeat(solo, 2, 5, at(1, 2), 0);
        lose(solo, 2);
        struct raft_message asked = solo_sent(solo, cases[i].other, RAFT_REQUEST_VOTE);
        solo_message(solo, solo_pre_vote(solo, cases[i].other, 5, cases[i].theirs));
        assert_vote(solo, cases[i].gives_way, 5);
        solo_answer_vote(solo, &asked, 5, true);  // who has given way does not go on
        assert_state(solo, cases[i].gives_way ? RAFT_FOLLOWER : RAFT_CANDIDATE, cases[i].gives_way ? 5 : 6);
        solo_free(solo);

        // The same when the question was there first, and was kept for the leader's sake.
        solo = solo_new(&(struct solo_config){
            .voters = 3, .term = 5, .log = log, .log_count = 2, .self = cases[i].self, .preferred = cases[i].preferred});
        solo_heartbeat(solo, 2, 5, at(1, 2), 0);
        solo_message(solo, solo_pre_vote(solo, cases[i].other, 5, cases[i].theirs));
        bool better = cases[i].theirs.term > 1 || cases[i].theirs.index >= 2;
        assert_int_equal(solo->kept, better);
        lose(solo, 2);
        assert_int_equal(solo_sent(solo, cases[i].other, RAFT_REQUEST_VOTE).call != 0, !cases[i].gives_way);
        if (better) {
            assert_int_equal(solo_reply(solo, NULL)->vote_reply.granted, cases[i].gives_way);
        }
        solo_free(solo);
    }
}

// Each of two takes itself for the preferred one, as when --leader-cloud is changed on one node after the other: they delay
// an election by a round, and then the earlier id wins.
static void TestPreVoteGivesWayInTheEnd(void **state) {
    (void)state;
    for (size_t self = 1; self <= 3; self += 2) {
        struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .self = self, .preferred = self});
        size_t other = 4 - self;
        solo_heartbeat(solo, 2, 5, at(0, 0), 0);
        lose(solo, 2);
        solo_message(solo, solo_pre_vote(solo, other, 5, at(1, 1)));
        assert_vote(solo, false, 5);
        solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
        assert_true(solo_sent(solo, other, RAFT_REQUEST_VOTE).request_vote.pre_vote);
        solo_message(solo, solo_pre_vote(solo, other, 5, at(1, 1)));
        assert_vote(solo, other < self, 5);
        // The next time it is the cloud that counts first, again.
        solo_heartbeat(solo, 2, 5, at(0, 0), 0);
        solo->now_us += LOST_LEADER_ECHO_US;
        solo_heartbeat(solo, 2, 5, at(0, 0), 0);
        lose(solo, 2);
        solo_message(solo, solo_pre_vote(solo, other, 5, at(1, 1)));
        assert_vote(solo, false, 5);
        solo_free(solo);
    }
}

static void TestPreVoteEndsWithLeader(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    solo_heartbeat(solo, 3, 5, at(0, 0), 0);  // there is a leader after all
    solo_answer_vote(solo, &to2, 5, true);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    solo_message(solo, solo_vote(solo, 3, 6, at(9, 9)));  // or will be
    assert_vote(solo, true, 6);
    solo_answer_vote(solo, &to2, 6, true);
    assert_state(solo, RAFT_FOLLOWER, 6);
    solo_free(solo);
}

static void TestElectionLearner(void **state) {
    (void)state;
    // A learner never asks, and is not counted when it answers.
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 1, .self = 4});
    solo_tick(solo, 10 * ELECTION_TIMEOUT_MAX_US);
    assert_int_equal(solo_sent_count(solo), 0);
    solo_message(solo, solo_vote(solo, 2, 6, at(9, 9)));
    assert_false(solo_granted(solo));
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .learners = 2, .term = 5});
    solo_message(solo, solo_vote(solo, 4, 9, at(9, 9)));  // nor is it voted for
    assert_vote(solo, false, 5);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    assert_int_equal(solo_sent_count(solo), 2);
    struct raft_message to2 = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    to2.to = solo_id(4);
    solo_answer_vote(solo, &to2, 5, true);
    to2.to = solo_id(5);
    solo_answer_vote(solo, &to2, 5, true);
    assert_state(solo, RAFT_FOLLOWER, 5);
    solo_free(solo);
}

static void TestElectionSingleVoter(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 1, .learners = 1, .term = 5});
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    assert_state(solo, RAFT_CANDIDATE, 6);
    solo_persist(solo);
    assert_state(solo, RAFT_LEADER, 6);
    assert_int_equal(raft_commit_index(solo->node), 0);
    raft_index index = solo_propose(solo, 8);
    assert_int_equal(index, 3);
    assert_int_equal(raft_commit_index(solo->node), 0);  // nothing is acknowledged before it is on disk
    solo_persist(solo);
    assert_int_equal(raft_commit_index(solo->node), 3);
    for (size_t i = 0; i < 20; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
    }
    assert_state(solo, RAFT_LEADER, 6);
    solo_free(solo);
}

// Members know each other; what comes from others, or to others, changes nothing but is answered.
static void TestElectionStranger(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    size_t strangers[] = {1, 9};  // itself, somebody else
    for (size_t i = 0; i < 2; i++) {
        solo_message(solo, solo_vote(solo, strangers[i], 9, at(9, 9)));
        assert_vote(solo, false, 5);
        solo_heartbeat(solo, strangers[i], 9, at(0, 0), 0);
        assert_false(solo_reply(solo, NULL)->append_reply.success);
        struct raft_message answer = solo_vote(solo, strangers[i], 99, at(0, 0));
        answer.type = RAFT_REQUEST_VOTE_REPLY;
        solo_message(solo, answer);
    }
    struct raft_message vote = solo_vote(solo, 2, 9, at(9, 9));
    vote.to = solo_id(3);
    solo_message(solo, vote);
    assert_vote(solo, false, 5);
    solo_message(solo, solo_vote(solo, 2, UINT64_MAX, at(9, 9)));  // no room above it
    assert_vote(solo, false, 5);
    assert_state(solo, RAFT_FOLLOWER, 5);
    assert_false(solo->update.has_persist);
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
    solo_tick(solo, ELECTION_TIMEOUT_MIN_US - 1);  // it leaves the others a chance
    assert_int_equal(solo_sent_count(solo), 0);
    solo_free(solo);
}

// What counts is when the answered request was sent; one answering peer of four is no majority, two are.
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
    // From now on n3 only repeats itself: an old answer says nothing of today.
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

// Learners' answers hold no leader in office.
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

// A leader that stood still is one no longer, before it does anything.
static void TestCheckQuorumGap(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo->now_us += QUORUM_TIMEOUT_US + 1;
    assert_int_equal(solo_propose(solo, 8), 0);
    assert_int_equal(solo->update.proposed[0].refusal, RAFT_NOT_LEADER);
    assert_state(solo, RAFT_FOLLOWER, 6);
    solo_free(solo);

    // Alone, too; up to the limit it goes on.
    solo = solo_new(&(struct solo_config){.voters = 1, .term = 5});
    solo_establish(solo);
    solo->now_us += QUORUM_TIMEOUT_US;
    assert_int_not_equal(solo_propose(solo, 8), 0);
    solo_persist(solo);
    solo->now_us += QUORUM_TIMEOUT_US + 1;
    assert_int_equal(solo_propose(solo, 8), 0);
    solo_free(solo);
}

// After losing its quorum it can ask again, and win again.
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestTermMonotonic),
    cmocka_unit_test(TestVoteOncePerTerm),
    cmocka_unit_test(TestVoteKeptOnStepDown),
    cmocka_unit_test(TestVoteUpToDate),
    cmocka_unit_test(TestVoteDurableBeforeCounted),
    cmocka_unit_test(TestVoteCounting),
    cmocka_unit_test(TestVoteMajorityOfFour),
    cmocka_unit_test(TestElectionTimeoutRange),
    cmocka_unit_test(TestElectionNextTick),
    cmocka_unit_test(TestHeartbeatResetsTimer),
    cmocka_unit_test(TestVoteResetsTimer),
    cmocka_unit_test(TestPreVoteChangesNothing),
    cmocka_unit_test(TestPreVoteHigherTerm),
    cmocka_unit_test(TestVoteProtectsLeader),
    cmocka_unit_test(TestPreVoteKept),
    cmocka_unit_test(TestPreVoteEarly),
    cmocka_unit_test(TestPreVoteGivesWay),
    cmocka_unit_test(TestPreVoteGivesWayInTheEnd),
    cmocka_unit_test(TestPreVoteEndsWithLeader),
    cmocka_unit_test(TestElectionLearner),
    cmocka_unit_test(TestElectionSingleVoter),
    cmocka_unit_test(TestElectionStranger),
    cmocka_unit_test(TestCheckQuorum),
    cmocka_unit_test(TestCheckQuorumCountsSent),
    cmocka_unit_test(TestCheckQuorumLearners),
    cmocka_unit_test(TestCheckQuorumGap),
    cmocka_unit_test(TestElectionAgain),
};

UNIT_MAIN(tests)
