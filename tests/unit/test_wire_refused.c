// What is refused of requests and of messages between nodes: each rule of a field, naming the field and what is allowed.
#include "base/ids.h"
#include "wire_env.h"

static void refuse_put(ProtobufCBinaryData key, ProtobufCBinaryData client_id, uint64_t sequence, const char *names) {
    Baton__V1__Session session = BATON__V1__SESSION__INIT;
    session.client_id = client_id;
    session.sequence = sequence;
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    put.key = key;
    put.session = &session;
    struct pb_put_request request;
    assert_refused(read_request(&pb_put_request_type, pack(&put.base), &request), ERR_INVALID, names);
}

// As a put goes into the log, with the longest time there is.
static enum error_code log_put(const Baton__V1__PutRequest *put) {
    struct pb_command command = {.format = COMMAND_FORMAT, .time_unix_ms = -1, .op = PB_COMMAND_OP_PUT};
    assert_ok(read_request(&pb_put_request_type, pack(&put->base), &command.put));
    struct raft_entry *entry = wire_command_encode(t.slab, &command, &t.error);
    if (entry == NULL) {
        return t.error.code;
    }
    assert_true(entry->len <= COMMAND_MAX);
    raft_entry_unref(entry);
    return OK;
}

static void TestWirePutRefused(void **state) {
    (void)state;
    ProtobufCBinaryData k = data_of("k");
    ProtobufCBinaryData c = data_of("c");
    refuse_put(data_of(""), c, 1, "key");
    refuse_put(long_text(KEY_MAX + 1), c, 1, "key");
    refuse_put(k, data_of(""), 1, "session.client_id");
    refuse_put(k, long_text(ID_MAX + 1), 1, "session.client_id");
    refuse_put(k, (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"a\0b"}, 1, "session.client_id");
    refuse_put(k, data_of("a\xff"), 1, "session.client_id");
    refuse_put(k, c, 0, "session.sequence");

    // As large as a command may be, and one byte more.
    Baton__V1__PutRequest put = BATON__V1__PUT_REQUEST__INIT;
    put.key = k;
    put.value = long_text(COMMAND_MAX);
    size_t low = 0;
    for (size_t step = COMMAND_MAX / 2; step > 0; step /= 2) {
        put.value.len = low + step;
        if (log_put(&put) == OK) {
            low += step;
        } else {
            assert_int_equal(t.error.code, ERR_TOO_LARGE);
        }
        arena_reset(&t.arena);
        put.value = long_text(COMMAND_MAX);
    }
    assert_in_range(low, COMMAND_MAX - 64, COMMAND_MAX - 1);
    put.value.len = low;
    assert_ok(log_put(&put));
}

static void refuse_worker(const char *worker, const char *instance, const char *address, const char *cloud,
                          const char *names) {
    Baton__V1__RegisterWorkerRequest packed = BATON__V1__REGISTER_WORKER_REQUEST__INIT;
    packed.worker_id = data_of(worker);
    packed.instance_id = data_of(instance);
    packed.address = data_of(address);
    packed.cloud = data_of(cloud);
    struct pb_register_worker_request request;
    assert_refused(read_request(&pb_register_worker_request_type, pack(&packed.base), &request), ERR_INVALID, names);
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
    struct pb_register_worker_request request;
    assert_refused(read_request(&pb_register_worker_request_type, pack(&packed.base), &request), ERR_INVALID, names);
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
    struct pb_heartbeat_request ref;
    Baton__V1__HeartbeatRequest heartbeat = BATON__V1__HEARTBEAT_REQUEST__INIT;
    heartbeat.worker_id = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"w\0x"};
    heartbeat.instance_id = data_of("i");
    assert_refused(read_request(&pb_heartbeat_request_type, pack(&heartbeat.base), &ref), ERR_INVALID, "worker_id");
}

