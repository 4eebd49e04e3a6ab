// What the calls of WorkerService share. A follower answers OK with `accepted` false and the leader's address; a leader
// serves once its no-op is applied, since only then is its registry current.
#ifndef BATON_VERBS_WORKER_SERVICE_H
#define BATON_VERBS_WORKER_SERVICE_H

#include "baton/v1/worker.pb.h"
#include "node/verb.h"

// A redirect to the leader, with the memory that the message points to.
struct worker_redirect {
    struct pb_redirect message;
    struct slice addresses[MEMBERS_MAX];
};

void worker_redirect(const struct node *node, struct worker_redirect *redirect);

// How a worker names itself: the fields that all its calls but RegisterWorker have.
struct worker_ref {
    struct slice worker_id;
    struct slice instance_id;
    uint64_t epoch;
};

// The worker that the reference names, if that instance is the one registered, under this epoch or, since it has returned
// from offline, a later one; false: the call has been answered.
bool worker_find(struct node *node, struct rpc_call call, const struct worker_ref *ref, struct state_worker *worker);

// In milliseconds, for responses.
uint32_t worker_heartbeat_interval_ms(void);

enum worker_service {
    WORKER_SERVED,      // this node serves workers
    WORKER_REDIRECTED,  // another node leads: the caller replies with `accepted` false
    WORKER_ANSWERED,    // no leader, or not ready yet: the call has been answered
};

enum worker_service worker_service(struct node *node, struct rpc_call call);

#endif
