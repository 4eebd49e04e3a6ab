// Messages: the same bytes as protobuf-c makes of the same .proto files, every field in its place, and whatever else comes
// in refused by name, without a crash, a leak or a read beyond the end.
#include "base/array.h"
#include "base/mem.h"
#include "command.pb-c.h"
#include "control.pb-c.h"
#include "raft.pb-c.h"
#include "random.h"
#include "unit.h"
#include "wire/command.h"
#include "wire/control.h"
#include "wire/protobuf_lite.h"
#include "wire/raft_messages.h"
#include "wire/worker.h"

// What every test uses; set up anew for each.
static struct {
    uint64_t seed;
    struct arena arena;
    struct raft_slab *slab;
    struct buf out;
    struct error error;
} t;

static int setup(void **state) {
    (void)state;
    t.arena.limit = 64 * MIB;
    t.slab = raft_slab_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&t.arena);
    buf_free(&t.out);
    raft_slab_free(t.slab);  // asserts that no entry is still held
    return 0;
}

static struct slice text(const char *s) {
    return slice_of_str(s);
}

static void assert_slice(struct slice actual, const char *expected) {
    if (!slice_equal(actual, text(expected))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)actual.len, (const char *)actual.data, expected);
    }
}

static void assert_ok(enum error_code code) {
    if (code != OK) {
        fail_msg("%s: %s", error_name(code), t.error.message);
    }
}

static struct wire_identity identity_of(const char *node) {
    return (struct wire_identity){
        .cluster_id = raft_id_of(text("demo")), .generation = 3, .node_id = raft_id_of(text(node))};
}

// --- messages with random contents, from protobuf-c's descriptors ---

static void *grab(size_t size) {
    void *p = arena_alloc(&t.arena, size == 0 ? 1 : size);
    assert_non_null(p);
    return p;
}

static ProtobufCBinaryData data_of(const char *s) {
    return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)s};
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
    if (ends_with(name, "id") || strcmp(name, "leader") == 0 || strcmp(name, "target") == 0) {
        return data_of(ids[random_below(&t.seed, 4)]);
    }
    if (ends_with(name, "address")) {
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
    return random_bytes(strcmp(name, "key") == 0, 40);
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
    if (strcmp(name, "to") == 0) {
        return random_below(&t.seed, 2) * 1000;
    }
    return random_number(&t.seed);
}

static void fill(ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor);

// What one value of the field takes.
static size_t value_size(const ProtobufCFieldDescriptor *field) {
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
    const ProtobufCMessageDescriptor *inner;
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
        inner = field->descriptor;
        *(ProtobufCMessage **)value = grab(inner->sizeof_message);
        fill(*(ProtobufCMessage **)value, inner);
        break;
    default:
        *(uint64_t *)value = number_for(field->name);
    }
}

static void fill(ProtobufCMessage *message, const ProtobufCMessageDescriptor *descriptor) {
    protobuf_c_message_init(descriptor, message);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        void *member = (uint8_t *)message + field->offset;
        void *quantifier = (uint8_t *)message + field->quantifier_offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = random_below(&t.seed, 5);
            uint8_t *items = grab(count * value_size(field));
            for (size_t k = 0; k < count; k++) {
                fill_value(field, items + k * value_size(field));
            }
            *(void **)member = items;
            *(size_t *)quantifier = count;
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
            fill_value(field, member);
        } else if (*(int *)quantifier == 0 && (random_below(&t.seed, 3) == 0 || field->id == 13)) {
            fill_value(field, member);  // a command's last operation, if none was taken
            *(int *)quantifier = (int)field->id;
        }
    }
}

static struct slice pack(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = grab(len);
    assert_int_equal(protobuf_c_message_pack(message, bytes), len);
    return slice_of(bytes, len);
}

static void *random_message(const ProtobufCMessageDescriptor *descriptor) {
    ProtobufCMessage *message = grab(descriptor->sizeof_message);
    fill(message, descriptor);
    return message;
}

static void assert_same_bytes(struct slice packed) {
    if (!slice_equal(buf_slice(&t.out), packed)) {
        fail_msg("%zu bytes differ from protobuf-c's %zu", t.out.len, packed.len);
    }
}

// --- ControlService: bytes of protobuf-c, decoded and encoded by us, are the same bytes again ---

typedef void again(struct slice bytes);

static void put_request_again(struct slice bytes) {
    struct state_command command;
    assert_ok(wire_put_request_decode(bytes, &command, &t.error));
    wire_put_request_encode(&command, &t.out);
}

static void delete_request_again(struct slice bytes) {
    struct state_command command;
    assert_ok(wire_delete_request_decode(bytes, &command, &t.error));
    wire_delete_request_encode(&command, &t.out);
}

static void put_response_again(struct slice bytes) {
    uint64_t revision;
    assert_ok(wire_put_response_decode(bytes, &revision, &t.error));
    wire_put_response_encode(revision, &t.out);
}

static void delete_response_again(struct slice bytes) {
    uint64_t revision;
    bool existed;
    assert_ok(wire_delete_response_decode(bytes, &revision, &existed, &t.error));
    wire_delete_response_encode(revision, existed, &t.out);
}

static void transfer_request_again(struct slice bytes) {
    struct raft_id target;
    assert_ok(wire_transfer_request_decode(bytes, &target, &t.error));
    wire_transfer_request_encode(&target, &t.out);
}

static void transfer_response_again(struct slice bytes) {
    struct raft_id leader;
    raft_term term;
    assert_ok(wire_transfer_response_decode(bytes, &leader, &term, &t.error));
    wire_transfer_response_encode(&leader, term, &t.out);
}

// `...`: the arena, of messages with lists.
#define AGAIN(name, ...)                                                                                                    \
    static void name##_again(struct slice bytes) {                                                                          \
        struct wire_##name message;                                                                                         \
        assert_ok(wire_##name##_decode(__VA_ARGS__ __VA_OPT__(, ) bytes, &message, &t.error));                              \
        wire_##name##_encode(&message, &t.out);                                                                             \
    }
