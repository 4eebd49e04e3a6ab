// batonctl's command line.
#ifndef BATON_CTL_OPTIONS_H
#define BATON_CTL_OPTIONS_H

#include "base/error.h"
#include "base/slice.h"
#include "ctl/vocabulary.h"
#include "tls/tls.h"

struct ctl_options {
    enum ctl_command command;
    bool help;  // of the command, or general if there is none
    bool version;
    const char *arguments[3];    // NULL: absent
    const char *endpoints;       // NULL: not given
    struct tls_files tls_files;  // NULL members: not given
    bool tls_required;
    bool json;
    const char *fields;  // with json: what is printed of it (ctl/fields.h); NULL: all
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
    bool watch;        // status, worker list: again and again
    uint64_t limit;    // list: at most so many; 0: all
    const char *file;  // log: which has the entries; NULL: the cluster's log
};

enum { CTL_TIMEOUT_DEFAULT_MS = 5000 };

// Parses argv, whose strings are borrowed. ERR_INVALID: the message says what is wrong and what is allowed.
enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error);

// The command that the words begin with, and of how many it is the name; CTL_NO_COMMAND: none.
enum ctl_command ctl_command_of(char **words, int count, int *name_words);

// Whether the command, as it was given, asks no node.
bool ctl_is_offline(const struct ctl_options *options);

// The name most similar to `text`, if similar enough to be meant; else NULL.
const char *ctl_nearest(const char *text, const char *const *names, size_t count);

#endif
