// Snapshots of this node's state, taken while it runs, and compaction of the log behind them (paper section 7).
//
// When the log since the last image has become long, or an operator asks (node_take_snapshot), a version of the state is
// taken, which costs nothing, and another thread writes its image (node/image.h). What is long is decided by entries alone,
// so that all nodes take images of the same indexes, and any of them as leader can go on with a transfer that another
// began: the log's length since the founding is cut at each multiple of --snapshot-log-bytes, doubled until that is no
// less than an image. A cut that passes while an image is written is let go. Once an image is durable the log is compacted:
// in memory a few thousand entries a turn, on the disk by whole segments. The image before stays, and the log since it:
// should the newest one turn out to be damaged, the node starts from those.
#ifndef BATON_NODE_SNAPSHOTS_H
#define BATON_NODE_SNAPSHOTS_H

#include "node/verb.h"
#include "raft/raft.h"

struct node;
struct snapshots;

struct snapshots *snapshots_new(void);

// After the loop has ended; a thread that was writing has then come back.
void snapshots_free(struct snapshots *snapshots);

// The image that this node has started from, its size, and when it was written. Removes what earlier runs have left in
// snap/.
void snapshots_recovered(struct node *node, struct raft_entry_id last, uint64_t bytes, int64_t written_unix_ms);

// An entry was applied, and no further one yet: begins an image if the log is cut here.
void snapshots_applied(struct node *node);

// Once a turn: begins an image if one is due, and compacts the log a part further, but keeps what follows `sending_index`,
// an image on its way to a follower. True: more is to be compacted.
bool snapshots_turn(struct node *node, raft_index sending_index);

struct snapshot_status {
    struct raft_entry_id last;  // that the newest durable image covers; index 0: there is none
    uint64_t bytes;
    int64_t written_unix_ms;  // or, from a leader, when it had arrived; 0: unknown
    bool suspect;             // it is being read again: see snapshots_suspect
};

struct snapshot_status snapshots_status(const struct snapshots *snapshots);

// This image does not seem to be whole: a follower that got it has refused it, or a backup could not be made of it. It is
// read again, by another thread. If it is damaged, that is said, its file goes, and another one is taken at once.
void snapshots_suspect(struct node *node, struct raft_entry_id last);

// An image from the leader, durable here, has taken the place of the state.
void snapshots_installed(struct node *node, struct raft_entry_id last, uint64_t bytes);

// The node stops: an image being written is given up.
void snapshots_stop(struct snapshots *snapshots);

#endif
