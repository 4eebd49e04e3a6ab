// batonctl's command line: commands, options, and messages for wrong ones.
#include "ctl/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "ctl/fields.h"
#include "ctl/vocabulary.h"

bool ctl_is_offline(const struct ctl_options *options) {
    return options->command == CTL_BACKUP_CHECK || options->command == CTL_COMPLETION || options->file != NULL;
}

// --- suggestions ---

enum { NAME_MAX_LEN = 32 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// Levenshtein's distance.
static size_t distance(const char *a, const char *b) {
    size_t row[NAME_MAX_LEN + 1];
    size_t len = strlen(b);
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[len];
}

const char *ctl_nearest(const char *text, const char *const *names, size_t count) {
    if (strlen(text) > NAME_MAX_LEN) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t best = strlen(text) / 2;  // with more than half of it wrong, something else was meant
    best = best < 1 ? 1 : best > 3 ? 3 : best;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(text, names[i]);
        if (d < best || (d == best && nearest == NULL)) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

// --- options ---

enum { OPTION_BASE = 1000 };  // getopt's result for the first option: beyond any character

static void fill_options(struct option options[static CTL_OPTION_COUNT + 1]) {
    for (int i = 0; i < CTL_OPTION_COUNT; i++) {
        const struct manual_option *row = &ctl_options_known[i];
        options[i] =
            (struct option){row->name, row->argument == NULL ? no_argument : required_argument, NULL, OPTION_BASE + i};
    }
    options[CTL_OPTION_COUNT] = (struct option){0};
}

static enum error_code parse_number(const char *option, const char *text, uint64_t *number, struct error *error) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a number", option, text);
    }
    return OK;
}

static enum error_code parse_output(const char *text, struct ctl_options *options, struct error *error) {
    static const char fields[] = "fields=";
    bool has_fields = strncmp(text, fields, sizeof fields - 1) == 0;
    options->fields = has_fields ? text + sizeof fields - 1 : NULL;
    options->json = has_fields || strcmp(text, "json") == 0;
    if (has_fields) {
        return fields_check(options->fields, error);
    }
    return options->json || strcmp(text, "table") == 0
               ? OK
               : error_set(error, ERR_INVALID, "--output is \"%s\"; allowed are table, json and fields=NAME,...", text);
}

static enum error_code parse_limit(const char *text, uint64_t *limit, struct error *error) {
    enum error_code code = parse_number("--limit", text, limit, error);
    return code == OK && *limit == 0 ? error_set(error, ERR_INVALID, "--limit is 0; allowed is a number from 1 on") : code;
}

static enum error_code parse_timeout(const char *text, uint64_t *ms, struct error *error) {
    enum { LONGEST_S = 24 * 3600 };
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && errno == 0;
    if (digits && strcmp(end, "ms") == 0 && number >= 1 && number <= LONGEST_S * UINT64_C(1000)) {
        *ms = number;
        return OK;
    }
    if (digits && strcmp(end, "s") == 0 && number >= 1 && number <= LONGEST_S) {
        *ms = number * 1000;
        return OK;
    }
    return error_set(error, ERR_INVALID, "--timeout is \"%s\"; allowed is a time from 1ms to %ds, such as 500ms or 5s", text,
                     LONGEST_S);
}

static bool is_follower(const char *text, struct ctl_options *options) {
    static const char word[] = "follower";
    size_t len = sizeof word - 1;
    if (strncmp(text, word, len) != 0 || (text[len] != '\0' && text[len] != '/')) {
        return false;
    }
    options->follower = true;
    options->follower_cloud = text[len] == '/' ? text + len + 1 : NULL;
    return true;
}

