// Health: Check answers, Watch reports each change once, and a cancelled Watch costs nothing. The server around it is a
// fake that keeps the last thing said on each call.
#include "base/limits.h"
#include "base/mem.h"
#include "rpc/builtin.h"
#include "unit.h"

enum { WATCHERS = WATCHES_MAX + 100, SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static struct fake_call {
    bool live;
    int sent;    // messages
    int status;  // the last message's
    int ended;   // with this; -1: not
} calls[WATCHERS];

static const struct rpc_service *added;
static struct rpc_health *health;
static bool full;  // rpc_send refuses

void rpc_server_add_service(struct rpc_server *server, const struct rpc_service *service) {
    (void)server;
    added = service;
}

bool rpc_call_alive(struct rpc_server *server, struct rpc_call call) {
    (void)server;
    return calls[call.index].live;
}

bool rpc_send(struct rpc_server *server, struct rpc_call call, struct slice message) {
    struct fake_call *fake = &calls[call.index];
    if (!rpc_call_alive(server, call) || full) {
        return false;
    }
    // HealthCheckResponse: field 1, a varint; absent when it is 0.
    assert_true(message.len == 2 && message.data[0] == 0x08);
    fake->sent++;
    fake->status = message.data[1];
    return true;
}

void rpc_finish(struct rpc_server *server, struct rpc_call call, enum rpc_status status, const char *message) {
    (void)message;
    if (rpc_call_alive(server, call)) {
        calls[call.index].live = false;
        calls[call.index].ended = (int)status;
    }
}

void rpc_reply(struct rpc_server *server, struct rpc_call call, struct slice message) {
    rpc_send(server, call, message);
    rpc_finish(server, call, RPC_OK, NULL);
}

// HealthCheckRequest, in full: field 1, a string.
static struct fake_call *ask(uint32_t slot, const char *method, const char *name) {
    uint8_t message[3 + 1000] = {0x0a};
    const size_t len = strlen(name);
    message[1] = (uint8_t)(len | 0x80);
    message[2] = (uint8_t)(len >> 7);
    memcpy(message + 3, name, len);
    calls[slot] = (struct fake_call){.live = true, .ended = -1};
    const struct rpc_method *found = &added->methods[strcmp(method, "Check") == 0 ? 0 : 1];
    assert_string_equal(found->name, method);
    found->on_message(added->user, (struct rpc_call){.index = slot, .generation = 1}, slice_of(message, 3 + len));
    return &calls[slot];
}

static int set_up(void **state) {
    (void)state;
    full = false;
    health = rpc_health_new(NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    rpc_health_free(health);
    return 0;
}

static void TestHealthCheck(void **state) {
    (void)state;
    assert_int_equal(ask(0, "Check", "")->status, SERVING);
    assert_int_equal(calls[0].ended, RPC_OK);
    assert_int_equal(ask(0, "Check", "a")->ended, RPC_NOT_FOUND);
    rpc_health_set(health, "a", false);
    assert_int_equal(ask(0, "Check", "a")->status, NOT_SERVING);
    rpc_health_set(health, "a", true);
    rpc_health_set(health, "", false);
    assert_int_equal(ask(0, "Check", "a")->status, SERVING);
    assert_int_equal(ask(0, "Check", "")->status, NOT_SERVING);
}

static void TestHealthBadRequest(void **state) {
    (void)state;
    char name[SERVICE_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[SERVICE_NAME_MAX + 1] = '\0';
    assert_int_equal(ask(0, "Check", name)->ended, RPC_INVALID_ARGUMENT);
    assert_int_equal(ask(0, "Watch", name)->ended, RPC_INVALID_ARGUMENT);
    name[SERVICE_NAME_MAX] = '\0';
    assert_int_equal(ask(0, "Check", name)->ended, RPC_NOT_FOUND);

    static const uint8_t with_nul[] = {0x0a, 2, 'a', 0}, cut[] = {0x0a, 9, 'a'};
    calls[0] = (struct fake_call){.live = true};
    added->methods[0].on_message(added->user, (struct rpc_call){.generation = 1}, slice_of(with_nul, sizeof with_nul));
    assert_int_equal(calls[0].ended, RPC_INVALID_ARGUMENT);
    calls[0] = (struct fake_call){.live = true};
    added->methods[0].on_message(added->user, (struct rpc_call){.generation = 1}, slice_of(cut, sizeof cut));
    assert_int_equal(calls[0].ended, RPC_INTERNAL);
}

static void TestHealthWatch(void **state) {
    (void)state;
    const struct fake_call *a = ask(0, "Watch", "a"), *all = ask(1, "Watch", "");
    assert_true(a->live && a->sent == 1 && a->status == SERVICE_UNKNOWN);
    assert_true(all->live && all->sent == 1 && all->status == SERVING);
    rpc_health_set(health, "a", true);
    assert_true(a->sent == 2 && a->status == SERVING);
    rpc_health_set(health, "a", true);  // no change
    assert_int_equal(a->sent, 2);
    rpc_health_set(health, "a", false);
    assert_true(a->sent == 3 && a->status == NOT_SERVING);
    assert_int_equal(all->sent, 1);
}

static void TestHealthWatcherThatDoesNotRead(void **state) {
    (void)state;
    const struct fake_call *slow = ask(0, "Watch", "");
    full = true;
    rpc_health_set(health, "", false);
    assert_int_equal(slow->ended, RPC_RESOURCE_EXHAUSTED);
}

static void TestHealthWatchersMax(void **state) {
    (void)state;
    for (uint32_t i = 0; i < WATCHES_MAX; i++) {
        assert_true(ask(i, "Watch", "")->live);
    }
    assert_int_equal(ask(WATCHES_MAX, "Watch", "")->ended, RPC_RESOURCE_EXHAUSTED);
    // Each cancelled one makes room for another.
    for (uint32_t i = 0; i < 50; i++) {
        calls[i * 7].live = false;
    }
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(ask(WATCHES_MAX + i, "Watch", "")->live);
    }
    assert_int_equal(ask(WATCHES_MAX + 50, "Watch", "")->ended, RPC_RESOURCE_EXHAUSTED);
    rpc_health_set(health, "", false);
    for (uint32_t i = 0; i < WATCHES_MAX + 50; i++) {
        assert_true(!calls[i].live || calls[i].status == NOT_SERVING);
    }
}

static void TestHealthShutdown(void **state) {
    (void)state;
    const struct fake_call *watch = ask(0, "Watch", "");
    rpc_health_shutdown(health);
    assert_int_equal(watch->status, NOT_SERVING);
    assert_int_equal(watch->ended, RPC_UNAVAILABLE);
    rpc_health_set(health, "", true);  // too late
    assert_int_equal(ask(0, "Check", "")->status, NOT_SERVING);
    assert_int_equal(ask(0, "Watch", "")->status, NOT_SERVING);
    assert_int_equal(calls[0].ended, RPC_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(TestHealthCheck),       TEST(TestHealthBadRequest), TEST(TestHealthWatch), TEST(TestHealthWatcherThatDoesNotRead),
    TEST(TestHealthWatchersMax), TEST(TestHealthShutdown),
};

UNIT_MAIN(tests)
