// batonctl's pure parts: the command line, where it looks for the cluster, and what it prints.
#include <stdio.h>
#include <unistd.h>

#include "ctl/endpoints.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "unit.h"

// --- the command line ---

static struct ctl_options options;
static struct error error;

// `line` is split at spaces; '_' stands for an empty argument.
static enum error_code parse(const char *line) {
    static char words[256];
    char *argv[20] = {"batonctl"};
    int argc = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = words; *word != '\0';) {
        char *end = strchrnul(word, ' ');
        bool last = *end == '\0';
        *end = '\0';
        argv[argc++] = strcmp(word, "_") == 0 ? "" : word;
        word = last ? end : end + 1;
    }
    error.message[0] = '\0';
    return ctl_options_parse(argc, argv, &options, &error);
}

static void assert_parsed(const char *line, enum ctl_command command, const char *first, const char *second) {
    if (parse(line) != OK) {
        fail_msg("%s: %s", line, error.message);
    }
    assert_int_equal(options.command, command);
    const char *expected[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(options.arguments[i] == NULL, expected[i] == NULL);
        if (expected[i] != NULL) {
            assert_string_equal(options.arguments[i], expected[i]);
        }
    }
}

static void TestCtlCommands(void **state) {
    (void)state;
    assert_parsed("status", CTL_STATUS, NULL, NULL);
    assert_parsed("worker list", CTL_WORKER_LIST, NULL, NULL);
    assert_parsed("member list", CTL_MEMBER_LIST, NULL, NULL);
    assert_parsed("leader transfer", CTL_LEADER_TRANSFER, NULL, NULL);
    assert_parsed("leader transfer n2", CTL_LEADER_TRANSFER, "n2", NULL);
    assert_parsed("put k v", CTL_PUT, "k", "v");
    assert_parsed("put k -", CTL_PUT, "k", "-");
    assert_parsed("put k _", CTL_PUT, "k", "");
    assert_parsed("put -- k -5", CTL_PUT, "k", "-5");
    assert_parsed("get k", CTL_GET, "k", NULL);
    assert_parsed("delete k", CTL_DELETE, "k", NULL);
    assert_parsed("list", CTL_LIST, NULL, NULL);
    assert_parsed("list jobs/", CTL_LIST, "jobs/", NULL);
    assert_parsed("watch jobs/", CTL_WATCH, "jobs/", NULL);
    assert_parsed("log", CTL_LOG, NULL, NULL);
    assert_parsed("get worker", CTL_GET, "worker", NULL);
    assert_parsed("worker show w1", CTL_WORKER_SHOW, "w1", NULL);
    assert_parsed("del k", CTL_DELETE, "k", NULL);
    assert_parsed("ls", CTL_LIST, NULL, NULL);
    assert_parsed("ls jobs/", CTL_LIST, "jobs/", NULL);
    assert_parsed("completion zsh", CTL_COMPLETION, "zsh", NULL);
    assert_true(ctl_is_offline(&options));
}

