// A manual page in man(7)'s macros: manual/manual.h.
#include <ctype.h>
#include <string.h>

#include "manual/manual.h"

void manual_arguments(const struct manual_command *command, int *least, int *most) {
    *least = *most = 0;
    for (const char *at = command->arguments; *at != '\0'; at++) {
        if (at == command->arguments || at[-1] == ' ') {
            *most += 1;
            *least += *at != '[';
        }
    }
}

bool manual_takes(const struct manual_command *command, const struct manual_option *option) {
    return option->of == 0 || (option->of & command->takes) != 0;
}

// A backslash, a hyphen that is to be typed, and a dot or quote at a line's beginning mean something to roff.
static void append_escaped(struct buf *out, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((text[i] == '.' || text[i] == '\'') && (i == 0 || text[i - 1] == '\n')) {
            buf_append_str(out, "\\&");
        }
        if (text[i] == '\\') {
            buf_append_str(out, "\\e");
        } else if (text[i] == '-') {
            buf_append_str(out, "\\-");
        } else {
            buf_append(out, text + i, 1);
        }
    }
}

static void append_text(struct buf *out, const char *text) {
    append_escaped(out, text, strlen(text));
    buf_append_str(out, "\n");
}

static void heading(struct buf *out, const char *text) {
    buf_append_str(out, ".SH ");
    for (; *text != '\0'; text++) {
        buf_printf(out, "%c", toupper((unsigned char)*text));
    }
    buf_append_str(out, "\n");
}

// Lines as they are, such as commands.
static void append_verbatim(struct buf *out, const char *text) {
    buf_append_str(out, ".PP\n.RS 4\n.nf\n");
    append_text(out, text);
    buf_append_str(out, ".fi\n.RE\n");
}

static void append_synopsis(const struct manual *manual, struct buf *out) {
    heading(out, "synopsis");
    for (const char *line = manual->synopsis; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        buf_printf(out, "%s.B %s\n", line == manual->synopsis ? "" : ".br\n", manual->program);
        append_escaped(out, line, len);
        buf_append_str(out, "\n");
        line += len + (line[len] == '\n');
    }
}

static void append_paragraphs(struct buf *out, const char *text) {
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        buf_append_str(out, line == text ? "" : ".PP\n");
        append_escaped(out, line, len);
        buf_append_str(out, "\n");
        line += len + (line[len] == '\n');
    }
}

static void append_command(const struct manual_command *command, struct buf *out) {
    buf_append_str(out, ".TP\n.B ");
    append_escaped(out, command->name, strlen(command->name));
    if (command->arguments[0] != '\0') {
        buf_append_str(out, " \\fI");
        append_escaped(out, command->arguments, strlen(command->arguments));
        buf_append_str(out, "\\fR");
    }
    if (command->alias != NULL) {
        buf_printf(out, " \\fR(also \\fB%s\\fR)", command->alias);
    }
    buf_printf(out, "\n%c", toupper((unsigned char)command->summary[0]));
    append_escaped(out, command->summary + 1, strlen(command->summary + 1));
    buf_append_str(out, ".\n");
    if (command->details != NULL) {
        append_text(out, command->details);
    }
    buf_append_str(out, ".RS\n");
    append_verbatim(out, command->examples);
    buf_append_str(out, ".RE\n");
}

static void append_option(const struct manual_option *option, struct buf *out) {
    if (option->name == NULL) {
        buf_printf(out, ".SS %c", toupper((unsigned char)option->help[0]));
        append_text(out, option->help + 1);
        return;
    }
    buf_append_str(out, ".TP\n.B ");
    if (option->letter != 0) {
        buf_printf(out, "\\-%c, ", option->letter);
    }
    buf_append_str(out, "\\-\\-");
    append_escaped(out, option->name, strlen(option->name));
    if (option->argument != NULL) {
        buf_append_str(out, " \\fI");
        append_escaped(out, option->argument, strlen(option->argument));
        buf_append_str(out, "\\fR");
    }
    buf_append_str(out, "\n");
    append_text(out, option->help);
    if (option->required) {
        buf_append_str(out, "Required.\n");
    }
    if (option->initial != NULL) {
        buf_append_str(out, "Default: ");
        append_escaped(out, option->initial, strlen(option->initial));
        buf_append_str(out, ".\n");
    }
    if (option->variable != NULL) {
        buf_printf(out, "In the environment: \\fB%s\\fR.\n", option->variable);
    }
}

static void append_exits(const struct manual *manual, struct buf *out) {
    heading(out, "exit status");
    for (const char *line = manual->exits; *line != '\0';) {
        size_t digits = strcspn(line, " ");
        size_t len = strcspn(line, "\n");
        buf_printf(out, ".TP\n.B %.*s\n", (int)digits, line);
        append_escaped(out, line + digits + 1, len - digits - 1);
        buf_append_str(out, "\n");
        line += len + (line[len] == '\n');
    }
}

void manual_page(const struct manual *manual, const char *version, struct buf *out) {
    buf_printf(out, ".\\\" Made from the program's own tables of commands and options.\n.TH ");
    for (const char *c = manual->program; *c != '\0'; c++) {
        buf_printf(out, *c == '-' ? "\\-" : "%c", toupper((unsigned char)*c));
    }
    buf_printf(out, " %c \"\" \"baton %s\" \"baton\"\n", manual->section, version);
    heading(out, "name");
    append_escaped(out, manual->program, strlen(manual->program));
    buf_append_str(out, " \\- ");
    append_text(out, manual->purpose);
    append_synopsis(manual, out);
    heading(out, "description");
    append_paragraphs(out, manual->description);
    if (manual->command_count > 0) {
        heading(out, "commands");
    }
    for (size_t i = 0; i < manual->command_count; i++) {
        append_command(&manual->commands[i], out);
    }
    heading(out, "options");
    for (size_t i = 0; i < manual->option_count; i++) {
        append_option(&manual->options[i], out);
    }
    append_exits(manual, out);
    heading(out, "see also");
    append_text(out, manual->see_also);
}
