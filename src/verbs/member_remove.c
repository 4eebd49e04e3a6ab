// MemberRemove: a member leaves for ever.
#include "raft/raft.h"
#include "verbs/verbs.h"

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_member_remove_request *request = message;
    struct change change = {.kind = CHANGE_REMOVE, .id = raft_id_of(request->id)};
    node_change_members(node, call, &change, slice_of(NULL, 0), request->dry_run);
}

const struct verb verb_member_remove = {
    .method = &pb_control_service_member_remove,
    .audited = true,
    .ready = node_leads_or_redirects,
    .answer = answer,
};
