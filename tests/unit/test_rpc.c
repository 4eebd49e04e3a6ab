// gRPC over loopback: our server and our channel on one loop, and raw sockets where a peer has to misbehave.
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc/rpc.h"
#include "unit.h"

// --- one loop, one runtime, one server, one channel ---

struct env {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct metrics *metrics;
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char address[64];
    unsigned ups;
    unsigned downs;
    enum rpc_down_reason reason;

    struct rpc_call held;  // the last call of Hold
    unsigned held_count;
    unsigned cancelled;
    struct buf arrived;  // the first byte of each message of Hold
    bool drained;

    bool close_in_handler;

    struct rpc_call flow;  // the call of Flow
    uint32_t flow_next;    // number of its next message
    uint32_t flow_end;
    unsigned flow_refused;  // how often rpc_send had no room
};

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "nothing happens any more\n");
    abort();
}

// Generous: the machine may be busy. What is awaited must come, or the test ends loudly.
static void run_until(struct env *env, bool (*done)(struct env *env)) {
    uv_timer_start(&env->watchdog, on_watchdog, 60000, 0);
    while (!done(env)) {
        uv_run(&env->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&env->watchdog);
}

static void echo(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    rpc_reply(env->server, call, message);
}

static void hold(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    env->held = call;
    env->held_count++;
    if (env->close_in_handler) {
        rpc_server_close(env->server);
        env->server = NULL;
    }
    buf_append(&env->arrived, message.data, message.len > 0);
}

static void cancelled(void *user, struct rpc_call call) {
    struct env *env = user;
    assert_true(env->server == NULL || !rpc_call_alive(env->server, call));
    env->cancelled++;
}

enum { FLOW_MESSAGE = 10000 };

// As many numbered messages as there is room for.
static void flow_on(void *user, struct rpc_call call) {
    struct env *env = user;
    uint8_t message[FLOW_MESSAGE] = {0};
    while (env->flow_next < env->flow_end) {
        memcpy(message, &env->flow_next, sizeof env->flow_next);
        if (!rpc_send(env->server, call, slice_of(message, sizeof message))) {
            env->flow_refused++;
            return;
        }
        env->flow_next++;
    }
    rpc_call_trailer(env->server, call, "flowed", slice_of_str("yes"));
    rpc_finish(env->server, call, RPC_OK, NULL);
}

static void flow(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    assert(message.len == sizeof env->flow_end);
    memcpy(&env->flow_end, message.data, sizeof env->flow_end);
    env->flow = call;
    flow_on(env, call);
}

// Every message comes back at once; the client's end is answered with a status of its own.
static void chat(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    assert_true(rpc_send(env->server, call, message));
}

static void chat_end(void *user, struct rpc_call call) {
    struct env *env = user;
    rpc_finish(env->server, call, RPC_ABORTED, "100% \xc3\xbc\n");
}

static void describe(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    (void)message;
    assert_non_null(rpc_call_peer(env->server, call).address);
    assert_null(rpc_call_peer(env->server, call).identity);
    uint64_t deadline = rpc_call_deadline_ms(env->server, call);
    assert_true(deadline != UINT64_MAX && deadline > uv_now(&env->loop));
    rpc_call_trailer(env->server, call, "leader", slice_of_str("n2"));
    rpc_call_trailer(env->server, call, "bad", slice_of_str("a\nb"));
    struct slice color = rpc_call_metadata(env->server, call, "color");
    rpc_reply(env->server, call, color);
}

enum { LARGE = 1000000 };

static void large(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    static const uint8_t body[LARGE];
    (void)message;
    rpc_reply(env->server, call, slice_of(body, sizeof body));
}

static const struct rpc_method methods[] = {
    {.name = "Echo", .kind = RPC_UNARY, .on_message = echo},
    {.name = "Hold", .kind = RPC_UNARY, .on_message = hold, .on_cancel = cancelled},
    {.name = "Large", .kind = RPC_UNARY, .on_message = large},
    {.name = "Describe", .kind = RPC_UNARY, .on_message = describe},
    {.name = "Flow", .kind = RPC_SERVER_STREAM, .on_message = flow, .on_cancel = cancelled, .on_writable = flow_on},
    {.name = "Chat", .kind = RPC_BIDI, .on_message = chat, .on_half_close = chat_end, .on_cancel = cancelled},
};

static struct rpc_service test_service;

static void on_up(void *user) {
    ((struct env *)user)->ups++;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct env *env = user;
    env->downs++;
    env->reason = reason;
}

static bool is_up(struct env *env) {
    return rpc_channel_is_up(env->channel);
}

static void listen_at(struct env *env, const char *address) {
    struct error error;
    assert_int_equal(rpc_server_listen(env->runtime, address, &env->server, &error), OK);
    test_service =
        (struct rpc_service){.name = "test.Test", .methods = methods, .method_count = ARRAY_COUNT(methods), .user = env};
    rpc_server_add_service(env->server, &test_service);
}

static void start(struct env *env) {
    *env = (struct env){0};
    uv_loop_init(&env->loop);
    uv_timer_init(&env->loop, &env->watchdog);
    env->metrics = metrics_new();
    env->runtime = rpc_runtime_new(&env->loop, env->metrics);
    listen_at(env, "127.0.0.1:0");
    snprintf(env->address, sizeof env->address, "%s", rpc_server_address(env->server));
    struct rpc_channel_options options = {.target = env->address, .on_up = on_up, .on_down = on_down, .user = env};
    env->channel = rpc_channel_new(env->runtime, &options);
    run_until(env, is_up);
}

// Everything must go, or the loop does not end.
static void stop(struct env *env) {
    if (env->channel != NULL) {
        rpc_channel_close(env->channel);
    }
    if (env->server != NULL) {
        rpc_server_close(env->server);
    }
    buf_free(&env->arrived);
    rpc_runtime_close(env->runtime);
    uv_close((uv_handle_t *)&env->watchdog, NULL);
    uv_run(&env->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&env->loop), 0);
    metrics_free(env->metrics);
}

// --- a call and its result ---

struct outcome {
    struct env *env;
    unsigned done;
    enum rpc_status status;
    bool maybe_processed;
    struct buf body;
    uint64_t tag;
    char message[256];
    char leader[16];
};

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct outcome *outcome = user;
    outcome->done++;
    outcome->status = result->status;
    outcome->maybe_processed = result->maybe_processed;
    outcome->tag = tag;
    buf_clear(&outcome->body);
    buf_append_slice(&outcome->body, result->body);
    snprintf(outcome->message, sizeof outcome->message, "%.*s", (int)result->message.len,
             (const char *)result->message.data);
    struct slice trailer = rpc_result_trailer(result, "leader");
    snprintf(outcome->leader, sizeof outcome->leader, "%.*s", (int)trailer.len, (const char *)trailer.data);
    assert_null(rpc_result_trailer(result, "bad").data);
}

