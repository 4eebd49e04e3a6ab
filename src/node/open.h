// Opens a node's data directory: recovers its log or, with --bootstrap and an empty directory, writes entry 1.
#ifndef BATON_NODE_OPEN_H
#define BATON_NODE_OPEN_H

#include "base/error.h"
#include "raft/raft.h"
#include "wal/wal.h"

struct image;
struct node;

// Sets the node's log, state machine, configuration and core. Errors: those of wal_open; ERR_INVALID or ERR_FOREIGN if the
// directory's configuration does not fit the flags; ERR_NO_MEMORY.
enum error_code open_directory(struct node *node, struct error *error);

// The command of the last configuration entry of the log, or else of the image's; empty: there is none. *index: the entry's.
struct slice open_last_configuration(const struct wal_recovered *recovered, const struct image *image, raft_index *index);

// raft_config.decode_configuration: the members of a configuration entry in the core's form; `user` is the node.
bool node_decode_configuration(void *user, struct slice command, struct raft_configuration *out);

#endif
