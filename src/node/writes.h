// Proposals on their way: collected during a turn, then waiting in log order until they are applied.
#ifndef BATON_NODE_WRITES_H
#define BATON_NODE_WRITES_H

#include "raft/raft.h"
#include "rpc/rpc.h"

enum write_kind { WRITE_PUT, WRITE_DELETE, WRITE_REGISTER, WRITE_DEREGISTER, WRITE_WORKER_CHANGES };

struct waiting_write {
    struct raft_entry_id id;
    struct rpc_call call;  // zero: nobody waits (the leader's own changes)
    enum write_kind kind;
    uint64_t appended_us;
};

struct writes;

struct writes *writes_new(void);

// Drops what is collected; who still waits must have been answered.
void writes_free(struct writes *writes);

// Takes the entry's reference; it is proposed in this turn.
void writes_collect(struct writes *writes, struct raft_entry *entry, struct rpc_call call, enum write_kind kind);

// This turn's proposals as one event for the core; false: there are none. The array stays valid until writes_placed.
bool writes_event(struct writes *writes, struct raft_event *event);

// What the core said to that event: on acceptance the collected writes wait from `first` on; who waited there before, from a
// term that was overwritten, is lost. On refusal each collected write is refused.
void writes_placed(struct writes *writes, const struct raft_proposed *proposed, uint64_t now_us,
                   void (*lost)(void *user, const struct waiting_write *write),
                   void (*refused)(void *user, const struct waiting_write *write, enum raft_refusal refusal), void *user);

// The entry has been applied: whoever waits for exactly it is taken off the queue and true is returned. Who waited for an
// entry of another term at this index, or before it, is lost; so is whoever waited for one of an earlier term behind it,
// which can never be committed any more.
bool writes_applied(struct writes *writes, struct raft_entry_id id, struct waiting_write *write,
                    void (*lost)(void *user, const struct waiting_write *write), void *user);

// Everybody who waits, in order, is taken off with `lost`.
void writes_drop(struct writes *writes, void (*lost)(void *user, const struct waiting_write *write), void *user);

// How many wait.
size_t writes_count(const struct writes *writes);

#endif
