// batonctl's commands: each asks, prints, and returns the exit status.
#ifndef BATON_CTL_COMMANDS_H
#define BATON_CTL_COMMANDS_H

#include "base/arena.h"
#include "ctl/backup_contents.h"
#include "ctl/client.h"
#include "ctl/log_file.h"
#include "ctl/options.h"
#include "ctl/output.h"

struct ctl {
    const struct ctl_options *options;
    const struct ctl_endpoints *endpoints;
    struct ctl_client *client;  // NULL: for a command that needs no cluster
    backup_reader *read_backup;
    log_file_reader *read_log_file;
    struct arena arena;  // of one answer
    struct buf request;
    struct buf out;      // what goes to standard output
    struct error error;  // for any status but CTL_OK; no message: nothing to print
};

// Runs options->command.
enum ctl_exit ctl_run(struct ctl *ctl);

// --- the commands: keys.c, watch.c, access.c, cluster.c, status.c, snapshot.c, backup.c, members.c, replace.c ---

#define X(constant, function) enum ctl_exit ctl_##function(struct ctl *ctl);
CTL_COMMANDS(X)
#undef X

// --- what they share ---

// ctl_call with ctl->request, which it empties. Resets ctl->arena.
enum ctl_exit ctl_ask(struct ctl *ctl, enum ctl_need need, const char *path, struct slice *answer);

// Writes ctl->out to standard output and empties it. CTL_FAILED if writing fails.
enum ctl_exit ctl_print(struct ctl *ctl);

// Prints what a write has become.
enum ctl_exit ctl_print_revision(struct ctl *ctl, uint64_t revision);

enum { CTL_CLIENT_ID_SIZE = sizeof "batonctl-0123456789abcdef0123456789abcdef" };

// The id of a new client, for its session. Random.
void ctl_new_client_id(char client_id[CTL_CLIENT_ID_SIZE]);

// Returns CTL_FAILED, with a message, for an answer that does not decode.
enum ctl_exit ctl_undecodable(struct ctl *ctl);

#endif