static struct outcome *awaited;

static bool has_outcome(struct env *env) {
    (void)env;
    return awaited->done > 0;
}

static void await_outcome(struct env *env, struct outcome *outcome) {
    awaited = outcome;
    run_until(env, has_outcome);
    assert_int_equal(outcome->done, 1);
}

static void call_and_wait(struct env *env, struct outcome *outcome, const char *path, struct slice body) {
    outcome->done = 0;
    rpc_channel_call(env->channel, &(struct rpc_request){.path = path, .body = body, .user = outcome, .on_done = on_done});
    assert_int_equal(outcome->done, 0);
    await_outcome(env, outcome);
}

static void TestRpcUnary(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_true(slice_equal(buf_slice(&outcome.body), slice_of_str("hello")));
    call_and_wait(&env, &outcome, "/test.Test/Nothing", slice_of_str("hello"));
    assert_int_equal(outcome.status, RPC_UNIMPLEMENTED);
    assert_string_equal(outcome.message, "unknown method");
    buf_free(&outcome.body);
    struct buf text = {0};
    metrics_render(env.metrics, &text);
    buf_append(&text, "", 1);
    static const char *const series[] = {
        "rpc_server_calls_total{service=\"test.Test\",method=\"Echo\",status=\"OK\"} 1\n",
        "rpc_server_calls_total{service=\"unknown\",method=\"unknown\",status=\"UNIMPLEMENTED\"} 1\n",
        "rpc_server_call_duration_seconds_count{service=\"test.Test\",method=\"Echo\"} 1\n",
        "rpc_client_calls_total{service=\"test.Test\",method=\"Nothing\",status=\"UNIMPLEMENTED\"} 1\n",
        "rpc_client_call_duration_seconds_count{service=\"test.Test\",method=\"Echo\"} 1\n",
        "rpc_server_connections 1\n",
        "rpc_server_running_calls 0\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(series); i++) {
        assert_non_null(strstr((const char *)text.data, series[i]));
    }
    buf_free(&text);
    stop(&env);
}

static void TestRpcSizes(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    static const size_t sizes[] = {0, 1, 5, 255, 16379, 16384, 65535, 65536, 100000, 1 * MIB, MESSAGE_MAX};
    uint8_t *bytes = mem_alloc(MESSAGE_MAX);
    for (size_t i = 0; i < MESSAGE_MAX; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct slice body = slice_of(bytes, sizes[i]);
        call_and_wait(&env, &outcome, "/test.Test/Echo", body);
        assert_int_equal(outcome.status, RPC_OK);
        assert_true(slice_equal(buf_slice(&outcome.body), body));
    }
    free(bytes);
    buf_free(&outcome.body);
    stop(&env);
}

static unsigned finished_count;

static void count_done(void *user, uint64_t tag, const struct rpc_result *result) {
    uint64_t expected = tag;
    (void)user;
    assert_int_equal(result->status, RPC_OK);
    assert_true(slice_equal(result->body, slice_of(&expected, sizeof expected)));
    finished_count++;
}

static bool all_3000(struct env *env) {
    (void)env;
    return finished_count == 3000;
}

static void TestRpcManyAtOnce(void **state) {
    (void)state;
    struct env env;
    start(&env);
    finished_count = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                            .body = slice_of(&i, sizeof i),
                                                            .tag = i,
                                                            .timeout_ms = 60000,
                                                            .on_done = count_done});
    }
    run_until(&env, all_3000);
    assert_int_equal(rpc_channel_queued(env.channel), 0);
    stop(&env);
}

static void TestRpcMetadata(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    rpc_channel_call(env.channel,
                     &(struct rpc_request){.path = "/test.Test/Describe",
                                           .timeout_ms = 123456789,
                                           .metadata = (const char *const[]){"shape", "round", "color", "blue", NULL},
                                           .user = &outcome,
                                           .tag = 7,
                                           .on_done = on_done});
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(outcome.tag, 7);
    assert_true(slice_equal(buf_slice(&outcome.body), slice_of_str("blue")));
    assert_string_equal(outcome.leader, "n2");
    buf_free(&outcome.body);
    stop(&env);
}

static bool one_held(struct env *env) {
    return env->held_count == 1;
}

static bool one_cancelled(struct env *env) {
    return env->cancelled == 1;
}

static struct rpc_ticket call_hold(struct env *env, struct outcome *outcome, uint64_t timeout_ms) {
    return rpc_channel_call(
        env->channel,
        &(struct rpc_request){.path = "/test.Test/Hold", .timeout_ms = timeout_ms, .user = outcome, .on_done = on_done});
}

static void TestRpcDeadline(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_hold(&env, &outcome, 50);
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_DEADLINE_EXCEEDED);
    assert_true(outcome.maybe_processed);
    run_until(&env, one_cancelled);
    assert_false(rpc_call_alive(env.server, env.held));
    rpc_reply(env.server, env.held, slice_of_str("too late"));  // a name of nothing: harmless
    buf_free(&outcome.body);
    stop(&env);
}

static void TestRpcCancel(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    struct rpc_ticket ticket = call_hold(&env, &outcome, 0);
    run_until(&env, one_held);
    rpc_channel_cancel(env.channel, ticket);
    assert_int_equal(outcome.done, 0);
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_CANCELLED);
    run_until(&env, one_cancelled);
    rpc_channel_cancel(env.channel, ticket);
    outcome.done = 0;
    // Before HTTP/2 has sent anything of it: the server never hears of it.
    ticket = call_hold(&env, &outcome, 0);
    rpc_channel_cancel(env.channel, ticket);
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_CANCELLED);
    assert_false(outcome.maybe_processed);
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of_str("still here"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(env.held_count, 1);
    buf_free(&outcome.body);
    stop(&env);
}

// --- streams ---

static uint32_t flow_seen;

static void on_flow(void *user, uint64_t tag, struct slice message) {
    (void)user, (void)tag;
    uint32_t number;
    assert_int_equal(message.len, FLOW_MESSAGE);
    memcpy(&number, message.data, sizeof number);
    assert_int_equal(number, flow_seen);
    flow_seen++;
}

