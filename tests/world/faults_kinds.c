// What each kind of fault does: faults_kinds.h.
#include "faults_kinds.h"

#include <errno.h>

#include "generations.h"
#include "host.h"
#include "ledger.h"
#include "levels.h"
#include "members.h"
#include "node/internal.h"
#include "operator.h"
#include "raft/node.h"
#include "world.h"

#define AGAIN_US   (20 * US_PER_MS)
#define LOOK_US    (500 * US_PER_MS)
#define RESTART_US (2000 * US_PER_MS)

// --- who has ended is started again ---

static const bool *closed;

static void start_again(void *a, uint64_t host) {
    struct host *h = host_of((int)host);
    (void)a;
    if (*closed) {
        return;
    }
    if (h->hands_off || (h->running && (h->stopping || h->disk.dead))) {
        world_at(world_now() + AGAIN_US, start_again, NULL, host);
    } else if (!h->running) {
        host_start((int)host);
    }
}

// Removed, or lost before its generation was.
static bool is_to_go(int host) {
    return members_had(host) ? !members_have(host) : host_of(host)->lost;
}

static void look_after(void *a, uint64_t host) {
    (void)a;
    struct host *h = host_of((int)host);
    if (*closed) {
        return;
    }
    if (h->hands_off) {
        // Somebody is at it.
    } else if (generations_look_after((int)host)) {
        // It is of an old generation, and has ended by itself, or will be.
    } else if (is_to_go((int)host) && h->running && !h->stopping && (h->lost || world_chance(20))) {
        host_kill((int)host);  // its operator turns off what was removed, whether it has heard of it or not
    } else if (is_to_go((int)host) && !h->running) {
        host_recycle((int)host);
        host_start((int)host);
    } else if (!h->running) {
        world_at(world_now() + world_between(AGAIN_US, RESTART_US), start_again, NULL, host);
    }
    world_at(world_now() + LOOK_US, look_after, NULL, host);
}

void fault_look_after(int host, const bool *closed_flag) {
    closed = closed_flag;
    world_at(world_now() + LOOK_US, look_after, NULL, (uint64_t)host);
}

static bool power_off(int host, bool machine, uint64_t for_us) {
    if (!host_of(host)->running || host_of(host)->stopping) {
        return false;
    }
    if (machine) {
        host_crash(host);
    } else {
        host_kill(host);
    }
    world_at(world_now() + for_us, start_again, NULL, (uint64_t)host);
    return true;
}

static bool power_off_all(uint64_t for_us) {
    bool any = false;
    for (int i = 0; i < host_count(); i++) {
        any = (host_of(i)->is_node && power_off(i, true, for_us)) || any;
    }
    return any;
}

// --- the network ---

static void heal(void *a, uint64_t pair) {
    (void)a;
    network_cut((int)(pair >> 8), (int)(pair & 0xff), false);
}

bool fault_cut(int from, int to, uint64_t for_us) {
    if (from == to || network_is_cut(from, to)) {
        return false;
    }
    network_cut(from, to, true);
    world_at(world_now() + for_us, heal, NULL, (uint64_t)from << 8 | (uint64_t)to);
    return true;
}

static bool cut_both(int one, int other, uint64_t for_us) {
    bool there = fault_cut(one, other, for_us);
    return fault_cut(other, one, for_us) || there;
}

// From all other nodes but `but`.
static bool isolate(int host, int but, uint64_t for_us) {
    bool any = false;
    for (int i = 0; i < host_count(); i++) {
        if (host_of(i)->is_node && i != host && i != but) {
            any = cut_both(host, i, for_us) || any;
        }
    }
    return any;
}

static void end_loss(void *a, uint64_t b) {
    (void)a;
    (void)b;
    network_set_loss(0);
}

static void end_jitter(void *a, uint64_t b) {
    (void)a;
    (void)b;
    network_set_jitter(0);
}

// --- disks ---

