// A machine: its clock, its disk, and the node on it, or a client.
#ifndef BATON_TESTS_WORLD_HOST_H
#define BATON_TESTS_WORLD_HOST_H

#include "../unit/wal_disk.h"
#include "base/metrics.h"
#include "network.h"
#include "node/config.h"
#include "node/node.h"

struct host {
    char name[16];
    const char *cloud;
    char address[32];
    bool is_node;
    bool founder;    // one of the first members
    bool lost;       // its disk was wiped or damaged, or has lost entries: it must be replaced
    bool set_back;   // its disk is an older one
    bool flipped;    // a bit of its disk
    bool failing;    // its disk has been told to fail a call
    bool hands_off;  // its disk is being changed: it must not be started
    unsigned lives;
    uint32_t level;       // the highest that its program reads (levels.h)
    uint32_t next_level;  // the same from its next start on
    uint32_t level_ever;  // the highest of its programs so far

    bool power;
    bool stopping;  // it ends, but its fiber has still to clear away
    bool running;   // its fiber runs
    bool paused;
    enum error_code failure;  // why the node has ended by itself; OK: it has not
    uint64_t starts;

    struct fiber *fiber;
    void (*tool)(int host);  // runs in place of a node
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

// Starts its node; a founder's has --bootstrap.
void host_start(int host);
// Runs `tool(host)` on its disk, of a node that is off, as a process that may be killed and paused like a node; its machine
// stops at so many calls of the disk, if that is not 0.
void host_run_tool(int host, void (*tool)(int host), uint64_t crash_after);
// The machine loses its power; or only the process is killed.
void host_crash(int host);
void host_kill(int host);
void host_pause(int host, bool pause);
bool host_is_off(int host);
// Asks the node to stop in order.
void host_stop(int host);
void host_wipe(int host);
// An older disk in place of its own; a bit of its disk turned: both of one that is off.
void host_set_back(int host, const struct disk *older);
void host_flip_bit(int host, uint64_t draw);
// Its log is a new one: what had befallen the one before is of no matter.
void host_forget(int host);
// A machine that was removed is wiped, and gets a new name.
void host_recycle(int host);
void hosts_free(void);

uint64_t host_sync_us(int host);
// Its disk takes so many times as long as usual.
void host_disk_speed(int host, unsigned times);

// Runs `start(user)` on a loop of this host, which is no node, until loop_leave.
void host_run_client(int host, void (*start)(void *user, uv_loop_t *loop), void *user);

#endif
