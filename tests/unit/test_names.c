// Lookups, with name servers of the test's own.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "name_server.h"
#include "names/lookup.h"
#include "random.h"
#include "unit.h"

struct env {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct name_server servers[2];
    struct name_server *order[2];
};

struct result {
    bool done;
    struct addresses found;
    char failure[128];
};

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    fprintf(stderr, "no progress for 60 s\n");
    abort();
}

static void start(struct env *env) {
    uv_loop_init(&env->loop);
    uv_timer_init(&env->loop, &env->watchdog);
    for (size_t i = 0; i < 2; i++) {
        name_server_start(&env->servers[i], &env->loop);
        env->order[i] = &env->servers[i];
    }
    name_servers_use(env->order, 1);
}

static void stop(struct env *env) {
    name_server_stop(&env->servers[0]);
    name_server_stop(&env->servers[1]);
    uv_close((uv_handle_t *)&env->watchdog, NULL);
    uv_run(&env->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&env->loop), 0);
}

static void on_done(void *user, const struct addresses *found, const char *failure) {
    struct result *result = user;
    assert_false(result->done);
    assert_int_equal(failure == NULL, found->count > 0);
    result->done = true;
    result->found = *found;
    snprintf(result->failure, sizeof result->failure, "%s", failure == NULL ? "" : failure);
}

static void wait_for(struct env *env, const bool *done) {
    uv_timer_start(&env->watchdog, on_watchdog, 60000, 0);
    while (!*done) {
        uv_run(&env->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&env->watchdog);
}

static struct result look_up(struct env *env, const char *name) {
    struct result result = {.done = false};
    lookup_start(&env->loop, name, 7400, on_done, &result);
    assert_false(result.done);  // never from within the call
    wait_for(env, &result.done);
    return result;
}

static void assert_address(const struct result *result, size_t at, const char *ip) {
    assert_true(at < result->found.count);
    const union socket_address *address = &result->found.list[at];
    char text[INET6_ADDRSTRLEN];
    bool v4 = address->any.sa_family == AF_INET;
    inet_ntop(address->any.sa_family, v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr, text,
              sizeof text);
    assert_string_equal(text, ip);
    assert_int_equal(ntohs(v4 ? address->v4.sin_port : address->v6.sin6_port), 7400);
}

static void TestNamesOfBothFamilies(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].v4 = "127.0.0.5";
    struct result result = look_up(&env, "n1.test");
    assert_int_equal(result.found.count, 1);
    assert_address(&result, 0, "127.0.0.5");
    env.servers[0].v6 = "::1";
    result = look_up(&env, "n1.test");
    assert_int_equal(result.found.count, 2);
    bool v6_first = result.found.list[0].any.sa_family == AF_INET6;
    assert_address(&result, v6_first ? 0 : 1, "::1");
    assert_address(&result, v6_first ? 1 : 0, "127.0.0.5");
    env.servers[0].v4 = NULL;
    result = look_up(&env, "n1.test");
    assert_int_equal(result.found.count, 1);
    assert_address(&result, 0, "::1");
    stop(&env);
}

// The hosts file comes first, and no name server is needed.
static void TestNamesOfTheHostsFile(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].answer = NAME_SILENT;
    struct result result = look_up(&env, "localhost");
    assert_true(result.found.count >= 1);
    assert_int_equal(env.servers[0].questions, 0);
    stop(&env);
}

static void TestNamesThatFail(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].answer = NAME_NOT_FOUND;
    assert_string_equal(look_up(&env, "typo.test").failure, "Domain name not found");
    env.servers[0].answer = NAME_SERVER_FAILS;
    assert_true(look_up(&env, "n1.test").failure[0] != '\0');
    env.servers[0].answer = NAME_FOUND;  // but no address
    assert_string_equal(look_up(&env, "n1.test").failure, "DNS server returned answer with no data");
    char label[70] = "";
    memset(label, 'a', 64);  // longer than a label may be
    assert_true(look_up(&env, label).failure[0] != '\0');
    stop(&env);
}

