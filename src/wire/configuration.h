// The contents of a configuration entry: a Configuration of proto/baton/v1/command.proto, the members of the cluster.
#ifndef BATON_WIRE_CONFIGURATION_H
#define BATON_WIRE_CONFIGURATION_H

#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"

struct wire_member {
    struct raft_id id;
    char address[ADDRESS_MAX + 1];
    char cloud[CLOUD_MAX + 1];
    bool voter;
    char incarnation[INCARNATION_DIGITS + 1];  // of its data directory; "": not known yet
};

// Owns its texts, so it may outlive the entry.
struct wire_configuration {
    raft_index index;  // of its entry
    uint64_t generation;
    struct raft_id cluster_id;
    struct wire_member members[MEMBERS_MAX];  // in id order
    size_t count;
    struct raft_id removed[REMOVED_MAX];  // members once, and never again
    size_t removed_count;
};

// A new entry of the slab with one reference; NULL without memory.
struct raft_entry *wire_configuration_encode(struct raft_slab *slab, struct raft_entry_id id,
                                             const struct wire_configuration *configuration);

// All but the index, which is 0. Every field is checked: these bytes may come from a peer. ERR_MALFORMED, ERR_INVALID naming
// the field, ERR_TOO_LARGE, ERR_UNKNOWN_COMMAND (a format or field that this version does not know).
enum error_code wire_configuration_read(struct slice command, struct wire_configuration *configuration, struct error *error);
// The same of an entry, with its index; the error names the entry.
enum error_code wire_configuration_decode(const struct raft_entry *entry, struct wire_configuration *configuration,
                                          struct error *error);

// The member with that id; NULL: there is none.
const struct wire_member *wire_configuration_member(const struct wire_configuration *configuration,
                                                    const struct raft_id *id);

// Appends a summary for operators: "members n1, n2, n3".
void wire_configuration_summary(const struct raft_entry *entry, struct buf *out);

#endif
