// Generations: generations.h.
#include "generations.h"

#include <string.h>

#include "cmd/promote.h"
#include "cmd/rejoin.h"
#include "cmd/stopped.h"
#include "faults_kinds.h"
#include "host.h"
#include "ledger.h"
#include "left_behind.h"
#include "members.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "world.h"

#define AGAIN_MIN_US (20 * US_PER_MS)
#define AGAIN_MAX_US (400 * US_PER_MS)
#define HEARS_US     (10 * US_PER_S)  // a connection that is lost is made again, and a Status asked for, many times

enum { CRASH_CALLS = 60 };

// What becomes of a host whose survivor goes on without it.
enum fate { UNCONCERNED, GONE, GONE_WITH_ITS_NAME, COMES_BACK, LIVES_ON, FATES };

// What a command on a stopped node has come to.
enum ending { FAILED, DONE, REFUSED };

static struct {
    bool on;
    bool closed;
    int survivor;
    uint64_t for_us;
    enum fate fates[HOSTS_MAX];
    enum ending ending[HOSTS_MAX];
    bool at_work[HOSTS_MAX];  // on its disk
    uint64_t
        reached_us[HOSTS_MAX];  // since when it reaches the newest generation without having heard of it; 0: it does not
    uint64_t founded, rejoined;
} g;

static void later(void (*run)(void *a, uint64_t b), int host) {
    if (!g.closed) {
        world_at(world_now() + world_between(AGAIN_MIN_US, AGAIN_MAX_US), run, NULL, (uint64_t)host);
    }
}

// Each third attempt or so is ended by its machine.
static uint64_t draw_crash(void) {
    return world_chance(3) ? world_between(1, CRASH_CALLS) : 0;
}

static void hand_back(int host) {
    host_of(host)->hands_off = g.at_work[host] = false;
}

// --- what runs on a stopped node ---

// Whether its directory is of a later generation than all that is known. False with FAILED: it could not be read.
static bool look_whether_founded(struct host *h, enum error_code *code) {
    struct stopped stopped;
    struct error error = {0};
    *code = stopped_open(&h->config, &stopped, &error);
    bool founded = *code == OK && stopped.generation > ledger_generation();
    if (founded) {
        ledger_founded((int)(h - host_of(0)), stopped.generation, &stopped.recovered.log);
    }
    stopped_close(&stopped);
    return founded;
}

static void look_at_version(int host, enum error_code code) {
    if (code == ERR_UNKNOWN_COMMAND) {
        ledger_too_old(host);
    }
}

static void promote(int host) {
    struct host *h = host_of(host);
    struct error error = {0};
    enum error_code code;
    bool founded = look_whether_founded(h, &code);
    if (!founded && code == OK) {
        code = promote_survivor(&h->config, true, &error);
        enum error_code looked;
        founded = !h->stopping && !h->disk.dead && look_whether_founded(h, &looked);
        if (code == OK && !founded && !h->stopping && !h->disk.dead && looked == OK) {
            world_broken("%s says that it has founded a generation, and has not", h->name);
        }
    }
    g.ending[host] = founded ? DONE : code == ERR_INVALID ? REFUSED : FAILED;
    look_at_version(host, code);
}

static void rejoin_one(int host) {
    struct host *h = host_of(host);
    struct node_config config = h->config;
    struct error error = {0};
    members_as_peers(&config);
    enum error_code code = rejoin(&config, NULL, &error);
    if (code != OK) {
        world_trace(host, "%s", error.message);
    }
    look_at_version(host, code);
    if (code == OK && !h->stopping && !h->disk.dead) {
        left_behind_check(host);
    }
    g.ending[host] = code == OK ? DONE : code == ERR_WAL_CORRUPT || code == ERR_INVALID ? REFUSED : FAILED;
}

// --- the others ---

static void come_back(void *a, uint64_t b) {
    int host = (int)b;
    (void)a;
    if (host_of(host)->running) {
        later(come_back, host);
        return;
    }
    if (g.fates[host] == GONE) {
        host_recycle(host);
    } else if (g.fates[host] == GONE_WITH_ITS_NAME) {
        host_wipe(host);
        host_forget(host);
    }
    hand_back(host);
}

static bool is_off(int host) {
    return g.fates[host] == GONE || g.fates[host] == GONE_WITH_ITS_NAME || g.fates[host] == COMES_BACK;
}

// `founded`: what is gone is gone; else it was not for good after all.
static void end_loss(bool founded) {
    g.on = false;
    for (int i = 0; i < host_count(); i++) {
        if (is_off(i)) {
            g.fates[i] = founded ? g.fates[i] : COMES_BACK;
            world_at(world_now() + world_between(0, g.for_us), come_back, NULL, (uint64_t)i);
        }
    }
    hand_back(g.survivor);
}

// --- the survivor ---

static void see_to_survivor(void *a, uint64_t b) {
    struct host *h = host_of(g.survivor);
    (void)a;
    (void)b;
    if (h->running) {
        later(see_to_survivor, 0);
    } else if (g.ending[g.survivor] == FAILED) {
        host_run_tool(g.survivor, promote, draw_crash());
        later(see_to_survivor, 0);
    } else {
        bool founded = g.ending[g.survivor] == DONE;
        g.founded += founded;
        world_trace(g.survivor, founded ? "is the survivor" : "cannot be the survivor");
        end_loss(founded);
    }
}

