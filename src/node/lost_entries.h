// A member whose disk has lost entries that it had acknowledged: it was restored from an older copy, or did not keep what it
// had synced. The leader to whom it had acknowledged them finds out (`forgot` of raft_progress), and tells it with each
// Status call, since the core sends it nothing that would say so; the member compares that with its log, and stops.
#ifndef BATON_NODE_LOST_ENTRIES_H
#define BATON_NODE_LOST_ENTRIES_H

#include "raft/raft.h"
#include "rpc/rpc.h"

struct node;

// What a leader's Status says of such a member.
#define LOST_ENTRIES_TEXT                                                                                                   \
    "it has lost entries that it had acknowledged: its data directory was set back, and it counts for nothing (remove it, " \
    "and add the machine under a new id)"

// After a step of the core.
void lost_entries_settle(struct node *node, const struct raft_update *update);

// Whether this leader has found that out about a member.
bool lost_entries_of(const struct node *node, const struct raft_id *id);

// The member `from` has asked for this node's Status, and says perhaps what this node has lost. If that is so, it stops.
void lost_entries_told(struct node *node, struct rpc_call call, const struct raft_id *from);

#endif
