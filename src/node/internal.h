// The node's one struct, and what its files ask of each other. Only files of this room include it.
#ifndef BATON_NODE_INTERNAL_H
#define BATON_NODE_INTERNAL_H

#include "base/arena.h"
#include "base/slog.h"
#include "node/answers.h"
#include "node/handover.h"
#include "node/node.h"
#include "node/peers.h"
#include "node/reads.h"
#include "node/watches.h"
#include "node/writes.h"
#include "policy/liveness.h"
#include "policy/placement.h"
#include "rpc/rpc.h"
#include "wal/wal.h"
#include "wire/control.h"
#include "wire/raft_messages.h"

// What a stalled client or peer may keep us waiting for when we leave.
#define TRANSFER_PATIENCE_US (1500 * US_PER_MS)
#define DRAIN_PATIENCE_MS    400

// Writes of a leader that has lost its term are answered "outcome unknown" after so long without learning more.
#define ORPHAN_PATIENCE_US (2 * US_PER_S)

// Without a leader for so long, a Watch ends with UNAVAILABLE: a cut-off node must not look like a quiet one.
#define LEADERLESS_PATIENCE_US (2 * US_PER_S)

// A turn at least so often: the core must never take an idle loop for one that stood still (see raft/raft.h, contract 4).
#define TURN_GAP_MAX_US (100 * US_PER_MS)

// Entries applied in one turn: a restarted node replays its log without missing its heartbeats.
enum { APPLY_TURN_MAX = 4096 };

struct node_metrics {
    struct metric *elections;
    struct metric *term;
    struct metric *is_leader;
    struct metric *has_leader;
    struct metric *leader_changes;
    struct metric *commit_index;
    struct metric *applied_index;
    struct metric *proposals;
    struct metric *proposals_failed;
    struct metric *proposals_pending;
    struct metric *reads;
    struct metric *wal_batches;
    struct metric *wal_bytes;
    struct metric *wal_full;
    struct metric *log_bytes;
    struct metric *placement_moves;
    struct metric *workers[2][2];  // [gcp, aws][offline, online]
    struct histogram *replication_latency;
    struct histogram *fsync;
    struct metric *uptime;
    struct metric *cpu_seconds;
    struct metric *resident_bytes;
    struct metric *open_fds;
    struct metric *max_fds;
    struct metric *start_time;
};

enum stopping { RUNNING, TRANSFERRING, DRAINING, STOPPED };

struct node {
    const struct node_config *config;
    uv_loop_t *loop;
    struct metrics *metrics;
    struct node_metrics m;
    void (*stopped)(void *user, enum error_code failure);
    void *stopped_user;

    struct raft_slab *slab;
    struct wal *wal;
    struct raft_node *raft;  // NULL: this node started empty without --bootstrap and belongs to no cluster
    struct state *state;
    struct wire_configuration configuration;
    struct wire_identity identity;

    struct rpc_runtime *rpc;
    struct rpc_service services[3];
    struct rpc_server *server;
    struct peers *peers;
    struct writes *writes;
    struct reads *reads;
    struct answers *answers;
    struct watches *watches;
    struct liveness *liveness;
    struct handover *handover;

    // The turn.
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t tick;
    uv_async_t wal_done;
    uv_idle_t busy;   // runs while there is more to do at once, so that the loop does not wait
    uint64_t now_us;  // monotonic; read once before and once after the loop waits
    uint64_t next_tick_us;
    uint64_t armed_us;  // when `tick` fires; 0: it is not set
    uint64_t last_turn_us;
    struct raft_event *events;
    size_t event_count;
    size_t event_cap;
    struct arena turn;        // what this turn's events point to
    struct arena scratch;     // for one call at a time
    struct buf out;           // for one message at a time
    struct buf request;       // for one request, as far as it is understood
    raft_index applied_told;  // to the core
    bool collected;           // writes, reads or a handover wait for the turn
    int64_t command_time_ms;  // of the last command proposed

    // After a step.
    struct raft_message *held;  // wait for a write to be durable; none carries entries
    size_t held_count;
    size_t held_cap;
    uint64_t durable_write;
    enum wal_condition condition;
    struct wal_status wal_status;

    // Who leads, as seen here.
    enum raft_state state_before;
    uint64_t leader_since_us;  // when this node became leader; 0: it is not
    uint64_t leader_lost_us;   // when no leader was known any more; 0: one is
    bool serving_workers;      // leader, established, and the registry is current
    bool expiry_read;          // a quorum is being asked before anybody is called offline
    bool *changing;            // by worker slot: its change is proposed and not yet applied
    uint32_t changing_count;

    // Where the leader serves best.
    struct placement placement;
    double syncs_seconds;  // of the log, since the last sample
    size_t syncs;
    double disk_sync_ms;  // smoothed; 0: nothing was synced yet

