// Commands and configurations as they are persisted in log entries (proto/command.proto).
//
// What is read here is committed: every node must understand all of it, and the same. So an unknown field is not skipped as
// elsewhere, but ERR_UNKNOWN_COMMAND, as is an unknown format or operation.
#include "wire/command.h"

#include "base/ids.h"
#include "wire/protobuf_lite.h"

enum { FORMAT = 1 };
enum { FIELD_PUT = 10, FIELD_DELETE = 11, FIELD_REGISTER_WORKER = 12, FIELD_CHANGE_WORKERS = 13 };

// --- sizes ---

static size_t put_size(const struct state_command *c) {
    return pb_bytes_size(1, c->put.key) + pb_bytes_size(2, c->put.value) +
           (c->put.has_expected ? pb_tag_size(3) + pb_varint_size(c->put.expected_revision) : 0);
}

static size_t delete_size(const struct state_command *c) {
    return pb_bytes_size(1, c->delete.key) +
           (c->delete.has_expected ? pb_tag_size(2) + pb_varint_size(c->delete.expected_revision) : 0);
}

static size_t label_size(const struct state_label *label) {
    return pb_bytes_size(1, label->key) + pb_bytes_size(2, label->value);
}

static size_t register_worker_size(const struct state_command *c) {
    size_t size = pb_bytes_size(1, c->register_worker.worker_id) + pb_bytes_size(2, c->register_worker.instance_id) +
                  pb_bytes_size(3, c->register_worker.address) + pb_bytes_size(4, c->register_worker.cloud) +
                  pb_u64_size(5, c->register_worker.slots);
    for (size_t i = 0; i < c->register_worker.label_count; i++) {
        size += pb_message_size(6, label_size(&c->register_worker.labels[i]));
    }
    return size;
}

static size_t change_size(const struct state_worker_change *change) {
    return pb_bytes_size(1, change->worker_id) + pb_u64_size(2, change->epoch) + pb_u64_size(3, change->online) +
           pb_bytes_size(4, change->reason);
}

static size_t change_workers_size(const struct state_command *c) {
    size_t size = 0;
    for (size_t i = 0; i < c->change_workers.count; i++) {
        size += pb_message_size(1, change_size(&c->change_workers.changes[i]));
    }
    return size;
}

static size_t operation_size(const struct state_command *c) {
    switch (c->operation) {
    case STATE_PUT:
        return put_size(c);
    case STATE_DELETE:
        return delete_size(c);
    case STATE_REGISTER_WORKER:
        return register_worker_size(c);
    case STATE_CHANGE_WORKERS:
        return change_workers_size(c);
    }
    assert(false);
    return 0;
}

static uint32_t operation_field(enum state_operation operation) {
    static_assert(FIELD_PUT - STATE_PUT == FIELD_CHANGE_WORKERS - STATE_CHANGE_WORKERS, "the same order");
    return (uint32_t)operation - STATE_PUT + FIELD_PUT;
}

static size_t command_size(const struct state_command *c, size_t operation) {
    return pb_u64_size(1, FORMAT) + pb_u64_size(2, (uint64_t)c->time_unix_ms) + pb_bytes_size(3, c->client_id) +
           pb_u64_size(4, c->sequence) + pb_u64_size(5, c->acknowledged_below) +
           pb_message_size(operation_field(c->operation), operation);
}

size_t wire_command_size(const struct state_command *command) {
    return command_size(command, operation_size(command));
}

// --- encoding ---

static uint8_t *put_put(uint8_t *at, const struct state_command *c) {
    at = pb_put_bytes(at, 1, c->put.key);
    at = pb_put_bytes(at, 2, c->put.value);
    return c->put.has_expected ? pb_put_present(at, 3, c->put.expected_revision) : at;
}

static uint8_t *put_delete(uint8_t *at, const struct state_command *c) {
    at = pb_put_bytes(at, 1, c->delete.key);
    return c->delete.has_expected ? pb_put_present(at, 2, c->delete.expected_revision) : at;
}

