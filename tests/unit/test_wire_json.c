// Messages as JSON: the form, by examples; and by seed for messages of every type, that what is written is JSON, is read as
// the same message, and that no other bytes are read at all.
#include <jansson.h>

#include "wire/json.h"
#include "wire_env.h"

static struct slice written(const struct pb_type *type, const void *message) {
    buf_clear(&t.out);
    pb_json_write(type, message, &t.out);
    return buf_slice(&t.out);
}

static enum error_code read_members(const struct pb_type *type, const char *members, void *message) {
    return pb_json_read(&t.arena, type, text(members), message, &t.error);
}

// --- by examples ---

static void TestJsonForm(void **state) {
    (void)state;
    struct slice_pair labels[] = {{text("disk"), text("s\"s\\d\n")}, {text(""), text("\xff")}};
    struct pb_image_record record = {
        .record = PB_IMAGE_RECORD_RECORD_WORKER,
        .worker = {.has_registration = true,
                   .registration = {.worker_id = text("w1"), .slots = 4, .labels = labels, .labels_count = 2},
                   .epoch = UINT64_MAX},
    };
    assert_slice(written(&pb_image_record_type, &record),
                 "\"worker\":{\"registration\":{\"worker_id\":\"w1\",\"slots\":4,"
                 "\"labels\":[[\"disk\",\"s\\\"s\\\\d\\u000a\"],[\"\",[\"/w==\"]]]},\"epoch\":18446744073709551615}");
    struct pb_image_result results[] = {{.sequence = 1, .existed = true}, {.sequence = 2}};
    record = (struct pb_image_record){
        .record = PB_IMAGE_RECORD_RECORD_SESSION,
        .session = {.client_id = text("\xc3\xa9"), .results = results, .results_count = 2},
    };
    assert_slice(
        written(&pb_image_record_type, &record),
        "\"session\":{\"client_id\":\"\xc3\xa9\",\"results\":[{\"sequence\":1,\"existed\":true},{\"sequence\":2}]}");
    record = (struct pb_image_record){
        .record = PB_IMAGE_RECORD_RECORD_ITEM,
        .item = {.key = slice_of("\0k", 2), .revision = 7, .value = text("value")},
    };
    assert_slice(written(&pb_image_record_type, &record),
                 "\"item\":{\"key\":\"AGs=\",\"revision\":7,\"value\":\"dmFsdWU=\"}");
    record = (struct pb_image_record){.record = PB_IMAGE_RECORD_RECORD_META};
    assert_slice(written(&pb_image_record_type, &record), "\"meta\":{}");
    struct pb_put_request put = {.key = text("k"), .has_expected_revision = true};
    assert_slice(written(&pb_put_request_type, &put), "\"key\":\"aw==\",\"expected_revision\":0");
}

