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
    struct sim_chaos all = {
        .partitions = true, .crashes = true, .pauses = true, .disks = true, .transfers = true, .resigns = true};
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

// The same with snapshots: logs are compacted at any time, and followers that lag get snapshots in chunks, across restarts
// and changes of leader.
static void TestChaosSnapshots(void **state) {
    (void)state;
    struct sim_counts sum = {0};
    struct sim_chaos all = {
        .partitions = true, .crashes = true, .pauses = true, .disks = true, .transfers = true, .snapshots = true};
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = bad_network(seed, 1 + seed % 5, seed % 3 == 0);
        struct sim *sim = sim_new(&config);
        sim_run_chaos(sim, &all, 6 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        sum.compactions += sim_counts(sim)->compactions;
        sum.installed += sim_counts(sim)->installed;
        sum.replaced += sim_counts(sim)->replaced;
        end(sim);
    }
    print_message("compactions %llu, snapshots installed %llu, in place of the log %llu\n",
                  (unsigned long long)sum.compactions, (unsigned long long)sum.installed, (unsigned long long)sum.replaced);
    if (getenv("BATON_SEED") == NULL) {
        assert_true(sum.compactions > 2000 && sum.installed > 400 && sum.replaced > 300);
    }
}

// And with members that come, go, are promoted and demoted all the time: founders, and three nodes that knew of no cluster.
static void TestChaosMembers(void **state) {
    (void)state;
    struct sim_counts sum = {0};
    struct sim_chaos all = {.partitions = true,
                            .crashes = true,
                            .pauses = true,
                            .disks = true,
                            .transfers = true,
                            .snapshots = true,
                            .members = true};
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = bad_network(seed, 1 + seed % 5, seed % 3 == 0);
        config.outside = 3;
        struct sim *sim = sim_new(&config);
        all.snapshots = seed % 2 == 0;
        sim_run_chaos(sim, &all, 6 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        sum.committed += sim_counts(sim)->committed;
        sum.changes += sim_counts(sim)->changes;
        sum.removals += sim_counts(sim)->removals;
        sum.installed += sim_counts(sim)->installed;
        end(sim);
    }
    print_message("committed %llu, of these changes of members %llu, nodes removed %llu, snapshots installed %llu\n",
                  (unsigned long long)sum.committed, (unsigned long long)sum.changes, (unsigned long long)sum.removals,
                  (unsigned long long)sum.installed);
    if (getenv("BATON_SEED") == NULL) {
        assert_true(sum.committed > 30000 && sum.changes > 3000 && sum.removals > 300 && sum.installed > 300);
    }
}

// Leaders that read under leases, with clocks that run apart by nearly as much as the margin allows. Clients read all the
// time, so that a lease that holds for a moment too long is noticed.
static void TestChaosLeases(void **state) {
    (void)state;
    struct sim_counts sum = {0};
    struct sim_chaos all = {.partitions = true, .crashes = true, .pauses = true, .transfers = true, .reads = true};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = bad_network(seed, 3 + seed % 3, 0);
        config.leases = true;
        config.one_without = seed % 4 == 0;
        config.drift_permille = 45;
        struct sim *sim = sim_new(&config);
        all.members = seed % 4 == 1;
        sim_run_chaos(sim, &all, 6 * US_PER_S);
        sim_recover(sim, 10 * US_PER_S);
        sum.committed += sim_counts(sim)->committed;
        sum.reads_served += sim_counts(sim)->reads_served;
        sum.transfers_done += sim_counts(sim)->transfers_done;
        sum.leaders += sim_counts(sim)->leaders;
        end(sim);
    }
    print_message("committed %llu, reads %llu, transfers %llu, leaders %llu\n", (unsigned long long)sum.committed,
                  (unsigned long long)sum.reads_served, (unsigned long long)sum.transfers_done,
                  (unsigned long long)sum.leaders);
    if (getenv("BATON_SEED") == NULL) {
        assert_true(sum.committed > 20000 && sum.reads_served > 50000 && sum.transfers_done > 30 && sum.leaders > 500);
    }
}