static uint8_t *put_register_worker(uint8_t *at, const struct state_command *c) {
    at = pb_put_bytes(at, 1, c->register_worker.worker_id);
    at = pb_put_bytes(at, 2, c->register_worker.instance_id);
    at = pb_put_bytes(at, 3, c->register_worker.address);
    at = pb_put_bytes(at, 4, c->register_worker.cloud);
    at = pb_put_u64(at, 5, c->register_worker.slots);
    for (size_t i = 0; i < c->register_worker.label_count; i++) {
        const struct state_label *label = &c->register_worker.labels[i];
        at = pb_put_head(at, 6, label_size(label));
        at = pb_put_bytes(at, 1, label->key);
        at = pb_put_bytes(at, 2, label->value);
    }
    return at;
}

static uint8_t *put_change_workers(uint8_t *at, const struct state_command *c) {
    for (size_t i = 0; i < c->change_workers.count; i++) {
        const struct state_worker_change *change = &c->change_workers.changes[i];
        at = pb_put_head(at, 1, change_size(change));
        at = pb_put_bytes(at, 1, change->worker_id);
        at = pb_put_u64(at, 2, change->epoch);
        at = pb_put_u64(at, 3, change->online);
        at = pb_put_bytes(at, 4, change->reason);
    }
    return at;
}

static uint8_t *put_operation(uint8_t *at, const struct state_command *c) {
    switch (c->operation) {
    case STATE_PUT:
        return put_put(at, c);
    case STATE_DELETE:
        return put_delete(at, c);
    case STATE_REGISTER_WORKER:
        return put_register_worker(at, c);
    case STATE_CHANGE_WORKERS:
        return put_change_workers(at, c);
    }
    return at;
}

struct raft_entry *wire_command_encode(struct raft_slab *slab, const struct state_command *command) {
    size_t operation = operation_size(command);
    size_t size = command_size(command, operation);
    assert(size <= COMMAND_MAX);
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0, 0}, size);
    if (entry == NULL) {
        return NULL;
    }
    uint8_t *at = pb_put_u64(entry->data, 1, FORMAT);
    at = pb_put_u64(at, 2, (uint64_t)command->time_unix_ms);
    at = pb_put_bytes(at, 3, command->client_id);
    at = pb_put_u64(at, 4, command->sequence);
    at = pb_put_u64(at, 5, command->acknowledged_below);
    at = pb_put_head(at, operation_field(command->operation), operation);
    at = put_operation(at, command);
    assert(at == entry->data + size);
    return entry;
}

// --- decoding ---

// Reads one command: the message, the arena of its lists, and what it holds that this version does not know.
struct command_reader {
    struct arena *arena;
    struct state_command *command;
    uint32_t format;
    uint32_t unknown;  // the number of a field; 0: none
};

static void read_put(struct pb_reader *r, struct command_reader *reader) {
    struct state_command *c = reader->command;
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            c->put.key = pb_bytes(r, &f);
            break;
        case 2:
            c->put.value = pb_bytes(r, &f);
            break;
        case 3:
            c->put.expected_revision = pb_u64(r, &f);
            c->put.has_expected = true;
            break;
        default:
            reader->unknown = f.number;
        }
    }
    if (c->put.key.len == 0 || c->put.key.len > KEY_MAX) {
        pb_fail(r, "a key that is empty or too long");
    }
}

static void read_delete(struct pb_reader *r, struct command_reader *reader) {
    struct state_command *c = reader->command;
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            c->delete.key = pb_bytes(r, &f);
            break;
        case 2:
            c->delete.expected_revision = pb_u64(r, &f);
            c->delete.has_expected = true;
            break;
        default:
            reader->unknown = f.number;
        }
    }
    if (c->delete.key.len == 0 || c->delete.key.len > KEY_MAX) {
        pb_fail(r, "a key that is empty or too long");
    }
}

static void read_label(struct pb_reader *outer, const struct pb_field *message, struct command_reader *reader,
                       struct state_label *label) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            label->key = pb_bytes(&r, &f);
            break;
        case 2:
            label->value = pb_bytes(&r, &f);
            break;
        default:
            reader->unknown = f.number;
        }
    }
    pb_leave(outer, &r);
}

