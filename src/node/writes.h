// Pending proposals: collected during a turn, then waiting in log order until they are applied.
#ifndef BATON_NODE_WRITES_H
#define BATON_NODE_WRITES_H

#include "raft/raft.h"
#include "rpc/rpc.h"

struct verb;

struct waiting_write {
    struct raft_entry_id id;
    struct rpc_call call;     // zero: of the leader itself, no client waits
    const struct verb *verb;  // of node/verb.h: what answers
    uint64_t appended_us;
};

struct writes;

struct writes *writes_new(void);

// Drops what is collected; calls that still wait must have been answered.
void writes_free(struct writes *writes);

// Takes over the entry's reference; it is proposed in this turn.
void writes_collect(struct writes *writes, struct raft_entry *entry, struct rpc_call call, const struct verb *verb);

// Whether something was collected that no event has taken yet.
bool writes_collected(const struct writes *writes);

// This turn's proposals as one event for the core; false: there are none. The array stays valid until writes_placed.
bool writes_event(struct writes *writes, struct raft_event *event);

// The core's answer to that event. Accepted: the collected writes wait from `first` on, and `lost` is called for those of an
// earlier term that waited for the same indexes. Refused: `refused` is called for each collected write.
void writes_placed(struct writes *writes, const struct raft_proposed *proposed, uint64_t now_us,
                   void (*lost)(void *user, const struct waiting_write *write),
                   void (*refused)(void *user, const struct waiting_write *write, enum raft_refusal refusal), void *user);

// An entry was applied. True: *write waited for exactly this entry and is taken off the queue. `lost` is called for writes
// that waited for an entry of another term at this index or for an earlier index, and for writes of an earlier term at a
// later index, which can no longer be committed.
bool writes_applied(struct writes *writes, struct raft_entry_id id, struct waiting_write *write,
                    void (*lost)(void *user, const struct waiting_write *write), void *user);

// Empties the queue and calls `lost` for each write, in order.
void writes_drop(struct writes *writes, void (*lost)(void *user, const struct waiting_write *write), void *user);

// The number of waiting writes.
size_t writes_count(const struct writes *writes);

#endif
