// base: memory, buffers, errors, checksums, checks of outside text, log lines, metrics.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/array.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/rfc3339.h"
#include "base/slog.h"
#include "unit.h"

// Sizes that cannot be had are asked for on purpose; the sanitizer shall answer them like the C library.
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void assert_text(const struct buf *buf, const char *expected) {
    assert_int_equal(buf->len, strlen(expected));
    assert_memory_equal(buf->data, expected, buf->len);
}

static void TestBaseSlice(void **state) {
    (void)state;
    struct slice empty = {0};
    assert_true(slice_equal(empty, slice_of_str("")));
    assert_false(slice_equal(slice_of_str("a"), slice_of_str("ab")));
    assert_true(slice_compare(slice_of_str("a"), slice_of_str("ab")) < 0);
    assert_true(slice_compare(slice_of_str("b"), slice_of_str("ab")) > 0);
    assert_true(slice_compare(slice_of("\xff", 1), slice_of("\x01", 1)) > 0);
    assert_int_equal(slice_compare(empty, slice_of_str("")), 0);
    assert_true(slice_starts_with(slice_of_str("ab"), empty));
    assert_false(slice_starts_with(slice_of_str("ab"), slice_of_str("abc")));
}

// Without memory the process ends with its own status and says so; it never goes on with NULL.
static void TestBaseNoMemory(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        volatile size_t size = SIZE_MAX / 2;
        free(mem_alloc(size));
        _exit(0);
    }
    close(fds[1]);
    char said[4096];
    size_t len = 0;
    for (ssize_t n; len < sizeof said - 1 && (n = read(fds[0], said + len, sizeof said - 1 - len)) > 0;) {
        len += (size_t)n;
    }
    said[len] = '\0';
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_NO_MEMORY);
    assert_non_null(strstr(said, "out of memory"));
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(mem_try_alloc(huge));
    void *none = mem_alloc(0);
    assert_non_null(none);
    free(none);
}

static void TestBaseArena(void **state) {
    (void)state;
    struct arena arena = {0};
    uint8_t *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        size_t size = i * 37 + 1;
        pieces[i] = arena_alloc(&arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, size);
    }
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(pieces[i][0], i);
        assert_int_equal(pieces[i][i * 37], i);
    }
    struct slice copy = arena_copy(&arena, slice_of_str("kept"));
    assert_true(slice_equal(copy, slice_of_str("kept")));
    size_t held = arena.held;
    arena_reset(&arena);
    assert_true(arena.held > 0 && arena.held < held);
    // The block that was kept is used again from its beginning.
    assert_ptr_equal(arena_alloc(&arena, 1), pieces[0]);
    arena_free(&arena);
    assert_int_equal(arena.held, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free(&arena);
}

static void TestBaseArray(void **state) {
    (void)state;
    uint64_t *items = NULL;
    size_t cap = 0;
    size_t count = 0;
    array_reserve(items, cap, count);
    assert_null(items);
    assert_int_equal(cap, 0);
    array_reserve(items, cap, 1);
    assert_int_equal(cap, 16);
    size_t grown = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = cap;
        array_reserve(items, cap, i + 1);
        assert_true(cap > i);
        assert_true(cap == before || (cap == before * 2 && i == before));  // only when full, and doubled
        grown += cap != before;
        items[i] = i * i;
    }
    assert_int_equal(grown, 10);  // from 16 to 16,384
    for (size_t i = 0; i < 10000; i++) {
        assert_int_equal(items[i], i * i);
    }
    array_reserve(items, cap, 5);  // never shrinks
    assert_int_equal(cap, 16384);
    array_reserve(items, cap, 100000);  // beyond the double: exactly
    assert_int_equal(cap, 100000);
    items[99999] = 7;
    assert_int_equal(items[9999], 9999 * 9999);
    free(items);
}

