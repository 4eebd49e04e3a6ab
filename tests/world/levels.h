// Programs of several versions in one world: what a host's program reads is the host's, not the build's. The worlds have
// what asks for it, and the rule when the cluster's level is raised, compiled with this (meson.build).
#ifndef BATON_TESTS_WORLD_LEVELS_H
#define BATON_TESTS_WORLD_LEVELS_H

#include "policy/level.h"
#include "wire/command.h"

// The highest level that the current host's program reads, or, outside of hosts, the newest one.
uint32_t world_level(void);

enum { LEVEL_OLDEST = COMMAND_LEVEL_EPOCH_ON_RETURN, LEVEL_THIS = COMMAND_LEVEL, LEVEL_NEWEST = LEVEL_THIS + 1 };

#define COMMAND_LEVEL ((enum command_level)world_level())

// A short run sees all of it.
#undef LEVEL_SETTLE_US
#define LEVEL_SETTLE_US (2 * US_PER_S)

#endif
