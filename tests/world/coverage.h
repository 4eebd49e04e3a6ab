// What runs have reached: abstract states of the whole cluster, and steps from one to another. A run that reaches nothing
// new for long is one that its faults do not drive any further.
#ifndef BATON_TESTS_WORLD_COVERAGE_H
#define BATON_TESTS_WORLD_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>

// Counts from now on. What a state is: for each host whether it runs, is paused, lost or a member, its role, and its term
// and log relative to the newest.
void coverage_begin(void);
// After each turn of a node.
void coverage_look(void);
size_t coverage_states(void);
size_t coverage_steps(void);
void coverage_free(void);

#endif
