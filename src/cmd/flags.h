// A program's flags as rows of a table. What getopt is asked, the variable in the environment, the default, what --help
// prints and where the value is stored all come from a flag's one row, so that adding a flag is adding a row.
#ifndef BATON_CMD_FLAGS_H
#define BATON_CMD_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "cmd/config_file.h"

enum {
    FLAGS_MAX = 64,     // rows of a table
    SOURCE_SIZE = 256,  // bytes of where a value comes from
};

// The value that counts: the command line's, else the environment's, else the configuration file's, else the default.
struct setting {
    const char *text;          // argv's, the environment's, the file's or the row's; NULL: there is none
    char source[SOURCE_SIZE];  // "--node-id", "BATON_NODE_ID" or "/etc/default/baton:3: BATON_NODE_ID", for messages
};

struct flag;

// Parses setting->text (never NULL) into the field. ERR_INVALID names setting->source and says what is allowed.
typedef enum error_code flag_parse(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

struct flag {
    const char *name;        // --name; NULL: a heading of --help
    const char *argument;    // what --help calls the value; NULL: the flag takes none and means "true"
    const char *initial;     // the default, as it would be given; NULL: none
    const char *same_as;     // or the flag in an earlier row whose value is the default
    bool required;           // there is no default, and it must be given
    bool command_line_only;  // not read from the environment
    unsigned group;          // flags_parse takes one group at a time
    flag_parse *parse;
    size_t offset;     // of the field, in what flags_parse fills
    uint64_t least;    // for flag_number
    uint64_t most;     // for flag_number
    const char *help;  // may have several lines
};

struct flag_table {
    const char *program;             // "batond", for messages
    const char *environment_prefix;  // "BATON_": --node-id is BATON_NODE_ID
    bool show_environment;           // --help names each flag's variable
    const char *config;              // the flag that names a configuration file; NULL: none does
    const struct flag *rows;
    size_t count;
};

// Fills settings[i] for each row i. `file`: for the one that table->config names, if it is given, else empty; the caller
// frees it when the settings are no longer needed; NULL if there is no such flag. ERR_INVALID: an unknown flag, a missing
// value, or one too many, or the file is wrong or cannot be read.
enum error_code flags_read(const struct flag_table *table, int argc, char **argv, struct config_file *file,
                           struct setting *settings, struct error *error);

// Parses the settings of one group, in the rows' order, into the fields of *target; a field without a value stays as it
// is. ERR_INVALID: a required one is missing, or what the row's `parse` says.
enum error_code flags_parse(const struct flag_table *table, const struct setting *settings, unsigned group, void *target,
                            struct error *error);

// The setting of --name, which must be in the table.
const struct setting *flags_setting(const struct flag_table *table, const struct setting *settings, const char *name);

// The flag's variable in the environment, into `name`, which has room for it: SOURCE_SIZE bytes always suffice.
void flags_variable(const struct flag_table *table, const struct flag *flag, char *name, size_t size);

// The rows as --help shows them.
void flags_print(const struct flag_table *table, FILE *out);

// Appends the flags that have a value, one "--name=value" a line; what neither the command line nor a default has given,
// with its source behind it.
void flags_describe(const struct flag_table *table, const struct setting *settings, struct buf *out);

// --- kinds of values ---

flag_parse flag_text;      // const char *, as given
flag_parse flag_boolean;   // bool: true, 1, false, 0 or nothing
flag_parse flag_on_off;    // bool: on or off
flag_parse flag_address;   // const char *, a HOST:PORT that address_check accepts
flag_parse flag_number;    // uint64_t, from `least` to `most` of its row
flag_parse flag_bytes;     // uint64_t, a size such as 65536, 64KiB, 64MiB or 2GiB
flag_parse flag_duration;  // uint64_t, microseconds of a time such as 150ms or 2s

// Takes a time from the front of *text, which is advanced past it. False: there is none, it is 0, or more than an hour.
bool duration_take(const char **text, uint64_t *us);

#endif
