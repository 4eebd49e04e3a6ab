// The parts of rpc that need no loop: texts of the protocol, framing, deadlines, call handles, addresses.
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/framing.h"
#include "rpc/handles.h"
#include "rpc/metadata.h"
#include "rpc/timers.h"
#include "unit.h"

static void TestRpcTimeoutText(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t ms;
    } cases[] = {
        {"1H", true, 3600000},    {"2M", true, 120000},      {"3S", true, 3000},
        {"4m", true, 4},          {"5u", true, 1},           {"6n", true, 1},
        {"1001u", true, 2},       {"1000000n", true, 1},     {"1000001n", true, 2},
        {"0n", true, 0},          {"00000001S", true, 1000}, {"99999999H", true, UINT64_C(359999996400000)},
        {"", false, 0},           {"S", false, 0},           {"1", false, 0},
        {"1s", false, 0},         {"-1S", false, 0},         {"+1S", false, 0},
        {"1.5S", false, 0},       {" 1S", false, 0},         {"1S ", false, 0},
        {"123456789S", false, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t ms = 0;
        assert_int_equal(rpc_timeout_parse(slice_of_str(cases[i].text), &ms), cases[i].good);
        assert_int_equal(ms, cases[i].ms);
    }
    static const struct {
        uint64_t ms;
        const char *text;
    } formats[] = {
        {1, "1m"}, {99999999, "99999999m"}, {100000000, "100000S"}, {100000001, "100001S"}, {UINT64_MAX, "99999999H"}};
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        char text[RPC_TIMEOUT_TEXT];
        size_t len = rpc_timeout_format(text, formats[i].ms);
        assert_true(slice_equal(slice_of(text, len), slice_of_str(formats[i].text)));
    }
}

static void TestRpcPercentEncoding(void **state) {
    (void)state;
    struct buf encoded = {0}, decoded = {0};
    struct slice text = slice_of_str("100% \xc3\xbc\n~");
    rpc_percent_encode(&encoded, text);
    assert_true(slice_equal(buf_slice(&encoded), slice_of_str("100%25 %C3%BC%0A~")));
    rpc_percent_decode(&decoded, buf_slice(&encoded));
    assert_true(slice_equal(buf_slice(&decoded), text));
    buf_clear(&decoded);
    rpc_percent_decode(&decoded, slice_of_str("%zz%4%41%c3%"));
    assert_true(slice_equal(buf_slice(&decoded), slice_of_str("%zz%4A\xc3%")));
    buf_free(&encoded);
    buf_free(&decoded);
}

static void TestRpcStatus(void **state) {
    (void)state;
    assert_int_equal(rpc_status_parse(slice_of_str("0")), RPC_OK);
    assert_int_equal(rpc_status_parse(slice_of_str("16")), RPC_UNAUTHENTICATED);
    static const char *const bad[] = {"", "17", "-1", "x", "001", "4294967296"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(rpc_status_parse(slice_of_str(bad[i])), RPC_UNKNOWN);
    }
    assert_string_equal(rpc_status_name(RPC_DATA_LOSS), "DATA_LOSS");
    assert_string_equal(rpc_status_name((enum rpc_status)99), "UNKNOWN");
    assert_int_equal(rpc_status_of_http(404), RPC_UNIMPLEMENTED);
    assert_int_equal(rpc_status_of_http(503), RPC_UNAVAILABLE);
}

// Messages of all small sizes and some large, cut everywhere alike: each comes out whole, whatever the cut.
static void TestRpcFraming(void **state) {
    (void)state;
    struct buf stream = {0};
    static const uint32_t sizes[] = {0, 1, 2, 300, 0, 0, 5, 70000, 3, 0};
    const size_t count = ARRAY_COUNT(sizes);
    for (size_t i = 0; i < count; i++) {
        uint8_t prefix[RPC_PREFIX];
        rpc_prefix_write(prefix, sizes[i]);
        buf_append(&stream, prefix, sizeof prefix);
        memset(buf_reserve(&stream, sizes[i] + 1), (int)('a' + i), sizes[i]);
        stream.len += sizes[i];
    }
    for (size_t cut = 1; cut < 1000; cut += cut < 20 ? 1 : 97) {
        struct rpc_reader reader = {0};
        size_t seen = 0;
        for (size_t at = 0; at < stream.len; at += cut) {
            struct slice bytes = slice_of(stream.data + at, stream.len - at < cut ? stream.len - at : cut);
            while (bytes.len > 0) {
                struct slice message;
                if (rpc_reader_next(&reader, &bytes, &message) == RPC_READ_MORE) {
                    assert_int_equal(bytes.len, 0);
                    break;
                }
                assert_int_equal(message.len, sizes[seen]);
                for (size_t i = 0; i < message.len; i++) {
                    assert_int_equal(message.data[i], 'a' + seen);
                }
                seen++;
            }
        }
        assert_int_equal(seen, count);
        assert_true(rpc_reader_at_end(&reader));
        rpc_reader_free(&reader);
    }
    buf_free(&stream);
}