// `cap` has the type of the struct's field, and `items` may be any lvalue.
static void TestBaseArrayTypes(void **state) {
    (void)state;
    struct {
        struct {
            char name[3];
        } *items;
        uint16_t cap;
        uint32_t count;
    } list = {0};
    for (; list.count < 100; list.count++) {
        array_reserve(list.items, list.cap, list.count + 1);
        memcpy(list.items[list.count].name, "ab", 3);
    }
    assert_int_equal(list.cap, 128);
    size_t all = UINT16_MAX;
    array_reserve(list.items, list.cap, all);
    assert_int_equal(list.cap, UINT16_MAX);
    assert_string_equal(list.items[99].name, "ab");
    free(list.items);
    static const int fixed[7];
    assert_int_equal(ARRAY_COUNT(fixed), 7);
}

// A capacity that does not fit its field is our own mistake: the process aborts before it would write beyond the array.
static void TestBaseArrayCapTooSmall(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        char *items = NULL;
        uint8_t cap = 0;
        size_t count = 300;
        array_reserve(items, cap, count);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void TestBaseArenaLimit(void **state) {
    (void)state;
    struct arena arena = {.limit = 10000};
    size_t got = 0;
    while (arena_alloc(&arena, 100) != NULL) {
        got += 100;
        assert_true(arena.held <= arena.limit);
    }
    assert_in_range(got, 8000, 10000);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 20));
    assert_null(arena_alloc(&arena, 20000));
    struct slice none = arena_copy(&arena, slice_of("x", 5000));
    assert_true(none.data == NULL && none.len == 0);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 8000));
    arena_free(&arena);
    assert_null(arena_alloc(&arena, SIZE_MAX / 2));
    arena_free(&arena);
}

static void TestBaseBuf(void **state) {
    (void)state;
    struct buf buf = {0};
    assert_non_null(buf_reserve(&buf, 0));
    buf_append_str(&buf, "");
    buf_append(&buf, NULL, 0);
    buf_append_u64(&buf, 0);
    buf_append_str(&buf, ",");
    buf_append_u64(&buf, UINT64_MAX);
    buf_printf(&buf, "|%05d|%s", 42, "text");
    assert_text(&buf, "0,18446744073709551615|00042|text");
    buf_clear(&buf);
    // Across every boundary of growth, by printf, whose NUL must find room too.
    struct buf expected = {0};
    for (int i = 0; i < 3000; i++) {
        buf_printf(&buf, "%d", i % 10);
        buf_append(&expected, &"0123456789"[i % 10], 1);
    }
    assert_int_equal(buf.len, 3000);
    assert_memory_equal(buf.data, expected.data, 3000);
    buf_free(&expected);
    buf_free(&buf);
    assert_null(buf.data);
}

