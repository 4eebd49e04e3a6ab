// Calls to the cluster, one at a time: finds the leader, tries other nodes, retries what is safe to retry, and reports
// whether a write's outcome is known.
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
    CTL_DAMAGED = 3,      // backup check, log --file: the file is damaged, or of a later version
    CTL_NOT_FOUND = 4,
    CTL_UNKNOWN = 5,  // a write's outcome is unknown
};

enum ctl_need {
    CTL_ANY_NODE,    // a read from any node
    CTL_READ,        // a read from the leader
    CTL_WRITE,       // a write that is safe to retry: it carries a client id and a sequence
    CTL_WRITE_ONCE,  // a write that is not retried once it may have been applied
};

struct ctl_client;

// `endpoints` and `tls` (NULL: plaintext) are borrowed. `timeout_ms` bounds each call with its retries.
struct ctl_client *ctl_client_new(const struct ctl_endpoints *endpoints, struct tls *tls, uint64_t timeout_ms);
void ctl_client_free(struct ctl_client *client);

// Waits, while connections are kept.
void ctl_pause(struct ctl_client *client, uint64_t ms);

// Whether it speaks TLS with the nodes.
bool ctl_has_tls(const struct ctl_client *client);

// Makes a unary call. `path` must outlive the client. CTL_OK: *answer is borrowed until the next call. Otherwise *error says
// what happened and what to do next.
enum ctl_exit ctl_call(struct ctl_client *client, enum ctl_need need, const char *path, struct slice request,
                       struct slice *answer, struct error *error);

// A member has this address, as a Status says: it is tried like the endpoints, after these. A text that is no address is
// ignored; of more than MEMBERS_MAX the last ones are kept. Not during a call.
void ctl_learn(struct ctl_client *client, struct slice address);

// The next call begins with that node.
void ctl_begin_with(struct ctl_client *client, struct slice address);

// Runs a server stream from any node until it ends; `on_message` gets each message, borrowed. False: no node was reached
// within the timeout. Otherwise ctl_ended says how it ended.
bool ctl_stream(struct ctl_client *client, const char *path, struct slice request,
                void (*on_message)(void *user, struct slice message), void *user);

struct ctl_end {
    enum rpc_status status;
    const char *message;  // this and the following are valid until the next call
    const char *reason;   // the trailer baton-reason; "": none
    const char *address;  // of the node
};

// Of the last stream or unary call that a node has answered.
struct ctl_end ctl_ended(const struct ctl_client *client);

// Ends the stream; called within on_message.
void ctl_stop(struct ctl_client *client);

// Returns CTL_UNREACHABLE, with a message that names the endpoints and their source.
enum ctl_exit ctl_unreachable(const struct ctl_client *client, struct error *error);

// Disconnects; the next ctl_call or ctl_stream begins with another endpoint. Pauses if all have failed.
void ctl_next_endpoint(struct ctl_client *client);

// A call to one of several nodes, without retries.
struct ctl_probe {
    char address[ADDRESS_MAX + 1];
    bool answered;       // within the timeout, with OK
    struct buf answer;   // freed by the caller
    struct buf why;      // the status or error, NUL-terminated; freed by the caller
    struct buf message;  // what the node itself says of it, NUL-terminated; empty: it does not; freed by the caller
};

// Makes the same call, without a request, to all of them concurrently.
void ctl_ask_all(struct ctl_client *client, const char *path, struct ctl_probe *probes, size_t count, uint64_t timeout_ms);

void ctl_probes_free(struct ctl_probe *probes, size_t count);

#endif
