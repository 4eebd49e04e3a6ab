// base/address.h: what is an address, what its parts are, and that nothing else passes.
#include <string.h>

#include "base/address.h"
#include "base/array.h"
#include "base/limits.h"
#include "random.h"
#include "unit.h"

enum { ROUNDS = 200000 };

static enum error_code parse(const char *text, enum address_port port, struct address *address) {
    return address_parse(slice_of_str(text), "address", port, address, NULL);
}

static void assert_parts(const char *text, enum address_port port, const char *host, const char *digits, unsigned number) {
    struct address address;
    if (parse(text, port, &address) != OK) {
        fail_msg("\"%s\" was refused", text);
    }
    assert_string_equal(address.host, host);
    assert_string_equal(address.port, digits);
    assert_int_equal(address.port_number, number);
}

static void TestAddressParts(void **state) {
    (void)state;
    assert_parts("n1.example:7400", ADDRESS_PORT_CONNECT, "n1.example", "7400", 7400);
    assert_parts("10.0.0.1:1", ADDRESS_PORT_CONNECT, "10.0.0.1", "1", 1);
    assert_parts("[::1]:65535", ADDRESS_PORT_CONNECT, "::1", "65535", 65535);
    assert_parts("[fe80::1.2.3.4]:80", ADDRESS_PORT_LISTEN, "fe80::1.2.3.4", "80", 80);
    assert_parts("[::]:0", ADDRESS_PORT_LISTEN, "::", "0", 0);
    assert_parts("localhost:0", ADDRESS_PORT_OPTIONAL, "localhost", "0", 0);
    assert_parts("localhost", ADDRESS_PORT_OPTIONAL, "localhost", "", 0);
    assert_parts("[::1]", ADDRESS_PORT_OPTIONAL, "::1", "", 0);
    assert_parts("[::1]:7480", ADDRESS_PORT_OPTIONAL, "::1", "7480", 7480);
}

// Each is refused whatever may stand for the port, with a message that begins with the field and ends as given here.
static void TestAddressRefused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *hint;
    } bad[] = {
        {"", "give HOST:PORT"},
        {":", "an IPv6 address]"},
        {":7400", "an IPv6 address]"},
        {"n1:", "65535"},
        {"n1:65536", "65535"},
        {"n1:99999", "65535"},
        {"n1:123456", "65535"},
        {"n1:18446744073709551617", "65535"},
        {"n1:00", "65535"},
        {"n1:07", "65535"},
        {"n1:+1", "65535"},
        {"n1:-1", "65535"},
        {"n1: 7", "65535"},
        {"n1:7 ", "65535"},
        {"n1:7400/", "65535"},
        {"n1:0x50", "65535"},
        {" n1:7400", "an IPv6 address]"},
        {"a b:7400", "an IPv6 address]"},
        {"http://n1:1", "an IPv6 address]"},
        {"n\xc3\xa4:7400", "an IPv6 address]"},
        {"::1:7400", "an IPv6 address]"},
        {"n1:7400:7400", "an IPv6 address]"},
        {"[", ""},
        {"]", ""},
        {"[]", ""},
        {"[::1", "an IPv6 address]"},
        {"[::1:7400", "an IPv6 address]"},
        {"::1]:7400", "an IPv6 address]"},
        {"[[::1]]:7400", "an IPv6 address]"},
        {"[]:7400", "an IPv6 address]"},
        {"[:7400", "an IPv6 address]"},
        {"[n1]:7400", "an IPv6 address]"},
        {"[10.0.0.1]:7400", "an IPv6 address]"},
        {"[::1]a:7400", "an IPv6 address]"},
        {"a[::1]:7400", "an IPv6 address]"},
        {"[::1%lo]:7400", "an IPv6 address]"},
        {"[::12345]:7400", "an IPv6 address]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        for (enum address_port port = ADDRESS_PORT_CONNECT; port <= ADDRESS_PORT_OPTIONAL; port++) {
            struct address address;
            struct error error = {0};
            enum error_code code = address_parse(slice_of_str(bad[i].text), "--listen", port, &address, &error);
            size_t len = strlen(error.message);
            size_t hint_len = strlen(bad[i].hint);
            if (code != ERR_INVALID || strncmp(error.message, "--listen ", 9) != 0 || len < hint_len ||
                strcmp(error.message + len - hint_len, bad[i].hint) != 0) {
                fail_msg("\"%s\": %s, \"%s\"", bad[i].text, error_name(code), error.message);
            }
        }
    }
}

