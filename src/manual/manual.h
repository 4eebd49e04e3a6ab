// A program's words as data: its commands and options. Its manual page is made from these, and so says what the program
// itself understands.
#ifndef BATON_MANUAL_MANUAL_H
#define BATON_MANUAL_MANUAL_H

#include "base/buf.h"

// All texts are static. What has several lines has '\n' between them.
struct manual_option {
    const char *name;      // without --; NULL: a heading, which is `help`
    char letter;           // the short form; 0: none
    const char *argument;  // NULL: none. FILE is a path, and where a '|' stands, it is one of these words
    const char *help;
    const char *variable;  // in the environment; NULL: none
    const char *initial;   // the default; NULL: none
    bool required;
    unsigned of;  // the commands that take it, by a bit of their `takes`; 0: all
};

struct manual_command {
    const char *name;       // of one or two words
    const char *alias;      // of one word; NULL: none
    const char *arguments;  // such as "KEY VALUE" or "[PREFIX]"
    unsigned takes;         // bits: the options that not all commands take
    const char *summary;
    const char *details;   // NULL: none
    const char *examples;  // each line a command
};

struct manual {
    const char *program;
    char section;             // '1': for users, '8': for who runs a system
    const char *purpose;      // half a line
    const char *synopsis;     // each line one way to call it, without the program's name
    const char *description;  // paragraphs, each one line
    const struct manual_command *commands;
    size_t command_count;
    const struct manual_option *options;
    size_t option_count;
    const char *exits;     // each line a status, a space, its meaning
    const char *see_also;  // such as "batonctl(1)"
};

// How many arguments a command takes at least, and at most.
void manual_arguments(const struct manual_command *command, int *least, int *most);

// Whether the command takes the option.
bool manual_takes(const struct manual_command *command, const struct manual_option *option);

// Appends the manual page, in man(7)'s macros.
void manual_page(const struct manual *manual, const char *version, struct buf *out);

#endif
