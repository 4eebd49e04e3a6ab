// batonctl's command line.
#ifndef BATON_CTL_OPTIONS_H
#define BATON_CTL_OPTIONS_H

#include "base/error.h"
#include "base/slice.h"
#include "tls/tls.h"

// Every command: X(constant CTL_..., function ctl_... of commands.h). Its words are a row in options.c. One of two words
// comes before the one that is its first word.
#define CTL_COMMANDS(X)                                                                                                     \
    X(STATUS, status)                                                                                                       \
    X(WORKER_LIST, worker_list)                                                                                             \
    X(MEMBER_LIST, member_list)                                                                                             \
    X(MEMBER_ADD, member_add)                                                                                               \
    X(MEMBER_PROMOTE, member_promote)                                                                                       \
    X(MEMBER_REMOVE, member_remove)                                                                                         \
    X(MEMBER_UPDATE, member_update)                                                                                         \
    X(MEMBER_REPLACE, member_replace)                                                                                       \
    X(LEADER_TRANSFER, leader_transfer)                                                                                     \
    X(PUT, put)                                                                                                             \
    X(GET, get)                                                                                                             \
    X(DELETE, delete)                                                                                                       \
    X(LIST, list)                                                                                                           \
    X(WATCH, watch)                                                                                                         \
    X(LOG, log)                                                                                                             \
    X(SNAPSHOT, snapshot)                                                                                                   \
    X(BACKUP_CHECK, backup_check)                                                                                           \
    X(BACKUP, backup)

enum ctl_command {
#define X(constant, function) CTL_##constant,
    CTL_COMMANDS(X)
#undef X
        CTL_COMMAND_COUNT,
    CTL_NO_COMMAND = CTL_COMMAND_COUNT,
};

struct ctl_options {
    enum ctl_command command;
    bool help;  // of the command, or general if there is none
    bool version;
    const char *arguments[2];    // NULL: absent
    const char *endpoints;       // NULL: not given
    struct tls_files tls_files;  // NULL members: not given
    bool tls_required;
    bool json;
    bool stale;
    bool dry_run;                // change nothing, say what would be so
    bool follower;               // read from a node that does not lead
    const char *follower_cloud;  // where that node is; NULL: anywhere
    uint64_t timeout_ms;
    bool has_timeout;  // it was given
    const char *node;  // snapshot: of this one alone; NULL: of all. backup: of this one; NULL: of any
    bool force;        // replace a file
    bool has_expect;
    uint64_t expect;
    bool has_from;
    uint64_t from;
    uint64_t to;       // 0: no end
    const char *file;  // log: which has the entries; NULL: the cluster's log
};

enum { CTL_TIMEOUT_DEFAULT_MS = 5000 };

// Parses argv, whose strings are borrowed. ERR_INVALID: the message says what is wrong and what is allowed.
enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error);

// Whether the command, as it was given, asks no node.
bool ctl_is_offline(const struct ctl_options *options);

// Prints a command's help; for CTL_NO_COMMAND the general one.
void ctl_help(enum ctl_command command);

// The name most similar to `text`, if similar enough to be meant; else NULL.
const char *ctl_nearest(const char *text, const char *const *names, size_t count);

#endif
