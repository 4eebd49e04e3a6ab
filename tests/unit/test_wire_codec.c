// The one reader and writer of messages: the same bytes and the same values as protobuf-c's for every type there is, what
// protobuf says of fields that come twice, and no crash, leak or read beyond the end, whatever comes in.
#include "wire/fields.h"
#include "wire_env.h"

// --- the same values as protobuf-c's ---

static void assert_same_fields(const struct pb_type *type, const void *ours, const ProtobufCMessage *theirs);

static void assert_same_value(const struct pb_field_type *field, const uint8_t *ours, const ProtobufCFieldDescriptor *theirs,
                              const void *value) {
    const ProtobufCBinaryData *data = value;
    switch (theirs->type) {
    case PROTOBUF_C_TYPE_BYTES:
        assert_int_equal(field->kind, PB_KIND_BYTES);
        assert_true(slice_equal(*(const struct slice *)ours, slice_of(data->data, data->len)));
        break;
    case PROTOBUF_C_TYPE_STRING:
        assert_int_equal(field->kind, PB_KIND_BYTES);
        assert_slice(*(const struct slice *)ours, *(char *const *)value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        assert_int_equal(field->kind, PB_KIND_MESSAGE);
        assert_same_fields(field->message, ours, *(ProtobufCMessage *const *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        assert_int_equal(field->kind, PB_KIND_DOUBLE);
        assert_memory_equal(ours, value, sizeof(double));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        assert_int_equal(field->kind, PB_KIND_BOOL);
        assert_int_equal(*(const bool *)ours, *(const protobuf_c_boolean *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
        assert_int_equal(field->kind, PB_KIND_U32);
        assert_int_equal(*(const uint32_t *)ours, *(const uint32_t *)value);
        break;
    default:
        assert_int_equal(field->kind, PB_KIND_U64);
        assert_true(*(const uint64_t *)ours == *(const uint64_t *)value);
    }
}

static void assert_same_list(const struct pb_field_type *field, const void *ours, const ProtobufCFieldDescriptor *their,
                             const uint8_t *theirs) {
    const uint8_t *items = *(uint8_t *const *)(theirs + their->offset);
    size_t size = their->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
    assert_int_equal(field_count(field, ours), *(const size_t *)(theirs + their->quantifier_offset));
    for (size_t i = 0; i < field_count(field, ours); i++) {
        assert_same_value(field, field_value(field, ours, i), their, items + i * size);
    }
}

static void assert_same_fields(const struct pb_type *type, const void *ours, const ProtobufCMessage *theirs) {
    assert_int_equal(type->field_count, theirs->descriptor->n_fields);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        const ProtobufCFieldDescriptor *their = protobuf_c_message_descriptor_get_field(theirs->descriptor, field->number);
        const uint8_t *base = (const uint8_t *)theirs;
        assert_non_null(their);
        assert_string_equal(field->name, their->name);
        if (their->label == PROTOBUF_C_LABEL_REPEATED) {
            assert_same_list(field, ours, their, base);
            continue;
        }
        bool present = true;
        if ((their->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            present = *(const uint32_t *)(base + their->quantifier_offset) == field->number;
            assert_int_equal(field_is_present(field, ours), present);
        } else if (their->type == PROTOBUF_C_TYPE_MESSAGE) {
            present = *(void *const *)(base + their->offset) != NULL;
            assert_int_equal(field_is_present(field, ours), present);
        }
        if (present) {
            assert_same_value(field, (const uint8_t *)ours + field->offset, their, base + their->offset);
        }
    }
}

// --- there and back ---

static void round_trip(const struct pb_type *type) {
    ProtobufCMessage *theirs = random_message(yardstick_of(type));
    struct slice packed = pack(theirs);
    const void *ours = decode_ok(type, packed);
    assert_same_fields(type, ours, theirs);
    buf_clear(&t.out);
    pb_encode(type, ours, &t.out);
    assert_same_bytes(buf_slice(&t.out), packed);
    // Exactly that much memory, so that the address sanitizer sees a byte too many on either side.
    size_t size = pb_size(type, ours);
    assert_int_equal(size, packed.len);
    uint8_t *exact = mem_alloc(size == 0 ? 1 : size);
    pb_write(type, ours, exact, size);
    assert_true(slice_equal(slice_of(exact, size), packed));
    free(exact);
}

static void round_trips(const struct pb_type *const *list, int rounds) {
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; list[i] != NULL; i++) {
            round_trip(list[i]);
        }
        arena_reset(&t.arena);
    }
}

static void TestWireControlRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireControlRoundTrip");
    round_trips(pb_control_types, 300);
}

static void TestWireTypesRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireTypesRoundTrip");
    for (size_t i = 0; i < type_list_count; i++) {
        round_trips(type_lists[i], 300);
    }
}

// No bytes are a message in which nothing is set, of every type.
static void TestWireEmptyMessages(void **state) {
    (void)state;
    for (size_t i = 0; i < type_list_count; i++) {
        for (size_t k = 0; type_lists[i][k] != NULL; k++) {
            const struct pb_type *type = type_lists[i][k];
            uint8_t *message = grab(type->size);
            memset(message, 0xff, type->size);
            assert_ok(pb_decode(NULL, type, slice_of(NULL, 0), message, &t.error));
            for (size_t f = 0; f < type->field_count; f++) {
                assert_false(field_is_present(&type->fields[f], message));
            }
            assert_int_equal(pb_size(type, message), 0);
        }
    }
}

// Tags of two bytes, which no message has yet.
static void TestWireLargeFieldNumbers(void **state) {
    (void)state;
    struct large {
        uint64_t number;
        struct slice bytes;
    };
    static const struct pb_field_type fields[] = {
        {.name = "number", .number = 16, .kind = PB_KIND_U64, .offset = offsetof(struct large, number)},
        {.name = "bytes", .number = 255, .kind = PB_KIND_BYTES, .offset = offsetof(struct large, bytes)},
    };
    static const uint8_t places[256] = {[16] = 1, [255] = 2};
    static const struct pb_type type = {
        .name = "Large",
        .size = sizeof(struct large),
        .fields = fields,
        .field_count = ARRAY_COUNT(fields),
        .places = places,
        .last_number = 255,
    };
    struct slice packed = slice_of(BYTES("\x80\x01\x2a\xfa\x0f\x01x"));
    const struct large *large = decode_ok(&type, packed);
    assert_int_equal(large->number, 42);
    assert_slice(large->bytes, "x");
    assert_int_equal(pb_size(&type, large), packed.len);
    pb_encode(&type, large, &t.out);
    assert_true(slice_equal(buf_slice(&t.out), packed));
}

static void TestWireMethods(void **state) {
    (void)state;
    assert_string_equal(pb_control_service_put.path, "/baton.v1.ControlService/Put");
    assert_string_equal(pb_worker_service_heartbeat.path, "/baton.v1.WorkerService/Heartbeat");
    assert_ptr_equal(pb_control_service_watch.request, &pb_watch_request_type);
    assert_ptr_equal(pb_control_service_watch.response, &pb_watch_response_type);
    assert_ptr_equal(pb_control_service_watch.service, &pb_control_service);
    assert_true(pb_control_service_watch.server_streaming);
    assert_false(pb_control_service_get.server_streaming);
    assert_int_equal(pb_control_service_put.access, PB_ACCESS_WRITE);
    assert_int_equal(pb_control_service_get.access, PB_ACCESS_READ);
    assert_int_equal(pb_control_service_status.access, PB_ACCESS_LOCAL);
    for (size_t i = 0; i < pb_control_service.method_count; i++) {
        assert_ptr_equal(pb_control_service.methods[i]->service, &pb_control_service);
    }
    assert_string_equal(pb_control_service.name, "baton.v1.ControlService");
    assert_string_equal(pb_control_service.roles[0], "operator");
    assert_string_equal(pb_control_service.roles[1], "node");
    assert_null(pb_control_service.roles[2]);
    assert_string_equal(pb_raft_service.roles[0], "node");
    assert_null(pb_raft_service.roles[1]);
}

// --- what comes twice ---

static void merge(ProtobufCMessage *into, const ProtobufCMessage *from);

static void merge_list(const ProtobufCFieldDescriptor *field, uint8_t *into, const uint8_t *from) {
    size_t *count = (size_t *)(into + field->quantifier_offset);
    size_t more = *(const size_t *)(from + field->quantifier_offset);
    size_t size = field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
    uint8_t *items = grab((*count + more) * size);
    memcpy(items, *(void *const *)(into + field->offset), *count * size);
    memcpy(items + *count * size, *(void *const *)(from + field->offset), more * size);
    *(void **)(into + field->offset) = items;
    *count += more;
}

// Whether the bytes of the message have the field.
static bool is_written(const ProtobufCFieldDescriptor *field, const uint8_t *message) {
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return *(const uint32_t *)(message + field->quantifier_offset) == field->id;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)(message + field->offset) != NULL;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)(message + field->offset))->len > 0;
    case PROTOBUF_C_TYPE_STRING:
        return **(char *const *)(message + field->offset) != '\0';
    default:
        return memcmp(message + field->offset, &(uint64_t){0}, value_size(field)) != 0;
    }
}

