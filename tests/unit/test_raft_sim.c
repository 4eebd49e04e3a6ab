// Clusters on a simulated network; tests/sim/sim.h says what is checked after each step. BATON_SEED=n runs one seed.
#include "sim.h"
#include "unit.h"

static struct sim_config lan(uint64_t seed, size_t voters) {
    return (struct sim_config){
        .seed = seed,
        .voters = voters,
        .delay_min_us = 100,
        .delay_max_us = 2000,
        .disk_min_us = 50,
        .disk_max_us = 2000,
    };
}

// Slow links and disks, and a network that loses, duplicates and delays messages.
static struct sim_config bad_network(uint64_t seed, size_t voters, size_t learners) {
    struct sim_config config = lan(seed, voters);
    config.learners = learners;
    config.delay_max_us = 30000;
    config.disk_max_us = 20000;
    config.loss_permille = 30;
    config.duplicate_permille = 30;
    config.late_permille = 10;
    return config;
}

static void end(struct sim *sim) {
    bool broken = sim_broken(sim);
    sim_free(sim);
    assert_false(broken);
}

// Never two leaders in a term, whatever the partitions; when they heal, a leader is elected.
static void TestSplitBrain(void **state) {
    (void)state;
    uint64_t leaders = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = bad_network(seed, seed % 3 == 0 ? 5 : seed % 7 == 0 ? 4 : 3, 0);
        struct sim *sim = sim_new(&config);
        sim_run_chaos(sim, &(struct sim_chaos){.partitions = true}, 4 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        leaders += sim_counts(sim)->leaders;
        end(sim);
    }
    if (getenv("BATON_SEED") == NULL) {
        assert_true(leaders > 2000);  // otherwise the partitions had no effect
    }
}

static void TestChaos(void **state) {
    (void)state;
    struct sim_counts sum = {0};
    struct sim_chaos all = {.partitions = true, .crashes = true, .pauses = true, .disks = true, .transfers = true};
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = bad_network(seed, 1 + seed % 5, seed % 3 == 0);
        config.selfish = seed % 4 == 0;
        struct sim *sim = sim_new(&config);
        sim_run_chaos(sim, &all, 6 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        sum.committed += sim_counts(sim)->committed;
        sum.reads_served += sim_counts(sim)->reads_served;
        sum.transfers_done += sim_counts(sim)->transfers_done;
        sum.leaders += sim_counts(sim)->leaders;
        sum.steps += sim_counts(sim)->steps;
        end(sim);
    }
    print_message("committed %llu, reads %llu, transfers %llu, leaders %llu, steps %llu\n",
                  (unsigned long long)sum.committed, (unsigned long long)sum.reads_served,
                  (unsigned long long)sum.transfers_done, (unsigned long long)sum.leaders, (unsigned long long)sum.steps);
    if (getenv("BATON_SEED") == NULL) {
        assert_true(sum.committed > 50000 && sum.reads_served > 10000 && sum.transfers_done > 200 && sum.leaders > 2000);
    }
}

// The same seed gives the same run, message for message; another seed gives another.
static void TestSimReplays(void **state) {
    (void)state;
    uint64_t digests[3];
    for (size_t i = 0; i < 3; i++) {
        struct sim_config config = bad_network(i == 2 ? 8 : 7, 5, 1);
        struct sim *sim = sim_new(&config);
        sim_run_chaos(sim, &(struct sim_chaos){.partitions = true, .crashes = true, .disks = true}, 5 * US_PER_S);
        digests[i] = sim_counts(sim)->digest;
        end(sim);
    }
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] != digests[2]);
}

// A cluster with a leader, whose logs are equal.
static struct sim *settled(struct sim_config config) {
    struct sim *sim = sim_new(&config);
    assert_true(sim_run_until(sim, sim_is_settled, 15 * US_PER_S));
    return sim;
}

static void assert_undisturbed(struct sim *sim, size_t leader, raft_term term) {
    assert_false(sim_broken(sim));
    assert_int_equal(sim_leader(sim), leader);
    assert_int_equal(raft_current_term(sim_core(sim, leader)), term);
}

// Without failures there is no election after the first.
static void TestSimQuiet(void **state) {
    (void)state;
    struct sim_config config = lan(3, 5);
    config.delay_min_us = config.delay_max_us = 25000;
    struct sim *sim = settled(config);
    size_t leader = sim_leader(sim);
    raft_term term = raft_current_term(sim_core(sim, leader));
    for (size_t i = 0; i < 600; i++) {
        sim_propose(sim, leader, 3, 100);
        sim_run(sim, 100 * US_PER_MS);
    }
    assert_undisturbed(sim, leader, term);
    assert_int_equal(sim_counts(sim)->leaders, 1);
    assert_true(sim_run_until(sim, sim_is_settled, US_PER_S));
    end(sim);
}

