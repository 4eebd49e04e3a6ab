// Finds a shorter schedule of faults with which a seed still fails (Zeller and Hildebrandt 2002, "Simplifying and Isolating
// Failure-Inducing Input").
#ifndef BATON_TESTS_WORLD_SHRINK_H
#define BATON_TESTS_WORLD_SHRINK_H

#include <stdint.h>

// Prints what it tries and finds. The exit status: 0 if the seed fails, and so there was something to shrink.
int shrink(uint64_t seed, uint64_t seconds);

// From now on only these of the seed's faults happen: "3,17,20-25" or "none". Exits with status 2 if the list is wrong.
void shrink_keep(uint64_t seed, uint64_t seconds, const char *list);

#endif