AGAIN(get_request)
AGAIN(get_response)
AGAIN(list_request)
AGAIN(list_response, &t.arena)
AGAIN(watch_request)
AGAIN(watch_response, &t.arena)
AGAIN(status_response, &t.arena)
AGAIN(read_log_request)
AGAIN(read_log_response, &t.arena)
AGAIN(list_workers_request)
AGAIN(list_workers_response, &t.arena)

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    again *again;
} control_messages[] = {
    {&baton__v1__put_request__descriptor, put_request_again},
    {&baton__v1__put_response__descriptor, put_response_again},
    {&baton__v1__get_request__descriptor, get_request_again},
    {&baton__v1__get_response__descriptor, get_response_again},
    {&baton__v1__delete_request__descriptor, delete_request_again},
    {&baton__v1__delete_response__descriptor, delete_response_again},
    {&baton__v1__list_request__descriptor, list_request_again},
    {&baton__v1__list_response__descriptor, list_response_again},
    {&baton__v1__watch_request__descriptor, watch_request_again},
    {&baton__v1__watch_response__descriptor, watch_response_again},
    {&baton__v1__status_response__descriptor, status_response_again},
    {&baton__v1__read_log_request__descriptor, read_log_request_again},
    {&baton__v1__read_log_response__descriptor, read_log_response_again},
    {&baton__v1__list_workers_request__descriptor, list_workers_request_again},
    {&baton__v1__list_workers_response__descriptor, list_workers_response_again},
    {&baton__v1__transfer_leadership_request__descriptor, transfer_request_again},
    {&baton__v1__transfer_leadership_response__descriptor, transfer_response_again},
};

static void TestWireControlRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireControlRoundTrip");
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(control_messages); i++) {
            struct slice packed = pack(random_message(control_messages[i].descriptor));
            buf_clear(&t.out);
            control_messages[i].again(packed);
            assert_same_bytes(packed);
        }
        arena_reset(&t.arena);
    }
}

// A decoder and an encoder that both swap two fields would pass the test above.
static void TestWireControlFields(void **state) {
    (void)state;
    Baton__V1__Session session = BATON__V1__SESSION__INIT;
    session.client_id = data_of("c1");
    session.sequence = 9;
    session.acknowledged_below = 7;
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    put.key = data_of("k");
    put.value = data_of("v");
    put.session = &session;
    put.expected_case = BATON__V1__PUT_REQUEST__EXPECTED_EXPECTED_REVISION;
    struct state_command command;
    assert_ok(wire_put_request_decode(pack(&put.base), &command, &t.error));
    assert_int_equal(command.operation, STATE_PUT);
    assert_slice(command.put.key, "k");
    assert_slice(command.put.value, "v");
    assert_true(command.put.has_expected);  // 0, but there
    assert_int_equal(command.put.expected_revision, 0);
    assert_slice(command.client_id, "c1");
    assert_int_equal(command.sequence, 9);
    assert_int_equal(command.acknowledged_below, 7);

    Baton__V1__ListRequest list = BATON__V1__LIST_REQUEST__INIT;
    list.prefix = data_of("p");
    list.start_after = data_of("pa");
    list.limit = 5;
    struct wire_list_request list_request;
    assert_ok(wire_list_request_decode(pack(&list.base), &list_request, &t.error));
    assert_slice(list_request.prefix, "p");
    assert_slice(list_request.start_after, "pa");
    assert_int_equal(list_request.limit, 5);
    assert_false(list_request.stale);

    Baton__V1__GetResponse get = BATON__V1__GET_RESPONSE__INIT;
    get.revision = 4;
    get.read_index = 6;
    struct wire_get_response get_response;
    assert_ok(wire_get_response_decode(pack(&get.base), &get_response, &t.error));
    assert_int_equal(get_response.revision, 4);
    assert_int_equal(get_response.read_index, 6);

    Baton__V1__WatchEvent event = BATON__V1__WATCH_EVENT__INIT;
    event.type = BATON__V1__WATCH_EVENT__TYPE__DELETE;
    event.key = data_of("gone");
    Baton__V1__WatchResponse watch = BATON__V1__WATCH_RESPONSE__INIT;
    watch.n_events = 1;
    watch.events = (Baton__V1__WatchEvent *[]){&event};
    struct wire_watch_response watch_response;
    assert_ok(wire_watch_response_decode(&t.arena, pack(&watch.base), &watch_response, &t.error));
    assert_int_equal(watch_response.count, 1);
    assert_true(watch_response.events[0].is_delete);
    assert_slice(watch_response.events[0].key, "gone");
}

static void TestWireStatusFields(void **state) {
    (void)state;
    Baton__V1__MemberStatus n2 = BATON__V1__MEMBER_STATUS__INIT;
    n2.id = data_of("n2");
    n2.address = data_of("a:1");
    n2.http_address = data_of("a:2");
    n2.cloud = data_of("aws");
    n2.voter = true;
    n2.rtt_ms = 50.25;
    n2.match_index = 8;
    Baton__V1__RoundTrip to_n3 = BATON__V1__ROUND_TRIP__INIT;
    to_n3.id = data_of("n3");
    to_n3.rtt_ms = 49.5;
    n2.commit_ms = 0.5;
    n2.n_round_trips = 1;
    n2.round_trips = (Baton__V1__RoundTrip *[]){&to_n3};
    Baton__V1__Placement placement = BATON__V1__PLACEMENT__INIT;
    placement.pause_term = 6;
    placement.decision = data_of("stay");
    Baton__V1__StatusResponse packed = BATON__V1__STATUS_RESPONSE__INIT;
    packed.placement = &placement;
    packed.node = data_of("n1");
    packed.cluster_id = data_of("demo");
    packed.role = data_of("follower");
    packed.leader = data_of("n3");
    packed.leader_address = data_of("c:1");
    packed.term = 1;
    packed.commit_index = 2;
    packed.last_applied = 3;
    packed.last_log_index = 4;
    packed.version = data_of("9");
    packed.uptime_ms = 5;
    packed.n_members = 1;
    packed.members = (Baton__V1__MemberStatus *[]){&n2};
    struct wire_status_response status;
    assert_ok(wire_status_response_decode(&t.arena, pack(&packed.base), &status, &t.error));
    assert_slice(status.node, "n1");
    assert_slice(status.cluster_id, "demo");
    assert_slice(status.role, "follower");
    assert_slice(status.leader, "n3");
    assert_slice(status.leader_address, "c:1");
    assert_slice(status.version, "9");
    assert_int_equal(status.term, 1);
    assert_int_equal(status.commit_index, 2);
    assert_int_equal(status.last_applied, 3);
    assert_int_equal(status.last_log_index, 4);
    assert_int_equal(status.uptime_ms, 5);
    assert_int_equal(status.member_count, 1);
    assert_slice(status.members[0].id, "n2");
    assert_slice(status.members[0].address, "a:1");
    assert_slice(status.members[0].http_address, "a:2");
    assert_slice(status.members[0].cloud, "aws");
    assert_true(status.members[0].voter);
    assert_false(status.members[0].reachable);
    assert_true(status.members[0].rtt_ms == 50.25);
    assert_int_equal(status.members[0].match_index, 8);
    assert_true(status.members[0].commit_ms == 0.5);
    assert_int_equal(status.members[0].round_trip_count, 1);
    assert_slice(status.members[0].round_trips[0].id, "n3");
    assert_true(status.members[0].round_trips[0].rtt_ms == 49.5);
    assert_int_equal(status.placement.pause_term, 6);
    assert_slice(status.placement.decision, "stay");
}

