// batond's configuration: the flag --some-name takes precedence over the variable BATON_SOME_NAME, that over the line of
// this name in the file of --config, and that over the default. Everything is checked before the disk is touched.
#ifndef BATON_CMD_BATOND_OPTIONS_H
#define BATON_CMD_BATOND_OPTIONS_H

#include <stdio.h>

#include "base/error.h"
#include "base/slog.h"
#include "cmd/flags.h"
#include "node/node.h"
#include "tls/tls.h"

enum batond_action {
    BATOND_RUN,
    BATOND_CHECK_CONFIG,
    BATOND_CHECK_WAL,
    BATOND_DUMP_WAL,
    BATOND_DUMP_SNAPSHOT,
    BATOND_REBUILD,
    BATOND_PROMOTE_SURVIVOR,
    BATOND_RESTORE,
    BATOND_REJOIN,
    BATOND_HELP,
    BATOND_VERSION,
};

struct batond_options {
    enum batond_action action;
    struct config_file config;  // empty if none is given
    struct buf settings;        // what node.settings points to
    struct node_config node;    // its strings are argv's, the environment's and the file's
    const char *http;           // HOST:PORT
    bool tls;                   // `tls_files` is set
    struct tls_files tls_files;
    enum slog_level log_level;
    enum slog_format log_format;
    const char *wal_dir;    // for CHECK_WAL, DUMP_WAL and DUMP_SNAPSHOT: a data directory
    raft_index dump_to;     // DUMP_WAL; 0: all
    raft_index dump_index;  // DUMP_SNAPSHOT; 0: the newest
    bool yes;               // PROMOTE_SURVIVOR: do not ask
    const char *restore;    // RESTORE: a backup
};

// Fills *options, to be freed if OK. ERR_INVALID: the message names the flag, variable or the file's line, and what is
// allowed.
enum error_code batond_options_parse(int argc, char **argv, struct batond_options *options, struct error *error);

void batond_options_free(struct batond_options *options);

// All flags, in the order of --help.
extern const struct flag_table batond_flags;

// Prints --help.
void batond_help(FILE *out);

#endif
