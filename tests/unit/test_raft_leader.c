// Requests to a leader: proposals, linearizable reads, leadership transfer.
#include "raft/node.h"
#include "raft_solo.h"

static void read(struct solo *solo, uint64_t tag) {
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_READ, .read.tag = tag});
}

static void assert_read(const struct solo *solo, uint64_t tag, enum raft_refusal refusal, raft_index index) {
    assert_int_equal(solo->update.read_count, 1);
    assert_int_equal(solo->update.reads[0].tag, tag);
    assert_int_equal(solo->update.reads[0].refusal, refusal);
    assert_int_equal(solo->update.reads[0].index, index);
}

static void transfer(struct solo *solo, size_t target) {
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .transfer.target = solo_id(target)});
}

// --- proposals ---

static void TestProposeRefused(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    assert_int_equal(solo_propose(solo, 8), 0);
    assert_int_equal(solo->update.proposed[0].refusal, RAFT_NOT_LEADER);
    solo_establish(solo);
    size_t accepted = 0;
    while (solo_propose(solo, MIB) != 0) {
        accepted++;
    }
    assert_in_range(accepted, 62, 63);  // UNCOMMITTED_BYTES_MAX, including the overhead of entries
    assert_int_equal(solo->update.proposed[0].refusal, RAFT_TOO_MUCH);
    // Committed entries make room again, and so does losing leadership.
    solo_persist(solo);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message heartbeat = solo_sent_heartbeat(solo, 2);
    solo_accept(solo, &heartbeat, 12);
    assert_int_equal(raft_commit_index(solo->node), 12);
    for (size_t i = 0; i < 10; i++) {
        assert_int_not_equal(solo_propose(solo, MIB), 0);
    }
    assert_int_equal(solo_propose(solo, MIB), 0);
    solo_heartbeat(solo, 2, 7, at(0, 0), 0);
    solo_persist(solo);
    solo_establish(solo);
    for (size_t i = 0; i < 62; i++) {
        assert_int_not_equal(solo_propose(solo, MIB), 0);
    }
    solo_free(solo);

    // Exactly as much as may be uncommitted.
    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    for (size_t i = 0; i < UNCOMMITTED_BYTES_MAX / MIB; i++) {
        assert_int_not_equal(solo_propose(solo, MIB - sizeof(struct raft_entry)), 0);
    }
    assert_int_equal(solo_propose(solo, 0), 0);
    solo_free(solo);
}

// All proposals of a step share one write and one message per peer.
static void TestProposeTurn(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_event events[10];
    struct raft_entry *entries[10][3];
    for (size_t i = 0; i < 10; i++) {
        for (size_t j = 0; j < 3; j++) {
            entries[i][j] = solo_entry(solo, 0, 0, 256);
        }
        events[i] = (struct raft_event){.type = RAFT_EVENT_PROPOSE};
        events[i].propose.entries = entries[i];
        events[i].propose.count = 3;
        events[i].propose.tag = 100 + i;
    }
    solo_step(solo, events, 10);
    assert_int_equal(solo->update.proposed_count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(solo->update.proposed[i].tag, 100 + i);
        assert_int_equal(solo->update.proposed[i].first.index, 3 + 3 * i);
        assert_int_equal(solo->update.proposed[i].first.term, 6);
    }
    assert_int_equal(solo->update.persist.count, 30);
    assert_false(solo->update.persist.has_hard_state);
    assert_int_equal(solo_sent_count(solo), 2);
    struct raft_message to2 = solo_sent_append(solo, 2);
    assert_int_equal(to2.append.count, 30);
    assert_ptr_equal(to2.append.entries[0], entries[0][0]);  // not copied
    solo_persist(solo);
    assert_int_equal(solo->update.commit_index, 2);
    solo_accept(solo, &to2, 31);  // all but the last entry of the last proposal
    assert_int_equal(solo->update.commit_index, 31);
    solo_free(solo);
}

// --- reads ---

static void TestReadIndexFollower(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    read(solo, 9);
    assert_read(solo, 9, RAFT_NOT_LEADER, 0);
    solo_free(solo);
}

