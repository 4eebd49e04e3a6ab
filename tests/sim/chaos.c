// Random failures: partitions of any shape, crashes (also of all nodes at once), paused processes, stuck and full disks,
// leadership transfers; meanwhile clients write and read, nodes take snapshots, and members change.
#include "sim.h"

static size_t any_node(struct sim *sim) {
    return sim_between(sim, 0, sim->node_count - 1);
}

static void split(struct sim *sim) {
    bool side[SIM_NODES_MAX];
    for (size_t i = 0; i < sim->node_count; i++) {
        side[i] = sim_chance(sim, 2);
    }
    for (size_t i = 0; i < sim->node_count; i++) {
        for (size_t j = 0; j < sim->node_count; j++) {
            sim->cut[i][j] = side[i] != side[j];
        }
    }
}

static void change_links(struct sim *sim) {
    switch (sim_between(sim, 0, 5)) {
    case 0:
    case 1:
        sim_heal(sim);
        return;
    case 2:
        split(sim);
        return;
    case 3:
        sim_isolate(sim, any_node(sim));
        return;
    case 4: {  // one link, one direction
        size_t from = any_node(sim);
        size_t to = any_node(sim);
        sim_cut(sim, from, to, sim_chance(sim, 2));
        return;
    }
    default: {
        size_t leader = sim_leader(sim);
        sim_isolate(sim, leader == SIZE_MAX ? any_node(sim) : leader);
        return;
    }
    }
}

static void crash_and_restart(struct sim *sim) {
    bool all = sim_chance(sim, 15);
    for (size_t i = 0; i < sim->node_count; i++) {
        if (sim->nodes[i].core == NULL) {
            if (sim_chance(sim, 2)) {
                sim_restart(sim, i);
            }
        } else if (all || sim_chance(sim, 2 * sim->node_count)) {
            sim_crash(sim, i);
        }
    }
}

static void change_disks(struct sim *sim) {
    size_t node = any_node(sim);
    if (sim_chance(sim, 2)) {
        sim_stick_disk(sim, node, sim_between(sim, 1000, 900000));
    } else {
        sim_fill_disk(sim, node, !sim->nodes[node].disk.full && sim_chance(sim, 2));
    }
}

static void reset_connections(struct sim *sim) {
    size_t leader = sim_leader(sim);
    sim_reset_connections(sim, leader == SIZE_MAX ? any_node(sim) : leader);
}

// Sometimes more entries are to be dropped than there are, sometimes fewer than are covered.
static void take_snapshot(struct sim *sim) {
    size_t node = any_node(sim);
    raft_index applied = sim->nodes[node].applied;
    sim_snapshot(sim, node, sim_chance(sim, 3) ? applied + 5 : applied - sim_between(sim, 0, applied < 10 ? applied : 10));
}

static void fail_something(struct sim *sim, const struct sim_chaos *chaos) {
    if (chaos->partitions && sim_chance(sim, 3)) {
        change_links(sim);
    }
    if (chaos->partitions && sim_chance(sim, 8)) {
        reset_connections(sim);
    }
    if (chaos->crashes && sim_chance(sim, 5)) {
        crash_and_restart(sim);
    }
    if (chaos->pauses && sim_chance(sim, 10)) {
        size_t node = any_node(sim);
        sim_pause(sim, node, sim_between(sim, 1000, 1500000));
    }
    if (chaos->disks && sim_chance(sim, 6)) {
        change_disks(sim);
    }
    if (chaos->members && sim_chance(sim, 3)) {
        size_t leader = sim_leader(sim);
        sim_change_members(sim, leader == SIZE_MAX ? any_node(sim) : leader);
    }
    if (chaos->snapshots && sim_chance(sim, 3)) {
        take_snapshot(sim);
    }
    if (chaos->resigns && sim_chance(sim, 40)) {
        size_t leader = sim_leader(sim);
        sim_resign(sim, leader == SIZE_MAX ? any_node(sim) : leader, sim_chance(sim, 2) ? any_node(sim) : SIZE_MAX);
    }
    if (chaos->transfers && sim_chance(sim, 6)) {
        size_t leader = sim_leader(sim);
        if (leader != SIZE_MAX) {
            sim_transfer(sim, leader, any_node(sim));
        }
    }
}

// Clients send requests to each node that leads, and now and then to one that does not.
static void run_clients(struct sim *sim) {
    for (size_t i = 0; i < sim->node_count; i++) {
        struct raft_node *core = sim->nodes[i].core;
        if (core == NULL || (raft_state(core) != RAFT_LEADER && !sim_chance(sim, 10))) {
            continue;
        }
        size_t bytes = sim_chance(sim, 50) ? sim_between(sim, 0, 300 * KIB) : 8;
        if (!sim_chance(sim, 3)) {
            sim_propose(sim, i, sim_between(sim, 1, 4), bytes);
        }
        if (sim_chance(sim, 2)) {
            sim_read(sim, i);
        }
    }
}

bool sim_run_chaos(struct sim *sim, const struct sim_chaos *chaos, uint64_t duration_us) {
    uint64_t end_us = sim->now_us + duration_us;
    while (!sim->broken && sim->now_us < end_us) {
        fail_something(sim, chaos);
        for (size_t i = 0; i < (chaos->reads ? 40 : 4); i++) {
            run_clients(sim);
            sim_run(sim, chaos->reads ? sim_between(sim, 100, 3000) : sim_between(sim, 1000, 30000));
        }
    }
    return !sim->broken;
}

bool sim_recover(struct sim *sim, uint64_t limit_us) {
    sim_heal(sim);
    sim->config.loss_permille = 0;
    for (size_t i = 0; i < sim->node_count; i++) {
        sim->nodes[i].disk.stuck_until_us = 0;
        sim_fill_disk(sim, i, false);
        if (sim->nodes[i].resigns) {
            sim_crash(sim, i);
        }
        sim_restart(sim, i);
    }
    // A new write must be committed and reach every node.
    size_t latest = 0;
    for (size_t i = 0; i < sim->node_count; i++) {
        latest = sim->nodes[i].generation > sim->nodes[latest].generation ? i : latest;
    }
    raft_index before = sim_history_length(sim, latest);
    uint64_t end_us = sim->now_us + limit_us;
    while (!sim->broken && sim->now_us < end_us) {
        if (sim_is_settled(sim) && sim_history_length(sim, latest) > before) {
            return true;
        }
        size_t leader = sim_leader(sim);
        if (leader != SIZE_MAX && sim_history_length(sim, latest) == before) {
            sim_propose(sim, leader, 1, 8);
        }
        sim_run(sim, 100000);
    }
    if (!sim->broken) {
        sim_break(sim, 0, "no progress %.1f s after the last failure", (double)limit_us / 1e6);
    }
    return false;
}
