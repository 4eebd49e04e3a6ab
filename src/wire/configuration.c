// Configurations in log entries: wire/configuration.h.
#include "wire/configuration.h"

#include "base/ids.h"
#include "baton/v1/command.pb.h"
#include "wire/codec.h"

enum { CONFIGURATION_FORMAT = 1 };

static_assert((int)PB_CONFIGURATION_REMOVED_MAX_ITEMS == (int)REMOVED_MAX, "command.proto and base/limits.h agree");
static_assert((int)PB_CONFIGURATION_MEMBERS_MAX_ITEMS == (int)MEMBERS_MAX, "command.proto and base/limits.h agree");

struct raft_entry *wire_configuration_encode(struct raft_slab *slab, struct raft_entry_id id,
                                             const struct wire_configuration *configuration) {
    struct pb_member members[MEMBERS_MAX];
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        members[i] = (struct pb_member){
            .id = raft_id_slice(&member->id),
            .address = slice_of_str(member->address),
            .cloud = slice_of_str(member->cloud),
            .voter = member->voter,
            .incarnation = slice_of_str(member->incarnation),
        };
    }
    struct slice removed[REMOVED_MAX];
    for (size_t i = 0; i < configuration->removed_count; i++) {
        removed[i] = raft_id_slice(&configuration->removed[i]);
    }
    struct pb_configuration message = {
        .format = CONFIGURATION_FORMAT,
        .generation = configuration->generation,
        .cluster_id = raft_id_slice(&configuration->cluster_id),
        .members = members,
        .members_count = configuration->count,
        .removed = removed,
        .removed_count = configuration->removed_count,
    };
    size_t size = pb_size(&pb_configuration_type, &message);
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_CONFIGURATION, id, size);
    if (entry != NULL) {
        pb_write(&pb_configuration_type, &message, entry->data, size);
    }
    return entry;
}

static enum error_code take_members(const struct pb_configuration *message, struct wire_configuration *configuration,
                                    struct error *error) {
    for (size_t i = 0; i < message->members_count; i++) {
        const struct pb_member *given = &message->members[i];
        if (i > 0 && slice_compare(message->members[i - 1].id, given->id) >= 0) {
            return error_set(error, ERR_INVALID, "members: must be in the order of their ids, each once");
        }
        struct wire_member *member = &configuration->members[configuration->count++];
        *member = (struct wire_member){.id = raft_id_of(given->id), .voter = given->voter};
        memcpy(member->address, given->address.data, given->address.len);  // both fit: they were checked
        memcpy(member->cloud, given->cloud.data, given->cloud.len);
        if (given->incarnation.len > 0) {
            memcpy(member->incarnation, given->incarnation.data, given->incarnation.len);
        }
    }
    return OK;
}

static enum error_code decode(struct arena *arena, struct slice command, struct wire_configuration *configuration,
                              struct error *error) {
    struct pb_configuration message;
    enum error_code code = pb_decode_persisted(arena, &pb_configuration_type, command, &message, error);
    if (code == OK && message.format != CONFIGURATION_FORMAT) {
        return error_set(error, ERR_UNKNOWN_COMMAND, "configuration format %u; this version knows format %d", message.format,
                         CONFIGURATION_FORMAT);
    }
    if (code == OK) {
        code = pb_check(&pb_configuration_type, &message, error);
    }
    if (code != OK) {
        return code;
    }
    configuration->generation = message.generation;
    configuration->cluster_id = raft_id_of(message.cluster_id);
    for (size_t i = 0; i < message.removed_count; i++) {
        configuration->removed[configuration->removed_count++] = raft_id_of(message.removed[i]);
    }
    return take_members(&message, configuration, error);
}

enum error_code wire_configuration_read(struct slice command, struct wire_configuration *configuration,
                                        struct error *error) {
    *configuration = (struct wire_configuration){.count = 0};
    struct arena arena = {.limit = 0};
    enum error_code code = decode(&arena, command, configuration, error);
    arena_free(&arena);
    return code;
}

enum error_code wire_configuration_decode(const struct raft_entry *entry, struct wire_configuration *configuration,
                                          struct error *error) {
    enum error_code code = wire_configuration_read(raft_entry_command(entry), configuration, error);
    configuration->index = entry->id.index;
    return code == OK ? OK : error_wrap(error, "entry %llu", (unsigned long long)entry->id.index);
}

const struct wire_member *wire_configuration_member(const struct wire_configuration *configuration,
                                                    const struct raft_id *id) {
    for (size_t i = 0; i < configuration->count; i++) {
        if (raft_id_equal(&configuration->members[i].id, id)) {
            return &configuration->members[i];
        }
    }
    return NULL;
}

void wire_configuration_summary(const struct raft_entry *entry, struct buf *out) {
    struct wire_configuration configuration;
    if (wire_configuration_decode(entry, &configuration, &(struct error){.code = OK}) != OK) {
        buf_append_str(out, "unreadable configuration");
        return;
    }
    buf_append_str(out, "members");
    for (size_t i = 0; i < configuration.count; i++) {
        buf_printf(out, "%s %s", i == 0 ? "" : ",", configuration.members[i].id.text);
    }
}