static void TestReadIndexNeedsRound(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 5, .term = 5});
    solo_establish(solo);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message before2 = solo_sent_heartbeat(solo, 2);
    struct raft_message before3 = solo_sent_heartbeat(solo, 3);
    read(solo, 9);
    assert_int_equal(solo->update.read_count, 0);
    struct raft_message after2 = solo_sent_heartbeat(solo, 2);
    struct raft_message after3 = solo_sent_heartbeat(solo, 3);
    assert_int_not_equal(after2.call, 0);
    assert_int_not_equal(after3.call, 0);
    solo_accept(solo, &before2, 2);  // sent before the read arrived
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &before3, 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &after2, 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &after2, 2);  // the same peer again
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &after3, 2);
    assert_read(solo, 9, RAFT_ACCEPTED, 2);
    solo_accept(solo, &after3, 2);
    assert_int_equal(solo->update.read_count, 0);
    // The next read needs a round of its own.
    read(solo, 10);
    struct raft_message next2 = solo_sent_heartbeat(solo, 2);
    struct raft_message next3 = solo_sent_heartbeat(solo, 3);
    solo_accept(solo, &after2, 2);
    solo_accept(solo, &after3, 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &next2, 2);
    solo_accept(solo, &next3, 2);
    assert_read(solo, 10, RAFT_ACCEPTED, 2);
    solo_free(solo);
}

// A leader must first commit an entry of its own term.
static void TestReadIndexNeedsOwnTerm(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_elect(solo);
    struct raft_message noop = solo_sent_append(solo, 2);
    read(solo, 9);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message heartbeats[2] = {solo_sent_heartbeat(solo, 2), solo_sent_heartbeat(solo, 3)};
    solo_accept(solo, &heartbeats[0], 1);
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &heartbeats[1], 1);
    assert_int_equal(solo->update.read_count, 0);
    solo_persist(solo);
    solo_accept(solo, &noop, 2);
    assert_int_equal(solo->update.read_count, 0);
    struct raft_message round = solo_sent_heartbeat(solo, 3);
    assert_int_not_equal(round.call, 0);
    solo_accept(solo, &round, 1);
    assert_read(solo, 9, RAFT_ACCEPTED, 2);
    solo_free(solo);
}

static void TestReadIndexAlone(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 1, .learners = 2, .term = 5});
    solo_establish(solo);
    read(solo, 9);
    assert_read(solo, 9, RAFT_ACCEPTED, 2);
    solo_free(solo);
}

// Replies of learners do not count.
static void TestReadIndexLearners(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 2, .term = 5});
    solo_establish(solo);
    read(solo, 9);
    struct raft_message sent[3] = {solo_sent_heartbeat(solo, 4), solo_sent_heartbeat(solo, 5), solo_sent_heartbeat(solo, 3)};
    solo_accept(solo, &sent[0], 2);
    solo_accept(solo, &sent[1], 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_accept(solo, &sent[2], 2);
    assert_read(solo, 9, RAFT_ACCEPTED, 2);
    solo_free(solo);
}

