// A configuration file: lines NAME=VALUE, with the names that the options have in the environment.
//
// The form is what systemd reads from an EnvironmentFile, so that one file serves the unit and --config alike, and no option
// has a third name. Of that form only what can be read in one way:
//
//     # a comment, as with ;
//     BATON_NODE_ID=n1
//     BATON_PEERS="n1=10.0.0.1:7400/gcp,n2=10.0.0.2:7400/gcp"
//
// Blanks around a line, and before the value, do not count. In double quotes \" and \\ stand for one character; in single
// quotes nothing is special. Outside of quotes there is no backslash, and no quote within a value. A name stands once.
#ifndef BATON_CMD_CONFIG_FILE_H
#define BATON_CMD_CONFIG_FILE_H

#include <stddef.h>

#include "base/error.h"

enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_LINES_MAX = 256 };  // bytes; lines that set something

struct config_line {
    const char *name;
    const char *value;
    unsigned line;  // from 1
};

struct config_file {
    char *text;  // which the lines point into
    struct config_line lines[CONFIG_LINES_MAX];
    size_t count;
};

// Reads the file. ERR_INVALID: the message names the file, and the line if one is at fault.
enum error_code config_file_read(const char *path, struct config_file *file, struct error *error);

void config_file_free(struct config_file *file);

#endif