static void read_register_worker(struct pb_reader *r, struct command_reader *reader) {
    struct state_command *c = reader->command;
    size_t count = pb_count(*r, 6);
    struct state_label *labels = NULL;
    if (count > LABELS_MAX || (count > 0 && (labels = arena_alloc(reader->arena, count * sizeof *labels)) == NULL)) {
        pb_fail(r, "too many labels");
        return;
    }
    c->register_worker.labels = labels;
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            c->register_worker.worker_id = pb_bytes(r, &f);
            break;
        case 2:
            c->register_worker.instance_id = pb_bytes(r, &f);
            break;
        case 3:
            c->register_worker.address = pb_bytes(r, &f);
            break;
        case 4:
            c->register_worker.cloud = pb_bytes(r, &f);
            break;
        case 5:
            c->register_worker.slots = pb_u32(r, &f);
            break;
        case 6:
            labels[c->register_worker.label_count] = (struct state_label){.key = {NULL, 0}};
            read_label(r, &f, reader, &labels[c->register_worker.label_count++]);
            break;
        default:
            reader->unknown = f.number;
        }
    }
    if (c->register_worker.worker_id.len == 0 || c->register_worker.worker_id.len > ID_MAX) {
        pb_fail(r, "a worker id that is empty or too long");
    }
    if (c->register_worker.instance_id.len == 0 || c->register_worker.instance_id.len > ID_MAX) {
        pb_fail(r, "an instance id that is empty or too long");
    }
}

static void read_change(struct pb_reader *outer, const struct pb_field *message, struct command_reader *reader,
                        struct state_worker_change *change) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            change->worker_id = pb_bytes(&r, &f);
            break;
        case 2:
            change->epoch = pb_u64(&r, &f);
            break;
        case 3:
            change->online = pb_bool(&r, &f);
            break;
        case 4:
            change->reason = pb_bytes(&r, &f);
            break;
        default:
            reader->unknown = f.number;
        }
    }
    if (change->worker_id.len > ID_MAX || change->reason.len > ID_MAX) {
        pb_fail(&r, "a worker id or a reason that is too long");
    }
    pb_leave(outer, &r);
}

static void read_change_workers(struct pb_reader *r, struct command_reader *reader) {
    struct state_command *c = reader->command;
    size_t count = pb_count(*r, 1);
    struct state_worker_change *changes = NULL;
    if (count > 0 && (changes = arena_alloc(reader->arena, count * sizeof *changes)) == NULL) {
        pb_fail(r, "too many changes");
        return;
    }
    c->change_workers.changes = changes;
    struct pb_field f;
    while (pb_next(r, &f)) {
        if (f.number == 1) {
            changes[c->change_workers.count] = (struct state_worker_change){.epoch = 0};
            read_change(r, &f, reader, &changes[c->change_workers.count++]);
        } else {
            reader->unknown = f.number;
        }
    }
}

static void read_operation(struct pb_reader *outer, const struct pb_field *f, struct command_reader *reader) {
    if (reader->command->operation != 0) {
        pb_fail(outer, "two operations");
        return;
    }
    reader->command->operation = f->number - FIELD_PUT + STATE_PUT;
    struct pb_reader r = pb_enter(outer, f);
    switch (reader->command->operation) {
    case STATE_PUT:
        read_put(&r, reader);
        break;
    case STATE_DELETE:
        read_delete(&r, reader);
        break;
    case STATE_REGISTER_WORKER:
        read_register_worker(&r, reader);
        break;
    case STATE_CHANGE_WORKERS:
        read_change_workers(&r, reader);
        break;
    }
    pb_leave(outer, &r);
}

static void read_command(struct pb_reader *r, struct command_reader *reader) {
    struct pb_field f;
    while (pb_next(r, &f)) {
        switch (f.number) {
        case 1:
            reader->format = pb_u32(r, &f);
            break;
        case 2:
            reader->command->time_unix_ms = (int64_t)pb_u64(r, &f);
            break;
        case 3:
            reader->command->client_id = pb_bytes(r, &f);
            break;
        case 4:
            reader->command->sequence = pb_u64(r, &f);
            break;
        case 5:
            reader->command->acknowledged_below = pb_u64(r, &f);
            break;
        case FIELD_PUT:
        case FIELD_DELETE:
        case FIELD_REGISTER_WORKER:
        case FIELD_CHANGE_WORKERS:
            read_operation(r, &f, reader);
            break;
        default:
            reader->unknown = f.number;
        }
    }
    if (reader->command->client_id.len > ID_MAX) {
        pb_fail(r, "a client id that is too long");
    }
}

