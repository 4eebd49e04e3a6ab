// The audit log: what a line says, that it is lost to nobody unseen, and its file.
#include <stdio.h>

#include "node/audit.c"  // the file behind it, which is made to fail
#include "scratch.h"
#include "unit.h"

static char directory[64];
static char file[128];
static char text[8192];

static const char *written(void) {
    FILE *stream = fopen(file, "r");
    assert_non_null(stream);
    size_t len = fread(text, 1, sizeof text - 1, stream);
    text[len] = '\0';
    fclose(stream);
    return text;
}

static struct audit *open_audit(void) {
    struct audit *audit = NULL;
    struct error error = {0};
    if (audit_open(file, &audit, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return audit;
}

static struct rpc_call call_of(uint32_t index, uint32_t generation) {
    return (struct rpc_call){.index = index, .generation = generation};
}

static void begin(struct audit *audit, struct rpc_call call, const char *who) {
    audit_begin(audit, call, (struct rpc_peer){.address = "10.0.0.9:1", .identity = who}, "Put", slice_of_str("k"));
}

static int set_up(void **state) {
    (void)state;
    scratch_make(directory, sizeof directory, SCRATCH_MEMORY);
    snprintf(file, sizeof file, "%s/audit", directory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

// Each change has one line, with what is known of it when its outcome is.
static void TestAuditLines(void **state) {
    (void)state;
    struct audit *audit = open_audit();
    begin(audit, call_of(7, 1), "operator/anna");
    audit_what(audit, call_of(7, 1), slice_of_str("put \"k\" (1 bytes)"));
    audit_revision(audit, call_of(7, 1), 42);
    audit_end(audit, call_of(7, 1), "OK");
    begin(audit, call_of(0, 3), NULL);
    audit_end(audit, call_of(0, 3), "PERMISSION_DENIED");
    audit_end(audit, call_of(0, 3), "OK");   // it has ended
    audit_end(audit, call_of(9, 1), "OK");   // never begun
    audit_end(audit, call_of(90, 1), "OK");  // beyond all that were
    assert_string_equal(written(), "");
    audit_flush(audit);
    assert_non_null(strstr(written(),
                           " who=operator/anna from=10.0.0.9:1 call=Put what=\"put \\\"k\\\" (1 bytes)\" outcome=OK "
                           "revision=42 event=audit\n"));
    assert_non_null(strstr(text, " who=\"\" from=10.0.0.9:1 call=Put what=k outcome=PERMISSION_DENIED event=audit\n"));
    const char *second = strchr(text, '\n');
    assert_int_equal(strcspn(second + 1, "\n") + 1, strlen(second + 1));
    struct stat found;
    assert_int_equal(stat(file, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    audit_free(audit);
}

// A client has gone, and its call's index belongs to another one, before the outcome of its write is known.
static void TestAuditKeepsWhoHasGone(void **state) {
    (void)state;
    struct audit *audit = open_audit();
    begin(audit, call_of(2, 1), "operator/one");
    begin(audit, call_of(2, 2), "operator/two");
    begin(audit, call_of(2, 3), "operator/three");
    audit_end(audit, call_of(2, 1), "OK");
    audit_end(audit, call_of(2, 3), "ABORTED");
    audit_flush(audit);
    assert_non_null(strstr(written(), "who=operator/one from=10.0.0.9:1 call=Put what=k outcome=OK"));
    assert_non_null(strstr(text, "who=operator/three from=10.0.0.9:1 call=Put what=k outcome=ABORTED"));
    assert_null(strstr(text, "operator/two"));
    audit_free(audit);
}

static void end_one(struct audit *audit, uint32_t index) {
    begin(audit, call_of(index, 1), "operator/anna");
    audit_end(audit, call_of(index, 1), "OK");
}

// What a full disk does not take is counted, and told by the next line that it takes.
static void TestAuditCountsWhatIsLost(void **state) {
    (void)state;
    struct audit *audit = open_audit();
    int whole = audit->fd;
    audit->fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(audit->fd >= 0);
    end_one(audit, 1);
    end_one(audit, 2);
    audit_flush(audit);
    end_one(audit, 3);
    audit_flush(audit);
    close(audit->fd);
    audit->fd = whole;
    audit_flush(audit);  // nothing is due
    assert_string_equal(written(), "");
    end_one(audit, 4);
    audit_flush(audit);
    assert_non_null(strstr(written(), "lines could not be written and are lost\" lost=3 event=audit\n"));
    assert_non_null(strstr(text, "outcome=OK event=audit\n"));
    end_one(audit, 5);
    audit_flush(audit);
    assert_int_equal(audit->lost, 0);
    assert_null(strstr(strstr(written(), "lost=3") + 1, "lost="));
    audit_free(audit);
}

// A renamed file gets no more, a new one of the name does.
static void TestAuditIsRotated(void **state) {
    (void)state;
    struct audit *audit = open_audit();
    end_one(audit, 1);
    audit_flush(audit);
    char old[160];
    snprintf(old, sizeof old, "%s.1", file);
    assert_int_equal(rename(file, old), 0);
    audit_sample(audit);
    assert_string_equal(written(), "");
    end_one(audit, 2);
    audit_flush(audit);
    audit_sample(audit);
    assert_non_null(strstr(written(), "event=audit\n"));
    struct error error = {0};
    struct audit *none = NULL;
    snprintf(file, sizeof file, "%s/missing/audit", directory);
    assert_int_equal(audit_open(file, &none, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, file));
    audit_free(audit);
    audit_free(NULL);
}

#define AUDIT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    AUDIT_TEST(TestAuditLines),
    AUDIT_TEST(TestAuditKeepsWhoHasGone),
    AUDIT_TEST(TestAuditCountsWhatIsLost),
    AUDIT_TEST(TestAuditIsRotated),
};

UNIT_MAIN(tests)