static void TestWireWorkerInfoFields(void **state) {
    (void)state;
    Baton__V1__WorkerInfo__LabelsEntry label = BATON__V1__WORKER_INFO__LABELS_ENTRY__INIT;
    label.key = "zone";
    label.value = data_of("b");
    Baton__V1__WorkerInfo info = BATON__V1__WORKER_INFO__INIT;
    info.id = data_of("w1");
    info.address = data_of("a:1");
    info.cloud = data_of("gcp");
    info.status = data_of("online");
    info.reason = data_of("why");
    info.last_seen_case = BATON__V1__WORKER_INFO__LAST_SEEN_LAST_SEEN_UNIX_MS;
    info.last_seen_unix_ms = -1;
    info.epoch = 2;
    info.instance_id = data_of("i");
    info.slots = 3;
    info.n_labels = 1;
    info.labels = (Baton__V1__WorkerInfo__LabelsEntry *[]){&label};
    info.since_index = 4;
    Baton__V1__ListWorkersRequest asked = BATON__V1__LIST_WORKERS_REQUEST__INIT;
    asked.start_after = data_of("w0");
    asked.limit = 7;
    struct wire_list_workers_request request;
    assert_ok(wire_list_workers_request_decode(pack(&asked.base), &request, &t.error));
    assert_slice(request.start_after, "w0");
    assert_int_equal(request.limit, 7);
    Baton__V1__ListWorkersResponse packed = BATON__V1__LIST_WORKERS_RESPONSE__INIT;
    packed.more = true;
    packed.n_workers = 1;
    packed.workers = (Baton__V1__WorkerInfo *[]){&info};
    struct wire_list_workers_response response;
    assert_ok(wire_list_workers_response_decode(&t.arena, pack(&packed.base), &response, &t.error));
    assert_true(response.more);
    const struct state_worker *worker = &response.workers[0].worker;
    assert_slice(worker->id, "w1");
    assert_slice(worker->address, "a:1");
    assert_slice(worker->cloud, "gcp");
    assert_slice(worker->instance_id, "i");
    assert_slice(worker->reason, "why");
    assert_true(worker->online);
    assert_int_equal(worker->epoch, 2);
    assert_int_equal(worker->slots, 3);
    assert_int_equal(worker->since_index, 4);
    assert_int_equal(worker->label_count, 1);
    assert_slice(worker->labels[0].key, "zone");
    assert_slice(worker->labels[0].value, "b");
    assert_true(response.workers[0].has_last_seen);
    assert_true(response.workers[0].last_seen_unix_ms == -1);
}

// --- commands ---

// An entry that holds these bytes.
static struct raft_entry *entry_of(struct slice bytes, enum raft_entry_type type) {
    struct raft_entry *entry = raft_entry_new(t.slab, type, (struct raft_entry_id){1, 5}, bytes.len);
    assert_non_null(entry);
    if (bytes.len != 0) {
        memcpy(entry->data, bytes.data, bytes.len);
    }
    return entry;
}

static enum error_code decode_command(struct slice bytes, struct state_command *command) {
    struct raft_entry *entry = entry_of(bytes, RAFT_ENTRY_COMMAND);
    enum error_code code = wire_command_decode(&t.arena, entry, command, &t.error);
    raft_entry_unref(entry);
    return code;
}

static void TestWireCommandRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireCommandRoundTrip");
    for (int round = 0; round < 5000; round++) {
        struct slice packed = pack(random_message(&baton__v1__command__descriptor));
        struct raft_entry *entry = entry_of(packed, RAFT_ENTRY_COMMAND);
        struct state_command command;
        assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
        assert_int_equal(wire_command_size(&command), packed.len);
        struct raft_entry *encoded = wire_command_encode(t.slab, &command);
        assert_true(slice_equal(raft_entry_command(encoded), packed));
        assert_int_equal(encoded->type, RAFT_ENTRY_COMMAND);
        raft_entry_unref(encoded);
        raft_entry_unref(entry);
        arena_reset(&t.arena);
    }
}

static void TestWireCommandFields(void **state) {
    (void)state;
    Baton__V1__Command__WorkerChange change = BATON__V1__COMMAND__WORKER_CHANGE__INIT;
    change.worker_id = data_of("w1");
    change.epoch = 4;
    change.reason = data_of("left");
    Baton__V1__Command__ChangeWorkers changes = BATON__V1__COMMAND__CHANGE_WORKERS__INIT;
    changes.n_changes = 1;
    changes.changes = (Baton__V1__Command__WorkerChange *[]){&change};
    Baton__V1__Command packed = BATON__V1__COMMAND__INIT;
    packed.format = 1;
    packed.time_unix_ms = -2;
    packed.client_id = data_of("c");
    packed.sequence = 5;
    packed.acknowledged_below = 3;
    packed.op_case = BATON__V1__COMMAND__OP_CHANGE_WORKERS;
    packed.change_workers = &changes;
    struct state_command command;
    struct raft_entry *entry = entry_of(pack(&packed.base), RAFT_ENTRY_COMMAND);
    assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
    assert_true(command.time_unix_ms == -2);
    assert_slice(command.client_id, "c");
    assert_int_equal(command.sequence, 5);
    assert_int_equal(command.acknowledged_below, 3);
    assert_int_equal(command.operation, STATE_CHANGE_WORKERS);
    assert_int_equal(command.change_workers.count, 1);
    assert_slice(command.change_workers.changes[0].worker_id, "w1");
    assert_slice(command.change_workers.changes[0].reason, "left");
    assert_int_equal(command.change_workers.changes[0].epoch, 4);
    assert_false(command.change_workers.changes[0].online);
    wire_command_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), "worker w1 offline (left)");
    raft_entry_unref(entry);
}