// As protobuf says of a message that comes twice. protobuf-c itself does it wrong: a number that is not in the second part
// becomes 0.
static void merge(ProtobufCMessage *into, const ProtobufCMessage *from) {
    uint8_t *to = (uint8_t *)into;
    const uint8_t *base = (const uint8_t *)from;
    for (unsigned i = 0; i < from->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &from->descriptor->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            merge_list(field, to, base);
        } else if (is_written(field, base)) {
            if (field->type == PROTOBUF_C_TYPE_MESSAGE && is_written(field, to)) {
                merge(*(ProtobufCMessage **)(to + field->offset), *(ProtobufCMessage *const *)(base + field->offset));
            } else {
                memcpy(to + field->offset, base + field->offset, value_size(field));
            }
            if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
                *(uint32_t *)(to + field->quantifier_offset) = field->id;
            }
        }
    }
}

// The bytes of two messages after each other are the second merged into the first.
static void TestWireMergedMessages(void **state) {
    (void)state;
    t.seed = random_seed("TestWireMergedMessages");
    for (int round = 0; round < 5000; round++) {
        const struct pb_type *type = random_type();
        ProtobufCMessage *theirs = random_message(yardstick_of(type));
        ProtobufCMessage *more = random_message(yardstick_of(type));
        buf_clear(&t.out);
        buf_append_slice(&t.out, pack(theirs));
        buf_append_slice(&t.out, pack(more));
        merge(theirs, more);
        assert_same_fields(type, decode_ok(type, buf_slice(&t.out)), theirs);
        arena_reset(&t.arena);
    }
}