static void TestCtlOptions(void **state) {
    (void)state;
    assert_parsed("get k", CTL_GET, "k", NULL);
    assert_null(options.endpoints);
    assert_false(options.json || options.stale || options.has_expect || options.has_from);
    assert_int_equal(options.timeout_ms, 5000);
    assert_parsed("--endpoints a:1,b:1 get k --stale -o json --timeout 250ms", CTL_GET, "k", NULL);
    assert_string_equal(options.endpoints, "a:1,b:1");
    assert_true(options.json && options.stale);
    assert_int_equal(options.timeout_ms, 250);
    assert_parsed("put k v --expect 0 --output=table --timeout=2s", CTL_PUT, "k", "v");
    assert_true(options.has_expect);
    assert_int_equal(options.expect, 0);
    assert_int_equal(options.timeout_ms, 2000);
    assert_parsed("log --from 3 --to 18446744073709551615", CTL_LOG, NULL, NULL);
    assert_true(options.has_from && options.from == 3 && options.to == UINT64_MAX);
    assert_parsed("watch --from 7", CTL_WATCH, NULL, NULL);
    assert_parsed("snapshot", CTL_SNAPSHOT, NULL, NULL);
    assert_true(options.node == NULL && !options.has_timeout);
    assert_parsed("--from n2 snapshot --timeout 2s", CTL_SNAPSHOT, NULL, NULL);
    assert_string_equal(options.node, "n2");
    assert_true(options.has_timeout);
    assert_parsed("backup f --from n2 --force", CTL_BACKUP, "f", NULL);
    assert_true(options.force && strcmp(options.node, "n2") == 0);
    assert_parsed("backup check f", CTL_BACKUP_CHECK, "f", NULL);
    assert_true(ctl_is_offline(&options));
    assert_parsed("log --file f --from 2", CTL_LOG, NULL, NULL);
    assert_true(ctl_is_offline(&options) && strcmp(options.file, "f") == 0 && options.from == 2);
    assert_parsed("log", CTL_LOG, NULL, NULL);
    assert_false(ctl_is_offline(&options));
    assert_int_equal(parse("--help"), OK);
    assert_true(options.help && options.command == CTL_NO_COMMAND);
    assert_int_equal(parse("put --help"), OK);
    assert_true(options.help && options.command == CTL_PUT);
    assert_int_equal(parse("--version"), OK);
    assert_true(options.version);
    assert_int_equal(parse("version"), OK);
    assert_true(options.version);
    assert_int_equal(parse("help"), OK);
    assert_true(options.help && options.command == CTL_NO_COMMAND);
    assert_int_equal(parse("help worker show"), OK);
    assert_true(options.help && options.command == CTL_WORKER_SHOW);
    assert_int_equal(parse("put help version"), OK);
    assert_false(options.help || options.version);
    assert_parsed("status --watch", CTL_STATUS, NULL, NULL);
    assert_true(options.watch);
    assert_parsed("list --limit 20", CTL_LIST, NULL, NULL);
    assert_int_equal(options.limit, 20);
}

static void refuse(const char *line, const char *says) {
    if (parse(line) != ERR_INVALID || strstr(error.message, says) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", line, error.message, says);
    }
}

static void TestCtlUsage(void **state) {
    (void)state;
    refuse("", "which command");
    refuse("pt k v", "did you mean \"put\"");
    refuse("worker", "did you mean \"worker list\"");
    refuse("workers list", "did you mean \"worker list\"");
    refuse("worker lst", "did you mean \"worker list\"");
    refuse("leader transfr n1", "did you mean \"leader transfer\"");
    refuse("statsu", "did you mean \"status\"");
    refuse("xyzzy", "see batonctl --help");
    refuse("a-word-that-is-longer-than-any-command-there-is", "see batonctl --help");
    refuse("put k", "too few arguments; usage: batonctl put KEY VALUE");
    refuse("get k l", "too many arguments");
    refuse("status now", "too many arguments");
    refuse("get k --stael", "did you mean --stale");
    refuse("get k --xyzzy", "unknown option --xyzzy");
    refuse("get k -x", "unknown option -x");
    refuse("put k -5", "after --");
    refuse("get k --timeout", "--timeout needs a value");
    refuse("get k -o", "-o needs a value");
    refuse("get k --timeout 5", "--timeout");
    refuse("get k --timeout 0s", "--timeout");
    refuse("get k --timeout -1s", "--timeout");
    refuse("get k --timeout 99999999999999999999s", "--timeout");
    refuse("get k -o yaml", "allowed are table, json and fields=");
    refuse("put k v --expect x", "--expect");
    refuse("put k v --expect -1", "--expect");
    refuse("put k v --expect 18446744073709551616", "--expect");
    refuse("get k --expect 1", "--expect does not go with get");
    refuse("put k v --stale", "--stale does not go with put");
    refuse("put k v --from follower", "--from follower does not go with put");
    refuse("get k --from 5", "--from does not go with get");
    refuse("log --from n2", "--from is \"n2\"; allowed is a number");
    refuse("backup", "too few arguments");
    refuse("backup check", "too few arguments; usage: batonctl backup check FILE");
    refuse("backup check f --force", "--force does not go with backup check");
    refuse("watch --file f", "--file does not go with watch");
    refuse("get k --force", "--force does not go with get");
    refuse("snapshot --from follower", "--from follower does not go with snapshot");
    refuse("get k --stale --from follower", "--stale does not go with --from follower");
    refuse("watch --to 5", "--to does not go with watch");
    refuse("log --from 5 --to 4", "after --to 4");
    refuse("list --watch", "--watch does not go with list");
    refuse("list --limit 0", "--limit is 0");
    refuse("list --limit all", "--limit is \"all\"; allowed is a number");
    refuse("get k --limit 3", "--limit does not go with get");
    refuse("worker show", "too few arguments; usage: batonctl worker show ID");
    refuse("help pt", "did you mean \"put\"");
    refuse("completion", "usage: batonctl completion bash|zsh|fish");
}

