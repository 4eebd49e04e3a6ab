// Answers that take long to make: a long list, a part of the log, the changes since long ago. A thousand asked for at once
// would hold the loop for more than a second, and a leader that stands still for so long steps down. So they are made for
// ANSWERS_TURN_US in a turn, and what is left waits for the next, first come, first served.
#ifndef BATON_NODE_ANSWERS_H
#define BATON_NODE_ANSWERS_H

#include "node/reads.h"

struct answers_maker {
    uint64_t (*now_us)(void);
    bool (*wanted)(void *user, struct rpc_call call);  // whoever has waited may have gone
    void (*make)(void *user, const struct waiting_read *read, struct slice request);
    void *user;
};

struct answers;

struct answers *answers_new(const struct answers_maker *maker);  // copied
void answers_free(struct answers *answers);

// Makes the answer, at once if nobody waits and the turn has time left. False: ANSWERS_MAX wait, and it is not made.
bool answers_ask(struct answers *answers, const struct waiting_read *read, struct slice request);

// Another turn has begun: goes on with those that wait.
void answers_turn(struct answers *answers);

bool answers_waiting(const struct answers *answers);

#endif