static void TestBaseError(void **state) {
    (void)state;
    struct error error;
    assert_int_equal(error_set(&error, ERR_IO, "open %s: %s", "a", "denied"), ERR_IO);
    assert_int_equal(error_wrap(&error, "segment %d", 7), ERR_IO);
    assert_string_equal(error.message, "segment 7: open a: denied");
    assert_int_equal(error_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
    // A message of its own text, and one too long: cut, still terminated.
    error_set(&error, ERR_INVALID, "again: %s", error.message);
    assert_string_equal(error.message, "again: segment 7: open a: denied");
    char text[2 * ERROR_MESSAGE_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    error_set(&error, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
    error_wrap(&error, "outer");
    assert_memory_equal(error.message, "outer: xxx", 10);
    assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
    assert_string_equal(error_name(ERR_WAL_CORRUPT), "WAL_CORRUPT");
    assert_string_equal(error_name(OK), "ok");
    assert_int_equal(error_of_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(error_of_errno(EDQUOT), ERR_NO_SPACE);
    assert_int_equal(error_of_errno(EIO), ERR_IO);
}

static void TestBaseCrc32c(void **state) {
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
    uint8_t bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    uint32_t whole = crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    }
    // RFC 3720, appendix B.4: 32 bytes of zeros, and of ones.
    uint8_t same[32] = {0};
    assert_int_equal(crc32c(0, same, 32), 0x8a9136aa);
    memset(same, 0xff, 32);
    assert_int_equal(crc32c(0, same, 32), 0x62a8ab43);
}

static void TestBaseBase64(void **state) {
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        char text[16];
        size_t len = base64_encode(text, vectors[i][0], strlen(vectors[i][0]));
        assert_int_equal(len, base64_encoded_len(strlen(vectors[i][0])));
        assert_int_equal(len, strlen(vectors[i][1]));
        assert_memory_equal(text, vectors[i][1], len);
    }
    // Every value of every byte in every place, there and back, in buffers of exactly the size promised.
    for (size_t len = 0; len < 160; len++) {
        for (unsigned seed = 0; seed < 256; seed++) {
            uint8_t *bytes = malloc(len + 1);
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (uint8_t)(seed + i * 89);
            }
            size_t text_len = base64_encoded_len(len);
            char *text = malloc(text_len + 1);
            assert_int_equal(base64_encode(text, bytes, len), text_len);
            for (size_t i = 0; i < len; i += 3) {  // long data is encoded as each group by itself is
                char group[4];
                assert_int_equal(base64_encode(group, bytes + i, len - i < 3 ? len - i : 3), 4);
                assert_memory_equal(text + i / 3 * 4, group, 4);
            }
            uint8_t *back = malloc(text_len / 4 * 3 + 1);
            assert_int_equal(base64_decode(back, text, text_len), len);
            assert_memory_equal(back, bytes, len);
            free(bytes);
            free(text);
            free(back);
        }
    }
}

static void TestBaseBase64Strict(void **state) {
    (void)state;
    static const char *const bad[] = {"Z",      "Zg",   "Zg=",      "Zg===",    "Zh==",     "Zm9=",
                                      "====",   "Z===", "=g==",     "Zm=v",     "Zg==Zg==", "Zm8 ",
                                      "Zm9v\n", "Zm-_", "Zm9vZ===", "Zm9v====", "Zg==Zm9v", " Zg="};
    uint8_t out[16];
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (base64_decode(out, bad[i], strlen(bad[i])) != -1) {
            fail_msg("\"%s\" was decoded", bad[i]);
        }
    }
    assert_int_equal(base64_decode(out, "Zm\0v", 4), -1);
    // Each such character, wherever it is in a text that is longer than what is decoded at once.
    for (size_t at = 0; at < 128; at++) {
        char text[128];
        uint8_t decoded[96];
        memset(text, 'A', sizeof text);
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool valid = isalnum(c) || c == '+' || c == '/' || (c == '=' && at == sizeof text - 1);
            assert_int_equal(base64_decode(decoded, text, sizeof text), !valid     ? -1
                                                                        : c == '=' ? (ssize_t)sizeof decoded - 1
                                                                                   : (ssize_t)sizeof decoded);
        }
    }
    // Of all texts of four characters, exactly those decode that encode back to themselves.
    static const char some[] = "AZaz09+/=Q\x80";
    size_t n = sizeof some - 1;
    for (size_t i = 0; i < n * n * n * n; i++) {
        char text[4] = {some[i % n], some[i / n % n], some[i / n / n % n], some[i / n / n / n]};
        ssize_t len = base64_decode(out, text, 4);
        char again[4];
        if (len > 0) {
            assert_int_equal(base64_encode(again, out, (size_t)len), 4);
            assert_memory_equal(again, text, 4);
        } else {
            assert_int_equal(len, -1);
        }
    }
}

static bool id_ok(const char *text, size_t len) {
    return id_check(slice_of(text, len), "worker_id", NULL) == OK;
}

