// MemberAdd: a new node, as a learner.
#include "base/address.h"
#include "raft/raft.h"
#include "verbs/verbs.h"

static enum error_code check(const void *message, struct error *error) {
    const struct pb_member_add_request *request = message;
    return address_refuse_wildcard(request->address, "address", error);
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_member_add_request *request = message;
    struct change change = {.kind = CHANGE_ADD, .id = raft_id_of(request->id), .address = request->address};
    node_change_members(node, call, &change, request->cloud, request->dry_run);
}

const struct verb verb_member_add = {
    .method = &pb_control_service_member_add,
    .audited = true,
    .check = check,
    .ready = node_leads_or_redirects,
    .answer = answer,
};