// `given` collects the options that only some commands take.
static enum error_code take_option(enum ctl_option option, struct ctl_options *options, unsigned *given,
                                   struct error *error) {
    *given |= option == CTL_OPTION_FROM ? 0 : ctl_options_known[option].of;
    switch (option) {
    case CTL_OPTION_ENDPOINTS:
        options->endpoints = optarg;
        return OK;
    case CTL_OPTION_TLS_CERT:
        options->tls_files.cert = optarg;
        return OK;
    case CTL_OPTION_TLS_KEY:
        options->tls_files.key = optarg;
        return OK;
    case CTL_OPTION_TLS_CA:
        options->tls_files.ca = optarg;
        return OK;
    case CTL_OPTION_TLS_REQUIRED:
        options->tls_required = true;
        return OK;
    case CTL_OPTION_OUTPUT:
        return parse_output(optarg, options, error);
    case CTL_OPTION_TIMEOUT:
        options->has_timeout = true;
        return parse_timeout(optarg, &options->timeout_ms, error);
    case CTL_OPTION_STALE:
        options->stale = true;
        return OK;
    case CTL_OPTION_WATCH:
        options->watch = true;
        return OK;
    case CTL_OPTION_LIMIT:
        return parse_limit(optarg, &options->limit, error);
    case CTL_OPTION_DRY_RUN:
        options->dry_run = true;
        return OK;
    case CTL_OPTION_EXPECT:
        options->has_expect = true;
        return parse_number("--expect", optarg, &options->expect, error);
    case CTL_OPTION_FILE:
        options->file = optarg;
        return OK;
    case CTL_OPTION_FORCE:
        options->force = true;
        return OK;
    case CTL_OPTION_FROM:
        if (is_follower(optarg, options)) {
            *given |= TAKES_FOLLOWER;
            return OK;
        }
        options->has_from = true;
        options->node = optarg;  // unless the command wants a number: see read_from
        return OK;
    case CTL_OPTION_TO:
        return parse_number("--to", optarg, &options->to, error);
    case CTL_OPTION_HELP:
        options->help = true;
        return OK;
    case CTL_OPTION_VERSION:
        options->version = true;
        return OK;
    case CTL_OPTION_COUNT:
        break;
    }
    assert(false);  // getopt gives the rows alone
    return ERR_INVALID;
}

static enum error_code unknown_option(const char *text, struct error *error) {
    const char *names[CTL_OPTION_COUNT];
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        names[i] = ctl_options_known[i].name;
    }
    const char *nearest = strncmp(text, "--", 2) == 0 ? ctl_nearest(text + 2, names, CTL_OPTION_COUNT) : NULL;
    if (nearest != NULL) {
        return error_set(error, ERR_INVALID, "unknown option %s; did you mean --%s?", text, nearest);
    }
    return error_set(error, ERR_INVALID,
                     "unknown option %s; see batonctl --help (an argument that begins with - goes after --)", text);
}

static enum error_code read_options(int argc, char **argv, struct ctl_options *options, unsigned *given,
                                    struct error *error) {
    struct option long_options[CTL_OPTION_COUNT + 1];
    fill_options(long_options);
    opterr = 0;
    optind = 0;  // makes getopt start afresh
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int option = getopt_long(argc, argv, ":o:h", long_options, NULL);
        if (option == -1) {
            return OK;
        }
        if (option == ':') {
            return error_set(error, ERR_INVALID, "%s needs a value; see batonctl --help", argv[optind - 1]);
        }
        if (option == '?') {
            return unknown_option(optind > at ? argv[optind - 1] : argv[at], error);
        }
        int row = option == 'o' ? CTL_OPTION_OUTPUT : option == 'h' ? CTL_OPTION_HELP : option - OPTION_BASE;
        enum error_code code = take_option((enum ctl_option)row, options, given, error);
        if (code != OK) {
            return code;
        }
    }
}

// --- the command ---

static enum error_code unknown_command(const char *first, const char *second, struct error *error) {
    const char *names[CTL_COMMAND_COUNT];
    char text[NAME_MAX_LEN + 2];
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        names[i] = ctl_commands[i].name;
    }
    // The first word of two, such as "worker".
    size_t len = strlen(first);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        if (strncmp(names[i], first, len) == 0 && names[i][len] == ' ') {
            return error_set(error, ERR_INVALID, "there is no command \"%s%s%s\"; did you mean \"%s\"?", first,
                             second == NULL ? "" : " ", second == NULL ? "" : second, names[i]);
        }
    }
    const char *nearest = NULL;
    if (second != NULL && (size_t)snprintf(text, sizeof text, "%s %s", first, second) < sizeof text) {
        nearest = ctl_nearest(text, names, CTL_COMMAND_COUNT);
    }
    if (nearest == NULL || strchr(nearest, ' ') == NULL) {
        nearest = ctl_nearest(first, names, CTL_COMMAND_COUNT);
    }
    if (nearest != NULL) {
        return error_set(error, ERR_INVALID, "there is no command \"%s\"; did you mean \"%s\"?", first, nearest);
    }
    return error_set(error, ERR_INVALID, "there is no command \"%s\"; see batonctl --help", first);
}