// The same seed gives the same run, message for message; another seed gives another.
static void TestSimReplays(void **state) {
    (void)state;
    uint64_t digests[3];
    for (size_t i = 0; i < 3; i++) {
        struct sim_config config = bad_network(i == 2 ? 8 : 7, 5, 1);
        config.outside = 2;
        struct sim *sim = sim_new(&config);
        struct sim_chaos chaos = {.partitions = true, .crashes = true, .disks = true, .snapshots = true, .members = true};
        sim_run_chaos(sim, &chaos, 5 * US_PER_S);
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

// A follower comes back when the leader has dropped what it lacks: it gets a snapshot, and nobody notices.
static size_t set_back_node;

static bool is_found_out(struct sim *sim) {
    return sim_is_found_out(sim, set_back_node);
}

// A follower whose disk lost what it had acknowledged is found out by the leader that had the acknowledgement, even amid
// duplicates of earlier messages; the others go on without it. (All runs of this file check that no other node is said to
// have lost anything.)
static void TestSimSetBack(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim_config config = lan(seed, seed % 2 == 0 ? 3 : 5);
        config.duplicate_permille = 100;
        struct sim *sim = sim_new(&config);
        assert_true(sim_run_until(sim, sim_is_settled, 10 * US_PER_S));
        size_t leader = sim_leader(sim);
        raft_term term = raft_current_term(sim_core(sim, leader));
        set_back_node = (leader + 1) % config.voters;
        for (size_t i = 0; i < 5; i++) {
            sim_propose(sim, leader, 1 + seed % 3, 8);
            sim_run(sim, 3000);
        }
        if (seed % 3 == 0) {
            sim_snapshot(sim, leader, raft_commit_index(sim_core(sim, leader)));
        }
        assert_true(sim_run_until(sim, sim_is_settled, 10 * US_PER_S));
        sim_crash(sim, set_back_node);
        assert_true(sim_set_back(sim, set_back_node, 1 + seed % 7));
        sim_propose(sim, leader, seed % 4 + 1, 8);
        sim_run(sim, seed % 5 * 40000);
        sim_restart(sim, set_back_node);
        assert_true(sim_run_until(sim, is_found_out, US_PER_S));
        assert_int_equal(raft_current_term(sim_core(sim, leader)), term);
        sim_crash(sim, set_back_node);
        raft_index before = raft_last_log(sim_core(sim, leader)).index;
        sim_propose(sim, leader, 3, 8);
        sim_run(sim, US_PER_S);
        assert_int_equal(raft_commit_index(sim_core(sim, leader)), before + 3);
        end(sim);
    }
}

static void TestSimSnapshot(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim *sim = settled(lan(seed, 3));
        size_t leader = sim_leader(sim);
        raft_term term = raft_current_term(sim_core(sim, leader));
        size_t behind = (leader + 1) % 3;
        sim_crash(sim, behind);
        for (size_t i = 0; i < 50; i++) {
            sim_propose(sim, leader, 10, 100);
            sim_run(sim, 20 * US_PER_MS);
        }
        sim_snapshot(sim, leader, raft_commit_index(sim_core(sim, leader)) - 5);  // and keeps a tail
        sim_run(sim, 100 * US_PER_MS);
        raft_index base = raft_base(sim_core(sim, leader)).index;
        assert_true(base > 400 && base < raft_last_log(sim_core(sim, leader)).index);
        sim_restart(sim, behind);
        for (size_t i = 0; i < 10; i++) {
            sim_propose(sim, leader, 1, 100);
            sim_run(sim, 20 * US_PER_MS);
        }
        assert_true(sim_run_until(sim, sim_is_settled, 2 * US_PER_S));
        assert_int_equal(sim_counts(sim)->installed, 1);
        assert_undisturbed(sim, leader, term);
        end(sim);
    }
}

static void change_members(struct sim *sim, size_t leader, struct raft_configuration *members, struct raft_id id,
                           bool member, bool voter) {
    size_t i = 0;
    while (i < members->count && !raft_id_equal(&members->members[i].id, &id)) {
        i++;
    }
    if (member) {
        members->members[i] = (struct raft_member){.id = id, .voter = voter};
        members->count += i == members->count;
    } else {
        members->members[i] = members->members[--members->count];
    }
    sim_propose_members(sim, leader, members);
    sim_propose(sim, leader, 10, 100);
    sim_run(sim, US_PER_S);
    assert_true(sim_is_settled(sim));
    raft_index index;
    assert_int_equal(raft_configuration(sim_core(sim, leader), &index)->count, members->count);
}

