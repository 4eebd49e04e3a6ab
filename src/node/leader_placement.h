// Feeds policy/placement.h with what this node measures and its peers report, and carries out its decisions.
#ifndef BATON_NODE_LEADER_PLACEMENT_H
#define BATON_NODE_LEADER_PLACEMENT_H

#include "baton/v1/control.pb.h"
#include "raft/raft.h"

struct node;

// Once the configuration is known.
void leader_placement_start(struct node *node);

// Another configuration is in force.
void leader_placement_follow(struct node *node);

// Once a second: this node's own report, and the decision.
void leader_placement_sample(struct node *node);

// For peer_options.on_status, with the node as `user`: a peer's report, and the decision.
void leader_placement_heard(void *user, const struct raft_id *peer, const struct pb_status_response *status);

#endif