static bool belongs(int host) {
    const struct host *h = host_of(host);
    return h->is_node && (members_have(host) || (h->node != NULL && h->node->configuration.count > 0));
}

// Its own log must say that it is a member, and not the only voter.
static bool may_survive(int host) {
    const struct host *h = host_of(host);
    if (h->node == NULL || h->node->raft == NULL || h->stopping || h->hands_off || h->lost || h->set_back || h->flipped ||
        !members_have(host) || host_generation(host) != ledger_generation()) {
        return false;
    }
    const struct wire_configuration *configuration = &h->node->configuration;
    return wire_configuration_member(configuration, &h->config.node_id) != NULL && configuration->count > 1;
}

static void leave_behind(int host, enum fate fate, uint64_t for_us) {
    struct host *h = host_of(host);
    g.fates[host] = h->hands_off ? LIVES_ON : fate;  // what is done to its disk goes on
    if (g.fates[host] == LIVES_ON) {
        fault_cut(host, g.survivor, for_us);
        fault_cut(g.survivor, host, for_us);
        return;
    }
    h->hands_off = g.at_work[host] = true;
    if (world_chance(2)) {
        host_crash(host);
    } else {
        host_kill(host);
    }
}

bool generations_lose_majority(int survivor, uint64_t draw, uint64_t for_us) {
    if (g.on || g.closed || ledger_generation() == GENERATIONS_MAX || !may_survive(survivor)) {
        return false;
    }
    g.on = true;
    g.survivor = survivor;
    g.for_us = for_us;
    g.ending[survivor] = FAILED;
    memset(g.fates, 0, sizeof g.fates);
    for (int i = 0; i < host_count(); i++) {
        if (i != survivor && belongs(i)) {
            leave_behind(i, (enum fate)(GONE + (draw >> 2 * i) % (FATES - GONE)), for_us);
        }
    }
    host_of(survivor)->hands_off = g.at_work[survivor] = true;
    if (draw % 3 == 0) {
        host_crash(survivor);
    } else {
        host_kill(survivor);
    }
    later(see_to_survivor, 0);
    return true;
}

// --- old nodes ---

// Another node that it knows, by its id and address, is of the newest generation, and the way there and back is open.
static bool reaches_newest(int host) {
    const struct wire_configuration *known = &host_of(host)->node->configuration;
    for (int i = 0; i < host_count(); i++) {
        const struct host *h = host_of(i);
        if (i != host && h->is_node && !h->paused && host_generation(i) == ledger_generation() && members_have(i) &&
            wire_configuration_member(known, &h->config.node_id) != NULL && !network_is_cut(i, host) &&
            !network_is_cut(host, i)) {
            return true;
        }
    }
    return false;
}

static void see_to_old(void *a, uint64_t b) {
    int host = (int)b;
    (void)a;
    if (host_of(host)->running) {
        later(see_to_old, host);
    } else if (g.ending[host] == FAILED) {
        host_run_tool(host, rejoin_one, draw_crash());
        later(see_to_old, host);
    } else {
        if (g.ending[host] == DONE) {
            host_forget(host);
            g.rejoined++;
        }
        world_trace(host, g.ending[host] == DONE ? "has rejoined" : "cannot rejoin");
        // It was added here and there while it was new, and has left the directory that is named here: it is to be replaced.
        host_of(host)->lost = host_of(host)->lost || (g.ending[host] == DONE && members_are_named(host));
        hand_back(host);
    }
}

bool generations_look_after(int host) {
    const struct host *h = host_of(host);
    if (g.at_work[host]) {
        return true;
    }
    if (!ledger_is_old(host) || h->stopping || h->paused) {
        g.reached_us[host] = 0;
        return false;
    }
    bool heard = quarantine_is_silent(h->node);
    bool reaches = reaches_newest(host);
    if (!reaches || heard) {
        g.reached_us[host] = 0;
    } else if (g.reached_us[host] == 0) {
        g.reached_us[host] = world_now();
    } else if (world_now() - g.reached_us[host] > HEARS_US) {
        world_broken("%s has not heard of generation %llu for %llu s, and reaches it", h->name,
                     (unsigned long long)ledger_generation(), (unsigned long long)(HEARS_US / US_PER_S));
    }
    // Its operator ends it some time after it was silenced, or where it cannot hear.
    if ((heard || !reaches) && world_chance(4)) {
        host_of(host)->hands_off = g.at_work[host] = true;
        g.ending[host] = FAILED;
        host_kill(host);
        later(see_to_old, host);
    }
    return true;
}

// --- the end ---

bool generations_are_settled(void) {
    for (int i = 0; i < host_count(); i++) {
        if (g.at_work[i] || (host_of(i)->is_node && ledger_is_old(i))) {
            return false;
        }
    }
    return !g.on;
}

void generations_close(void) {
    g.closed = true;
}

void generations_reset(void) {
    uint64_t founded = g.founded;
    uint64_t rejoined = g.rejoined;
    memset(&g, 0, sizeof g);
    g.founded = founded;
    g.rejoined = rejoined;
}

uint64_t generations_founded(void) {
    return g.founded;
}

uint64_t generations_rejoined(void) {
    return g.rejoined;
}
