// Configuration files: what they may hold, where a value comes from, and what is said of a wrong line.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "cmd/config_file.h"
#include "unit.h"

static char path[] = "/tmp/baton-config-XXXXXX";
static struct config_file file;
static struct error error;

static int make_file(void **state) {
    (void)state;
    strcpy(path + sizeof path - 7, "XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    config_file_free(&file);
    return unlink(path);
}

static enum error_code read_bytes(const void *bytes, size_t len) {
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    config_file_free(&file);
    return config_file_read(path, &file, &error);
}

static enum error_code read_text(const char *text) {
    return read_bytes(text, strlen(text));
}

// The lines as NAME=VALUE@LINE, in brackets.
static void assert_lines(const char *text, const char *expected) {
    if (read_text(text) != OK) {
        fail_msg("%s", error.message);
    }
    struct buf seen = {.len = 0};
    for (size_t i = 0; i < file.count; i++) {
        buf_printf(&seen, "[%s=%s@%u]", file.lines[i].name, file.lines[i].value, file.lines[i].line);
    }
    buf_append(&seen, "", 1);
    assert_string_equal((const char *)seen.data, expected);
    buf_free(&seen);
}

static void TestConfigFileLines(void **state) {
    (void)state;
    assert_lines("", "");
    assert_lines("\n\n# BATON_A=1\n  ; BATON_A=1\n", "");
    assert_lines("BATON_A=1", "[BATON_A=1@1]");
    assert_lines("BATON_A=1\n\nBATON_B2=x y\n", "[BATON_A=1@1][BATON_B2=x y@3]");
    assert_lines(" \tBATON_A= 1 \r\nBATON_B=\n", "[BATON_A=1@1][BATON_B=@2]");
    assert_lines("BATON_A=a=b#c;d\n", "[BATON_A=a=b#c;d@1]");
    assert_lines("BATON_A=\" a \"\nBATON_B=' \"\\'\n", "[BATON_A= a @1][BATON_B= \"\\@2]");
    assert_lines("BATON_A=\"\\\"\\\\'\"\nBATON_B=\"\"\n", "[BATON_A=\"\\'@1][BATON_B=@2]");
}

static void TestConfigFileRefused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"BATON_A=1\nnode-id=n1\n", ":2: neither NAME=VALUE"},
        {"=1\n", ":1: neither NAME=VALUE"},
        {"export BATON_A=1\n", ":1: neither NAME=VALUE"},
        {"[batond]\n", ":1: neither NAME=VALUE"},
        {"BATON_A\n", ":1: neither NAME=VALUE"},
        {"BATON_A = 1\n", ":1: neither NAME=VALUE"},
        {"BATON_A=1\n#\nBATON_A=1\n", ":3: a name that an earlier line has set"},
        {"BATON_A=\"1\n", ":1: the quote does not end on this line"},
        {"BATON_A='1\n'\n", ":1: the quote does not end on this line"},
        {"BATON_A=\"1\" # why\n", ":1: something follows the closing quote"},
        {"BATON_A=a\\\nBATON_B=b\n", ":1: a quote or backslash within the value"},
        {"BATON_A=it's\n", ":1: a quote or backslash within the value"},
        {"BATON_A=\"a\\n\"\n", ":1: a backslash that is not before \" or another"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(read_text(cases[i].text), ERR_INVALID);
        if (strncmp(error.message, path, strlen(path)) != 0 || strstr(error.message, cases[i].says) == NULL) {
            fail_msg("\"%s\" does not say \"%s\" of %s", error.message, cases[i].says, cases[i].text);
        }
        assert_null(file.text);
    }
}

static void TestConfigFileThatIsNone(void **state) {
    (void)state;
    assert_int_equal(read_bytes("BATON_A=1\0\n", 11), ERR_INVALID);
    assert_non_null(strstr(error.message, "has a zero byte"));
    static char large[CONFIG_FILE_MAX + 1];
    memset(large, '\n', sizeof large);
    assert_int_equal(read_bytes(large, sizeof large - 1), OK);
    assert_int_equal(read_bytes(large, sizeof large), ERR_INVALID);
    assert_non_null(strstr(error.message, "larger than the 1048576 bytes allowed"));
    struct buf many = {.len = 0};
    for (int i = 0; i <= CONFIG_LINES_MAX; i++) {
        buf_printf(&many, "A%d=1\n", i);
    }
    assert_int_equal(read_bytes(many.data, many.len), ERR_INVALID);
    assert_non_null(strstr(error.message, ":257: more lines than there are options"));
    buf_free(&many);
    assert_int_equal(config_file_read("/nowhere/baton", &file, &error), ERR_INVALID);
    assert_string_equal(error.message, "--config /nowhere/baton: No such file or directory");
    assert_int_equal(config_file_read("/tmp", &file, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "--config /tmp: Is a directory"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(TestConfigFileLines, make_file, remove_file),
    cmocka_unit_test_setup_teardown(TestConfigFileRefused, make_file, remove_file),
    cmocka_unit_test_setup_teardown(TestConfigFileThatIsNone, make_file, remove_file),
};

UNIT_MAIN(tests)
