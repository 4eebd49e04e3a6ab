// Founding a generation of a cluster: writing the configuration entry with which it begins.
//
// The first generation begins with entry 1, which --bootstrap writes on every node. A later one begins behind all that a
// stopped node has (docs/design.md). The entry follows from the directory's last entry and the configuration alone, so that
// nodes with equal directories begin alike.
#ifndef BATON_NODE_FOUND_H
#define BATON_NODE_FOUND_H

#include "wal/wal.h"
#include "wire/configuration.h"

// The incarnation of a new data directory: random, so that a directory that was wiped is not taken for the one it replaces.
void draw_incarnation(char digits[INCARNATION_DIGITS + 1]);

// Opens the log that the options name, appends the configuration as an entry, one index above all that the log has, in a
// term that a generation before cannot reach, waits until it is durable, and closes the log. If there is no log yet, it
// begins behind options->image. The generation in the options is the configuration's. *founded: the entry. Errors as
// wal_open; ERR_UNAVAILABLE: no thread.
//
// After a crash, or on a full disk, the log either has the entry, or is as before: it may have been created, but holds
// nothing then.
enum error_code found_generation(const struct wal_options *options, struct raft_slab *slab,
                                 const struct wire_configuration *configuration, struct raft_entry_id *founded,
                                 struct error *error);

#endif