static void TestReadIndexRefusedOnStepDown(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    read(solo, 9);
    struct raft_message round = solo_sent_heartbeat(solo, 2);
    solo_heartbeat(solo, 3, 7, at(0, 0), 0);
    assert_read(solo, 9, RAFT_NOT_LEADER, 0);
    solo_accept(solo, &round, 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_free(solo);
}

// Replies to requests of an earlier leadership, and replies so late that their requests are no longer tracked, confirm
// nothing: their numbers may be those of later rounds.
static void TestReadIndexLateAnswers(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_message old = {0};
    for (size_t i = 0; i < 5; i++) {
        read(solo, i);
        old = solo_sent_heartbeat(solo, 2);
        solo_accept(solo, &old, 2);
        assert_read(solo, i, RAFT_ACCEPTED, 2);
    }
    solo_heartbeat(solo, 3, 7, at(0, 0), 0);
    solo_persist(solo);
    solo_establish(solo);
    read(solo, 9);
    old.term = 8;  // n2 was already in this term when it received the old request
    solo_accept(solo, &old, 2);
    assert_int_equal(solo->update.read_count, 0);
    struct raft_message round = solo_sent_heartbeat(solo, 3);
    assert_int_equal(round.call, 0);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    old = solo_sent_heartbeat(solo, 2);
    for (size_t i = 0; i < 63; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message sent[2] = {solo_sent_heartbeat(solo, 2), solo_sent_heartbeat(solo, 3)};
        solo_accept(solo, &sent[0], 2);
        solo_accept(solo, &sent[1], 2);
    }
    read(solo, 9);
    assert_int_not_equal(solo_sent_heartbeat(solo, 2).call, 0);  // the 64th after the old one
    solo_accept(solo, &old, 2);
    assert_int_equal(solo->update.read_count, 0);
    solo_free(solo);
}

// The same of a chunk of a snapshot: its answer is contact, but not with the leader that this node is now.
static void TestReadIndexLateSnapshot(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_elect(solo);
    struct raft_message to2 = solo_sent_append(solo, 2);
    struct raft_message to3 = solo_sent_append(solo, 3);
    solo_persist(solo);
    solo_accept(solo, &to3, 2);
    for (size_t i = 0; i < 5; i++) {
        read(solo, i);
        struct raft_message round = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &round, 2);
        assert_read(solo, i, RAFT_ACCEPTED, 2);
    }
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = 2});
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = 2});
    solo_reject(solo, &to2, 0, 1);
    assert_true(solo_progress(solo, 2).needs_snapshot);
    struct raft_id n2 = solo_id(2);
    struct raft_message chunk;
    assert_true(raft_snapshot_request(solo->node, &n2, at(6, 2), &chunk));
    solo_heartbeat(solo, 3, 7, at(0, 0), 0);
    solo_persist(solo);
    solo_establish(solo);
    read(solo, 9);
    solo_message(solo, solo_answer(&chunk, RAFT_INSTALL_SNAPSHOT_REPLY, 8));  // n2 was already in this term
    assert_int_equal(solo->update.read_count, 0);
    solo_free(solo);
}

// Rounds to a peer are limited by what it has not answered of this leadership: neither heartbeats of an earlier one count,
// nor answers to what was never sent.
static void TestReadIndexRoundsBegin(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    for (size_t i = 0; i < 2 * (size_t)RAFT_READ_ROUNDS_MAX; i++) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message to3 = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &to3, 2);
    }
    read(solo, 8);
    assert_int_equal(solo_sent_heartbeat(solo, 2).call, 0);  // n2 has answered none
    solo_heartbeat(solo, 3, 7, at(0, 0), 0);
    solo_persist(solo);
    solo_establish(solo);
    read(solo, 9);
    struct raft_message round = solo_sent_heartbeat(solo, 2);
    assert_int_not_equal(round.call, 0);
    round.call += RAFT_CALL_KINDS;
    solo_accept(solo, &round, 3);
    assert_int_equal(solo->update.read_count, 0);
    read(solo, 10);
    assert_int_not_equal(solo_sent_heartbeat(solo, 2).call, 0);
    solo_free(solo);
}

// A later read does not delay a round in flight, and no round follows once all reads are served.
static void TestReadIndexRoundsEnd(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    read(solo, 9);
    struct raft_message first = solo_sent_heartbeat(solo, 2);
    read(solo, 10);
    struct raft_message second = solo_sent_heartbeat(solo, 2);
    solo_accept(solo, &first, 2);
    assert_read(solo, 9, RAFT_ACCEPTED, 2);
    assert_int_equal(solo_sent_count(solo), 0);
    solo_accept(solo, &second, 2);
    assert_read(solo, 10, RAFT_ACCEPTED, 2);
    assert_int_equal(solo_sent_count(solo), 0);
    solo_free(solo);
}

// The rounds in flight to a slow peer are limited: reads that arrive meanwhile share the next one.
static void TestReadIndexRoundsLimited(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_message sent[100];
    size_t rounds = 0;
    for (size_t i = 0; i < 100; i++) {
        read(solo, i);
        sent[rounds] = solo_sent_heartbeat(solo, 2);
        rounds += sent[rounds].call != 0;
    }
    assert_int_equal(rounds, RAFT_READ_ROUNDS_MAX - 1);  // and the heartbeat of the election, which n2 has not answered
    size_t served = 0;
    for (size_t i = 0; i < rounds; i++) {
        solo_accept(solo, &sent[i], 2);
        served += solo->update.read_count;
        struct raft_message more = solo_sent_heartbeat(solo, 2);
        if (more.call != 0 && rounds < 100) {
            sent[rounds++] = more;
        }
    }
    assert_int_equal(served, 100);
    solo_free(solo);
}