    struct slog_limit refused;  // lines about messages that were

    enum stopping stopping;
    uint64_t stopping_until_us;
    uint64_t started_us;
    uv_timer_t sample;  // once a second: process metrics, round trips
};

// --- turn.c ---

uint64_t node_clock_us(void);
int64_t node_wall_ms(void);

// Room for one more event of this turn.
struct raft_event *node_event(struct node *node);

// Does the turn if there is anything to do. `after_wait`: all waiting input has been read.
void node_turn(struct node *node, bool after_wait);

// The timer's callback: the turn itself follows when the loop prepares to wait.
void node_tick(uv_timer_t *timer);

// The process cannot go on: says so, and ends the node.
void node_fail(struct node *node, enum error_code code, const char *message);

// The time that a command proposed now carries: the wall clock, but never below an earlier command's.
int64_t node_command_time_ms(struct node *node);

// --- node.c ---

// While leaving: goes on to drain the calls once a successor has committed, or it takes too long.
void node_stop_progress(struct node *node);

// --- apply.c ---

// Applies committed entries, at most APPLY_TURN_MAX; answers who waits for them. True: more are left.
bool node_apply(struct node *node);

// A write that waited will not be answered by its entry. `outcome_known`: another entry was committed in its place, so it
// has surely not happened.
void node_write_lost(struct node *node, const struct waiting_write *write, bool outcome_known);

// --- services ---

// Without `user`, which each node fills in with itself.
extern const struct rpc_service raft_service;
extern const struct rpc_service control_service;
extern const struct rpc_service worker_service;

// The answer to a RaftService call.
void raft_service_reply(struct node *node, const struct raft_message *reply);

// Ends a call that needs the leader, saying who that is: FAILED_PRECONDITION, or UNAVAILABLE without one.
void control_redirect(struct node *node, struct rpc_call call);

// A Put or Delete, checked and proposed, paused, or redirected.
void control_write(struct node *node, struct rpc_call call, enum write_kind kind, struct slice request);

// Answers a write, a read, a transfer.
void control_write_done(struct node *node, const struct waiting_write *write, const struct state_result *result);
void control_read_ready(struct node *node, const struct waiting_read *read, struct slice request);

// The queue of answers that take long.
struct answers *control_answers_new(struct node *node);
void control_transfer_done(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome,
                           enum raft_refusal refusal);

// Ends the call of a registration or goodbye that this node, no longer leading, cannot take.
void worker_redirect(struct node *node, const struct waiting_write *write);
void worker_write_done(struct node *node, const struct waiting_write *write, const struct state_result *result);

// --- workers.c: the registry's liveness on the leader ---

// A heartbeat of the registered instance has come in.
void workers_heard(struct node *node, const struct state_worker *worker);

// Proposes changes of workers' status. `call` is answered as `kind` says.
void workers_propose(struct node *node, const struct state_worker_change *changes, size_t count, struct rpc_call call,
                     enum write_kind kind);

// When workers_tick has something to do; UINT64_MAX while a quorum is asked. And that.
uint64_t workers_due_us(const struct node *node);
void workers_tick(struct node *node);
void workers_leadership(struct node *node);  // established or lost
void workers_confirmed(struct node *node, bool leader);
void workers_applied(struct node *node, const struct state_command *command);
void workers_lost(struct node *node);  // a proposed change did not come to be

// When this leader last heard the worker; false: it does not lead, or has not yet.
bool node_worker_last_seen(const struct node *node, uint32_t slot, int64_t *unix_ms);

// --- place.c ---

// Once the configuration is known.
void node_place_start(struct node *node);

// Once a second: how this node itself is, and the decision.
void node_place_sample(struct node *node);

// The decision: hands over if it says so.
void node_place(struct node *node);

// For peers_options: what a peer says of itself; and the decision.
void node_place_heard(void *user, const struct raft_id *peer, const struct wire_status_response *status);

// How long a sync of the log takes lately: smoothed, or what the one under way has taken already.
double node_disk_sync_ms(const struct node *node);

// --- status.c ---

// How this node sees the cluster, for ControlService.Status and for HTTP.
const struct wire_member *node_member(const struct node *node, const struct raft_id *id);
struct node_status {
    struct wire_status_response response;  // into what follows, and into the node
    struct wire_member_status members[MEMBERS_MAX];
    struct wire_round_trip round_trips[MEMBERS_MAX][MEMBERS_MAX];
};
void node_status(struct node *node, struct node_status *status);

// How far a member's log is, as far as this leader knows; 0 on other nodes.
raft_index node_match_index(const struct node *node, const struct raft_id *id);
void node_metrics_register(struct node *node);

// Once a second: what the process uses, and the workers by cloud and status.
void node_metrics_sample(struct node *node);

#endif
