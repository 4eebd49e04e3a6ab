// Runs the golden scenarios, tests/scenarios/*.txt: scripts of events, with the exact trace of the core under each command.
//
// A line `== Name` begins a scenario, which is the test TestScenarioName. Lines that begin with # are comments, those with >
// are trace, all others are commands (script.h). With BATON_SCENARIOS_REWRITE set, the trace in the files is replaced by the
// actual one.
//
// run.c DIRECTORY
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "../unit/unit.h"
#include "base/array.h"
#include "script.h"

enum { SHOWN_MAX = 3 };  // commands of a scenario whose differences are shown

struct text {
    char **lines;
    size_t count, cap;
};

struct scenario_file {
    char *path;
    struct text text;
    bool rewritten;  // `fresh` is to take its place
};

struct scenario {
    struct scenario_file *file;
    char *name;
    size_t first, end;  // lines of the file, the first after `== Name`
    struct text fresh;  // what it should read, once it has run; empty: as it is
};

static struct scenario_file *files;
static size_t file_count, file_cap;
static struct scenario *scenarios;
static size_t scenario_count, scenario_cap;

// --- texts ---

static void add_line(struct text *text, const char *mark, const char *line) {
    size_t len = strlen(mark) + strlen(line);
    array_reserve(text->lines, text->cap, text->count + 1);
    char *copy = mem_alloc(len + 1);
    snprintf(copy, len + 1, "%s%s", mark, line);
    text->lines[text->count++] = copy;
}

static void free_text(struct text *text) {
    for (size_t i = 0; i < text->count; i++) {
        free(text->lines[i]);
    }
    free(text->lines);
    *text = (struct text){0};
}

static bool is_trace(const char *line) {
    return line[0] == '>';
}

static bool is_command(const char *line) {
    return line[0] != '\0' && line[0] != '#' && !is_trace(line);
}

// --- differences ---

// `number`: of the line in the file; 0: it is not there.
static void print_line(char mark, size_t number, const char *line) {
    char text[24] = "";
    if (number > 0) {
        snprintf(text, sizeof text, "%zu", number);
    }
    fprintf(stderr, "%6s %c %s\n", text, mark, line);
}

// Lines before the next common one are missing (-) or added (+).
static void print_difference(size_t number, char **expected, size_t expected_count, char **actual, size_t actual_count) {
    size_t i = 0;
    size_t j = 0;
    while (i < expected_count || j < actual_count) {
        if (i < expected_count && j < actual_count && strcmp(expected[i], actual[j]) == 0) {
            print_line(' ', number + i, expected[i]);
            i++;
            j++;
            continue;
        }
        size_t later = j;
        while (i < expected_count && later < actual_count && strcmp(expected[i], actual[later]) != 0) {
            later++;
        }
        if (i < expected_count && later == actual_count) {
            print_line('-', number + i, expected[i]);
            i++;
            continue;
        }
        for (size_t end = i < expected_count ? later : actual_count; j < end; j++) {
            print_line('+', 0, actual[j]);
        }
    }
}

static bool equal(char **expected, size_t expected_count, char **actual, size_t actual_count) {
    bool same = expected_count == actual_count;
    for (size_t i = 0; i < expected_count && same; i++) {
        same = strcmp(expected[i], actual[i]) == 0;
    }
    return same;
}

// --- a scenario ---

// The trace lines from `line` on, without their mark.
static struct text expected_at(const struct scenario *scenario, size_t line) {
    struct text expected = {0};
    for (; line < scenario->end && is_trace(scenario->file->text.lines[line]); line++) {
        const char *text = scenario->file->text.lines[line] + 1;
        add_line(&expected, "", text[0] == ' ' ? text + 1 : text);
    }
    return expected;
}

// Runs one command; whether its trace is the expected one.
static bool run_command(struct scenario *scenario, struct cluster *cluster, size_t line, bool show) {
    const char *command = scenario->file->text.lines[line];
    size_t before = cluster->trace_count;
    script_run(cluster, command);
    char **actual = cluster->trace + before;
    size_t count = cluster->trace_count - before;
    for (size_t i = 0; i < count; i++) {
        add_line(&scenario->fresh, "> ", actual[i]);
    }
    struct text expected = expected_at(scenario, line + 1);
    bool same = equal(expected.lines, expected.count, actual, count);
    if (!same && show) {
        fprintf(stderr, "%s:%zu: %s\n", scenario->file->path, line + 1, command);
        print_difference(line + 2, expected.lines, expected.count, actual, count);
    }
    free_text(&expected);
    if (cluster_failed(cluster)) {
        fprintf(stderr, "%s:%zu: %s\n    %s\n", scenario->file->path, line + 1, command, cluster->error);
    }
    return same;
}

