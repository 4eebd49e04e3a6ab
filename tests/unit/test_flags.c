// cmd/flags.h on a table of its own: sources and their precedence, defaults, groups, numbers, --help.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "cmd/flags.h"
#include "unit.h"

struct target {
    const char *name;
    const char *alias;
    uint64_t number;
    uint64_t time_us;
    bool quiet;
    const char *file;
};

enum { FIRST, SECOND };

static const struct flag rows[] = {
    {.help = "a heading"},
    {.name = "a-name",
     .argument = "TEXT",
     .initial = "anon",
     .parse = flag_text,
     .offset = offsetof(struct target, name),
     .help = "first\nsecond"},
    {.name = "alias",
     .argument = "TEXT",
     .same_as = "a-name",
     .parse = flag_text,
     .offset = offsetof(struct target, alias),
     .help = "other"},
    {.name = "number",
     .argument = "N",
     .required = true,
     .group = SECOND,
     .parse = flag_number,
     .offset = offsetof(struct target, number),
     .least = 2,
     .most = UINT64_MAX,
     .help = "how many"},
    {.name = "time",
     .argument = "T",
     .group = SECOND,
     .parse = flag_duration,
     .offset = offsetof(struct target, time_us),
     .help = "how long"},
    {.name = "quiet",
     .command_line_only = true,
     .parse = flag_boolean,
     .offset = offsetof(struct target, quiet),
     .help = "say nothing"},
    {.name = "file",
     .argument = "FILE",
     .command_line_only = true,
     .parse = flag_text,
     .offset = offsetof(struct target, file),
     .help = "lines"},
};

static const struct flag_table table = {.program = "prog",
                                        .environment_prefix = "FLAGS_",
                                        .show_environment = true,
                                        .config = "file",
                                        .rows = rows,
                                        .count = ARRAY_COUNT(rows)};

static struct config_file config;  // of the last parse

static enum error_code parse(const char *const *words, struct target *target, struct error *error) {
    char *argv[16] = {(char *)"prog"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)words[argc - 1];
    }
    struct setting settings[ARRAY_COUNT(rows)];
    *target = (struct target){.time_us = 77};
    config_file_free(&config);
    enum error_code code = flags_read(&table, argc, argv, &config, settings, error);
    for (unsigned group = FIRST; code == OK && group <= SECOND; group++) {
        code = flags_parse(&table, settings, group, target, error);
    }
    return code;
}

#define PARSE(target, error, ...) parse((const char *const[]){__VA_ARGS__, NULL}, (target), (error))

static void TestFlagsSources(void **state) {
    (void)state;
    struct target target;
    struct error error;
    assert_int_equal(PARSE(&target, &error, "--number", "2"), OK);
    assert_string_equal(target.name, "anon");
    assert_string_equal(target.alias, "anon");
    assert_int_equal(target.time_us, 77);  // without a value a field stays as it is
    assert_false(target.quiet);
    setenv("FLAGS_A_NAME", "env", 1);
    setenv("FLAGS_NUMBER", "3", 1);
    setenv("FLAGS_QUIET", "true", 1);  // of the command line only
    assert_int_equal(PARSE(&target, &error, "--time=2s"), OK);
    assert_string_equal(target.name, "env");
    assert_string_equal(target.alias, "env");
    assert_int_equal(target.number, 3);
    assert_int_equal(target.time_us, 2000000);
    assert_false(target.quiet);
    assert_int_equal(PARSE(&target, &error, "--a-name", "x", "--number", "4", "--number", "5", "--alias", "y", "--quiet"),
                     OK);
    assert_string_equal(target.name, "x");
    assert_string_equal(target.alias, "y");
    assert_int_equal(target.number, 5);
    assert_true(target.quiet);
    setenv("FLAGS_NUMBER", "many", 1);
    assert_int_equal(PARSE(&target, &error, "--quiet"), ERR_INVALID);
    assert_string_equal(error.message, "FLAGS_NUMBER is \"many\"; allowed is 2 to 18446744073709551615");
    unsetenv("FLAGS_A_NAME");
    unsetenv("FLAGS_NUMBER");
    unsetenv("FLAGS_QUIET");
}

// Only the group asked for is parsed.
static void TestFlagsGroups(void **state) {
    (void)state;
    struct setting settings[ARRAY_COUNT(rows)];
    struct target target = {.name = NULL};
    struct error error;
    char *argv[] = {(char *)"prog", (char *)"--number", (char *)"9", NULL};
    assert_int_equal(flags_read(&table, 3, argv, &config, settings, &error), OK);
    assert_int_equal(flags_parse(&table, settings, SECOND, &target, &error), OK);
    assert_null(target.name);
    assert_int_equal(target.number, 9);
    target.number = 0;
    assert_int_equal(flags_parse(&table, settings, FIRST, &target, &error), OK);
    assert_string_equal(target.name, "anon");
    assert_int_equal(target.number, 0);
    assert_string_equal(flags_setting(&table, settings, "number")->source, "--number");
}

