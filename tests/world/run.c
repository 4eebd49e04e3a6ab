// One world from its beginning to its end: run.h.
#include "run.h"

#include <stdio.h>

#include "client.h"
#include "faults.h"
#include "generations.h"
#include "host.h"
#include "ledger.h"
#include "members.h"
#include "operator.h"
#include "shape.h"
#include "trace.h"
#include "worker.h"
#include "world.h"

enum { HEALED_S = 30, END_S = 10, QUIET_S = 120 };

static struct world_ran ran;

struct world_ran world_ran(void) {
    return ran;
}

static bool is_settled(void) {
    return clients_are_idle() && generations_are_settled() && ledger_all_equal();
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

static void start_all(const struct shape *shape) {
    int clients = shape_first_client(shape);
    int workers = shape_first_worker(shape);
    for (int i = 0; i < clients; i++) {
        host_start(i);
    }
    for (int i = clients; i < workers; i++) {
        client_start(i, i >= shape_first_watcher(shape));
    }
    for (int i = workers; i < workers + shape->workers; i++) {
        worker_start(i);
    }
    operator_start(shape_operator(shape));
}

// Every call must end, and all nodes have the same: liveness, once there are no faults.
static void settle(void) {
    faults_end();
    world_trace(NO_HOST, "all is mended");
    clients_stop();
    operator_stop();
    if (!run_until(is_settled, HEALED_S * US_PER_S)) {
        ledger_explain();
        clients_explain();
        world_broken("%d s after all was mended calls have not ended, or nodes differ (%llu committed)", HEALED_S,
                     (unsigned long long)ledger_committed());
    }
}

static void turn_off(const struct shape *shape) {
    clients_close();
    workers_close();
    operator_close();
    faults_close();
    for (int i = 0; i < shape_first_client(shape); i++) {
        host_kill(i);
    }
    world_run_until(world_now() + END_S * US_PER_S);  // the deadlines of all calls have passed
    clients_leave();
    workers_leave();
    operator_leave();
    if (!run_until(all_off, END_S * US_PER_S)) {
        world_broken("a host does not end");
    }
    world_run_until(world_now() + QUIET_S * US_PER_S);
    clients_reset();
    workers_reset();
    operator_reset();
    faults_finish();
    hosts_free();
    network_reset();
}

void world_run(uint64_t seed, uint64_t seconds) {
    world_begin(seed);
    ledger_begin();
    faults_plan(seed, seconds * US_PER_S);
    struct shape shape = shape_draw();
    trace_heads();
    start_all(&shape);
    faults_begin();
    world_run_until(seconds * US_PER_S);
    settle();
    ran.virtual_us += world_now();
    turn_off(&shape);
    ran.seeds++;
    ran.events += world_steps();
    ran.entries += ledger_committed();
    ran.calls += clients_ended();
    ran.watched += clients_watched();
    ran.changes += members_changes();
    ran.offline = workers_offline();
    ran.founded = generations_founded();
    ran.rejoined = generations_rejoined();
    ran.lost += ledger_lost();
    ran.sessions_gone += ledger_sessions_gone();
    ran.again += ledger_again();
    ran.too_old += ledger_programs_too_old();
    ran.raised += members_raises();
    ran.nodes = shape_first_client(&shape);
    ran.hash = world_hash();
    ledger_free();
}
