// The emulated link without a kernel: when a lane lets packets go, and what its control socket answers.
#include <string.h>

#include "unit.h"
#include "wanlink/control.h"

enum { SEED = 7, DRAWS = 100000 };

static struct lane lane_with(uint32_t delay_us, uint32_t jitter_us, double loss) {
    struct lane lane;
    const struct lane_settings settings = {.delay_us = delay_us, .jitter_us = jitter_us, .loss = loss};
    lane_init(&lane, &settings, SEED);
    return lane;
}

static void TestWanlinkDelay(void **state) {
    (void)state;
    struct lane lane = lane_with(25000, 0, 0);
    uint32_t last_id = 0;
    assert_true(lane_next_us(&lane) == UINT64_MAX);
    assert_true(lane_arrive(&lane, 1, 1000));
    assert_true(lane_arrive(&lane, 2, 1000));
    assert_true(lane_arrive(&lane, 3, 1001));
    assert_int_equal(lane_next_us(&lane), 26000);
    assert_false(lane_release(&lane, 25999, &last_id));
    assert_true(lane_release(&lane, 26000, &last_id));
    assert_int_equal(last_id, 2);
    assert_true(lane_release(&lane, 99999, &last_id));
    assert_int_equal(last_id, 3);
    assert_false(lane_release(&lane, UINT64_MAX - 1, &last_id));
    assert_int_equal(lane.passed, 3);
    lane_free(&lane);
}

static void TestWanlinkOrder(void **state) {
    (void)state;
    struct lane lane = lane_with(25000, 25000, 0);
    uint64_t earliest = UINT64_MAX;
    uint64_t latest = 0;
    for (uint32_t id = 0; id < DRAWS; id++) {
        uint64_t before_us = lane.last_due_us;
        uint64_t now_us = (uint64_t)id * 100000;
        uint32_t last_id;
        assert_true(lane_arrive(&lane, id, now_us));
        assert_true(lane.last_due_us >= before_us);
        earliest = lane.last_due_us - now_us < earliest ? lane.last_due_us - now_us : earliest;
        latest = lane.last_due_us - now_us > latest ? lane.last_due_us - now_us : latest;
        assert_true(lane_release(&lane, now_us + 50000, &last_id));
    }
    assert_in_range(earliest, 0, 100);
    assert_in_range(latest, 49900, 50000);
    // A packet whose draw is shorter than that of the one before it catches up, and no more.
    for (uint32_t id = 0; id < 1000; id++) {
        assert_true(lane_arrive(&lane, id, 0));
    }
    for (size_t i = 1; i < lane.count; i++) {
        assert_true(lane.waiting[(lane.first + i) % LANE_PACKETS_MAX].due_us >=
                    lane.waiting[(lane.first + i - 1) % LANE_PACKETS_MAX].due_us);
    }
    lane_free(&lane);
}

static uint64_t lost_of(uint64_t seed) {
    struct lane lane;
    const struct lane_settings settings = {.loss = 0.01};
    lane_init(&lane, &settings, seed);
    for (uint32_t id = 0; id < DRAWS; id++) {
        (void)lane_arrive(&lane, id, 0);
    }
    uint64_t lost = lane.lost;
    assert_int_equal(lane.count + lost, DRAWS);
    lane_free(&lane);
    return lost;
}

static void TestWanlinkLoss(void **state) {
    (void)state;
    assert_in_range(lost_of(SEED), DRAWS / 100 - 150, DRAWS / 100 + 150);
    assert_int_equal(lost_of(SEED), lost_of(SEED));
    assert_int_not_equal(lost_of(SEED), lost_of(SEED + 1));
}

static void TestWanlinkFull(void **state) {
    (void)state;
    struct lane lane = lane_with(25000, 0, 0);
    uint32_t last_id = 0;
    for (uint32_t id = 0; id < LANE_PACKETS_MAX; id++) {
        assert_true(lane_arrive(&lane, id, 0));
    }
    assert_false(lane_arrive(&lane, LANE_PACKETS_MAX, 0));
    assert_int_equal(lane.lost, 1);
    assert_true(lane_drop_waiting(&lane, &last_id));
    assert_int_equal(last_id, LANE_PACKETS_MAX - 1);
    assert_int_equal(lane.lost, 1 + LANE_PACKETS_MAX);
    lane_free(&lane);
}

static void expect_answer(struct direction directions[2], const char *request, const char *begins) {
    char words[CONTROL_REQUEST_MAX];
    struct buf answer = {0};
    memcpy(words, request, strlen(request) + 1);
    control_answer(directions, words, &answer);
    buf_append(&answer, "", 1);
    if (strncmp((const char *)answer.data, begins, strlen(begins)) != 0) {
        fail_msg("'%s' was answered '%s', not '%s...'", request, (const char *)answer.data, begins);
    }
    buf_free(&answer);
}

static void TestWanlinkControl(void **state) {
    (void)state;
    struct direction directions[2] = {{.name = "a-to-b", .lane = lane_with(25000, 0, 0)},
                                      {.name = "b-to-a", .lane = lane_with(25000, 0, 0)}};
    const struct lane_settings *forth = &directions[0].lane.settings;
    const struct lane_settings *back = &directions[1].lane.settings;

    expect_answer(directions, "show",
                  "ok\na-to-b state=open delay=25ms jitter=0ms loss=0% waiting=0 passed=0 lost=0\nb-to-a ");
    expect_answer(directions, "cut direction a-to-b", "ok\n");
    assert_true(forth->cut && !back->cut);
    expect_answer(directions, "show", "ok\na-to-b state=cut ");
    expect_answer(directions, "heal", "ok\n");
    assert_false(forth->cut);
    expect_answer(directions, "set direction b-to-a delay 1.5s loss 50%", "ok\n");
    assert_int_equal(back->delay_us, 1500000);
    assert_true(back->loss > 0.49 && back->loss < 0.51);
    assert_int_equal(forth->delay_us, 25000);

    // What is refused changes nothing.
    expect_answer(directions, "set delay 1ms jitter 2ms", "error: jitter is 2000 us, delay 1000 us");
    expect_answer(directions, "set delay 1ms loss 101%", "error: loss is '101%'");
    expect_answer(directions, "set delay 25", "error: delay is '25'");
    expect_answer(directions, "set delay nanms", "error: delay is 'nanms'");
    expect_answer(directions, "set delay 11s", "error: delay is '11s'");
    expect_answer(directions, "set delay", "error: 'delay' has no value");
    expect_answer(directions, "set colour red", "error: 'colour' is not a setting");
    expect_answer(directions, "cut direction a-to-c", "error: direction is 'a-to-c': there are a-to-b and b-to-a");
    expect_answer(directions, "stop", "error: 'stop' is not a request");
    expect_answer(directions, "", "error: '' is not a request");
    assert_int_equal(forth->delay_us, 25000);
    assert_int_equal(back->delay_us, 1500000);
    lane_free(&directions[0].lane);
    lane_free(&directions[1].lane);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestWanlinkDelay), cmocka_unit_test(TestWanlinkOrder),   cmocka_unit_test(TestWanlinkLoss),
    cmocka_unit_test(TestWanlinkFull),  cmocka_unit_test(TestWanlinkControl),
};

UNIT_MAIN(tests)
