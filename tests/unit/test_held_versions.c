// Versions held for the pages of a list: what they show while the state changes, and how long they are held.
#include "base/buf.h"
#include "base/limits.h"
#include "node/held_versions.h"
#include "state_machine.h"

enum { KEYS = 60, PAGE = 7 };

static void put_key(int number, const char *value) {
    char key[24];
    snprintf(key, sizeof key, "key-%03d", number);
    apply_to(&m, put_command(key, value));
}

static void register_worker(int number, const char *instance) {
    char id[24];
    snprintf(id, sizeof id, "worker-%03d", number);
    apply_to(&m, register_command(id, instance, "10.0.0.1:9000"));
}

// --- what they show ---

struct listed {
    struct buf text;
    char last[16];
    size_t on_page;
};

static bool add(struct listed *listed, struct slice key, struct slice detail, uint64_t number) {
    if (listed->on_page == PAGE) {
        return false;
    }
    listed->on_page++;
    snprintf(listed->last, sizeof listed->last, "%.*s", (int)key.len, (const char *)key.data);
    buf_printf(&listed->text, "%s=%.*s@%llu ", listed->last, (int)detail.len, (const char *)detail.data,
               (unsigned long long)number);
    return true;
}

static bool add_item(void *user, const struct state_item *item) {
    return add(user, item->key, item->value, item->revision);
}

static bool add_worker(void *user, const struct state_worker *worker) {
    return add(user, worker->id, worker->registration->instance_id, worker->epoch);
}

static size_t list_page(struct listed *listed, const struct state_version *version, bool workers) {
    listed->on_page = 0;
    if (workers) {
        state_version_workers(version, text(listed->last), add_worker, listed);
    } else {
        state_version_list(version, text("key-"), text(listed->last), add_item, listed);
    }
    return listed->on_page;
}

// Overwrites, deletes and adds keys and workers before and after where the list is.
static void change_everything(int round) {
    for (int i = round % 3; i < KEYS; i += 3) {
        put_key(i, "changed");
        register_worker(i, "changed");
    }
    char key[24];
    snprintf(key, sizeof key, "key-%03d", (round * 11) % KEYS);
    apply_to(&m, delete_command(key));
    put_key(KEYS + round, "new");
    register_worker(KEYS + round, "new");
}

static void assert_pages_of_one_version(bool workers) {
    struct held_versions *held = held_versions_new();
    for (int i = 0; i < KEYS; i++) {
        put_key(i, "old");
        register_worker(i, "old");
    }
    held_versions_keep(held, m.state, 0);
    raft_index at = state_last_applied(m.state);
    struct listed at_once = {.on_page = 0};
    struct listed paged = {.on_page = 0};
    while (list_page(&at_once, held_versions_find(held, at, 0), workers) > 0) {
    }
    for (int round = 0; list_page(&paged, held_versions_find(held, at, 0), workers) > 0; round++) {
        change_everything(round);
        while (state_collect(m.state)) {
        }
    }
    assert_int_equal(paged.text.len, at_once.text.len);
    assert_memory_equal(paged.text.data, at_once.text.data, paged.text.len);
    assert_string_equal(paged.last, workers ? "worker-059" : "key-059");
    buf_free(&at_once.text);
    buf_free(&paged.text);
    held_versions_free(held, m.state);
}

static void TestHeldVersionsListKeys(void **state) {
    (void)state;
    assert_pages_of_one_version(false);
}

static void TestHeldVersionsListWorkers(void **state) {
    (void)state;
    assert_pages_of_one_version(true);
}

// --- how long they are held ---

// One after each of `count` entries, at a second's distance.
static raft_index keep_some(struct held_versions *held, int count) {
    raft_index first = state_last_applied(m.state) + 1;
    for (int i = 0; i < count; i++) {
        put_key(i, "v");
        held_versions_keep(held, m.state, (uint64_t)i);
    }
    return first;
}

static void TestHeldVersionsAreFew(void **state) {
    (void)state;
    struct held_versions *held = held_versions_new();
    raft_index first = keep_some(held, LIST_VERSIONS_MAX);
    held_versions_keep(held, m.state, LIST_VERSIONS_MAX);  // the last one, once more: no second one
    assert_non_null(held_versions_find(held, first, LIST_VERSIONS_MAX + 1));
    assert_null(held_versions_find(held, first - 1, 0));
    assert_null(held_versions_find(held, first + LIST_VERSIONS_MAX, 0));
    put_key(0, "v");
    held_versions_keep(held, m.state, LIST_VERSIONS_MAX + 2);
    assert_non_null(held_versions_find(held, first, 0));
    assert_null(held_versions_find(held, first + 1, 0));  // was not used for longest
    held_versions_free(held, m.state);
}

static void TestHeldVersionsExpire(void **state) {
    (void)state;
    struct held_versions *held = held_versions_new();
    raft_index first = keep_some(held, 2);
    held_versions_turn(held, m.state, LIST_VERSION_US - 1);
    assert_non_null(held_versions_find(held, first, LIST_VERSION_US - 1));
    held_versions_turn(held, m.state, LIST_VERSION_US + 1);
    assert_null(held_versions_find(held, first + 1, 0));
    held_versions_turn(held, m.state, 2 * LIST_VERSION_US - 2);
    assert_non_null(held_versions_find(held, first, 0));  // and used, long ago
    held_versions_turn(held, m.state, LIST_VERSION_US);
    assert_null(held_versions_find(held, first, 0));
    held_versions_free(held, m.state);
}

static void TestHeldVersionsHoldNotTooMuch(void **state) {
    (void)state;
    struct held_versions *held = held_versions_new();
    raft_index first = keep_some(held, 1);
    held_versions_applied(held, LIST_VERSION_BYTES_MAX / 2);
    put_key(1, "v");
    held_versions_keep(held, m.state, 0);
    held_versions_turn(held, m.state, 1);
    assert_non_null(held_versions_find(held, first, 1));
    held_versions_applied(held, LIST_VERSION_BYTES_MAX / 2);
    held_versions_turn(held, m.state, 1);
    assert_null(held_versions_find(held, first, 1));
    assert_non_null(held_versions_find(held, first + 1, 1));
    held_versions_free(held, m.state);
}

static const struct CMUnitTest tests[] = {
    MACHINE_TEST(TestHeldVersionsListKeys),       MACHINE_TEST(TestHeldVersionsListWorkers),
    MACHINE_TEST(TestHeldVersionsAreFew),         MACHINE_TEST(TestHeldVersionsExpire),
    MACHINE_TEST(TestHeldVersionsHoldNotTooMuch),
};

UNIT_MAIN(tests)
