// A verb is one call that this node answers: its description from the .proto, and the code that cannot be generated.
// src/verbs has one file for each; this header is all that they see of the node.
//
// The node decodes the request and checks its rules (wire/codec.h), then, by the call's access (proto/baton/v1):
//   write  asks `propose` for the command, proposes it, and once the entry is applied calls `applied`, which replies;
//   read   waits until a quorum has confirmed this leader, then calls `answer`; at once if the request is stale; on another
//          node, if the request is for any, waits until the leader has confirmed an index (node/read_index.h);
//   local  calls `answer` at once.
// A verb replies exactly once, now or later, by node_reply, node_tell or node_redirect. If the client is gone, a reply has
// no effect. Everything runs on the loop's thread.
#ifndef BATON_NODE_VERB_H
#define BATON_NODE_VERB_H

#include "base/arena.h"
#include "base/buf.h"
#include "node/outcome.h"
#include "node/transfer.h"
#include "node/view.h"
#include "policy/membership.h"
#include "state/image.h"
#include "state/state.h"
#include "wire/configuration.h"
#include "wire/schema.h"

struct journal;
struct node;
struct raft_node;

struct verb {
    const struct pb_method *method;  // NULL: of the leader itself; no client waits

    // Checks what the rules of single fields cannot. ERR_INVALID naming the field. NULL: nothing to check.
    enum error_code (*check)(const void *request, struct error *error);

    // What the request is about, which the caller must be permitted (node/access.h): the id of a worker's own calls; else
    // the key, or what all keys that it is about begin with. NULL: all there is.
    struct slice (*scope)(const void *request);

    // What a program, or an operator with grants, must be granted for that (enum pb_access_verb). 0: a program may not make
    // the call, an operator with grants needs PB_ACCESS_VERB_ADMIN.
    uint32_t grant;
    bool any_grant;  // any will do

    bool audited;  // a change: its outcome is a line of the audit log (node/audit.h)

    // Whether this node can serve the call now; false: it has answered. NULL: a write, or a read that is not stale, needs
    // the leader and is redirected otherwise; a local call needs nothing.
    bool (*ready)(struct node *node, struct rpc_call call);

    // Write. Sets the operation of a command that is zero but for its format; false: it has answered, nothing is proposed.
    bool (*propose)(struct node *node, struct rpc_call call, const void *request, struct pb_command *command);
    void (*applied)(struct node *node, struct rpc_call call, const struct state_result *result);
    bool pauses;  // waits for the end of a transfer of leadership instead of being refused

    // Read and local. The state machine has applied everything up to `index`.
    void (*answer)(struct node *node, struct rpc_call call, const void *request, raft_index index);
    bool (*is_stale)(const void *request);     // read: this node's own state will do; NULL: never
    bool (*is_anywhere)(const void *request);  // read: any node may answer, linearizably; NULL: only the leader
    bool in_quarantine;                        // local: answers in quarantine, too (node/quarantine.h)
    bool was_local;  // is_anywhere: if the leader is too old to confirm an index, this node's own state will do
    bool (*is_slow)(const void *request);  // the answer may take long (node/slow_replies.h); NULL: never

    // The read was refused, or the command will not be applied, or not here. Called before the client is answered. NULL:
    // ignored; required if `method` is NULL.
    void (*lost)(struct node *node);

    // Streams; NULL elsewhere. The call has ended; its output has room again.
    void (*cancelled)(struct node *node, struct rpc_call call);
    void (*writable)(struct node *node, struct rpc_call call);

    // The operation that it logs (0: none), and its summary for operators: put "k1" (256 bytes).
    enum pb_command_op op;
    void (*summarize)(const struct pb_command *command, struct buf *out);
};

// --- replies ---

// Ends the call with OK and the response, a struct of the method's response type.
void node_reply(struct node *node, struct rpc_call call, const struct pb_method *method, const void *response);

// Ends the call with an outcome (node/outcome.h).
void node_tell(struct node *node, struct rpc_call call, enum outcome outcome, const struct outcome_facts *facts);

// Ends the call with an error of its request (outcome_refuse).
void node_refuse(struct node *node, struct rpc_call call, const struct error *error);

// Ends the call with OUTCOME_NOT_LEADER, naming the leader, or with OUTCOME_NO_LEADER.
void node_redirect(struct node *node, struct rpc_call call);

