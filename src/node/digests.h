// The digests of this node's state and, as their Status tells, of the other members': compared once a second with each of
// them (policy/divergence.h). A node whose state is not that of a majority stops serving.
#ifndef BATON_NODE_DIGESTS_H
#define BATON_NODE_DIGESTS_H

#include "baton/v1/control.pb.h"
#include "policy/divergence.h"
#include "raft/raft.h"

struct node;
struct node_digests;

struct node_digests *digests_new(void);
void digests_free(struct node_digests *digests);

// Keeps the digest of the present state: after a start, and where an image is taken.
void digests_keep(struct node *node);

// An entry was applied: the same at each multiple of DIGEST_INTERVAL.
void digests_applied(struct node *node);

// Another state has taken the place of this node's: those of the old one say nothing any more.
void digests_replaced(struct node *node);

// A peer's Status: takes its digests, and compares.
void digests_heard(struct node *node, const struct raft_id *peer, const struct pb_status_response *status);

// The newest ones, for this node's Status; returns how many.
size_t digests_tell(const struct node *node, struct pb_state_digest out[DIGESTS_TOLD_MAX]);

#endif
