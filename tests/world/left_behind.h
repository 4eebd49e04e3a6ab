// What a node has left behind that has rejoined (batond --rejoin): its log is put aside, whole; what only that had is in a
// file of its own; and its directory is of a newer generation, and empty.
#ifndef BATON_TESTS_WORLD_LEFT_BEHIND_H
#define BATON_TESTS_WORLD_LEFT_BEHIND_H

// After the command has said that it is done, on the host's disk as it is.
void left_behind_check(int host);

#endif