static void TestWireControlRefused(void **state) {
    (void)state;
    Baton__V1__GetRequest get = BATON__V1__GET_REQUEST__INIT;
    struct pb_get_request get_request;
    assert_refused(read_request(&pb_get_request_type, pack(&get.base), &get_request), ERR_INVALID, "key");
    Baton__V1__ListRequest list = BATON__V1__LIST_REQUEST__INIT;
    list.prefix = long_text(PREFIX_MAX + 1);
    struct pb_list_request list_request;
    assert_refused(read_request(&pb_list_request_type, pack(&list.base), &list_request), ERR_INVALID, "prefix");
    list.prefix.len = PREFIX_MAX;
    list.start_after = long_text(KEY_MAX + 1);
    assert_refused(read_request(&pb_list_request_type, pack(&list.base), &list_request), ERR_INVALID, "start_after");
    Baton__V1__WatchRequest watch = BATON__V1__WATCH_REQUEST__INIT;
    watch.prefix = long_text(PREFIX_MAX + 1);
    struct pb_watch_request watch_request;
    assert_refused(read_request(&pb_watch_request_type, pack(&watch.base), &watch_request), ERR_INVALID, "prefix");
    Baton__V1__TransferLeadershipRequest transfer = BATON__V1__TRANSFER_LEADERSHIP_REQUEST__INIT;
    transfer.target = data_of("n/1");
    struct pb_transfer_leadership_request target;
    assert_refused(read_request(&pb_transfer_leadership_request_type, pack(&transfer.base), &target), ERR_INVALID, "target");
}

// --- the rules themselves ---

static void check_ok(const struct pb_type *type, void *message) {
    assert_ok(pb_check(type, message, &t.error));
}

static void check_refused(const struct pb_type *type, void *message, const char *says) {
    assert_refused(pb_check(type, message, &t.error), ERR_INVALID, says);
    assert_string_equal(t.error.message, says);
}

static struct slice xs(size_t len) {
    ProtobufCBinaryData data = long_text(len);
    return slice_of(data.data, data.len);
}

static void TestWireCheckLengths(void **state) {
    (void)state;
    struct pb_get_request get = {.key = xs(1)};
    check_ok(&pb_get_request_type, &get);
    get.key = xs(512);
    check_ok(&pb_get_request_type, &get);
    get.key = xs(513);
    check_refused(&pb_get_request_type, &get, "key: 513 bytes; at most 512 are allowed");
    get.key = xs(0);
    check_refused(&pb_get_request_type, &get, "key: is empty; 1 to 512 bytes are allowed");
    assert_int_equal(pb_check(&pb_get_request_type, &get, NULL), ERR_INVALID);

    struct pb_list_request list = {.prefix = xs(512), .start_after = xs(512)};  // neither is bound to be there
    check_ok(&pb_list_request_type, &list);
    list = (struct pb_list_request){.limit = 0};
    check_ok(&pb_list_request_type, &list);
    struct pb_list_workers_request workers = {.start_after = xs(64)};
    check_ok(&pb_list_workers_request_type, &workers);
    workers.start_after = xs(65);
    check_refused(&pb_list_workers_request_type, &workers, "start_after: 65 bytes; at most 64 are allowed");
}

// A message that is not there is not checked; one that is there is, and the error names the way to the field.
static void TestWireCheckPaths(void **state) {
    (void)state;
    struct pb_put_request put = {.key = text("k")};
    check_ok(&pb_put_request_type, &put);
    put.has_session = true;
    put.session.sequence = 1;
    struct error expected;
    assert_int_equal(id_check(text(""), "session.client_id", &expected), ERR_INVALID);
    check_refused(&pb_put_request_type, &put, expected.message);
    put.session.client_id = text("c");
    check_ok(&pb_put_request_type, &put);
    put.session.sequence = 0;
    check_refused(&pb_put_request_type, &put, "session.sequence: is 0; 1 or more is allowed");

    struct pb_command command = {.op = PB_COMMAND_OP_PUT, .put = {.key = text("k")}};
    check_ok(&pb_command_type, &command);
    command.put.key = xs(0);
    check_refused(&pb_command_type, &command, "put.key: is empty; 1 to 512 bytes are allowed");
    command.op = PB_COMMAND_OP_NONE;
    check_ok(&pb_command_type, &command);

    struct pb_worker_change changes[] = {{.reason = xs(64)}, {.reason = xs(65)}};
    command =
        (struct pb_command){.op = PB_COMMAND_OP_CHANGE_WORKERS, .change_workers = {.changes = changes, .changes_count = 2}};
    check_refused(&pb_command_type, &command, "change_workers.changes.reason: 65 bytes; at most 64 are allowed");
    command.change_workers.changes_count = 1;
    check_ok(&pb_command_type, &command);
}

static void TestWireCheckOptional(void **state) {
    (void)state;
    struct pb_transfer_leadership_request transfer = {.target = text("")};
    check_ok(&pb_transfer_leadership_request_type, &transfer);
    transfer.target = text("n-1");
    check_ok(&pb_transfer_leadership_request_type, &transfer);
    transfer.target = text("n 1");
    assert_refused(pb_check(&pb_transfer_leadership_request_type, &transfer, &t.error), ERR_INVALID, "target has");
    struct pb_heartbeat_request heartbeat = {.worker_id = text("w"), .instance_id = text("")};
    assert_refused(pb_check(&pb_heartbeat_request_type, &heartbeat, &t.error), ERR_INVALID, "instance_id ");
}

