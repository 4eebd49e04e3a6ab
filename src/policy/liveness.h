// Which workers are alive, by their heartbeats: a pure table with the time as an argument.
//
// Heartbeats stay in the leader's memory, on its monotonic clock; only changes (online, offline) go through the log. All
// workers have one interval, so deadlines expire in the order of the last heartbeats: one linked list, and a heartbeat costs
// O(1) for any number of workers.
//
// After a stall of the process heartbeats may be waiting unread in its sockets. By then it no longer leads (raft/raft.h,
// contract 4), and once it leads again every worker gets a full timeout.
#ifndef BATON_POLICY_LIVENESS_H
#define BATON_POLICY_LIVENESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

// A worker is offline this long after its last heartbeat: three missed, and a second's grace for a late one. The promise
// is 15 to 20 s.
#define LIVENESS_TIMEOUT_US (WORKER_MISSED_MAX * WORKER_HEARTBEAT_US + US_PER_S)

struct liveness;

struct liveness *liveness_new(void);
void liveness_free(struct liveness *liveness);

// Forgets all workers: this node has become leader and has applied its no-op, or has lost leadership.
void liveness_reset(struct liveness *liveness);

// Watches the worker of that row (state_worker.row), which gets a full timeout from `now_us` on without having been heard.
void liveness_watch(struct liveness *liveness, uint32_t row, uint64_t now_us);

// Its heartbeat or registration has arrived; watches it.
void liveness_heard(struct liveness *liveness, uint32_t row, uint64_t now_us);

// Stops watching it: it is offline, or gone.
void liveness_forget(struct liveness *liveness, uint32_t row);

// Whether it is being watched.
bool liveness_watches(const struct liveness *liveness, uint32_t row);

// When this leader last heard it, on the caller's clock; false: never. Survives liveness_forget.
bool liveness_last_heard(const struct liveness *liveness, uint32_t row, uint64_t *heard_us);

// The earliest of the times at which the watched workers were last heard; false: none is watched, or one has not been heard.
bool liveness_heard_since(const struct liveness *liveness, uint64_t *heard_us);

// The rows whose deadline has passed, at most `max`, earliest first. They stay watched until the caller forgets them.
size_t liveness_expired(const struct liveness *liveness, uint64_t now_us, uint32_t *rows, size_t max);

// When the next one expires, on the caller's clock; UINT64_MAX: none is watched.
uint64_t liveness_next_us(const struct liveness *liveness);

#endif
