// The fixture of wire's tests.
#include "wire_env.h"

struct wire_env t;

int wire_setup(void **state) {
    (void)state;
    t = (struct wire_env){.arena = {.limit = 64 * MIB}, .slab = raft_slab_new()};
    return 0;
}

int wire_teardown(void **state) {
    (void)state;
    arena_free(&t.arena);
    buf_free(&t.out);
    raft_slab_free(t.slab);
    return 0;
}

struct slice text(const char *s) {
    return slice_of_str(s);
}

void *grab(size_t size) {
    void *p = arena_alloc(&t.arena, size == 0 ? 1 : size);
    assert_non_null(p);
    return p;
}

void assert_slice(struct slice actual, const char *expected) {
    if (!slice_equal(actual, text(expected))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)actual.len, (const char *)actual.data, expected);
    }
}

void assert_ok(enum error_code code) {
    if (code != OK) {
        fail_msg("%s: %s", error_name(code), t.error.message);
    }
}

void assert_refused(enum error_code code, enum error_code expected, const char *names) {
    if (code != expected || strstr(t.error.message, names) == NULL) {
        fail_msg("%s instead of %s naming %s: %s", error_name(code), error_name(expected), names, t.error.message);
    }
}

void assert_same_bytes(struct slice actual, struct slice expected) {
    if (!slice_equal(actual, expected)) {
        fail_msg("%zu bytes differ from protobuf-c's %zu", actual.len, expected.len);
    }
}

// --- messages with random contents, from protobuf-c's descriptors ---

ProtobufCBinaryData data_of(const char *s) {
    return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)s};
}

ProtobufCBinaryData long_text(size_t len) {
    ProtobufCBinaryData data = {.len = len, .data = grab(len)};
    memset(data.data, 'x', len);
    return data;
}

static ProtobufCBinaryData random_bytes(size_t min, size_t max) {
    ProtobufCBinaryData bytes = {.len = min + random_below(&t.seed, max - min + 1)};
    bytes.data = grab(bytes.len);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.data[i] = (uint8_t)random_u64(&t.seed);
    }
    return bytes;
}

static bool ends_with(const char *name, const char *end) {
    return strlen(name) >= strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

// Bytes that pass the checks of a field with this name.
static ProtobufCBinaryData bytes_for(const char *name) {
    static const char *const ids[] = {"n1", "w-2", "A.b_c-9", "0"};
    static const char *const addresses[] = {"10.0.0.1:7400", "host.example:1", "[::1]:65535"};
    bool is_id = ends_with(name, "id") || strcmp(name, "leader") == 0 || strcmp(name, "target") == 0 ||
                 strcmp(name, "from") == 0 || strcmp(name, "to") == 0;
    if (is_id) {
        return data_of(ids[random_below(&t.seed, 4)]);
    }
    if (ends_with(name, "address") || ends_with(name, "addresses")) {
        return data_of(addresses[random_below(&t.seed, 3)]);
    }
    if (strcmp(name, "cloud") == 0) {
        return data_of(random_below(&t.seed, 2) == 0 ? "aws" : "gcp");
    }
    if (strcmp(name, "status") == 0) {
        return data_of(random_below(&t.seed, 2) == 0 ? "online" : "offline");
    }
    if (strcmp(name, "value") == 0 || strcmp(name, "command") == 0) {
        return random_bytes(0, 300);
    }
    return random_bytes(strcmp(name, "key") == 0 || strcmp(name, "subject") == 0, 40);
}

static uint64_t number_for(const char *name) {
    if (strcmp(name, "format") == 0) {
        return 1;
    }
    if (strcmp(name, "sequence") == 0) {
        return 1000 + random_below(&t.seed, 1000);
    }
    if (strcmp(name, "acknowledged_below") == 0 || strcmp(name, "from") == 0) {
        return random_below(&t.seed, 1000);
    }
    if (strcmp(name, "level") == 0) {
        return random_below(&t.seed, COMMAND_LEVEL + 1);
    }
    if (strcmp(name, "to") == 0) {
        return random_below(&t.seed, 2) * 1000;
    }
    return random_number(&t.seed);
}

static void fill(ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor);

size_t value_size(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    default:
        return 8;
    }
}

