// Messages by hand: every field of a decoded message has the value that protobuf-c was given (a reader and a writer that
// both swap two fields would pass a round trip), commands and configurations in entries, and the core's own messages.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire_env.h"

// --- ControlService ---

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
    const struct pb_put_request *put_request = decode_ok(&pb_put_request_type, pack(&put.base));
    assert_slice(put_request->key, "k");
    assert_slice(put_request->value, "v");
    assert_true(put_request->has_expected_revision);  // 0, but there
    assert_int_equal(put_request->expected_revision, 0);
    assert_true(put_request->has_session);
    assert_slice(put_request->session.client_id, "c1");
    assert_int_equal(put_request->session.sequence, 9);
    assert_int_equal(put_request->session.acknowledged_below, 7);

    Baton__V1__ListRequest list = BATON__V1__LIST_REQUEST__INIT;
    list.prefix = data_of("p");
    list.start_after = data_of("pa");
    list.limit = 5;
    const struct pb_list_request *list_request = decode_ok(&pb_list_request_type, pack(&list.base));
    assert_slice(list_request->prefix, "p");
    assert_slice(list_request->start_after, "pa");
    assert_int_equal(list_request->limit, 5);
    assert_false(list_request->stale);

    Baton__V1__GetResponse get = BATON__V1__GET_RESPONSE__INIT;
    get.revision = 4;
    get.read_index = 6;
    const struct pb_get_response *get_response = decode_ok(&pb_get_response_type, pack(&get.base));
    assert_int_equal(get_response->revision, 4);
    assert_int_equal(get_response->read_index, 6);

    Baton__V1__WatchEvent event = BATON__V1__WATCH_EVENT__INIT;
    event.type = BATON__V1__WATCH_EVENT__TYPE__DELETE;
    event.key = data_of("gone");
    Baton__V1__WatchResponse watch = BATON__V1__WATCH_RESPONSE__INIT;
    watch.n_events = 1;
    watch.events = (Baton__V1__WatchEvent *[]){&event};
    const struct pb_watch_response *watch_response = decode_ok(&pb_watch_response_type, pack(&watch.base));
    assert_int_equal(watch_response->events_count, 1);
    assert_int_equal(watch_response->events[0].type, PB_WATCH_EVENT_TYPE_DELETE);
    assert_slice(watch_response->events[0].key, "gone");
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
    const struct pb_status_response *status = decode_ok(&pb_status_response_type, pack(&packed.base));
    assert_slice(status->node, "n1");
    assert_slice(status->cluster_id, "demo");
    assert_slice(status->role, "follower");
    assert_slice(status->leader, "n3");
    assert_slice(status->leader_address, "c:1");
    assert_slice(status->version, "9");
    assert_int_equal(status->term, 1);
    assert_int_equal(status->commit_index, 2);
    assert_int_equal(status->last_applied, 3);
    assert_int_equal(status->last_log_index, 4);
    assert_int_equal(status->uptime_ms, 5);
    assert_int_equal(status->members_count, 1);
    assert_slice(status->members[0].id, "n2");
    assert_slice(status->members[0].address, "a:1");
    assert_slice(status->members[0].http_address, "a:2");
    assert_slice(status->members[0].cloud, "aws");
    assert_true(status->members[0].voter);
    assert_false(status->members[0].reachable);
    assert_true(status->members[0].rtt_ms == 50.25);
    assert_int_equal(status->members[0].match_index, 8);
    assert_true(status->members[0].commit_ms == 0.5);
    assert_int_equal(status->members[0].round_trips_count, 1);
    assert_slice(status->members[0].round_trips[0].id, "n3");
    assert_true(status->members[0].round_trips[0].rtt_ms == 49.5);
    assert_true(status->has_placement);
    assert_int_equal(status->placement.pause_term, 6);
    assert_slice(status->placement.decision, "stay");
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
    const struct pb_list_workers_request *request = decode_ok(&pb_list_workers_request_type, pack(&asked.base));
    assert_slice(request->start_after, "w0");
    assert_int_equal(request->limit, 7);
    Baton__V1__ListWorkersResponse packed = BATON__V1__LIST_WORKERS_RESPONSE__INIT;
    packed.more = true;
    packed.n_workers = 1;
    packed.workers = (Baton__V1__WorkerInfo *[]){&info};
    const struct pb_list_workers_response *response = decode_ok(&pb_list_workers_response_type, pack(&packed.base));
    assert_true(response->more);
    const struct pb_worker_info *worker = &response->workers[0];
    assert_slice(worker->id, "w1");
    assert_slice(worker->address, "a:1");
    assert_slice(worker->cloud, "gcp");
    assert_slice(worker->instance_id, "i");
    assert_slice(worker->reason, "why");
    assert_slice(worker->status, "online");
    assert_int_equal(worker->epoch, 2);
    assert_int_equal(worker->slots, 3);
    assert_int_equal(worker->since_index, 4);
    assert_int_equal(worker->labels_count, 1);
    assert_slice(worker->labels[0].key, "zone");
    assert_slice(worker->labels[0].value, "b");
    assert_true(worker->has_last_seen_unix_ms);
    assert_true(worker->last_seen_unix_ms == -1);
}