// The worker's fields, from the request through the command's encoding and back.
static void TestWireRegisterWorkerFields(void **state) {
    (void)state;
    Baton__V1__RegisterWorkerRequest__LabelsEntry zone = BATON__V1__REGISTER_WORKER_REQUEST__LABELS_ENTRY__INIT;
    Baton__V1__RegisterWorkerRequest__LabelsEntry disk = zone;
    zone.key = "zone";
    zone.value = data_of("b");
    disk.key = "disk";
    Baton__V1__RegisterWorkerRequest packed = BATON__V1__REGISTER_WORKER_REQUEST__INIT;
    packed.worker_id = data_of("w1");
    packed.instance_id = data_of("i1");
    packed.address = data_of("host:1");
    packed.cloud = data_of("aws");
    packed.slots = 4;
    packed.n_labels = 2;
    packed.labels = (Baton__V1__RegisterWorkerRequest__LabelsEntry *[]){&zone, &disk};
    struct state_command request;
    struct state_command command;
    assert_ok(wire_register_worker_request_decode(&t.arena, pack(&packed.base), &request, &t.error));
    struct raft_entry *entry = wire_command_encode(t.slab, &request);
    assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
    assert_int_equal(command.operation, STATE_REGISTER_WORKER);
    assert_slice(command.register_worker.worker_id, "w1");
    assert_slice(command.register_worker.instance_id, "i1");
    assert_slice(command.register_worker.address, "host:1");
    assert_slice(command.register_worker.cloud, "aws");
    assert_int_equal(command.register_worker.slots, 4);
    assert_int_equal(command.register_worker.label_count, 2);
    assert_slice(command.register_worker.labels[0].key, "disk");  // in key order
    assert_slice(command.register_worker.labels[1].key, "zone");
    assert_slice(command.register_worker.labels[1].value, "b");
    wire_command_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), "register worker w1");
    raft_entry_unref(entry);
}

// A committed command that this version does not know in full must stop the node, never be applied in part.
static void TestWireCommandUnknown(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum error_code code;
    } cases[] = {
#define BYTES(s) s, sizeof(s) - 1
        {BYTES("\x08\x01\x5a\x03\x0a\x01k"), OK},                              // delete k
        {BYTES("\x08\x02\x5a\x03\x0a\x01k"), ERR_UNKNOWN_COMMAND},             // format 2
        {BYTES("\x5a\x03\x0a\x01k"), ERR_UNKNOWN_COMMAND},                     // no format
        {BYTES("\x08\x01"), ERR_UNKNOWN_COMMAND},                              // no operation
        {BYTES("\x08\x01\x72\x00"), ERR_UNKNOWN_COMMAND},                      // operation 14
        {BYTES("\x08\x01\x5a\x05\x0a\x01k\x18\x01"), ERR_UNKNOWN_COMMAND},     // delete k, and a field 3
        {BYTES("\x08\x01\x5a\x03\x0a\x01k\x5a\x03\x0a\x01k"), ERR_MALFORMED},  // twice
        {BYTES("\x08\x01\x5a\x00"), ERR_MALFORMED},                            // no key
        {BYTES("\x08\x01\x5a\x03\x0a\x02k"), ERR_MALFORMED},                   // key beyond the end
        {BYTES("\x08\x01\x58\x01"), ERR_MALFORMED},                            // wrong wire type
        {BYTES("\x08\x01\x62\x04\x0a\x02w1"), ERR_MALFORMED},                  // no instance id
        {BYTES(""), ERR_UNKNOWN_COMMAND},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct state_command command;
        enum error_code code = decode_command(slice_of(cases[i].bytes, cases[i].len), &command);
        if (code != cases[i].code) {
            fail_msg("case %zu: %s instead of %s", i, error_name(code), error_name(cases[i].code));
        }
    }
}

static void assert_summary(enum raft_entry_type type, struct slice bytes, const char *expected) {
    struct raft_entry *entry = entry_of(bytes, type);
    buf_clear(&t.out);
    wire_command_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), expected);
    raft_entry_unref(entry);
}

static void TestWireSummary(void **state) {
    (void)state;
    assert_summary(RAFT_ENTRY_COMMAND, slice_of(BYTES("\x08\x01\x52\x0b\x0a\x05\"k\n\\\xff\x12\x02vv")),
                   "put \"\\\"k\\x0a\\\\\\xff\" (2 bytes)");
    assert_summary(RAFT_ENTRY_COMMAND, slice_of(BYTES("\x08\x01\x5a\x05\x0a\x01k\x10\x07")),
                   "delete \"k\" if at revision 7");
    assert_summary(RAFT_ENTRY_COMMAND, slice_of(BYTES("\x08\x01\x5a")), "unreadable command");
    assert_summary(RAFT_ENTRY_CONFIGURATION, slice_of(BYTES("?")), "unreadable configuration");
    assert_summary(RAFT_ENTRY_NOOP, slice_of(NULL, 0), "no-op");
}

// --- configuration ---

static struct wire_configuration three_members(void) {
    struct wire_configuration configuration = {.generation = 2, .cluster_id = raft_id_of(text("demo")), .count = 3};
    for (size_t i = 0; i < 3; i++) {
        struct wire_member *member = &configuration.members[i];
        *member = (struct wire_member){.voter = i != 1};
        snprintf(member->id.text, sizeof member->id.text, "n%zu", i + 1);
        member->id.len = 2;
        snprintf(member->address, sizeof member->address, "host%zu:7400", i);
        strcpy(member->cloud, i == 2 ? "aws" : "gcp");
    }
    return configuration;
}

static enum error_code configuration_code(const struct wire_configuration *configuration) {
    struct wire_configuration decoded;
    struct raft_entry *entry = wire_configuration_encode(t.slab, (struct raft_entry_id){1, 1}, configuration);
    enum error_code code = wire_configuration_decode(entry, &decoded, &t.error);
    raft_entry_unref(entry);
    return code;
}

static void TestWireConfiguration(void **state) {
    (void)state;
    struct wire_configuration configuration = three_members();
    struct raft_entry *entry = wire_configuration_encode(t.slab, (struct raft_entry_id){1, 1}, &configuration);
    assert_int_equal(entry->type, RAFT_ENTRY_CONFIGURATION);
    struct wire_configuration decoded;
    assert_ok(wire_configuration_decode(entry, &decoded, &t.error));
    assert_memory_equal(&decoded, &configuration, sizeof decoded);

    // The same bytes as protobuf-c's.
    Baton__V1__Configuration *packed = baton__v1__configuration__unpack(NULL, entry->len, entry->data);
    assert_int_equal(packed->n_members, 3);
    assert_int_equal(packed->format, 1);
    assert_int_equal(packed->generation, 2);
    assert_memory_equal(packed->members[2]->cloud.data, "aws", 3);
    assert_false(packed->members[1]->voter);
    assert_true(slice_equal(pack(&packed->base), raft_entry_command(entry)));
    baton__v1__configuration__free_unpacked(packed, NULL);
    buf_clear(&t.out);
    wire_command_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), "members n1, n2, n3");
    raft_entry_unref(entry);

    configuration = three_members();
    configuration.members[1].id = configuration.members[0].id;
    assert_int_equal(configuration_code(&configuration), ERR_INVALID);
    configuration = three_members();
    strcpy(configuration.members[1].cloud, "sky");
    assert_int_equal(configuration_code(&configuration), ERR_INVALID);
    configuration = three_members();
    configuration.members[1].address[4] = '\0';
    assert_int_equal(configuration_code(&configuration), ERR_INVALID);
    configuration = three_members();
    configuration.cluster_id.len = 0;
    assert_int_equal(configuration_code(&configuration), ERR_INVALID);
}