// A member is replaced by a node that knew of no cluster: added, promoted, the old one removed. The leader goes on; the old
// member hears of it, and disturbs nobody.
static void TestSimReplace(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_config config = lan(seed, 3);
        config.outside = 1;
        struct sim *sim = settled(config);
        size_t leader = sim_leader(sim);
        size_t old = (leader + 1) % 3;
        raft_term term = raft_current_term(sim_core(sim, leader));
        raft_index index;
        struct raft_configuration members = *raft_configuration(sim_core(sim, leader), &index);
        change_members(sim, leader, &members, sim->nodes[3].id, true, false);
        change_members(sim, leader, &members, sim->nodes[3].id, true, true);
        change_members(sim, leader, &members, sim->nodes[old].id, false, false);
        sim_run(sim, 5 * US_PER_S);
        assert_undisturbed(sim, leader, term);
        assert_int_equal(sim_counts(sim)->removals, 1);
        assert_true(sim->nodes[old].removed);
        assert_int_equal(sim_counts(sim)->leaders, 1);
        end(sim);
    }
}

// Leases among nodes whose clocks run apart: the leader's is slow, those of its voters are fast.
static struct sim *leasing(uint64_t seed, size_t *leader) {
    struct sim_config config = lan(seed, 3 + seed % 3);
    config.leases = true;
    config.drift_permille = 45;
    *leader = seed % config.voters;
    config.slow_node = *leader + 1;
    struct sim *sim = settled(config);
    for (size_t now; (now = sim_leader(sim)) != *leader && !sim_broken(sim);) {
        if (now != SIZE_MAX) {
            sim_transfer(sim, now, *leader);
        }
        sim_run(sim, US_PER_S);
    }
    sim_run(sim, US_PER_S + seed * 1700);
    return sim;
}

// For 450 ms, in which another leader is to be elected, which then writes. Returns what was served in the first 100 ms.
static uint64_t read_from_former(struct sim *sim, size_t former) {
    uint64_t before = sim_counts(sim)->reads_served;
    uint64_t served = 0;
    for (size_t i = 0; i < 450; i++) {
        size_t leader = sim_leader(sim);
        if (leader != former && leader != SIZE_MAX) {
            sim_propose(sim, leader, 1, 8);
        }
        sim_read(sim, former);
        sim_run(sim, US_PER_MS);
        served = i < 100 ? sim_counts(sim)->reads_served - before : served;
    }
    return served;
}

static bool another_leads(struct sim *sim, size_t former) {
    size_t leader = sim_leader(sim);
    return leader != former && leader != SIZE_MAX && raft_leader_is_established(sim_core(sim, leader));
}

// A leader that is cut off, and whose connections are reset, reads under its lease, without asking anyone. Another is
// elected as soon as the promises are over.
static void TestSimLease(void **state) {
    (void)state;
    size_t early = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t former;
        struct sim *sim = leasing(seed, &former);
        sim_isolate(sim, former);
        for (size_t i = 0; i < sim_node_count(sim); i++) {
            struct raft_event lost = {.type = RAFT_EVENT_LOST, .lost_peer = sim->nodes[former].id};
            if (i != former) {
                sim_host_event(sim, i, lost);
            }
        }
        assert_true(read_from_former(sim, former) > 90);
        early += another_leads(sim, former);
        end(sim);
    }
    assert_true(early > 95 || getenv("BATON_SEED") != NULL);  // hardly any election splits the votes
}

// A leader that does not hear that its transfer has succeeded reads nothing more.
static void TestSimLeaseTransfer(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t former;
        struct sim *sim = leasing(seed, &former);
        size_t target = (former + 1) % sim_node_count(sim);
        for (size_t i = 0; i < sim_node_count(sim); i++) {
            sim_cut(sim, i, former, true);
        }
        sim_transfer(sim, former, target);
        assert_true(read_from_former(sim, former) < 5);
        assert_true(another_leads(sim, former));
        end(sim);
    }
}

