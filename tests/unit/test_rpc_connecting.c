// How a channel connects: calls before the server's SETTINGS, and rpc_channel_wake.
//
// The server is a socket of the test: it listens or not, accepts connections or leaves them in the backlog, and sends
// nothing. Some tests tell one path from another by its duration. The wrong path is several times slower, but so is a
// process that is not scheduled: the right one must show in one of several attempts.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/array.h"
#include "base/metrics.h"
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

// What the name service answers for NAME; 0: 127.0.0.1.
static _Atomic int lookup_answer;

// Instead of the C library's: libuv calls it, in a thread of its own.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    }
    if (strcmp(node, "flaky.test") != 0 || (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return real(node, service, hints, result);
    }
    return lookup_answer != 0 ? lookup_answer : real("127.0.0.1", service, hints, result);
}

static bool is_down_again(const struct env *env) {
    return env->downs >= 3;
}

static bool is_open_again(const struct env *env) {
    return env->opens >= 2;
}

// Loses the connection while lookups fail with `answer`. True: it is made again.
static bool reconnects_without_names(int answer) {
    struct env env;
    start(&env);
    assert_int_equal(listen(env.listener, 8), 0);
    int port = atoi(strrchr(env.address, ':') + 1);
    snprintf(env.address, sizeof env.address, "flaky.test:%d", port);
    lookup_answer = 0;
    connect_to(&env, true);
    run_until(&env, is_open);
    lookup_answer = answer;
    close(take(&env));
    run_until(&env, answer == EAI_AGAIN ? is_open_again : is_down_again);
    bool again = env.opens >= 2;
    stop(&env);
    return again;
}

// While the name service is down, the last addresses are used; not for a name that is no longer there.
static void TestChannelNameServiceDown(void **state) {
    (void)state;
    assert_true(reconnects_without_names(EAI_AGAIN));
    assert_false(reconnects_without_names(EAI_NONAME));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestChannelCallsBeforeSettings),
    cmocka_unit_test(TestChannelCallsWaitForSettings),
    cmocka_unit_test(TestChannelWakeBetweenAttempts),
    cmocka_unit_test(TestChannelWakeUnanswered),
    cmocka_unit_test(TestChannelWakeOnce),
    cmocka_unit_test(TestChannelNameServiceDown),
};

UNIT_MAIN(tests)