// The number of leading words that are the command's name or alias; 0: they are not.
static int matches(const struct manual_command *command, char **words, int count) {
    const char *space = strchr(command->name, ' ');
    if (space == NULL) {
        return count >= 1 &&
               (strcmp(words[0], command->name) == 0 || (command->alias != NULL && strcmp(words[0], command->alias) == 0));
    }
    size_t len = (size_t)(space - command->name);
    bool both = count >= 2 && strlen(words[0]) == len && memcmp(words[0], command->name, len) == 0 &&
                strcmp(words[1], space + 1) == 0;
    return both ? 2 : 0;
}

enum ctl_command ctl_command_of(char **words, int count, int *name_words) {
    enum ctl_command command = 0;
    while (command < CTL_COMMAND_COUNT && (*name_words = matches(&ctl_commands[command], words, count)) == 0) {
        command++;
    }
    return command;
}

static enum error_code read_command(char **words, int count, struct ctl_options *options, struct error *error) {
    int name_words;
    enum ctl_command command = ctl_command_of(words, count, &name_words);
    if (command == CTL_NO_COMMAND) {
        return unknown_command(words[0], count > 1 ? words[1] : NULL, error);
    }
    options->command = command;
    if (options->help) {
        return OK;
    }
    int arguments = count - name_words;
    int least;
    int most;
    manual_arguments(&ctl_commands[command], &least, &most);
    if (arguments < least || arguments > most) {
        return error_set(error, ERR_INVALID, "%s arguments; usage: batonctl %s %s",
                         arguments < least ? "too few" : "too many", ctl_commands[command].name,
                         ctl_commands[command].arguments);
    }
    for (int i = 0; i < arguments; i++) {
        options->arguments[i] = words[name_words + i];
    }
    return OK;
}

// What --from means depends on the command.
static enum error_code read_from(struct ctl_options *options, unsigned *given, struct error *error) {
    if (!options->has_from || (ctl_commands[options->command].takes & TAKES_NODE) != 0) {
        return OK;
    }
    const char *text = options->node;
    options->node = NULL;
    *given |= TAKES_FROM;
    return parse_number("--from", text, &options->from, error);
}

// `batonctl help` and `batonctl version` are what others call --help and --version: how many words that takes.
static int take_word_for_option(const char *word, struct ctl_options *options) {
    bool help = strcmp(word, "help") == 0;
    bool version = strcmp(word, "version") == 0;
    options->help |= help;
    options->version |= version;
    return help || version;
}

enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error) {
    static const char *const optional[] = {"--stale",   "--expect", "--from", "--to",    "--from follower", "--from",
                                           "--dry-run", "--force",  "--file", "--limit", "--watch"};
    *options = (struct ctl_options){.command = CTL_NO_COMMAND, .timeout_ms = CTL_TIMEOUT_DEFAULT_MS};
    unsigned given = 0;
    enum error_code code = read_options(argc, argv, options, &given, error);
    if (code != OK || options->version) {
        return code;
    }
    if (optind == argc) {
        return options->help ? OK : error_set(error, ERR_INVALID, "which command? see batonctl --help");
    }
    optind += take_word_for_option(argv[optind], options);
    if (options->version || optind == argc) {
        return OK;
    }
    code = read_command(argv + optind, argc - optind, options, error);
    if (code == OK && !options->help) {
        code = read_from(options, &given, error);
    }
    if (code != OK || options->help) {
        return code;
    }
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        if ((given & 1u << i) != 0 && (ctl_commands[options->command].takes & 1u << i) == 0) {
            return error_set(error, ERR_INVALID, "%s does not go with %s; see batonctl --help", optional[i],
                             ctl_commands[options->command].name);
        }
    }
    if (options->stale && options->follower) {
        return error_set(error, ERR_INVALID, "--stale does not go with --from follower, which reads the newest state");
    }
    if (options->to != 0 && options->from > options->to) {
        return error_set(error, ERR_INVALID, "--from %llu is after --to %llu", (unsigned long long)options->from,
                         (unsigned long long)options->to);
    }
    return OK;
}
