// The last ten minutes of a node: which samples are taken and kept, and what is in them.
#include <stdio.h>
#include <string.h>

#include "node/timeline.h"
#include "unit.h"

static const double bounds[] = {1, 2, 4, 8};

struct world {
    struct timeline *timeline;
    struct histogram commits;
    struct timeline_now now;
    struct view_timeline seen;
};

// At 1,000 s, for no time is special.
static void begin(struct world *w) {
    *w = (struct world){.commits = {.bounds = bounds, .bound_count = 4}, .now = {.now_us = 1000 * US_PER_S, .term = 1}};
    w->timeline = timeline_new(w->now.now_us);
    w->now.commit_ms = &w->commits;
}

static const struct view_timeline *look(struct world *w) {
    timeline_read(w->timeline, w->now.now_us, &w->seen);
    return &w->seen;
}

static const struct view_sample *last(struct world *w) {
    assert_true(look(w)->count > 0);
    return &w->seen.samples[w->seen.count - 1];
}

static void tick(struct world *w, uint64_t ms) {
    w->now.now_us += ms * US_PER_MS;
    timeline_take(w->timeline, &w->now);
}

static void commit(struct world *w, size_t bucket, unsigned count) {
    w->commits.counts[bucket] += count;
    w->commits.total += count;
}

static void TestTimelineTakesEverySecondTick(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    for (size_t i = 1; i <= 10; i++) {
        tick(&w, i % 2 == 0 ? 999 : 1000);  // a loop's timer is not exact
        assert_int_equal(look(&w)->count, i / 2);
    }
    assert_int_equal(last(&w)->at_us, w.now.now_us);
    timeline_free(w.timeline);
}

// A ring that is full holds the last ten minutes, in order; what is older by the clock is not told, however little there is.
static void TestTimelineKeepsTenMinutes(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    for (size_t i = 1; i <= 3 * TIMELINE_SAMPLES + 7; i++) {
        w.now.term = i;
        tick(&w, TIMELINE_PERIOD_MS);
        assert_int_equal(look(&w)->count, i < TIMELINE_SAMPLES ? i : TIMELINE_SAMPLES);
        for (size_t at = 0; at < w.seen.count; at++) {
            assert_int_equal(w.seen.samples[at].term, i + 1 + at - w.seen.count);
        }
    }
    w.now.now_us += TIMELINE_SPAN_US / 2;
    assert_int_equal(look(&w)->count, TIMELINE_SAMPLES / 2 + 1);
    tick(&w, 3600 * 1000);  // the machine slept
    assert_int_equal(look(&w)->count, 1);
    timeline_free(w.timeline);
}

static void TestTimelineWritesOfTheInterval(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    w.now.leads = true;
    w.now.writes = 100;
    tick(&w, 2000);
    assert_float_equal(last(&w)->writes_per_s, 50, 0.001);
    assert_true(last(&w)->leads);
    w.now.writes = 103;
    tick(&w, 4000);
    assert_float_equal(last(&w)->writes_per_s, 0.75, 0.001);
    w.now.leads = false;
    tick(&w, 2000);
    assert_float_equal(last(&w)->writes_per_s, 0, 0);
    assert_false(last(&w)->leads);
    timeline_free(w.timeline);
}

// Quantiles of what was committed since the sample before, not since the start.
static void TestTimelineCommitLatency(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    tick(&w, 2000);
    assert_float_equal(last(&w)->commit_p50_ms, 0, 0);
    assert_float_equal(last(&w)->commit_p99_ms, 0, 0);
    commit(&w, 1, 100);  // 1 to 2 ms
    tick(&w, 2000);
    assert_float_equal(last(&w)->commit_p50_ms, 1.5, 0.001);
    assert_float_equal(last(&w)->commit_p99_ms, 1.99, 0.001);
    commit(&w, 0, 90);  // up to 1 ms
    commit(&w, 3, 10);  // 4 to 8 ms
    tick(&w, 2000);
    assert_float_equal(last(&w)->commit_p50_ms, 50.0 / 90, 0.001);
    assert_float_equal(last(&w)->commit_p99_ms, 7.6, 0.001);
    commit(&w, 4, 1);  // above all bounds
    tick(&w, 2000);
    assert_float_equal(last(&w)->commit_p50_ms, 8, 0);
    assert_float_equal(last(&w)->commit_p99_ms, 8, 0);
    tick(&w, 2000);
    assert_float_equal(last(&w)->commit_p99_ms, 0, 0);
    timeline_free(w.timeline);
}

static float rtt_to(const struct view_timeline *seen, size_t sample, const char *id) {
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (slice_equal(seen->peers[i], slice_of_str(id))) {
            return seen->samples[sample].rtt_ms[i];
        }
    }
    return -1;  // no such peer
}

