// Who may do what, beyond what the roles of a call say (proto/baton/v1/options.proto): the one place where what a request is
// about is compared with what the caller's certificate permits.
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

#endif
