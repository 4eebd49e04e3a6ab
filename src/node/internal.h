// The node's state and what all its files share. Included only within this room. What one file needs of another is in that
// file's header; tests/structure checks that these includes make no circle.
#ifndef BATON_NODE_INTERNAL_H
#define BATON_NODE_INTERNAL_H

#include <uv.h>

#include "base/arena.h"
#include "base/slog.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/peers.h"
#include "node/reads.h"
#include "node/slow_replies.h"
#include "node/transfer.h"
#include "node/verb.h"
#include "node/watches.h"
#include "node/writes.h"
#include "policy/level.h"
#include "policy/placement.h"
#include "rpc/rpc.h"
#include "wal/wal.h"
#include "wire/raft_messages.h"

struct audit;
struct backups;
struct calls;
struct causes;
struct snapshot_receiver;
struct snapshot_senders;
struct membership;
struct node_digests;
struct quarantine;
struct snapshots;
struct timeline;
struct read_index;
struct turn;
struct worker_liveness;

enum stopping { RUNNING, TRANSFERRING, DRAINING, STOPPED };

// Durations of the log's syncs.
struct sync_time {
    double seconds;  // the sum since the last sample
    size_t count;
    double smoothed_ms;  // 0: nothing was synced yet
};

struct node {
    const struct node_config *config;
    int64_t certificates_expire_unix;  // the first of them; 0: there are none
    uv_loop_t *loop;
    struct metrics *metrics;
    struct node_metrics m;
    void (*stopped)(void *user, enum error_code failure);
    void *stopped_user;

    struct raft_slab *slab;
    struct wal *wal;
    struct raft_node *raft;
    struct state *state;
    // In force, from when its entry is appended. Without members: this node started empty without --bootstrap, belongs to no
    // cluster, and waits to be added.
    struct wire_configuration configuration;
    raft_index configuration_index;  // of the last configuration entry that was applied, and its command
    struct buf configuration_command;
    struct wire_identity identity;
    struct membership *membership;

    struct rpc_runtime *rpc;
    struct rpc_server *server;
    struct rpc_service raft_service;
    struct rpc_limits limits;  // of each client
    struct calls *calls;
    struct audit *audit;  // NULL: it is off
    struct peers *peers;
    struct writes *writes;
    struct reads *reads;  // of this node as the leader
    struct read_index *read_index;
    struct slow_replies *slow_replies;
    struct watches *watches;
    struct transfer *transfer;
    struct held_versions *held_versions;
    struct snapshots *snapshots;
    struct node_digests *digests;
    struct snapshot_senders *snapshot_senders;
    struct backups *backups;
    struct snapshot_receiver *snapshot_receiver;
    struct worker_liveness *workers;
    struct causes *causes;
    struct timeline *timeline;
    struct turn *turn;

    uint64_t now_us;  // monotonic, read once a turn before the step

    // This turn's events for the core, and what they point to.
    struct raft_event *events;
    size_t event_count;
    size_t event_cap;
    struct arena event_arena;

    struct arena scratch;     // for one call or entry at a time
    struct buf out;           // for one response at a time
    struct buf request;       // for one request at a time, encoded again
    int64_t command_time_ms;  // of the last command proposed

    struct wal_status wal_status;  // as of this turn
    struct sync_time sync_time;

    // Leadership as seen here.
    uint64_t leader_lost_us;  // since when no leader is known; 0: one is known
    bool serving_workers;     // leader, established, and the registry is current

    struct quarantine *quarantine;
    struct level_rule level_rule;
    struct placement placement;
    uint64_t wiped_told_us;  // when it was last logged that the data directory is not the member's; 0: never

    enum stopping stopping;
    uint64_t stopping_until_us;
    uint64_t started_us;
    uv_timer_t sample;  // once a second: round trips, placement, the timeline
};

// Monotonic, also while the machine is suspended: what others were promised, or have promised, ends meanwhile, too.
uint64_t node_clock_us(void);
int64_t node_wall_ms(void);

// Room for one more event of this turn.
struct raft_event *node_event(struct node *node);

// A fatal error: logs it and stops the node.
void node_fail(struct node *node, enum error_code code, const char *message);

// The time that a command proposed now carries: the wall clock, but never below an earlier command's.
int64_t node_command_time_ms(struct node *node);

// The leader's id; len 0: none is known.
const struct raft_id *node_leader_id(const struct node *node);

// No leader has been known for so long that clients are told: a partitioned node must not look idle.
bool node_is_leaderless(const struct node *node);

// A member's match index as this leader knows it; 0 on other nodes.
raft_index node_match_index(const struct node *node, const struct raft_id *id);

#endif
