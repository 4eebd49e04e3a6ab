// Who may do what, beyond what the roles of a call say (proto/baton/v1/options.proto): the one place where what a request is
// about is compared with what the caller's certificate permits.
//
// A node may do everything, a worker make its own calls, an operator everything unless he has a grant: then, like a program
// always, only what he is granted. Grants are a part of the replicated state, but no command is refused because of them when
// it is applied: its entry would have to say who asked, in every log, and the state machine to keep that answer in sessions.
// The leader asks before it proposes, which is as strong: a revocation that was acknowledged is applied on the leader that
// takes a later write, as a program's writes wait until the leader's no-op is applied, and what a deposed leader still takes
// is never committed. A read is asked when it is answered, by the very state that it is answered from.
//
// Without TLS there are no identities, and everything is allowed.
#ifndef BATON_NODE_ACCESS_H
#define BATON_NODE_ACCESS_H

#include "node/verb.h"

// Whether the caller may make this request, which has been checked. False: the call has been answered.
bool access_admits(struct node *node, const struct verb *verb, struct rpc_call call, const void *request);

// The same for an identity, such as "workers/etl-*": OK, or ERR_FORBIDDEN and why. For access_admits and tests.
enum error_code access_decide(const struct node *node, const char *identity, const struct verb *verb, const void *request,
                              struct error *error);

// A grant has changed: ends the Watches that are not permitted any more.
void access_changed(struct node *node);

#endif
