// What one client may take of a node, so that one that runs wild leaves room for the others.
#ifndef BATON_NODE_LIMITS_H
#define BATON_NODE_LIMITS_H

struct node;

// Tells the node's server what its configuration says.
void limits_start(struct node *node);

#endif
