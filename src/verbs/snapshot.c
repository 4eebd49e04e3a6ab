// Snapshot: takes a snapshot of this node for an operator.
#include "verbs/verbs.h"

static bool ready(struct node *node, struct rpc_call call) {
    if (node_configuration(node)->count > 0) {
        return true;
    }
    node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);
    return false;
}

static void done(struct node *node, struct rpc_call call, const struct snapshot_result *result) {
    if (result->error != NULL) {
        struct outcome_facts facts = {.name = slice_of_str(result->error)};
        node_tell(node, call, OUTCOME_NO_SNAPSHOT, &facts);
        return;
    }
    struct pb_snapshot_response response = {
        .index = result->index,
        .bytes = result->bytes,
        .seconds = result->seconds,
    };
    node_reply(node, call, verb_snapshot.method, &response);
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)message;  // has no fields
    (void)index;
    if (!node_take_snapshot(node, call, done)) {
        node_tell(node, call, OUTCOME_TOO_MANY_SNAPSHOTS, NULL);
    }
}

const struct verb verb_snapshot = {
    .method = &pb_control_service_snapshot, .audited = true, .ready = ready, .answer = answer};
