// RaftService: turns calls from other members into events of the core, and the core's replies into responses.
#ifndef BATON_NODE_RAFT_SERVICE_H
#define BATON_NODE_RAFT_SERVICE_H

#include "raft/raft.h"
#include "rpc/rpc.h"

struct node;

// Whether a call may speak for this node: on an encrypted connection its certificate names it.
bool raft_service_is_sender(struct rpc_peer peer, const struct raft_id *from);

// Serves it on the node's server.
void raft_service_start(struct node *node);

// The answer to a call of RaftService.
void raft_service_reply(struct node *node, const struct raft_message *reply);

#endif
