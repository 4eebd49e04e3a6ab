// A snapshot that comes from the leader in chunks (paper section 7, figure 13): stored in snap/ as it arrives, verified and
// loaded by another thread once it is whole, and then put in the place of this node's state, all at once. Until then the
// node goes on with its old state: it answers stale reads, and votes.
//
// What has arrived stays on the disk, also over a restart, and a leader is told from which byte to go on. Images of one
// entry are the same bytes on every node, so another leader can go on, too.
#ifndef BATON_NODE_SNAPSHOT_RECEIVER_H
#define BATON_NODE_SNAPSHOT_RECEIVER_H

#include "raft/raft.h"
#include "wire/raft_messages.h"

struct node;
struct snapshot_receiver;

struct snapshot_receiver *snapshot_receiver_new(struct node *node);

// After the loop has ended.
void snapshot_receiver_free(struct snapshot_receiver *receiver);

// A chunk has come in the call `message->call`; its bytes are copied. The core decides about it in this turn's step.
void snapshot_receiver_chunk(struct node *node, const struct raft_message *message, const struct wire_chunk *chunk);

// The core's reply to a chunk may leave: stores the chunk if it was accepted, and answers the call.
void snapshot_receiver_reply(struct node *node, const struct raft_message *reply);

// The last event of a step: a loaded snapshot. What the old state has applied was told before.
void snapshot_receiver_tell(struct node *node);

// After that step, before entries are applied: puts a loaded snapshot in place if the core has installed it.
void snapshot_receiver_follow(struct node *node, const struct raft_update *update);

// The node stops: no more is stored.
void snapshot_receiver_stop(struct snapshot_receiver *receiver);

#endif
