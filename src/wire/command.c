// Commands in log entries: wire/command.h.
#include "wire/command.h"

#include <assert.h>

#include "base/limits.h"
#include "wire/codec.h"
#include "wire/fields.h"

// A committed transient field would stop every node of the cluster.
static bool has_transient(const struct pb_type *type, const void *message) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if ((field->kind != PB_KIND_MESSAGE && !field->transient) || !field_is_present(field, message)) {
            continue;
        }
        if (field->transient) {
            return true;
        }
        for (size_t k = 0; k < field_values(field, message); k++) {
            if (has_transient(field->message, field_value(field, message, k))) {
                return true;
            }
        }
    }
    return false;
}

struct raft_entry *wire_command_encode(struct raft_slab *slab, const struct pb_command *command, struct error *error) {
    assert(command->format == COMMAND_FORMAT && command->op != PB_COMMAND_OP_NONE);
    assert(!has_transient(&pb_command_type, command));
    size_t size = pb_size(&pb_command_type, command);
    if (size > COMMAND_MAX) {
        error_set(error, ERR_TOO_LARGE,
                  "the command would take %zu bytes of the log; at most %d are allowed: use a smaller value", size,
                  COMMAND_MAX);
        return NULL;
    }
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0, 0}, size);
    if (entry == NULL) {
        error_set(error, ERR_NO_MEMORY, "no memory for a command of %zu bytes; nothing was written", size);
        return NULL;
    }
    pb_write(&pb_command_type, command, entry->data, size);
    return entry;
}

enum error_code wire_command_decode(struct arena *arena, const struct raft_entry *entry, struct pb_command *command,
                                    struct error *error) {
    enum error_code code = pb_decode_persisted(arena, &pb_command_type, raft_entry_command(entry), command, error);
    // A newer format explains unknown fields, so it is reported first.
    if ((code == OK || code == ERR_UNKNOWN_COMMAND) && command->format != COMMAND_FORMAT) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "command format %u; this version knows format %d", command->format,
                         COMMAND_FORMAT);
    } else if (code == OK && command->level > COMMAND_LEVEL) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "a command of level %u; this version knows level %d: upgrade this node",
                         command->level, COMMAND_LEVEL);
    } else if (code == OK && command->op == PB_COMMAND_OP_RAISE_LEVEL && command->raise_level.level > COMMAND_LEVEL) {
        code = error_set(error, ERR_UNKNOWN_COMMAND,
                         "the cluster is raised to level %u; this version knows level %d: upgrade this node",
                         command->raise_level.level, COMMAND_LEVEL);
    } else if (code == OK && command->op == PB_COMMAND_OP_NONE) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "a command without an operation");
    }
    return code == OK ? OK : error_wrap(error, "entry %llu", (unsigned long long)entry->id.index);
}