// Clients write to whoever leads.
static void write_for(struct sim *sim, uint64_t duration_us) {
    sim_run_chaos(sim, &(struct sim_chaos){.snapshots = true}, duration_us);
}

static bool is_silent_but(struct sim *sim, size_t survivor) {
    size_t silent = 0;
    for (size_t i = 0; i < sim_node_count(sim); i++) {
        silent += sim_is_silent(sim, i);
    }
    return silent == sim_node_count(sim) - 1 && !sim_is_silent(sim, survivor);
}

// They come back empty, and are members again one after another.
static void take_back(struct sim *sim, size_t survivor) {
    raft_index index;
    struct raft_configuration members = *raft_configuration(sim_core(sim, survivor), &index);
    for (size_t i = 0; i < sim_node_count(sim); i++) {
        if (i != survivor) {
            sim_rejoin(sim, i);
            sim_restart(sim, i);
            change_members(sim, survivor, &members, sim->nodes[i].id, true, false);
            change_members(sim, survivor, &members, sim->nodes[i].id, true, true);
        }
    }
}

// One of three, perhaps with a tail that no majority has, or without the last that one has, founds a generation while the
// others live on, write, and elect leaders. Then they hear of it; and once more, with another survivor.
static void TestSimGenerations(void **state) {
    (void)state;
    size_t both_wrote = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        if (sim_skips(seed)) {
            continue;
        }
        struct sim *sim = sim_new(&(struct sim_config){.seed = seed,
                                                       .voters = 3,
                                                       .delay_min_us = 100,
                                                       .delay_max_us = 30000,
                                                       .disk_max_us = 5000,
                                                       .duplicate_permille = 20});
        for (size_t survivor = seed % 3, round = 0; round < 2; survivor = (survivor + 1) % 3, round++) {
            sim_run_chaos(sim, &(struct sim_chaos){.crashes = true, .partitions = true, .snapshots = true}, 2 * US_PER_S);
            sim_heal(sim);
            for (size_t i = 0; i < 3; i++) {
                sim_restart(sim, i);
            }
            sim_isolate(sim, survivor);
            write_for(sim, seed % 5 * 100 * US_PER_MS);
            sim_crash(sim, survivor);
            raft_index before = sim_history_length(sim, (survivor + 1) % 3);
            sim_found(sim, survivor);
            sim_restart(sim, survivor);
            write_for(sim, 3 * US_PER_S);
            both_wrote += sim_history_length(sim, survivor) > before && sim_history_length(sim, (survivor + 1) % 3) > before;
            assert_true(raft_state(sim_core(sim, survivor)) == RAFT_LEADER);
            sim_heal(sim);
            write_for(sim, 5 * US_PER_S);
            assert_true(sim_broken(sim) || is_silent_but(sim, survivor));
            take_back(sim, survivor);
            assert_true(sim_recover(sim, 20 * US_PER_S));
        }
        end(sim);
    }
    assert_true(both_wrote > 350 || getenv("BATON_SEED") != NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestSplitBrain),       cmocka_unit_test(TestChaos),        cmocka_unit_test(TestChaosSnapshots),
    cmocka_unit_test(TestChaosMembers),     cmocka_unit_test(TestChaosLeases),  cmocka_unit_test(TestSimReplays),
    cmocka_unit_test(TestSimQuiet),         cmocka_unit_test(TestSimCutOff),    cmocka_unit_test(TestSimPartialLinks),
    cmocka_unit_test(TestSimSelfish),       cmocka_unit_test(TestSimSlowDisks), cmocka_unit_test(TestSimCatchUp),
    cmocka_unit_test(TestSimSnapshot),      cmocka_unit_test(TestSimReplace),   cmocka_unit_test(TestSimLease),
    cmocka_unit_test(TestSimLeaseTransfer), cmocka_unit_test(TestSimSetBack),   cmocka_unit_test(TestSimGenerations),
};

UNIT_MAIN(tests)
