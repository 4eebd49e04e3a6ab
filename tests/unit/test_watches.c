// The Watches of a node, over a state machine: whom a change is sent to, what is sent again from the history, and what
// nobody pays for. The calls are ours: they take as many messages as a test allows.
#include <string.h>

#include "base/array.h"
#include "baton/v1/control.pb.h"
#include "node/watches.h"
#include "state_machine.h"
#include "wire/codec.h"

enum { CALLS = 10000 };

// A change as the model knows it.
struct change {
    char key[8];
    uint64_t revision;
};

// A client's side of a Watch.
struct client {
    bool open;
    bool waits;  // a message was refused: watches_writable is due
    bool ended;
    enum outcome outcome;
    struct outcome_facts facts;
    size_t room;  // messages that it takes
    char prefix[8];
    uint64_t from;
    uint64_t told;  // the revision of the last message
    size_t events;
    size_t messages;
};

static struct client clients[CALLS];
static struct watches *watches;
static struct change *changes;
static size_t change_count;
static size_t change_cap;
static size_t sends;    // also those refused
static size_t encoded;  // messages
static uint64_t clock_us;
static uint64_t clock_step_us;

static uint64_t test_clock(void) {
    return clock_us += clock_step_us;
}

static bool wants(const struct client *client, const struct change *change) {
    return change->revision >= client->from && strncmp(change->key, client->prefix, strlen(client->prefix)) == 0;
}

// A message must have the client's next changes, all up to the revision that it names: from there a client would go on.
static void receive(struct client *client, struct slice message) {
    struct arena arena = {.limit = 64 * MIB};
    struct pb_watch_response response;
    assert_int_equal(pb_decode(&arena, &pb_watch_response_type, message, &response, NULL), OK);
    assert_true(client->messages == 0 || response.revision > client->told);
    size_t at = 0;
    for (size_t i = 0; i < change_count && changes[i].revision <= response.revision; i++) {
        if (wants(client, &changes[i]) && changes[i].revision > client->told) {
            assert_in_range(at + 1, 1, response.events_count);
            assert_int_equal(response.events[at].revision, changes[i].revision);
            assert_true(slice_equal(response.events[at].key, slice_of_str(changes[i].key)));
            at++;
        }
    }
    assert_int_equal(at, response.events_count);
    client->told = response.revision;
    client->events += at;
    client->messages++;
    arena_free(&arena);
}

bool __wrap_rpc_send(struct rpc_server *server, struct rpc_call call, struct slice message);
bool __wrap_rpc_send(struct rpc_server *server, struct rpc_call call, struct slice message) {
    (void)server;
    struct client *client = &clients[call.index];
    sends++;
    assert_true(client->open && !client->ended);
    if (client->room == 0) {
        client->waits = true;
        return false;
    }
    client->room--;
    receive(client, message);
    return true;
}

void __wrap_outcome_tell(struct rpc_server *server, struct rpc_call call, enum outcome outcome,
                         const struct outcome_facts *facts);
void __wrap_outcome_tell(struct rpc_server *server, struct rpc_call call, enum outcome outcome,
                         const struct outcome_facts *facts) {
    (void)server;
    struct client *client = &clients[call.index];
    assert_true(client->open && !client->ended);
    client->ended = true;
    client->outcome = outcome;
    client->facts = facts == NULL ? (struct outcome_facts){0} : *facts;
}

void __real_pb_encode(const struct pb_type *type, const void *message, struct buf *out);
void __wrap_pb_encode(const struct pb_type *type, const void *message, struct buf *out);
void __wrap_pb_encode(const struct pb_type *type, const void *message, struct buf *out) {
    encoded++;
    __real_pb_encode(type, message, out);
}

static int setup(void **state) {
    machine_setup(state);
    memset(clients, 0, sizeof clients);
    change_count = sends = encoded = 0;
    clock_us = clock_step_us = 0;
    watches = watches_new(NULL, m.state, test_clock);
    return 0;
}

