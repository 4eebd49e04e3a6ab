// The turn of the loop: one step of the core for all input, and the execution of its update.
#ifndef BATON_NODE_TURN_H
#define BATON_NODE_TURN_H

struct node;

// Hooks the turn into the loop, before and after its poll. turn_wake may be called from any thread: the log has completed
// a write.
struct turn *turn_new(struct node *node);
void turn_wake(void *turn);

// Closes its handles, which takes a run of the loop; then turn_free.
void turn_close(struct turn *turn);
void turn_free(struct turn *turn);

#endif
