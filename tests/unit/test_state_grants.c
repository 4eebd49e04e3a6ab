// Grants in the state machine: what is permitted, what a change leaves, and how many there can be.
#include <stdio.h>
#include <string.h>

#include "state/image.h"
#include "state_machine.h"
#include "wire/json.h"

static void grant(const char *subject, uint32_t verbs, const char *prefix) {
    apply_to(&m, (struct pb_command){.op = PB_COMMAND_OP_ACCESS_GRANT,
                                     .level = 3,
                                     .access_grant = {.subject = text(subject), .verbs = verbs, .prefix = text(prefix)}});
}

static void revoke(const char *subject, uint32_t verbs, const char *prefix) {
    apply_to(&m, (struct pb_command){.op = PB_COMMAND_OP_ACCESS_REVOKE,
                                     .level = 3,
                                     .access_revoke = {.subject = text(subject), .verbs = verbs, .prefix = text(prefix)}});
}

static bool may(const char *subject, uint32_t verb, const char *scope) {
    return state_is_granted(m.state, text(subject), verb, text(scope));
}

static bool write_down(void *user, const struct state_grant *grant) {
    struct buf *out = user;
    buf_printf(out, "%.*s %u \"%.*s\" %llu\n", (int)grant->subject.len, (const char *)grant->subject.data, grant->verbs,
               (int)grant->prefix.len, (const char *)grant->prefix.data, (unsigned long long)grant->revision);
    return true;
}

static void assert_grants(const char *subject, const char *expected) {
    struct buf out = {0};
    state_grants(m.state, text(subject), write_down, &out);
    buf_append(&out, "", 1);
    assert_string_equal((const char *)out.data, expected);
    buf_free(&out);
}

static void TestGrantsPermitByPrefix(void **state) {
    (void)state;
    assert_false(may("program/a", PB_ACCESS_VERB_GET, "jobs/1"));
    grant("program/a", PB_ACCESS_VERB_GET | PB_ACCESS_VERB_LIST, "jobs/");
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_int_equal(m.result.revision, m.index);
    assert_true(may("program/a", PB_ACCESS_VERB_GET, "jobs/1"));
    assert_true(may("program/a", PB_ACCESS_VERB_GET, "jobs/"));
    assert_true(may("program/a", PB_ACCESS_VERB_LIST, "jobs/x"));
    assert_false(may("program/a", PB_ACCESS_VERB_GET, "jobs"));
    assert_false(may("program/a", PB_ACCESS_VERB_LIST, ""));  // more than what is granted has this prefix
    assert_false(may("program/a", PB_ACCESS_VERB_PUT, "jobs/1"));
    // Of that very subject alone.
    assert_false(may("program/ab", PB_ACCESS_VERB_GET, "jobs/1"));
    assert_false(may("program/", PB_ACCESS_VERB_GET, "jobs/1"));
    assert_false(may("operator/a", PB_ACCESS_VERB_GET, "jobs/1"));
    assert_true(state_has_grant(m.state, text("program/a")));
    assert_false(state_has_grant(m.state, text("program/ab")));
    grant("operator/a", PB_ACCESS_VERB_PUT, "");
    assert_true(may("operator/a", PB_ACCESS_VERB_PUT, "") && may("operator/a", PB_ACCESS_VERB_PUT, "jobs/1"));
}

static void TestGrantsAddUpAndEnd(void **state) {
    (void)state;
    grant("program/b", PB_ACCESS_VERB_GET, "x");
    grant("program/a", PB_ACCESS_VERB_GET, "y");
    grant("program/a", PB_ACCESS_VERB_GET, "");
    grant("program/b", PB_ACCESS_VERB_PUT, "x");
    assert_grants("", "program/a 1 \"\" 3\nprogram/a 1 \"y\" 2\nprogram/b 3 \"x\" 4\n");
    assert_grants("program/b", "program/b 3 \"x\" 4\n");
    assert_grants("program/", "");
    revoke("program/b", PB_ACCESS_VERB_WATCH, "x");
    assert_false(m.result.existed);
    revoke("program/b", PB_ACCESS_VERB_GET, "");  // of exactly this prefix there is none
    assert_false(m.result.existed);
    revoke("program/b", PB_ACCESS_VERB_GET, "x");
    assert_true(m.result.existed);
    assert_grants("program/b", "program/b 2 \"x\" 7\n");
    revoke("program/b", 127, "x");
    assert_true(m.result.existed);
    assert_false(state_has_grant(m.state, text("program/b")));
    assert_grants("", "program/a 1 \"\" 3\nprogram/a 1 \"y\" 2\n");
}