static void fill_value(const ProtobufCFieldDescriptor *field, void *value) {
    const ProtobufCEnumDescriptor *values;
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)value = bytes_for(field->name);
        break;
    case PROTOBUF_C_TYPE_STRING:  // only keys of maps
        *(char **)value = random_below(&t.seed, 2) == 0 ? "zone" : "";
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)value = random_below(&t.seed, 2) == 0;
        break;
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)value = (uint32_t)number_for(field->name);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        values = field->descriptor;
        // Not an entry's type 0, which is "unspecified".
        *(int *)value = values->n_values == 4 ? 1 + (int)random_below(&t.seed, 3) : (int)random_below(&t.seed, 2);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)value = (double)random_below(&t.seed, 1000) / 8;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)value = random_message(field->descriptor);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        *(uint64_t *)value = number_for(field->name);
        break;
    default:
        fail_msg("%s is of a type that these tests do not know", field->name);
    }
}

static void fill_list(const ProtobufCFieldDescriptor *field, uint8_t *message) {
    size_t count = random_below(&t.seed, 5);
    uint8_t *items = grab(count * value_size(field));
    for (size_t k = 0; k < count; k++) {
        fill_value(field, items + k * value_size(field));
    }
    *(void **)(message + field->offset) = items;
    *(size_t *)(message + field->quantifier_offset) = count;
}

// One member of the oneof whose first is `first`; none now and then if it has but one.
static void fill_oneof(const ProtobufCMessageDescriptor *descriptor, unsigned first, uint8_t *message) {
    unsigned members[16];
    unsigned count = 0;
    for (unsigned i = first; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            field->quantifier_offset == descriptor->fields[first].quantifier_offset) {
            assert_true(count < ARRAY_COUNT(members));
            members[count++] = i;
        }
    }
    size_t chosen = random_below(&t.seed, count == 1 ? 3 : count);
    if (chosen < count) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[members[chosen]];
        fill_value(field, message + field->offset);
        *(int *)(message + field->quantifier_offset) = (int)field->id;
    }
}

static bool begins_oneof(const ProtobufCMessageDescriptor *descriptor, unsigned which) {
    for (unsigned i = 0; i < which; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            field->quantifier_offset == descriptor->fields[which].quantifier_offset) {
            return false;
        }
    }
    return true;
}

static void fill(ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor) {
    protobuf_c_message_init(descriptor, message);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            fill_list(field, (uint8_t *)message);
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            if (begins_oneof(descriptor, i)) {
                fill_oneof(descriptor, i, (uint8_t *)message);
            }
        } else if (field->type != PROTOBUF_C_TYPE_MESSAGE || random_below(&t.seed, 4) != 0) {
            fill_value(field, (uint8_t *)message + field->offset);
        }
    }
}

void *random_message(const ProtobufCMessageDescriptor *descriptor) {
    ProtobufCMessage *message = grab(descriptor->sizeof_message);
    fill(message, descriptor);
    return message;
}

struct slice pack(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = grab(len);
    assert_int_equal(protobuf_c_message_pack(message, bytes), len);
    return slice_of(bytes, len);
}

// --- our types ---

const struct pb_type *const *const type_lists[] = {pb_raft_types, pb_worker_types, pb_control_types, pb_command_types,
                                                   pb_image_types};
const size_t type_list_count = ARRAY_COUNT(type_lists);

const struct pb_type *random_type(void) {
    const struct pb_type *const *list = type_lists[random_below(&t.seed, type_list_count)];
    size_t count = 0;
    while (list[count] != NULL) {
        count++;
    }
    return list[random_below(&t.seed, count)];
}

const ProtobufCMessageDescriptor *yardstick_of(const struct pb_type *type) {
#define YARDSTICK(message) &message##__descriptor,
    static const ProtobufCMessageDescriptor *const all[] = {
#include "yardsticks.inc"
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (strcmp(all[i]->short_name, type->name) == 0) {
            return all[i];
        }
    }
    fail_msg("protobuf-c has no %s", type->name);
    return NULL;
}

void *decode_ok(const struct pb_type *type, struct slice bytes) {
    void *message = grab(type->size);
    assert_ok(pb_decode(&t.arena, type, bytes, message, &t.error));
    return message;
}

enum error_code read_request(const struct pb_type *type, struct slice bytes, void *message) {
    enum error_code code = pb_decode(&t.arena, type, bytes, message, &t.error);
    return code == OK ? pb_check(type, message, &t.error) : code;
}

// --- entries ---

struct raft_entry *entry_of(struct slice bytes, enum raft_entry_type type) {
    struct raft_entry *entry = raft_entry_new(t.slab, type, (struct raft_entry_id){1, 5}, bytes.len);
    assert_non_null(entry);
    if (bytes.len != 0) {
        memcpy(entry->data, bytes.data, bytes.len);
    }
    return entry;
}

