// Completing batonctl's command lines. A shell sources what `batonctl completion SHELL` prints; that calls `batonctl
// __complete` with the words so far each time, whose answer is made from the vocabulary: a line for each candidate, with a
// tab and what it means, or a line that leaves the rest to the shell.
#include "ctl/completion.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "ctl/commands.h"
#include "ctl/scripts.h"
#include "ctl/vocabulary.h"

enum ctl_exit ctl_completion(struct ctl *ctl) {
    const char *shell = ctl->options->arguments[0];
    const struct {
        const char *shell;
        struct slice script;
    } scripts[] = {{"bash", slice_of(asset_completion_bash, asset_completion_bash_len)},
                   {"zsh", slice_of(asset_completion_zsh, asset_completion_zsh_len)},
                   {"fish", slice_of(asset_completion_fish, asset_completion_fish_len)}};
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        if (strcmp(scripts[i].shell, shell) == 0) {
            buf_append_slice(&ctl->out, scripts[i].script);
            return ctl_print(ctl);
        }
    }
    error_set(&ctl->error, ERR_INVALID, "there is no completion for \"%s\"; allowed are bash, zsh and fish", shell);
    return CTL_USAGE;
}

// --- candidates ---

struct completion {
    const char *last;  // the word to complete
    struct buf *out;
};

// A candidate, of its first `len` bytes, if the word so far is how it begins; and the first line of what it means.
static void offer(const struct completion *c, const char *candidate, size_t len, const char *meaning) {
    size_t so_far = strlen(c->last);
    if (so_far <= len && memcmp(candidate, c->last, so_far) == 0) {
        buf_append(c->out, candidate, len);
        buf_printf(c->out, "\t%.*s\n", (int)strcspn(meaning, "\n"), meaning);
    }
}

// What an argument named so may be: the program knows files and a choice of words.
static void offer_values(const struct completion *c, const char *argument) {
    if (strcmp(argument, "FILE") == 0) {
        buf_append_str(c->out, ":files\n");
    } else if (strchr(argument, '|') != NULL) {
        for (size_t len; *argument != '\0'; argument += len + (argument[len] == '|')) {
            len = strcspn(argument, "|");
            offer(c, argument, len, "");
        }
    }
}

static void offer_options(const struct completion *c, const struct manual_command *command) {
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        const struct manual_option *option = &ctl_options_known[i];
        char name[32];
        if (command == NULL || manual_takes(command, option)) {
            int len = snprintf(name, sizeof name, "--%s", option->name);
            offer(c, name, (size_t)len, option->help);
        }
    }
}

// The commands' first words; of several commands with the same one, it means the first.
static void offer_first_words(const struct completion *c) {
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        const struct manual_command *command = &ctl_commands[i];
        size_t len = strcspn(command->name, " ");
        bool again = i > 0 && strncmp(ctl_commands[i - 1].name, command->name, len) == 0 &&
                     strcspn(ctl_commands[i - 1].name, " ") == len;
        if (!again) {
            offer(c, command->name, len, command->name[len] == ' ' ? "..." : command->summary);
        }
        if (command->alias != NULL) {
            offer(c, command->alias, strlen(command->alias), command->summary);
        }
    }
}

static void offer_second_words(const struct completion *c, const char *first) {
    size_t len = strlen(first);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        const char *name = ctl_commands[i].name;
        if (strncmp(name, first, len) == 0 && name[len] == ' ') {
            offer(c, name + len + 1, strlen(name + len + 1), ctl_commands[i].summary);
        }
    }
}

// The option that the word is; NULL: it is none.
static const struct manual_option *option_of(const char *word) {
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        const struct manual_option *option = &ctl_options_known[i];
        bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, option->name) == 0;
        bool is_short = option->letter != 0 && word[0] == '-' && word[1] == option->letter && word[2] == '\0';
        if (is_long || is_short) {
            return option;
        }
    }
    return NULL;
}

// The words before the last that are neither options nor their values: at most `max` are counted. The option whose value the
// last word is, or NULL.
static const struct manual_option *plain_words(char **words, int count, char **plain, int max, int *plain_count) {
    *plain_count = 0;
    for (int i = 0; i + 1 < count; i++) {
        const struct manual_option *option = option_of(words[i]);
        if (option != NULL && option->argument != NULL) {
            i++;
            if (i + 1 == count) {
                return option;
            }
        } else if (words[i][0] != '-' && *plain_count < max) {
            plain[(*plain_count)++] = words[i];
        }
    }
    return NULL;
}

void completion_candidates(char **words, int count, struct buf *out) {
    enum { WORDS_MAX = 8 };
    struct completion c = {.last = count > 0 ? words[count - 1] : "", .out = out};
    char *plain[WORDS_MAX];
    int plain_count;
    const struct manual_option *option = plain_words(words, count, plain, WORDS_MAX, &plain_count);
    if (option != NULL) {
        offer_values(&c, option->argument);
        return;
    }
    int name_words = 0;
    enum ctl_command command = ctl_command_of(plain, plain_count, &name_words);
    const struct manual_command *known = command == CTL_NO_COMMAND ? NULL : &ctl_commands[command];
    if (c.last[0] == '-') {
        offer_options(&c, known);
        return;
    }
    if (plain_count == 0) {
        offer_first_words(&c);
    } else if (plain_count == 1) {
        offer_second_words(&c, plain[0]);
    }
    if (known != NULL && plain_count == name_words) {
        offer_values(&c, known->arguments);
    }
}
