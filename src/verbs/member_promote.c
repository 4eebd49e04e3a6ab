// MemberPromote: a learner becomes a voter.
#include "raft/raft.h"
#include "verbs/verbs.h"

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_member_promote_request *request = message;
    struct change change = {.kind = CHANGE_PROMOTE, .id = raft_id_of(request->id)};
    node_change_members(node, call, &change, slice_of(NULL, 0), request->dry_run);
}

const struct verb verb_member_promote = {
    .method = &pb_control_service_member_promote,
    .audited = true,
    .ready = node_leads_or_redirects,
    .answer = answer,
};
