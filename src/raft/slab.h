// The slab, as far as only the core uses it; see raft/entry.h.
#ifndef BATON_RAFT_SLAB_H
#define BATON_RAFT_SLAB_H

#include <stdalign.h>
#include <stdlib.h>

#include "raft/entry.h"

// An entry without a command, for the no-op of a term. Out of memory ends the process.
struct raft_entry *raft_entry_new_or_exit(struct raft_slab *slab, enum raft_entry_type type, struct raft_entry_id id);

#endif
