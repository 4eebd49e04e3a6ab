// AccessGrant: lets an operator or a program do something with the keys of a prefix.
#include "verbs/access.h"
#include "verbs/verbs.h"

static enum error_code check(const void *message, struct error *error) {
    const struct pb_access_grant_request *request = message;
    return access_check(request->subject, request->verbs, request->prefix, error);
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    command->op = PB_COMMAND_OP_ACCESS_GRANT;
    command->access_grant = *(const struct pb_access_grant_request *)message;
    return access_level(node, call, command);
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    if (result->outcome == STATE_TOO_MANY) {
        node_tell(node, call, OUTCOME_TOO_MANY_GRANTS, NULL);
    } else {
        node_reply(node, call, verb_access_grant.method, &(struct pb_access_grant_response){.revision = result->revision});
    }
}

static void summarize(const struct pb_command *command, struct buf *out) {
    const struct pb_access_grant_request *request = &command->access_grant;
    buf_append_str(out, "grant ");
    access_summary(out, request->verbs, request->subject, request->prefix);
}

const struct verb verb_access_grant = {
    .method = &pb_control_service_access_grant,
    .audited = true,
    .check = check,
    .propose = propose,
    .applied = applied,
    .pauses = true,
    .op = PB_COMMAND_OP_ACCESS_GRANT,
    .summarize = summarize,
};
