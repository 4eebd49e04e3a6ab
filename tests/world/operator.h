// An operator: changes members, transfers leadership and asks for snapshots as faults.c tells it, and replaces by itself
// every node that is lost.
#ifndef BATON_TESTS_WORLD_OPERATOR_H
#define BATON_TESTS_WORLD_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

enum task { TASK_ADD, TASK_PROMOTE, TASK_REMOVE, TASK_TRANSFER, TASK_SNAPSHOT, TASKS };

// On a host of its own.
void operator_start(int host);
// It does this when it comes to it; `draw` chooses the node.
void operator_ask(enum task task, uint64_t draw);
// No call is under way, nor is there an earlier one whose outcome it does not know and that may still happen.
bool operator_is_idle(void);

void operator_stop(void);  // nothing new
void operator_close(void);
void operator_leave(void);
void operator_reset(void);

#endif
