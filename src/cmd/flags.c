// getopt, the environment and --help, driven by rows.
#include "cmd/flags.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/array.h"
#include "base/env.h"
#include "base/limits.h"

enum {
    OPTION_BASE = 1000,  // getopt's result for row 0: beyond any character
    HELP_COLUMN = 28,    // where --help's explanations begin
};

// --- reading ---

void flags_variable(const struct flag_table *table, const struct flag *flag, char *name, size_t size) {
    int len = snprintf(name, size, "%s%s", table->environment_prefix, flag->name);
    assert(len > 0 && (size_t)len < size);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    }
}

static void read_environment(const struct flag_table *table, struct setting *settings) {
    for (size_t i = 0; i < table->count; i++) {
        const struct flag *flag = &table->rows[i];
        struct setting *setting = &settings[i];
        if (flag->name != NULL && !flag->command_line_only) {
            flags_variable(table, flag, setting->source, sizeof setting->source);
            setting->text = env_get(setting->source);
        }
        if (setting->text == NULL && flag->name != NULL) {
            snprintf(setting->source, sizeof setting->source, "--%s", flag->name);
        }
    }
}

static void fill_options(const struct flag_table *table, struct option options[static FLAGS_MAX + 1]) {
    size_t used = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct flag *flag = &table->rows[i];
        if (flag->name != NULL) {
            int argument = flag->argument == NULL ? no_argument : required_argument;
            options[used++] = (struct option){flag->name, argument, NULL, OPTION_BASE + (int)i};
        }
    }
    options[used] = (struct option){0};
}

static enum error_code read_arguments(const struct flag_table *table, int argc, char **argv, struct setting *settings,
                                      struct error *error) {
    struct option options[FLAGS_MAX + 1];
    fill_options(table, options);
    opterr = 0;
    optind = 0;  // makes getopt start afresh, also where an earlier call ended inside a word of short options
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int found = getopt_long(argc, argv, ":", options, NULL);
        if (found == -1) {
            break;
        }
        const char *word = argv[optind > at ? optind - 1 : at];  // optind stays at a word of several short options
        if (found == ':') {
            return error_set(error, ERR_INVALID, "%s needs a value; see %s --help", word, table->program);
        }
        if (found < OPTION_BASE && optopt >= OPTION_BASE) {
            return error_set(error, ERR_INVALID, "%s: --%s takes no value", word, table->rows[optopt - OPTION_BASE].name);
        }
        if (found < OPTION_BASE) {
            return error_set(error, ERR_INVALID, "unknown option %s; see %s --help", word, table->program);
        }
        struct setting *setting = &settings[found - OPTION_BASE];
        snprintf(setting->source, sizeof setting->source, "--%s", table->rows[found - OPTION_BASE].name);
        setting->text = optarg == NULL ? "true" : optarg;
    }
    if (optind < argc) {
        return error_set(error, ERR_INVALID, "unexpected argument %s; every option begins with --, see %s --help",
                         argv[optind], table->program);
    }
    return OK;
}

static const struct flag *flag_of_variable(const struct flag_table *table, const char *name) {
    char variable[SOURCE_SIZE];
    for (size_t i = 0; i < table->count; i++) {
        const struct flag *flag = &table->rows[i];
        if (flag->name != NULL && !flag->command_line_only) {
            flags_variable(table, flag, variable, sizeof variable);
            if (strcmp(variable, name) == 0) {
                return flag;
            }
        }
    }
    return NULL;
}

// Where neither the command line nor the environment says anything, the file counts. All of its lines must be known, whether
// they count or not.
static enum error_code read_config(const struct flag_table *table, const char *path, struct config_file *file,
                                   struct setting *settings, struct error *error) {
    enum { PATH_SHOWN = 128 };
    enum error_code code = config_file_read(path, file, error);
    size_t hidden = strlen(path) > PATH_SHOWN ? strlen(path) - PATH_SHOWN : 0;
    for (size_t i = 0; code == OK && i < file->count; i++) {
        const struct config_line *line = &file->lines[i];
        const struct flag *flag = flag_of_variable(table, line->name);
        if (flag == NULL) {
            code = error_set(error, ERR_INVALID, "%s:%u: %s is no option of %s; see %s --help (--node-id is BATON_NODE_ID)",
                             path, line->line, line->name, table->program, table->program);
            break;
        }
        struct setting *setting = &settings[flag - table->rows];
        if (setting->text == NULL && line->value[0] != '\0') {
            setting->text = line->value;
            snprintf(setting->source, sizeof setting->source, "%s%s:%u: %s", hidden > 0 ? "..." : "", path + hidden,
                     line->line, line->name);
        }
    }
    return code;
}

static void fill_defaults(const struct flag_table *table, struct setting *settings) {
    for (size_t i = 0; i < table->count; i++) {
        const struct flag *flag = &table->rows[i];
        if (settings[i].text == NULL && flag->same_as != NULL) {
            const struct setting *other = flags_setting(table, settings, flag->same_as);
            assert(other < &settings[i]);
            settings[i].text = other->text;
        } else if (settings[i].text == NULL) {
            settings[i].text = flag->initial;
        }
    }
}

enum error_code flags_read(const struct flag_table *table, int argc, char **argv, struct config_file *file,
                           struct setting *settings, struct error *error) {
    assert(table->count <= FLAGS_MAX && (table->config == NULL) == (file == NULL));
    memset(settings, 0, table->count * sizeof *settings);
    read_environment(table, settings);
    enum error_code code = read_arguments(table, argc, argv, settings, error);
    const char *config = code == OK && file != NULL ? flags_setting(table, settings, table->config)->text : NULL;
    if (file != NULL) {
        *file = (struct config_file){.count = 0};
    }
    if (config != NULL) {
        code = read_config(table, config, file, settings, error);
    }
    if (code == OK) {
        fill_defaults(table, settings);
    }
    return code;
}

