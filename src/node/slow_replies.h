// Replies that take long to make: a long list, a part of the log, the changes since an old revision. A thousand at once
// would block the loop for more than a second, and a leader whose loop stalls that long steps down. So they get at most
// ANSWERS_TURN_US of each turn; the rest wait, first come, first served.
#ifndef BATON_NODE_SLOW_REPLIES_H
#define BATON_NODE_SLOW_REPLIES_H

#include "node/reads.h"

struct slow_replies_maker {
    uint64_t (*now_us)(void);
    bool (*wanted)(void *user, struct rpc_call call);  // false: its client is gone
    void (*make)(void *user, const struct waiting_read *read, struct slice request);
    void *user;
};

struct slow_replies;

struct slow_replies *slow_replies_new(const struct slow_replies_maker *maker);  // copied
void slow_replies_free(struct slow_replies *replies);

// Makes the reply at once if none waits and the turn has time left, or queues it. False: ANSWERS_MAX are queued already.
bool slow_replies_ask(struct slow_replies *replies, const struct waiting_read *read, struct slice request);

// Once a turn: makes queued replies.
void slow_replies_turn(struct slow_replies *replies);

bool slow_replies_waiting(const struct slow_replies *replies);

#endif
