// Graceful shutdown on SIGTERM, or when this node was removed: transfers leadership, lets running calls finish, then stops
// the node.
#ifndef BATON_NODE_LEAVE_H
#define BATON_NODE_LEAVE_H

struct node;

// Begins, or has no effect if begun. node->stopped is called at the end, within 2 s.
void leave_begin(struct node *node);

// Once a turn: begins to drain calls once the successor has committed an entry, or that takes too long.
void leave_progress(struct node *node);

#endif
