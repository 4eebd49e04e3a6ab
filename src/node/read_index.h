// Linearizable reads on a node that does not lead (thesis section 6.4): it asks the leader for its commit index, which the
// leader gives once a quorum has confirmed it, and answers from its own state when it has applied that. One call for all
// reads of a turn. A read that gets no index is tried again, and then refused; it is never answered from an older state.
#ifndef BATON_NODE_READ_INDEX_H
#define BATON_NODE_READ_INDEX_H

#include "node/reads.h"

struct node;
struct read_index;

struct read_index *read_index_new(void);
void read_index_free(struct read_index *index);

// Adds a read, or one that was refused and is tried again. Copies the request's bytes.
void read_index_collect(struct node *node, const struct verb *verb, struct rpc_call call, struct slice request);
void read_index_collect_again(struct node *node, const struct waiting_read *read, struct slice request);

// Once a turn, before the step: asks the leader for what was collected. Without a leader it waits until there is one, or the
// patience ends.
void read_index_ask(struct node *node);

// Whether the leader has answered since the last release.
bool read_index_has_news(const struct node *node);

// After entries were applied: see reads_release.
void read_index_release(struct node *node, void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                                         enum raft_refusal refusal));

// Another leader, or none, is known.
void read_index_follow(struct node *node);

// Whether the leader's version does not know the call.
bool read_index_is_unknown(const struct node *node);

#endif