// --- commands ---

static void forget_session(Baton__V1__Command *command) {
    if (command->op_case == BATON__V1__COMMAND__OP__NOT_SET) {
        return;
    }
    ProtobufCMessage *request = &command->put->base;  // whichever it is: all are in one union
    const ProtobufCFieldDescriptor *session =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "session");
    if (session != NULL) {
        memset((uint8_t *)request + session->offset, 0, sizeof(void *));
    }
}

static void TestWireCommandRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireCommandRoundTrip");
    for (int round = 0; round < 5000; round++) {
        Baton__V1__Command *random = random_message(&baton__v1__command__descriptor);
        forget_session(random);  // never in the log
        struct slice packed = pack(&random->base);
        struct raft_entry *entry = entry_of(packed, RAFT_ENTRY_COMMAND);
        struct pb_command command;
        assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
        assert_int_equal(pb_size(&pb_command_type, &command), packed.len);
        struct raft_entry *encoded = wire_command_encode(t.slab, &command, &t.error);
        assert_true(slice_equal(raft_entry_command(encoded), packed));
        assert_int_equal(encoded->type, RAFT_ENTRY_COMMAND);
        raft_entry_unref(encoded);
        raft_entry_unref(entry);
        arena_reset(&t.arena);
    }
}

// A session in the log would stop every node that reads it: the one that would write it stops first.
static void TestWireCommandTransient(void **state) {
    (void)state;
    struct pb_command command = {.format = COMMAND_FORMAT, .op = PB_COMMAND_OP_DELETE, .delete = {.key = text("k")}};
    raft_entry_unref(wire_command_encode(t.slab, &command, &t.error));
    command.delete.has_session = true;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        wire_command_encode(t.slab, &command, &t.error);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void TestWireCommandFields(void **state) {
    (void)state;
    Baton__V1__WorkerChange change = BATON__V1__WORKER_CHANGE__INIT;
    change.worker_id = data_of("w1");
    change.epoch = 4;
    change.reason = data_of("left");
    Baton__V1__ChangeWorkers changes = BATON__V1__CHANGE_WORKERS__INIT;
    changes.n_changes = 1;
    changes.changes = (Baton__V1__WorkerChange *[]){&change};
    Baton__V1__Command packed = BATON__V1__COMMAND__INIT;
    packed.format = 1;
    packed.time_unix_ms = -2;
    packed.client_id = data_of("c");
    packed.sequence = 5;
    packed.acknowledged_below = 3;
    packed.op_case = BATON__V1__COMMAND__OP_CHANGE_WORKERS;
    packed.change_workers = &changes;
    struct pb_command command;
    struct raft_entry *entry = entry_of(pack(&packed.base), RAFT_ENTRY_COMMAND);
    assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
    assert_true(command.time_unix_ms == -2);
    assert_slice(command.client_id, "c");
    assert_int_equal(command.sequence, 5);
    assert_int_equal(command.acknowledged_below, 3);
    assert_int_equal(command.format, COMMAND_FORMAT);
    assert_int_equal(command.op, PB_COMMAND_OP_CHANGE_WORKERS);
    assert_int_equal(command.change_workers.changes_count, 1);
    assert_slice(command.change_workers.changes[0].worker_id, "w1");
    assert_slice(command.change_workers.changes[0].reason, "left");
    assert_int_equal(command.change_workers.changes[0].epoch, 4);
    assert_false(command.change_workers.changes[0].online);
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
    struct pb_command request = {.format = COMMAND_FORMAT, .op = PB_COMMAND_OP_REGISTER_WORKER};
    struct pb_command command;
    assert_ok(read_request(&pb_register_worker_request_type, pack(&packed.base), &request.register_worker));
    struct raft_entry *entry = wire_command_encode(t.slab, &request, &t.error);
    assert_ok(wire_command_decode(&t.arena, entry, &command, &t.error));
    assert_int_equal(command.op, PB_COMMAND_OP_REGISTER_WORKER);
    assert_slice(command.register_worker.worker_id, "w1");
    assert_slice(command.register_worker.instance_id, "i1");
    assert_slice(command.register_worker.address, "host:1");
    assert_slice(command.register_worker.cloud, "aws");
    assert_int_equal(command.register_worker.slots, 4);
    assert_int_equal(command.register_worker.labels_count, 2);
    assert_slice(command.register_worker.labels[0].key, "disk");  // in key order
    assert_slice(command.register_worker.labels[1].key, "zone");
    assert_slice(command.register_worker.labels[1].value, "b");
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
        {BYTES("\x08\x01\x5a\x03\x0a\x01k"), OK},                              // delete k
        {BYTES("\x08\x02\x5a\x03\x0a\x01k"), ERR_UNKNOWN_COMMAND},             // format 2
        {BYTES("\x5a\x03\x0a\x01k"), ERR_UNKNOWN_COMMAND},                     // no format
        {BYTES("\x08\x01"), ERR_UNKNOWN_COMMAND},                              // no operation
        {BYTES("\x08\x01\xfa\x07\x00"), ERR_UNKNOWN_COMMAND},                  // operation 127
        {BYTES("\x08\x01\x5a\x05\x0a\x01k\x18\x01"), ERR_UNKNOWN_COMMAND},     // delete k, and a field 3
        {BYTES("\x08\x01\x5a\x03\x0a\x01k\x5a\x03\x0a\x01k"), ERR_MALFORMED},  // twice
        {BYTES("\x08\x01\x5a\x00"), ERR_MALFORMED},                            // no key
        {BYTES("\x08\x01\x5a\x03\x0a\x02k"), ERR_MALFORMED},                   // key beyond the end
        {BYTES("\x08\x01\x58\x01"), ERR_MALFORMED},                            // wrong wire type
        {BYTES("\x08\x01\x62\x04\x0a\x02w1"), ERR_MALFORMED},                  // no instance id
        {BYTES(""), ERR_UNKNOWN_COMMAND},
        {BYTES("\x08\x01\x30\x03\x5a\x03\x0a\x01k"), OK},                   // of level 3
        {BYTES("\x08\x01\x30\x04\x5a\x03\x0a\x01k"), ERR_UNKNOWN_COMMAND},  // of level 4
        {BYTES("\x08\x01\x72\x02\x08\x03"), OK},                            // raise the cluster to level 3
        {BYTES("\x08\x01\x72\x02\x08\x04"), ERR_UNKNOWN_COMMAND},           // to level 4
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pb_command command;
        enum error_code code = decode_command(slice_of(cases[i].bytes, cases[i].len), &command);
        if (code != cases[i].code) {
            fail_msg("case %zu: %s instead of %s", i, error_name(code), error_name(cases[i].code));
        }
    }
}

