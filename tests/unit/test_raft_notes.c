// Notes of elections: who was lost, who asked, who granted, and why who did not.
#include "base/array.h"
#include "raft_solo.h"

// The only note of this kind in the last update.
static const struct raft_note *note_of(const struct solo *solo, enum raft_note_kind kind) {
    const struct raft_note *found = NULL;
    for (size_t i = 0; i < solo->update.note_count; i++) {
        if (solo->update.notes[i].kind == kind) {
            assert_null(found);
            found = &solo->update.notes[i];
        }
    }
    return found;
}

static void assert_peer(const struct raft_note *note, size_t node) {
    assert_non_null(note);
    struct raft_id id = solo_id(node);
    assert_true(raft_id_equal(&note->peer, &id));
}

static void assert_refused(const struct solo *solo, size_t peer, const char *reason) {
    const struct raft_note *note = note_of(solo, RAFT_NOTE_ANSWERED);
    assert_peer(note, peer);
    assert_false(note->granted);
    assert_string_equal(note->reason, reason);
}

static void TestNotesOfACampaign(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(1, 1), 0);
    assert_int_equal(solo->update.note_count, 0);  // nothing of an undisturbed follower
    solo_tick(solo, 10 * 1000 * 1000);
    const struct raft_note *note = note_of(solo, RAFT_NOTE_TIMEOUT);
    assert_peer(note, 2);
    assert_int_equal(note->term, 5);
    assert_in_range(note->us, 1, 10 * 1000 * 1000);
    note = note_of(solo, RAFT_NOTE_ASKED);
    assert_non_null(note);
    assert_true(note->pre_vote);
    struct raft_message pre_vote = solo_sent(solo, 2, RAFT_REQUEST_VOTE);
    struct raft_message other = solo_sent(solo, 3, RAFT_REQUEST_VOTE);
    solo_answer_vote(solo, &pre_vote, 5, false);
    assert_peer(note_of(solo, RAFT_NOTE_REFUSED), 2);
    solo_answer_vote(solo, &other, 5, true);
    assert_peer(note_of(solo, RAFT_NOTE_GRANTED), 3);
    note = note_of(solo, RAFT_NOTE_ASKED);
    assert_non_null(note);
    assert_false(note->pre_vote);
    assert_int_equal(note->term, 6);
    solo_free(solo);
}

static void TestNotesOfALostLeader(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(1, 1), 0);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = solo_id(3)});
    assert_int_equal(solo->update.note_count, 0);
    solo_event(solo, (struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = solo_id(2)});
    assert_peer(note_of(solo, RAFT_NOTE_LEADER_LOST), 2);
    assert_non_null(note_of(solo, RAFT_NOTE_ASKED));
    assert_null(note_of(solo, RAFT_NOTE_TIMEOUT));
    solo_free(solo);
}

static void TestNotesWhyVotesAreRefused(void **state) {
    (void)state;
    const raft_term log[] = {1, 4};
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5, .log = log, .log_count = ARRAY_COUNT(log)});
    solo_message(solo, solo_vote(solo, 2, 4, at(4, 9)));
    assert_refused(solo, 2, "its term is earlier");
    solo_message(solo, solo_vote(solo, 2, 6, at(4, 1)));
    assert_refused(solo, 2, "its log ends earlier");
    solo_message(solo, solo_vote(solo, 2, 6, at(3, 7)));
    assert_refused(solo, 2, "its log ends earlier");
    solo_message(solo, solo_pre_vote(solo, 2, 6, at(3, 7)));
    assert_refused(solo, 2, "its log ends earlier");
    solo_message(solo, solo_vote(solo, 2, 6, at(4, 2)));
    const struct raft_note *note = note_of(solo, RAFT_NOTE_ANSWERED);
    assert_peer(note, 2);
    assert_true(note->granted);
    assert_null(note->reason);
    solo_message(solo, solo_vote(solo, 3, 6, at(4, 2)));
    assert_refused(solo, 3, "has voted for another");
    solo_heartbeat(solo, 2, 6, at(4, 2), 0);
    solo_message(solo, solo_vote(solo, 3, 7, at(4, 2)));
    assert_refused(solo, 3, "hears its leader");
    struct raft_message strange = solo_vote(solo, 3, 7, at(4, 2));
    strange.to = solo_id(2);
    solo_message(solo, strange);
    assert_refused(solo, 3, "its request makes no sense");
    solo_free(solo);
}

static void TestNotesOfDeferredPreVotes(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_heartbeat(solo, 2, 5, at(1, 1), 0);
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(1, 1)));
    const struct raft_note *note = note_of(solo, RAFT_NOTE_DEFERRED);
    assert_peer(note, 3);
    assert_string_equal(note->reason, "hears its leader");
    assert_null(note_of(solo, RAFT_NOTE_ANSWERED));
    solo_heartbeat(solo, 2, 5, at(1, 1), 0);
    while (solo->deferred > 0) {
        solo_heartbeat(solo, 2, 5, at(1, 1), 0);
        solo_tick(solo, 20 * 1000);
    }
    assert_refused(solo, 3, "hears its leader");
    solo_free(solo);
}

static void TestNotesOfTheTieBreak(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .term = 5});
    solo_tick(solo, 10 * 1000 * 1000);
    solo_message(solo, solo_pre_vote(solo, 3, 5, at(1, 1)));
    assert_refused(solo, 3, "asks, too, and goes first");
    solo_free(solo);
}

static void TestNotesOfASilentMajority(void **state) {
    (void)state;
    struct solo *solo = solo_new(&(struct solo_config){.voters = 3, .learners = 1, .term = 5});
    solo_establish(solo);
    uint64_t begun_us = solo->now_us;
    while (raft_state(solo->node) == RAFT_LEADER) {
        solo_tick(solo, 20 * 1000);
        assert_true(raft_state(solo->node) != RAFT_LEADER || solo->update.note_count == 0);
    }
    assert_int_equal(solo->update.note_count, 2);  // of the voters
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(solo->update.notes[i].kind, RAFT_NOTE_UNHEARD);
        assert_peer(&solo->update.notes[i], i + 2);
        assert_in_range(solo->update.notes[i].us, 1, solo->now_us - begun_us);
    }
    solo_free(solo);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNotesOfACampaign),        cmocka_unit_test(TestNotesOfALostLeader),
    cmocka_unit_test(TestNotesWhyVotesAreRefused), cmocka_unit_test(TestNotesOfDeferredPreVotes),
    cmocka_unit_test(TestNotesOfTheTieBreak),      cmocka_unit_test(TestNotesOfASilentMajority),
};

UNIT_MAIN(tests)