static void TestRpcServerStream(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    uint32_t messages = 5000;  // 50 MB: many times what may be queued
    flow_seen = 0;
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Flow",
                                                        .body = slice_of(&messages, sizeof messages),
                                                        .user = &outcome,
                                                        .on_message = on_flow,
                                                        .on_done = on_done});
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(flow_seen, messages);
    assert_true(env.flow_refused > 10);
    buf_free(&outcome.body);
    stop(&env);
}

// --- the connection ---

static bool is_down(struct env *env) {
    return env->downs > 0;
}

static bool is_refused(struct env *env) {
    return env->downs >= 4 && env->reason == RPC_DOWN_REFUSED;
}

static void TestRpcReconnect(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0}, waiting = {0};
    call_hold(&env, &outcome, 0);
    run_until(&env, one_held);
    rpc_server_close(env.server);
    env.server = NULL;
    run_until(&env, is_down);
    assert_int_equal(env.reason, RPC_DOWN_RESET);
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_true(outcome.maybe_processed);

    run_until(&env, is_refused);
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of_str("now"));
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_false(outcome.maybe_processed);
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                        .body = slice_of_str("later"),
                                                        .wait_for_ready = true,
                                                        .user = &waiting,
                                                        .on_done = on_done});
    listen_at(&env, env.address);
    await_outcome(&env, &waiting);
    assert_int_equal(waiting.status, RPC_OK);
    assert_true(rpc_channel_is_up(env.channel));
    buf_free(&outcome.body);
    buf_free(&waiting.body);
    stop(&env);
}

static void on_drained(void *user) {
    ((struct env *)user)->drained = true;
}

static bool is_drained(struct env *env) {
    return env->drained;
}

static void TestRpcDrain(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_hold(&env, &outcome, 0);
    run_until(&env, one_held);
    rpc_server_drain(env.server, 50000, on_drained, &env);
    run_until(&env, is_down);
    assert_int_equal(env.reason, RPC_DOWN_GOAWAY);
    assert_false(env.drained);
    assert_int_equal(outcome.done, 0);
    rpc_reply(env.server, env.held, slice_of_str("finished"));
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    run_until(&env, is_drained);
    buf_free(&outcome.body);
    stop(&env);
}

static void TestRpcDrainGrace(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_hold(&env, &outcome, 0);
    run_until(&env, one_held);
    rpc_server_drain(env.server, 300, on_drained, &env);
    run_until(&env, is_drained);
    rpc_server_close(env.server);
    env.server = NULL;
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    assert_int_equal(env.cancelled, 1);
    buf_free(&outcome.body);
    stop(&env);
}

enum { ORDERED_CALLS = 200 };

static bool all_arrived(struct env *env) {
    return env->held_count == ORDERED_CALLS;
}

// Large and small in turn, more than the windows hold: whatever HTTP/2 does with many streams, each arrives after the one
// before.
static void TestRpcOrdered(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct rpc_channel_options options = {.target = env.address, .ordered = true};
    rpc_channel_close(env.channel);
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, is_up);
    uint8_t *body = mem_zalloc(1 * MIB);
    struct outcome outcome = {0};
    for (unsigned i = 0; i < ORDERED_CALLS; i++) {
        body[0] = (uint8_t)i;
        struct slice slice = slice_of(body, i % 2 == 0 ? 500000 : 10);
        rpc_channel_call(env.channel, &(struct rpc_request){
                                          .path = "/test.Test/Hold", .body = slice, .user = &outcome, .on_done = on_done});
    }
    assert_true(rpc_channel_queued(env.channel) > 40000000);
    run_until(&env, all_arrived);
    for (unsigned i = 0; i < ORDERED_CALLS; i++) {
        assert_int_equal(env.arrived.data[i], i);
    }
    free(body);
    stop(&env);
    assert_int_equal(outcome.done, ORDERED_CALLS);  // CANCELLED, as the channel was closed
    assert_int_equal(outcome.status, RPC_CANCELLED);
    buf_free(&outcome.body);
}

// --- peers that misbehave: a plain socket, and frames made by hand ---

struct raw {
    int fd;
    bool ended;  // end of file, or reset
    unsigned goaways;
    uint32_t goaway_id[2];  // the last stream that the first and the second name
    struct buf in;
    nghttp2_hd_inflater *inflater;
    bool serves;        // it plays the server
    bool greeted;       // and its client has
    unsigned requests;  // that came to it
    unsigned answers;   // streams that ended, with headers or reset
    unsigned stops;     // RST_STREAM behind an answer: send no more
    char status[32];    // of the last answer: "http/grpc", such as "200/12"
    char grpc_status[4];
    char http_status[4];
    uint32_t data_bytes;
    char last_data[16];  // the beginning of the last DATA
};

