// Put: writes one key.
#include "verbs/session.h"
#include "verbs/summary.h"
#include "verbs/verbs.h"

static struct slice scope(const void *message) {
    return ((const struct pb_put_request *)message)->key;
}

static enum error_code check(const void *message, struct error *error) {
    const struct pb_put_request *request = message;
    return session_check(request->has_session, &request->session, error);
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    (void)node;
    (void)call;
    const struct pb_put_request *request = message;
    command->op = PB_COMMAND_OP_PUT;
    command->put = *request;
    session_move(command, &command->put.has_session, &request->session);
    return true;
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    if (session_done(node, call, result)) {
        node_reply(node, call, verb_put.method, &(struct pb_put_response){.revision = result->revision});
    }
}

static void summarize(const struct pb_command *command, struct buf *out) {
    summary_key(out, "put", command->put.key);
    buf_printf(out, " (%zu bytes)", command->put.value.len);
    summary_expected(out, command->put.has_expected_revision, command->put.expected_revision);
}

const struct verb verb_put = {
    .method = &pb_control_service_put,
    .audited = true,
    .scope = scope,
    .grant = PB_ACCESS_VERB_PUT,
    .check = check,
    .propose = propose,
    .applied = applied,
    .pauses = true,
    .op = PB_COMMAND_OP_PUT,
    .summarize = summarize,
};
