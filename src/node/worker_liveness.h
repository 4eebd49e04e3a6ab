// The liveness of workers on the leader: turns heartbeats and their absence into proposals. The rule is in
// policy/liveness.h.
//
// A worker is declared offline only after this turn's input has been read (the tick runs after the loop's poll) and after
// a quorum has confirmed that this node still leads.
#ifndef BATON_NODE_WORKER_LIVENESS_H
#define BATON_NODE_WORKER_LIVENESS_H

#include "baton/v1/control.pb.h"
#include "state/state.h"

struct node;
struct worker_liveness;

struct worker_liveness *worker_liveness_new(void);
void worker_liveness_free(struct worker_liveness *workers);

// This node has begun or stopped to serve workers (node_serves_workers).
void worker_liveness_leadership(struct node *node);

// When worker_liveness_tick is due; UINT64_MAX: never, or a quorum is being asked.
uint64_t worker_liveness_due_us(const struct node *node);
void worker_liveness_tick(struct node *node);

// A peer's Status. If it leads, this node may become its successor and then needs workers_heard_since_unix_ms.
void worker_liveness_peer(struct node *node, const struct pb_status_response *status);

// workers_heard_since_unix_ms of this node's Status.
int64_t worker_liveness_heard_since_ms(const struct node *node);

// When a worker was last known to be alive, and by which source.
struct worker_seen {
    int64_t unix_ms;
    const char *source;  // "leader", "predecessor" or "log": see WorkerInfo.last_seen_source in control.proto
};

// False: this node does not serve workers, and does not know.
bool node_worker_seen(const struct node *node, const struct state_worker *worker, struct worker_seen *seen);

// A registration or a change of workers has been applied.
void worker_liveness_applied(struct node *node, const struct pb_command *command);

#endif
