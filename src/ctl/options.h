// batonctl's command line.
#ifndef BATON_CTL_OPTIONS_H
#define BATON_CTL_OPTIONS_H

#include "base/error.h"
#include "base/slice.h"
#include "tls/tls.h"

// Every command: X(constant CTL_..., function ctl_... of commands.h). Its words are a row in options.c.
#define CTL_COMMANDS(X)                                                                                                     \
    X(STATUS, status)                                                                                                       \
    X(WORKER_LIST, worker_list)                                                                                             \
    X(MEMBER_LIST, member_list)                                                                                             \
    X(LEADER_TRANSFER, leader_transfer)                                                                                     \
    X(PUT, put)                                                                                                             \
    X(GET, get)                                                                                                             \
    X(DELETE, delete)                                                                                                       \
    X(LIST, list)                                                                                                           \
    X(WATCH, watch)                                                                                                         \
    X(LOG, log)

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
    uint64_t timeout_ms;
    bool has_expect;
    uint64_t expect;
    bool has_from;
    uint64_t from;
    uint64_t to;  // 0: no end
};

enum { CTL_TIMEOUT_DEFAULT_MS = 5000 };

// Parses argv, whose strings are borrowed. ERR_INVALID: the message says what is wrong and what is allowed.
enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error);

// Prints a command's help; for CTL_NO_COMMAND the general one.
void ctl_help(enum ctl_command command);

// The name most similar to `text`, if similar enough to be meant; else NULL.
const char *ctl_nearest(const char *text, const char *const *names, size_t count);

#endif