static void assert_summary(struct slice bytes, const char *expected) {
    struct raft_entry *entry = entry_of(bytes, RAFT_ENTRY_CONFIGURATION);
    buf_clear(&t.out);
    wire_configuration_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), expected);
    raft_entry_unref(entry);
}

static void TestWireSummary(void **state) {
    (void)state;
    assert_summary(slice_of(BYTES("?")), "unreadable configuration");
    assert_summary(slice_of(BYTES("")), "unreadable configuration");
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
    configuration.index = 1;
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
    wire_configuration_summary(entry, &t.out);
    assert_slice(buf_slice(&t.out), "members n1, n2, n3");
    raft_entry_unref(entry);

    configuration = three_members();
    configuration.members[1].id = configuration.members[0].id;
    assert_refused(configuration_code(&configuration), ERR_INVALID, "members: must be in the order of their ids");
    configuration = three_members();
    strcpy(configuration.members[1].cloud, "Sky");
    assert_refused(configuration_code(&configuration), ERR_INVALID, "members.cloud");
    configuration = three_members();
    configuration.members[1].address[4] = '\0';
    assert_refused(configuration_code(&configuration), ERR_INVALID, "members.address");
    configuration = three_members();
    configuration.cluster_id.len = 0;
    assert_refused(configuration_code(&configuration), ERR_MALFORMED, "cluster_id");
}

