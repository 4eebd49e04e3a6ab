// Calls on their way to verbs: what the server is told of each, and what of a request waits with it.
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "node/calls.c"  // the server's callbacks and the services made for it, which no header shows
#include "node/leadership.h"
#include "node/node.h"
#include "node_fixture.h"
#include "unit.h"
#include "verbs/verbs.h"
#include "wire/wire_format.h"

static struct bound_verb *bound_of(struct node *node, const struct verb *verb) {
    for (size_t i = 0; i < node->calls->count; i++) {
        if (node->calls->bound[i].verb == verb) {
            return &node->calls->bound[i];
        }
    }
    fail_msg("%s is not served", verb->method->name);
    return NULL;
}

// --- services ---

static const struct {
    const char *service;
    const char *method;
    enum pb_access access;
    enum rpc_kind kind;
} calls_served[] = {
    {"baton.v1.ControlService", "Put", PB_ACCESS_WRITE, RPC_UNARY},
    {"baton.v1.ControlService", "Get", PB_ACCESS_READ, RPC_UNARY},
    {"baton.v1.ControlService", "Delete", PB_ACCESS_WRITE, RPC_UNARY},
    {"baton.v1.ControlService", "List", PB_ACCESS_READ, RPC_UNARY},
    {"baton.v1.ControlService", "Watch", PB_ACCESS_READ, RPC_SERVER_STREAM},
    {"baton.v1.ControlService", "Status", PB_ACCESS_LOCAL, RPC_UNARY},
    {"baton.v1.ControlService", "ReadLog", PB_ACCESS_LOCAL, RPC_UNARY},
    {"baton.v1.ControlService", "ListWorkers", PB_ACCESS_READ, RPC_UNARY},
    {"baton.v1.ControlService", "TransferLeadership", PB_ACCESS_LOCAL, RPC_UNARY},
    {"baton.v1.ControlService", "Snapshot", PB_ACCESS_LOCAL, RPC_UNARY},
    {"baton.v1.ControlService", "Backup", PB_ACCESS_LOCAL, RPC_SERVER_STREAM},
    {"baton.v1.WorkerService", "RegisterWorker", PB_ACCESS_WRITE, RPC_UNARY},
    {"baton.v1.WorkerService", "Heartbeat", PB_ACCESS_LOCAL, RPC_UNARY},
    {"baton.v1.WorkerService", "DeregisterWorker", PB_ACCESS_WRITE, RPC_UNARY},
};

static const struct rpc_service *service_of(const struct calls *calls, const char *name) {
    for (size_t i = 0; i < calls->service_count; i++) {
        if (strcmp(calls->services[i].name, name) == 0) {
            return &calls->services[i];
        }
    }
    fail_msg("%s is not served", name);
    return NULL;
}

static const struct rpc_method *method_named(const struct rpc_service *service, const char *name) {
    for (size_t i = 0; i < service->method_count; i++) {
        if (strcmp(service->methods[i].name, name) == 0) {
            return &service->methods[i];
        }
    }
    fail_msg("%s has no %s", service->name, name);
    return NULL;
}

// Each rpc of both services has its verb, which the server hands its messages to.
static void TestNodeServesAllCalls(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    const struct calls *calls = whole.node->calls;
    assert_int_equal(calls->service_count, 2);
    assert_int_equal(calls->count, pb_control_service.method_count + pb_worker_service.method_count);
    for (size_t i = 0; i < ARRAY_COUNT(calls_served); i++) {
        const struct rpc_method *method = method_named(service_of(calls, calls_served[i].service), calls_served[i].method);
        const struct bound_verb *bound = method->user;
        assert_ptr_equal(bound->node, whole.node);
        assert_string_equal(bound->verb->method->name, calls_served[i].method);
        assert_string_equal(bound->verb->method->service->name, calls_served[i].service);
        assert_int_equal(bound->verb->method->access, calls_served[i].access);
        assert_int_equal(method->kind, calls_served[i].kind);
        assert_true(method->kind == RPC_UNARY || (method->on_cancel != NULL && method->on_writable != NULL));
    }
    whole_node_end(&whole);
}

// Who may call, as the .proto files say: of a service, and of a method that has roles of its own.
static void TestNodeTellsTheServerRoles(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    const struct rpc_service *control = service_of(whole.node->calls, "baton.v1.ControlService");
    assert_string_equal(control->roles[0], "operator");
    assert_string_equal(control->roles[1], "node");
    assert_null(control->roles[2]);
    const struct rpc_service *workers = service_of(whole.node->calls, "baton.v1.WorkerService");
    static const char *const callers[] = {"worker", "workers", "operator", "node"};
    for (size_t i = 0; i < ARRAY_COUNT(callers); i++) {
        assert_string_equal(workers->roles[i], callers[i]);
    }
    assert_null(workers->roles[ARRAY_COUNT(callers)]);
    static const char *const roles[] = {"operator", NULL};
    struct pb_method restricted = *verb_put.method;
    restricted.roles = roles;
    struct verb verb = verb_put;
    verb.method = &restricted;
    assert_ptr_equal(method_of(&(struct bound_verb){.node = whole.node, .verb = &verb}).roles, roles);
    assert_null(method_of(bound_of(whole.node, &verb_member_add)).roles);
    static const struct verb *const of_programs[] = {&verb_get,   &verb_put,          &verb_delete, &verb_list,
                                                     &verb_watch, &verb_list_workers, &verb_status};
    for (size_t i = 0; i < ARRAY_COUNT(of_programs); i++) {
        const char *const *callers_of = method_of(bound_of(whole.node, of_programs[i])).roles;
        assert_string_equal(callers_of[0], "operator");
        assert_string_equal(callers_of[1], "node");
        assert_string_equal(callers_of[2], "program");
        assert_null(callers_of[3]);
    }
    const char *const *snapshot = method_of(bound_of(whole.node, &verb_snapshot)).roles;
    assert_string_equal(snapshot[0], "operator");
    assert_null(snapshot[1]);
    whole_node_end(&whole);
}

