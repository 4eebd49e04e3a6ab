// What AccessGrant and AccessRevoke share: both change what a subject may do with the keys of a prefix.
#ifndef BATON_VERBS_ACCESS_H
#define BATON_VERBS_ACCESS_H

#include "baton/v1/control.pb.h"
#include "node/verb.h"

// ERR_INVALID: nobody who can be granted anything.
enum error_code access_check_subject(struct slice subject, struct error *error);

// Likewise of a grant; also verbs that do not exist, or not for the subject, or not with a prefix.
enum error_code access_check(struct slice subject, uint32_t verbs, struct slice prefix, struct error *error);

// Sets the command's level; false: the cluster's is too low, and the call has been answered.
bool access_level(struct node *node, struct rpc_call call, struct pb_command *command);

// Appends "get,put program/billing \"jobs/\"".
void access_summary(struct buf *out, uint32_t verbs, struct slice subject, struct slice prefix);

#endif
