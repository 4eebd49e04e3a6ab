// The cluster's level (docs/design.md): the leader raises it once all members read a higher one.
#ifndef BATON_NODE_LEVEL_H
#define BATON_NODE_LEVEL_H

struct node;

// Once a second.
void level_sample(struct node *node);

#endif