// A node that would not answer one of the calls does not start.
static void TestNodeMissesNoCall(void **state) {
    (void)state;
    enum { VERBS_COUNT = ARRAY_COUNT(calls_served) };
    for (size_t missing = 0; missing < VERBS_COUNT; missing++) {
        const struct verb *verbs[VERBS_COUNT] = {NULL};
        for (size_t i = 0, count = 0; i < VERBS_COUNT; i++) {
            if (i != missing) {
                verbs[count++] = all_verbs[i];
            }
        }
        struct node_config config = {.verbs = verbs};
        struct node node = {.config = &config};
        pid_t child = fork();
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);  // cmocka's handler would go on with the next test
            assert_non_null(freopen("/dev/null", "w", stderr));
            calls_new(&node);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

// --- what waits ---

// A field that no request has, of so many bytes.
static void append_unknown(struct buf *request, size_t size) {
    enum { UNKNOWN = 15 };
    uint8_t head[PB_TAG_MAX + PB_VARINT_MAX];
    uint8_t *end = head + sizeof head;
    uint8_t *start = pb_back_tag(pb_back_varint(end, size), UNKNOWN, PB_BYTES);
    buf_append(request, start, (size_t)(end - start));
    memset(buf_reserve(request, size), 'x', size);
    request->len += size;
}

// A read waits for its quorum with its key, and not with whatever else, unknown to us, its client has sent along.
static void TestNodeKeepsOfReadsWhatItUnderstands(void **state) {
    (void)state;
    enum { READS = 16 };
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    struct buf request = {0};
    pb_encode(verb_get.method->request, &(struct pb_get_request){.key = slice_of_str("k")}, &request);
    append_unknown(&request, MIB);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < READS; i++) {
        on_message(bound_of(whole.node, &verb_get), (struct rpc_call){0}, buf_slice(&request));
    }
    assert_true(reads_collected(whole.node->reads));
    assert_in_range(mallinfo2().uordblks + mallinfo2().hblkhd, 0, before + MIB);
    buf_free(&request);
    whole_node_end(&whole);
}

// --- writes during a transfer ---

static struct {
    struct node *node;
    struct rpc_channel *channel;
    size_t checked;
    size_t done;
    enum rpc_status status[2];
} put_twice;

// The first write begins a transfer that the core will refuse; the second must not get here before its end.
static enum error_code begin_transfer(const void *request, struct error *error) {
    struct raft_id unknown = raft_id_of(slice_of_str("n9"));
    assert_false(transfer_is_running(put_twice.node->transfer));
    if (put_twice.checked++ == 0) {
        leadership_hand_over(put_twice.node, &unknown, "a test");
        assert_true(transfer_is_running(put_twice.node->transfer));
    }
    return verb_put.check(request, error);
}

static void on_put_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)user;
    put_twice.status[tag] = result->status;
    put_twice.done++;
}

static void call_put(uint64_t tag) {
    struct buf request = {0};
    struct pb_put_request put = {.key = slice_of_str("k"), .value = slice_of_str(tag == 0 ? "first" : "second")};
    pb_encode(verb_put.method->request, &put, &request);
    rpc_channel_call(put_twice.channel, &(struct rpc_request){.path = verb_put.method->path,
                                                              .body = buf_slice(&request),
                                                              .wait_for_ready = true,
                                                              .tag = tag,
                                                              .on_done = on_put_done});
    buf_free(&request);
}

// A write that came in during a transfer waits for its end, and is done by this node if that goes on leading.
static void TestNodeResumesPausedWrites(void **state) {
    (void)state;
    struct whole_node whole;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    struct verb put = verb_put;
    put.check = begin_transfer;
    bound_of(whole.node, &verb_put)->verb = &put;
    struct rpc_channel_options options = {.target = node_address(whole.node)};
    put_twice.node = whole.node;
    put_twice.channel = rpc_channel_new(whole.node->rpc, &options);
    call_put(0);
    call_put(1);  // comes in with the first: both wait for the connection
    uint64_t deadline_us = node_clock_us() + 10 * US_PER_S;
    while (put_twice.done < 2 && node_clock_us() < deadline_us) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_int_equal(put_twice.checked, 2);
    assert_int_equal(put_twice.status[0], RPC_OK);
    assert_int_equal(put_twice.status[1], RPC_OK);
    struct state_item item;
    assert_true(state_get(whole.node->state, slice_of_str("k"), &item));
    assert_true(slice_equal(item.value, slice_of_str("second")));
    rpc_channel_close(put_twice.channel);
    whole_node_end(&whole);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNodeServesAllCalls),      cmocka_unit_test(TestNodeTellsTheServerRoles),
    cmocka_unit_test(TestNodeMissesNoCall),        cmocka_unit_test(TestNodeKeepsOfReadsWhatItUnderstands),
    cmocka_unit_test(TestNodeResumesPausedWrites),
};

UNIT_MAIN(tests)
