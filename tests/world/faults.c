// Faults: faults.h.
#include "faults.h"

#include <stdio.h>
#include <string.h>

#include "host.h"
#include "world.h"

#define KINDS(X)                                                                                                            \
    X(CRASH, "crashes")                                                                                                     \
    X(CRASH_ALL, "crashes of all")                                                                                          \
    X(KILL, "kills")                                                                                                        \
    X(STOP, "stops")                                                                                                        \
    X(PAUSE, "pauses")                                                                                                      \
    X(CUT, "cuts")                                                                                                          \
    X(CUT_ONE_WAY, "cuts one way")                                                                                          \
    X(ISOLATE, "isolations")                                                                                                \
    X(LOSS, "losses")                                                                                                       \
    X(DISK_STALL, "stalls of a disk")                                                                                       \
    X(CRASH_AT_CALL, "crashes in a call of the disk")                                                                       \
    X(WALL_JUMP, "jumps of a wall clock")

enum kind {
#define X(kind, text) kind,
    KINDS(X)
#undef X
        KIND_COUNT
};

static const char *const words[] = {
#define X(kind, text) text,
    KINDS(X)
#undef X
};

enum {
    AGAIN_MIN_US = 20 * US_PER_MS,
    OFF_MAX_US = 4000 * US_PER_MS,
    PAUSE_MAX_US = 3000 * US_PER_MS,
    CUT_MAX_US = 5000 * US_PER_MS
};

static struct {
    int nodes;
    bool closed;
    bool enabled[KIND_COUNT];
    uint64_t every_us;
    bool ended;
    uint64_t count[KIND_COUNT];
    uint64_t total[KIND_COUNT];
} f;

static int any_node(void) {
    return (int)world_between(0, (uint64_t)f.nodes - 1);
}

// --- starting again ---

static void start_again(void *a, uint64_t host) {
    (void)a;
    struct host *h = host_of((int)host);
    if (f.closed) {
        return;
    }
    if (h->running && (h->stopping || h->disk.dead)) {
        world_at(world_now() + AGAIN_MIN_US, start_again, NULL, host);
    } else if (!h->running) {
        host_start((int)host, true);
    }
}

// A node may end by itself: its disk has failed, or it was asked to.
static void look_after(void *a, uint64_t host) {
    (void)a;
    if (f.closed) {
        return;
    }
    struct host *h = host_of((int)host);
    if (!h->running) {
        world_at(world_now() + world_between(AGAIN_MIN_US, OFF_MAX_US), start_again, NULL, host);
    }
    world_at(world_now() + 500 * US_PER_MS, look_after, NULL, host);
}

static void power_off(int host, bool machine) {
    if (!host_of(host)->running || host_of(host)->stopping) {
        return;
    }
    if (machine) {
        host_crash(host);
    } else {
        host_kill(host);
    }
    world_at(world_now() + world_between(AGAIN_MIN_US, OFF_MAX_US), start_again, NULL, (uint64_t)host);
}

// --- what ends by itself ---

static void go_on(void *a, uint64_t host) {
    (void)a;
    if (host_of((int)host)->paused) {
        host_pause((int)host, false);
    }
}

static void heal(void *a, uint64_t pair) {
    (void)a;
    network_cut((int)(pair >> 8), (int)(pair & 0xff), false);
}

static void cut(int from, int to, uint64_t for_us) {
    network_cut(from, to, true);
    world_at(world_now() + for_us, heal, NULL, (uint64_t)from << 8 | (uint64_t)to);
}

static void end_loss(void *a, uint64_t b) {
    (void)a;
    (void)b;
    network_set_loss(0);
}

// The disk may have died in the meantime, at the call that was drawn.
static void look_for_death(void *a, uint64_t host) {
    (void)a;
    struct host *h = host_of((int)host);
    if (h->disk.dead && h->running && !h->stopping) {
        power_off((int)host, true);
    } else if (h->disk.crash_at != 0 && h->running && !h->stopping) {
        world_at(world_now() + 200, look_for_death, NULL, host);
    }
}