static void TestBaseIds(void **state) {
    (void)state;
    struct error error;
    char longest[ID_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_true(id_ok("n1", 2) && id_ok("A.b_c-9", 7) && id_ok(longest, ID_MAX));
    assert_false(id_ok("", 0) || id_ok(longest, ID_MAX + 1));
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool allowed = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", c) != NULL;
        assert_int_equal(id_ok(text, 3), allowed);
    }
    assert_int_equal(id_check(slice_of_str(""), "worker_id", &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "worker_id"));
    assert_int_equal(cloud_check(slice_of_str("aws"), "cloud", &error), OK);
    assert_int_equal(cloud_check(slice_of_str("gcp"), "cloud", &error), OK);
    assert_int_equal(cloud_check(slice_of_str("eu-west-1-zone-b"), "cloud", &error), OK);
    static const char *const refused[] = {"", "AWS", "eu_west", "eu.west", "eu west", "eu/west", "eu-west-1-zone-bb"};
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        assert_int_equal(cloud_check(slice_of_str(refused[i]), "cloud", &error), ERR_INVALID);
    }
    assert_int_equal(cloud_check(slice_of("aws", 4), "cloud", &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "cloud"));
    assert_int_equal(worker_cloud_check(slice_of_str("aws"), "cloud", &error), OK);
    assert_int_equal(worker_cloud_check(slice_of_str("eu"), "cloud", &error), ERR_INVALID);
}

static void TestBaseAddress(void **state) {
    (void)state;
    static const char *const good[] = {"n1:7400", "127.0.0.1:1", "[::1]:65535", "[fe80::1.2.3.4]:80",
                                       "a-b.c_d.example:7400"};
    static const char *const bad[] = {"",         "n1",        ":7400",    "n1:",         "n1:0",      "n1:65536",
                                      "n1:70000", "n1:123456", "n1:+1",    "n1:07",       "n1: 7",     "n1:7 ",
                                      "a b:7400", "::1:7400",  "[::1]",    "[:1",         "[]:1",      "[n1]:7400",
                                      "[::1",     "[::1]a:7",  "n1:7400/", "http://n1:1", "[::1%lo]:7"};
    struct error error;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_int_equal(address_check(slice_of_str(good[i]), "address", &error), OK);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        error.message[0] = '\0';
        if (address_check(slice_of_str(bad[i]), "address", &error) != ERR_INVALID) {
            fail_msg("\"%s\" was accepted", bad[i]);
        }
        assert_non_null(strstr(error.message, "address"));
    }
    assert_int_equal(address_check(slice_of("n1\0x:7", 6), "address", &error), ERR_INVALID);
    assert_int_equal(address_check(slice_of("[::1\0]:7", 8), "address", &error), ERR_INVALID);
    char name[300];
    memset(name, 'a', sizeof name);
    memcpy(name + 253, ":7", 2);
    assert_int_equal(address_check(slice_of(name, 255), "address", &error), OK);
    memcpy(name + 253, "a:7", 3);
    assert_int_equal(address_check(slice_of(name, 256), "address", &error), ERR_INVALID);
}

static void TestBaseUtf8(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    // Overlong forms, surrogates, beyond U+10FFFF, lone and missing continuation bytes.
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2x",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xe1\x80x",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf0\x90\x80x",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "ok\xfe"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(utf8_valid(slice_of_str(good[i])));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(utf8_valid(slice_of_str(bad[i])));
    }
    assert_false(utf8_valid(slice_of("a\0b", 3)));
    // Every code point in its only form.
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        uint8_t text[4];
        size_t len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = 0; i < len; i++) {
            uint32_t bits = cp >> (6 * (len - 1 - i));
            text[i] = i == 0 ? (uint8_t)(lead[len] | bits) : (uint8_t)(0x80 | (bits & 0x3f));
        }
        bool surrogate = cp >= 0xd800 && cp < 0xe000;
        assert_int_equal(utf8_valid(slice_of(text, len)), !surrogate);
    }
}