static struct pb_register_worker_request worker_with(const struct slice_pair *labels, size_t count) {
    return (struct pb_register_worker_request){
        .worker_id = text("w"),
        .instance_id = text("i"),
        .address = text("a:1"),
        .cloud = text("gcp"),
        .labels = labels,
        .labels_count = count,
    };
}

static void TestWireCheckMaps(void **state) {
    (void)state;
    struct slice_pair labels[] = {
        {text("c"), text("3")}, {text("a"), text("1")}, {text("b"), text("")}, {text("aa"), text("2")}};
    struct pb_register_worker_request worker = worker_with(labels, ARRAY_COUNT(labels));
    check_ok(&pb_register_worker_request_type, &worker);
    static const char *const sorted[][2] = {{"a", "1"}, {"aa", "2"}, {"b", ""}, {"c", "3"}};
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
        assert_slice(worker.labels[i].key, sorted[i][0]);
        assert_slice(worker.labels[i].value, sorted[i][1]);
    }
    struct slice_pair twice[] = {{text("b"), text("1")}, {text("a"), text("1")}, {text("b"), text("2")}};
    worker = worker_with(twice, 3);
    check_refused(&pb_register_worker_request_type, &worker, "labels: b is there twice");

    struct slice_pair longest = {xs(256), xs(256)};
    worker = worker_with(&longest, 1);
    check_ok(&pb_register_worker_request_type, &worker);
    longest.key = xs(257);
    check_refused(&pb_register_worker_request_type, &worker,
                  "labels: a key of 257 bytes; 1 to 256 bytes of UTF-8 are allowed");
    longest = (struct slice_pair){text("k"), xs(257)};
    check_refused(&pb_register_worker_request_type, &worker,
                  "labels: k has 257 bytes; at most 256 bytes of UTF-8 are allowed");
    longest = (struct slice_pair){slice_of("a\0b", 3), text("")};
    assert_refused(pb_check(&pb_register_worker_request_type, &worker, &t.error), ERR_INVALID, "labels: a key");
    longest = (struct slice_pair){text("k"), slice_of("\xff", 1)};
    assert_refused(pb_check(&pb_register_worker_request_type, &worker, &t.error), ERR_INVALID, "labels: k has 1 bytes");
}

// A map without rules is sorted, and has no limits.
static void TestWireCheckMapWithoutRules(void **state) {
    (void)state;
    struct slice_pair labels[] = {{xs(300), xs(5000)}, {text("a"), text("1")}};
    struct pb_worker_info info = {.labels = labels, .labels_count = 2};
    check_ok(&pb_worker_info_type, &info);
    assert_slice(labels[0].key, "a");
    labels[0].key = text("");
    assert_refused(pb_check(&pb_worker_info_type, &info, &t.error), ERR_INVALID, "labels: a key");
}

// A form that no field has yet but those of maps.
static void TestWireCheckUtf8(void **state) {
    (void)state;
    static const struct pb_field_type fields[] = {{.name = "note",
                                                   .number = 1,
                                                   .kind = PB_KIND_BYTES,
                                                   .presence = PB_IMPLICIT,
                                                   .ruled = true,
                                                   .form = PB_FORM_UTF8,
                                                   .max_bytes = 4}};
    static const uint8_t places[] = {0, 1};
    static const struct pb_type type = {.name = "Note",
                                        .size = sizeof(struct slice),
                                        .fields = fields,
                                        .field_count = 1,
                                        .places = places,
                                        .last_number = 1};
    struct slice note = text("\xc3\xa4");
    check_ok(&type, &note);
    note = text("");
    check_ok(&type, &note);
    note = text("\xc3");
    check_refused(&type, &note, "note: must be UTF-8 without NUL");
    note = slice_of("a\0", 2);
    check_refused(&type, &note, "note: must be UTF-8 without NUL");
    note = text("abcde");
    check_refused(&type, &note, "note: 5 bytes; at most 4 are allowed");
}

// --- between nodes ---

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
    refuse_append(p, ERR_INVALID, "envelope: is missing");
    p = good_append();
    p->append.leader_id = data_of("n3");
    refuse_append(p, ERR_INVALID, "leader_id");
}

