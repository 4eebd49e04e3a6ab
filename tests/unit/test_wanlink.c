// The emulated link without a kernel: when a netem lets packets go, and what its control socket answers.
#include <string.h>

#include "unit.h"
#include "wanlink/control.h"

enum { SEED = 7, DRAWS = 100000 };

static struct netem netem_with(uint32_t delay_us, uint32_t jitter_us, double loss) {
    struct netem netem;
    const struct netem_settings settings = {.delay_us = delay_us, .jitter_us = jitter_us, .loss = loss};
    netem_init(&netem, &settings, SEED);
    return netem;
}

static void TestWanlinkDelay(void **state) {
    (void)state;
    struct netem netem = netem_with(25000, 0, 0);
    uint32_t last_id = 0;
    assert_true(netem_next_us(&netem) == UINT64_MAX);
    assert_true(netem_arrive(&netem, 1, 1000));
    assert_true(netem_arrive(&netem, 2, 1000));
    assert_true(netem_arrive(&netem, 3, 1001));
    assert_int_equal(netem_next_us(&netem), 26000);
    assert_false(netem_release(&netem, 25999, &last_id));
    assert_true(netem_release(&netem, 26000, &last_id));
    assert_int_equal(last_id, 2);
    assert_true(netem_release(&netem, 99999, &last_id));
    assert_int_equal(last_id, 3);
    assert_false(netem_release(&netem, UINT64_MAX - 1, &last_id));
    assert_int_equal(netem.passed, 3);
    netem_free(&netem);
}

static void TestWanlinkOrder(void **state) {
    (void)state;
    struct netem netem = netem_with(25000, 25000, 0);
    uint64_t earliest = UINT64_MAX;
    uint64_t latest = 0;
    for (uint32_t id = 0; id < DRAWS; id++) {
        uint64_t before_us = netem.last_due_us;
        uint64_t now_us = (uint64_t)id * 100000;
        uint32_t last_id;
        assert_true(netem_arrive(&netem, id, now_us));
        assert_true(netem.last_due_us >= before_us);
        earliest = netem.last_due_us - now_us < earliest ? netem.last_due_us - now_us : earliest;
        latest = netem.last_due_us - now_us > latest ? netem.last_due_us - now_us : latest;
        assert_true(netem_release(&netem, now_us + 50000, &last_id));
    }
    assert_in_range(earliest, 0, 100);
    assert_in_range(latest, 49900, 50000);
    // A packet whose draw is shorter than that of the one before it catches up, and no more.
    for (uint32_t id = 0; id < 1000; id++) {
        assert_true(netem_arrive(&netem, id, 0));
    }
    for (size_t i = 1; i < netem.count; i++) {
        assert_true(netem.waiting[(netem.first + i) % NETEM_PACKETS_MAX].due_us >=
                    netem.waiting[(netem.first + i - 1) % NETEM_PACKETS_MAX].due_us);
    }
    netem_free(&netem);
}

static uint64_t lost_of(uint64_t seed) {
    struct netem netem;
    const struct netem_settings settings = {.loss = 0.01};
    netem_init(&netem, &settings, seed);
    for (uint32_t id = 0; id < DRAWS; id++) {
        (void)netem_arrive(&netem, id, 0);
    }
    uint64_t lost = netem.lost;
    assert_int_equal(netem.count + lost, DRAWS);
    netem_free(&netem);
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
    struct netem netem = netem_with(25000, 0, 0);
    uint32_t last_id = 0;
    for (uint32_t id = 0; id < NETEM_PACKETS_MAX; id++) {
        assert_true(netem_arrive(&netem, id, 0));
    }
    assert_false(netem_arrive(&netem, NETEM_PACKETS_MAX, 0));
    assert_int_equal(netem.lost, 1);
    assert_true(netem_drop_waiting(&netem, &last_id));
    assert_int_equal(last_id, NETEM_PACKETS_MAX - 1);
    assert_int_equal(netem.lost, 1 + NETEM_PACKETS_MAX);
    netem_free(&netem);
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
    struct direction directions[2] = {{.name = "a-to-b", .netem = netem_with(25000, 0, 0)},
                                      {.name = "b-to-a", .netem = netem_with(25000, 0, 0)}};
    const struct netem_settings *forth = &directions[0].netem.settings;
    const struct netem_settings *back = &directions[1].netem.settings;

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
    netem_free(&directions[0].netem);
    netem_free(&directions[1].netem);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestWanlinkDelay), cmocka_unit_test(TestWanlinkOrder),   cmocka_unit_test(TestWanlinkLoss),
    cmocka_unit_test(TestWanlinkFull),  cmocka_unit_test(TestWanlinkControl),
};

UNIT_MAIN(tests)
