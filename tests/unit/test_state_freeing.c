// What the state machine has allocated is freed, all of it and once, and that of a replaced state in steps.
#include "base/array.h"
#include "base/limits.h"
#include "state/image.h"
#include "state_machine.h"

// --- pieces of memory, counted ---

static size_t pieces;  // allocated by the product's code and this one, and not freed yet

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __real_free(void *piece);
void __wrap_free(void *piece);

void *__wrap_malloc(size_t size) {
    pieces++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    pieces++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    pieces += old == NULL;
    return __real_realloc(old, size);
}

void __wrap_free(void *piece) {
    pieces -= piece != NULL;
    __real_free(piece);
}

// --- states with something to free ---

enum { MANY = 10000 };  // of what is freed in steps; they take about two thousand each

static void open_machine(struct machine *machine) {
    *machine = (struct machine){.slab = raft_slab_new(), .state = state_new()};
}

static void put_item(struct machine *machine, size_t i) {
    char key[32];
    snprintf(key, sizeof key, "key-%zu", i);
    apply_to(machine, put_command(key, "value"));
}

static void forget_history(struct machine *machine) {
    state_forget_history(machine->state, machine->index);
    while (state_collect(machine->state)) {
    }
}

static void put_items(struct machine *machine, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put_item(machine, i);
    }
    forget_history(machine);
}

static void open_sessions(struct machine *machine, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char client[32];
        snprintf(client, sizeof client, "client-%zu", i);
        apply_to(machine, in_session(delete_command("missing"), client, 1, 0));
    }
}

static void register_workers(struct machine *machine, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "worker-%zu", i);
        apply_to(machine, register_command(id, "i", "10.0.0.1:9000"));
    }
}

static void change_an_item(struct machine *machine, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put_item(machine, 0);
    }
}

static void fill(struct machine *machine, size_t count) {
    put_items(machine, count);
    open_sessions(machine, count);
    register_workers(machine, count);
    change_an_item(machine, count);
}

// --- loaders ---

// A loader with the first records of the state; *digest is that of all.
static struct state_loader *loader_with(struct state *state, size_t count, uint64_t *digest) {
    struct state_version *version = state_version_new(state);
    struct state_records *records = state_records_new(version);
    struct state_loader *loader = state_loader_new();
    struct pb_image_record record;
    struct error error;
    for (size_t i = 0; i < count && state_records_next(records, &record); i++) {
        assert_int_equal(state_loader_add(loader, &record, &error), OK);
    }
    *digest = state_version_digest(version);
    state_records_free(records);
    state_version_release(state, version);
    return loader;
}

// Of a loader that holds a part of a state, one that holds all, and one whose state was taken nothing is left.
static void TestStateLoadersAreFreed(void **state) {
    (void)state;
    enum { EACH = 50 };
    size_t before = pieces;
    struct machine one;
    open_machine(&one);
    fill(&one, EACH);
    size_t filled = pieces;
    struct state *loaded = NULL;
    struct error error;
    uint64_t digest;
    for (size_t count = 0; count <= 1 + 3 * EACH; count += EACH / 2) {
        struct state_loader *loader = loader_with(one.state, count, &digest);
        assert_int_not_equal(state_loader_finish(loader, digest, &loaded, &error), OK);
        state_loader_free(loader);
        state_collect(one.state);
        assert_int_equal(pieces, filled);
    }
    struct state_loader *loader = loader_with(one.state, SIZE_MAX, &digest);
    assert_int_equal(state_loader_finish(loader, digest, &loaded, &error), OK);
    state_loader_free(loader);
    assert_int_equal(state_digest(loaded), digest);
    state_free(loaded);
    state_loader_free(NULL);
    state_free(one.state);
    raft_slab_free(one.slab);
    assert_int_equal(pieces, before);
}

// --- replaced states ---

// A replaced state is freed in steps, whatever it is that it has much of.
static void TestStateRetiredInSteps(void **state) {
    (void)state;
    static void (*const fills[])(struct machine *machine, size_t count) = {put_items, open_sessions, register_workers,
                                                                           change_an_item};
    for (size_t i = 0; i < ARRAY_COUNT(fills); i++) {
        size_t before = pieces;
        struct machine one;
        open_machine(&one);
        fills[i](&one, MANY);
        struct state *successor = state_new();
        state_retire(one.state, successor);
        size_t steps = 1;
        while (state_collect(successor)) {
            steps++;
        }
        assert_true(steps > 3);
        state_free(successor);
        raft_slab_free(one.slab);  // asserts that no entry is still held
        assert_int_equal(pieces, before);
    }
}

// States that were replaced shortly after another, with one that they have replaced themselves: the last successor frees
// them all, in steps or, when it is freed itself, at once.
static void assert_all_are_freed(bool in_steps) {
    enum { EACH = 3000 };
    size_t before = pieces;
    struct machine machines[4];
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++) {
        open_machine(&machines[i]);
        fill(&machines[i], EACH);
    }
    struct state *successor = state_new();
    state_retire(machines[0].state, machines[1].state);
    for (size_t i = 1; i < ARRAY_COUNT(machines); i++) {
        state_retire(machines[i].state, successor);
    }
    while (in_steps && state_collect(successor)) {
    }
    state_free(successor);
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++) {
        raft_slab_free(machines[i].slab);
    }
    assert_int_equal(pieces, before);
}

static void TestStateRetiredAreFreedInSteps(void **state) {
    (void)state;
    assert_all_are_freed(true);
}

static void TestStateRetiredAreFreedAtOnce(void **state) {
    (void)state;
    assert_all_are_freed(false);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestStateLoadersAreFreed),
    cmocka_unit_test(TestStateRetiredInSteps),
    cmocka_unit_test(TestStateRetiredAreFreedInSteps),
    cmocka_unit_test(TestStateRetiredAreFreedAtOnce),
};

UNIT_MAIN(tests)
