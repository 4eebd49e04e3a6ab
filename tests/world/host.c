// Machines: host.h.
#include "host.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "levels.h"
#include "node/internal.h"
#include "verbs/verbs.h"
#include "world.h"

static struct host hosts[HOSTS_MAX];
static int count;
static uv_check_t checks[HOSTS_MAX];

enum { SYNC_MIN_US = 80, SYNC_MAX_US = 400 };

struct host *host_of(int host) {
    assert(host >= 0 && host < count);
    return &hosts[host];
}

int host_count(void) {
    return count;
}

int host_of_address(const char *address) {
    for (int i = 0; i < count; i++) {
        if (strcmp(hosts[i].address, address) == 0) {
            return i;
        }
    }
    return NO_HOST;
}

const char *host_address(int host) {
    return hosts[host].address;
}

bool host_has_power(int host) {
    return hosts[host].power;
}

uint32_t world_level(void) {
    return current_host() == NO_HOST ? LEVEL_NEWEST : hosts[current_host()].level;
}

uint64_t host_generation(int host) {
    const struct node *node = hosts[host].node;
    return node == NULL ? 0 : node->identity.generation;
}

// --- clocks ---

enum { CLOCK_BASE_US = 1000 * US_PER_MS, MILLION = 1000000 };
#define WALL_US (UINT64_C(1764000000) * US_PER_S)

uint64_t host_clock(int host) {
    uint64_t now_us = world_now();
    return CLOCK_BASE_US + now_us + (uint64_t)((int64_t)now_us * hosts[host].drift_ppm / MILLION);
}

uint64_t host_clock_at(int host, uint64_t local_us) {
    uint64_t now_us = world_now();
    uint64_t local_now_us = host_clock(host);
    if (local_us <= local_now_us) {
        return now_us;
    }
    // A little late rather than early: whoever waits looks at the clock again.
    uint64_t wait_us = local_us - local_now_us;
    return now_us + wait_us + wait_us / MILLION * (uint64_t)(hosts[host].drift_ppm < 0 ? -hosts[host].drift_ppm : 0) + 1;
}

int64_t host_wall_us(int host) {
    return (int64_t)(WALL_US + host_clock(host) + hosts[host].wall_offset_us);
}

uint64_t host_sync_us(int host) {
    struct host *h = &hosts[host];
    uint64_t us = world_between(h->sync_min_us, h->sync_max_us);
    return h->stalled_until_us > world_now() + us ? h->stalled_until_us - world_now() : us;
}

void host_disk_speed(int host, unsigned times) {
    hosts[host].sync_min_us = (uint64_t)SYNC_MIN_US * times;
    hosts[host].sync_max_us = (uint64_t)SYNC_MAX_US * times;
}

// --- life ---

int host_add(const char *name, const char *cloud, bool is_node) {
    assert(count < HOSTS_MAX);
    struct host *h = &hosts[count];
    *h = (struct host){.cloud = cloud, .is_node = is_node, .sync_min_us = SYNC_MIN_US, .sync_max_us = SYNC_MAX_US};
    snprintf(h->name, sizeof h->name, "%s", name);
    snprintf(h->address, sizeof h->address, "198.18.%d.%d:7400", strcmp(cloud, "aws") == 0 ? 2 : 1, count + 1);
    disk_init(&h->disk, world_seed() + (uint64_t)count);
    h->disk.direct = DISK_NO_DIRECT;
    return count++;
}

static void on_stopped(void *user, enum error_code failure) {
    struct host *h = user;
    h->failure = failure;
    if (failure == ERR_UNKNOWN_COMMAND) {
        ledger_too_old((int)(h - hosts));
    }
    h->stopping = true;
    loop_leave(h->loop);
}

static void on_check(uv_check_t *handle) {
    ledger_look((int)(intptr_t)handle->data);
}

static void watch_turns(struct host *h) {
    uv_check_t *check = &checks[h - hosts];
    uv_check_init(h->loop, check);
    check->data = (void *)(h - hosts);
    uv_check_start(check, on_check);
}

static void run_node(void *user) {
    struct host *h = user;
    struct error error = {0};
    h->loop = loop_new();
    h->metrics = metrics_new();
    enum error_code code = node_start(h->loop, &h->config, h->metrics, on_stopped, h, &h->node, &error);
    if (code != OK) {
        h->node = NULL;
        if (!h->stopping && !h->disk.dead) {
            h->failure = code;
            ledger_start_failed((int)(h - hosts), &error);
        }
    } else {
        watch_turns(h);
        if (!h->stopping) {
            loop_run(h->loop);
        }
        struct node *node = h->node;
        h->node = NULL;
        network_lose_host((int)(h - hosts), false);
        uv_close((uv_handle_t *)&checks[h - hosts], NULL);
        node_close(node);
        loop_run(h->loop);
        node_free(node);
    }
    if (code != OK) {
        loop_run(h->loop);
    }
    metrics_free(h->metrics);
    loop_free(h->loop);
    h->loop = NULL;
    h->running = h->stopping = false;
    world_note((uint64_t)(h - hosts));
}

