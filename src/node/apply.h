// Applies committed entries to the state machine.
#ifndef BATON_NODE_APPLY_H
#define BATON_NODE_APPLY_H

#include <stdbool.h>

struct node;

// Bounds a turn, so that a restarted node answers heartbeats while it replays its log.
enum { APPLY_TURN_MAX = 4096 };

// Applies at most APPLY_TURN_MAX committed entries and answers the clients that wait for them. True: more are left.
bool node_apply(struct node *node);

#endif
