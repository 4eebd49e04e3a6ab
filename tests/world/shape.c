// Shapes: shape.h.
#include "shape.h"

#include <stdio.h>
#include <string.h>

#include "host.h"
#include "levels.h"
#include "world.h"

enum { MEMBERS_MOST = 7, SPARES_MOST = 3, CLIENTS_MOST = 8, WATCHERS_MOST = 2, WORKERS_MOST = 4, DRIFT_PPM = 50000 };
enum { NEAR_US = 150, FAR_US = 25000, NEAR_JITTER_US = 60, FAR_JITTER_US = 800 };

static const char *const clouds[] = {"gcp", "aws", "third"};

int shape_first_client(const struct shape *shape) {
    return shape->members + shape->spares;
}

int shape_first_watcher(const struct shape *shape) {
    return shape_first_client(shape) + shape->clients;
}

int shape_first_worker(const struct shape *shape) {
    return shape_first_watcher(shape) + shape->watchers;
}

int shape_operator(const struct shape *shape) {
    return shape_first_worker(shape) + shape->workers;
}

static void link_hosts(void) {
    for (int from = 0; from < host_count(); from++) {
        for (int to = 0; to < host_count(); to++) {
            bool far = strcmp(host_of(from)->cloud, host_of(to)->cloud) != 0;
            network_set_link(
                from, to,
                (struct link){.delay_us = far ? FAR_US : NEAR_US, .jitter_us = far ? FAR_JITTER_US : NEAR_JITTER_US});
        }
    }
}

// All programs are of this version, or of any.
static uint32_t draw_level(bool mixed) {
    return mixed ? (uint32_t)world_between(LEVEL_OLDEST, LEVEL_NEWEST) : (uint32_t)LEVEL_THIS;
}

static void configure(int host, const struct shape *shape, bool leases, bool mixed) {
    struct host *h = host_of(host);
    struct node_config *config = &h->config;
    config->heartbeat_interval_us = HEARTBEAT_INTERVAL_US;
    config->election_timeout_min_us = ELECTION_TIMEOUT_MIN_US;
    config->election_timeout_max_us = ELECTION_TIMEOUT_MAX_US;
    config->lease_reads = leases;
    config->snapshot_log_bytes = 16 * KIB;
    config->log_retention = 64 * KIB;
    config->snapshot_rate = 64 * MIB;
    config->placement = true;
    h->next_level = draw_level(mixed);
    h->founder = host < shape->members;
    for (int k = 0; k < shape->members && h->founder; k++) {
        struct wire_member *member = &config->peers[k];
        *member = (struct wire_member){.id = raft_id_of(slice_of_str(host_of(k)->name)), .voter = true};
        snprintf(member->address, sizeof member->address, "%s", host_of(k)->address);
        snprintf(member->cloud, sizeof member->cloud, "%s", host_of(k)->cloud);
        config->peer_count = (size_t)shape->members;
    }
    h->drift_ppm = world_chance(2) ? (int64_t)world_between(0, 2 * DRIFT_PPM) - DRIFT_PPM : 0;
}

static void add(const char *prefix, int count, int sites, bool is_node) {
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%s%d", prefix, i + 1);
        // Of three nodes in two clouds, two are in the first.
        host_add(name, clouds[sites == 2 ? i % 3 / 2 : i % sites], is_node);
    }
}

struct shape shape_draw(void) {
    struct shape shape = {.members = world_chance(3) ? (int)world_between(1, MEMBERS_MOST) : 3,
                          .spares = (int)world_between(0, SPARES_MOST),
                          .clients = (int)world_between(1, CLIENTS_MOST),
                          .watchers = (int)world_between(1, WATCHERS_MOST),
                          .workers = (int)world_between(0, WORKERS_MOST),
                          .clouds = world_chance(4) ? 3 : 2};
    add("n", shape.members, shape.clouds, true);
    add("s", shape.spares, shape.clouds, true);
    add("c", shape.clients, shape.clouds, false);
    add("watch", shape.watchers, shape.clouds, false);
    add("w", shape.workers, shape.clouds, false);
    add("op", 1, shape.clouds, false);
    link_hosts();
    bool leases = world_chance(4);
    bool mixed = world_chance(2);
    for (int i = 0; i < shape.members + shape.spares; i++) {
        configure(i, &shape, leases, mixed);
    }
    return shape;
}
