// batonctl's command line.
#ifndef BATON_CTL_OPTIONS_H
#define BATON_CTL_OPTIONS_H

#include "base/error.h"
#include "base/slice.h"
#include "tls/tls.h"

enum ctl_command {
    CTL_STATUS,
    CTL_WORKER_LIST,
    CTL_MEMBER_LIST,
    CTL_LEADER_TRANSFER,
    CTL_PUT,
    CTL_GET,
    CTL_DELETE,
    CTL_LIST,
    CTL_WATCH,
    CTL_LOG,
    CTL_COMMAND_COUNT,
    CTL_NO_COMMAND = CTL_COMMAND_COUNT,
};

struct ctl_options {
    enum ctl_command command;
    bool help;  // of the command, or of the whole where there is none
    bool version;
    const char *arguments[2];    // NULL where there is none
    const char *endpoints;       // as given; NULL: not given
    struct tls_files tls_files;  // as given; NULL where not
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

// Strings stay argv's. ERR_INVALID says what is wrong and what is allowed.
enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error);

// What --help prints; for CTL_NO_COMMAND the whole.
void ctl_help(enum ctl_command command);

// The name among `names` nearest to `text`, if it is near enough to be meant; NULL otherwise.
const char *ctl_nearest(const char *text, const char *const *names, size_t count);

#endif
