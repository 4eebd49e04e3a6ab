// Which generation of the cluster this node is of (docs/design.md, "Generations"), and what it hears of others.
#ifndef BATON_NODE_GENERATION_H
#define BATON_NODE_GENERATION_H

#include <stdint.h>

#include "raft/raft.h"

struct node;

// This node's directory, or its configuration in force, has this generation: its own is that, unless it is higher already.
void generation_follow(struct node *node, uint64_t generation);

// Another of the same cluster, with whom it has been compared, is of this generation. If it is higher, this node stops
// serving.
void generation_heard(struct node *node, const struct raft_id *from, uint64_t generation);

#endif
