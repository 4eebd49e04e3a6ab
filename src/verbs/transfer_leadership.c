// TransferLeadership: moves leadership for an operator.
#include "raft/raft.h"
#include "verbs/verbs.h"

static enum outcome refusal_outcome(enum raft_refusal refusal) {
    switch (refusal) {
    case RAFT_NO_SUCH_NODE:
        return OUTCOME_NO_SUCH_VOTER;
    case RAFT_BUSY:
        return OUTCOME_TRANSFER_RUNNING;
    case RAFT_BEHIND:
        return OUTCOME_TRANSFER_FAILED;
    default:
        return OUTCOME_LEADS_NO_MORE;
    }
}

static void done(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome, enum raft_refusal refusal) {
    if (outcome == RAFT_TRANSFER_DONE) {
        struct pb_transfer_leadership_response response = {
            .leader = raft_id_slice(raft_leader(node_raft(node))),
            .term = raft_current_term(node_raft(node)),
        };
        node_reply(node, call, verb_transfer_leadership.method, &response);
    } else if (outcome == RAFT_TRANSFER_REFUSED) {
        node_tell(node, call, refusal_outcome(refusal), NULL);
    } else {
        node_tell(node, call, OUTCOME_TRANSFER_FAILED, NULL);
    }
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    struct raft_id target = raft_id_of(((const struct pb_transfer_leadership_request *)message)->target);
    node_transfer_leadership(node, &target, call, done);
}

const struct verb verb_transfer_leadership = {
    .method = &pb_control_service_transfer_leadership,
    .audited = true,
    .ready = node_leads_or_redirects,
    .answer = answer,
};
