// The entries of an AppendEntries, by hand, between a message's bytes and the log's slab. The rest of the message goes by
// the tables; what this saves was measured (docs/design.md, Messages).
#ifndef BATON_WIRE_APPEND_ENTRIES_H
#define BATON_WIRE_APPEND_ENTRIES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"

// Appends the entries as fields `entries` of an AppendEntriesRequest.
void append_entries_encode(struct raft_entry *const *entries, size_t count, struct buf *out);

// How many entries an AppendEntriesRequest has; it decodes otherwise (pb_decode).
size_t append_entries_count(struct slice request);

// Copies the request's `count` entries into the slab, one reference each, the array of pointers into the arena. They must
// follow `prev` without a gap, with terms that never fall and are at most `term`. ERR_MALFORMED, ERR_INVALID, ERR_TOO_LARGE
// (above COMMAND_MAX), ERR_NO_MEMORY; then nothing is held.
enum error_code append_entries_decode(struct slice request, size_t count, struct raft_entry_id prev, raft_term term,
                                      struct raft_slab *slab, struct arena *arena, struct raft_entry ***entries,
                                      struct error *error);

#endif