// --- RaftService ---

static const struct {
    enum raft_message_type type;
    const ProtobufCMessageDescriptor *descriptor;
} raft_messages[] = {
    {RAFT_REQUEST_VOTE, &baton__v1__request_vote_request__descriptor},
    {RAFT_REQUEST_VOTE_REPLY, &baton__v1__request_vote_response__descriptor},
    {RAFT_APPEND_ENTRIES, &baton__v1__append_entries_request__descriptor},
    {RAFT_APPEND_ENTRIES_REPLY, &baton__v1__append_entries_response__descriptor},
    {RAFT_TIMEOUT_NOW, &baton__v1__timeout_now_request__descriptor},
    {RAFT_TIMEOUT_NOW_REPLY, &baton__v1__timeout_now_response__descriptor},
};

// From n2 to n1; all envelopes and terms are in the same place, copied because the messages are of different types.
static void address_message(ProtobufCMessage *base) {
    Baton__V1__TimeoutNowRequest message;
    memcpy(&message, base, sizeof message);
    Baton__V1__Envelope *envelope = message.envelope;
    envelope->cluster_id = data_of("demo");
    envelope->generation = 3;
    envelope->from = data_of("n2");
    envelope->to = data_of("n1");
    envelope->protocol = WIRE_PROTOCOL_VERSION;
    message.term |= 8;
    memcpy((char *)base + offsetof(Baton__V1__TimeoutNowRequest, term), &message.term, sizeof message.term);
}

static void make_plausible(enum raft_message_type type, ProtobufCMessage *base) {
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

static enum error_code decode_raft(enum raft_message_type type, struct slice bytes, struct raft_message *message) {
    struct wire_identity us = identity_of("n1");
    return wire_raft_decode(&us, type, bytes, t.slab, &t.arena, message, &t.error);
}

static void release_entries(const struct raft_message *message) {
    if (message->type == RAFT_APPEND_ENTRIES) {
        for (size_t i = 0; i < message->append.count; i++) {
            raft_entry_unref(message->append.entries[i]);
        }
    }
}

static void TestWireRaftRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireRaftRoundTrip");
    struct wire_identity sender = identity_of("n2");
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(raft_messages); i++) {
            ProtobufCMessage *random = random_message(raft_messages[i].descriptor);
            make_plausible(raft_messages[i].type, random);
            struct slice packed = pack(random);
            struct raft_message message;
            assert_ok(decode_raft(raft_messages[i].type, packed, &message));
            assert_slice(raft_id_slice(&message.from), "n2");
            assert_slice(raft_id_slice(&message.to), "n1");
            message.to = raft_id_of(text("n1"));
            buf_clear(&t.out);
            wire_raft_encode(&sender, &message, &t.out);
            assert_same_bytes(packed);
            release_entries(&message);
        }
        arena_reset(&t.arena);
    }
}

static void TestWireRaftFields(void **state) {
    (void)state;
    Baton__V1__Envelope envelope = BATON__V1__ENVELOPE__INIT;
    Baton__V1__Entry entry = BATON__V1__ENTRY__INIT;
    entry.index = 6;
    entry.term = 2;
    entry.type = BATON__V1__ENTRY_TYPE__ENTRY_TYPE_NOOP;
    entry.command = data_of("xyz");
    Baton__V1__AppendEntriesRequest append = BATON__V1__APPEND_ENTRIES_REQUEST__INIT;
    append.envelope = &envelope;
    append.leader_id = data_of("n2");
    append.prev_log_index = 5;
    append.prev_log_term = 1;
    append.leader_commit = 4;
    append.n_entries = 1;
    append.entries = (Baton__V1__Entry *[]){&entry};
    address_message(&append.base);
    struct raft_message message;
    assert_ok(decode_raft(RAFT_APPEND_ENTRIES, pack(&append.base), &message));
    assert_int_equal(message.lane, RAFT_BULK);
    assert_int_equal(message.term, 8);
    assert_int_equal(message.append.prev_log.index, 5);
    assert_int_equal(message.append.prev_log.term, 1);
    assert_int_equal(message.append.leader_commit, 4);
    assert_slice(raft_id_slice(&message.append.leader_id), "n2");
    assert_int_equal(message.append.count, 1);
    assert_int_equal(message.append.entries[0]->id.index, 6);
    assert_int_equal(message.append.entries[0]->id.term, 2);
    assert_int_equal(message.append.entries[0]->type, RAFT_ENTRY_NOOP);
    assert_slice(raft_entry_command(message.append.entries[0]), "xyz");
    release_entries(&message);

    Baton__V1__AppendEntriesResponse reply = BATON__V1__APPEND_ENTRIES_RESPONSE__INIT;
    reply.envelope = &envelope;
    reply.match_index = 1;
    reply.conflict_term = 2;
    reply.conflict_index = 3;
    address_message(&reply.base);
    assert_ok(decode_raft(RAFT_APPEND_ENTRIES_REPLY, pack(&reply.base), &message));
    assert_false(message.append_reply.success);
    assert_int_equal(message.append_reply.match_index, 1);
    assert_int_equal(message.append_reply.conflict_term, 2);
    assert_int_equal(message.append_reply.conflict_index, 3);

    Baton__V1__RequestVoteRequest vote = BATON__V1__REQUEST_VOTE_REQUEST__INIT;
    vote.envelope = &envelope;
    vote.candidate_id = data_of("n2");
    vote.last_log_index = 7;
    vote.last_log_term = 6;
    vote.pre_vote = true;
    address_message(&vote.base);
    assert_ok(decode_raft(RAFT_REQUEST_VOTE, pack(&vote.base), &message));
    assert_int_equal(message.lane, RAFT_CONTROL);
    assert_int_equal(message.request_vote.last_log.index, 7);
    assert_int_equal(message.request_vote.last_log.term, 6);
    assert_true(message.request_vote.pre_vote);
    assert_false(message.request_vote.leadership_transfer);
}

static void TestWireRaftPaths(void **state) {
    (void)state;
    assert_string_equal(wire_raft_path(RAFT_REQUEST_VOTE), "/baton.v1.RaftService/RequestVote");
    assert_string_equal(wire_raft_path(RAFT_APPEND_ENTRIES), "/baton.v1.RaftService/AppendEntries");
    assert_string_equal(wire_raft_path(RAFT_TIMEOUT_NOW), "/baton.v1.RaftService/TimeoutNow");
}

