// A whole node of one member, or of two whose other cannot be reached, on a loop that the test turns by hand.
#ifndef BATON_TESTS_NODE_FIXTURE_H
#define BATON_TESTS_NODE_FIXTURE_H

#include "node/internal.h"

struct whole_node {
    char dir[128];
    uv_loop_t loop;
    struct node_config config;
    struct metrics *metrics;
    enum error_code failure;  // of node_start's `stopped`; OK: none
    struct node *node;
};

// n1 of so many members, with all verbs. n1 leads once the loop has turned for a while, if it is alone.
void whole_node_start(struct whole_node *whole, size_t members);

// Stops the node, and starts it again on its directory. The code of node_start; if it is not OK there is no node.
enum error_code whole_node_restart(struct whole_node *whole, struct error *error);

// Asserts that nothing is left: no handle, no entry.
void whole_node_end(struct whole_node *whole);

// Turns the loop until the node serves workers: it leads and has applied the no-op of its term.
void whole_node_await_leading(struct whole_node *whole);

// Proposes the command once the node leads; no client waits for it.
void whole_node_propose(struct whole_node *whole, const struct verb *verb, struct pb_command *command);

// Turns the loop until so many workers are registered: w00000 and on, with these labels.
void whole_node_register_workers(struct whole_node *whole, size_t count, const struct slice_pair *labels,
                                 size_t label_count);

#endif