// What no leader proposes, but a log may hold, changes nothing: an image of it could not be loaded.
static void TestGrantsOfNobody(void **state) {
    (void)state;
    static const char *const subjects[] = {"nobody", "node/n1", "program/", "program/a b", "programs/a", "worker/w1"};
    for (size_t i = 0; i < ARRAY_COUNT(subjects); i++) {
        grant(subjects[i], PB_ACCESS_VERB_GET, "");
        assert_false(state_has_grant(m.state, text(subjects[i])));
        assert_false(state_is_subject(text(subjects[i])));
    }
    grant("program/a", 0, "");
    assert_grants("", "");
}

static void TestGrantsAreBounded(void **state) {
    (void)state;
    char subject[32];
    char prefix[16];
    for (size_t i = 0; i < GRANTS_MAX; i++) {
        snprintf(subject, sizeof subject, "program/%03zu", i / GRANTS_SUBJECT_MAX);
        snprintf(prefix, sizeof prefix, "p%zu", i % GRANTS_SUBJECT_MAX);
        grant(subject, PB_ACCESS_VERB_GET, prefix);
        assert_int_equal(m.result.outcome, STATE_DONE);
        if (i == GRANTS_SUBJECT_MAX - 1) {
            grant("program/000", PB_ACCESS_VERB_GET, "more");
            assert_int_equal(m.result.outcome, STATE_TOO_MANY);
            grant("program/000", PB_ACCESS_VERB_PUT, "p0");  // no further one
            assert_int_equal(m.result.outcome, STATE_DONE);
        }
    }
    grant("program/new", PB_ACCESS_VERB_GET, "");
    assert_int_equal(m.result.outcome, STATE_TOO_MANY);
    assert_false(state_has_grant(m.state, text("program/new")));
    revoke("program/000", 127, "p0");
    grant("program/new", PB_ACCESS_VERB_GET, "");
    assert_int_equal(m.result.outcome, STATE_DONE);
}

// --- images ---

static uint64_t write_image(struct state *state, struct buf *lines) {
    struct state_version *version = state_version_new(state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    buf_clear(lines);
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, lines);
        buf_append_str(lines, "\n");
    }
    uint64_t digest = state_version_digest(version);
    assert_int_equal(state_records_digest(records), digest);
    state_records_free(records);
    state_version_release(state, version);
    return digest;
}

// NULL: refused, for the reason in *error.
static struct state *load_image(struct slice lines, uint64_t digest, struct error *error) {
    struct state_loader *loader = state_loader_new();
    struct arena arena = {.limit = MIB};
    struct state *state = NULL;
    enum error_code code = OK;
    while (code == OK && lines.len > 0) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        struct slice line = slice_of(lines.data, (size_t)(end - lines.data));
        struct pb_image_record record;
        arena_reset(&arena);
        code = pb_json_read(&arena, &pb_image_record_type, line, &record, error);
        if (code == OK) {
            code = state_loader_add(loader, &record, error);
        }
        lines = slice_of(end + 1, lines.len - line.len - 1);
    }
    if (code == OK) {
        state_loader_finish(loader, digest, &state, error);
    }
    state_loader_free(loader);
    arena_free(&arena);
    return state;
}

static const char image_of_level_2[] =
    "\"meta\":{\"last_applied\":4,\"time_unix_ms\":5,\"level\":2,\"sessions\":1,\"workers\":1,\"items\":1"
    ",\"without_effect\":\"AQ==\",\"command_bytes\":20}\n"
    "\"session\":{\"client_id\":\"c1\",\"last_used\":2,\"held_from\":1,\"results\":[{\"sequence\":1,\"fin"
    "gerprint\":5781744207392531044,\"revision\":2}]}\n"
    "\"worker\":{\"registration\":{\"worker_id\":\"w1\",\"instance_id\":\"i\",\"address\":\"10.0.0.1:9000"
    "\",\"cloud\":\"gcp\",\"slots\":4,\"labels\":[[\"zone\",\"b\"]]},\"epoch\":3,\"first_epoch\":3,\"sinc"
    "e_index\":3}\n"
    "\"item\":{\"key\":\"Z3JlZXRpbmc=\",\"revision\":2,\"value\":\"aGVsbG8=\"}\n";

