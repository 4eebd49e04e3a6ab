// Which workers are alive, by their heartbeats: a pure table with the time as an argument.
//
// Heartbeats live in the leader's memory only, on the monotonic clock; what changes (online, offline) goes through the log.
// As every worker has the same interval, the order of deadlines is the order of the last heartbeats: one list, touched at
// its ends, so a heartbeat costs the same with ten workers and with a hundred thousand.
//
// A process that stood still may have heartbeats waiting that nobody has read. But it does not lead any more then (see
// raft/raft.h, contract 4), and when it does again every deadline counts anew.
#ifndef BATON_POLICY_LIVENESS_H
#define BATON_POLICY_LIVENESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

// Offline so long after the last heartbeat: three missed, and a second's grace for the third to be late. Design: never
// before 15 s, never after 20 s.
#define LIVENESS_TIMEOUT_US (WORKER_MISSED_MAX * WORKER_HEARTBEAT_US + US_PER_S)

struct liveness;

struct liveness *liveness_new(void);
void liveness_free(struct liveness *liveness);

// This node has become leader and its no-op is applied: nobody is known, every deadline counts from now on.
void liveness_reset(struct liveness *liveness);

// The worker of that slot (state_worker.slot) is to be watched from `now_us` on, unheard so far: it gets a full timeout.
void liveness_watch(struct liveness *liveness, uint32_t slot, uint64_t now_us);

// Its heartbeat or registration has come in.
void liveness_heard(struct liveness *liveness, uint32_t slot, uint64_t now_us);

// Stops watching it: it is offline, or gone.
void liveness_forget(struct liveness *liveness, uint32_t slot);

// Whether it is being watched.
bool liveness_watches(const struct liveness *liveness, uint32_t slot);

// When this leader last heard it, on the caller's clock; false: not yet. Survives liveness_forget.
bool liveness_last_heard(const struct liveness *liveness, uint32_t slot, uint64_t *heard_us);

// The slots whose time has passed, at most `max`, longest ago first. They stay watched: the caller proposes their change,
// and forgets them when it is applied.
size_t liveness_expired(const struct liveness *liveness, uint64_t now_us, uint32_t *slots, size_t max);

// The caller's clock at which the next one expires; UINT64_MAX: none is watched.
uint64_t liveness_next_us(const struct liveness *liveness);

#endif