static void look_for_death(void *a, uint64_t host) {
    (void)a;
    struct host *h = host_of((int)host);
    if (h->disk.dead && h->running && !h->stopping) {
        power_off((int)host, true, RESTART_US);
    } else if (h->disk.crash_at != 0 && h->running && !h->stopping) {
        world_at(world_now() + 200, look_for_death, NULL, host);
    }
}

static bool crash_at_call(int host, uint64_t amount) {
    struct host *h = host_of(host);
    if (!h->running || h->stopping || h->disk.dead) {
        return false;
    }
    h->disk.crash_at = h->disk.calls + 1 + amount % 40;
    look_for_death(NULL, (uint64_t)host);
    return true;
}

static bool fail_once(int host, uint64_t amount) {
    struct disk *disk = &host_of(host)->disk;
    host_of(host)->failing = true;
    disk->fail_errno = EIO;
    if (amount % 2 == 0) {
        disk->fail_write_at = disk->writes + 1 + amount / 2 % 20;
        disk->fail_after = amount / 64 % 2 == 0 ? 0 : amount / 128 % 3000;
    } else {
        disk->fail_sync_at = disk->syncs + 1 + amount / 2 % 20;
    }
    return true;
}

static void end_full(void *a, uint64_t host) {
    (void)a;
    host_of((int)host)->disk.space = UINT64_MAX;
}

static bool fill(int host, uint64_t amount, uint64_t for_us) {
    struct disk *disk = &host_of(host)->disk;
    if (disk->space != UINT64_MAX) {
        return false;
    }
    disk->space = disk_used(disk) + amount % (64 * KIB);
    world_at(world_now() + for_us, end_full, NULL, (uint64_t)host);
    return true;
}

static void end_short(void *a, uint64_t host) {
    (void)a;
    host_of((int)host)->disk.short_max = 0;
    host_of((int)host)->disk.eintr = 0;
}

static bool shorten(int host, uint64_t amount, uint64_t for_us) {
    host_of(host)->disk.short_max = 100 + amount % 4000;
    host_of(host)->disk.eintr = 2 + amount / 4096 % 10;
    world_at(world_now() + for_us, end_short, NULL, (uint64_t)host);
    return true;
}

static void end_slow(void *a, uint64_t host) {
    (void)a;
    host_disk_speed((int)host, 1);
}

// --- disks that are lost ---

static bool may_lose(int host) {
    const struct host *h = host_of(host);
    return operator_is_idle() && members_may_lose(host) && !h->lost && !h->set_back && !h->hands_off;
}

static void wipe(void *a, uint64_t host) {
    (void)a;
    struct host *h = host_of((int)host);
    if (h->running) {
        world_at(world_now() + AGAIN_US, wipe, NULL, host);
        return;
    }
    host_wipe((int)host);
    h->hands_off = false;
}

static bool lose_disk(int host, uint64_t for_us) {
    if (!may_lose(host) || !power_off(host, true, for_us + 2 * RESTART_US)) {
        return false;
    }
    // Two that are wiped and started with --bootstrap could found the cluster once more, between them (docs/operations.md).
    host_of(host)->founder = host_of(host)->founder && !members_are_hurt() && world_chance(2);
    host_of(host)->lost = host_of(host)->hands_off = true;
    wipe(NULL, (uint64_t)host);
    return true;
}

struct flip {
    int host;
    uint64_t draw;
};
static struct flip flips[HOSTS_MAX];

static void flip(void *a, uint64_t b) {
    struct flip *one = a;
    if (host_of(one->host)->running) {
        world_at(world_now() + AGAIN_US, flip, one, b);
        return;
    }
    host_flip_bit(one->host, one->draw);
    host_of(one->host)->hands_off = false;
}

