// How a channel connects: calls before the server's SETTINGS, rpc_channel_wake, names, and rpc_channel_reject.
//
// The server is a socket of the test: it listens or not, accepts connections or leaves them in the backlog, and sends
// nothing. Some tests tell one path from another by its duration. The wrong path is several times slower, but so is a
// process that is not scheduled: the right one must show in one of several attempts.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/array.h"
#include "base/metrics.h"
#include "name_server.h"
#include "rpc/channel.h"
#include "unit.h"

enum { ATTEMPTS = 10 };

struct env {
    uv_loop_t loop;
    uv_timer_t watchdog;
    uv_timer_t pause;
    bool paused;
    struct metrics *metrics;
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    int listener;
    char address[32];
    unsigned opens, ups, downs;
    const char *call_on_open;  // the body of a call to make at once
    unsigned done;
    enum rpc_status status;
    bool maybe_processed;
    struct name_server names;
    struct name_server *asked;
};

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "no progress for 60 s\n");
    abort();
}

static void run_until(struct env *env, bool (*done)(const struct env *env)) {
    uv_timer_start(&env->watchdog, on_watchdog, 60000, 0);
    while (!done(env)) {
        uv_run(&env->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&env->watchdog);
}

static void on_pause(uv_timer_t *timer) {
    ((struct env *)timer->data)->paused = false;
}

static bool is_not_paused(const struct env *env) {
    return !env->paused;
}

static void let_pass(struct env *env, uint64_t ms) {
    env->paused = true;
    uv_update_time(&env->loop);
    uv_timer_start(&env->pause, on_pause, ms, 0);
    run_until(env, is_not_paused);
}

// A port that is bound but refuses connections until the test listens.
static void start(struct env *env) {
    *env = (struct env){0};
    uv_loop_init(&env->loop);
    uv_timer_init(&env->loop, &env->watchdog);
    uv_timer_init(&env->loop, &env->pause);
    env->pause.data = env;
    env->metrics = metrics_new();
    env->runtime = rpc_runtime_new(&env->loop, env->metrics);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    env->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(env->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(env->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(env->address, sizeof env->address, "127.0.0.1:%u", ntohs(address.sin_port));
}

static void stop(struct env *env) {
    if (env->channel != NULL) {
        rpc_channel_close(env->channel);
    }
    rpc_runtime_close(env->runtime);
    uv_close((uv_handle_t *)&env->watchdog, NULL);
    uv_close((uv_handle_t *)&env->pause, NULL);
    uv_run(&env->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&env->loop), 0);
    metrics_free(env->metrics);
    close(env->listener);
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)tag;
    struct env *env = user;
    env->done++;
    env->status = result->status;
    env->maybe_processed = result->maybe_processed;
}

static void call(struct env *env, const char *body) {
    rpc_channel_call(
        env->channel,
        &(struct rpc_request){.path = "/test.Test/Echo", .body = slice_of_str(body), .user = env, .on_done = on_done});
}

static void on_open(void *user) {
    struct env *env = user;
    env->opens++;
    if (env->call_on_open != NULL) {
        call(env, env->call_on_open);
    }
}

static void on_up(void *user) {
    ((struct env *)user)->ups++;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    (void)reason;
    ((struct env *)user)->downs++;
}

static void connect_to(struct env *env, bool early) {
    env->channel = rpc_channel_new(env->runtime, &(struct rpc_channel_options){.target = env->address,
                                                                               .backoff_max_ms = 60000,
                                                                               .on_open = early ? on_open : NULL,
                                                                               .on_up = on_up,
                                                                               .on_down = on_down,
                                                                               .user = env});
}

static bool is_open(const struct env *env) {
    return env->opens > 0;
}

static bool is_done(const struct env *env) {
    return env->done > 0;
}

static bool is_down(const struct env *env) {
    return env->downs > 0;
}

// The next connection to the listener.
static int take(struct env *env) {
    int accepted;
    while ((accepted = accept4(env->listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        uv_run(&env->loop, UV_RUN_NOWAIT);
    }
    return accepted;
}

// Everything that has come on a connection when the client has closed it.
static size_t read_all(int fd, char *out, size_t cap) {
    size_t len = 0;
    ssize_t got;
    while (len < cap && (got = recv(fd, out + len, cap - len, 0)) > 0) {
        len += (size_t)got;
    }
    return len;
}

static bool contains(const char *bytes, size_t len, const char *text) {
    return memmem(bytes, len, text, strlen(text)) != NULL;
}

// --- calls before the server's SETTINGS ---

static void TestChannelCallsBeforeSettings(void **state) {
    (void)state;
    struct env env;
    start(&env);
    assert_int_equal(listen(env.listener, 8), 0);
    env.call_on_open = "at once";
    connect_to(&env, true);
    run_until(&env, is_open);
    int accepted = take(&env);
    run_until(&env, is_done);  // this server never says anything
    assert_int_equal(env.status, RPC_UNAVAILABLE);
    assert_true(env.maybe_processed);  // for all that is known
    assert_int_equal(env.ups, 0);
    char bytes[4096];
    assert_true(contains(bytes, read_all(accepted, bytes, sizeof bytes), "at once"));
    env.done = 0;
    env.call_on_open = NULL;
    call(&env, "between attempts");
    run_until(&env, is_done);
    assert_false(env.maybe_processed);
    close(accepted);
    stop(&env);
}

// Without on_open a call fails at once and was not processed.
static void TestChannelCallsWaitForSettings(void **state) {
    (void)state;
    struct env env;
    start(&env);
    assert_int_equal(listen(env.listener, 8), 0);
    connect_to(&env, false);
    int accepted = take(&env);
    call(&env, "too soon");
    run_until(&env, is_done);
    assert_int_equal(env.status, RPC_UNAVAILABLE);
    assert_false(env.maybe_processed);
    run_until(&env, is_down);
    char bytes[4096];
    size_t len = read_all(accepted, bytes, sizeof bytes);
    assert_true(len > 0 && !contains(bytes, len, "too soon"));
    close(accepted);
    stop(&env);
}

// --- woken ---

static bool is_down_often(const struct env *env) {
    return env->downs == 7;
}

// Refused until the backoff is more than 300 ms; then the test listens. True: the channel connected sooner.
static bool wakes_between_attempts(bool wake) {
    struct env env;
    start(&env);
    connect_to(&env, true);
    run_until(&env, is_down_often);
    assert_int_equal(listen(env.listener, 8), 0);
    uint64_t began = uv_hrtime();
    if (wake) {
        rpc_channel_wake(env.channel);
    }
    run_until(&env, is_open);
    bool soon = uv_hrtime() - began < 250000000;
    stop(&env);
    return soon;
}

static void TestChannelWakeBetweenAttempts(void **state) {
    (void)state;
    bool soon = false;
    for (int i = 0; i < ATTEMPTS && !soon; i++) {
        soon = wakes_between_attempts(true);
    }
    assert_true(soon);
    assert_false(wakes_between_attempts(false));  // or this test shows nothing
}

// Connections that fill the listener's backlog: the kernel drops further SYNs.
struct crowd {
    int fds[8];
    size_t count;
};

static void fill(struct env *env, struct crowd *crowd) {
    assert_int_equal(listen(env->listener, 0), 0);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    assert_int_equal(getsockname(env->listener, (struct sockaddr *)&address, &len), 0);
    crowd->count = 0;
    bool connected = true;
    while (connected) {
        assert_true(crowd->count < ARRAY_COUNT(crowd->fds));
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        crowd->fds[crowd->count++] = fd;
        connect(fd, (struct sockaddr *)&address, len);
        let_pass(env, 20);
        connected = getpeername(fd, (struct sockaddr *)&address, &len) == 0;
    }
}

static void let_in(struct env *env, struct crowd *crowd) {
    for (size_t i = 0; i < crowd->count; i++) {
        close(crowd->fds[i]);
    }
    int accepted;
    while ((accepted = accept4(env->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(accepted);
    }
}

// A SYN without an answer; then there is room. True: the channel connected before the attempt timed out.
static bool wakes_within_an_attempt(void) {
    struct env env;
    struct crowd crowd;
    start(&env);
    fill(&env, &crowd);
    uint64_t began = uv_hrtime();
    connect_to(&env, true);
    let_pass(&env, RPC_UNANSWERED_MS + 20);
    assert_int_equal(env.opens, 0);
    let_in(&env, &crowd);
    rpc_channel_wake(env.channel);
    run_until(&env, is_open);
    bool soon = uv_hrtime() - began < RPC_CONNECT_TIMEOUT_MIN_MS * 1000000ULL;
    stop(&env);
    return soon;
}

static void TestChannelWakeUnanswered(void **state) {
    (void)state;
    bool soon = false;
    for (int i = 0; i < ATTEMPTS && !soon; i++) {
        soon = wakes_within_an_attempt();
    }
    assert_true(soon);
}

// With a longer round trip, repeated wake-ups must not keep a channel from ever connecting.
static void TestChannelWakeOnce(void **state) {
    (void)state;
    struct env env;
    struct crowd crowd;
    start(&env);
    fill(&env, &crowd);
    connect_to(&env, true);
    rpc_channel_wake(env.channel);
    assert_int_equal(env.downs, 0);
    let_pass(&env, RPC_UNANSWERED_MS + 20);
    unsigned before = env.downs;
    rpc_channel_wake(env.channel);  // an attempt that was woken itself is not restarted
    assert_int_equal(env.downs, before);
    let_in(&env, &crowd);
    stop(&env);
}

// --- names ---

static void start_by_name(struct env *env) {
    start(env);
    assert_int_equal(listen(env->listener, 8), 0);
    int port = (int)strtol(strrchr(env->address, ':') + 1, NULL, 10);
    snprintf(env->address, sizeof env->address, "flaky.test:%d", port);
    name_server_start(&env->names, &env->loop);
    env->names.v4 = "127.0.0.1";
    env->asked = &env->names;
    name_servers_use(&env->asked, 1);
}

static void stop_by_name(struct env *env) {
    name_server_stop(&env->names);
    stop(env);
}

static bool is_open_again(const struct env *env) {
    return env->opens >= 2;
}

// Loses the connection while the name service answers so; it is made again.
static void reconnects_without_names(enum name_answer answer) {
    struct env env;
    start_by_name(&env);
    connect_to(&env, true);
    run_until(&env, is_open);
    env.names.answer = answer;
    close(take(&env));
    run_until(&env, is_open_again);
    stop_by_name(&env);
}

// A name that fails, however, keeps its last addresses.
static void TestChannelNameServiceDown(void **state) {
    (void)state;
    reconnects_without_names(NAME_SERVER_FAILS);
    reconnects_without_names(NAME_NOT_FOUND);
    reconnects_without_names(NAME_GARBAGE);
}

// Nor does a lookup that hangs delay the connection: the last addresses are used meanwhile.
static void TestChannelNameServiceSilent(void **state) {
    (void)state;
    bool soon = false;
    for (int i = 0; i < ATTEMPTS && !soon; i++) {
        uint64_t began = uv_hrtime();
        reconnects_without_names(NAME_SILENT);
        soon = uv_hrtime() - began < LOOKUP_SERVER_MS * UINT64_C(1000000);
    }
    assert_true(soon);
}

// What was found under the name before does not outlive what is found now.
static void TestChannelNameMoves(void **state) {
    (void)state;
    struct env env;
    start_by_name(&env);
    env.names.v4 = "127.0.0.9";  // nobody listens there
    connect_to(&env, true);
    run_until(&env, is_down);
    assert_int_equal(env.opens, 0);
    assert_string_equal(rpc_channel_failure(env.channel), "");
    assert_non_null(strstr(rpc_channel_why_down(env.channel), ": connection refused"));
    env.names.v4 = "127.0.0.1";
    run_until(&env, is_open);
    stop_by_name(&env);
}

static void TestChannelNameSaysWhy(void **state) {
    (void)state;
    struct env env;
    start_by_name(&env);
    env.names.answer = NAME_NOT_FOUND;
    connect_to(&env, true);
    run_until(&env, is_down);
    assert_string_equal(rpc_channel_failure(env.channel), "the name flaky.test does not resolve (Domain name not found)");
    assert_string_equal(rpc_channel_why_down(env.channel), rpc_channel_failure(env.channel));
    env.names.answer = NAME_FOUND;
    run_until(&env, is_open);
    assert_string_equal(rpc_channel_failure(env.channel), "");
    stop_by_name(&env);
}

static bool is_asked_for(const struct env *env) {
    return env->names.questions > 0;
}

// A lookup outlasts the calls that waited for it; the channel closes, and wakes, whatever it waits for.
static void TestChannelNameHangs(void **state) {
    (void)state;
    struct env env;
    start_by_name(&env);
    env.names.answer = NAME_SILENT;
    connect_to(&env, true);
    run_until(&env, is_asked_for);
    assert_string_equal(rpc_channel_why_down(env.channel), "the name flaky.test is being looked up");
    rpc_channel_call(
        env.channel,
        &(struct rpc_request){
            .path = "/test.Test/Echo", .timeout_ms = 50, .wait_for_ready = true, .user = &env, .on_done = on_done});
    run_until(&env, is_done);
    assert_int_equal(env.status, RPC_DEADLINE_EXCEEDED);
    assert_false(env.maybe_processed);
    rpc_channel_wake(env.channel);
    env.names.answer = NAME_FOUND;  // as if the second try, or the second server, was answered
    run_until(&env, is_open);
    assert_int_equal(env.downs, 0);  // it was the same attempt
    env.names.answer = NAME_SILENT;
    env.names.questions = 0;
    close(take(&env));
    run_until(&env, is_asked_for);
    rpc_channel_wake(env.channel);  // with the last addresses, at once
    run_until(&env, is_open_again);
    stop_by_name(&env);  // while the lookup runs
}

static bool is_down_twice(const struct env *env) {
    return env->downs >= 2;
}

// A connection to the wrong node: the name's next address is tried, then all anew, with a backoff.
static void TestChannelReject(void **state) {
    (void)state;
    struct env env;
    start_by_name(&env);
    env.names.v4 = "127.0.0.1 127.0.0.9";
    connect_to(&env, true);
    run_until(&env, is_open);
    assert_non_null(strstr(rpc_channel_remote(env.channel), "127.0.0.1:"));
    call(&env, "to whom?");
    unsigned questions = env.names.questions;
    rpc_channel_reject(env.channel);
    assert_int_equal(env.status, RPC_UNAVAILABLE);  // its calls have ended
    assert_int_equal(env.downs, 1);
    assert_non_null(strstr(rpc_channel_remote(env.channel), "127.0.0.9:"));  // where nobody listens
    run_until(&env, is_open_again);
    assert_true(env.names.questions > questions);
    rpc_channel_reject(env.channel);
    run_until(&env, is_down_twice);
    rpc_channel_reject(env.channel);  // nothing to reject, perhaps
    stop_by_name(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestChannelCallsBeforeSettings),
    cmocka_unit_test(TestChannelCallsWaitForSettings),
    cmocka_unit_test(TestChannelWakeBetweenAttempts),
    cmocka_unit_test(TestChannelWakeUnanswered),
    cmocka_unit_test(TestChannelWakeOnce),
    cmocka_unit_test(TestChannelNameServiceDown),
    cmocka_unit_test(TestChannelNameServiceSilent),
    cmocka_unit_test(TestChannelNameMoves),
    cmocka_unit_test(TestChannelNameSaysWhy),
    cmocka_unit_test(TestChannelNameHangs),
    cmocka_unit_test(TestChannelReject),
};

UNIT_MAIN(tests)
