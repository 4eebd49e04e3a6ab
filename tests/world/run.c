// One world from its beginning to its end: run.h.
#include "run.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "faults.h"
#include "host.h"
#include "ledger.h"
#include "worker.h"
#include "world.h"

enum { HEALED_S = 30, END_S = 10, NODES = 3, USERS = 5, WORKERS = 2 };

static struct world_ran ran;

struct world_ran world_ran(void) {
    return ran;
}

static void link_hosts(void) {
    for (int from = 0; from < host_count(); from++) {
        for (int to = 0; to < host_count(); to++) {
            bool far = strcmp(host_of(from)->cloud, host_of(to)->cloud) != 0;
            network_set_link(from, to, (struct link){.delay_us = far ? 25000 : 150, .jitter_us = far ? 800 : 60});
        }
    }
}

static void configure(int nodes) {
    for (int i = 0; i < nodes; i++) {
        struct node_config *config = &host_of(i)->config;
        config->heartbeat_interval_us = HEARTBEAT_INTERVAL_US;
        config->election_timeout_min_us = ELECTION_TIMEOUT_MIN_US;
        config->election_timeout_max_us = ELECTION_TIMEOUT_MAX_US;
        config->snapshot_log_bytes = 16 * KIB;
        config->log_retention = 64 * KIB;
        config->snapshot_rate = 64 * MIB;
        config->placement = true;
        config->peer_count = (size_t)nodes;
        for (int k = 0; k < nodes; k++) {
            struct wire_member *member = &config->peers[k];
            *member = (struct wire_member){.id = raft_id_of(slice_of_str(host_of(k)->name)), .voter = true};
            snprintf(member->address, sizeof member->address, "%s", host_of(k)->address);
            snprintf(member->cloud, sizeof member->cloud, "%s", host_of(k)->cloud);
        }
    }
}

static bool is_settled(void) {
    return clients_are_idle() && ledger_all_equal();
}

static bool all_off(void) {
    for (int i = 0; i < host_count(); i++) {
        if (!host_is_off(i)) {
            return false;
        }
    }
    return true;
}

static bool run_until(bool (*condition)(void), uint64_t limit_us) {
    uint64_t end_us = world_now() + limit_us;
    while (!condition() && world_now() < end_us) {
        world_run_until(world_now() + 10 * US_PER_MS);
    }
    return condition();
}

void world_run(uint64_t seed, uint64_t seconds) {
    world_begin(seed);
    ledger_begin();
    static const char *const names[] = {"n1", "n2", "n3"};
    for (int i = 0; i < NODES; i++) {
        host_add(names[i], i == 2 ? "aws" : "gcp", true);
    }
    static const char *const users[] = {"c1", "c2", "c3", "c4", "c5", "w1", "w2"};
    for (int i = 0; i < USERS + WORKERS; i++) {
        host_add(users[i], i % 2 == 0 ? "gcp" : "aws", false);
    }
    link_hosts();
    configure(NODES);
    for (int i = 0; i < NODES; i++) {
        host_start(i, true);
    }
    for (int i = 0; i < USERS; i++) {
        client_start(NODES + i, i == USERS - 1);
    }
    for (int i = 0; i < WORKERS; i++) {
        worker_start(NODES + USERS + i);
    }
    faults_begin(NODES);
    world_run_until(seconds * US_PER_S);
    faults_end();
    clients_stop();
    if (!run_until(is_settled, HEALED_S * US_PER_S)) {
        world_broken("%d s after all was mended calls have not ended, or nodes differ (%llu committed)", HEALED_S,
                     (unsigned long long)ledger_committed());
    }
    clients_close();
    workers_close();
    faults_close();
    for (int i = 0; i < NODES; i++) {
        host_kill(i);
    }
    world_run_until(world_now() + END_S * US_PER_S);  // the deadlines of all calls have passed
    clients_leave();
    workers_leave();
    if (!run_until(all_off, END_S * US_PER_S)) {
        world_broken("a host does not end");
    }
    world_run_until(world_now() + 120 * US_PER_S);
    clients_reset();
    workers_reset();
    hosts_free();
    network_reset();
    ran.seeds++;
    ran.seconds += seconds;
    ran.events += world_steps();
    ran.entries += ledger_committed();
    ran.calls += clients_ended();
    ran.watched += clients_watched();
    ran.offline = workers_offline();
    ran.hash = world_hash();
    ledger_free();
}
