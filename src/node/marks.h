// Marks in the data directory: files whose presence tells a later start of what this directory has been through.
//
// A node that has promised a lease (raft/lease.c) and is killed must keep the promise after its restart, though it has
// forgotten it, and though it is started without --lease-reads. So the first start that may promise leaves a mark, and every
// later start that finds it casts no vote until such a promise is over.
//
// A leader that finds entries lost which this directory had acknowledged tells the node (node/lost_entries.h), which stops.
// Another leader would not know, and the directory's votes may be lost, too: so whoever starts it again, it stops at once.
#ifndef BATON_NODE_MARKS_H
#define BATON_NODE_MARKS_H

#include <stdbool.h>

#include "base/error.h"

#define MARK_LEASES "LEASES"  // leases may have been promised
#define MARK_LOST   "LOST"    // entries were lost; contains the reason

// In an existing data directory. ERR_IO.
enum error_code mark_find(const char *data_dir, const char *mark, bool *found, struct error *error);

// Durable on return; `text` and a newline are its contents. One that is there is written anew. ERR_NO_SPACE, ERR_IO.
enum error_code mark_leave(const char *data_dir, const char *mark, const char *text, struct error *error);

#endif