// The number of pending reads is limited.
static void TestReadIndexLimit(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    struct raft_event *events = calloc(READS_MAX + 1, sizeof *events);
    for (size_t i = 0; i <= READS_MAX; i++) {
        events[i] = (struct raft_event){.type = RAFT_EVENT_READ, .read.tag = i};
    }
    solo_step(solo, events, READS_MAX + 1);
    free(events);
    assert_read(solo, READS_MAX, RAFT_TOO_MUCH, 0);
    struct raft_message round = solo_sent_heartbeat(solo, 2);
    solo_accept(solo, &round, 2);
    assert_int_equal(solo->update.read_count, READS_MAX);
    solo_free(solo);
}

// --- leadership transfer ---

static void TestTransfer(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 1, .term = 5});
    transfer(solo, 2);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_REFUSED);
    assert_int_equal(solo->update.transfer_refusal, RAFT_NOT_LEADER);
    solo_establish(solo);
    static const size_t invalid[] = {1, 4, 9};  // itself, a learner, not a member
    for (size_t i = 0; i < 3; i++) {
        transfer(solo, invalid[i]);
        assert_int_equal(solo->update.transfer, RAFT_TRANSFER_REFUSED);
        assert_int_equal(solo->update.transfer_refusal, RAFT_NO_SUCH_NODE);
    }
    raft_index index = solo_propose(solo, 8);
    struct raft_message append = solo_sent_append(solo, 2);
    transfer(solo, 2);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_NONE);
    assert_int_equal(solo_sent(solo, 2, RAFT_TIMEOUT_NOW).call, 0);  // it lags
    assert_int_equal(solo_propose(solo, 8), 0);                      // new proposals would keep it lagging
    assert_int_equal(solo->update.proposed[0].refusal, RAFT_TRANSFERRING);
    transfer(solo, 3);
    assert_int_equal(solo->update.transfer_refusal, RAFT_BUSY);
    solo_accept(solo, &append, index);
    struct raft_message timeout_now = solo_sent(solo, 2, RAFT_TIMEOUT_NOW);
    assert_int_not_equal(timeout_now.call, 0);
    assert_int_equal(timeout_now.term, 6);
    assert_int_equal(timeout_now.lane, RAFT_CONTROL);
    solo_tick(solo, 1000);
    assert_int_equal(solo_sent(solo, 2, RAFT_TIMEOUT_NOW).call, 0);  // once
    struct raft_message vote = solo_vote(solo, 2, 7, at(6, index));
    vote.request_vote.leadership_transfer = true;
    solo_message(solo, vote);
    assert_true(solo_granted(solo));
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_DONE);
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    solo_free(solo);
}

static void TestTransferGivesUp(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    raft_index index = solo_propose(solo, 8);
    struct raft_message to3 = solo_sent_append(solo, 3);
    solo_accept(solo, &to3, index);
    solo_tick(solo, 10 * US_PER_MS);  // so that no heartbeat is due at the deadline
    transfer(solo, 0);                // the most up to date: n3
    uint64_t start_us = solo->now_us;
    assert_int_not_equal(solo_sent(solo, 3, RAFT_TIMEOUT_NOW).call, 0);
    while (solo->update.transfer == RAFT_TRANSFER_NONE && solo->now_us < start_us + 2 * US_PER_S) {
        assert_true(solo->update.next_tick_us <= start_us + ELECTION_TIMEOUT_MAX_US);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, 2);
        if (heartbeat.call != 0) {
            solo_accept(solo, &heartbeat, 2);
        }
        solo_persist(solo);
        solo_tick(solo, 10 * US_PER_MS);
    }
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_FAILED);
    assert_in_range(solo->now_us, start_us + ELECTION_TIMEOUT_MIN_US, start_us + ELECTION_TIMEOUT_MAX_US + 10 * US_PER_MS);
    assert_int_equal(raft_state(solo->node), RAFT_LEADER);
    assert_int_not_equal(solo_propose(solo, 8), 0);
    // TimeoutNow cannot be sent: the leader goes on at once.
    solo_tick(solo, HEARTBEAT_INTERVAL_US);
    struct raft_message heartbeat = solo_sent_heartbeat(solo, 3);
    solo_accept(solo, &heartbeat, index + 1);
    transfer(solo, 3);
    struct raft_message timeout_now = solo_sent(solo, 3, RAFT_TIMEOUT_NOW);
    struct raft_event failed = {.type = RAFT_EVENT_SEND_FAILED};
    failed.send_failed.peer = solo_id(3);
    failed.send_failed.call = timeout_now.call;
    solo_event(solo, failed);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_FAILED);
    // A transfer fails if the leader steps down for another reason.
    transfer(solo, 3);
    assert_int_not_equal(solo_sent(solo, 3, RAFT_TIMEOUT_NOW).call, 0);
    solo_event(solo, failed);  // a failure of the earlier one
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_NONE);
    solo_tick(solo, QUORUM_TIMEOUT_US + 1);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_FAILED);
    solo_free(solo);

    solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    solo_propose(solo, 8);
    transfer(solo, 3);  // it lags, and another node becomes leader first
    solo_heartbeat(solo, 2, 7, at(0, 0), 0);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_FAILED);
    solo_free(solo);
}

