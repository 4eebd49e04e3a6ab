// Versions of the state that are kept for the further pages of lists, so that all pages of one list are of one version.
//
// A version costs the memory of what has changed since. So there are LIST_VERSIONS_MAX at most, none is kept for longer than
// LIST_VERSION_US after its last use, and none after LIST_VERSION_BYTES_MAX have been written since.
#ifndef BATON_NODE_HELD_VERSIONS_H
#define BATON_NODE_HELD_VERSIONS_H

#include "state/image.h"

struct held_versions;

struct held_versions *held_versions_new(void);

// Gives all back to `state`, the present one; NULL: there was none.
void held_versions_free(struct held_versions *held, struct state *state);

// Keeps the present version, in the place of the one that was not used for longest if there are too many.
void held_versions_keep(struct held_versions *held, struct state *state, uint64_t now_us);

// The version after entry `index`, borrowed until the next turn; NULL: it is not held.
const struct state_version *held_versions_find(struct held_versions *held, raft_index index, uint64_t now_us);

// A command of so many bytes was applied.
void held_versions_applied(struct held_versions *held, size_t bytes);

// Once a turn: gives back what is not to be kept any longer.
void held_versions_turn(struct held_versions *held, struct state *state, uint64_t now_us);

#endif
