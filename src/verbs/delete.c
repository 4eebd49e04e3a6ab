// Delete: removes one key.
#include "verbs/session.h"
#include "verbs/summary.h"
#include "verbs/verbs.h"

static struct slice scope(const void *message) {
    return ((const struct pb_delete_request *)message)->key;
}

static enum error_code check(const void *message, struct error *error) {
    const struct pb_delete_request *request = message;
    return session_check(request->has_session, &request->session, error);
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    (void)node;
    (void)call;
    const struct pb_delete_request *request = message;
    command->op = PB_COMMAND_OP_DELETE;
    command->delete = *request;
    session_move(command, &command->delete.has_session, &request->session);
    return true;
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    if (session_done(node, call, result)) {
        struct pb_delete_response response = {.revision = result->revision, .existed = result->existed};
        node_reply(node, call, verb_delete.method, &response);
    }
}

static void summarize(const struct pb_command *command, struct buf *out) {
    summary_key(out, "delete", command->delete.key);
    summary_expected(out, command->delete.has_expected_revision, command->delete.expected_revision);
}

const struct verb verb_delete = {
    .method = &pb_control_service_delete,
    .audited = true,
    .scope = scope,
    .grant = PB_ACCESS_VERB_DELETE,
    .check = check,
    .propose = propose,
    .applied = applied,
    .pauses = true,
    .op = PB_COMMAND_OP_DELETE,
    .summarize = summarize,
};
