// Snapshots from the leader, as they arrive: node/snapshot_receiver.h.
#include "node/snapshot_receiver.c"  // one chunk at a time, and how the whole is loaded, which no header shows
#include "node_fixture.h"
#include "unit.h"

static struct whole_node whole;

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

// Whether a chunk of so many bytes of an image of 100 is taken.
static bool takes(uint64_t offset, size_t len) {
    struct chunk *chunk = mem_alloc(sizeof *chunk + len);
    *chunk = (struct chunk){.last = {.index = 1000, .term = 1}, .size = 100, .offset = offset, .len = len};
    memset(chunk->data, 'x', len);
    whole.node->snapshot_receiver->count++;
    if (take_chunk(whole.node, chunk)) {
        return true;
    }
    finish_chunk(whole.node, chunk, 0);
    return false;
}

// Each chunk goes behind those before it: what was lost on the way leaves no hole.
static void TestSnapshotArrivesWithoutHoles(void **state) {
    (void)state;
    const struct snapshot_receiver *r = whole.node->snapshot_receiver;
    assert_false(takes(10, 10));  // it has not begun
    assert_true(takes(0, 10));
    assert_false(takes(20, 10));
    assert_false(takes(0, 10));
    assert_true(takes(10, 10));
    assert_false(takes(20, 0));
    while (r->storing != NULL) {
        uv_run(&whole.loop, UV_RUN_ONCE);
    }
    assert_int_equal(r->stored, 20);
    assert_int_equal(r->accepted, 20);
}

// An image of the state with this cluster's name, as if it had arrived.
static struct raft_entry_id put_part(struct wal_directory *dir, const char *cluster) {
    struct node *node = whole.node;
    struct error error;
    uint64_t bytes;
    char name[WAL_IMAGE_NAME_SIZE], part[WAL_IMAGE_NAME_SIZE];
    struct state_version *version = state_version_new(node->state);
    struct wal_image_header header = {.cluster_id = slice_of_str(cluster),
                                      .generation = 1,
                                      .last = {.index = state_version_index(version), .term = 1},
                                      .configuration_index = 1,
                                      .configuration = slice_of_str("members")};
    struct image_orders orders = {.hurry_from = 0};
    assert_int_equal(image_save(dir, &header, version, &(struct image_room){0}, &orders, &bytes, &error), OK);
    state_version_release(node->state, version);
    wal_image_name(name, header.last);
    wal_image_part_name(part, header.last);
    assert_int_equal(dir->io->rename_at(dir->io->self, dir->snap, name, part), 0);
    return header.last;
}

// An image that is whole, and of another cluster: two nodes of one id, or a directory that was exchanged.
static void TestSnapshotOfAnotherCluster(void **state) {
    (void)state;
    struct snapshot_receiver *r = whole.node->snapshot_receiver;
    static const struct {
        const char *cluster;
        enum error_code code;
    } cases[] = {{"other", ERR_FOREIGN}, {"test", OK}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(wal_directory_look(&r->dir, whole.dir, &wal_io_system, &r->error), OK);
        r->last = put_part(&r->dir, cases[i].cluster);
        load(r);
        assert_int_equal(r->code, cases[i].code);
        drop_image(r);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(TestSnapshotArrivesWithoutHoles, setup, teardown),
    cmocka_unit_test_setup_teardown(TestSnapshotOfAnotherCluster, setup, teardown),
};

UNIT_MAIN(tests)