static struct raw raw_new(int fd) {
    struct raw raw = {.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(nghttp2_hd_inflate_new(&raw.inflater), 0);
    return raw;
}

static struct raw raw_connect(struct env *env) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)atoi(strrchr(env->address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return raw_new(fd);
}

static void raw_close(struct raw *raw) {
    close(raw->fd);
    buf_free(&raw->in);
    nghttp2_hd_inflate_del(raw->inflater);
}

// All of it, unless the peer closes; the loop runs where the socket is full.
static void raw_send(struct env *env, struct raw *raw, const struct buf *bytes) {
    size_t sent = 0;
    while (sent < bytes->len && !raw->ended) {
        ssize_t len = send(raw->fd, bytes->data + sent, bytes->len - sent, MSG_NOSIGNAL);
        if (len > 0) {
            sent += (size_t)len;
        } else if (errno == EAGAIN) {
            uv_run(&env->loop, UV_RUN_NOWAIT);
        } else {
            raw->ended = true;
        }
    }
}

static void put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len) {
    uint8_t header[9] = {(uint8_t)(len >> 16),    (uint8_t)(len >> 8),     (uint8_t)len,           type,           flags,
                         (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    buf_append(out, header, sizeof header);
    buf_append(out, payload, len);
}

static void put_preface(struct buf *out) {
    buf_append_str(out, NGHTTP2_CLIENT_MAGIC);
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

// HPACK, literal without indexing, for names and values below 127 bytes and one beyond.
static void put_field(struct buf *out, const char *name, const char *value) {
    size_t len = strlen(value);
    uint8_t prefix[2] = {0, (uint8_t)strlen(name)};
    buf_append(out, prefix, 2);
    buf_append_str(out, name);
    if (len < 127) {
        buf_append(out, &(uint8_t){(uint8_t)len}, 1);
    } else {
        uint8_t number[4] = {127, (uint8_t)((len - 127) % 128 | 128), (uint8_t)((len - 127) / 128 % 128 | 128),
                             (uint8_t)((len - 127) / 128 / 128)};
        buf_append(out, number, 4);
    }
    buf_append_str(out, value);
}

struct raw_request {
    const char *path;          // NULL: Echo
    const char *method;        // NULL: POST
    const char *content_type;  // NULL: application/grpc
    const char *key, *value;   // one more; NULL: none
    const char *body;
    size_t body_len;
    bool open;  // the client's side stays open
};

static void put_request(struct buf *out, uint32_t stream, const struct raw_request *request) {
    struct buf fields = {0};
    put_field(&fields, ":method", request->method != NULL ? request->method : "POST");
    put_field(&fields, ":scheme", "http");
    put_field(&fields, ":path", request->path != NULL ? request->path : "/test.Test/Echo");
    put_field(&fields, ":authority", "test");
    put_field(&fields, "content-type", request->content_type != NULL ? request->content_type : "application/grpc");
    if (request->key != NULL) {
        put_field(&fields, request->key, request->value);
    }
    size_t first = fields.len < 16384 ? fields.len : 16384;
    uint8_t ended = first == fields.len ? NGHTTP2_FLAG_END_HEADERS : 0;
    bool bare = request->body_len == 0 && !request->open;
    put_frame(out, NGHTTP2_HEADERS, (uint8_t)(ended | (bare ? NGHTTP2_FLAG_END_STREAM : 0)), stream, fields.data, first);
    if (!ended) {
        put_frame(out, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, stream, fields.data + first, fields.len - first);
    }
    if (!bare) {
        put_frame(out, NGHTTP2_DATA, request->open ? 0 : NGHTTP2_FLAG_END_STREAM, stream, request->body, request->body_len);
    }
    buf_free(&fields);
}

static void raw_headers(struct raw *raw, const uint8_t *payload, size_t len, bool end) {
    raw->requests += raw->serves;
    nghttp2_nv field;
    int flags = 0;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        ssize_t taken = nghttp2_hd_inflate_hd2(raw->inflater, &field, &flags, payload, len, 1);
        assert_true(taken >= 0);
        payload += taken;
        len -= (size_t)taken;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            if (field.namelen == 7 && memcmp(field.name, ":status", 7) == 0) {
                snprintf(raw->http_status, sizeof raw->http_status, "%s", (char *)field.value);
                raw->grpc_status[0] = '\0';
            } else if (field.namelen == 11 && memcmp(field.name, "grpc-status", 11) == 0) {
                snprintf(raw->grpc_status, sizeof raw->grpc_status, "%s", (char *)field.value);
            }
        }
    }
    nghttp2_hd_inflate_end_headers(raw->inflater);
    if (end) {
        raw->answers++;
        snprintf(raw->status, sizeof raw->status, "%s/%s", raw->http_status, raw->grpc_status);
    }
}

static void raw_frames(struct raw *raw) {
    size_t at = raw->serves && !raw->greeted ? NGHTTP2_CLIENT_MAGIC_LEN : 0;
    if (raw->in.len < at) {
        return;
    }
    raw->greeted = true;
    while (raw->in.len - at >= 9) {
        const uint8_t *frame = raw->in.data + at;
        size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (raw->in.len - at < 9 + len) {
            break;
        }
        switch (frame[3]) {
        case NGHTTP2_HEADERS:
            raw_headers(raw, frame + 9, len, (frame[4] & NGHTTP2_FLAG_END_STREAM) != 0);
            break;
        case NGHTTP2_DATA:
            raw->data_bytes += (uint32_t)len;
            memcpy(raw->last_data, frame + 9, len < sizeof raw->last_data ? len : sizeof raw->last_data);
            break;
        case NGHTTP2_RST_STREAM:
            if (frame[12] == NGHTTP2_NO_ERROR) {
                raw->stops++;
            } else {
                raw->answers++;
                snprintf(raw->status, sizeof raw->status, "reset/%u", frame[12]);
            }
            break;
        case NGHTTP2_GOAWAY:
            raw->goaway_id[raw->goaways++ % 2] =
                (uint32_t)frame[9] << 24 | (uint32_t)frame[10] << 16 | (uint32_t)frame[11] << 8 | frame[12];
            break;
        }
        at += 9 + len;
    }
    memmove(raw->in.data, raw->in.data + at, raw->in.len - at);
    raw->in.len -= at;
}

static struct raw *watched;
static unsigned watched_answers;

static void raw_read(struct raw *raw) {
    for (;;) {
        ssize_t len = recv(raw->fd, buf_reserve(&raw->in, 65536), 65536, 0);
        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            raw->ended = true;
        }
        if (len <= 0) {
            return;
        }
        raw->in.len += (size_t)len;
        raw_frames(raw);
    }
}

static bool raw_answered(struct env *env) {
    (void)env;
    raw_read(watched);
    return watched->ended || watched->answers >= watched_answers;
}

static bool raw_ended(struct env *env) {
    (void)env;
    raw_read(watched);
    return watched->ended;
}

// The loop must not sleep through what arrives at a socket that is not its own.
static void on_tick(uv_timer_t *timer) {
    (void)timer;
}

static void raw_wait(struct env *env, struct raw *raw, bool (*done)(struct env *env)) {
    uv_timer_t tick;
    uv_timer_init(&env->loop, &tick);
    uv_timer_start(&tick, on_tick, 1, 1);
    watched = raw;
    run_until(env, done);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&env->loop, UV_RUN_NOWAIT);
}