// --- WorkerService ---

static void TestWireWorkerRoundTrip(void **state) {
    (void)state;
    Baton__V1__Redirect redirect = BATON__V1__REDIRECT__INIT;
    redirect.leader_id = data_of("n1");
    redirect.leader_address = data_of("a:1");
    ProtobufCBinaryData members[] = {data_of("a:1"), data_of("b:1")};
    redirect.n_member_addresses = 2;
    redirect.member_addresses = members;
    const struct slice addresses[] = {text("a:1"), text("b:1")};
    const struct wire_worker_response response = {
        .accepted = true,
        .epoch = 300,
        .heartbeat_interval_ms = 5000,
        .redirect = {.leader_id = text("n1"),
                     .leader_address = text("a:1"),
                     .member_addresses = addresses,
                     .member_count = 2},
    };

    Baton__V1__RegisterWorkerResponse registered = BATON__V1__REGISTER_WORKER_RESPONSE__INIT;
    registered.accepted = true;
    registered.epoch = 300;
    registered.heartbeat_interval_ms = 5000;
    registered.redirect = &redirect;
    wire_register_worker_response_encode(&response, &t.out);
    assert_same_bytes(pack(&registered.base));

    Baton__V1__HeartbeatResponse heartbeat = BATON__V1__HEARTBEAT_RESPONSE__INIT;
    heartbeat.accepted = true;
    heartbeat.heartbeat_interval_ms = 5000;
    heartbeat.redirect = &redirect;
    buf_clear(&t.out);
    wire_heartbeat_response_encode(&response, &t.out);
    assert_same_bytes(pack(&heartbeat.base));

    Baton__V1__DeregisterWorkerResponse gone = BATON__V1__DEREGISTER_WORKER_RESPONSE__INIT;
    gone.accepted = true;
    gone.redirect = &redirect;
    buf_clear(&t.out);
    wire_deregister_worker_response_encode(&response, &t.out);
    assert_same_bytes(pack(&gone.base));

    Baton__V1__HeartbeatRequest request = BATON__V1__HEARTBEAT_REQUEST__INIT;
    request.worker_id = data_of("w1");
    request.instance_id = data_of("i1");
    request.epoch = 8;
    struct wire_worker_ref ref;
    assert_ok(wire_heartbeat_request_decode(pack(&request.base), &ref, &t.error));
    assert_slice(ref.worker_id, "w1");
    assert_slice(ref.instance_id, "i1");
    assert_int_equal(ref.epoch, 8);
    assert_ok(wire_deregister_worker_request_decode(pack(&request.base), &ref, &t.error));
}

// --- what is refused ---