static void TestWireFieldsTwice(void **state) {
    (void)state;
    // key a, session {client_id c}, key b, session {sequence 9}
    const struct pb_put_request *put = decode_ok(&pb_put_request_type, slice_of(BYTES("\x0a\x01"
                                                                                      "a\x22\x03\x0a\x01"
                                                                                      "c\x0a\x01"
                                                                                      "b\x22\x02\x10\x09")));
    assert_slice(put->key, "b");
    assert_true(put->has_session);
    assert_slice(put->session.client_id, "c");
    assert_int_equal(put->session.sequence, 9);

    // redirect {a, b}, redirect {}, redirect {c}: the list goes on
    const struct pb_register_worker_response *response =
        decode_ok(&pb_register_worker_response_type, slice_of(BYTES("\x22\x06\x1a\x01"
                                                                    "a\x1a\x01"
                                                                    "b\x22\x00\x22\x03\x1a\x01"
                                                                    "c")));
    assert_int_equal(response->redirect.member_addresses_count, 3);
    assert_slice(response->redirect.member_addresses[0], "a");
    assert_slice(response->redirect.member_addresses[1], "b");
    assert_slice(response->redirect.member_addresses[2], "c");
}

#define PUT_A    "\x52\x06\x0a\x01\x61\x12\x01v"  // put {key a, value v}
#define PUT_B    "\x52\x03\x0a\x01\x62"           // put {key b}
#define DELETE_D "\x5a\x03\x0a\x01\x64"           // delete {key d}

static void TestWireOneofTwice(void **state) {
    (void)state;
    const struct pb_command *command = decode_ok(&pb_command_type, slice_of(BYTES(PUT_A DELETE_D)));
    assert_int_equal(command->op, PB_COMMAND_OP_DELETE);
    assert_slice(command->delete.key, "d");
    command = decode_ok(&pb_command_type, slice_of(BYTES(PUT_A PUT_B)));  // one member: merged
    assert_int_equal(command->op, PB_COMMAND_OP_PUT);
    assert_slice(command->put.key, "b");
    assert_slice(command->put.value, "v");
    command = decode_ok(&pb_command_type, slice_of(BYTES(PUT_A DELETE_D PUT_B)));  // begun anew
    assert_int_equal(command->op, PB_COMMAND_OP_PUT);
    assert_slice(command->put.key, "b");
    assert_int_equal(command->put.value.len, 0);
}

