// What Put and Delete share: the client's session, and the replies to writes that were not done.
#ifndef BATON_VERBS_SESSION_H
#define BATON_VERBS_SESSION_H

#include "node/verb.h"

// ERR_INVALID if the session acknowledges results of later sequences.
enum error_code session_check(bool has_session, const struct pb_session *session, struct error *error);

// Moves the session from the request to the command, where the log has it.
void session_move(struct pb_command *command, bool *has_session, const struct pb_session *session);

// Whether the write was done; if not, the call has been answered.
bool session_done(struct node *node, struct rpc_call call, const struct state_result *result);

#endif
