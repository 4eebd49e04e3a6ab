// -o fields=: members by their paths, lists, texts with escapes, and what is not there.
#include <stdio.h>
#include <string.h>

#include "base/quote.h"
#include "ctl/fields.h"
#include "unit.h"

static void assert_fields(const char *paths, const char *json, const char *expected) {
    struct buf out = {0};
    struct error error = {0};
    assert_int_equal(fields_check(paths, &error), OK);
    fields_print(paths, slice_of_str(json), &out);
    buf_append(&out, "", 1);
    assert_string_equal((const char *)out.data, expected);
    buf_free(&out);
}

static void TestFields(void **state) {
    (void)state;
    const char list[] = "[{\"node\":\"n1\",\"term\":18446744073709551615,\"links\":{\"n2\":1.5,\"n3\":null}},"
                        "{\"node\":\"n2\",\"up\":true,\"links\":{}}]\n";
    assert_fields("node", list, "n1\nn2\n");
    assert_fields("term,node,up", list, "18446744073709551615\tn1\t\n\tn2\ttrue\n");
    assert_fields("links.n2,node", list, "1.5\tn1\n\tn2\n");
    assert_fields("links.n3", list, "\n\n");
    assert_fields("links", list, "{\"n2\":1.5,\"n3\":null}\n{}\n");
    assert_fields("node.deeper", list, "\n\n");
    assert_fields("nothing", list, "\n\n");
    // Lists within, also in the last place; columns that go different ways.
    const char deep[] =
        "{\"answer\":[\"a\",\"b\"],\"causes\":[{\"node\":\"n1\",\"fields\":{\"peer\":\"n2\"}},{\"node\":\"n3\"}]}\n";
    assert_fields("answer", deep, "a\nb\n");
    assert_fields("causes.node,causes.fields.peer", deep, "n1\tn2\nn3\t\n");
    assert_fields("answer,causes.node", deep, "[\"a\",\"b\"]\t\n");
    assert_fields("a", "[]\n", "");
    assert_fields("a", "{\"a\":[[1,2],[]]}\n", "1\n2\n");
    // Objects one after another, as of a watch.
    assert_fields("key", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n", "a\nb\n");
}

static void TestFieldsTexts(void **state) {
    (void)state;
    struct buf json = {0}, out = {0};
    const char text[] = "say \"x\\y\" [{,:}] \xe2\x82\xac\xf0\x9f\x98\x80";
    buf_append_str(&json, "{\"a\":");
    quote_json(&json, slice_of_str(text));
    buf_append_str(&json, ",\"b\":2}\n");
    fields_print("a,b", buf_slice(&json), &out);
    buf_append(&out, "", 1);
    char expected[128];
    snprintf(expected, sizeof expected, "%s\t2\n", text);
    assert_string_equal((const char *)out.data, expected);
    // A tab or newline in a value would be taken for the end of it.
    buf_clear(&json);
    buf_clear(&out);
    buf_append_str(&json, "{\"a\":");
    quote_json(&json, slice_of_str("x\ty\nz\x01"));
    buf_append_str(&json, "}\n");
    fields_print("a", buf_slice(&json), &out);
    assert_true(memchr(out.data, '\t', out.len) == NULL && memchr(out.data, '\n', out.len) == out.data + out.len - 1);
    buf_free(&json);
    buf_free(&out);
}

// Cut anywhere, it reads no byte that is not there.
static void TestFieldsCut(void **state) {
    (void)state;
    const char json[] = "[{\"a\":\"x\\\"\\u0001\",\"b\":[1,{\"c\":null}]},{\"a\":{}}]\n";
    for (size_t len = 0; len < sizeof json; len++) {
        char *copy = malloc(len + 1);
        memcpy(copy, json, len);
        struct buf out = {0};
        fields_print("a,b.c", slice_of(copy, len), &out);
        fields_print("b", slice_of(copy, len), &out);
        buf_free(&out);
        free(copy);
    }
}

static void TestFieldsCheck(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", ",", "a,", ",a", "a..b", ".a", "a.", "a,b,,c", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error error = {0};
        assert_int_equal(fields_check(wrong[i], &error), ERR_INVALID);
        assert_non_null(strstr(error.message, "such as fields=node,role"));
    }
    assert_int_equal(fields_check("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", NULL), OK);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestFields),
    cmocka_unit_test(TestFieldsTexts),
    cmocka_unit_test(TestFieldsCut),
    cmocka_unit_test(TestFieldsCheck),
};

UNIT_MAIN(tests)
