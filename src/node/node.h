// One control-plane node: runs the consensus core, the log, the state machine and the services on one event loop.
//
// A turn of the loop: input is collected as events (calls, peers' replies, the log's completions, the clock); one step of
// the core takes all of them; then its update is carried out: the batch goes to the log's thread, messages are sent,
// committed entries are applied and answered, and every connection is flushed once.
#ifndef BATON_NODE_NODE_H
#define BATON_NODE_NODE_H

#include <uv.h>

#include "base/error.h"
#include "base/metrics.h"
#include "node/config.h"
#include "node/view.h"

struct node;

// Opens the data directory, listens, and joins the cluster. `config` must outlive the node; `metrics` gets its metrics.
// Errors: those of wal_open, ERR_INVALID (the directory's configuration does not fit the flags, or the audit log cannot be
// opened), ERR_UNAVAILABLE (cannot listen). `stopped(user)` is called once: after node_stop, or, with `failure` set, on a
// fatal error; the caller then leaves the loop.
enum error_code node_start(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics,
                           void (*stopped)(void *user, enum error_code failure), void *user, struct node **node,
                           struct error *error);

// Graceful shutdown: transfers leadership, lets running calls finish, syncs; within 2 s.
void node_stop(struct node *node);

// After `stopped`, or to end at once: closes all handles and the log; what was never acknowledged may stay unwritten.
void node_close(struct node *node);

// After node_close, when the loop has no more handles.
void node_free(struct node *node);

// At the start and after each tls_reload of config->tls: when the first of the certificates expires, for Status. Ends the
// connections of those that are revoked now.
void node_certificates_read(struct node *node, int64_t expire_unix);

// With config->tls_migrate: how many connections are open in plaintext, and how many there have been.
void node_plaintext(const struct node *node, uint64_t *open, uint64_t *accepted);

// The address it listens on, for log lines.
const char *node_address(const struct node *node);

// What src/http shows of this node.
struct http_source node_http_source(struct node *node);

#endif
