// A run as a diagram that a person can follow: a column for each node, a line for each thing that happened there. What
// happens is told by world_trace (world.h), and by the functions here.
#ifndef BATON_TESTS_WORLD_TRACE_H
#define BATON_TESTS_WORLD_TRACE_H

#include <stdbool.h>
#include <stdint.h>

void trace_begin(bool enabled);
// The names above the columns.
void trace_heads(void);
// 'L', 'C' or 'F': as which it is seen now.
void trace_role(int host, char role, uint64_t term);
// A request has arrived.
void trace_frame(int from, int to, const char *path);

#endif