static int teardown(void **state) {
    watches_free(watches);
    free(changes);
    changes = NULL;
    change_cap = 0;
    return machine_teardown(state);
}

static struct rpc_call call_of(size_t at) {
    return (struct rpc_call){.index = (uint32_t)at, .generation = 1};
}

static void open_watch(size_t at, const char *prefix, uint64_t from, size_t room) {
    clients[at] = (struct client){.open = true, .room = room, .from = from, .told = from - 1};
    snprintf(clients[at].prefix, sizeof clients[at].prefix, "%s", prefix);
    assert_true(watches_add(watches, call_of(at), slice_of_str(prefix), from));
}

static void put_value(const char *key, const char *value) {
    apply_to(&m, put_command(key, value));
    array_reserve(changes, change_cap, change_count + 1);
    changes[change_count] = (struct change){.revision = m.index};
    snprintf(changes[change_count].key, sizeof changes[change_count].key, "%s", key);
    change_count++;
}

static void put(const char *key) {
    put_value(key, "value");
}

static uint64_t next_revision(void) {
    return state_last_applied(m.state) + 1;
}

static void make_room(size_t at, size_t room) {
    clients[at].room = room;
    if (clients[at].waits) {
        clients[at].waits = false;
        watches_writable(watches, call_of(at));
    }
}

// --- tests ---

static void assert_has_all(const struct client *client) {
    size_t wanted = 0;
    for (size_t i = 0; i < change_count; i++) {
        wanted += wants(client, &changes[i]);
    }
    assert_int_equal(client->events, wanted);
}

static const char *random_text(uint64_t *random) {
    static const char *const texts[] = {"", "a", "ab", "abc", "abd", "b", "ba", "bab", "c"};
    return texts[random_below(random, ARRAY_COUNT(texts))];
}

// Watches come, go, and take messages when they like; each gets the changes of its prefix, once and in order.
static void TestWatchesGetTheirChanges(void **state) {
    (void)state;
    enum { SOME = 60 };
    uint64_t random = random_seed("TestWatchesGetTheirChanges");
    for (int step = 0; step < 20000; step++) {
        size_t at = random_below(&random, SOME);
        switch (random_below(&random, 8)) {
        case 0:
            if (!clients[at].open) {
                open_watch(at, random_text(&random), 1 + random_below(&random, next_revision()), random_below(&random, 4));
            }
            break;
        case 1:
            if (clients[at].open && random_below(&random, 8) == 0) {
                clients[at] = (struct client){0};
                watches_remove(watches, call_of(at));
            }
            break;
        case 2:
            make_room(at, random_below(&random, 20));
            break;
        case 3:
            watches_advance(watches);
            break;
        case 4:
            clock_step_us = random_below(&random, 2) * WATCHES_TURN_US;
            watches_catch_up(watches);
            break;
        default:
            if (change_count < 4000) {
                const char *key = random_text(&random);
                put(key[0] == '\0' ? "abcd" : key);
            }
        }
    }
    size_t open = 0;
    for (size_t i = 0; i < SOME; i++) {
        make_room(i, SIZE_MAX);
        open += clients[i].open;
    }
    watches_advance(watches);
    while (watches_behind(watches)) {
        watches_catch_up(watches);
    }
    assert_in_range(open, SOME / 4, SOME);
    assert_int_equal(watches_count(watches), open);
    for (size_t i = 0; i < SOME; i++) {
        if (clients[i].open) {
            assert_has_all(&clients[i]);
        }
    }
}

// A write touches the Watches whose prefix its key has, and is encoded once for all of one prefix.
static void TestWatchesOfOthersCostNothing(void **state) {
    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        char prefix[8];
        snprintf(prefix, sizeof prefix, "%zu/", i);
        open_watch(i, i % 100 == 0 ? "a" : prefix, next_revision(), SIZE_MAX);
    }
    assert_false(watches_add(watches, call_of(CALLS), slice_of_str("a"), next_revision()));
    sends = encoded = 0;
    for (int i = 0; i < 100; i++) {
        put("b");
        watches_advance(watches);
    }
    assert_int_equal(sends, 0);
    put("ab");
    put("ac");
    watches_advance(watches);
    assert_int_equal(sends, CALLS / 100);
    assert_int_equal(encoded, 1);
}

