// Faults in the state of a running node, made by signals, to see that the node finds them. Only in builds with Meson's
// option fault_injection.
#ifndef BATON_CMD_FAULTS_H
#define BATON_CMD_FAULTS_H

struct node;

// One bit of the first key's value, in memory: what is not in the log.
void faults_flip_bit(struct node *node);

// As if this node had applied an entry otherwise than others: it counts a departure of a worker that there was not. Its
// digest goes along.
void faults_misapply(struct node *node);

#endif
