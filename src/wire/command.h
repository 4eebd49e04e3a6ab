// The contents of a command entry: a Command of proto/baton/v1/command.proto.
#ifndef BATON_WIRE_COMMAND_H
#define BATON_WIRE_COMMAND_H

#include "base/arena.h"
#include "base/error.h"
#include "baton/v1/command.pb.h"
#include "raft/entry.h"

enum { COMMAND_FORMAT = 1 };

// tests/upgrade builds a version to come with it, which reads so many levels more than this one.
#ifndef BATON_LEVELS_AHEAD
#define BATON_LEVELS_AHEAD 0
#endif

// The level of the rules by which a command is applied (command.proto). A command gets the lowest level that it needs, and
// none above the cluster's but raise_level.
enum command_level {
    COMMAND_LEVEL_EPOCH_ON_RETURN = 1,
    COMMAND_LEVEL_RAISE = 2,          // raise_level itself: the first level to which a cluster can be raised
    COMMAND_LEVEL_SESSION_BYTES = 2,  // as the cluster's level: SESSIONS_BYTES_MAX
    COMMAND_LEVEL_GRANTS = 3,         // access_grant, access_revoke
    COMMAND_LEVEL = COMMAND_LEVEL_GRANTS + BATON_LEVELS_AHEAD,  // the highest that this version knows
};

// Encodes a command directly into a new entry of the slab (type command, id still {0, 0}), its only copy. The command has
// format COMMAND_FORMAT, an operation, and no transient field. NULL with ERR_TOO_LARGE: it takes more than COMMAND_MAX bytes
// of the log, or ERR_NO_MEMORY.
struct raft_entry *wire_command_encode(struct raft_slab *slab, const struct pb_command *command, struct error *error);

// The command's slices point into the entry; lists are in the arena. ERR_UNKNOWN_COMMAND: a format, a level, a field or an
// operation that this version does not know; ERR_MALFORMED: not a command; ERR_NO_MEMORY. All of them must stop the node:
// the entry is committed, and skipping it would make the state diverge.
enum error_code wire_command_decode(struct arena *arena, const struct raft_entry *entry, struct pb_command *command,
                                    struct error *error);

#endif