// Who does not take what it is sent is left alone; what it missed comes from the history, a part in each turn.
static void TestWatchesThatDoNotReadCostNothing(void **state) {
    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        open_watch(i, "a", next_revision(), 2);
    }
    put("a1");
    watches_advance(watches);
    put("a2");
    watches_advance(watches);
    sends = encoded = 0;
    for (int i = 0; i < 100; i++) {
        put("a3");
        watches_advance(watches);
        watches_catch_up(watches);
    }
    assert_int_equal(sends + encoded, 0);
    clock_step_us = WATCHES_TURN_US / 10;
    for (size_t i = 0; i < CALLS; i++) {
        make_room(i, SIZE_MAX);
    }
    assert_int_equal(sends, 0);
    watches_catch_up(watches);
    assert_in_range(sends, 9, 10);
    assert_true(watches_behind(watches));
    clock_step_us = 0;
    watches_catch_up(watches);
    assert_false(watches_behind(watches));
    for (size_t i = 0; i < CALLS; i++) {
        assert_has_all(&clients[i]);
    }
}

// After so many entries that were not theirs Watches are told where they are: rarely, and few of them in a turn.
static void TestWatchesWithoutChangesLearnTheHead(void **state) {
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        open_watch(i, "quiet", next_revision(), SIZE_MAX);
    }
    sends = encoded = 0;
    for (uint64_t i = 1; i < WATCH_QUIET_MAX; i++) {
        put("b");
        watches_advance(watches);
    }
    assert_int_equal(sends, 0);
    put("b");
    watches_advance(watches);
    assert_in_range(sends, 1, 500);
    assert_int_equal(encoded, 1);
    for (int i = 0; i < 10; i++) {
        put("b");
        watches_advance(watches);
    }
    assert_int_equal(sends, 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_in_range(clients[i].told, WATCH_QUIET_MAX, state_last_applied(m.state));
    }
}

// More than one message has room for goes into several, at the head and from the history.
static void TestWatchesOfLongValues(void **state) {
    (void)state;
    char value[20 * KIB];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    open_watch(0, "a", next_revision(), SIZE_MAX);
    for (int i = 0; i < 10; i++) {
        put_value(i == 1 ? "b" : "a", value);
    }
    watches_advance(watches);
    open_watch(1, "a", 1, SIZE_MAX);
    for (size_t i = 0; i < 2; i++) {
        assert_has_all(&clients[i]);
        assert_in_range(clients[i].messages, 3, 5);
    }
}

static void TestWatchesLearnThatTheHistoryHasPassed(void **state) {
    (void)state;
    open_watch(1, "a", next_revision(), 1);
    put("a1");
    watches_advance(watches);
    for (int i = 0; i < 1000; i++) {
        put("b");
        watches_advance(watches);
    }
    state_forget_history(m.state, state_last_applied(m.state) - 10);
    assert_false(clients[1].ended);
    make_room(1, SIZE_MAX);
    watches_catch_up(watches);
    assert_true(clients[1].ended);
    assert_int_equal(clients[1].outcome, OUTCOME_WATCH_BEHIND);
    assert_int_equal(clients[1].facts.number, 1);
    assert_int_equal(clients[1].facts.limit, state_history_from(m.state));
    assert_int_equal(watches_count(watches), 0);
}

#define WATCHES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    WATCHES_TEST(TestWatchesGetTheirChanges),
    WATCHES_TEST(TestWatchesOfOthersCostNothing),
    WATCHES_TEST(TestWatchesThatDoNotReadCostNothing),
    WATCHES_TEST(TestWatchesWithoutChangesLearnTheHead),
    WATCHES_TEST(TestWatchesOfLongValues),
    WATCHES_TEST(TestWatchesLearnThatTheHistoryHasPassed),
};

UNIT_MAIN(tests)
