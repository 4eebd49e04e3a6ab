// Many cores on a simulated network: see tests/sim/sim.h for what is checked after each step. BATON_SEED=n runs one seed.
#include "unit.h"

#include "sim.h"

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

// Slow links, slow disks, and a network that loses, repeats and delays.
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

// Never two leaders in one term, whatever the partitions; and once they heal, a leader.
static void TestSplitBrain(void **state) {
    (void)state;
    uint64_t leaders = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        if (sim_skips(seed))
            continue;
        struct sim_config config = bad_network(seed, seed % 3 == 0 ? 5 : seed % 7 == 0 ? 4 : 3, 0);
        struct sim *sim = sim_new(&config);
        sim_run_chaos(sim, &(struct sim_chaos){.partitions = true}, 4 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        leaders += sim_counts(sim)->leaders;
        end(sim);
    }
    if (getenv("BATON_SEED") == NULL)
        assert_true(leaders > 2000);  // else the partitions have not disturbed anybody
}

static void TestChaos(void **state) {
    (void)state;
    struct sim_counts sum = {0};
    struct sim_chaos all = {.partitions = true, .crashes = true, .pauses = true, .disks = true, .transfers = true};
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        if (sim_skips(seed))
            continue;
        struct sim_config config = bad_network(seed, 1 + seed % 5, seed % 3 == 0);
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
    if (getenv("BATON_SEED") == NULL)
        assert_true(sum.committed > 50000 && sum.reads_served > 10000 && sum.transfers_done > 200 && sum.leaders > 2000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestSplitBrain),
    cmocka_unit_test(TestChaos),
};

UNIT_MAIN(tests)
