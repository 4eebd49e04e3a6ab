// Opens a node's data directory: recovers its log or, with --bootstrap and an empty directory, writes entry 1.
#ifndef BATON_NODE_OPEN_H
#define BATON_NODE_OPEN_H

#include "base/error.h"

struct node;

// Sets the node's log, state machine, configuration and core. Errors: those of wal_open; ERR_INVALID or ERR_FOREIGN if the
// directory's configuration does not fit the flags; ERR_NO_MEMORY.
enum error_code open_directory(struct node *node, struct error *error);

#endif