// Of two generations of one cluster the lower one is told to rejoin. Another cluster's says nothing.
static void TestWireRaftGenerations(void **state) {
    (void)state;
    struct append_parts *p = good_append();
    p->envelope.generation = 4;
    refuse_append(p, ERR_SUPERSEDED, "this node is of generation 3 of cluster demo, and n2 of generation 4");
    p = good_append();
    p->envelope.generation = 2;
    refuse_append(p, ERR_OLD_GENERATION, "n2 is of generation 2 of cluster demo, and this is generation 3");
    assert_non_null(strstr(t.error.message, "batond --rejoin"));
    p = good_append();
    p->envelope.generation = 4;
    p->envelope.cluster_id = data_of("other");
    refuse_append(p, ERR_FOREIGN, "other");
    p = good_append();
    p->envelope.generation = 4;
    p->envelope.to = data_of("n7");
    refuse_append(p, ERR_FOREIGN, "n7");
    p = good_append();
    p->envelope.generation = 4;
    p->envelope.from = p->append.leader_id = data_of("n1");
    refuse_append(p, ERR_INVALID, "itself");
}

static enum error_code decode_waiting(const struct append_parts *p, const char *incarnation) {
    static const struct wire_configuration none;
    struct wire_identity us = {
        .cluster_id = raft_id_of(text("demo")), .generation = 3, .node_id = raft_id_of(text("n1")), .configuration = &none};
    memcpy(us.incarnation, incarnation, strlen(incarnation));
    struct raft_message message;
    enum error_code code =
        wire_raft_decode(&us, RAFT_APPEND_ENTRIES, pack(&p->append.base), t.slab, &t.arena, &message, &t.error);
    if (code == OK) {
        release_entries(&message);
    }
    return code;
}

// A node that waits to be added follows a leader of a higher generation that names its directory, and none of a lower one.
static void TestWireRaftGenerationOfANewNode(void **state) {
    (void)state;
    struct append_parts *p = good_append();
    p->envelope.to_incarnation = data_of("0123456789abcdef0123456789abcdef");
    assert_ok(decode_waiting(p, "0123456789abcdef0123456789abcdef"));
    p->envelope.generation = 4;
    assert_ok(decode_waiting(p, "0123456789abcdef0123456789abcdef"));
    assert_refused(decode_waiting(p, "ffffffffffffffffffffffffffffffff"), ERR_FOREIGN, "wiped or replaced");
    p->envelope.generation = 2;
    assert_refused(decode_waiting(p, "0123456789abcdef0123456789abcdef"), ERR_OLD_GENERATION, "this is generation 3");
    p->envelope.generation = 4;
    p->envelope.to_incarnation = data_of("");
    assert_refused(decode_waiting(p, "0123456789abcdef0123456789abcdef"), ERR_FOREIGN, "no configuration names yet");
}

// Of any message, whoever it is for.
static void TestWireRaftSender(void **state) {
    (void)state;
    struct raft_id from;
    uint64_t generation;
    struct append_parts *p = good_append();
    p->envelope.generation = 4;
    p->envelope.cluster_id = data_of("other");
    assert_true(wire_raft_sender(pack(&p->append.base), &t.arena, &from, &generation));
    assert_string_equal(from.text, "n2");
    assert_int_equal(generation, 4);
    p->envelope.from = data_of("n 2");
    assert_false(wire_raft_sender(pack(&p->append.base), &t.arena, &from, &generation));
    p->append.envelope = NULL;
    assert_false(wire_raft_sender(pack(&p->append.base), &t.arena, &from, &generation));
    assert_false(wire_raft_sender(slice_of("\x0a\xff", 2), &t.arena, &from, &generation));
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

static const struct CMUnitTest tests[] = {
    WIRE_TEST(TestWirePutRefused),
    WIRE_TEST(TestWireRegisterWorkerRefused),
    WIRE_TEST(TestWireControlRefused),
    WIRE_TEST(TestWireCheckLengths),
    WIRE_TEST(TestWireCheckPaths),
    WIRE_TEST(TestWireCheckOptional),
    WIRE_TEST(TestWireCheckMaps),
    WIRE_TEST(TestWireCheckMapWithoutRules),
    WIRE_TEST(TestWireCheckUtf8),
    WIRE_TEST(TestWireRaftForeign),
    WIRE_TEST(TestWireAppendRefused),
    WIRE_TEST(TestWireRaftGenerations),
    WIRE_TEST(TestWireRaftGenerationOfANewNode),
    WIRE_TEST(TestWireRaftSender),
};

UNIT_MAIN(tests)
