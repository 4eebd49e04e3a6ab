// Backup: streams an image of this node's state.
#include "verbs/verbs.h"

static bool ready(struct node *node, struct rpc_call call) {
    if (node_configuration(node)->count > 0) {
        return true;
    }
    node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);
    return false;
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)message;  // has no fields
    (void)index;
    if (!node_backup(node, call)) {
        node_tell(node, call, OUTCOME_TOO_MANY_BACKUPS, &(struct outcome_facts){.limit = BACKUPS_MAX});
    }
}

const struct verb verb_backup = {
    .method = &pb_control_service_backup,
    .ready = ready,
    .answer = answer,
    .cancelled = node_backup_cancelled,
    .writable = node_backup_writable,
};
