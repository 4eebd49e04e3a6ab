// The service test.Test, the loop around it, and what a call's result is compared with.
#include "rpc_env.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "rpc/channel.h"

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "no progress for 60 s\n");
    abort();
}

void env_run_until(struct env *env, bool (*done)(struct env *env)) {
    uv_timer_start(&env->watchdog, on_watchdog, 60000, 0);
    while (!done(env)) {
        uv_run(&env->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&env->watchdog);
}

// --- the service ---

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

static void chat(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    assert_true(rpc_send(env->server, call, message));
}

static void chat_end(void *user, struct rpc_call call) {
    struct env *env = user;
    rpc_finish(env->server, call, RPC_ABORTED, "100% \xc3\xbc\n");
}

// Deadlines, of either side's calls, that are at least so far ahead.
static unsigned deadlines_after(const struct env *env, uint64_t ms) {
    unsigned count = 0;
    for (size_t i = 0; i < env->runtime->timers.count; i++) {
        count += env->runtime->timers.heap[i]->at_ms >= uv_now(&env->loop) + ms;
    }
    return count;
}

static void describe(void *user, struct rpc_call call, struct slice message) {
    struct env *env = user;
    (void)message;
    assert_non_null(rpc_call_peer(env->server, call).address);
    assert_null(rpc_call_peer(env->server, call).identity);
    env->deadlines = deadlines_after(env, DESCRIBE_TIMEOUT_MS - 1000);
    rpc_call_trailer(env->server, call, "leader", slice_of_str("n2"));
    rpc_call_trailer(env->server, call, "bad", slice_of_str("a\nb"));
    struct slice color = rpc_call_metadata(env->server, call, "color");
    rpc_reply(env->server, call, color);
}

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

// --- beginning and end ---

static void on_up(void *user) {
    ((struct env *)user)->ups++;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct env *env = user;
    env->downs++;
    env->reason = reason;
}

void env_listen(struct env *env, const char *address) {
    struct error error;
    assert_int_equal(rpc_server_listen(env->runtime, address, &env->server, &error), OK);
    test_service =
        (struct rpc_service){.name = "test.Test", .methods = methods, .method_count = ARRAY_COUNT(methods), .user = env};
    rpc_server_add_service(env->server, &test_service);
}

void env_connect(struct env *env, struct rpc_channel_options options) {
    if (env->channel != NULL) {
        rpc_channel_close(env->channel);
    }
    options.target = options.target != NULL ? options.target : env->address;
    if (options.user == NULL) {
        options.on_up = on_up;
        options.on_down = on_down;
        options.user = env;
    }
    env->channel = rpc_channel_new(env->runtime, &options);
}

void env_close_channel(struct env *env) {
    rpc_channel_close(env->channel);
    env->channel = NULL;
}

void env_start_at(struct env *env, const char *address) {
    *env = (struct env){0};
    uv_loop_init(&env->loop);
    uv_timer_init(&env->loop, &env->watchdog);
    env->metrics = metrics_new();
    env->runtime = rpc_runtime_new(&env->loop, env->metrics);
    env_listen(env, address);
    snprintf(env->address, sizeof env->address, "%s", rpc_server_address(env->server));
    env_connect(env, (struct rpc_channel_options){0});
    env_run_until(env, env_is_up);
}

void env_start(struct env *env) {
    unsigned pid = (unsigned)getpid();  // at most 2^22
    char address[32];
    snprintf(address, sizeof address, "127.%u.%u.%u:0", 64 + (pid >> 16), pid >> 8 & 255, pid & 255);
    env_start_at(env, address);
}

void env_stop(struct env *env) {
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

// --- conditions ---

bool env_is_up(struct env *env) {
    return rpc_channel_is_up(env->channel);
}

bool env_is_down(struct env *env) {
    return env->downs > 0;
}

bool env_is_drained(struct env *env) {
    return env->drained;
}

bool env_has_one_held(struct env *env) {
    return env->held_count == 1;
}

bool env_has_one_cancelled(struct env *env) {
    return env->cancelled == 1;
}

bool env_channel_is_closed(struct env *env) {
    return env->channel == NULL;
}

void env_on_drained(void *user) {
    ((struct env *)user)->drained = true;
}

size_t env_waiting(const struct env *env) {
    size_t waiting = 0;
    for (const struct rpc_link *link = env->channel->waiting.next; link != &env->channel->waiting; link = link->next) {
        waiting++;
    }
    return waiting;
}

// --- a call and its result ---

void outcome_on_done(void *user, uint64_t tag, const struct rpc_result *result) {
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

void outcome_on_flow(void *user, uint64_t tag, struct slice message) {
    (void)tag;
    struct outcome *outcome = user;
    uint32_t number;
    assert_int_equal(message.len, FLOW_MESSAGE);
    memcpy(&number, message.data, sizeof number);
    assert_int_equal(number, outcome->flow_seen);
    outcome->flow_seen++;
}

static bool has_outcome(struct env *env) {
    return env->awaited->done > 0;
}

void env_await(struct env *env, struct outcome *outcome) {
    env->awaited = outcome;
    env_run_until(env, has_outcome);
    assert_int_equal(outcome->done, 1);
}

void env_call(struct env *env, struct outcome *outcome, const char *path, struct slice body) {
    outcome->done = 0;
    rpc_channel_call(env->channel,
                     &(struct rpc_request){.path = path, .body = body, .user = outcome, .on_done = outcome_on_done});
    assert_int_equal(outcome->done, 0);
    env_await(env, outcome);
}

struct rpc_ticket env_call_hold(struct env *env, struct outcome *outcome, uint64_t timeout_ms) {
    return rpc_channel_call(
        env->channel, &(struct rpc_request){
                          .path = "/test.Test/Hold", .timeout_ms = timeout_ms, .user = outcome, .on_done = outcome_on_done});
}

static void on_counted(void *user, uint64_t tag, const struct rpc_result *result) {
    struct env *env = user;
    uint64_t expected = tag;
    assert_int_equal(result->status, RPC_OK);
    assert_true(slice_equal(result->body, slice_of(&expected, sizeof expected)));
    env->counted++;
}

void env_call_counted(struct env *env, uint64_t tag, uint64_t timeout_ms, bool wait_for_ready) {
    rpc_channel_call(env->channel, &(struct rpc_request){.path = "/test.Test/Echo",
                                                         .body = slice_of(&tag, sizeof tag),
                                                         .tag = tag,
                                                         .timeout_ms = timeout_ms,
                                                         .wait_for_ready = wait_for_ready,
                                                         .user = env,
                                                         .on_done = on_counted});
}

void env_assert_well(struct env *env) {
    struct outcome outcome = {0};
    env_call(env, &outcome, "/test.Test/Echo", slice_of_str("well"));
    assert_int_equal(outcome.status, RPC_OK);
    assert_int_equal(env->ups, 1);
    assert_int_equal(env->downs, 0);
    buf_free(&outcome.body);
}
