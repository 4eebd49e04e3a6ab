// Quarantine: what this node would say may be wrong, so that it serves no client until it is started again.
//
// Every call of ControlService and WorkerService ends with the reason, but for those that say nothing of the state
// (verb.in_quarantine). It never leads again. What it does besides depends on the reason.
#ifndef BATON_NODE_QUARANTINE_H
#define BATON_NODE_QUARANTINE_H

#include <stdbool.h>

#include "rpc/rpc.h"

struct metrics;
struct node;

enum quarantine_reason {
    QUARANTINE_SUPERSEDED,  // a newer generation exists: this node neither sends nor answers Raft messages
    QUARANTINE_DIVERGED,    // its state is not the majority's. Its log is: it goes on voting and acknowledging entries
};

struct quarantine;

// Registers baton_quarantined in `metrics`, which owns it.
struct quarantine *quarantine_new(struct metrics *metrics);
void quarantine_free(struct quarantine *quarantine);

// Begins it; copies the message, which says to operators what happened and what to do. A leader steps down; if it has
// diverged, it hands over to a healthy voter first. While one lasts, only QUARANTINE_SUPERSEDED after QUARANTINE_DIVERGED
// changes it. On the loop's thread, outside of the core's step, and not before the loop runs.
void quarantine_begin(struct node *node, enum quarantine_reason reason, const char *message);

bool quarantine_begun(const struct node *node);

// Whether Raft messages are neither sent nor answered.
bool quarantine_is_silent(const struct node *node);

// The message; "": it has not begun.
const char *quarantine_message(const struct node *node);

// Ends the call with the reason. `in_doubt`: it is a write that may have happened.
void quarantine_tell(struct node *node, struct rpc_call call, bool in_doubt);

#endif
