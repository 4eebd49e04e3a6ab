// Calls to the cluster, one at a time: finds the leader, tries other nodes, sends again what may be sent again, and knows
// at the end whether a write's outcome is known.
#ifndef BATON_CTL_CLIENT_H
#define BATON_CTL_CLIENT_H

#include "ctl/endpoints.h"
#include "rpc/rpc.h"

// batonctl's exit statuses.
enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1,
    CTL_USAGE = 2,
    CTL_UNREACHABLE = 3,  // no node answered
    CTL_NOT_FOUND = 4,
    CTL_UNKNOWN = 5,  // a write may or may not have been applied
};

enum ctl_need {
    CTL_ANY_NODE,    // a read that whoever is reached may answer
    CTL_READ,        // a read for the leader
    CTL_WRITE,       // a write for the leader, which may be sent again: it carries a client id and a sequence
    CTL_WRITE_ONCE,  // a write for the leader that is not sent again once it may have been applied
};

struct ctl_client;

// `endpoints` and `tls` (NULL: plain) are borrowed. Each call is given `timeout_ms` in all.
struct ctl_client *ctl_client_new(const struct ctl_endpoints *endpoints, struct tls *tls, uint64_t timeout_ms);
void ctl_client_free(struct ctl_client *client);

// `path` is a literal. With CTL_OK, *answer is borrowed until the next call; otherwise *error says what happened and what to
// do next.
enum ctl_exit ctl_call(struct ctl_client *client, enum ctl_need need, const char *path, struct slice request,
                       struct slice *answer, struct error *error);

// One server stream from whoever is reached, until it ends; `on_message` gets each message, borrowed. False: nobody was
// reached within the timeout. Otherwise ctl_ended tells the end.
bool ctl_stream(struct ctl_client *client, const char *path, struct slice request,
                void (*on_message)(void *user, struct slice message), void *user);

struct ctl_end {
    enum rpc_status status;
    const char *message;  // as long as the client makes no other call, like the rest
    const char *reason;   // the trailer baton-reason; "" if there was none
    const char *address;  // of the node
};

struct ctl_end ctl_ended(const struct ctl_client *client);

// From within on_message: ends the stream.
void ctl_stop(struct ctl_client *client);

// CTL_UNREACHABLE, with a message that says who was asked and where that came from.
enum ctl_exit ctl_nobody(const struct ctl_client *client, struct error *error);

// The next ctl_call or ctl_stream begins with another endpoint; a moment later if all have been tried in vain.
void ctl_move_on(struct ctl_client *client);

// The same question to several nodes at once, without trying again. An answer is NULL data where there was none within the
// timeout; `why` says why.
struct ctl_probe {
    char address[ADDRESS_MAX + 1];
    bool answered;
    struct buf answer;  // freed by the caller
    struct buf why;     // NUL-terminated; freed by the caller
};

void ctl_ask_all(struct ctl_client *client, const char *path, struct ctl_probe *probes, size_t count);

#endif