static void TestScenario(void **state) {
    struct scenario *scenario = *state;
    bool rewrites = getenv("BATON_SCENARIOS_REWRITE") != NULL;
    struct cluster cluster;
    cluster_init(&cluster);
    size_t differ = 0;
    size_t first = 0;
    size_t stopped = scenario->end;
    bool after_command = false;
    for (size_t line = scenario->first; line < scenario->end && !cluster_failed(&cluster); line++) {
        stopped = line + 1;
        const char *text = scenario->file->text.lines[line];
        if (is_trace(text) && after_command) {
            continue;
        }
        after_command = is_command(text);
        add_line(&scenario->fresh, "", text);
        if (is_trace(text)) {
            cluster_fail(&cluster, "a trace must stand right under its command");
        } else if (after_command && !run_command(scenario, &cluster, line, !rewrites && differ < SHOWN_MAX)) {
            first = differ++ == 0 ? line + 1 : first;
        }
    }
    bool failed = cluster_failed(&cluster);
    for (size_t line = stopped; failed && line < scenario->end; line++) {
        add_line(&scenario->fresh, "", scenario->file->text.lines[line]);
    }
    char error[sizeof cluster.error];
    memcpy(error, cluster.error, sizeof error);
    cluster_free(&cluster);
    if (!rewrites) {
        free_text(&scenario->fresh);
    }
    scenario->file->rewritten |= differ > 0 && rewrites;
    if (failed) {
        fail_msg("%s:%zu: %s", scenario->file->path, stopped, error);
    }
    if (differ > 0 && !rewrites) {
        fail_msg("%s:%zu: the trace differs here, and under %zu commands in all", scenario->file->path, first, differ);
    }
}

// --- files ---

static void read_file(struct scenario_file *file) {
    FILE *in = fopen(file->path, "r");
    if (in == NULL) {
        fprintf(stderr, "%s: cannot be read\n", file->path);
        exit(2);
    }
    char *line = NULL;
    size_t size = 0;
    for (ssize_t len; (len = getline(&line, &size, in)) >= 0;) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == ' ')) {
            line[--len] = '\0';
        }
        add_line(&file->text, "", line);
    }
    free(line);
    fclose(in);
}

static void find_scenarios(struct scenario_file *file) {
    for (size_t i = 0; i < file->text.count; i++) {
        const char *line = file->text.lines[i];
        if (strncmp(line, "== ", 3) == 0) {
            array_reserve(scenarios, scenario_cap, scenario_count + 1);
            scenarios[scenario_count] = (struct scenario){.file = file, .first = i + 1, .end = i + 1};
            size_t len = strlen("TestScenario") + strlen(line + 3) + 1;
            scenarios[scenario_count].name = mem_alloc(len);
            snprintf(scenarios[scenario_count++].name, len, "TestScenario%s", line + 3);
        } else if (scenario_count > 0 && scenarios[scenario_count - 1].file == file) {
            scenarios[scenario_count - 1].end = i + 1;
        } else if (is_command(line) || is_trace(line)) {
            fprintf(stderr, "%s:%zu: a scenario begins with '== Name'\n", file->path, i + 1);
            exit(2);
        }
    }
}

// The lines outside the scenarios that have run stay as they are.
static void write_file(const struct scenario_file *file) {
    FILE *out = fopen(file->path, "w");
    if (out == NULL) {
        fprintf(stderr, "%s: cannot be written\n", file->path);
        exit(2);
    }
    size_t line = 0;
    for (size_t i = 0; i < scenario_count; i++) {
        const struct scenario *scenario = &scenarios[i];
        if (scenario->file != file || scenario->fresh.count == 0) {
            continue;
        }
        for (; line < scenario->first; line++) {
            fprintf(out, "%s\n", file->text.lines[line]);
        }
        for (size_t j = 0; j < scenario->fresh.count; j++) {
            fprintf(out, "%s\n", scenario->fresh.lines[j]);
        }
        line = scenario->end;
    }
    for (; line < file->text.count; line++) {
        fprintf(out, "%s\n", file->text.lines[line]);
    }
    fclose(out);
    fprintf(stderr, "rewritten: %s\n", file->path);
}

static int is_script(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".txt") == 0;
}

static void find_files(const char *directory) {
    struct dirent **entries;
    int count = scandir(directory, &entries, is_script, alphasort);
    for (int i = 0; i < count; i++) {
        size_t len = strlen(directory) + strlen(entries[i]->d_name) + 2;
        array_reserve(files, file_cap, file_count + 1);
        files[file_count] = (struct scenario_file){.path = mem_alloc(len)};
        snprintf(files[file_count++].path, len, "%s/%s", directory, entries[i]->d_name);
        free(entries[i]);
    }
    if (count > 0) {
        free(entries);
    }
}

static void free_all(void) {
    for (size_t i = 0; i < scenario_count; i++) {
        free_text(&scenarios[i].fresh);
        free(scenarios[i].name);
    }
    for (size_t i = 0; i < file_count; i++) {
        free_text(&files[i].text);
        free(files[i].path);
    }
    free(scenarios);
    free(files);
}

static int run_all(void) {
    struct CMUnitTest *tests = mem_zalloc((scenario_count + 1) * sizeof *tests);
    for (size_t i = 0; i < scenario_count; i++) {
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name, .test_func = TestScenario, .initial_state = &scenarios[i]};
    }
    const char *filter = getenv("BATON_TEST_FILTER");
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    int failed = _cmocka_run_group_tests("scenarios", tests, scenario_count, NULL, NULL);
    free(tests);
    return failed;
}

int main(int argc, char **argv) {
    find_files(argc > 1 ? argv[1] : ".");
    for (size_t i = 0; i < file_count; i++) {
        read_file(&files[i]);
        find_scenarios(&files[i]);
    }
    if (scenario_count == 0) {
        fprintf(stderr, "%s: no scenario here\n", argc > 1 ? argv[1] : ".");
        return 2;
    }
    int failed = run_all();
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].rewritten) {
            write_file(&files[i]);
        }
    }
    free_all();
    return failed;
}
