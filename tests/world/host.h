// A machine: its clock, its disk, and the node on it, or a client.
#ifndef BATON_TESTS_WORLD_HOST_H
#define BATON_TESTS_WORLD_HOST_H

#include "../unit/wal_disk.h"
#include "base/metrics.h"
#include "network.h"
#include "node/config.h"
#include "node/node.h"

struct host {
    char name[8];
    const char *cloud;
    char address[32];
    bool is_node;

    bool power;
    bool stopping;  // it ends, but its fiber has still to clear away
    bool running;   // its fiber runs
    bool paused;
    enum error_code failure;  // why the node has ended by itself; OK: it has not
    uint64_t starts;

    struct fiber *fiber;
    uv_loop_t *loop;
    struct node *node;  // NULL: it has not started, or has ended
    struct node_config config;
    struct metrics *metrics;

    struct disk disk;
    bool no_wait;
    bool killed;
    bool torn;  // its machine has lost power: what was not synced may be lost
    uint64_t sync_min_us, sync_max_us;
    uint64_t stalled_until_us;

    int64_t drift_ppm;
    uint64_t wall_offset_us;
};

struct host *host_of(int host);
int host_count(void);

// A new host, which is off.
int host_add(const char *name, const char *cloud, bool is_node);

// Starts its node, which founds the cluster of these hosts if its disk is empty and `found`.
void host_start(int host, bool found);
// The machine loses its power; or only the process is killed.
void host_crash(int host);
void host_kill(int host);
void host_pause(int host, bool pause);
bool host_is_off(int host);
// Asks the node to stop in order.
void host_stop(int host);
void host_wipe(int host);
void hosts_free(void);

uint64_t host_sync_us(int host);

// Runs `start(user)` on a loop of this host, which is no node, until loop_leave.
void host_run_client(int host, void (*start)(void *user, uv_loop_t *loop), void *user);

#endif
