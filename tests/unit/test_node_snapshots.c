// What a node drops of its log behind its images: node/snapshots.h.
#include "node/snapshots.c"  // its images and what it decides by them, which no header shows
#include "node_fixture.h"
#include "unit.h"

static struct whole_node whole;
static raft_index told;  // to the log on the disk; 0: nothing

// Intercepts what the log on the disk is told, by the linker's --wrap (meson.build).
void __wrap_wal_compact(struct wal *wal, raft_index index);

void __wrap_wal_compact(struct wal *wal, raft_index index) {
    (void)wal;
    told = index;
}

static int setup(void **state) {
    (void)state;
    whole_node_start(&whole, 1);
    whole_node_await_leading(&whole);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    whole_node_end(&whole);
    return 0;
}

// The next turn of a node whose images cover so much; what the log on the disk may drop.
static raft_index compact_behind(raft_index newest, raft_index before, raft_index sending) {
    struct snapshots *s = whole.node->snapshots;
    s->newest.index = newest;
    s->before.index = before;
    s->compacted = told = 0;
    size_t events = whole.node->event_count;
    compact(whole.node, sending);
    whole.node->event_count = events;  // these images are not there, so the core must not hear of them
    s->newest.index = s->before.index = 0;
    return told;
}

// A start may need all that follows the older of the two images, since the newer one may be damaged.
static void TestNodeKeepsTheLogSinceTheOlderImage(void **state) {
    (void)state;
    assert_int_equal(compact_behind(3 * RETAINED_ENTRIES, RETAINED_ENTRIES + 7, UINT64_MAX), RETAINED_ENTRIES + 7);
    assert_int_equal(compact_behind(3 * RETAINED_ENTRIES, 0, UINT64_MAX), 0);
}

// Nor is anything dropped that the memory keeps, or that a snapshot under way needs behind it.
static void TestNodeKeepsTheLogOnDiskAsInMemory(void **state) {
    (void)state;
    assert_int_equal(compact_behind(3 * RETAINED_ENTRIES, 3 * RETAINED_ENTRIES - 1, UINT64_MAX), 2 * RETAINED_ENTRIES);
    assert_int_equal(compact_behind(3 * RETAINED_ENTRIES, 3 * RETAINED_ENTRIES - 1, 17), 17);
    assert_int_equal(compact_behind(RETAINED_ENTRIES, RETAINED_ENTRIES - 1, UINT64_MAX), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(TestNodeKeepsTheLogSinceTheOlderImage, setup, teardown),
    cmocka_unit_test_setup_teardown(TestNodeKeepsTheLogOnDiskAsInMemory, setup, teardown),
};

UNIT_MAIN(tests)