static void TestTimelineRoundTripsByPeer(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    w.now.peers_count = 2;
    w.now.peers[0] = (struct pb_round_trip){.id = slice_of_str("n2"), .rtt_ms = 0.5};
    w.now.peers[1] = (struct pb_round_trip){.id = slice_of_str("n3"), .rtt_ms = 50};
    tick(&w, 2000);
    // In another order, and one is not reachable.
    w.now.peers[0] = (struct pb_round_trip){.id = slice_of_str("n3"), .rtt_ms = 51};
    w.now.peers[1] = (struct pb_round_trip){.id = slice_of_str("n2"), .rtt_ms = 0};
    tick(&w, 2000);
    // n3 has left; its past stays.
    w.now.peers[0] = (struct pb_round_trip){.id = slice_of_str("n4"), .rtt_ms = 7};
    tick(&w, 2000);
    const struct view_timeline *seen = look(&w);
    assert_float_equal(rtt_to(seen, 0, "n2"), 0.5, 0.001);
    assert_float_equal(rtt_to(seen, 0, "n3"), 50, 0.001);
    assert_float_equal(rtt_to(seen, 0, "n4"), 0, 0);
    assert_float_equal(rtt_to(seen, 1, "n2"), 0, 0);
    assert_float_equal(rtt_to(seen, 1, "n3"), 51, 0.001);
    assert_float_equal(rtt_to(seen, 2, "n3"), 0, 0);
    assert_float_equal(rtt_to(seen, 2, "n4"), 7, 0.001);
    timeline_free(w.timeline);
}

static void assert_led_by(const struct view_timeline *seen, size_t sample, const char *id) {
    uint8_t leader = seen->samples[sample].leader;
    assert_string_equal(leader == MEMBERS_MAX ? "" : (const char *)seen->peers[leader].data, id);
}

static void TestTimelineLeaders(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    w.now.peers_count = 2;
    w.now.peers[0] = (struct pb_round_trip){.id = slice_of_str("n2")};
    w.now.peers[1] = (struct pb_round_trip){.id = slice_of_str("n3")};
    w.now.leader = slice_of_str("n3");
    tick(&w, 2000);
    w.now.leader = (struct slice){0};
    tick(&w, 2000);
    w.now.leader = slice_of_str("n1");  // itself, which is no peer
    tick(&w, 2000);
    const struct view_timeline *seen = look(&w);
    assert_led_by(seen, 0, "n3");
    assert_led_by(seen, 1, "");
    assert_led_by(seen, 2, "");
    // Who gets the column of a peer that has left is not taken for the leader of that time.
    char ids[MEMBERS_MAX][8];
    w.now.peers_count = MEMBERS_MAX;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        snprintf(ids[i], sizeof ids[i], "m%zu", i);
        w.now.peers[i] = (struct pb_round_trip){.id = slice_of_str(ids[i])};
    }
    tick(&w, 2000);
    assert_led_by(look(&w), 0, "");
    timeline_free(w.timeline);
}

// Members come and go, more of them in ten minutes than there are columns: whoever is there now has one, without the past of
// another.
static void TestTimelineManyPeers(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    char ids[5 * MEMBERS_MAX][ID_MAX + 1];
    for (size_t i = 0; i < 5 * MEMBERS_MAX; i++) {
        memset(ids[i], 'a', ID_MAX);
        snprintf(ids[i] + ID_MAX - 2, 3, "%02zu", i);
    }
    for (size_t first = 0; first + MEMBERS_MAX <= 5 * MEMBERS_MAX; first++) {
        w.now.peers_count = MEMBERS_MAX;
        for (size_t i = 0; i < MEMBERS_MAX; i++) {
            w.now.peers[i] = (struct pb_round_trip){.id = slice_of_str(ids[first + i]), .rtt_ms = (double)(first + i + 1)};
        }
        tick(&w, 2000);
        const struct view_timeline *seen = look(&w);
        for (size_t i = 0; i < MEMBERS_MAX; i++) {
            for (size_t sample = 0; sample < seen->count; sample++) {
                bool was_there = sample + MEMBERS_MAX > first + i;
                float expected = was_there ? (float)(first + i + 1) : 0;
                assert_float_equal(rtt_to(seen, sample, ids[first + i]), expected, 0.001);
            }
        }
    }
    timeline_free(w.timeline);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestTimelineTakesEverySecondTick),
    cmocka_unit_test(TestTimelineKeepsTenMinutes),
    cmocka_unit_test(TestTimelineWritesOfTheInterval),
    cmocka_unit_test(TestTimelineCommitLatency),
    cmocka_unit_test(TestTimelineRoundTripsByPeer),
    cmocka_unit_test(TestTimelineManyPeers),
    cmocka_unit_test(TestTimelineLeaders),
};

UNIT_MAIN(tests)
