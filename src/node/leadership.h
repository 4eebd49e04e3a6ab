// Leadership as this node sees it: what follows from its changes, and transfers.
#ifndef BATON_NODE_LEADERSHIP_H
#define BATON_NODE_LEADERSHIP_H

#include "node/transfer.h"
#include "raft/raft.h"

struct node;

// "n1 transitioned from Follower to Candidate (term 3)": the wording is a contract (docs/operations.md).
void leadership_log(const struct node *node, const struct raft_transition *transition);

// Once a turn, after committed entries were applied: reacts to a new leader, or to the loss of one.
void leadership_follow(struct node *node, const struct raft_update *update);

// Once a turn, after replies: ends what has waited too long without a leader, and a transfer that is over.
void leadership_settle(struct node *node, const struct raft_update *update);

// Begins a transfer that no client has asked for, and logs it with the reason. No effect while one is running.
void leadership_hand_over(struct node *node, const struct raft_id *target, const char *reason);

#endif