static void TestCtlNearest(void **state) {
    (void)state;
    const char *names[] = {"put", "get", "list", "delete"};
    assert_string_equal(ctl_nearest("lst", names, 4), "list");
    assert_string_equal(ctl_nearest("delte", names, 4), "delete");
    assert_string_equal(ctl_nearest("gett", names, 4), "get");
    assert_null(ctl_nearest("banana", names, 4));
    assert_null(ctl_nearest("remove", names, 4));
}

// --- endpoints ---

static char path[] = "/tmp/baton-endpoints-XXXXXX";

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_file(void **state) {
    (void)state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void TestCtlEndpoints(void **state) {
    (void)state;
    struct ctl_endpoints found;
    write_file("c:1,d:1,e:1\n");
    assert_int_equal(ctl_endpoints_find("a:1,[::1]:7400", "b:1", path, &found, &error), OK);
    assert_string_equal(found.source, "--endpoints");
    assert_int_equal(found.count, 2);
    assert_string_equal(found.addresses[0], "a:1");
    assert_string_equal(found.addresses[1], "[::1]:7400");
    assert_int_equal(ctl_endpoints_find("a:1, b:1 ,  c:1", NULL, path, &found, &error), OK);
    assert_int_equal(found.count, 3);
    assert_string_equal(found.addresses[1], "b:1");
    assert_string_equal(found.addresses[2], "c:1");
    assert_int_equal(ctl_endpoints_find(NULL, "b:1", path, &found, &error), OK);
    assert_string_equal(found.source, "BATON_ENDPOINTS");
    assert_string_equal(found.addresses[0], "b:1");
    assert_int_equal(ctl_endpoints_find(NULL, "", path, &found, &error), OK);
    assert_string_equal(found.source, path);
    assert_int_equal(found.count, 3);
    assert_string_equal(found.addresses[2], "e:1");
    assert_int_equal(ctl_endpoints_find(NULL, NULL, "/nowhere/endpoints", &found, &error), OK);
    assert_string_equal(found.source, "the default");
    assert_string_equal(found.addresses[0], "127.0.0.1:7400");
}

static void refuse_endpoints(const char *flag, const char *environment, const char *says) {
    struct ctl_endpoints found;
    assert_int_equal(ctl_endpoints_find(flag, environment, path, &found, &error), ERR_INVALID);
    if (strstr(error.message, says) == NULL) {
        fail_msg("\"%s\" does not say %s", error.message, says);
    }
}

static void TestCtlEndpointsRefused(void **state) {
    (void)state;
    refuse_endpoints("", NULL, "--endpoints");
    refuse_endpoints("a:1,,b:1", NULL, "--endpoints");
    refuse_endpoints("a", NULL, "--endpoints");
    refuse_endpoints("a:70000", NULL, "--endpoints");
    refuse_endpoints(NULL, "a:1,", "BATON_ENDPOINTS");
    refuse_endpoints("a:1, ", NULL, "--endpoints");
    refuse_endpoints("http://a:1/x,b:1", NULL, "--endpoints: an endpoint is HOST:PORT, without http://: write a:1");
    refuse_endpoints(NULL, "b:1,https://a:1", "without https://: write a:1 (TLS is used with --tls-cert");
    refuse_endpoints(NULL, NULL, path);  // empty
    write_file("a:1 b:1\n");
    refuse_endpoints(NULL, NULL, path);
    char many[CTL_ENDPOINTS_MAX * 4 + 8] = "a:1";
    for (int i = 0; i < CTL_ENDPOINTS_MAX; i++) {
        strcat(many, ",a:1");
    }
    refuse_endpoints(many, NULL, "more than 64");
}

// --- output ---

static struct buf out;

static int clear_out(void **state) {
    (void)state;
    buf_free(&out);
    return 0;
}

static void assert_out(const char *expected) {
    buf_append(&out, "", 1);
    assert_string_equal((const char *)out.data, expected);
    buf_clear(&out);
}

static void TestCtlJson(void **state) {
    (void)state;
    struct json json = {.out = &out};
    json_begin(&json, '[');
    json_begin(&json, '{');
    json_text(&json, "text", slice_of_str("a\"b\n"));
    json_u64(&json, "big", UINT64_MAX);
    json_bool(&json, "yes", true);
    json_number(&json, "number", 1.5);
    json_absent(&json, "none");
    json_open(&json, "labels", '{');
    json_pair(&json, slice_of_str("k\""), slice_of_str("v"));
    json_end(&json, '}');
    json_end(&json, '}');
    json_begin(&json, '{');
    json_bytes(&json, "key", slice_of_str("gr\xc3\xbc\xc3\x9f"));
    json_bytes(&json, "value", slice_of("a\0b", 3));
    json_bytes(&json, "empty", slice_of(NULL, 0));
    json_end(&json, '}');
    json_end(&json, ']');
    assert_out("[{\"text\":\"a\\\"b\\n\",\"big\":18446744073709551615,\"yes\":true,\"number\":1.500,\"none\":null,"
               "\"labels\":{\"k\\\"\":\"v\"}},{\"key\":\"gr\xc3\xbc\xc3\x9f\",\"value_base64\":\"YQBi\",\"empty\":\"\"}]");
}

static void TestCtlTable(void **state) {
    (void)state;
    struct table table;
    table_begin(&table, "ID|N|LAST");
    table_text(&table, slice_of_str("long-name"));
    table_u64(&table, 7);
    table_printf(&table, "%d ms", 3);
    table_text(&table, slice_of_str("\xc3\xbc"));  // two bytes, one character
    table_text(&table, slice_of(NULL, 0));
    table_text(&table, slice_of_str("x"));
    table_end(&table, &out);
    assert_out("ID         N  LAST\n"
               "long-name  7  3 ms\n"
               "\xc3\xbc          -  x\n");
}

// What is too wide for the terminal is cut in its widest columns, and never within a character.
static void show_within(size_t width) {
    struct table table;
    table_begin(&table, "ID|NAME|LABELS");
    table.width = width;
    table_text(&table, slice_of_str("w1"));
    table_text(&table, slice_of_str("\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"));
    table_text(&table, slice_of_str("zone=a,disk=fast,gpu=none"));
    table_end(&table, &out);
}

static void TestCtlTableFits(void **state) {
    (void)state;
    static const char whole[] = "ID  NAME      LABELS\n"
                                "w1  \u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc  zone=a,disk=fast,gpu=none\n";
    show_within(0);
    assert_out(whole);
    show_within(39);
    assert_out(whole);
    show_within(38);
    assert_out("ID  NAME      LABELS\n"
               "w1  \u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc  zone=a,disk=fast,gpu=no\u2026\n");
    show_within(20);
    assert_out("ID  NAME     LABELS\n"
               "w1  \u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u2026  zone=a\u2026\n");
    for (size_t width = 1; width <= 18; width += 17) {  // what cannot be read is of no use
        show_within(width);
        assert_out("ID  NAME    LABELS\n"
                   "w1  \u00fc\u00fc\u00fc\u00fc\u00fc\u2026  zone=\u2026\n");
    }
}

// Nothing that a terminal would obey gets through.
static void TestCtlText(void **state) {
    (void)state;
    text_for_terminal(&out, slice_of_str("plain text, with \"quotes\" and \xc3\xbc"), 100);
    assert_out("plain text, with \"quotes\" and \xc3\xbc");
    text_for_terminal(&out, slice_of_str("\x1b[2J"), 100);
    assert_out("\"\\x1b[2J\"");
    text_for_terminal(&out,
                      slice_of_str("\xc2\x9b"
                                   "2J"),
                      100);  // a control character of two bytes
    assert_null(memchr(out.data, 0x9b, out.len));
    buf_clear(&out);
    text_for_terminal(&out, slice_of("a\0b", 3), 100);
    assert_out("\"a\\x00b\"");
    text_for_terminal(&out, slice_of_str("abcdef"), 3);
    assert_out("abc...");
    text_for_terminal(&out, slice_of_str("ab\xc3\xbc"), 3);  // not within a character
    assert_out("ab...");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestCtlCommands),
    cmocka_unit_test(TestCtlOptions),
    cmocka_unit_test(TestCtlUsage),
    cmocka_unit_test(TestCtlNearest),
    cmocka_unit_test_setup_teardown(TestCtlEndpoints, make_file, remove_file),
    cmocka_unit_test_setup_teardown(TestCtlEndpointsRefused, make_file, remove_file),
    cmocka_unit_test_teardown(TestCtlJson, clear_out),
    cmocka_unit_test_teardown(TestCtlTable, clear_out),
    cmocka_unit_test_teardown(TestCtlTableFits, clear_out),
    cmocka_unit_test_teardown(TestCtlText, clear_out),
};

UNIT_MAIN(tests)