static void TestBaseRfc3339(void **state) {
    (void)state;
    char text[RFC3339_SIZE];
    rfc3339_format(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    rfc3339_format(text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    rfc3339_format(text, INT64_C(1709251199999));
    assert_string_equal(text, "2024-02-29T23:59:59.999Z");
    rfc3339_format(text, INT64_C(951782400000));  // the last day of 400 years
    assert_string_equal(text, "2000-02-29T00:00:00.000Z");
    rfc3339_format(text, INT64_MIN);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
    rfc3339_format(text, INT64_MAX);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    // Against the C library, every 13 hours and some from year 0 to 9999.
    for (int64_t s = INT64_C(-62167219200); s < INT64_C(253402300800); s += 48611 * 17) {
        time_t t = (time_t)s;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        char expected[64];
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.007Z", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        rfc3339_format(text, s * 1000 + 7);
        assert_string_equal(text, expected);
    }
    assert_true(llabs((long long)unix_ms_now() - (long long)time(NULL) * 1000) < 2000);
}

// Standard error goes into a pipe of packets meanwhile: one write is one read, so that a line that takes two is seen.
// seen.
struct capture {
    int saved;
    int fds[2];
    char line[64 * KIB];
};

static void capture_begin(struct capture *capture) {
    assert_int_equal(pipe2(capture->fds, O_DIRECT | O_NONBLOCK), 0);  // O_DIRECT: a pipe of packets
    capture->saved = dup(STDERR_FILENO);
    dup2(capture->fds[1], STDERR_FILENO);
}

// The one line written since; NUL-terminated, without its time=... when that is well-formed.
static const char *capture_line(struct capture *capture) {
    ssize_t n = read(capture->fds[0], capture->line, sizeof capture->line - 1);
    assert_true(n > 0);
    capture->line[n] = '\0';
    assert_int_equal(capture->line[n - 1], '\n');
    assert_ptr_equal(strchr(capture->line, '\n'), capture->line + n - 1);
    return capture->line;
}

static void capture_end(struct capture *capture) {
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    close(capture->fds[0]);
    close(capture->fds[1]);
}

static void assert_logged(struct capture *capture, const char *expected) {
    const char *line = capture_line(capture);
    assert_memory_equal(line, "time=20", 7);
    size_t skip = sizeof "time=2026-11-23T05:06:07.123Z" - 1;
    assert_int_equal(line[skip - 1], 'Z');
    assert_string_equal(line + skip, expected);
}

static void TestBaseSlog(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    slog_setup(SLOG_INFO, SLOG_LOGFMT, "n1");
    slog(SLOG_INFO, "an-event", "n1 transitioned from Follower to Candidate (term 3)", F_STR("from", "Follower"),
         F_U64("term", 3));
    assert_logged(&capture, " level=INFO node=n1 msg=\"n1 transitioned from Follower to Candidate (term 3)\" from=Follower "
                            "term=3 event=an-event\n");
    slog(SLOG_ERROR, "an-event", "short");
    assert_logged(&capture, " level=ERROR node=n1 msg=\"short\" event=an-event\n");
    slog_setup(SLOG_DEBUG, SLOG_LOGFMT, NULL);
    slog(SLOG_DEBUG, "an-event", "x", F_I64("i", -5), F_DOUBLE("d", 0.25), F_BOOL("b", false), F_STR("none", NULL),
         F_STR("e", ""));
    assert_logged(&capture, " level=DEBUG msg=\"x\" i=-5 d=0.25 b=false none=\"\" e=\"\" event=an-event\n");
    // What somebody sends stays one value of one line, and cannot drive a terminal.
    slog(SLOG_WARN, "an-event", "a\nb", F_STR("v", "x=\"y\" \\ \t\r\n"),
         F_BYTES("w", slice_of("\0\x1b[2J\x7f\xff\xc2\x9b", 9)), F_STR("u", "zürich"), F_STR("eq", "a=b"));
    assert_logged(&capture, " level=WARN msg=\"a\\nb\" v=\"x=\\\"y\\\" \\\\ \\t\\r\\n\" "
                            "w=\"\\x00\\x1b[2J\\x7f\\xff\\xc2\\x9b\" u=zürich eq=\"a=b\" event=an-event\n");
    // Below the level: nothing, and the fields are not even looked at.
    slog_setup(SLOG_WARN, SLOG_LOGFMT, NULL);
    int evaluated = 0;
    slog(SLOG_INFO, "an-event", "x", F_I64("i", ++evaluated));
    assert_int_equal(evaluated, 0);
    assert_int_equal(read(capture.fds[0], capture.line, 1), -1);
    slog_setup(SLOG_INFO, SLOG_LOGFMT, NULL);
    capture_end(&capture);
}

static void TestBaseSlogLimit(void **state) {
    (void)state;
    struct capture capture;
    struct slog_kind kind = {0};
    capture_begin(&capture);
    slog_setup(SLOG_INFO, SLOG_LOGFMT, NULL);
    for (unsigned i = 0; i < LOG_PER_SECOND; i++) {
        assert_true(slog_allowed(&kind, 5000 + i));
        assert_int_equal(kind.suppressed, 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(slog_allowed(&kind, 5999));
    }
    assert_true(slog_allowed(&kind, 6000));
    slog_write(&kind, SLOG_INFO, "e", "m", NULL, 0);
    assert_logged(&capture, " level=INFO msg=\"m\" suppressed=1000 event=e\n");
    assert_true(slog_allowed(&kind, 6000));
    slog_write(&kind, SLOG_INFO, "e", "m", NULL, 0);
    assert_logged(&capture, " level=INFO msg=\"m\" event=e\n");
    // The same of a call of slog, and of each by itself. It may take two seconds, or fall into two.
    unsigned lines = 0;
    for (unsigned i = 0; i < 1000; i++) {
        slog(SLOG_INFO, "e", "many");
        lines += read(capture.fds[0], capture.line, sizeof capture.line) > 0;
    }
    assert_in_range(lines, LOG_PER_SECOND, 10 * LOG_PER_SECOND);
    slog(SLOG_INFO, "e", "another");
    assert_logged(&capture, " level=INFO msg=\"another\" event=e\n");
    capture_end(&capture);
}

struct observed {
    unsigned count;
    const char *event;
    size_t fields;
};

static void observe(void *user, const char *event, const char *message, const struct slog_field *fields, size_t count) {
    struct observed *observed = user;
    assert_string_equal(message, "m");
    assert_string_equal(fields[0].key, "n");
    *observed = (struct observed){.count = observed->count + 1, .event = event, .fields = count};
}

// An observer hears of lines that are not written, too.
static void TestBaseSlogObserver(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    struct observed observed = {0};
    assert_false(slog_wanted(SLOG_DEBUG));
    slog_observe(observe, &observed);
    assert_true(slog_wanted(SLOG_DEBUG));
    slog(SLOG_DEBUG, "quiet", "m", F_U64("n", 1));
    assert_int_equal(observed.count, 1);
    assert_string_equal(observed.event, "quiet");
    assert_int_equal(read(capture.fds[0], capture.line, 1), -1);
    for (unsigned i = 0; i < 1000; i++) {
        slog(SLOG_INFO, "many", "m", F_U64("n", 1), F_U64("k", 2));
    }
    assert_int_equal(observed.count, 1001);
    assert_int_equal(observed.fields, 2);
    slog_observe(NULL, NULL);
    slog(SLOG_INFO, "none", "m", F_U64("n", 1));
    assert_int_equal(observed.count, 1001);
    capture_end(&capture);
}

// What is kept are the last lines, each whole.
static void TestBaseSlogKept(void **state) {
    (void)state;
    struct capture capture;
    struct slog_kind kind = {0};
    capture_begin(&capture);
    slog_keep(1000);
    struct buf kept = {0};
    slog_kept(&kept);
    assert_int_equal(kept.len, 0);
    for (unsigned i = 0; i < 200; i++) {
        const struct slog_field field = F_U64("i", i);
        slog_write(&kind, SLOG_INFO, "e", "m", &field, 1);
        const char *line = capture_line(&capture);
        buf_clear(&kept);
        slog_kept(&kept);
        assert_true(kept.len <= 1000 && kept.len >= strlen(line));
        assert_memory_equal(kept.data, "time=", 5);
        assert_memory_equal(kept.data + kept.len - strlen(line), line, strlen(line));
    }
    assert_true(kept.len > 1000 - 2 * 80);
    buf_free(&kept);
    capture_end(&capture);
}

static void TestBaseSlogLongValue(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    char *text = mem_alloc(1 * MIB);
    memset(text, 'x', 1 * MIB);
    slog(SLOG_INFO, "an-event", "long", F_BYTES("v", slice_of(text, 1 * MIB)));
    const char *line = capture_line(&capture);
    assert_true(strlen(line) < LOG_VALUE_MAX + 200);
    assert_string_equal(line + strlen(line) - 22, "xx...\" event=an-event\n");
    free(text);
    capture_end(&capture);
}

static void TestBaseSlogJson(void **state) {
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    slog_setup(SLOG_INFO, SLOG_JSON, "n1");
    // Every byte, alone and behind a character of two bytes.
    for (int c = 0; c < 256; c++) {
        char bytes[3] = {'\xc3', '\xa4', (char)c};
        struct slog_kind kind = {0};
        const struct slog_field fields[] = {F_BYTES("v", slice_of(bytes, 3)), F_DOUBLE("inf", (double)INFINITY),
                                            F_U64("n", 1ull << 60)};
        slog_write(&kind, SLOG_INFO, "an-event", "m \"q\"", fields, ARRAY_COUNT(fields));
        json_error_t error;
        json_t *line = json_loads(capture_line(&capture), JSON_ALLOW_NUL, &error);
        assert_non_null(line);
        assert_string_equal(json_string_value(json_object_get(line, "msg")), "m \"q\"");
        assert_string_equal(json_string_value(json_object_get(line, "node")), "n1");
        assert_int_equal(json_integer_value(json_object_get(line, "n")), 1ull << 60);
        assert_true(json_is_null(json_object_get(line, "inf")));
        char expected[8];
        int len = c < 128 ? snprintf(expected, sizeof expected, "\xc3\xa4%c", c) : 5;
        if (c >= 128) {
            memcpy(expected, "\xc3\xa4\xef\xbf\xbd", 5);
        }
        json_t *value = json_object_get(line, "v");
        assert_int_equal(json_string_length(value), len);
        assert_memory_equal(json_string_value(value), expected, (size_t)len);
        json_decref(line);
    }
    slog_setup(SLOG_INFO, SLOG_LOGFMT, NULL);
    capture_end(&capture);
    enum slog_level level;
    enum slog_format format;
    assert_true(slog_level_parse("warn", &level) && level == SLOG_WARN);
    assert_true(slog_format_parse("json", &format) && format == SLOG_JSON);
    assert_false(slog_level_parse("WARN", &level) || slog_level_parse("", &level) || slog_format_parse("xml", &format));
}

static void TestBaseMetricsText(void **state) {
    (void)state;
    struct metrics *metrics = metrics_new();
    static const double bounds[] = {0.1, 1, 2.5, 10000};
    struct metric *up = metrics_add(metrics, METRIC_GAUGE, "up", "A \\ and\na line", NULL);
    struct metric *a = metrics_add(metrics, METRIC_COUNTER, "calls_total", "Calls.", "peer=\"n2\"");
    struct histogram *h = metrics_add_histogram(metrics, "wait_ms", "Wait.", NULL, bounds, 4);
    struct metric *b = metrics_add(metrics, METRIC_COUNTER, "calls_total", "Calls.", "peer=\"n3\"");
    struct histogram *l = metrics_add_histogram(metrics, "wait_ms", "Wait.", "peer=\"n2\"", bounds, 1);
    metric_set(up, 0.1);
    metric_add(a, 9007199254740991);
    metric_add(b, 1);
    metric_add(b, 1);
    histogram_observe(h, 0.1);  // a bound belongs to its bucket
    histogram_observe(h, 2);
    histogram_observe(h, 1e6);
    histogram_observe(l, 0.05);
    struct buf out = {0};
    metrics_render(metrics, &out);
    assert_text(&out,
                "# HELP up A \\\\ and\\na line\n# TYPE up gauge\nup 0.1\n"
                "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
                "calls_total{peer=\"n2\"} 9007199254740991\ncalls_total{peer=\"n3\"} 2\n"
                "# HELP wait_ms Wait.\n# TYPE wait_ms histogram\n"
                "wait_ms_bucket{le=\"0.1\"} 1\nwait_ms_bucket{le=\"1\"} 1\nwait_ms_bucket{le=\"2.5\"} 2\n"
                "wait_ms_bucket{le=\"10000\"} 2\nwait_ms_bucket{le=\"+Inf\"} 3\nwait_ms_sum 1000002.1\nwait_ms_count 3\n"
                "wait_ms_bucket{peer=\"n2\",le=\"0.1\"} 1\nwait_ms_bucket{peer=\"n2\",le=\"+Inf\"} 1\n"
                "wait_ms_sum{peer=\"n2\"} 0.05\nwait_ms_count{peer=\"n2\"} 1\n");
    metrics_forget(metrics, "peer=\"n2\"");
    buf_clear(&out);
    metrics_render(metrics, &out);
    assert_null(memmem(out.data, out.len, "n2", 2));
    assert_non_null(memmem(out.data, out.len, "n3", 2));
    metric_add(metrics_add(metrics, METRIC_COUNTER, "calls_total", "Calls.", "peer=\"n2\""), 1);  // begins anew
    metrics_forget(metrics, "peer=\"n3\"");
    buf_clear(&out);
    metrics_render(metrics, &out);
    assert_non_null(memmem(out.data, out.len, "calls_total{peer=\"n2\"} 1\n", 25));
    buf_free(&out);
    metrics_free(metrics);
    metrics_free(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestBaseSlice),
    cmocka_unit_test(TestBaseNoMemory),
    cmocka_unit_test(TestBaseArena),
    cmocka_unit_test(TestBaseArenaLimit),
    cmocka_unit_test(TestBaseArray),
    cmocka_unit_test(TestBaseArrayTypes),
    cmocka_unit_test(TestBaseArrayCapTooSmall),
    cmocka_unit_test(TestBaseBuf),
    cmocka_unit_test(TestBaseError),
    cmocka_unit_test(TestBaseCrc32c),
    cmocka_unit_test(TestBaseBase64),
    cmocka_unit_test(TestBaseBase64Strict),
    cmocka_unit_test(TestBaseIds),
    cmocka_unit_test(TestBaseAddress),
    cmocka_unit_test(TestBaseUtf8),
    cmocka_unit_test(TestBaseRfc3339),
    cmocka_unit_test(TestBaseSlog),
    cmocka_unit_test(TestBaseSlogLimit),
    cmocka_unit_test(TestBaseSlogObserver),
    cmocka_unit_test(TestBaseSlogKept),
    cmocka_unit_test(TestBaseSlogLongValue),
    cmocka_unit_test(TestBaseSlogJson),
    cmocka_unit_test(TestBaseMetricsText),
};

UNIT_MAIN(tests)
