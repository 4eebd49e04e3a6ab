// The node follows the configuration in force (thesis section 4.1): peers, placement and Status have its members from when
// its entry is appended, and no longer when that is truncated.
#ifndef BATON_NODE_MEMBERSHIP_H
#define BATON_NODE_MEMBERSHIP_H

#include "baton/v1/control.pb.h"
#include "raft/raft.h"
#include "rpc/rpc.h"
#include "wire/configuration.h"

struct node;
struct membership;

struct membership *membership_new(void);
void membership_free(struct membership *membership);

// Once a turn, after the step and before its messages are sent.
void membership_follow(struct node *node, const struct raft_update *update);

// For peer_options.is_wanted, with the node as `user`: the core may have something to send to a node that was removed, or
// the removal may still be taken back.
bool membership_wants(void *user, const struct raft_id *id);

// Once a turn, after entries were applied: a node that has been removed says so and begins to stop.
void membership_settle(struct node *node, const struct raft_update *update);

// The committed configuration, by its entry, that has this id among those who were removed; 0: none is known.
raft_index membership_removal(const struct node *node, const struct raft_id *id);

// A peer's answer says that this node was removed: it was away for longer than a leader goes on telling it. It stops. An id
// is never used again, so that is final.
void membership_told_removed(struct node *node, const struct raft_id *peer);

// --- changes ---

enum membership_outcome {
    MEMBERSHIP_DONE,     // committed
    MEMBERSHIP_REFUSED,  // nothing was changed: see the refusal
    MEMBERSHIP_LOST,     // this node leads no more: the next leader may still commit it
};

typedef void membership_done(struct node *node, struct rpc_call call, enum membership_outcome outcome,
                             enum raft_refusal refusal);

// Proposes these members in this turn; `done` (may be NULL) follows. The incarnations that are known are filled in. False:
// another change of this node is under way.
bool membership_change(struct node *node, const struct wire_configuration *configuration, struct rpc_call call,
                       membership_done *done);

// The proposal as an event for the core, if there is one, and what became of it, by the tag MEMBERSHIP_TAG.
enum { MEMBERSHIP_TAG = 1 };
bool membership_has_event(const struct membership *membership);
bool membership_event(struct membership *membership, struct raft_event *event);
void membership_placed(struct node *node, const struct raft_proposed *proposed);

// A peer's Status: which data directory it has.
void membership_heard(struct node *node, const struct raft_id *peer, const struct pb_status_response *status);

// Once a second: the leader writes into the configuration which data directory a member has. The first time it waits until
// all have told it, so that a cluster of which 0.1.0 is a part needs to read nothing new.
void membership_sample(struct node *node);

// Whether this member has told lately that it knows nothing of incarnations, as 0.1.0.
bool membership_is_old(const struct node *node, const struct raft_id *id);

#endif