// --- what is persisted ---

static void refuse_persisted(const char *bytes, size_t len, enum error_code expected, const char *names) {
    struct pb_command command;
    assert_refused(pb_decode_persisted(&t.arena, &pb_command_type, slice_of(bytes, len), &command, &t.error), expected,
                   names);
}

static void TestWirePersisted(void **state) {
    (void)state;
    struct pb_command command;
    assert_ok(pb_decode_persisted(&t.arena, &pb_command_type, slice_of(BYTES(PUT_A)), &command, &t.error));
    refuse_persisted(BYTES(PUT_A DELETE_D), ERR_MALFORMED, "two operations");
    refuse_persisted(BYTES(PUT_A PUT_B), ERR_MALFORMED, "two operations");
    refuse_persisted(BYTES("\x38\x01" PUT_A), ERR_UNKNOWN_COMMAND, "field 7 of Command is not known here");
    refuse_persisted(BYTES("\x52\x05\x0a\x01k\x28\x01"), ERR_UNKNOWN_COMMAND, "field 5 of PutRequest");
    // A session is of the request; what is in the log is in the command.
    refuse_persisted(BYTES("\x52\x08\x0a\x01k\x22\x03\x0a\x01s"), ERR_UNKNOWN_COMMAND, "field 4 of PutRequest");
    refuse_persisted(BYTES("\x5a\x05\x0a\x01k\x1a\x00"), ERR_UNKNOWN_COMMAND, "field 3 of DeleteRequest");
    refuse_persisted(BYTES("\x52\x03\x12\x01v"), ERR_MALFORMED, "not a PutRequest: key is empty or too long");
    refuse_persisted(BYTES("\x62\x08\x0a\x02w1\x12\x00\x1a\x00"), ERR_MALFORMED, "instance_id is empty or too long");
}

static void TestWirePersistedLengths(void **state) {
    (void)state;
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    Baton__V1__Command packed = BATON__V1__COMMAND__INIT;
    struct pb_command command;
    packed.format = 1;
    packed.op_case = BATON__V1__COMMAND__OP_PUT;
    packed.put = &put;
    put.key = long_text(KEY_MAX);
    packed.client_id = long_text(ID_MAX);
    assert_ok(decode_command(pack(&packed.base), &command));
    put.key = long_text(KEY_MAX + 1);
    assert_refused(decode_command(pack(&packed.base), &command), ERR_MALFORMED, "key is empty or too long");
    put.key = long_text(KEY_MAX);
    packed.client_id = long_text(ID_MAX + 1);
    assert_refused(decode_command(pack(&packed.base), &command), ERR_MALFORMED, "client_id is empty or too long");

    Baton__V1__WorkerChange change = BATON__V1__WORKER_CHANGE__INIT;
    Baton__V1__ChangeWorkers changes = BATON__V1__CHANGE_WORKERS__INIT;
    changes.n_changes = 1;
    changes.changes = (Baton__V1__WorkerChange *[]){&change};
    packed.client_id.len = 0;
    packed.op_case = BATON__V1__COMMAND__OP_CHANGE_WORKERS;
    packed.change_workers = &changes;
    change.reason = long_text(64);
    assert_ok(decode_command(pack(&packed.base), &command));
    change.reason = long_text(65);
    assert_refused(decode_command(pack(&packed.base), &command), ERR_MALFORMED, "reason is empty or too long");
    change.reason.len = 0;
    change.worker_id = long_text(ID_MAX + 1);
    assert_refused(decode_command(pack(&packed.base), &command), ERR_MALFORMED, "worker_id is empty or too long");
}

// --- memory ---

// A list beyond the arena's limit is refused before there is any memory for it.
static void TestWireListBeyondMemory(void **state) {
    (void)state;
    enum { ITEMS = 100000 };
    for (size_t i = 0; i < ITEMS; i++) {
        buf_append(&t.out, "\x0a\x00", 2);
    }
    struct arena small = {.limit = 64 * KIB};
    struct pb_list_response list;
    assert_int_equal(pb_decode(&small, &pb_list_response_type, buf_slice(&t.out), &list, &t.error), ERR_NO_MEMORY);
    assert_int_equal(list.items_count, 0);
    arena_free(&small);

    struct append_parts *p = good_append();
    p->append.n_entries = 0;
    struct slice packed = pack(&p->append.base);
    buf_clear(&t.out);
    buf_append_slice(&t.out, packed);
    for (size_t i = 0; i < ITEMS; i++) {
        buf_append(&t.out, "\x32\x00", 2);
    }
    struct wire_identity us = identity_of("n1");
    struct raft_message message;
    assert_int_equal(wire_raft_decode(&us, RAFT_APPEND_ENTRIES, buf_slice(&t.out), t.slab, &small, &message, &t.error),
                     ERR_NO_MEMORY);
    arena_free(&small);
}