// --- one fault ---

static void strike(enum kind kind) {
    int host = any_node();
    int other = any_node();
    struct host *h = host_of(host);
    f.count[kind]++;
    world_note((uint64_t)kind << 8 | (uint64_t)host);
    switch (kind) {
    case CRASH:
        power_off(host, true);
        break;
    case CRASH_ALL:
        for (int i = 0; i < f.nodes; i++) {
            power_off(i, true);
        }
        break;
    case KILL:
        power_off(host, false);
        break;
    case STOP:
        if (h->running && !h->paused) {
            host_stop(host);
        }
        break;
    case PAUSE:
        if (h->running && !h->paused && !h->stopping) {
            host_pause(host, true);
            world_at(world_now() + world_between(1000, PAUSE_MAX_US), go_on, NULL, (uint64_t)host);
        }
        break;
    case CUT:
    case CUT_ONE_WAY:
        if (host != other) {
            uint64_t us = world_between(AGAIN_MIN_US, CUT_MAX_US);
            cut(host, other, us);
            if (kind == CUT) {
                cut(other, host, us);
            }
        }
        break;
    case ISOLATE: {
        uint64_t us = world_between(AGAIN_MIN_US, CUT_MAX_US);
        for (int i = 0; i < f.nodes; i++) {
            if (i != host) {
                cut(host, i, us);
                cut(i, host, us);
            }
        }
        break;
    }
    case LOSS:
        network_set_loss((unsigned)world_between(1, 300));
        world_at(world_now() + world_between(AGAIN_MIN_US, CUT_MAX_US), end_loss, NULL, 0);
        break;
    case DISK_STALL:
        h->stalled_until_us = world_now() + world_between(AGAIN_MIN_US, 2000 * US_PER_MS);
        break;
    case CRASH_AT_CALL:
        if (h->running && !h->stopping && !h->disk.dead) {
            h->disk.crash_at = h->disk.calls + world_between(1, 40);
            look_for_death(NULL, (uint64_t)host);
        }
        break;
    case WALL_JUMP:
        h->wall_offset_us += world_between(0, 20000000) - 10000000;
        break;
    case KIND_COUNT:
        break;
    }
}

static void next_fault(void *a, uint64_t b) {
    (void)a;
    (void)b;
    if (f.ended) {
        return;
    }
    enum kind kind = (enum kind)world_between(0, KIND_COUNT - 1);
    if (f.enabled[kind]) {
        strike(kind);
    }
    world_at(world_now() + world_between(f.every_us / 4, f.every_us), next_fault, NULL, 0);
}

void faults_begin(int nodes) {
    f.nodes = nodes;
    f.ended = f.closed = false;
    memset(f.count, 0, sizeof f.count);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        f.enabled[kind] = world_chance(2);
    }
    f.every_us = world_between(50 * US_PER_MS, 1500 * US_PER_MS);
    for (int i = 0; i < nodes; i++) {
        host_of(i)->drift_ppm = world_chance(2) ? (int64_t)world_between(0, 100000) - 50000 : 0;
        world_at(world_now() + 500 * US_PER_MS, look_after, NULL, (uint64_t)i);
    }
    world_at(world_now() + 1000 * US_PER_MS, next_fault, NULL, 0);
}

void faults_end(void) {
    f.ended = true;
    network_heal();
    network_set_loss(0);
    for (int i = 0; i < f.nodes; i++) {
        host_of(i)->stalled_until_us = 0;
        host_of(i)->disk.crash_at = 0;
        if (host_of(i)->paused) {
            host_pause(i, false);
        }
    }
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        f.total[kind] += f.count[kind];
    }
}

void faults_close(void) {
    f.closed = true;
}

void faults_print(void) {
    const char *before = "faults: ";
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        printf("%s%llu %s", before, (unsigned long long)f.total[kind], words[kind]);
        before = ", ";
    }
    printf("\n");
}

void faults_reset(void) {
    memset(&f, 0, sizeof f);
}
