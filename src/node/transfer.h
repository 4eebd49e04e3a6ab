// A transfer of leadership (thesis section 3.10): asked for by an operator, by placement, or by the shutdown of this node.
//
// While it runs, new writes are queued here, neither refused nor proposed. Once the successor is known they are redirected
// to it; if none appears in time, this node goes on leading and proposes them. So a client that follows redirects loses no
// write to a transfer.
#ifndef BATON_NODE_TRANSFER_H
#define BATON_NODE_TRANSFER_H

#include "raft/raft.h"
#include "rpc/rpc.h"

struct node;
struct transfer;
struct verb;

// Called when a transfer has ended. NULL if no client has asked for it.
typedef void transfer_done(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome,
                           enum raft_refusal refusal);

struct transfer_end {
    enum raft_transfer_outcome outcome;
    enum raft_refusal refusal;  // of RAFT_TRANSFER_REFUSED
    struct rpc_call call;
    transfer_done *done;
};

struct transfer *transfer_new(void);
void transfer_free(struct transfer *transfer);

// Begins, towards `target` (len 0: the most up-to-date voter). False: one is running already, nothing was done.
bool transfer_begin(struct transfer *transfer, const struct raft_id *target, struct rpc_call call, transfer_done *done,
                    uint64_t now_us);

// Whether writes are paused now.
bool transfer_is_running(const struct transfer *transfer);

// Whether one has begun that the core does not know of yet; and the event for the core. It goes after the writes of the same
// turn that came in before it, since the core refuses writes from then on.
bool transfer_has_event(const struct transfer *transfer);
bool transfer_event(struct transfer *transfer, struct raft_event *event);

// Queues a write until the end; its message is copied. False: PAUSED_WRITES_MAX or UNCOMMITTED_BYTES_MAX are queued.
bool transfer_pause(struct transfer *transfer, const struct verb *verb, struct rpc_call call, struct slice message);

// Once a turn, with the core's update. True: the transfer has ended, as *end says.
bool transfer_follow(struct transfer *transfer, const struct raft_update *update, bool leader_known, uint64_t now_us,
                     struct transfer_end *end);

// After the end: calls `resume` for the paused writes, in order.
void transfer_resume(struct transfer *transfer,
                     void (*resume)(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message),
                     struct node *node);

#endif