static void TestRpcFramingLimits(void **state) {
    (void)state;
    struct rpc_reader reader = {0};
    struct slice message, bytes = slice_of("\0\xff\xff\xff\xff", 5);
    assert_int_equal(rpc_reader_next(&reader, &bytes, &message), RPC_READ_TOO_LARGE);
    assert_null(reader.data);
    reader = (struct rpc_reader){0};
    bytes = slice_of("\1\0\0\0\0", 5);
    assert_int_equal(rpc_reader_next(&reader, &bytes, &message), RPC_READ_COMPRESSED);
    // What is announced costs nothing before it comes.
    reader = (struct rpc_reader){0};
    bytes = slice_of("\0\0\x40\0\0x", 6);
    assert_int_equal(rpc_reader_next(&reader, &bytes, &message), RPC_READ_MORE);
    assert_true(reader.cap < 1024);
    assert_false(rpc_reader_at_end(&reader));
    rpc_reader_free(&reader);
}

enum { TIMERS = 300 };

static unsigned fired_count;
static uint64_t fired_last_ms;

static void on_fire(struct rpc_timer *timer) {
    assert_true(timer->at_ms >= fired_last_ms);
    fired_last_ms = timer->at_ms;
    fired_count++;
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

// Compared with a linear search over all timers.
static void TestRpcTimers(void **state) {
    (void)state;
    uint64_t seed = 88172645463325252u;
    printf("seed %llu\n", (unsigned long long)seed);
    struct rpc_timers timers = {0};
    struct rpc_timer timer[TIMERS] = {0};
    uint64_t now = 0;
    for (unsigned step = 0; step < 20000; step++) {
        struct rpc_timer *one = &timer[next_random(&seed) % TIMERS];
        switch (next_random(&seed) % 4) {
        case 0:
            rpc_timers_stop(&timers, one);
            break;
        case 1:
            now += next_random(&seed) % 20;
            break;
        default:
            one->fire = on_fire;
            rpc_timers_start(&timers, one, now + next_random(&seed) % 1000);
            break;
        }
        unsigned due = 0;
        for (unsigned i = 0; i < TIMERS; i++) {
            due += rpc_timer_running(&timer[i]) && timer[i].at_ms <= now;
        }
        fired_count = 0;
        fired_last_ms = 0;
        rpc_timers_run(&timers, now);
        assert_int_equal(fired_count, due);
        uint64_t next = RPC_NEVER;
        for (unsigned i = 0; i < TIMERS; i++) {
            next = rpc_timer_running(&timer[i]) && timer[i].at_ms < next ? timer[i].at_ms : next;
        }
        assert_true(rpc_timers_next(&timers) == next);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        rpc_timers_stop(&timers, &timer[i]);
    }
    rpc_timers_free(&timers);
}

static void TestRpcSlots(void **state) {
    (void)state;
    struct rpc_handles handles = {0};
    int first, second;
    uint32_t index = rpc_handles_add(&handles, &first);
    uint32_t generation = handles.entries[index].generation;
    assert_int_not_equal(generation, 0);
    assert_null(rpc_handles_get(&handles, index, 0));
    assert_ptr_equal(rpc_handles_get(&handles, index, generation), &first);
    rpc_handles_remove(&handles, index);
    assert_null(rpc_handles_get(&handles, index, generation));
    assert_int_equal(rpc_handles_add(&handles, &second), index);
    assert_null(rpc_handles_get(&handles, index, generation));
    assert_null(rpc_handles_get(&handles, 1000, 1));
    rpc_handles_remove(&handles, index);
    handles.entries[index].generation = UINT32_MAX;  // after 2^32 objects: 0 is skipped
    rpc_handles_add(&handles, &first);
    assert_int_equal(handles.entries[index].generation, 1);
    rpc_handles_remove(&handles, index);
    rpc_handles_free(&handles);
}

static void TestRpcAddress(void **state) {
    (void)state;
    struct address parts;
    assert_int_equal(rpc_address_split("n1.example:7400", &parts, NULL), OK);
    assert_string_equal(parts.host, "n1.example");
    assert_string_equal(parts.port, "7400");
    assert_int_equal(rpc_address_split("[::1]:0", &parts, NULL), OK);
    assert_string_equal(parts.host, "::1");
    static const char *const bad[] = {"",         "n1",     "n1:",   ":7400", "::1:7400",
                                      "n1:65536", "n1:74x", "n1:-1", "[]:1",  "n1:000001"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(rpc_address_split(bad[i], &parts, NULL), ERR_INVALID);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestRpcTimeoutText), cmocka_unit_test(TestRpcPercentEncoding), cmocka_unit_test(TestRpcStatus),
    cmocka_unit_test(TestRpcFraming),     cmocka_unit_test(TestRpcFramingLimits),   cmocka_unit_test(TestRpcTimers),
    cmocka_unit_test(TestRpcSlots),       cmocka_unit_test(TestRpcAddress),
};

UNIT_MAIN(tests)