static void assert_well(struct env *env) {
    struct outcome outcome = {0};
    call_and_wait(env, &outcome, "/test.Test/Echo", slice_of_str("well"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(env->ups, 1);
    assert_int_equal(env->downs, 0);
    buf_free(&outcome.body);
}

static void TestRpcBadRequests(void **state) {
    (void)state;
    struct env env;
    start(&env);
    char *large = mem_zalloc(20001);
    memset(large, 'x', 20000);
    const struct {
        const char *status;
        struct raw_request request;
    } cases[] = {
        {"200/0", {.body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.content_type = "application/grpc+proto", .body = "\0\0\0\0\0", .body_len = 5}},
        {"200/12", {.path = "/test.Test/None", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"reset/1", {.path = "", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/12", {.body = NULL}},                                        // no message
        {"200/12", {.body = "\0\0\0\0\2hi\0\0\0\0\2ho", .body_len = 14}},  // two
        {"200/13", {.body = "\0\0\0\0\5hi", .body_len = 7}},               // truncated
        {"200/13", {.body = "\0\0\0", .body_len = 3}},                     // inside the prefix
        {"200/13", {.body = "\1\0\0\0\2hi", .body_len = 7}},               // compressed, without an encoding
        {"200/8", {.body = "\0\xff\xff\xff\xff", .body_len = 5}},          // 4 GiB announced
        {"200/8", {.body = "\0\0\x40\0\1", .body_len = 5, .open = true}},  // a byte too large
        {"200/12", {.key = "grpc-encoding", .value = "gzip", .body = "\1\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.key = "grpc-encoding", .value = "identity", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "1", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "-1S", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/13", {.key = "grpc-timeout", .value = "123456789S", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/4", {.key = "grpc-timeout", .value = "0m", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/0", {.key = "grpc-timeout", .value = "99999999H", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"200/4", {.path = "/test.Test/Hold", .key = "grpc-timeout", .value = "20m", .body = "\0\0\0\0\2hi", .body_len = 7}},
        {"415/", {.content_type = "application/json", .body = "{}", .body_len = 2}},
        {"415/", {.content_type = "application/grpcx", .body = "{}", .body_len = 2}},
        {"405/", {.method = "GET"}},
        {"200/8", {.key = "large", .value = large, .body = "\0\0\0\0\2hi", .body_len = 7}},
    };
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        put_request(&out, i * 2 + 1, &cases[i].request);
        raw_send(&env, &raw, &out);
        buf_clear(&out);
        watched_answers = i + 1;
        raw_wait(&env, &raw, raw_answered);
        if (strcmp(raw.status, cases[i].status) != 0) {
            fail_msg("case %u: got %s, expected %s", i, raw.status, cases[i].status);
        }
    }
    assert_int_equal(raw.stops, 1);  // the one request that was left open
    free(large);
    buf_free(&out);
    raw_close(&raw);
    assert_well(&env);
    stop(&env);
}

// A request cut into single bytes, so that every message is put together.
static void TestRpcBytewise(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {.body = "\0\0\0\0\7chopped", .body_len = 12};
    put_request(&out, 1, &request);
    for (size_t i = 0; i < out.len; i++) {
        raw_send(&env, &raw, &(struct buf){.data = out.data + i, .len = 1});
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    watched_answers = 1;
    raw_wait(&env, &raw, raw_answered);
    assert_string_equal(raw.status, "200/0");
    assert_int_equal(raw.data_bytes, 12);
    buf_free(&out);
    raw_close(&raw);
    stop(&env);
}

// A message that lies whole in one read, while the end of the request comes with a later one.
static void TestRpcLateEnd(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    put_request(&out, 1, &(struct raw_request){.body = "\0\0\0\0\7chopped", .body_len = 12, .open = true});
    raw_send(&env, &raw, &out);
    struct outcome outcome = {0};
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of_str("by now the request is here"));
    outcome.done = 0;
    uint8_t others[4096] = {0};
    call_and_wait(&env, &outcome, "/test.Test/Echo", slice_of(others, sizeof others));  // uses the same buffer
    buf_free(&outcome.body);
    buf_clear(&out);
    put_frame(&out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, NULL, 0);
    raw_send(&env, &raw, &out);
    watched_answers = 1;
    raw_wait(&env, &raw, raw_answered);
    assert_string_equal(raw.status, "200/0");
    assert_memory_equal(raw.last_data, "\0\0\0\0\7chopped", 12);
    buf_free(&out);
    raw_close(&raw);
    stop(&env);
}

static void TestRpcBidi(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {
        .path = "/test.Test/Chat", .body = "\0\0\0\0\2hi\0\0\0\0\2ho\0\0\0\0\0", .body_len = 19};
    put_request(&out, 1, &request);
    raw_send(&env, &raw, &out);
    watched_answers = 1;
    raw_wait(&env, &raw, raw_answered);
    assert_string_equal(raw.status, "200/10");
    assert_int_equal(raw.data_bytes, 19);
    buf_free(&out);
    raw_close(&raw);
    stop(&env);
}

static void TestRpcGarbage(void **state) {
    (void)state;
    struct env env;
    start(&env);
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01",
                                          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxx"};
    for (size_t i = 0; i < ARRAY_COUNT(garbage); i++) {
        struct raw raw = raw_connect(&env);
        struct buf out = {0};
        buf_append_str(&out, garbage[i]);
        raw_send(&env, &raw, &out);
        raw_wait(&env, &raw, raw_ended);
        buf_free(&out);
        raw_close(&raw);
    }
    assert_well(&env);
    stop(&env);
}

static void flood(struct env *env, struct raw *raw, unsigned count, void (*put)(struct buf *out, unsigned i)) {
    struct buf out = {0};
    for (unsigned i = 0; i < count && !raw->ended; i++) {
        put(&out, i);
        if (out.len > 100000 || i + 1 == count) {
            raw_send(env, raw, &out);
            buf_clear(&out);
            uv_run(&env->loop, UV_RUN_NOWAIT);
            raw_read(raw);
        }
    }
    buf_free(&out);
}

static void put_reset_call(struct buf *out, unsigned i) {
    const struct raw_request request = {.path = "/test.Test/Hold", .body = "\0\0\0\0\0", .body_len = 5};
    put_request(out, i * 2 + 1, &request);
    put_frame(out, NGHTTP2_RST_STREAM, 0, i * 2 + 1, "\0\0\0\x8", 4);
}

static void put_ping(struct buf *out, unsigned i) {
    (void)i;
    put_frame(out, NGHTTP2_PING, 0, 0, "12345678", 8);
}

static void put_settings(struct buf *out, unsigned i) {
    (void)i;
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

static void put_empty_data(struct buf *out, unsigned i) {
    if (i == 0) {
        put_request(out, 1, &(struct raw_request){.path = "/test.Test/Chat", .open = true});
    }
    put_frame(out, NGHTTP2_DATA, 0, 1, NULL, 0);
}

static void put_continuation(struct buf *out, unsigned i) {
    put_frame(out, i == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
}

// As many cancellations as a busy client may need do no harm; a flood ends its own connection, and no other.
static void TestRpcFloods(void **state) {
    (void)state;
    struct env env;
    start(&env);
    const struct {
        void (*put)(struct buf *out, unsigned i);
        unsigned count;
        bool ends;
    } floods[] = {{put_reset_call, 5000, false}, {put_reset_call, 60000, true}, {put_ping, 1000, false},
                  {put_ping, 60000, true},       {put_settings, 60000, true},   {put_empty_data, 60000, true},
                  {put_continuation, 100, true}};
    for (size_t i = 0; i < ARRAY_COUNT(floods); i++) {
        struct raw raw = raw_connect(&env);
        struct buf out = {0};
        put_preface(&out);
        raw_send(&env, &raw, &out);
        flood(&env, &raw, floods[i].count, floods[i].put);
        if (floods[i].ends) {
            raw_wait(&env, &raw, raw_ended);
        } else {
            assert_false(raw.ended);
            assert_int_equal(raw.goaways, 0);
        }
        buf_free(&out);
        raw_close(&raw);
    }
    assert_int_equal(env.cancelled, env.held_count);
    assert_true(env.held_count >= 5000);
    assert_well(&env);
    stop(&env);
}

static bool all_cancelled(struct env *env) {
    return env->cancelled == env->held_count;
}

enum { VANISHING = 300, CALLS_OF_ONE = 20 };

static bool twenty_held(struct env *env) {
    return env->held_count % CALLS_OF_ONE == 0 && env->held_count > env->cancelled;
}

static void TestRpcVanishingClient(void **state) {
    (void)state;
    struct env env;
    start(&env);
    for (unsigned i = 0; i < VANISHING; i++) {
        struct raw raw = raw_connect(&env);
        struct buf out = {0};
        put_preface(&out);
        for (unsigned j = 0; j < CALLS_OF_ONE; j++) {
            const struct raw_request request = {.path = "/test.Test/Hold", .body = "\0\0\0\0\0", .body_len = 5};
            put_request(&out, j * 2 + 1, &request);
        }
        raw_send(&env, &raw, &out);
        run_until(&env, twenty_held);
        raw_close(&raw);
        run_until(&env, all_cancelled);
        buf_free(&out);
    }
    assert_int_equal(env.cancelled, VANISHING * CALLS_OF_ONE);
    assert_well(&env);
    stop(&env);
}

static bool flow_is_stuck(struct env *env) {
    return env->flow_refused > 0;
}

// A stream that nobody reads is held at what rpc_send allows, and what its client has said it takes.
static void TestRpcSlowReader(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    const struct raw_request request = {.path = "/test.Test/Flow", .body = "\0\0\0\0\4\0\0\1\0", .body_len = 9};
    put_request(&out, 1, &request);
    raw_send(&env, &raw, &out);
    run_until(&env, flow_is_stuck);
    for (unsigned i = 0; i < 100; i++) {
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    assert_true((uint64_t)env.flow_next * FLOW_MESSAGE <= RPC_STREAM_QUEUE_MAX + 65535 + 2 * FLOW_MESSAGE);
    assert_true(rpc_call_alive(env.server, env.flow));
    assert_well(&env);
    raw_close(&raw);
    run_until(&env, one_cancelled);
    buf_free(&out);
    stop(&env);
}

// Calls whose answers have a million bytes, none of which the client takes.
static void put_large_calls(struct env *env, struct raw *raw, unsigned count) {
    struct buf out = {0};
    put_preface(&out);
    for (uint32_t i = 0; i < count; i++) {
        put_request(&out, i * 2 + 1, &(struct raw_request){.path = "/test.Test/Large", .body = "\0\0\0\0\0", .body_len = 5});
        raw_send(env, raw, &out);
        uv_run(&env->loop, UV_RUN_NOWAIT);
        buf_clear(&out);
        raw_read(raw);
    }
    buf_free(&out);
}

// Each call waits or ends, and memory stays within what a connection may hold.
static void TestRpcAnswersNotTaken(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    put_large_calls(&env, &raw, 100);
    watched_answers = 100 - RPC_CONNECTION_HELD_MAX / LARGE - 2;
    raw_wait(&env, &raw, raw_answered);
    assert_false(raw.ended);
    assert_string_equal(raw.status, "200/8");
    assert_well(&env);
    raw_close(&raw);
    stop(&env);
}

enum { GREEDY = 5 };

static bool one_ended(struct env *env) {
    (void)env;
    unsigned ended = 0;
    for (unsigned i = 0; i < GREEDY; i++) {
        raw_read(&watched[i]);
        ended += watched[i].ended;
    }
    return ended > 0;
}

// Each within its own limit, together beyond that of all: the greediest goes, the others and the well-behaved stay.
static void TestRpcTooMuchInAll(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw[GREEDY];
    for (unsigned i = 0; i < GREEDY; i++) {
        raw[i] = raw_connect(&env);
        put_large_calls(&env, &raw[i], i == 2 ? 62 : 56);
    }
    raw_wait(&env, raw, one_ended);
    for (unsigned i = 0; i < GREEDY; i++) {
        assert_int_equal(raw[i].ended, i == 2);
        raw_close(&raw[i]);
    }
    assert_well(&env);
    stop(&env);
}

// Half of the files that the process may open are for others than the server's clients.
static void TestRpcFewFiles(void **state) {
    (void)state;
    enum { FILES = 64, CLIENTS = 40 };
    struct rlimit normal, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    few = normal;
    few.rlim_cur = FILES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct env env;
    start(&env);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
    struct raw raw[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = raw_connect(&env);
        uv_run(&env.loop, UV_RUN_NOWAIT);
    }
    assert_well(&env);
    assert_int_equal(env.runtime->connections_gauge->value, FILES / 2);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw_close(&raw[i]);
    }
    stop(&env);
}

static bool is_silent(struct env *env) {
    return env->downs > 0 && env->reason == RPC_DOWN_KEEPALIVE;
}

// A socket that takes connections; `target` becomes its address.
static int raw_listen(int backlog, char target[32]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, backlog), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(target, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return listener;
}

// A server made by hand, with one client: a channel made from `options`. It has greeted.
static struct raw raw_serve(struct env *env, struct rpc_channel_options options, uint32_t window) {
    char target[32];
    int listener = raw_listen(1, target);
    rpc_channel_close(env->channel);
    env->ups = env->downs = 0;
    options.target = target;
    options.on_up = on_up;
    options.on_down = on_down;
    options.user = env;
    env->channel = rpc_channel_new(env->runtime, &options);
    uv_run(&env->loop, UV_RUN_NOWAIT);
    uv_run(&env->loop, UV_RUN_NOWAIT);
    struct raw raw = raw_new(accept(listener, NULL, NULL));
    raw.serves = true;
    close(listener);
    struct buf out = {0};
    uint8_t setting[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, (uint8_t)(window >> 8), (uint8_t)window};
    put_frame(&out, NGHTTP2_SETTINGS, 0, 0, setting, sizeof setting);
    raw_send(env, &raw, &out);
    buf_free(&out);
    run_until(env, is_up);
    return raw;
}

// A server that greets and then says nothing, like one that is stopped or cut off.
static void TestRpcKeepalive(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct rpc_channel_options options = {.keepalive_interval_ms = 50, .keepalive_timeout_ms = 100};
    struct raw raw = raw_serve(&env, options, 65535);
    uint64_t up_at = uv_now(&env.loop);
    run_until(&env, is_silent);
    assert_true(uv_now(&env.loop) - up_at >= 140);
    raw_close(&raw);
    stop(&env);
}

static bool went_down_twice(struct env *env) {
    return env->downs == 2;
}

// A server that takes connections and says nothing, or a lost SYN: the next attempt comes soon, and has more time.
static void TestRpcConnectTimeout(void **state) {
    (void)state;
    struct env env;
    start(&env);
    char target[32];
    int listener = raw_listen(10, target);
    rpc_channel_close(env.channel);
    env.downs = 0;
    uint64_t began = uv_now(&env.loop);
    env.channel =
        rpc_channel_new(env.runtime, &(struct rpc_channel_options){.target = target, .on_down = on_down, .user = &env});
    run_until(&env, is_down);
    uint64_t first = uv_now(&env.loop) - began;
    assert_in_range(first, 350, 1500);
    run_until(&env, went_down_twice);
    assert_true(uv_now(&env.loop) - began - first >= first * 3 / 2);
    close(listener);
    stop(&env);
}

static bool two_requests(struct env *env) {
    (void)env;
    raw_read(watched);
    return watched->requests == 2;
}

// The second call's headers wait until the first one's body has left, which here waits for room at the server.
static void TestRpcOrderedWaits(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_serve(&env, (struct rpc_channel_options){.ordered = true}, 100);
    struct outcome outcome = {0};
    uint8_t body[1000] = {0};
    for (unsigned i = 0; i < 2; i++) {
        rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Hold",
                                                            .body = slice_of(body, i == 0 ? sizeof body : 10),
                                                            .user = &outcome,
                                                            .on_done = on_done});
    }
    for (unsigned i = 0; i < 20; i++) {
        uv_run(&env.loop, UV_RUN_NOWAIT);
        raw_read(&raw);
    }
    assert_int_equal(raw.requests, 1);
    assert_int_equal(raw.data_bytes, 100);
    struct buf out = {0};
    put_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\x10\0", 4);
    raw_send(&env, &raw, &out);
    raw_wait(&env, &raw, two_requests);
    raw_close(&raw);
    stop(&env);
    assert_int_equal(outcome.done, 2);
    buf_free(&outcome.body);
    buf_free(&out);
}

// An answer that is none: another kind of server, a reset, a refusal.
static void TestRpcBadAnswers(void **state) {
    (void)state;
    struct env env;
    start(&env);
    static const struct {
        const char *name, *value;  // of a header beside :status; NULL: no headers
        const char *http_status;
        uint32_t reset;
        enum rpc_status status;
        bool maybe_processed;
    } cases[] = {
        {"content-type", "text/html", "502", 0, RPC_UNAVAILABLE, true},
        {"content-type", "text/html", "200", 0, RPC_UNKNOWN, true},
        {"content-type", "application/grpc", "200", 0, RPC_UNKNOWN, true},  // no grpc-status
        {"grpc-status", "5", "200", 0, RPC_NOT_FOUND, true},
        {"grpc-status", "0", "200", 0, RPC_UNIMPLEMENTED, true},  // OK without a message
        {"grpc-status", "77", "200", 0, RPC_UNKNOWN, true},
        {NULL, NULL, NULL, NGHTTP2_REFUSED_STREAM, RPC_UNAVAILABLE, false},
        {NULL, NULL, NULL, NGHTTP2_INTERNAL_ERROR, RPC_INTERNAL, true},
        {NULL, NULL, NULL, NGHTTP2_ENHANCE_YOUR_CALM, RPC_RESOURCE_EXHAUSTED, true},
    };
    struct raw raw = raw_serve(&env, (struct rpc_channel_options){0}, 65535);
    for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct outcome outcome = {0};
        struct buf out = {0}, fields = {0};
        call_hold(&env, &outcome, 0);
        uv_run(&env.loop, UV_RUN_NOWAIT);
        if (cases[i].name != NULL) {
            put_field(&fields, ":status", cases[i].http_status);
            put_field(&fields, cases[i].name, cases[i].value);
            put_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, i * 2 + 1, fields.data,
                      fields.len);
        } else {
            uint8_t code[4] = {0, 0, 0, (uint8_t)cases[i].reset};
            put_frame(&out, NGHTTP2_RST_STREAM, 0, i * 2 + 1, code, sizeof code);
        }
        raw_send(&env, &raw, &out);
        await_outcome(&env, &outcome);
        assert_int_equal(outcome.status, cases[i].status);
        assert_int_equal(outcome.maybe_processed, cases[i].maybe_processed);
        buf_free(&outcome.body);
        buf_free(&fields);
        buf_free(&out);
    }
    raw_close(&raw);
    stop(&env);
}

// Who does not answer a PING is let go all the same; both steps of the goodbye come.
static void TestRpcDrainDeafClient(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct raw raw = raw_connect(&env);
    struct buf out = {0};
    put_preface(&out);
    put_request(&out, 1, &(struct raw_request){.body = "\0\0\0\0\0", .body_len = 5});
    raw_send(&env, &raw, &out);
    watched_answers = 1;
    raw_wait(&env, &raw, raw_answered);
    rpc_server_drain(env.server, 50000, on_drained, &env);
    raw_wait(&env, &raw, raw_ended);
    assert_int_equal(raw.goaways, 2);
    assert_int_equal(raw.goaway_id[0], INT32_MAX);
    assert_int_equal(raw.goaway_id[1], 1);
    run_until(&env, is_drained);
    buf_free(&out);
    raw_close(&raw);
    stop(&env);
}

enum { BESIDE = 50 };

static bool all_beside(struct env *env) {
    (void)env;
    return finished_count == BESIDE;
}

static bool thousand_held(struct env *env) {
    return env->held_count == STREAMS_MAX;
}

// More calls than a connection may have: those that the server has never seen outlive it.
static void TestRpcBeyondTheStreams(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    for (unsigned i = 0; i < STREAMS_MAX; i++) {
        call_hold(&env, &outcome, 0);
    }
    finished_count = 0;
    for (uint64_t i = 0; i < BESIDE; i++) {
        rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                            .body = slice_of(&i, sizeof i),
                                                            .tag = i,
                                                            .wait_for_ready = true,
                                                            .on_done = count_done});
    }
    run_until(&env, thousand_held);
    rpc_server_close(env.server);
    run_until(&env, is_down);
    assert_int_equal(finished_count, 0);
    listen_at(&env, env.address);
    run_until(&env, all_beside);
    assert_int_equal(outcome.done, STREAMS_MAX);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    buf_free(&outcome.body);
    stop(&env);
}

// --- ends in unlucky places ---

static bool server_is_closed(struct env *env) {
    return env->server == NULL;
}

static void TestRpcCloseInHandler(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    env.close_in_handler = true;
    call_hold(&env, &outcome, 0);
    run_until(&env, server_is_closed);
    assert_int_equal(env.cancelled, 1);
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_UNAVAILABLE);
    buf_free(&outcome.body);
    stop(&env);
}

static void close_channel(struct env *env) {
    rpc_channel_close(env->channel);
    env->channel = NULL;
}

static void close_on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)tag, (void)result;
    close_channel(user);
}