// Its target catches up at the deadline: it has failed, and the leader goes on.
static void TestTransferTooLate(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    raft_index index = solo_propose(solo, 8);
    struct raft_message to2 = solo_sent_append(solo, 2);
    solo_persist(solo);
    transfer(solo, 2);
    for (uint64_t us = 0; us + HEARTBEAT_INTERVAL_US < ELECTION_TIMEOUT_MAX_US; us += HEARTBEAT_INTERVAL_US) {
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message heartbeat = solo_sent_heartbeat(solo, 3);
        solo_accept(solo, &heartbeat, 2);
        assert_int_equal(solo->update.transfer, RAFT_TRANSFER_NONE);
    }
    solo->now_us += HEARTBEAT_INTERVAL_US;
    solo_accept(solo, &to2, index);
    assert_int_equal(solo_progress(solo, 2).match_index, index);
    assert_int_equal(solo->update.transfer, RAFT_TRANSFER_FAILED);
    assert_int_equal(solo_sent(solo, 2, RAFT_TIMEOUT_NOW).call, 0);
    assert_int_not_equal(solo_propose(solo, 8), 0);
    solo_free(solo);
}

// The answer to a TimeoutNow, as to any request, may tell of a later term.
static void TestTransferToALaterTerm(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_establish(solo);
    transfer(solo, 2);
    struct raft_message timeout_now = solo_sent(solo, 2, RAFT_TIMEOUT_NOW);
    assert_int_not_equal(timeout_now.call, 0);
    solo_message(solo, solo_answer(&timeout_now, RAFT_TIMEOUT_NOW_REPLY, 9));
    assert_int_equal(raft_current_term(solo->node), 9);
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    solo_free(solo);
}

// A voter that does not reply is not chosen, however up to date it is.
static void TestTransferToTheLiving(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 1, .term = 5});
    solo_establish(solo);
    raft_index index = solo_propose(solo, 8);
    struct raft_message to2 = solo_sent_append(solo, 2);
    struct raft_message to3 = solo_sent_append(solo, 3);
    struct raft_message to4 = solo_sent_append(solo, 4);  // a learner cannot be chosen
    solo_accept(solo, &to2, index);
    solo_accept(solo, &to4, index);
    for (size_t i = 0; i < 6; i++) {
        solo_persist(solo);
        solo_tick(solo, HEARTBEAT_INTERVAL_US);
        struct raft_message heartbeats[2] = {solo_sent_heartbeat(solo, 3), solo_sent_heartbeat(solo, 4)};
        solo_accept(solo, &heartbeats[0], 2);
        solo_accept(solo, &heartbeats[1], index);
    }
    transfer(solo, 0);
    solo_accept(solo, &to3, index);
    assert_int_not_equal(solo_sent(solo, 3, RAFT_TIMEOUT_NOW).call, 0);
    solo_free(solo);

    // It replies if it has been heard within the quorum timeout.
    for (uint64_t late_us = 0; late_us <= 1; late_us++) {
        solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
        solo_establish(solo);
        index = solo_propose(solo, 8);
        to2 = solo_sent_append(solo, 2);
        solo_accept(solo, &to2, index);
        uint64_t heard_us = solo->now_us;
        for (uint64_t us = 0; us + HEARTBEAT_INTERVAL_US <= QUORUM_TIMEOUT_US; us += HEARTBEAT_INTERVAL_US) {
            solo_persist(solo);
            solo_tick(solo, HEARTBEAT_INTERVAL_US);
            struct raft_message heartbeat = solo_sent_heartbeat(solo, 3);
            solo_accept(solo, &heartbeat, 2);
        }
        assert_int_equal(solo->now_us, heard_us + QUORUM_TIMEOUT_US);
        solo->now_us += late_us;
        transfer(solo, 0);
        assert_int_equal(solo_sent(solo, 2, RAFT_TIMEOUT_NOW).call != 0, late_us == 0);
        solo_free(solo);
    }
}

