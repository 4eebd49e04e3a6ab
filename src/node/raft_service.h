// RaftService: turns calls from other members into events of the core, and the core's replies into responses.
#ifndef BATON_NODE_RAFT_SERVICE_H
#define BATON_NODE_RAFT_SERVICE_H

#include "raft/raft.h"

struct node;

// Serves it on the node's server.
void raft_service_start(struct node *node);

// The answer to a call of RaftService.
void raft_service_reply(struct node *node, const struct raft_message *reply);

#endif