static void configure(struct host *h) {
    h->config.node_id = raft_id_of(slice_of_str(h->name));
    h->config.cluster_id = raft_id_of(slice_of_str("world"));
    snprintf(h->config.cloud, sizeof h->config.cloud, "%s", h->cloud);
    h->config.data_dir = "data";
    h->config.listen = h->config.advertise = h->config.advertise_http = h->address;
    h->config.bootstrap = h->founder;
    h->config.verbs = all_verbs;
}

// The machine has its power, and runs a process.
static void begin(struct host *h, void (*run)(void *user)) {
    assert(h->is_node && !h->running);
    if (h->torn || (h->disk.dead && !h->killed)) {
        disk_crash(&h->disk);
    } else {
        disk_kill(&h->disk);
    }
    h->torn = h->killed = h->disk.dead = false;
    h->disk.crash_at = 0;
    h->level = h->next_level;
    h->level_ever = h->level > h->level_ever ? h->level : h->level_ever;
    configure(h);
    h->power = h->running = true;
    h->failure = OK;
    if (h->fiber != NULL) {
        fiber_free(h->fiber);
    }
    h->fiber = fiber_new((int)(h - hosts), run, h);
}

void host_start(int host) {
    hosts[host].starts++;
    begin(&hosts[host], run_node);
}

static void run_tool(void *user) {
    struct host *h = user;
    h->tool((int)(h - hosts));
    h->running = h->stopping = false;
}

void host_run_tool(int host, void (*tool)(int host), uint64_t crash_after) {
    struct host *h = &hosts[host];
    begin(h, run_tool);
    h->tool = tool;
    h->disk.crash_at = crash_after == 0 ? 0 : h->disk.calls + crash_after;
}

bool host_is_off(int host) {
    return !hosts[host].running;
}

static void end(struct host *h, bool machine) {
    int host = (int)(h - hosts);
    h->stopping = true;
    h->power = h->power && !machine;
    h->torn = h->torn || machine || h->disk.dead;
    h->killed = h->disk.dead = true;  // nothing of it happens any more
    if (h->paused) {
        host_pause(host, false);
    }
    network_lose_host(host, machine);
    if (h->loop != NULL) {
        loop_leave(h->loop);
    }
}

void host_crash(int host) {
    if (hosts[host].running) {
        end(&hosts[host], true);
    }
}

void host_kill(int host) {
    if (hosts[host].running) {
        end(&hosts[host], false);
    }
}

void host_pause(int host, bool pause) {
    hosts[host].paused = pause;
    fibers_pause(host, pause);
}

static void stop_node(void *a, uint64_t b) {
    struct host *h = a;
    (void)b;
    if (h->node != NULL && !h->stopping) {
        node_stop(h->node);
    }
}

void host_stop(int host) {
    if (hosts[host].node != NULL) {
        loop_post(hosts[host].loop, stop_node, &hosts[host], 0);
    }
}

void host_wipe(int host) {
    assert(!hosts[host].running);
    disk_free(&hosts[host].disk);
    disk_init(&hosts[host].disk, world_between(1, UINT32_MAX));
    hosts[host].disk.direct = DISK_NO_DIRECT;
    hosts[host].failing = false;
}

void host_set_back(int host, const struct disk *older) {
    struct host *h = &hosts[host];
    assert(!h->running);
    disk_free(&h->disk);
    disk_init(&h->disk, world_between(1, UINT32_MAX));
    h->disk.direct = DISK_NO_DIRECT;
    disk_copy(&h->disk, older);
    h->torn = h->killed = h->disk.dead = false;
    h->set_back = true;
}

void host_flip_bit(int host, uint64_t draw) {
    struct host *h = &hosts[host];
    assert(!h->running);
    if (h->torn || h->disk.dead) {
        disk_crash(&h->disk);
        h->torn = h->disk.dead = false;
        h->killed = true;
    }
    disk_flip(&h->disk, draw);
}

void host_forget(int host) {
    struct host *h = &hosts[host];
    h->torn = h->killed = h->disk.dead = false;
    h->lost = h->set_back = h->flipped = h->founder = false;
}

void host_recycle(int host) {
    struct host *h = &hosts[host];
    host_wipe(host);
    host_forget(host);
    h->level_ever = 0;
    snprintf(h->name, sizeof h->name, "r%d-%u", host % 100, ++h->lives % 100);
}

void hosts_free(void) {
    for (int i = 0; i < count; i++) {
        assert(!hosts[i].running);
        if (hosts[i].fiber != NULL) {
            fiber_free(hosts[i].fiber);
        }
        disk_free(&hosts[i].disk);
    }
    count = 0;
}

// --- clients ---

struct client_start {
    struct host *host;
    void (*start)(void *user, uv_loop_t *loop);
    void *user;
};

static void run_client(void *user) {
    struct client_start start = *(struct client_start *)user;
    free(user);
    start.host->loop = loop_new();
    loop_hold(start.host->loop);
    start.start(start.user, start.host->loop);
    loop_run(start.host->loop);
    loop_run(start.host->loop);  // what is left
    loop_free(start.host->loop);
    start.host->loop = NULL;
    start.host->running = false;
}

void host_run_client(int host, void (*start)(void *user, uv_loop_t *loop), void *user) {
    struct client_start *copy = malloc(sizeof *copy);
    *copy = (struct client_start){&hosts[host], start, user};
    hosts[host].power = hosts[host].running = true;
    hosts[host].fiber = fiber_new(host, run_client, copy);
}