enum error_code decode_command(struct slice bytes, struct pb_command *command) {
    struct raft_entry *entry = entry_of(bytes, RAFT_ENTRY_COMMAND);
    enum error_code code = wire_command_decode(&t.arena, entry, command, &t.error);
    raft_entry_unref(entry);
    return code;
}

// --- RaftService ---

struct wire_identity identity_of(const char *node) {
    return (struct wire_identity){
        .cluster_id = raft_id_of(text("demo")), .generation = 3, .node_id = raft_id_of(text(node))};
}

const struct raft_kind raft_kinds[RAFT_KINDS] = {
    {RAFT_REQUEST_VOTE, &baton__v1__request_vote_request__descriptor},
    {RAFT_REQUEST_VOTE_REPLY, &baton__v1__request_vote_response__descriptor},
    {RAFT_APPEND_ENTRIES, &baton__v1__append_entries_request__descriptor},
    {RAFT_APPEND_ENTRIES_REPLY, &baton__v1__append_entries_response__descriptor},
    {RAFT_TIMEOUT_NOW, &baton__v1__timeout_now_request__descriptor},
    {RAFT_TIMEOUT_NOW_REPLY, &baton__v1__timeout_now_response__descriptor},
};

// All envelopes and terms are in the same place, copied because the messages are of different types.
void address_message(ProtobufCMessage *base) {
    Baton__V1__TimeoutNowRequest message;
    memcpy(&message, base, sizeof message);
    if (message.envelope == NULL) {
        message.envelope = grab(sizeof *message.envelope);
        baton__v1__envelope__init(message.envelope);
    }
    Baton__V1__Envelope *envelope = message.envelope;
    envelope->cluster_id = data_of("demo");
    envelope->generation = 3;
    envelope->from = data_of("n2");
    envelope->to = data_of("n1");
    envelope->protocol = WIRE_PROTOCOL_VERSION;
    envelope->from_incarnation = (ProtobufCBinaryData){0};  // neither side's is known
    envelope->to_incarnation = (ProtobufCBinaryData){0};
    message.term |= 8;
    memcpy(base, &message, sizeof message);
}

void make_plausible(enum raft_message_type type, ProtobufCMessage *base) {
    address_message(base);
    if (type == RAFT_REQUEST_VOTE) {
        Baton__V1__RequestVoteRequest *vote = (Baton__V1__RequestVoteRequest *)base;
        vote->candidate_id = data_of("n2");
        vote->last_log_index |= 1;
        vote->last_log_term = 1 + vote->last_log_term % vote->term;
    } else if (type == RAFT_APPEND_ENTRIES) {
        Baton__V1__AppendEntriesRequest *append = (Baton__V1__AppendEntriesRequest *)base;
        append->leader_id = data_of("n2");
        append->prev_log_index = append->prev_log_index >> 1 | 1;
        append->prev_log_term = 1 + append->prev_log_term % append->term;
        for (size_t i = 0; i < append->n_entries; i++) {
            append->entries[i]->index = append->prev_log_index + 1 + i;
            append->entries[i]->term = append->prev_log_term;
        }
    }
}

enum error_code decode_raft(enum raft_message_type type, struct slice bytes, struct raft_message *message) {
    struct wire_identity us = identity_of("n1");
    return wire_raft_decode(&us, type, bytes, t.slab, &t.arena, message, &t.error);
}

void release_entries(const struct raft_message *message) {
    if (message->type == RAFT_APPEND_ENTRIES) {
        for (size_t i = 0; i < message->append.count; i++) {
            raft_entry_unref(message->append.entries[i]);
        }
    }
}

struct append_parts *good_append(void) {
    struct append_parts *p = grab(sizeof *p);
    baton__v1__envelope__init(&p->envelope);
    baton__v1__append_entries_request__init(&p->append);
    p->append.envelope = &p->envelope;
    p->append.leader_id = data_of("n2");
    p->append.prev_log_index = 5;
    p->append.prev_log_term = 2;
    p->append.n_entries = 2;
    p->append.entries = p->entries;
    for (size_t i = 0; i < 2; i++) {
        baton__v1__entry__init(&p->entry[i]);
        p->entry[i].index = 6 + i;
        p->entry[i].term = 3;
        p->entry[i].type = BATON__V1__ENTRY_TYPE__ENTRY_TYPE_COMMAND;
        p->entries[i] = &p->entry[i];
    }
    address_message(&p->append.base);
    return p;
}
