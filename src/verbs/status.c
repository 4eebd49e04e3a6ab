// Status: how this node sees the cluster.
#include "verbs/verbs.h"

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)message;  // has no fields
    (void)index;
    node_heard_peer(node, call);
    struct node_status status;
    node_status(node, &status);
    node_reply(node, call, verb_status.method, &status.response);
}

const struct verb verb_status = {
    .method = &pb_control_service_status, .answer = answer, .in_quarantine = true, .any_grant = true};