static void close_on_message(void *user, uint64_t tag, struct slice message) {
    (void)tag, (void)message;
    close_channel(user);
}

static void close_on_up(void *user) {
    close_channel(user);
}

static void close_on_down(void *user, enum rpc_down_reason reason) {
    (void)reason;
    close_channel(user);
}

static void nothing_on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)user, (void)tag;
    assert_int_equal(result->status, RPC_CANCELLED);
}

static bool channel_is_closed(struct env *env) {
    return env->channel == NULL;
}

static void TestRpcCloseInCallbacks(void **state) {
    (void)state;
    struct env env;
    start(&env);
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo", .user = &env, .on_done = close_on_done});
    run_until(&env, channel_is_closed);

    struct rpc_channel_options options = {.target = env.address, .user = &env};
    env.channel = rpc_channel_new(env.runtime, &options);
    uint32_t messages = 1000;
    rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Flow",
                                                        .body = slice_of(&messages, sizeof messages),
                                                        .wait_for_ready = true,
                                                        .user = &env,
                                                        .on_message = close_on_message,
                                                        .on_done = nothing_on_done});
    run_until(&env, channel_is_closed);
    run_until(&env, one_cancelled);

    options.on_up = close_on_up;
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, channel_is_closed);

    options.on_up = NULL;
    options.on_down = close_on_down;
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, is_up);
    rpc_server_close(env.server);
    env.server = NULL;
    run_until(&env, channel_is_closed);
    env.channel = rpc_channel_new(env.runtime, &options);  // refused
    run_until(&env, channel_is_closed);
    stop(&env);
}