static void TestJsonRefused(void **state) {
    (void)state;
    static const struct {
        const char *members;
        const char *says;
    } cases[] = {
        {"\"item\":{\"key\":\"aw==\"},\"item\":{}", "byte 23 is not the name of a member that is known, and in its place"},
        {"\"item\":{},\"meta\":{}", "byte 11 is not the name of a member"},
        {"\"meta\":{},\"item\":{}", "byte 18 is not the only member of a oneof"},
        {"\"meta\":{\"zone\":1}", "byte 9 is not the name of a member"},
        {"\"meta\":{\"level\":1,\"time_unix_ms\":2}", "byte 19 is not the name of a member"},
        {"\"meta\":{\"level\":0}", "byte 18 is not behind a member that may be empty or zero"},
        {"\"meta\":{\"level\":01}", "byte 18 is not of a number of 64 bits without leading zeros"},
        {"\"meta\":{\"level\":4294967296}", "is not behind a number of 32 bits"},
        {"\"meta\":{\"items\":18446744073709551616}", "is not of a number of 64 bits"},
        {"\"meta\":{\"items\":-1}", "byte 17 is not a number"},
        {"\"meta\":{\"items\":1.0}", "byte 18 is not a comma"},
        {"\"meta\":{ \"items\":1}", "byte 9 is not the name"},
        {"\"meta\":{\"items\":1,}", "byte 19 is not the name"},
        {"\"meta\":{\"items\":1", "byte 18 is not an object's end"},
        {"\"meta\":{}}", "byte 10 is not the end"},
        {"\"meta\":[]", "byte 8 is not an object"},
        {"\"item\":{\"key\":\"\"}", "byte 17 is not behind a member that may be empty"},
        {"\"item\":{\"key\":\"aw=\"}", "byte 16 is not of base64"},
        {"\"item\":{\"key\":\"ax==\"}", "byte 16 is not of base64"},
        {"\"item\":{\"key\":\"aw==}", "byte 16 is not of a string that ends"},
        {"\"item\":{\"key\":7}", "byte 15 is not a string"},
        {"\"session\":{\"client_id\":\"\\u0041\"}", "byte 29 is not of an escape that is needed"},
        {"\"session\":{\"client_id\":\"\\u000A\"}", "byte 29 is not of an escape"},
        {"\"session\":{\"client_id\":\"\\/\"}", "byte 25 is not of an escape"},
        {"\"session\":{\"client_id\":\"\\n\"}", "byte 25 is not of an escape"},
        {"\"session\":{\"client_id\":\"\\u0000\"}", "is not behind a text of UTF-8 without NUL"},
        {"\"session\":{\"client_id\":\"\xff\"}", "is not behind a text of UTF-8 without NUL"},
        {"\"session\":{\"client_id\":\"a\n\"}", "is not a character or the text's end"},
        {"\"session\":{\"client_id\":[\"aw==\"]}", "is not behind bytes that are no text"},
        {"\"session\":{\"client_id\":[\"/w==\"}", "is not the end of an array"},
        {"\"session\":{\"results\":[]}", "byte 23 is not an object"},
        {"\"session\":{\"results\":[{},]}", "byte 26 is not an object"},
        {"\"session\":{\"results\":[{\"existed\":false}]}", "is not behind a member that may be empty"},
        {"\"session\":{\"results\":[{\"existed\":1}]}", "is not true or false"},
        {"\"worker\":{\"registration\":{\"labels\":[[\"a\"]]}}", "is not a comma"},
        {"\"worker\":{\"registration\":{\"labels\":[[\"a\",\"b\",\"c\"]]}}", "is not a pair's end"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pb_image_record record;
        assert_refused(read_members(&pb_image_record_type, cases[i].members, &record), ERR_MALFORMED, cases[i].says);
    }
}

static void TestJsonLimits(void **state) {
    (void)state;
    struct pb_image_result results[SESSION_RESULTS_MAX + 1] = {{.sequence = 1}};
    struct pb_image_session session = {.results = results, .results_count = SESSION_RESULTS_MAX};
    struct pb_image_session back;
    assert_ok(pb_json_read(&t.arena, &pb_image_session_type, written(&pb_image_session_type, &session), &back, &t.error));
    assert_int_equal(back.results_count, SESSION_RESULTS_MAX);
    session.results_count++;
    assert_refused(
        pb_json_read(&t.arena, &pb_image_session_type, written(&pb_image_session_type, &session), &back, &t.error),
        ERR_MALFORMED, "is not the end of an array with as many items as are allowed");
    struct arena small = {.limit = 1000};
    session.results_count--;
    struct slice members = written(&pb_image_session_type, &session);
    assert_refused(pb_json_read(&small, &pb_image_session_type, members, &back, &t.error), ERR_NO_MEMORY, "no memory");
    assert_int_equal(pb_json_read(&small, &pb_image_session_type, members, &back, NULL), ERR_NO_MEMORY);
    arena_free(&small);
}

// --- by seed ---

static bool has_double(const struct pb_type *type) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field_type *field = &type->fields[i];
        if (field->kind == PB_KIND_DOUBLE || (field->kind == PB_KIND_MESSAGE && has_double(field->message))) {
            return true;
        }
    }
    return false;
}

static const struct pb_type *type_without_double(void) {
    const struct pb_type *type = random_type();
    while (has_double(type)) {
        type = random_type();
    }
    return type;
}