// Which bit it is decides what becomes of the node: it may not start any more, or not notice.
static bool flip_bit(int host, uint64_t draw, uint64_t for_us) {
    if (!may_lose(host) || host_of(host)->flipped || !power_off(host, true, for_us + 2 * RESTART_US)) {
        return false;
    }
    host_of(host)->flipped = host_of(host)->hands_off = true;
    flips[host] = (struct flip){host, draw};
    flip(&flips[host], 0);
    return true;
}

// --- older disks ---

static struct older {
    int host;
    struct disk disk;
    raft_term term;
    struct raft_id voted_for;
    uint64_t starts;
    bool used;
} older[HOSTS_MAX];

// What was committed must be safe without this disk, and the votes in it must be the same: a disk that is set back further
// is beyond what any node can tell (docs/operations.md). So it may only lack entries that a majority of others has.
static bool is_harmless(const struct older *one) {
    const struct host *h = host_of(one->host);
    if (h->node == NULL || h->node->raft == NULL || h->starts != one->starts || !may_lose(one->host)) {
        return false;
    }
    const struct raft_node *raft = h->node->raft;
    if (raft_current_term(raft) != one->term || !raft_id_equal(&raft->voted_for, &one->voted_for) ||
        raft_last_log(raft).index > ledger_committed()) {
        return false;
    }
    size_t having = 0;
    for (int i = 0; i < host_count(); i++) {
        const struct host *other = host_of(i);
        bool counts = i != one->host && other->is_node && members_vote(i) && !other->lost && other->node != NULL &&
                      other->node->raft != NULL && !other->stopping;
        having += counts && other->node->raft->log.durable_index >= ledger_committed() &&
                  raft_commit_index(other->node->raft) >= ledger_committed();
    }
    return having > members_voters() / 2;
}

static void put_back(void *a, uint64_t b) {
    struct older *one = a;
    if (host_of(one->host)->running) {
        world_at(world_now() + AGAIN_US, put_back, one, b);
        return;
    }
    host_set_back(one->host, &one->disk);
    disk_free(&one->disk);
    one->used = host_of(one->host)->hands_off = false;
}

static void set_back(void *a, uint64_t for_us) {
    struct older *one = a;
    if (!is_harmless(one) || !power_off(one->host, true, for_us + 2 * RESTART_US)) {
        disk_free(&one->disk);
        one->used = false;
        return;
    }
    host_of(one->host)->set_back = host_of(one->host)->hands_off = true;
    put_back(one, 0);
}

static bool keep_disk(int host, uint64_t for_us) {
    struct host *h = host_of(host);
    struct older *one = &older[host];
    if (one->used || h->node == NULL || h->node->raft == NULL || h->stopping || h->disk.dead || h->lost) {
        return false;
    }
    *one = (struct older){.host = host,
                          .term = raft_current_term(h->node->raft),
                          .voted_for = h->node->raft->voted_for,
                          .starts = h->starts,
                          .used = true};
    disk_init(&one->disk, 1);
    disk_copy(&one->disk, &h->disk);
    world_at(world_now() + for_us, set_back, one, for_us);
    return true;
}

// --- one fault ---

static void go_on(void *a, uint64_t host) {
    (void)a;
    if (host_of((int)host)->paused) {
        host_pause((int)host, false);
    }
}

static bool pause_host(int host, uint64_t for_us) {
    const struct host *h = host_of(host);
    if (!h->running || h->paused || h->stopping) {
        return false;
    }
    host_pause(host, true);
    world_at(world_now() + for_us, go_on, NULL, (uint64_t)host);
    return true;
}

static bool stop(int host) {
    const struct host *h = host_of(host);
    if (!h->running || h->paused) {
        return false;
    }
    host_stop(host);
    return true;
}

