// MemberUpdate: a member has another address.
#include "base/address.h"
#include "raft/raft.h"
#include "verbs/verbs.h"

static enum error_code check(const void *message, struct error *error) {
    const struct pb_member_update_request *request = message;
    return address_refuse_wildcard(request->address, "address", error);
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_member_update_request *request = message;
    struct change change = {.kind = CHANGE_UPDATE, .id = raft_id_of(request->id), .address = request->address};
    node_change_members(node, call, &change, slice_of(NULL, 0), request->dry_run);
}

const struct verb verb_member_update = {
    .method = &pb_control_service_member_update,
    .audited = true,
    .check = check,
    .ready = node_leads_or_redirects,
    .answer = answer,
};