// Runs a decoder of any message on a copy of just these bytes, so that the address sanitizer sees a read beyond them.
static void decode_everything(struct slice bytes) {
    uint8_t *copy = mem_alloc(bytes.len == 0 ? 1 : bytes.len);
    if (bytes.len != 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    struct slice s = slice_of(copy, bytes.len);
    for (size_t i = 0; i < ARRAY_COUNT(raft_messages); i++) {
        struct raft_message message;
        if (decode_raft(raft_messages[i].type, s, &message) == OK) {
            release_entries(&message);
        }
    }
    struct state_command command;
    struct wire_worker_ref ref;
    union {
        struct wire_get_request get_request;
        struct wire_get_response get_response;
        struct wire_list_request list_request;
        struct wire_list_response list_response;
        struct wire_watch_request watch_request;
        struct wire_watch_response watch_response;
        struct wire_status_response status_response;
        struct wire_read_log_request read_log_request;
        struct wire_read_log_response read_log_response;
        struct wire_list_workers_request list_workers_request;
        struct wire_list_workers_response list_workers_response;
        struct raft_id id;
        struct wire_configuration configuration;
    } any;
    uint64_t number;
    bool boolean;
    (void)wire_put_request_decode(s, &command, &t.error);
    (void)wire_delete_request_decode(s, &command, &t.error);
    (void)wire_put_response_decode(s, &number, &t.error);
    (void)wire_delete_response_decode(s, &number, &boolean, &t.error);
    (void)wire_get_request_decode(s, &any.get_request, &t.error);
    (void)wire_get_response_decode(s, &any.get_response, &t.error);
    (void)wire_list_request_decode(s, &any.list_request, &t.error);
    (void)wire_list_response_decode(&t.arena, s, &any.list_response, &t.error);
    (void)wire_watch_request_decode(s, &any.watch_request, &t.error);
    (void)wire_watch_response_decode(&t.arena, s, &any.watch_response, &t.error);
    (void)wire_status_response_decode(&t.arena, s, &any.status_response, &t.error);
    (void)wire_read_log_request_decode(s, &any.read_log_request, &t.error);
    (void)wire_read_log_response_decode(&t.arena, s, &any.read_log_response, &t.error);
    (void)wire_list_workers_request_decode(s, &any.list_workers_request, &t.error);
    (void)wire_list_workers_response_decode(&t.arena, s, &any.list_workers_response, &t.error);
    (void)wire_transfer_request_decode(s, &any.id, &t.error);
    (void)wire_transfer_response_decode(s, &any.id, &number, &t.error);
    (void)wire_register_worker_request_decode(&t.arena, s, &command, &t.error);
    (void)wire_heartbeat_request_decode(s, &ref, &t.error);
    (void)decode_command(s, &command);
    struct raft_entry *entry = entry_of(s, RAFT_ENTRY_CONFIGURATION);
    (void)wire_configuration_decode(entry, &any.configuration, &t.error);
    buf_clear(&t.out);
    wire_command_summary(entry, &t.out);
    raft_entry_unref(entry);
    free(copy);
}

static struct slice random_valid(void) {
    static const ProtobufCMessageDescriptor *const others[] = {&baton__v1__command__descriptor,
                                                               &baton__v1__configuration__descriptor,
                                                               &baton__v1__register_worker_request__descriptor};
    size_t control = ARRAY_COUNT(control_messages);
    size_t raft = ARRAY_COUNT(raft_messages);
    size_t which = random_below(&t.seed, control + raft + 3);
    if (which < control) {
        return pack(random_message(control_messages[which].descriptor));
    }
    if (which >= control + raft) {
        return pack(random_message(others[which - control - raft]));
    }
    ProtobufCMessage *message = random_message(raft_messages[which - control].descriptor);
    make_plausible(raft_messages[which - control].type, message);
    return pack(message);
}

static void TestWireTruncated(void **state) {
    (void)state;
    t.seed = random_seed("TestWireTruncated");
    for (int round = 0; round < 60; round++) {
        struct slice whole = random_valid();
        for (size_t len = 0; len < whole.len && len < 600; len++) {
            decode_everything(slice_of(whole.data, len));
        }
        arena_reset(&t.arena);
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

static void assert_refused(enum error_code code, enum error_code expected, const char *names) {
    if (code != expected || strstr(t.error.message, names) == NULL) {
        fail_msg("%s instead of %s naming %s: %s", error_name(code), error_name(expected), names, t.error.message);
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
        uint64_t revision;
        enum error_code code = wire_put_response_decode(slice_of(cases[i].bytes, cases[i].len), &revision, &t.error);
        if (cases[i].why == NULL) {
            assert_ok(code);
        } else {
            assert_refused(code, ERR_MALFORMED, cases[i].why);
        }
    }
}

static void refuse_put(ProtobufCBinaryData key, ProtobufCBinaryData client_id, uint64_t sequence, uint64_t acknowledged,
                       const char *names) {
    Baton__V1__Session session = BATON__V1__SESSION__INIT;
    session.client_id = client_id;
    session.sequence = sequence;
    session.acknowledged_below = acknowledged;
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    put.key = key;
    put.session = &session;
    struct state_command command;
    assert_refused(wire_put_request_decode(pack(&put.base), &command, &t.error), ERR_INVALID, names);
}

static ProtobufCBinaryData long_text(size_t len) {
    ProtobufCBinaryData data = {.len = len, .data = grab(len)};
    memset(data.data, 'x', len);
    return data;
}

static void TestWirePutRefused(void **state) {
    (void)state;
    ProtobufCBinaryData k = data_of("k");
    ProtobufCBinaryData c = data_of("c");
    refuse_put(data_of(""), c, 1, 0, "key");
    refuse_put(long_text(KEY_MAX + 1), c, 1, 0, "key");
    refuse_put(k, data_of(""), 1, 0, "session.client_id");
    refuse_put(k, long_text(ID_MAX + 1), 1, 0, "session.client_id");
    refuse_put(k, (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"a\0b"}, 1, 0, "session.client_id");
    refuse_put(k, data_of("a\xff"), 1, 0, "session.client_id");
    refuse_put(k, c, 0, 0, "session.sequence");
    refuse_put(k, c, 1, 2, "session.acknowledged_below");

    // As large as a command may be, and one byte more.
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    put.key = k;
    put.value = long_text(COMMAND_MAX);
    struct state_command command;
    size_t low = 0;
    for (size_t step = COMMAND_MAX / 2; step > 0; step /= 2) {
        put.value.len = low + step;
        if (wire_put_request_decode(pack(&put.base), &command, &t.error) == OK) {
            low += step;
        } else {
            assert_int_equal(t.error.code, ERR_TOO_LARGE);
        }
        arena_reset(&t.arena);
        put.value = long_text(COMMAND_MAX);
    }
    assert_in_range(low, COMMAND_MAX - 64, COMMAND_MAX - 1);
    put.value.len = low;
    assert_ok(wire_put_request_decode(pack(&put.base), &command, &t.error));
    command.time_unix_ms = -1;  // the longest there is
    struct raft_entry *entry = wire_command_encode(t.slab, &command);
    assert_true(entry->len <= COMMAND_MAX);
    raft_entry_unref(entry);
}

static void refuse_worker(const char *worker, const char *instance, const char *address, const char *cloud,
                          const char *names) {
    Baton__V1__RegisterWorkerRequest packed = BATON__V1__REGISTER_WORKER_REQUEST__INIT;
    packed.worker_id = data_of(worker);
    packed.instance_id = data_of(instance);
    packed.address = data_of(address);
    packed.cloud = data_of(cloud);
    struct state_command command;
    assert_refused(wire_register_worker_request_decode(&t.arena, pack(&packed.base), &command, &t.error), ERR_INVALID,
                   names);
}

static void refuse_labels(size_t count, const char *key, const char *value, const char *names) {
    Baton__V1__RegisterWorkerRequest__LabelsEntry *labels[LABELS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        labels[i] = grab(sizeof *labels[i]);
        *labels[i] = (Baton__V1__RegisterWorkerRequest__LabelsEntry)BATON__V1__REGISTER_WORKER_REQUEST__LABELS_ENTRY__INIT;
        labels[i]->key = (char *)key;
        labels[i]->value = data_of(value);
    }
    Baton__V1__RegisterWorkerRequest packed = BATON__V1__REGISTER_WORKER_REQUEST__INIT;
    packed.worker_id = packed.instance_id = data_of("w1");
    packed.address = data_of("a:1");
    packed.cloud = data_of("aws");
    packed.n_labels = count;
    packed.labels = labels;
    struct state_command command;
    assert_refused(wire_register_worker_request_decode(&t.arena, pack(&packed.base), &command, &t.error), ERR_INVALID,
                   names);
}

static void TestWireRegisterWorkerRefused(void **state) {
    (void)state;
    refuse_worker("", "i", "a:1", "aws", "worker_id");
    refuse_worker("w 1", "i", "a:1", "aws", "worker_id");
    refuse_worker("w1", "", "a:1", "aws", "instance_id");
    refuse_worker("w1", "i", "a", "aws", "address");
    refuse_worker("w1", "i", "a:70000", "aws", "address");
    refuse_worker("w1", "i", "", "aws", "address");
    refuse_worker("w1", "i", "a:1", "azure", "cloud");
    refuse_worker("w1", "i", "a:1", "", "cloud");
    refuse_labels(2, "zone", "b", "zone is there twice");
    refuse_labels(LABELS_MAX + 1, "zone", "b", "at most 32");
    refuse_labels(1, "", "b", "labels: a key");
    refuse_labels(1, "zone", "\xc3", "labels: zone");
    struct wire_worker_ref ref;
    Baton__V1__HeartbeatRequest heartbeat = BATON__V1__HEARTBEAT_REQUEST__INIT;
    heartbeat.worker_id = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"w\0x"};
    heartbeat.instance_id = data_of("i");
    assert_refused(wire_heartbeat_request_decode(pack(&heartbeat.base), &ref, &t.error), ERR_INVALID, "worker_id");
}

static void TestWireControlRefused(void **state) {
    (void)state;
    Baton__V1__GetRequest get = BATON__V1__GET_REQUEST__INIT;
    struct wire_get_request get_request;
    assert_refused(wire_get_request_decode(pack(&get.base), &get_request, &t.error), ERR_INVALID, "key");
    Baton__V1__ListRequest list = BATON__V1__LIST_REQUEST__INIT;
    list.prefix = long_text(PREFIX_MAX + 1);
    struct wire_list_request list_request;
    assert_refused(wire_list_request_decode(pack(&list.base), &list_request, &t.error), ERR_INVALID, "prefix");
    list.prefix.len = PREFIX_MAX;
    list.start_after = long_text(KEY_MAX + 1);
    assert_refused(wire_list_request_decode(pack(&list.base), &list_request, &t.error), ERR_INVALID, "start_after");
    Baton__V1__WatchRequest watch = BATON__V1__WATCH_REQUEST__INIT;
    watch.prefix = long_text(PREFIX_MAX + 1);
    struct wire_watch_request watch_request;
    assert_refused(wire_watch_request_decode(pack(&watch.base), &watch_request, &t.error), ERR_INVALID, "prefix");
    Baton__V1__ReadLogRequest log = BATON__V1__READ_LOG_REQUEST__INIT;
    log.from = 5;
    log.to = 4;
    struct wire_read_log_request log_request;
    assert_refused(wire_read_log_request_decode(pack(&log.base), &log_request, &t.error), ERR_INVALID, "from");
    Baton__V1__TransferLeadershipRequest transfer = BATON__V1__TRANSFER_LEADERSHIP_REQUEST__INIT;
    transfer.target = data_of("n/1");
    struct raft_id target;
    assert_refused(wire_transfer_request_decode(pack(&transfer.base), &target, &t.error), ERR_INVALID, "target");
}

// A valid AppendEntries with two entries, for one thing at a time to be wrong with it.
struct append_parts {
    Baton__V1__Envelope envelope;
    Baton__V1__Entry entry[2];
    Baton__V1__Entry *entries[2];
    Baton__V1__AppendEntriesRequest append;
};

static struct append_parts *good_append(void) {
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

static void refuse_append(const struct append_parts *p, enum error_code expected, const char *names) {
    struct raft_message message;
    assert_refused(decode_raft(RAFT_APPEND_ENTRIES, pack(&p->append.base), &message), expected, names);
    assert_int_equal(message.append.count, 0);
}

static void TestWireRaftForeign(void **state) {
    (void)state;
    struct append_parts *p = good_append();
    struct raft_message message;
    assert_ok(decode_raft(RAFT_APPEND_ENTRIES, pack(&p->append.base), &message));
    release_entries(&message);
    p->envelope.cluster_id = data_of("other");
    refuse_append(p, ERR_FOREIGN, "other");
    p = good_append();
    p->envelope.generation = 4;
    refuse_append(p, ERR_FOREIGN, "generation 4");
    p = good_append();
    p->envelope.to = data_of("n7");
    refuse_append(p, ERR_FOREIGN, "n7");
    p = good_append();
    p->envelope.protocol = 2;
    refuse_append(p, ERR_FOREIGN, "protocol 2");
    p = good_append();
    p->envelope.from = p->append.leader_id = data_of("n1");
    refuse_append(p, ERR_INVALID, "itself");
    p = good_append();
    p->envelope.from = data_of("");
    refuse_append(p, ERR_INVALID, "envelope.from");
    p = good_append();
    p->envelope.from = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"n2\0"};
    refuse_append(p, ERR_INVALID, "envelope.from");
    p = good_append();
    p->append.envelope = NULL;
    refuse_append(p, ERR_INVALID, "envelope.cluster_id");
    p = good_append();
    p->append.leader_id = data_of("n3");
    refuse_append(p, ERR_INVALID, "leader_id");
}

static void TestWireAppendRefused(void **state) {
    (void)state;
    struct append_parts *p = good_append();
    p->entry[1].index = 8;
    refuse_append(p, ERR_INVALID, "index 8");
    p = good_append();
    p->entry[0].index = 7;
    p->entry[1].index = 6;
    refuse_append(p, ERR_INVALID, "index 7");
    p = good_append();
    p->entry[1].term = 2;  // behind 3
    refuse_append(p, ERR_INVALID, "term 2");
    p = good_append();
    p->entry[1].term = 9;  // the message's is 8
    refuse_append(p, ERR_INVALID, "term 9");
    p = good_append();
    p->append.prev_log_index = UINT64_MAX - 1;
    p->entry[0].index = UINT64_MAX;
    p->entry[1].index = 0;
    refuse_append(p, ERR_INVALID, "prev_log_index");
    p = good_append();
    p->append.prev_log_index = 0;
    refuse_append(p, ERR_INVALID, "prev_log");
    p = good_append();
    p->append.prev_log_term = 9;
    refuse_append(p, ERR_INVALID, "prev_log");
    p = good_append();
    p->append.term = 0;
    refuse_append(p, ERR_INVALID, "term: must be at least 1");
    p = good_append();  // the log's first entry, of no term
    p->append.prev_log_index = p->append.prev_log_term = p->entry[0].term = 0;
    p->entry[0].index = 1;
    p->entry[1].index = 2;
    refuse_append(p, ERR_INVALID, "index 1 of term 0");
    p = good_append();
    p->entry[1].type = 4;
    refuse_append(p, ERR_INVALID, "type 4");
    p = good_append();
    p->entry[1].command = long_text(COMMAND_MAX + 1);
    refuse_append(p, ERR_TOO_LARGE, "at most");
}

// A list beyond the arena's limit is refused before there is any memory for it.
static void TestWireListBeyondMemory(void **state) {
    (void)state;
    enum { ITEMS = 100000 };
    for (size_t i = 0; i < ITEMS; i++) {
        buf_append(&t.out, "\x0a\x00", 2);
    }
    struct arena small = {.limit = 64 * KIB};
    struct wire_list_response list;
    assert_int_equal(wire_list_response_decode(&small, buf_slice(&t.out), &list, &t.error), ERR_NO_MEMORY);
    assert_int_equal(list.count, 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(TestWireControlRoundTrip),
    TEST(TestWireControlFields),
    TEST(TestWireStatusFields),
    TEST(TestWireWorkerInfoFields),
    TEST(TestWireCommandRoundTrip),
    TEST(TestWireCommandFields),
    TEST(TestWireRegisterWorkerFields),
    TEST(TestWireCommandUnknown),
    TEST(TestWireSummary),
    TEST(TestWireConfiguration),
    TEST(TestWireRaftRoundTrip),
    TEST(TestWireRaftFields),
    TEST(TestWireRaftPaths),
    TEST(TestWireWorkerRoundTrip),
    TEST(TestWireTruncated),
    TEST(TestWireDamaged),
    TEST(TestWireMalformed),
    TEST(TestWirePutRefused),
    TEST(TestWireRegisterWorkerRefused),
    TEST(TestWireControlRefused),
    TEST(TestWireRaftForeign),
    TEST(TestWireAppendRefused),
    TEST(TestWireListBeyondMemory),
};

UNIT_MAIN(tests)