// A list with more items than its rule allows takes no memory at all.
static void TestWireTooManyItems(void **state) {
    (void)state;
    struct pb_register_worker_request worker;
    struct arena arena = {.limit = 64 * KIB};
    for (size_t i = 0; i < LABELS_MAX; i++) {
        buf_append(&t.out, "\x32\x00", 2);
    }
    assert_ok(pb_decode(&arena, &pb_register_worker_request_type, buf_slice(&t.out), &worker, &t.error));
    assert_int_equal(worker.labels_count, LABELS_MAX);
    arena_free(&arena);
    buf_append(&t.out, "\x32\x00", 2);
    assert_refused(pb_decode(&arena, &pb_register_worker_request_type, buf_slice(&t.out), &worker, &t.error), ERR_INVALID,
                   "labels: 33 are too many; at most 32 are allowed");
    assert_int_equal(arena.held, 0);
    assert_int_equal(worker.labels_count, 0);

    // Nor in the parts of one message: 20 labels, and 20 more.
    struct buf part = {.len = 0};
    buf_append(&part, "\x62\x28", 2);
    buf_append(&part, t.out.data, 40);
    struct slice both = arena_copy(&t.arena, buf_slice(&part));
    buf_append_slice(&part, both);
    struct pb_command command;
    assert_refused(pb_decode(&t.arena, &pb_command_type, buf_slice(&part), &command, &t.error), ERR_INVALID,
                   "labels: 40 are too many");
    buf_free(&part);
}

// --- damage ---

// What decodes is the same after it has been encoded and decoded again.
static void decode_again(const struct pb_type *type, struct slice bytes) {
    void *message = grab(type->size);
    void *again = grab(type->size);
    (void)pb_decode_persisted(&t.arena, type, bytes, message, &t.error);
    if (pb_decode(&t.arena, type, bytes, message, &t.error) != OK) {
        return;
    }
    (void)pb_check(type, message, &t.error);
    buf_clear(&t.out);
    pb_encode(type, message, &t.out);
    assert_ok(pb_decode(&t.arena, type, buf_slice(&t.out), again, &t.error));
    assert_true(pb_equal(type, message, again));
}

// Every decoder, on a copy of just these bytes, so that the address sanitizer sees a read beyond them.
static void decode_everything(struct slice bytes) {
    uint8_t *copy = mem_alloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len != 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    struct slice s = slice_of(copy, bytes.len);
    for (size_t i = 0; i < type_list_count; i++) {
        for (size_t k = 0; type_lists[i][k] != NULL; k++) {
            decode_again(type_lists[i][k], s);
        }
    }
    for (size_t i = 0; i < RAFT_KINDS; i++) {
        struct raft_message message;
        if (decode_raft(raft_kinds[i].type, s, &message) == OK) {
            release_entries(&message);
        }
    }
    struct pb_command command;
    (void)decode_command(s, &command);
    struct wire_configuration configuration;
    struct raft_entry *entry = entry_of(s, RAFT_ENTRY_CONFIGURATION);
    (void)wire_configuration_decode(entry, &configuration, &t.error);
    buf_clear(&t.out);
    wire_configuration_summary(entry, &t.out);
    raft_entry_unref(entry);
    free(copy);
}

static struct slice random_valid(void) {
    if (random_below(&t.seed, 3) != 0) {
        return pack(random_message(yardstick_of(random_type())));
    }
    const struct raft_kind *kind = &raft_kinds[random_below(&t.seed, RAFT_KINDS)];
    ProtobufCMessage *message = random_message(kind->descriptor);
    make_plausible(kind->type, message);
    return pack(message);
}