static void TestRpcNames(void **state) {
    (void)state;
    struct env env;
    start(&env);
    close_channel(&env);
    snprintf(env.address, sizeof env.address, "localhost%s", strrchr(rpc_server_address(env.server), ':'));
    struct rpc_channel_options options = {.target = env.address};
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, is_up);
    close_channel(&env);
    // What cannot be resolved, or is no address at all, is tried for ever, and may be closed at any time.
    env.downs = 0;
    options = (struct rpc_channel_options){.target = "nobody.invalid:1", .on_down = on_down, .user = &env};
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, is_down);
    assert_int_equal(env.reason, RPC_DOWN_REFUSED);
    rpc_channel_wake(env.channel);
    uv_run(&env.loop, UV_RUN_NOWAIT);
    close_channel(&env);
    env.downs = 0;
    options.target = "no address";
    env.channel = rpc_channel_new(env.runtime, &options);
    run_until(&env, is_down);
    struct error error;
    struct rpc_server *server;
    assert_int_equal(rpc_server_listen(env.runtime, "no address", &server, &error), ERR_INVALID);
    assert_int_equal(rpc_server_listen(env.runtime, rpc_server_address(env.server), &server, &error), ERR_UNAVAILABLE);
    stop(&env);
}

static bool all_20(struct env *env) {
    (void)env;
    return finished_count == 20;
}