static bool strike_network(const struct fault *fault, int host, int other) {
    switch (fault->kind) {
    case FAULT_CUT:
        return cut_both(host, other, fault->for_us);
    case FAULT_CUT_ONE_WAY:
        return fault_cut(host, other, fault->for_us);
    case FAULT_ISOLATE:
        return isolate(host, NO_HOST, fault->for_us);
    case FAULT_SEES_ONE:
        return host != other && isolate(host, other, fault->for_us);
    case FAULT_RESET:
        return network_reset_between(host, other);
    case FAULT_LOSS:
        network_set_loss((unsigned)(1 + fault->amount % 300));
        world_at(world_now() + fault->for_us, end_loss, NULL, 0);
        return true;
    default:
        network_set_jitter(fault->amount % (200 * US_PER_MS));
        world_at(world_now() + fault->for_us, end_jitter, NULL, 0);
        return true;
    }
}

static bool strike_disk(const struct fault *fault, int host) {
    switch (fault->kind) {
    case FAULT_CRASH_AT_CALL:
        return crash_at_call(host, fault->amount);
    case FAULT_DISK_STALL:
        host_of(host)->stalled_until_us = world_now() + fault->for_us;
        return true;
    case FAULT_DISK_SLOW:
        host_disk_speed(host, (unsigned)(5 + fault->amount % 300));
        world_at(world_now() + fault->for_us, end_slow, NULL, (uint64_t)host);
        return true;
    case FAULT_DISK_ERROR:
        return fail_once(host, fault->amount);
    case FAULT_DISK_FULL:
        return fill(host, fault->amount, fault->for_us);
    case FAULT_DISK_SHORT:
        return shorten(host, fault->amount, fault->for_us);
    case FAULT_WIPE:
        return lose_disk(host, fault->for_us);
    case FAULT_FLIP:
        return flip_bit(host, fault->amount, fault->for_us);
    default:
        return keep_disk(host, fault->for_us);
    }
}

bool fault_strike(const struct fault *fault, int host, int other) {
    switch (fault->kind) {
    case FAULT_CRASH:
        return power_off(host, true, fault->for_us);
    case FAULT_CRASH_ALL:
        return power_off_all(fault->for_us);
    case FAULT_KILL:
        return power_off(host, false, fault->for_us);
    case FAULT_STOP:
        return stop(host);
    case FAULT_PAUSE:
        return pause_host(host, fault->for_us);
    case FAULT_EXCHANGE:
        host_of(host)->next_level = LEVEL_OLDEST + (uint32_t)(fault->amount / 2 % (LEVEL_NEWEST - LEVEL_OLDEST + 1));
        return fault->amount % 2 == 0 ? stop(host) : power_off(host, false, fault->for_us);
    case FAULT_GONE:
        return generations_lose_majority(host, fault->amount, fault->for_us);
    case FAULT_WALL_JUMP:
        host_of(host)->wall_offset_us += fault->amount % 20000000 - 10000000;
        return true;
    case FAULT_ADD:
    case FAULT_PROMOTE:
    case FAULT_REMOVE:
    case FAULT_TRANSFER:
    case FAULT_SNAPSHOT:
        operator_ask((enum task)(fault->kind - FAULT_ADD), fault->amount);
        return true;
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
    case FAULT_ISOLATE:
    case FAULT_SEES_ONE:
    case FAULT_RESET:
    case FAULT_LOSS:
    case FAULT_JITTER:
        return strike_network(fault, host, other);
    default:
        return strike_disk(fault, host);
    }
}

void fault_kinds_finish(void) {
    for (int i = 0; i < HOSTS_MAX; i++) {
        if (older[i].used) {
            disk_free(&older[i].disk);
            older[i].used = false;
        }
    }
}

void fault_mend(void) {
    network_heal();
    network_set_loss(0);
    network_set_jitter(0);
    for (int i = 0; i < host_count(); i++) {
        struct host *h = host_of(i);
        h->stalled_until_us = 0;
        h->disk.crash_at = h->disk.fail_write_at = h->disk.fail_sync_at = 0;
        end_full(NULL, (uint64_t)i);
        end_short(NULL, (uint64_t)i);
        end_slow(NULL, (uint64_t)i);
        go_on(NULL, (uint64_t)i);
    }
}
