// Snapshots that this leader sends to followers whose next entry was compacted away (paper section 7): the newest image from
// its disk, in chunks on the connection for bulk data, several in flight, at most at the configured rate.
//
// The receiver says after each chunk how far it is, and the sender goes on from there: after a lost connection, a restart of
// the receiver, or a change of leader. If the receiver has a part of another image that is here, too, that one is completed.
#ifndef BATON_NODE_SNAPSHOT_SENDER_H
#define BATON_NODE_SNAPSHOT_SENDER_H

#include "raft/raft.h"

struct node;
struct snapshot_senders;

struct snapshot_senders *snapshot_senders_new(struct node *node);

// Closes the timer; before the loop runs for the last time.
void snapshot_senders_close(struct snapshot_senders *senders);

// After the loop has ended.
void snapshot_senders_free(struct snapshot_senders *senders);

// Once a turn: begins, continues and ends transfers.
void snapshot_senders_turn(struct node *node);

// The lowest last entry of the images on their way: entries after it must stay in the log. UINT64_MAX: there are none.
raft_index snapshot_senders_lowest(const struct snapshot_senders *senders);

struct snapshot_sending {
    uint64_t sent;  // bytes that the receiver has
    uint64_t size;  // 0: no snapshot is on its way to it
};

struct snapshot_sending snapshot_senders_status(const struct snapshot_senders *senders, const struct raft_id *peer);

#endif
