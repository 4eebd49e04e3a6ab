// Copies, comparison and fingerprints of messages, for every type there is: a copy outlives what it was made of, and no
// field can change unnoticed.
#include "message_change.h"
#include "wire_env.h"

static struct slice encoded(const struct pb_type *type, const void *message) {
    buf_clear(&t.out);
    pb_encode(type, message, &t.out);
    return arena_copy(&t.arena, buf_slice(&t.out));
}

// Every place in turn, each on a message decoded anew.
static void every_change(const struct pb_type *type,
                         void (*check)(const struct pb_type *type, const void *a, const void *b)) {
    struct slice packed = pack(random_message(yardstick_of(type)));
    const void *message = decode_ok(type, packed);
    check(type, message, decode_ok(type, packed));
    struct change change = {.seed = &t.seed, .arena = &t.arena};
    for (size_t which = 0;; which++) {
        uint8_t *changed = decode_ok(type, packed);
        if (!change_message(&change, type, changed, which)) {
            return;
        }
        check(type, message, changed);
    }
}

static void every_type(int rounds, void (*check)(const struct pb_type *type, const void *a, const void *b)) {
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < type_list_count; i++) {
            for (size_t k = 0; type_lists[i][k] != NULL; k++) {
                every_change(type_lists[i][k], check);
                arena_reset(&t.arena);
            }
        }
    }
}

// --- comparison and fingerprints: what the bytes say ---

static void check_equal(const struct pb_type *type, const void *a, const void *b) {
    bool same = slice_equal(encoded(type, a), encoded(type, b));
    assert_int_equal(pb_equal(type, a, b), same);
    assert_int_equal(pb_equal(type, b, a), same);
    assert_true(pb_equal(type, b, b));
}

static void TestWireEqual(void **state) {
    (void)state;
    t.seed = random_seed("TestWireEqual");
    every_type(20, check_equal);
}

static void check_fingerprint(const struct pb_type *type, const void *a, const void *b) {
    bool same = slice_equal(encoded(type, a), encoded(type, b));
    assert_int_equal(pb_fingerprint(type, a, 1) == pb_fingerprint(type, b, 1), same);
    assert_true(pb_fingerprint(type, a, 1) != pb_fingerprint(type, a, 2));
}

static void TestWireFingerprint(void **state) {
    (void)state;
    t.seed = random_seed("TestWireFingerprint");
    every_type(20, check_fingerprint);
}

// Neighbours cannot trade what they have, nor lists their items.
static void TestWireFingerprintTrades(void **state) {
    (void)state;
    struct pb_list_request ab = {.prefix = text("ab"), .start_after = text("c")};
    struct pb_list_request a = {.prefix = text("a"), .start_after = text("bc")};
    assert_true(pb_fingerprint(&pb_list_request_type, &ab, 0) != pb_fingerprint(&pb_list_request_type, &a, 0));
    struct pb_read_log_request from = {.from = 7};
    struct pb_read_log_request to = {.to = 7};
    assert_true(pb_fingerprint(&pb_read_log_request_type, &from, 0) != pb_fingerprint(&pb_read_log_request_type, &to, 0));
    struct slice addresses[] = {text("a"), text("b")};
    struct slice exchanged[] = {text("b"), text("a")};
    struct pb_redirect one = {.member_addresses = addresses, .member_addresses_count = 2};
    struct pb_redirect other = {.member_addresses = exchanged, .member_addresses_count = 2};
    assert_true(pb_fingerprint(&pb_redirect_type, &one, 0) != pb_fingerprint(&pb_redirect_type, &other, 0));
    // {round trips of the first} {none}, and {none} {round trips}
    struct pb_round_trip trip = {.id = text("n2")};
    struct pb_member_status first[] = {{.round_trips = &trip, .round_trips_count = 1}, {.voter = false}};
    struct pb_member_status second[] = {{.voter = false}, {.round_trips = &trip, .round_trips_count = 1}};
    struct pb_status_response in_first = {.members = first, .members_count = 2};
    struct pb_status_response in_second = {.members = second, .members_count = 2};
    assert_true(pb_fingerprint(&pb_status_response_type, &in_first, 0) !=
                pb_fingerprint(&pb_status_response_type, &in_second, 0));
    assert_false(pb_equal(&pb_status_response_type, &in_first, &in_second));
}

// The same on every machine: what one version has computed another must find.
static void TestWireFingerprintValue(void **state) {
    (void)state;
    struct slice_pair labels[] = {{text("disk"), text("ssd")}};
    struct pb_register_worker_request worker = {
        .worker_id = text("w1"),
        .instance_id = text("i1"),
        .address = text("10.0.0.1:7400"),
        .cloud = text("aws"),
        .slots = 4,
        .labels = labels,
        .labels_count = 1,
    };
    assert_int_equal(pb_fingerprint(&pb_register_worker_request_type, &worker, 0), UINT64_C(0xffb2a98a7f8b693d));
}

// --- copies ---

// Of a message whose bytes and lists are gone by the time the copy is looked at.
static void TestWireClone(void **state) {
    (void)state;
    t.seed = random_seed("TestWireClone");
    for (int round = 0; round < 5000; round++) {
        const struct pb_type *type = random_type();
        struct slice packed = pack(random_message(yardstick_of(type)));
        uint8_t *bytes = mem_alloc(packed.len + 1);
        if (packed.len > 0) {
            memcpy(bytes, packed.data, packed.len);
        }
        struct arena arena = {.limit = 0};
        void *source = arena_alloc(&arena, type->size);
        assert_ok(pb_decode(&arena, type, slice_of(bytes, packed.len), source, &t.error));
        void *clone = pb_clone(type, source);
        assert_true(pb_equal(type, source, clone));
        memset(bytes, 0xa5, packed.len + 1);
        free(bytes);
        memset(source, 0xa5, type->size);
        arena_free(&arena);
        assert_same_bytes(encoded(type, clone), packed);
        void *second = pb_clone(type, clone);
        free(clone);
        assert_same_bytes(encoded(type, second), packed);
        free(second);
        arena_reset(&t.arena);
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(TestWireEqual),
    WIRE_TEST(TestWireFingerprint),
    WIRE_TEST(TestWireFingerprintTrades),
    WIRE_TEST(TestWireFingerprintValue),
    WIRE_TEST(TestWireClone),
};

UNIT_MAIN(tests)