// --- RaftService ---

static void TestWireRaftRoundTrip(void **state) {
    (void)state;
    t.seed = random_seed("TestWireRaftRoundTrip");
    struct wire_identity sender = identity_of("n2");
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < RAFT_KINDS; i++) {
            ProtobufCMessage *random = random_message(raft_kinds[i].descriptor);
            make_plausible(raft_kinds[i].type, random);
            struct slice packed = pack(random);
            struct raft_message message;
            assert_ok(decode_raft(raft_kinds[i].type, packed, &message));
            assert_slice(raft_id_slice(&message.from), "n2");
            assert_slice(raft_id_slice(&message.to), "n1");
            message.to = raft_id_of(text("n1"));
            buf_clear(&t.out);
            wire_raft_encode(&sender, &message, &t.out);
            assert_same_bytes(buf_slice(&t.out), packed);
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
    reply.promised_us = 4;
    address_message(&reply.base);
    assert_ok(decode_raft(RAFT_APPEND_ENTRIES_REPLY, pack(&reply.base), &message));
    assert_false(message.append_reply.success);
    assert_int_equal(message.append_reply.match_index, 1);
    assert_int_equal(message.append_reply.conflict_term, 2);
    assert_int_equal(message.append_reply.conflict_index, 3);
    assert_int_equal(message.append_reply.promised_us, 4);

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

// ReadIndex is between members of one cluster, like the core's messages.
static void TestWireReadIndex(void **state) {
    (void)state;
    const struct wire_identity n1 = {
        .cluster_id = raft_id_of(text("demo")), .generation = 1, .node_id = raft_id_of(text("n1"))};
    struct wire_identity n2 = n1;
    n2.node_id = raft_id_of(text("n2"));
    struct raft_id from;
    raft_term term;
    raft_index index;
    wire_read_index_encode(&n2, &n1.node_id, 8, &t.out);
    assert_ok(wire_read_index_decode(&n1, buf_slice(&t.out), &t.arena, &from, &term, &t.error));
    assert_true(raft_id_equal(&from, &n2.node_id));
    assert_int_equal(term, 8);
    assert_refused(wire_read_index_decode(&n2, buf_slice(&t.out), &t.arena, &from, &term, &t.error), ERR_FOREIGN, "node n1");
    struct wire_identity other = n1;
    other.generation = 2;
    assert_refused(wire_read_index_decode(&other, buf_slice(&t.out), &t.arena, &from, &term, &t.error), ERR_OLD_GENERATION,
                   "this is generation 2");
    buf_clear(&t.out);
    wire_read_index_reply_encode(&n1, &n2.node_id, 9, 77, &t.out);
    assert_ok(wire_read_index_reply_decode(&n2, buf_slice(&t.out), &t.arena, &from, &index, &t.error));
    assert_true(raft_id_equal(&from, &n1.node_id));
    assert_int_equal(index, 77);
    n2.generation = 2;
    assert_refused(wire_read_index_reply_decode(&n2, buf_slice(&t.out), &t.arena, &from, &index, &t.error),
                   ERR_OLD_GENERATION, "n1 is of generation 1");
    n2.generation = 1;
    assert_refused(wire_read_index_reply_decode(&n2, slice_of(NULL, 0), &t.arena, &from, &index, &t.error), ERR_INVALID,
                   "envelope: is missing");
}

static void TestWireRaftPaths(void **state) {
    (void)state;
    assert_string_equal(wire_raft_method(RAFT_REQUEST_VOTE)->path, "/baton.v1.RaftService/RequestVote");
    assert_string_equal(wire_raft_method(RAFT_APPEND_ENTRIES)->path, "/baton.v1.RaftService/AppendEntries");
    assert_string_equal(wire_raft_method(RAFT_TIMEOUT_NOW)->path, "/baton.v1.RaftService/TimeoutNow");
    assert_ptr_equal(wire_raft_method(RAFT_TIMEOUT_NOW)->request, &pb_timeout_now_request_type);
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
    const struct pb_redirect to = {
        .leader_id = text("n1"),
        .leader_address = text("a:1"),
        .member_addresses = addresses,
        .member_addresses_count = 2,
    };

    Baton__V1__RegisterWorkerResponse registered = BATON__V1__REGISTER_WORKER_RESPONSE__INIT;
    registered.accepted = true;
    registered.epoch = 300;
    registered.heartbeat_interval_ms = 5000;
    registered.redirect = &redirect;
    const struct pb_register_worker_response ours = {
        .accepted = true, .epoch = 300, .heartbeat_interval_ms = 5000, .has_redirect = true, .redirect = to};
    pb_encode(&pb_register_worker_response_type, &ours, &t.out);
    assert_same_bytes(buf_slice(&t.out), pack(&registered.base));

    Baton__V1__HeartbeatResponse heartbeat = BATON__V1__HEARTBEAT_RESPONSE__INIT;
    heartbeat.accepted = true;
    heartbeat.heartbeat_interval_ms = 5000;
    heartbeat.redirect = &redirect;
    const struct pb_heartbeat_response our_heartbeat = {
        .accepted = true, .heartbeat_interval_ms = 5000, .has_redirect = true, .redirect = to};
    buf_clear(&t.out);
    pb_encode(&pb_heartbeat_response_type, &our_heartbeat, &t.out);
    assert_same_bytes(buf_slice(&t.out), pack(&heartbeat.base));

    Baton__V1__DeregisterWorkerResponse gone = BATON__V1__DEREGISTER_WORKER_RESPONSE__INIT;
    gone.accepted = true;
    gone.redirect = &redirect;
    const struct pb_deregister_worker_response our_goodbye = {.accepted = true, .has_redirect = true, .redirect = to};
    buf_clear(&t.out);
    pb_encode(&pb_deregister_worker_response_type, &our_goodbye, &t.out);
    assert_same_bytes(buf_slice(&t.out), pack(&gone.base));

    Baton__V1__HeartbeatRequest request = BATON__V1__HEARTBEAT_REQUEST__INIT;
    request.worker_id = data_of("w1");
    request.instance_id = data_of("i1");
    request.epoch = 8;
    struct pb_heartbeat_request ref;
    assert_ok(read_request(&pb_heartbeat_request_type, pack(&request.base), &ref));
    assert_slice(ref.worker_id, "w1");
    assert_slice(ref.instance_id, "i1");
    assert_int_equal(ref.epoch, 8);
    struct pb_deregister_worker_request gone_ref;
    assert_ok(read_request(&pb_deregister_worker_request_type, pack(&request.base), &gone_ref));
    assert_slice(gone_ref.worker_id, "w1");
    assert_slice(gone_ref.instance_id, "i1");
    assert_int_equal(gone_ref.epoch, 8);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(TestWireControlFields),
    WIRE_TEST(TestWireStatusFields),
    WIRE_TEST(TestWireWorkerInfoFields),
    WIRE_TEST(TestWireCommandRoundTrip),
    WIRE_TEST(TestWireCommandTransient),
    WIRE_TEST(TestWireCommandFields),
    WIRE_TEST(TestWireRegisterWorkerFields),
    WIRE_TEST(TestWireCommandUnknown),
    WIRE_TEST(TestWireSummary),
    WIRE_TEST(TestWireConfiguration),
    WIRE_TEST(TestWireRaftRoundTrip),
    WIRE_TEST(TestWireRaftFields),
    WIRE_TEST(TestWireReadIndex),
    WIRE_TEST(TestWireRaftPaths),
    WIRE_TEST(TestWireWorkerRoundTrip),
};

UNIT_MAIN(tests)