static void TestFlagsRefused(void **state) {
    (void)state;
    static const struct {
        const char *words[3];
        const char *message;
    } cases[] = {
        {{"--quiet"}, "--number is missing; see prog --help"},
        {{"--number"}, "--number needs a value; see prog --help"},
        {{"--numbers", "2"}, "unknown option --numbers; see prog --help"},
        {{"-q"}, "unknown option -q; see prog --help"},
        {{"--quiet=1"}, "--quiet=1: --quiet takes no value"},
        {{"stray"}, "unexpected argument stray; every option begins with --, see prog --help"},
        {{"--number", "1"}, "--number is \"1\"; allowed is 2 to 18446744073709551615"},
        {{"--number", "18446744073709551616"}, "--number is \"18446744073709551616\"; allowed is 2 to 18446744073709551615"},
        {{"--number", "2x"}, "--number is \"2x\"; allowed is 2 to 18446744073709551615"},
        {{"--number", "-2"}, "--number is \"-2\"; allowed is 2 to 18446744073709551615"},
        {{"--number", ""}, "--number is \"\"; allowed is 2 to 18446744073709551615"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct target target;
        struct error error;
        assert_int_equal(parse(cases[i].words, &target, &error), ERR_INVALID);
        assert_string_equal(error.message, cases[i].message);
    }
}

static char path[] = "/tmp/baton-flags-XXXXXX";

static void write_config(const char *text) {
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

// The command line, the environment, the file, the default; a wrong value or line is told with its place.
static void TestFlagsConfig(void **state) {
    (void)state;
    struct target target;
    struct error error;
    char expected[128];
    int fd = mkstemp(path);
    close(fd);
    write_config("FLAGS_A_NAME=file\nFLAGS_NUMBER=7\nFLAGS_TIME=\n");
    assert_int_equal(PARSE(&target, &error, "--file", path), OK);
    assert_string_equal(target.name, "file");
    assert_string_equal(target.alias, "file");
    assert_int_equal(target.number, 7);
    assert_int_equal(target.time_us, 77);  // an empty value is none
    setenv("FLAGS_A_NAME", "env", 1);
    assert_int_equal(PARSE(&target, &error, "--file", path, "--number", "8"), OK);
    assert_string_equal(target.name, "env");
    assert_int_equal(target.number, 8);
    unsetenv("FLAGS_A_NAME");
    write_config("\nFLAGS_NUMBER=1\n");
    assert_int_equal(PARSE(&target, &error, "--file", path), ERR_INVALID);
    snprintf(expected, sizeof expected, "%s:2: FLAGS_NUMBER is \"1\"; allowed is 2 to 18446744073709551615", path);
    assert_string_equal(error.message, expected);
    assert_int_equal(PARSE(&target, &error, "--file", path, "--number", "2"), OK);
    for (size_t i = 0; i < 2; i++) {  // what is not known, or of the command line only, whether it would count or not
        write_config(i == 0 ? "FLAGS_NUMBERS=2\n" : "FLAGS_QUIET=true\n");
        assert_int_equal(PARSE(&target, &error, "--file", path, "--number", "2", "--quiet"), ERR_INVALID);
        assert_non_null(strstr(error.message,
                               i == 0 ? ":1: FLAGS_NUMBERS is no option of prog" : ":1: FLAGS_QUIET is no option of prog"));
    }
    config_file_free(&config);
    unlink(path);
}

static void TestFlagsDuration(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t us;  // 0: refused
        const char *rest;
    } cases[] = {
        {"150ms", 150000, ""},
        {"2s", 2000000, ""},
        {"1ms-2ms", 1000, "-2ms"},
        {"3600s", 3600000000, ""},
        {"3601s", 0, "3601s"},
        {"0ms", 0, "0ms"},
        {"5", 0, "5"},
        {"5us", 0, "5us"},
        {"-5ms", 0, "-5ms"},
        {" 5ms", 0, " 5ms"},
        {"", 0, ""},
        {"ms", 0, "ms"},
        {"99999999999999999999s", 0, "99999999999999999999s"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *text = cases[i].text;
        uint64_t us = 0;
        assert_int_equal(duration_take(&text, &us), cases[i].us != 0);
        assert_int_equal(us, cases[i].us);
        assert_string_equal(text, cases[i].rest);
    }
}

static void TestFlagsHelp(void **state) {
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    flags_print(&table, out);
    fclose(out);
    assert_string_equal(text, "a heading\n"
                              "  --a-name TEXT             first\n"
                              "                            second [env: FLAGS_A_NAME] (default anon)\n"
                              "  --alias TEXT              other [env: FLAGS_ALIAS] (default: as --a-name)\n"
                              "  --number N                how many [env: FLAGS_NUMBER] (required)\n"
                              "  --time T                  how long [env: FLAGS_TIME]\n"
                              "  --quiet                   say nothing\n"
                              "  --file FILE               lines\n");
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestFlagsSources),  cmocka_unit_test(TestFlagsGroups), cmocka_unit_test(TestFlagsRefused),
    cmocka_unit_test(TestFlagsDuration), cmocka_unit_test(TestFlagsConfig), cmocka_unit_test(TestFlagsHelp),
};

UNIT_MAIN(tests)
