// AccessRevoke: takes back what AccessGrant has let somebody do.
#include "verbs/access.h"
#include "verbs/verbs.h"

static enum error_code check(const void *message, struct error *error) {
    const struct pb_access_revoke_request *request = message;
    return access_check_subject(request->subject, error);  // of verbs, whatever there is is taken
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    command->op = PB_COMMAND_OP_ACCESS_REVOKE;
    command->access_revoke = *(const struct pb_access_revoke_request *)message;
    return access_level(node, call, command);
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    struct pb_access_revoke_response response = {.revision = result->revision, .existed = result->existed};
    node_reply(node, call, verb_access_revoke.method, &response);
}

static void summarize(const struct pb_command *command, struct buf *out) {
    const struct pb_access_revoke_request *request = &command->access_revoke;
    buf_append_str(out, "revoke ");
    access_summary(out, request->verbs, request->subject, request->prefix);
}

const struct verb verb_access_revoke = {
    .method = &pb_control_service_access_revoke,
    .audited = true,
    .check = check,
    .propose = propose,
    .applied = applied,
    .pauses = true,
    .op = PB_COMMAND_OP_ACCESS_REVOKE,
    .summarize = summarize,
};
