// The process's limit on open files, and how it is shared.
//
// Each client connection is an open file. If clients could use them all, the log could not open its next segment, which ends
// the node, and the node could not connect to its peers; so each listener accepts at most a share.
#ifndef BATON_BASE_FILES_H
#define BATON_BASE_FILES_H

#include <stddef.h>

// The current limit.
size_t files_allowed(void);

// Raises the limit to `wanted`, or as far as the process may: shells and systemd set 1,024, for the sake of select(2).
// Returns the new limit.
size_t files_raise(size_t wanted);

// A share of the limit: the 1/`part` of it, but at most `most`.
size_t files_share(size_t part, size_t most);

#endif