// A partitioned follower comes back without deposing the leader (PreVote).
static void TestSimCutOff(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim = settled(lan(seed, 3));
        size_t leader = sim_leader(sim);
        raft_term term = raft_current_term(sim_core(sim, leader));
        sim_isolate(sim, (leader + 1) % 3);
        for (size_t i = 0; i < 50; i++) {
            sim_propose(sim, leader, 1, 100);
            sim_run(sim, 100 * US_PER_MS);
        }
        sim_heal(sim);
        sim_run(sim, 3 * US_PER_S);
        assert_undisturbed(sim, leader, term);
        assert_true(sim_is_settled(sim));
        end(sim);
    }
}

// The leader dies, its followers notice at the same time, and each takes itself for the preferred leader.
static void TestSimSelfish(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct sim_config config = lan(seed, 3 + seed % 3);
        config.selfish = true;
        struct sim *sim = settled(config);
        size_t old = sim_leader(sim);
        sim_crash(sim, old);
        sim_run(sim, 3 * US_PER_S);
        size_t leader = sim_leader(sim);
        assert_true(leader != SIZE_MAX && raft_leader_is_established(sim_core(sim, leader)));
        end(sim);
    }
}

// Of five nodes two can reach only one other node each, not the leader: they must not depose it.
static void TestSimPartialLinks(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim = settled(lan(seed, 5));
        size_t leader = sim_leader(sim);
        raft_term term = raft_current_term(sim_core(sim, leader));
        size_t lonely[2] = {(leader + 3) % 5, (leader + 4) % 5};
        for (size_t i = 0; i < 2; i++) {
            size_t friend = (leader + 1 + i) % 5;
            sim_isolate(sim, lonely[i]);
            sim_cut(sim, lonely[i], friend, false);
            sim_cut(sim, friend, lonely[i], false);
        }
        sim_run(sim, 20 * US_PER_S);
        assert_undisturbed(sim, leader, term);
        end(sim);
    }
}

// Writes that take nearly as long as an election timeout: a slow disk must not look like a dead node.
static void TestSimSlowDisks(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_config config = lan(seed, 3);
        struct sim *sim = settled(config);
        size_t leader = sim_leader(sim);
        raft_term term = raft_current_term(sim_core(sim, leader));
        raft_index before = raft_commit_index(sim_core(sim, leader));
        for (size_t i = 0; i < 40; i++) {
            for (size_t node = 0; node < 3; node++) {
                sim_stick_disk(sim, node, 480 * US_PER_MS);
            }
            sim_propose(sim, leader, 1, 100);
            sim_run(sim, 500 * US_PER_MS);
        }
        assert_undisturbed(sim, leader, term);
        assert_true(raft_commit_index(sim_core(sim, leader)) >= before + 35);
        end(sim);
    }
}

// A follower that lags far behind catches up by whole windows, not by one batch per round trip.
static void TestSimCatchUp(void **state) {
    (void)state;
    struct sim_config config = lan(5, 3);
    config.delay_min_us = config.delay_max_us = 25000;
    struct sim *sim = settled(config);
    size_t leader = sim_leader(sim);
    size_t behind = (leader + 1) % 3;
    sim_crash(sim, behind);
    for (size_t i = 0; i < 400; i++) {
        sim_propose(sim, leader, 10, 10 * KIB);  // 40 MB
        sim_run(sim, 10 * US_PER_MS);
    }
    sim_run(sim, US_PER_S);
    assert_int_equal(sim_leader(sim), leader);
    raft_index last = raft_last_log(sim_core(sim, leader)).index;
    assert_true(last > 4000);
    sim_restart(sim, behind);
    uint64_t start_us = sim_now(sim);
    assert_true(sim_run_until(sim, sim_is_settled, 5 * US_PER_S));
    // 5 windows of 8 MiB, 50 ms each; one batch at a time would be 160 round trips, 8 s.
    assert_true(sim_now(sim) - start_us < 1500 * US_PER_MS);
    end(sim);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestSplitBrain), cmocka_unit_test(TestChaos),        cmocka_unit_test(TestSimReplays),
    cmocka_unit_test(TestSimQuiet),   cmocka_unit_test(TestSimCutOff),    cmocka_unit_test(TestSimPartialLinks),
    cmocka_unit_test(TestSimSelfish), cmocka_unit_test(TestSimSlowDisks), cmocka_unit_test(TestSimCatchUp),
};

UNIT_MAIN(tests)