// TimeoutNow of its leader, and of no other node, makes a node campaign at once, without pre-votes.
static void TestTransferTarget(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    struct raft_message timeout_now = solo_vote(solo, 3, 5, at(0, 0));
    timeout_now.type = RAFT_TIMEOUT_NOW;
    solo_message(solo, timeout_now);
    assert_int_equal(solo_reply(solo, NULL)->type, RAFT_TIMEOUT_NOW_REPLY);
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    timeout_now.from = solo_id(2);
    timeout_now.term = 4;
    solo_message(solo, timeout_now);
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    timeout_now.term = 5;
    solo_message(solo, timeout_now);
    assert_int_equal(raft_state(solo->node), RAFT_CANDIDATE);
    assert_int_equal(raft_current_term(solo->node), 6);
    assert_int_equal(solo->update.elections_started, 1);
    assert_int_equal(solo_reply(solo, NULL)->term, 5);
    struct raft_message vote = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    assert_false(vote.request_vote.pre_vote);
    assert_true(vote.request_vote.leadership_transfer);
    assert_int_equal(vote.after_write, solo->update.persist.write);
    solo_message(solo, timeout_now);  // again
    assert_int_equal(raft_current_term(solo->node), 6);
    // The next candidacy is an ordinary one.
    solo_persist(solo);
    solo_tick(solo, ELECTION_TIMEOUT_MAX_US);
    vote = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    assert_true(vote.request_vote.pre_vote);
    assert_false(vote.request_vote.leadership_transfer);
    solo_answer_vote(solo, &vote, 6, true);
    assert_false(solo_sent(solo, 2, RAFT_REQUEST_VOTE).request_vote.leadership_transfer);
    solo_free(solo);
}

// A node that may not campaign has heard its leader nevertheless: for as long as after a heartbeat it elects no other.
static void TestTransferTargetHearsItsLeader(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(0, 0), 0);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    solo_tick(solo, ELECTION_TIMEOUT_MIN_US - 1);
    struct raft_message timeout_now = solo_vote(solo, 2, 5, at(0, 0));
    timeout_now.type = RAFT_TIMEOUT_NOW;
    solo_message(solo, timeout_now);
    assert_int_equal(raft_state(solo->node), RAFT_FOLLOWER);
    solo_tick(solo, ELECTION_TIMEOUT_MIN_US - 1);
    solo_message(solo, solo_vote(solo, 3, 6, at(1, 1)));
    assert_false(solo_granted(solo));
    assert_int_equal(raft_current_term(solo->node), 5);
    solo_free(solo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestProposeRefused),
    cmocka_unit_test(TestProposeTurn),
    cmocka_unit_test(TestReadIndexFollower),
    cmocka_unit_test(TestReadIndexNeedsRound),
    cmocka_unit_test(TestReadIndexNeedsOwnTerm),
    cmocka_unit_test(TestReadIndexAlone),
    cmocka_unit_test(TestReadIndexLearners),
    cmocka_unit_test(TestReadIndexRefusedOnStepDown),
    cmocka_unit_test(TestReadIndexLateAnswers),
    cmocka_unit_test(TestReadIndexRoundsEnd),
    cmocka_unit_test(TestReadIndexRoundsLimited),
    cmocka_unit_test(TestReadIndexLimit),
    cmocka_unit_test(TestTransfer),
    cmocka_unit_test(TestTransferGivesUp),
    cmocka_unit_test(TestTransferToTheLiving),
    cmocka_unit_test(TestTransferTarget),
    cmocka_unit_test(TestTransferTargetHearsItsLeader),
    cmocka_unit_test(TestTransferTooLate),
    cmocka_unit_test(TestTransferToALaterTerm),
    cmocka_unit_test(TestReadIndexLateSnapshot),
    cmocka_unit_test(TestReadIndexRoundsBegin),
};

UNIT_MAIN(tests)
