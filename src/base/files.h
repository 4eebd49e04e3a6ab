// How many files the process may have open, and who may have how many of them.
//
// Each client is one. Where clients could take them all, the log would find none for its next segment, which ends a node,
// and a node none to reach its peers: so whoever accepts takes a share.
#ifndef BATON_BASE_FILES_H
#define BATON_BASE_FILES_H

#include <stddef.h>

// The limit as it is.
size_t files_allowed(void);

// Raises the limit to `wanted`, as far as the process may; what shells and systemd give, 1,024, is for programs of the time
// of select(2). Returns the limit.
size_t files_raise(size_t wanted);

// One in `part` of the files that the process may have open, but not more than `most`.
size_t files_share(size_t part, size_t most);

#endif
