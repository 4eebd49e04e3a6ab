// The audit log: a line for each change that a client asks for, or is not allowed to, once its outcome is known. Off unless
// it is asked for (--audit-log), and nothing is kept or looked up then: pass NULL for `audit`.
//
// A line is written before the answer leaves, in the turn in which the outcome is known; it is not synced. What cannot be
// written is lost: the node goes on, says so in its log, and in the audit log once that can be written again.
#ifndef BATON_NODE_AUDIT_H
#define BATON_NODE_AUDIT_H

#include "base/error.h"
#include "rpc/rpc.h"

struct audit;

// Appends to the file, which is made for its owner alone; "-": to standard error. It is opened again if another file has
// taken its place. ERR_INVALID: it cannot be opened.
enum error_code audit_open(const char *file, struct audit **audit, struct error *error);

// Writes what is left; calls without an outcome are left out. NULL: does nothing.
void audit_free(struct audit *audit);

// A change is asked for. `what` is for people; all is copied.
void audit_begin(struct audit *audit, struct rpc_call call, struct rpc_peer peer, const char *method, struct slice what);

// The same in other words, once they are known.
void audit_what(struct audit *audit, struct rpc_call call, struct slice what);

// The revision that it has made, before its outcome.
void audit_revision(struct audit *audit, struct rpc_call call, uint64_t revision);

// The outcome, "OK" or another one: the line is due. Ignored for a call without audit_begin. The client may be gone.
void audit_end(struct audit *audit, struct rpc_call call, const char *outcome);

// Writes the lines that are due.
void audit_flush(struct audit *audit);

// Once a second: looks for another file in the place of this one.
void audit_sample(struct audit *audit);

#endif
