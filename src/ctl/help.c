// batonctl --help, from its vocabulary.
#include <stdio.h>
#include <string.h>

#include "ctl/vocabulary.h"

enum { COMMAND_WIDTH = 36, OPTION_WIDTH = 27, LINE_WIDTH = 100 };

// The text's further lines are indented, as is what does not fit behind it.
static void print_explanation(const struct manual_option *option) {
    char more[160] = "";
    size_t column = OPTION_WIDTH;
    for (const char *c = option->help; *c != '\0'; c++) {
        putchar(*c);
        column++;
        if (*c == '\n') {
            printf("%*s", OPTION_WIDTH, "");
            column = OPTION_WIDTH;
        }
    }
    if (option->variable != NULL) {
        column += (size_t)printf(" [env: %s]", option->variable);
    }
    if (option->initial != NULL) {
        snprintf(more, sizeof more, "(default %s)", option->initial);
    }
    if (more[0] != '\0' && column + 1 + strlen(more) > LINE_WIDTH) {
        printf("\n%*s%s", OPTION_WIDTH, "", more);
    } else if (more[0] != '\0') {
        printf(" %s", more);
    }
    putchar('\n');
}

static void print_options(const struct manual_command *command) {
    bool begun = false;
    for (size_t i = 0; i < CTL_OPTION_COUNT; i++) {
        const struct manual_option *option = &ctl_options_known[i];
        if (command != NULL && (option->of == 0 || !manual_takes(command, option))) {
            continue;
        }
        printf("%s  ", begun ? "" : "\noptions\n");
        begun = true;
        int width = 2;
        if (option->letter != 0) {
            width += printf("-%c, ", option->letter);
        }
        width += printf("--%s", option->name);
        if (option->argument != NULL) {
            width += printf(" %s", option->argument);
        }
        printf("%*s", width + 2 <= OPTION_WIDTH ? OPTION_WIDTH - width : 2, "");
        print_explanation(option);
    }
}

static void print_examples(const char *examples) {
    printf("\n  ");
    for (; *examples != '\0'; examples++) {
        printf(*examples == '\n' ? "\n  " : "%c", *examples);
    }
    putchar('\n');
}

static void print_command(const struct manual_command *command) {
    printf("usage: batonctl %s%s%s [option ...]\n\n%s.\n", command->name, command->arguments[0] == '\0' ? "" : " ",
           command->arguments, command->summary);
    if (command->alias != NULL) {
        printf("%s is the same.\n", command->alias);
    }
    if (command->details != NULL) {
        printf("%s\n", command->details);
    }
    print_examples(command->examples);
    print_options(command);
    printf("\nbatonctl --help has the options that go with all commands.\n");
}

static void print_exits(void) {
    printf("\nexit status\n  ");
    for (const char *c = ctl_manual.exits; *c != '\0'; c++) {
        printf(*c == '\n' ? "\n  " : "%c", *c);
    }
    putchar('\n');
}

void ctl_help(enum ctl_command command) {
    if (command != CTL_NO_COMMAND) {
        print_command(&ctl_commands[command]);
        return;
    }
    printf("usage: batonctl COMMAND [argument ...] [option ...]\n\ncommands (batonctl help COMMAND has examples)\n");
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", ctl_commands[i].name, ctl_commands[i].arguments);
        printf("  %-*s %s%s%s%s\n", COMMAND_WIDTH, usage, ctl_commands[i].summary,
               ctl_commands[i].alias == NULL ? "" : " (also ", ctl_commands[i].alias == NULL ? "" : ctl_commands[i].alias,
               ctl_commands[i].alias == NULL ? "" : ")");
    }
    print_options(NULL);
    printf("\nA write is retried until its outcome is known; it is applied at most once.\n");
    print_exits();
}
