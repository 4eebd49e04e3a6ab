// Reading a configuration file: cmd/config_file.h.
#include "cmd/config_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static enum error_code read_text(const char *path, char **text, struct error *error) {
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        return error_set(error, ERR_INVALID, "--config %s: %s", path, strerror(errno));
    }
    *text = mem_alloc(CONFIG_FILE_MAX + 1);
    size_t len = fread(*text, 1, CONFIG_FILE_MAX + 1, in);
    enum error_code code = OK;
    if (ferror(in)) {
        code = error_set(error, ERR_INVALID, "--config %s: %s", path, strerror(errno));
    } else if (len > CONFIG_FILE_MAX) {
        code = error_set(error, ERR_INVALID, "--config %s: larger than the %d bytes allowed", path, CONFIG_FILE_MAX);
    } else if (memchr(*text, '\0', len) != NULL) {
        code = error_set(error, ERR_INVALID, "--config %s: has a zero byte; it is no text", path);
    }
    (*text)[code == OK ? len : 0] = '\0';
    fclose(in);
    return code;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static char *trim(char *text) {
    while (is_blank(*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && is_blank(text[len - 1])) {
        text[--len] = '\0';
    }
    return text;
}

// Takes the quotes off `*value`, in place. NULL, or what is wrong.
static const char *unquote(char **value) {
    char quote = **value;
    if (quote != '"' && quote != '\'') {
        return strpbrk(*value, "\"'\\") == NULL ? NULL
                                                : "a quote or backslash within the value; put all of it in single quotes";
    }
    char *to = *value;
    char *from = *value + 1;
    for (; *from != quote; from++) {
        if (*from == '\0') {
            return "the quote does not end on this line";
        }
        if (quote == '"' && *from == '\\') {
            from++;
            if (*from != '"' && *from != '\\') {
                return "a backslash that is not before \" or another; put the value in single quotes";
            }
        }
        *to++ = *from;
    }
    if (from[1] != '\0') {
        return "something follows the closing quote";
    }
    *to = '\0';
    return NULL;
}

// NULL, or what is wrong.
static const char *take_line(struct config_file *file, char *text, unsigned number) {
    text = trim(text);
    if (*text == '\0' || *text == '#' || *text == ';') {
        return NULL;
    }
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != (size_t)(equals - text)) {
        return "neither NAME=VALUE, such as BATON_NODE_ID=n1, nor a comment";
    }
    *equals = '\0';
    char *value = trim(equals + 1);
    const char *wrong = unquote(&value);
    for (size_t i = 0; i < file->count && wrong == NULL; i++) {
        wrong = strcmp(file->lines[i].name, text) == 0 ? "a name that an earlier line has set" : NULL;
    }
    if (wrong == NULL && file->count == CONFIG_LINES_MAX) {
        wrong = "more lines than there are options";
    }
    if (wrong == NULL) {
        file->lines[file->count++] = (struct config_line){.name = text, .value = value, .line = number};
    }
    return wrong;
}

enum error_code config_file_read(const char *path, struct config_file *file, struct error *error) {
    *file = (struct config_file){.count = 0};
    enum error_code code = read_text(path, &file->text, error);
    unsigned number = 1;
    for (char *line = file->text; code == OK && line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        const char *wrong = take_line(file, line, number);
        if (wrong != NULL) {
            code = error_set(error, ERR_INVALID, "%s:%u: %s", path, number, wrong);
        }
        line = end == NULL ? NULL : end + 1;
    }
    if (code != OK) {
        config_file_free(file);
    }
    return code;
}

void config_file_free(struct config_file *file) {
    free(file->text);
    *file = (struct config_file){.count = 0};
}
