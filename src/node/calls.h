// The path of a call: decodes and checks requests, proposes writes, waits for read indexes, and calls the verb.
#ifndef BATON_NODE_CALLS_H
#define BATON_NODE_CALLS_H

#include "node/reads.h"
#include "node/verb.h"
#include "node/writes.h"

struct calls;

// Serves the node's verbs (node_config.verbs) on its server.
struct calls *calls_new(struct node *node);
void calls_free(struct calls *calls);

// Proceeds with a write that was paused by a transfer, as if it had just come in.
void calls_resume_write(struct node *node, const struct verb *verb, struct rpc_call call, struct slice message);

// A read's index is applied: answers it. `message` is the request as given to reads_collect.
void calls_read_ready(struct node *node, const struct waiting_read *read, struct slice message);

// The core refuses the read or write: redirects the client, or says why. A read that any node may answer is tried again.
void calls_read_refused(struct node *node, const struct waiting_read *read, struct slice message);
void calls_write_refused(struct node *node, const struct waiting_write *write, enum raft_refusal refusal);

// The write's fate will not be learned here: its outcome is unknown, or, if `overwritten`, another entry was committed in
// its place and it has certainly not happened.
void calls_write_lost(struct node *node, const struct waiting_write *write, bool overwritten);

// Makes a slow reply whose turn has come.
void calls_reply_slowly(struct node *node, const struct waiting_read *read, struct slice message);

#endif
