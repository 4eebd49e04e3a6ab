// Redirects and references to workers: verbs/worker_service.h.
#include "verbs/worker_service.h"

uint32_t worker_heartbeat_interval_ms(void) {
    return (uint32_t)(WORKER_HEARTBEAT_US / US_PER_MS);
}

void worker_redirect(const struct node *node, struct worker_redirect *redirect) {
    const struct wire_configuration *configuration = node_configuration(node);
    const struct wire_member *leader = node_leader(node);
    *redirect = (struct worker_redirect){0};
    for (size_t i = 0; i < configuration->count; i++) {
        redirect->addresses[i] = slice_of_str(configuration->members[i].address);
    }
    redirect->message.member_addresses = redirect->addresses;
    redirect->message.member_addresses_count = configuration->count;
    redirect->message.cluster_id = raft_id_slice(&configuration->cluster_id);
    if (leader != NULL) {
        redirect->message.leader_id = raft_id_slice(&leader->id);
        redirect->message.leader_address = slice_of_str(leader->address);
    }
}

enum worker_service worker_service(struct node *node, struct rpc_call call) {
    if (node_serves_workers(node)) {
        return WORKER_SERVED;
    }
    if (node_leads(node)) {
        node_tell(node, call, OUTCOME_NOT_READY, NULL);
        return WORKER_ANSWERED;
    }
    if (node_leader(node) == NULL) {
        node_tell(node, call, OUTCOME_NO_LEADER, NULL);
        return WORKER_ANSWERED;
    }
    return WORKER_REDIRECTED;
}

bool worker_find(struct node *node, struct rpc_call call, const struct worker_ref *ref, struct state_worker *worker) {
    if (!state_worker(node_state(node), ref->worker_id, worker)) {
        node_tell(node, call, OUTCOME_NO_SUCH_WORKER, NULL);
        return false;
    }
    if (!slice_equal(worker->registration->instance_id, ref->instance_id)) {
        node_tell(node, call, OUTCOME_REPLACED, &(struct outcome_facts){.name = worker->id});
        return false;
    }
    // A worker that has returned from offline may not know of its new epoch yet.
    bool is_epoch = ref->epoch >= worker->first_epoch && ref->epoch <= worker->epoch;
    if (!is_epoch || slice_equal(worker->reason, slice_of_str("left"))) {
        node_tell(node, call, OUTCOME_REGISTRATION_ENDED, NULL);
        return false;
    }
    return true;
}