// A connection has 2^30 calls; the next go to its successor.
static void TestRpcStreamIdsRunOut(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct outcome outcome = {0};
    call_hold(&env, &outcome, 0);  // goes on on the old one
    run_until(&env, one_held);
    assert_int_equal(nghttp2_session_set_next_stream_id(env.channel->connection->session, INT32_MAX - 20), 0);
    finished_count = 0;
    for (uint64_t i = 0; i < 20; i++) {
        rpc_channel_call(env.channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                            .body = slice_of(&i, sizeof i),
                                                            .tag = i,
                                                            .wait_for_ready = true,
                                                            .on_done = count_done});
    }
    run_until(&env, all_20);
    assert_int_equal(outcome.done, 0);
    rpc_reply(env.server, env.held, slice_of_str("done"));
    await_outcome(&env, &outcome);
    assert_int_equal(outcome.status, RPC_OK);
    buf_free(&outcome.body);
    assert_int_equal(env.downs, 1);
    assert_int_equal(env.ups, 2);
    stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcUnary),
    cmocka_unit_test(TestRpcSizes),
    cmocka_unit_test(TestRpcManyAtOnce),
    cmocka_unit_test(TestRpcMetadata),
    cmocka_unit_test(TestRpcDeadline),
    cmocka_unit_test(TestRpcCancel),
    cmocka_unit_test(TestRpcServerStream),
    cmocka_unit_test(TestRpcReconnect),
    cmocka_unit_test(TestRpcDrain),
    cmocka_unit_test(TestRpcDrainGrace),
    cmocka_unit_test(TestRpcOrdered),
    cmocka_unit_test(TestRpcBadRequests),
    cmocka_unit_test(TestRpcBytewise),
    cmocka_unit_test(TestRpcLateEnd),
    cmocka_unit_test(TestRpcBidi),
    cmocka_unit_test(TestRpcGarbage),
    cmocka_unit_test(TestRpcFloods),
    cmocka_unit_test(TestRpcVanishingClient),
    cmocka_unit_test(TestRpcSlowReader),
    cmocka_unit_test(TestRpcAnswersNotTaken),
    cmocka_unit_test(TestRpcTooMuchInAll),
    cmocka_unit_test(TestRpcFewFiles),
    cmocka_unit_test(TestRpcKeepalive),
    cmocka_unit_test(TestRpcConnectTimeout),
    cmocka_unit_test(TestRpcOrderedWaits),
    cmocka_unit_test(TestRpcBadAnswers),
    cmocka_unit_test(TestRpcDrainDeafClient),
    cmocka_unit_test(TestRpcBeyondTheStreams),
    cmocka_unit_test(TestRpcCloseInHandler),
    cmocka_unit_test(TestRpcCloseInCallbacks),
    cmocka_unit_test(TestRpcNames),
    cmocka_unit_test(TestRpcStreamIdsRunOut),
};

UNIT_MAIN(tests)