enum error_code flags_parse(const struct flag_table *table, const struct setting *settings, unsigned group, void *target,
                            struct error *error) {
    enum error_code code = OK;
    for (size_t i = 0; i < table->count && code == OK; i++) {
        const struct flag *flag = &table->rows[i];
        if (flag->name == NULL || flag->group != group) {
            continue;
        }
        if (settings[i].text != NULL) {
            code = flag->parse(flag, &settings[i], (char *)target + flag->offset, error);
        } else if (flag->required) {
            code = error_set(error, ERR_INVALID, "%s is missing; see %s --help", settings[i].source, table->program);
        }
    }
    return code;
}

const struct setting *flags_setting(const struct flag_table *table, const struct setting *settings, const char *name) {
    size_t i = 0;
    while (i < table->count && (table->rows[i].name == NULL || strcmp(table->rows[i].name, name) != 0)) {
        i++;
    }
    assert(i < table->count);
    return &settings[i];
}

// --- help ---

static void print_flag(const struct flag_table *table, const struct flag *flag, FILE *out) {
    int width = fprintf(out, "  --%s%s%s", flag->name, flag->argument == NULL ? "" : " ",
                        flag->argument == NULL ? "" : flag->argument);
    fprintf(out, "%*s", width < HELP_COLUMN - 1 ? HELP_COLUMN - width : 2, "");
    for (const char *c = flag->help; *c != '\0'; c++) {
        fputc(*c, out);
        if (*c == '\n') {
            fprintf(out, "%*s", HELP_COLUMN, "");
        }
    }
    if (table->show_environment && !flag->command_line_only) {
        char variable[SOURCE_SIZE];
        flags_variable(table, flag, variable, sizeof variable);
        fprintf(out, " [env: %s]", variable);
    }
    if (flag->required) {
        fputs(" (required)", out);
    } else if (flag->same_as != NULL) {
        fprintf(out, " (default: as --%s)", flag->same_as);
    } else if (flag->initial != NULL) {
        fprintf(out, " (default %s)", flag->initial);
    }
    fputc('\n', out);
}

void flags_print(const struct flag_table *table, FILE *out) {
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].name == NULL) {
            fprintf(out, "%s\n", table->rows[i].help);
        } else {
            print_flag(table, &table->rows[i], out);
        }
    }
}

void flags_describe(const struct flag_table *table, const struct setting *settings, struct buf *out) {
    for (size_t i = 0; i < table->count; i++) {
        if (table->rows[i].name == NULL || settings[i].text == NULL) {
            continue;
        }
        buf_printf(out, "--%s=%s", table->rows[i].name, settings[i].text);
        if (settings[i].source[0] != '-') {
            buf_printf(out, " (%s)", settings[i].source);
        }
        buf_append_str(out, "\n");
    }
}

// --- kinds of values ---

enum error_code flag_text(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    (void)error;
    *(const char **)field = setting->text;
    return OK;
}

enum error_code flag_boolean(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    const char *text = setting->text;
    bool *on = field;
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0) {
        *on = true;
    } else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || text[0] == '\0') {
        *on = false;
    } else {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are true and false", setting->source, text);
    }
    return OK;
}

enum error_code flag_address(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    *(const char **)field = setting->text;
    return address_check(slice_of_str(setting->text), setting->source, error);
}

enum error_code flag_number(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    uint64_t *number = field;
    char *end;
    errno = 0;
    *number = strtoull(setting->text, &end, 10);
    if (setting->text[0] < '0' || setting->text[0] > '9' || *end != '\0' || errno != 0 || *number < flag->least ||
        *number > flag->most) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is %" PRIu64 " to %" PRIu64, setting->source,
                         setting->text, flag->least, flag->most);
    }
    return OK;
}

enum error_code flag_on_off(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    bool on = strcmp(setting->text, "on") == 0;
    if (!on && strcmp(setting->text, "off") != 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are on and off", setting->source, setting->text);
    }
    *(bool *)field = on;
    return OK;
}

enum error_code flag_bytes(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    char *end;
    errno = 0;
    unsigned long long number = setting->text[0] >= '0' && setting->text[0] <= '9' ? strtoull(setting->text, &end, 10) : 0;
    for (size_t i = 0; number > 0 && errno == 0 && i < ARRAY_COUNT(units); i++) {
        if (strcmp(end, units[i].name) == 0 && number <= flag->most >> units[i].shift &&
            number << units[i].shift >= flag->least) {
            *(uint64_t *)field = number << units[i].shift;
            return OK;
        }
    }
    return error_set(error, ERR_INVALID,
                     "%s is \"%s\"; allowed is a size such as 64MiB, from %" PRIu64 " to %" PRIu64 " bytes", setting->source,
                     setting->text, flag->least, flag->most);
}

bool duration_take(const char **text, uint64_t *us) {
    char *end;
    errno = 0;
    if (**text < '0' || **text > '9') {
        return false;
    }
    unsigned long long number = strtoull(*text, &end, 10);
    uint64_t unit = US_PER_MS;
    if (strncmp(end, "ms", 2) == 0) {
        end += 2;
    } else if (*end == 's') {
        end += 1;
        unit = US_PER_S;
    } else {
        return false;
    }
    if (errno != 0 || number == 0 || number > 3600 * US_PER_S / unit) {
        return false;
    }
    *us = number * unit;
    *text = end;
    return true;
}

enum error_code flag_duration(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    const char *text = setting->text;
    if (!duration_take(&text, field) || *text != '\0') {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a time such as 150ms", setting->source,
                         setting->text);
    }
    return OK;
}
