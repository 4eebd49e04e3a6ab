// What a log entry's command holds (proto/command.proto), to and from plain structs.
#ifndef BATON_WIRE_COMMAND_H
#define BATON_WIRE_COMMAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"
#include "state/state.h"

// Encodes a command straight into a new entry of the slab (type command, id still {0, 0}): the one copy there is. NULL
// without memory. The caller has checked every field (wire/control.h and wire/worker.h decode and check requests) and the
// size: COMMAND_MAX, see wire_command_size.
struct raft_entry *wire_command_encode(struct raft_slab *slab, const struct state_command *command);

// Encoded bytes.
size_t wire_command_size(const struct state_command *command);

// The command's slices point into the entry; lists are in the arena. ERR_UNKNOWN_COMMAND: a format or operation that this
// version does not know; ERR_MALFORMED: not a command. Both must stop the node: the entry is committed.
enum error_code wire_command_decode(struct arena *arena, const struct raft_entry *entry, struct state_command *command,
                                    struct error *error);

// For people: put "k1" (256 bytes), delete "k1", register worker w1, worker w1 offline (left), ...
void wire_command_summary(const struct raft_entry *entry, struct buf *out);

struct wire_member {
    struct raft_id id;
    char address[ADDRESS_MAX + 1];
    char cloud[8];
    bool voter;
};

// Entry 1.
struct wire_configuration {
    uint64_t generation;
    struct raft_id cluster_id;
    struct wire_member members[MEMBERS_MAX];  // in id order
    size_t count;
};

struct raft_entry *wire_configuration_encode(struct raft_slab *slab, struct raft_entry_id id,
                                             const struct wire_configuration *configuration);
enum error_code wire_configuration_decode(const struct raft_entry *entry, struct wire_configuration *configuration,
                                          struct error *error);

#endif
