// Causes: which events go into this node's journal, and those that nobody else would tell: what elections came from, slow
// writes, a slow disk.
//
// The journal listens to the process's log (slog_observe), so what is logged anywhere on this node is a cause without a
// further call.
#ifndef BATON_NODE_CAUSES_H
#define BATON_NODE_CAUSES_H

#include "raft/raft.h"

struct causes;
struct node;
struct waiting_write;

// Listens from now on; `node` is borrowed.
struct causes *causes_new(struct node *node);
void causes_free(struct causes *causes);

// The notes of an update.
void causes_noted(const struct raft_update *update);

// A write of this leader was committed and applied.
void causes_wrote(struct node *node, const struct waiting_write *write);

// The log was synced in so many seconds.
void causes_synced(struct causes *causes, double seconds);

// Once a second: tells of the slowest write and sync since the last time, and of a disk that does not answer.
void causes_sample(struct node *node);

#endif