static void TestWireTruncated(void **state) {
    (void)state;
    t.seed = random_seed("TestWireTruncated");
    for (int round = 0; round < 60; round++) {
        struct slice whole = random_valid();
        uint8_t *bytes = mem_alloc(whole.len + 1);
        memcpy(bytes, whole.data, whole.len);
        for (size_t len = 0; len < whole.len && len < 600; len++) {
            decode_everything(slice_of(bytes, len));
            arena_reset(&t.arena);
        }
        free(bytes);
    }
}

static void TestWireDamaged(void **state) {
    (void)state;
    t.seed = random_seed("TestWireDamaged");
    for (int round = 0; round < 20000; round++) {
        struct slice whole = random_valid();
        uint8_t *bytes = (uint8_t *)whole.data;
        for (size_t flips = 1 + random_below(&t.seed, 4); flips > 0 && whole.len > 0; flips--) {
            bytes[random_below(&t.seed, whole.len)] ^= (uint8_t)(1 << random_below(&t.seed, 8));
        }
        decode_everything(whole);
        arena_reset(&t.arena);
    }
}

static void TestWireMalformed(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *why;  // NULL: fine
    } cases[] = {
        {BYTES(""), NULL},
        {BYTES("\x08\x01"), NULL},
        {BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NULL},  // 2^64 - 1
        {BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), NULL},  // 0, the longest way
        {BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "64 bits"},
        {BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "10 bytes"},
        {BYTES("\x08"), "ends within"},
        {BYTES("\x08\x80"), "ends within"},
        {BYTES("\x0a\x01x"), "wrong wire type"},
        {BYTES("\x09\x01\x02\x03\x04\x05\x06\x07\x08"), "wrong wire type"},
        {BYTES("\x09\x01"), "ends within"},
        {BYTES("\x00\x01"), "field number"},
        {BYTES("\x80\x80\x80\x80\x10\x01"), "field number"},
        {BYTES("\x52\x02xy\x08\x01"), NULL},  // an unknown field, skipped
        {BYTES("\x52\x7fxy"), "beyond the end"},
        {BYTES("\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xy"), "beyond the end"},
        {BYTES("\x53\x54"), "wire type"},  // a group
        {BYTES("\x57"), "wire type"},
        {BYTES("\x5d\x01\x02\x03\x04"), NULL},
        {BYTES("\x5d\x01\x02\x03"), "ends within"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pb_put_response response;
        enum error_code code =
            pb_decode(NULL, &pb_put_response_type, slice_of(cases[i].bytes, cases[i].len), &response, &t.error);
        if (cases[i].why == NULL) {
            assert_ok(code);
        } else {
            assert_refused(code, ERR_MALFORMED, cases[i].why);
            assert_refused(code, ERR_MALFORMED, "not a PutResponse: ");
        }
    }
    struct pb_list_request list;  // limit: as large as 32 bits, and larger
    assert_ok(pb_decode(NULL, &pb_list_request_type, slice_of(BYTES("\x18\xff\xff\xff\xff\x0f")), &list, &t.error));
    assert_int_equal(list.limit, UINT32_MAX);
    assert_refused(pb_decode(NULL, &pb_list_request_type, slice_of(BYTES("\x18\x80\x80\x80\x80\x10")), &list, &t.error),
                   ERR_MALFORMED, "32 bits");
    struct pb_get_request get;  // any number but 0 is true
    assert_ok(pb_decode(NULL, &pb_get_request_type, slice_of(BYTES("\x10\x80\x02")), &get, NULL));
    assert_true(get.stale);
    assert_int_equal(pb_decode(NULL, &pb_get_request_type, slice_of(BYTES("\x10")), &get, NULL), ERR_MALFORMED);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(TestWireControlRoundTrip),  WIRE_TEST(TestWireTypesRoundTrip),   WIRE_TEST(TestWireEmptyMessages),
    WIRE_TEST(TestWireLargeFieldNumbers), WIRE_TEST(TestWireMethods),          WIRE_TEST(TestWireMergedMessages),
    WIRE_TEST(TestWireFieldsTwice),       WIRE_TEST(TestWireOneofTwice),       WIRE_TEST(TestWirePersisted),
    WIRE_TEST(TestWirePersistedLengths),  WIRE_TEST(TestWireListBeyondMemory), WIRE_TEST(TestWireTooManyItems),
    WIRE_TEST(TestWireTruncated),         WIRE_TEST(TestWireDamaged),          WIRE_TEST(TestWireMalformed),
};

UNIT_MAIN(tests)