// By another reader; numbers as reals, since it has no uint64.
static void assert_is_json(struct slice members) {
    struct buf object = {0};
    buf_append_str(&object, "{");
    buf_append_slice(&object, members);
    buf_append_str(&object, "}");
    json_error_t error;
    json_t *value =
        json_loadb((const char *)object.data, object.len, JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        fail_msg("%s: %.*s", error.text, (int)object.len, (const char *)object.data);
    }
    json_decref(value);
    buf_free(&object);
}

static void TestJsonEveryMessage(void **state) {
    (void)state;
    t.seed = random_seed("TestJsonEveryMessage");
    for (int round = 0; round < 10000; round++) {
        const struct pb_type *type = type_without_double();
        const void *message = decode_ok(type, pack(random_message(yardstick_of(type))));
        struct slice members = written(type, message);
        assert_is_json(members);
        void *back = grab(type->size);
        assert_ok(pb_json_read(&t.arena, type, members, back, &t.error));
        assert_true(pb_equal(type, message, back));
        arena_reset(&t.arena);
    }
}

// A piece of JSON that is almost right, in place of up to four bytes.
static void damage(struct buf *members) {
    static const char *const pieces[] = {"",  "\"", "\\", ",",    ":",       "{",       "}",       "[",        "]",
                                         "0", "1",  "a",  "true", "\\u0001", "\\u000f", "\\\"",    "\xc3\xa9", "\xff",
                                         "=", "==", "[]", "{}",   "\"\"",    "\n",      "\\u0041", "-",        "AA=="};
    size_t at = random_below(&t.seed, members->len + 1);
    size_t cut = random_below(&t.seed, 5);
    cut = cut < members->len - at ? cut : members->len - at;
    const char *piece = pieces[random_below(&t.seed, ARRAY_COUNT(pieces))];
    size_t len = strlen(piece);
    buf_reserve(members, len);
    memmove(members->data + at + len, members->data + at + cut, members->len - at - cut);
    memcpy(members->data + at, piece, len);
    members->len += len - cut;
}

// What is read has one form: bytes that are read are those that are written of it.
static void assert_canonical(const struct pb_type *type, struct slice members, size_t *accepted) {
    uint8_t *exact = mem_alloc(members.len);  // so that a read beyond the end is seen
    if (members.len > 0) {
        memcpy(exact, members.data, members.len);
    }
    void *message = grab(type->size);
    enum error_code code = pb_json_read(&t.arena, type, slice_of(exact, members.len), message, &t.error);
    if (code == OK) {
        assert_same_bytes(written(type, message), slice_of(exact, members.len));
        ++*accepted;
    } else {
        assert_int_equal(code, ERR_MALFORMED);
    }
    free(exact);
}

static void TestJsonOneForm(void **state) {
    (void)state;
    t.seed = random_seed("TestJsonOneForm");
    size_t accepted = 0;
    for (int round = 0; round < 2000; round++) {
        const struct pb_type *type = type_without_double();
        const void *message = decode_ok(type, pack(random_message(yardstick_of(type))));
        struct slice members = arena_copy(&t.arena, written(type, message));
        struct buf damaged = {0};
        for (int i = 0; i < 20; i++) {
            buf_clear(&damaged);
            buf_append_slice(&damaged, members);
            for (size_t k = 1 + random_below(&t.seed, 3); k > 0; k--) {
                damage(&damaged);
            }
            assert_canonical(type, buf_slice(&damaged), &accepted);
        }
        for (size_t len = 0; len < members.len && len < 400; len++) {
            assert_canonical(type, slice_of(members.data, len), &accepted);
        }
        buf_free(&damaged);
        arena_reset(&t.arena);
    }
    assert_true(accepted > 100);  // some damage makes another message
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(TestJsonForm),         WIRE_TEST(TestJsonRefused), WIRE_TEST(TestJsonLimits),
    WIRE_TEST(TestJsonEveryMessage), WIRE_TEST(TestJsonOneForm),
};

UNIT_MAIN(tests)