// A name server that is gone: the kernel says so instead.
static void TestNamesWithoutAServer(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct name_server gone = {.port = 1};
    struct name_server *const list[] = {&gone};
    name_servers_use(list, 1);
    assert_true(look_up(&env, "n1.test").failure[0] != '\0');
    name_servers_use(env.order, 1);
    stop(&env);
}

// The first does not answer: the second is asked long before a resolver's usual 5 s.
static void TestNamesSecondServer(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].answer = NAME_SILENT;
    env.servers[1].v4 = "127.0.0.5";
    name_servers_use(env.order, 2);
    uint64_t began = uv_hrtime();
    struct result result = look_up(&env, "n1.test");
    assert_address(&result, 0, "127.0.0.5");
    assert_true(env.servers[0].questions > 0);
    assert_true(uv_hrtime() - began < UINT64_C(4000000000));
    stop(&env);
}

// However many lookups hang, others are answered meanwhile; those that hang end, too.
static void TestNamesOneHangs(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].silent_for = "hangs.test";
    env.servers[0].v4 = "127.0.0.5";
    struct result hanging[8] = {{.done = false}};
    for (size_t i = 0; i < ARRAY_COUNT(hanging); i++) {
        lookup_start(&env.loop, "hangs.test", 7400, on_done, &hanging[i]);
    }
    for (int i = 0; i < 50; i++) {
        struct result result = look_up(&env, "n1.test");
        assert_address(&result, 0, "127.0.0.5");
    }
    for (size_t i = 0; i < ARRAY_COUNT(hanging); i++) {
        assert_false(hanging[i].done);
    }
    for (size_t i = 0; i < ARRAY_COUNT(hanging); i++) {
        wait_for(&env, &hanging[i].done);
        assert_string_equal(hanging[i].failure, "Timeout while contacting DNS servers");
    }
    stop(&env);
}

static void TestNamesManyAddresses(void **state) {
    (void)state;
    struct env env;
    start(&env);
    struct buf list = {0};
    for (int i = 1; i <= 30; i++) {
        buf_printf(&list, "127.0.1.%d ", i);
    }
    buf_append(&list, "", 1);
    env.servers[0].v4 = (const char *)list.data;
    assert_int_equal(look_up(&env, "many.test").found.count, LOOKUP_ADDRESSES_MAX);
    buf_free(&list);
    stop(&env);
}

// At once, while the question is out, and when the answer waits to be delivered. Nothing is called, nothing leaks.
static void TestNamesCancelled(void **state) {
    (void)state;
    struct env env;
    struct result result = {.done = false};
    start(&env);
    env.servers[0].answer = NAME_SILENT;
    lookup_cancel(lookup_start(&env.loop, "n1.test", 7400, on_done, &result));
    lookup_cancel(lookup_start(&env.loop, "localhost", 7400, on_done, &result));
    struct lookup *lookup = lookup_start(&env.loop, "n1.test", 7400, on_done, &result);
    while (env.servers[0].questions == 0) {
        uv_run(&env.loop, UV_RUN_ONCE);
    }
    lookup_cancel(lookup);
    stop(&env);
    assert_false(result.done);
}

// Whatever comes back, the lookup ends.
static void TestNamesGarbage(void **state) {
    (void)state;
    struct env env;
    start(&env);
    env.servers[0].random = random_seed("TestNamesGarbage");
    env.servers[0].answer = NAME_GARBAGE;
    struct result results[200] = {{.done = false}};
    for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
        lookup_start(&env.loop, "n1.test", 7400, on_done, &results[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
        wait_for(&env, &results[i].done);
    }
    stop(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestNamesOfBothFamilies), cmocka_unit_test(TestNamesOfTheHostsFile),
    cmocka_unit_test(TestNamesThatFail),       cmocka_unit_test(TestNamesWithoutAServer),
    cmocka_unit_test(TestNamesSecondServer),   cmocka_unit_test(TestNamesOneHangs),
    cmocka_unit_test(TestNamesManyAddresses),  cmocka_unit_test(TestNamesCancelled),
    cmocka_unit_test(TestNamesGarbage),
};

UNIT_MAIN(tests)