// `ready` of a local call that only the leader can answer: others redirect it.
bool node_leads_or_redirects(struct node *node, struct rpc_call call);

// Proposes a command in this turn; verb->applied then answers `call`. Format and operation are set, the time is set here. On
// failure the call has been answered.
void node_propose(struct node *node, struct rpc_call call, const struct verb *verb, struct pb_command *command);

// The level for a command whose rules began with `level`: that one, or 0 while the cluster has not been raised to it, as a
// member may not know it. A new operation has no meaning at level 0: its verb refuses while this returns 0.
uint32_t node_command_level(const struct node *node, uint32_t level);

// --- what the node knows ---

const struct state *node_state(const struct node *node);
const struct wire_configuration *node_configuration(const struct node *node);
const struct raft_id *node_id(const struct node *node);

// The state after entry `index`, if this node still holds it for the further pages of a list; NULL: it does not.
const struct state_version *node_held_version(struct node *node, raft_index index);

// Holds the present state for further pages.
void node_hold_version(struct node *node);

// For one answer: reset before each.
struct arena *node_scratch(struct node *node);

// The core, to read the log from.
const struct raft_node *node_raft(const struct node *node);

// Why things happened (base/journal.h).
const struct journal *node_journal(const struct node *node);

// As GET /metrics, appended.
void node_metrics(struct node *node, struct buf *out);

// This node's flags and their values, one a line (node/config.h).
const char *node_settings(const struct node *node);

bool node_leads(const struct node *node);
const struct wire_member *node_leader(const struct node *node);  // NULL: none is known

// Leads, and has applied the no-op of its term: its registry holds all that was ever acknowledged.
bool node_serves_workers(const struct node *node);

// Fills *status (node/view.h) with how this node sees the cluster.
void node_status(struct node *node, struct node_status *status);

// A worker as ListWorkers and /cluster-state show it. Borrows from the state machine; allocates nothing.
struct pb_worker_info node_worker_info(const struct node *node, const struct state_worker *worker);

// --- what the node does ---

// Another node has called (its id is in the metadata): connections to it that are down are tried again now.
void node_heard_peer(struct node *node, struct rpc_call call);

// A heartbeat of the registered instance has arrived. True: the worker is offline, or a change to offline is in flight; the
// caller proposes its return.
bool node_heard_worker(struct node *node, const struct state_worker *worker);

// Begins an operator's transfer of leadership to `target`, or, if its len is 0, to the most up-to-date voter. `done` answers
// the call when it ends; at once if it cannot begin, or if the target leads already. Only on the leader.
void node_transfer_leadership(struct node *node, const struct raft_id *target, struct rpc_call call, transfer_done *done);

struct snapshot_result {
    raft_index index;  // of the last entry that the image covers
    uint64_t bytes;
    double seconds;
    const char *error;  // NULL: it is durable
};

// The end of an operator's request.
typedef void snapshot_done(struct node *node, struct rpc_call call, const struct snapshot_result *result);

// Takes a snapshot of the present state now, or after the one that is being written (node/snapshots.h); `done` answers the
// call once it is durable or has failed. False: too many wait already.
bool node_take_snapshot(struct node *node, struct rpc_call call, snapshot_done *done);

// Streams an image of the present state (node/backups.h). False: BACKUPS_MAX are under way.
bool node_backup(struct node *node, struct rpc_call call);
void node_backup_cancelled(struct node *node, struct rpc_call call);
void node_backup_writable(struct node *node, struct rpc_call call);

// Checks the change by the rules of policy/membership.h and, unless it is a dry run, proposes it; answers the call with a
// MemberEffect. `cloud` of a node that is added. A leader that is to be removed hands leadership over instead, and
// redirects the call to its successor. Only on the leader.
void node_change_members(struct node *node, struct rpc_call call, const struct change *change, struct slice cloud,
                         bool dry_run);

// Streams all changes of keys with the prefix from revision `from` on. False: there are WATCHES_MAX already.
bool node_watch(struct node *node, struct rpc_call call, struct slice prefix, uint64_t from);
void node_watch_cancelled(struct node *node, struct rpc_call call);
void node_watch_writable(struct node *node, struct rpc_call call);

#endif