enum error_code wire_command_decode(struct arena *arena, const struct raft_entry *entry, struct state_command *command,
                                    struct error *error) {
    *command = (struct state_command){.time_unix_ms = 0};
    struct command_reader reader = {.arena = arena, .command = command};
    struct pb_reader r = pb_reader_of(raft_entry_command(entry));
    read_command(&r, &reader);
    enum error_code code = pb_finish(&r, "Command", error);
    if (code == OK && reader.format != FORMAT) {
        code =
            error_set(error, ERR_UNKNOWN_COMMAND, "command format %u; this version knows format %d", reader.format, FORMAT);
    } else if (code == OK && reader.unknown != 0) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "field %u of a command is not known here", reader.unknown);
    } else if (code == OK && command->operation == 0) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "a command without an operation");
    }
    return code == OK ? OK : error_wrap(error, "entry %llu", (unsigned long long)entry->id.index);
}

// --- configuration ---

struct raft_entry *wire_configuration_encode(struct raft_slab *slab, struct raft_entry_id id,
                                             const struct wire_configuration *configuration) {
    struct buf out = {.data = NULL};
    pb_add_u64(&out, 1, FORMAT);
    pb_add_u64(&out, 2, configuration->generation);
    pb_add_bytes(&out, 3, raft_id_slice(&configuration->cluster_id));
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        size_t mark = pb_open(&out, 4);
        pb_add_bytes(&out, 1, raft_id_slice(&member->id));
        pb_add_bytes(&out, 2, slice_of_str(member->address));
        pb_add_bytes(&out, 3, slice_of_str(member->cloud));
        pb_add_u64(&out, 4, member->voter);
        pb_close(&out, mark);
    }
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_CONFIGURATION, id, out.len);
    if (entry != NULL) {
        memcpy(entry->data, out.data, out.len);
    }
    buf_free(&out);
    return entry;
}

// A member's text, checked before it is copied: these bytes may come from a peer.
struct member_fields {
    struct slice id;
    struct slice address;
    struct slice cloud;
    bool voter;
};

static enum error_code take_member(const struct member_fields *fields, struct wire_configuration *configuration,
                                   struct error *error) {
    enum error_code code = id_check(fields->id, "members.id", error);
    if (code == OK) {
        code = address_check(fields->address, "members.address", error);
    }
    if (code == OK) {
        code = cloud_check(fields->cloud, "members.cloud", error);
    }
    if (code != OK) {
        return code;
    }
    if (configuration->count == MEMBERS_MAX) {
        return error_set(error, ERR_TOO_LARGE, "members: at most %d are allowed", MEMBERS_MAX);
    }
    struct wire_member *member = &configuration->members[configuration->count];
    if (configuration->count > 0 && slice_compare(slice_of_str(member[-1].id.text), fields->id) >= 0) {
        return error_set(error, ERR_INVALID, "members: must be in the order of their ids, each once");
    }
    configuration->count++;
    *member = (struct wire_member){.id = raft_id_of(fields->id), .voter = fields->voter};
    memcpy(member->address, fields->address.data, fields->address.len);
    memcpy(member->cloud, fields->cloud.data, fields->cloud.len);
    return OK;
}

static void read_member(struct pb_reader *outer, const struct pb_field *message, struct member_fields *member,
                        uint32_t *unknown) {
    struct pb_reader r = pb_enter(outer, message);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            member->id = pb_bytes(&r, &f);
            break;
        case 2:
            member->address = pb_bytes(&r, &f);
            break;
        case 3:
            member->cloud = pb_bytes(&r, &f);
            break;
        case 4:
            member->voter = pb_bool(&r, &f);
            break;
        default:
            *unknown = f.number;
        }
    }
    pb_leave(outer, &r);
}