// The image and the digest of a state without grants are those that the version before grants has made, and made of.
static void TestGrantsLeaveOlderImagesAsTheyAre(void **state) {
    (void)state;
    struct buf lines = {0};
    struct error error = {0};
    apply_to(&m, (struct pb_command){.op = PB_COMMAND_OP_RAISE_LEVEL, .time_unix_ms = 5, .raise_level = {.level = 2}});
    apply_to(&m, in_session(put_command("greeting", "hello"), "c1", 1, 0));
    apply_to(&m, register_command("w1", "i", "10.0.0.1:9000"));
    apply_to(&m, delete_command("missing"));
    uint64_t digest = write_image(m.state, &lines);
    assert_int_equal(lines.len, sizeof image_of_level_2 - 1);
    assert_memory_equal(lines.data, image_of_level_2, lines.len);
    assert_int_equal(digest, UINT64_C(0x87b0e13962a3c832));
    struct state *loaded = load_image(buf_slice(&lines), digest, &error);
    assert_non_null(loaded);
    assert_int_equal(state_digest(loaded), digest);
    state_free(loaded);
    buf_free(&lines);
}

// A loaded state permits the same, and its image is the same; a grant that ends leaves nothing behind.
static void TestGrantsInImages(void **state) {
    (void)state;
    struct buf lines = {0};
    struct buf again = {0};
    struct error error = {0};
    char longest[KEY_MAX + 1];
    memset(longest, 'p', KEY_MAX);
    longest[KEY_MAX] = '\0';
    grant("program/b", PB_ACCESS_VERB_GET, longest);
    grant("program/a", PB_ACCESS_VERB_WATCH, "x");
    grant("operator/a", PB_ACCESS_VERB_ADMIN, "");
    uint64_t digest = write_image(m.state, &lines);
    struct state *loaded = load_image(buf_slice(&lines), digest, &error);
    if (loaded == NULL) {
        fail_msg("%s", error.message);
    }
    assert_true(state_is_granted(loaded, text("program/a"), PB_ACCESS_VERB_WATCH, text("xy")));
    assert_true(state_is_granted(loaded, text("program/b"), PB_ACCESS_VERB_GET, text(longest)));
    assert_int_equal(write_image(loaded, &again), digest);
    assert_true(slice_equal(buf_slice(&lines), buf_slice(&again)));
    struct state_version *before = state_version_new(m.state);
    revoke("program/a", 127, "x");
    assert_int_equal(state_version_digest(before), digest);  // a version stays as it is
    state_version_release(m.state, before);
    assert_int_not_equal(state_digest(m.state), digest);
    state_free(loaded);
    buf_free(&lines);
    buf_free(&again);
}

static void TestGrantsRefusedInImages(void **state) {
    (void)state;
    static const struct {
        const char *lines;
        const char *says;
    } cases[] = {
        {"\"meta\":{\"grants\":1}\n", "fewer records than the image states"},
        {"\"meta\":{\"grants\":1025}\n", "1025 grants; at most 1024 are possible"},
        {"\"meta\":{\"last_applied\":9}\n\"grant\":{\"subject\":\"program/a\",\"verbs\":1,\"revision\":1}\n",
         "more grants than the image states"},
        {"\"meta\":{\"grants\":1}\n\"grant\":{\"subject\":\"program/a\",\"verbs\":1,\"revision\":1}\n",
         "a grant whose revision is not that of an entry"},
        {"\"meta\":{\"last_applied\":9,\"grants\":1}\n\"grant\":{\"subject\":\"program/a\",\"revision\":1}\n",
         "a grant of nobody or of nothing"},
        {"\"meta\":{\"last_applied\":9,\"grants\":1}\n\"grant\":{\"subject\":\"nobody\",\"verbs\":1,\"revision\":1}\n",
         "a grant of nobody or of nothing"},
        {"\"meta\":{\"last_applied\":9,\"grants\":2}\n"
         "\"grant\":{\"subject\":\"program/b\",\"verbs\":1,\"revision\":1}\n"
         "\"grant\":{\"subject\":\"program/a\",\"verbs\":1,\"revision\":1}\n",
         "a key that is not behind the one before it"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error = {0};
        assert_null(load_image(slice_of_str(cases[i].lines), 0, &error));
        if (strstr(error.message, cases[i].says) == NULL) {
            fail_msg("%s instead of %s", error.message, cases[i].says);
        }
    }
}

static const struct CMUnitTest tests[] = {
    MACHINE_TEST(TestGrantsPermitByPrefix),
    MACHINE_TEST(TestGrantsAddUpAndEnd),
    MACHINE_TEST(TestGrantsOfNobody),
    MACHINE_TEST(TestGrantsAreBounded),
    MACHINE_TEST(TestGrantsLeaveOlderImagesAsTheyAre),
    MACHINE_TEST(TestGrantsInImages),
    MACHINE_TEST(TestGrantsRefusedInImages),
};

UNIT_MAIN(tests)
