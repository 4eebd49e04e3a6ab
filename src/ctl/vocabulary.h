// What batonctl understands: its commands and options, a row each. Parsing, --help, completions and the manual page are all
// made from these rows.
#ifndef BATON_CTL_VOCABULARY_H
#define BATON_CTL_VOCABULARY_H

#include "manual/manual.h"

// Every command: X(constant CTL_..., function ctl_... of commands.h). Those of the same first word stand
// together; one of two words comes before the one that is its first word.
#define CTL_COMMANDS(X)                                                                                                     \
    X(STATUS, status)                                                                                                       \
    X(WORKER_LIST, worker_list)                                                                                             \
    X(WORKER_SHOW, worker_show)                                                                                             \
    X(MEMBER_LIST, member_list)                                                                                             \
    X(MEMBER_ADD, member_add)                                                                                               \
    X(MEMBER_PROMOTE, member_promote)                                                                                       \
    X(MEMBER_REMOVE, member_remove)                                                                                         \
    X(MEMBER_UPDATE, member_update)                                                                                         \
    X(MEMBER_REPLACE, member_replace)                                                                                       \
    X(ACCESS_LIST, access_list)                                                                                             \
    X(ACCESS_GRANT, access_grant)                                                                                           \
    X(ACCESS_REVOKE, access_revoke)                                                                                         \
    X(LEADER_TRANSFER, leader_transfer)                                                                                     \
    X(PUT, put)                                                                                                             \
    X(GET, get)                                                                                                             \
    X(DELETE, delete)                                                                                                       \
    X(LIST, list)                                                                                                           \
    X(WATCH, watch)                                                                                                         \
    X(LOG, log)                                                                                                             \
    X(EXPLAIN_ELECTION, explain_election)                                                                                   \
    X(EXPLAIN_WORKER, explain_worker)                                                                                       \
    X(EXPLAIN_WRITES, explain_writes)                                                                                       \
    X(EXPLAIN_ALL, explain_all)                                                                                             \
    X(EXPLAIN, explain)                                                                                                     \
    X(DEBUG, debug)                                                                                                         \
    X(BENCH, bench)                                                                                                         \
    X(SNAPSHOT, snapshot)                                                                                                   \
    X(BACKUP_CHECK, backup_check)                                                                                           \
    X(BACKUP, backup)                                                                                                       \
    X(COMPLETION, completion)

enum ctl_command {
#define X(constant, function) CTL_##constant,
    CTL_COMMANDS(X)
#undef X
        CTL_COMMAND_COUNT,
    CTL_NO_COMMAND = CTL_COMMAND_COUNT,
};

// Options that only some commands take: bits of manual_command.takes and manual_option.of.
enum ctl_takes {
    TAKES_STALE = 1,
    TAKES_EXPECT = 2,
    TAKES_FROM = 4,
    TAKES_TO = 8,
    TAKES_FOLLOWER = 16,
    TAKES_NODE = 32,
    TAKES_DRY_RUN = 64,
    TAKES_FORCE = 128,
    TAKES_FILE = 256,
    TAKES_LIMIT = 512,
    TAKES_WATCH = 1024,
};

enum ctl_option {
    CTL_OPTION_ENDPOINTS,
    CTL_OPTION_TLS_CERT,
    CTL_OPTION_TLS_KEY,
    CTL_OPTION_TLS_CA,
    CTL_OPTION_TLS_REQUIRED,
    CTL_OPTION_OUTPUT,
    CTL_OPTION_TIMEOUT,
    CTL_OPTION_STALE,
    CTL_OPTION_LIMIT,
    CTL_OPTION_WATCH,
    CTL_OPTION_DRY_RUN,
    CTL_OPTION_EXPECT,
    CTL_OPTION_FROM,
    CTL_OPTION_TO,
    CTL_OPTION_FILE,
    CTL_OPTION_FORCE,
    CTL_OPTION_HELP,
    CTL_OPTION_VERSION,
    CTL_OPTION_COUNT
};

extern const struct manual_command ctl_commands[CTL_COMMAND_COUNT];
extern const struct manual_option ctl_options_known[CTL_OPTION_COUNT];
extern const struct manual ctl_manual;

// Prints a command's help; for CTL_NO_COMMAND the general one.
void ctl_help(enum ctl_command command);

#endif