enum error_code wire_configuration_decode(const struct raft_entry *entry, struct wire_configuration *configuration,
                                          struct error *error) {
    *configuration = (struct wire_configuration){.count = 0};
    struct slice cluster_id = {NULL, 0};
    uint32_t format = 0;
    uint32_t unknown = 0;
    enum error_code code = OK;
    struct pb_reader r = pb_reader_of(raft_entry_command(entry));
    struct pb_field f;
    while (code == OK && pb_next(&r, &f)) {
        struct member_fields member = {.voter = false};
        switch (f.number) {
        case 1:
            format = pb_u32(&r, &f);
            break;
        case 2:
            configuration->generation = pb_u64(&r, &f);
            break;
        case 3:
            cluster_id = pb_bytes(&r, &f);
            break;
        case 4:
            read_member(&r, &f, &member, &unknown);
            code = r.problem != NULL ? OK : take_member(&member, configuration, error);
            break;
        default:
            unknown = f.number;
        }
    }
    if (code == OK) {
        code = pb_finish(&r, "Configuration", error);
    }
    if (code == OK && (format != FORMAT || unknown != 0)) {
        code = error_set(error, ERR_UNKNOWN_COMMAND, "configuration format %u, field %u; this version knows format %d",
                         format, unknown, FORMAT);
    }
    if (code == OK) {
        code = id_check(cluster_id, "cluster_id", error);
    }
    if (code != OK) {
        return error_wrap(error, "entry %llu", (unsigned long long)entry->id.index);
    }
    configuration->cluster_id = raft_id_of(cluster_id);
    return OK;
}

// --- for people ---

// What is not printable ASCII as \xNN, so that it can be put between quotes.
static void add_escaped(struct buf *out, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c > 0x7e) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_append(out, &c, 1);
        }
    }
}

static void add_key(struct buf *out, const char *what, struct slice key) {
    buf_printf(out, "%s \"", what);
    add_escaped(out, key);
    buf_append_str(out, "\"");
}

static void add_expected(struct buf *out, bool has_expected, uint64_t revision) {
    if (has_expected) {
        buf_printf(out, " if at revision %llu", (unsigned long long)revision);
    }
}

enum { SUMMARY_CHANGES_MAX = 8 };  // a line for people

static void add_changes(struct buf *out, const struct state_command *c) {
    for (size_t i = 0; i < c->change_workers.count; i++) {
        const struct state_worker_change *change = &c->change_workers.changes[i];
        if (i == SUMMARY_CHANGES_MAX) {
            buf_printf(out, " and %zu more", c->change_workers.count - i);
            return;
        }
        buf_append_str(out, i == 0 ? "worker " : ", worker ");
        add_escaped(out, change->worker_id);
        buf_append_str(out, change->online ? " online" : " offline (");
        if (!change->online) {
            add_escaped(out, change->reason);
            buf_append_str(out, ")");
        }
    }
}

static void add_command(struct buf *out, const struct state_command *c) {
    switch (c->operation) {
    case STATE_PUT:
        add_key(out, "put", c->put.key);
        buf_printf(out, " (%zu bytes)", c->put.value.len);
        add_expected(out, c->put.has_expected, c->put.expected_revision);
        break;
    case STATE_DELETE:
        add_key(out, "delete", c->delete.key);
        add_expected(out, c->delete.has_expected, c->delete.expected_revision);
        break;
    case STATE_REGISTER_WORKER:
        buf_append_str(out, "register worker ");
        add_escaped(out, c->register_worker.worker_id);
        break;
    case STATE_CHANGE_WORKERS:
        add_changes(out, c);
        break;
    }
}

void wire_command_summary(const struct raft_entry *entry, struct buf *out) {
    struct wire_configuration configuration;
    struct state_command command;
    struct error error;
    struct arena arena = {.limit = 0};
    switch (entry->type) {
    case RAFT_ENTRY_NOOP:
        buf_append_str(out, "no-op");
        break;
    case RAFT_ENTRY_CONFIGURATION:
        if (wire_configuration_decode(entry, &configuration, &error) != OK) {
            buf_append_str(out, "unreadable configuration");
            break;
        }
        buf_append_str(out, "members");
        for (size_t i = 0; i < configuration.count; i++) {
            buf_printf(out, "%s %s", i == 0 ? "" : ",", configuration.members[i].id.text);
        }
        break;
    case RAFT_ENTRY_COMMAND:
        if (wire_command_decode(&arena, entry, &command, &error) == OK) {
            add_command(out, &command);
        } else {
            buf_append_str(out, "unreadable command");
        }
        break;
    }
    arena_free(&arena);
}