static void TestAddressPortKinds(void **state) {
    (void)state;
    struct address address;
    struct error error;
    assert_int_equal(parse("n1:0", ADDRESS_PORT_CONNECT, &address), ERR_INVALID);
    assert_int_equal(parse("n1", ADDRESS_PORT_CONNECT, &address), ERR_INVALID);
    assert_int_equal(parse("n1", ADDRESS_PORT_LISTEN, &address), ERR_INVALID);
    assert_int_equal(parse("[::1]", ADDRESS_PORT_LISTEN, &address), ERR_INVALID);
    assert_int_equal(address_check(slice_of_str("n1:0"), "address", &error), ERR_INVALID);
    assert_string_equal(error.message, "address has no valid port; give one of 1 to 65535");
    assert_int_equal(address_parse(slice_of_str("n1:x"), "--http", ADDRESS_PORT_LISTEN, &address, &error), ERR_INVALID);
    assert_string_equal(error.message, "--http has no valid port; give one of 0 to 65535");
    assert_int_equal(address_check(slice_of_str("n1"), "address", &error), ERR_INVALID);
    assert_string_equal(error.message, "address has no port; give HOST:PORT");
}

static void TestAddressRawBytes(void **state) {
    (void)state;
    static const struct slice bad[] = {
        {(const uint8_t *)"n1\0x:7", 6}, {(const uint8_t *)"\0:7", 3},         {(const uint8_t *)"n1:7\0", 5},
        {(const uint8_t *)"n1:\0", 4},   {(const uint8_t *)"[::1\0]:7", 8},    {(const uint8_t *)"[::1]\0:7", 8},
        {(const uint8_t *)"n1\0", 3},    {(const uint8_t *)"[::1\0::]:7", 10}, {NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct address address;
        assert_int_equal(address_parse(bad[i], "address", ADDRESS_PORT_OPTIONAL, &address, NULL), ERR_INVALID);
    }
}

static void TestAddressLength(void **state) {
    (void)state;
    char text[ADDRESS_MAX + 10];
    struct address address;
    struct error error;
    memset(text, 'a', sizeof text);
    memcpy(text + HOST_MAX, ":7", 2);
    assert_int_equal(address_parse(slice_of(text, HOST_MAX + 2), "address", ADDRESS_PORT_CONNECT, &address, NULL), OK);
    assert_int_equal(strlen(address.host), HOST_MAX);
    memcpy(text + HOST_MAX, "a:7", 3);
    assert_int_equal(address_check(slice_of(text, HOST_MAX + 3), "address", &error), ERR_INVALID);
    assert_string_equal(error.message, "address has 256 bytes; at most 255 are allowed");
    memset(text, 'a', sizeof text);
    assert_int_equal(address_parse(slice_of(text, HOST_MAX), "host", ADDRESS_PORT_OPTIONAL, &address, NULL), OK);
    assert_int_equal(address_parse(slice_of(text, HOST_MAX + 1), "host", ADDRESS_PORT_OPTIONAL, &address, NULL),
                     ERR_INVALID);
    memset(text + 1, ':', sizeof text - 1);
    text[0] = '[';
    memcpy(text + 200, "]:1", 3);  // far longer than any IPv6 address
    assert_int_equal(address_check(slice_of(text, 203), "address", NULL), ERR_INVALID);
}

static void TestAddressReach(void **state) {
    (void)state;
    static const char *const loopback[] = {"127.0.0.1:7400", "127.1.2.3:7400",      "127.1:7400",  "0x7f.1:1",
                                           "0177.0.0.1:1",   "localhost:1",         "Localhost:1", "[::1]:7400",
                                           "[0:0::1]:1",     "[::ffff:127.0.0.1]:1"};
    static const char *const wildcard[] = {"0.0.0.0:7400",  "0.0.0.0:0",           "0:1",           "0x0:1",
                                           "0.0:1",         "000.000.000.000:1",   "00000:1",       "[::]:7400",
                                           "[0::0]:1",      "[0:0:0:0:0:0:0:0]:1", "[::0.0.0.0]:1", "[::ffff:0.0.0.0]:1",
                                           "[::ffff:0:0]:1"};
    static const char *const neither[] = {"10.0.0.1:7400",
                                          "n1:7400",
                                          "localhost.example:1",
                                          "[fd00::1]:7400",
                                          "127.evil.example:1",
                                          "127.0.0.1.example:1",
                                          "1270.0.0.1:1",
                                          "0.0.0.0.example:1",
                                          "0.0.0.0.0:1",
                                          "0.0.0.1:1",
                                          "[::ffff:10.0.0.1]:1",
                                          "[::ffff:0:1]:1",
                                          "[::2]:1"};
    for (size_t i = 0; i < ARRAY_COUNT(loopback); i++) {
        assert_true(address_is_loopback(loopback[i]) && !address_is_wildcard(loopback[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(wildcard); i++) {
        assert_true(!address_is_loopback(wildcard[i]) && address_is_wildcard(wildcard[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(neither); i++) {
        assert_true(!address_is_loopback(neither[i]) && !address_is_wildcard(neither[i]));
    }
}

// Whatever is accepted has no other spelling: its parts, put together, are the text itself.
static void assert_canonical(struct slice text, const struct address *address) {
    char again[ADDRESS_MAX + 8];
    bool bracketed = strchr(address->host, ':') != NULL;
    int len = snprintf(again, sizeof again, "%s%s%s%s%s", bracketed ? "[" : "", address->host, bracketed ? "]" : "",
                       address->port[0] == '\0' ? "" : ":", address->port);
    if (!slice_equal(text, slice_of(again, (size_t)len))) {
        fail_msg("\"%.*s\" was read as \"%s\"", (int)text.len, (const char *)text.data, again);
    }
    assert_int_equal(strtoul(address->port, NULL, 10), address->port_number);
}

static void TestAddressRandom(void **state) {
    (void)state;
    static const char *const seeds[] = {"n1.example:7400", "[::1]:65535", "10.0.0.1:0", "[fe80::1.2.3.4]:80", "localhost"};
    static const char bytes[] = "0123456789:[].-_%/ aAfFxX\0\n\x80\xff";
    uint64_t random = random_seed("TestAddressRandom");
    size_t accepted = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        const char *seed = seeds[random_below(&random, ARRAY_COUNT(seeds))];
        size_t len = strlen(seed);
        uint8_t *text = malloc(len + 1);  // of exactly its length, for the sanitizer
        assert_non_null(text);
        memcpy(text, seed, len);
        for (size_t edits = random_below(&random, 4); edits > 0; edits--) {
            text[random_below(&random, len)] = (uint8_t)bytes[random_below(&random, sizeof bytes - 1)];
        }
        size_t from = random_below(&random, 8) == 0 ? random_below(&random, len) : 0;
        size_t to = random_below(&random, 8) == 0 ? from + random_below(&random, len - from + 1) : len;
        uint8_t *exact = malloc(to - from + (to == from));
        assert_non_null(exact);
        memcpy(exact, text + from, to - from);
        struct address address;
        enum address_port port = (enum address_port)random_below(&random, 3);
        if (address_parse(slice_of(exact, to - from), "address", port, &address, NULL) == OK) {
            assert_canonical(slice_of(exact, to - from), &address);
            assert_true(port == ADDRESS_PORT_OPTIONAL || address.port[0] != '\0');
            assert_true(port != ADDRESS_PORT_CONNECT || address.port_number != 0);
            accepted++;
        }
        free(exact);
        free(text);
    }
    assert_in_range(accepted, ROUNDS / 10, ROUNDS - ROUNDS / 10);  // both outcomes are common
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestAddressParts),    cmocka_unit_test(TestAddressRefused), cmocka_unit_test(TestAddressPortKinds),
    cmocka_unit_test(TestAddressRawBytes), cmocka_unit_test(TestAddressLength),  cmocka_unit_test(TestAddressReach),
    cmocka_unit_test(TestAddressRandom),
};

UNIT_MAIN(tests)
