// A worker as ListWorkers and /cluster-state show it: its registration, and its status as this node knows it.
#include "node/verb.h"
#include "node/worker_liveness.h"

struct pb_worker_info node_worker_info(const struct node *node, const struct state_worker *worker) {
    const struct pb_register_worker_request *registration = worker->registration;
    struct pb_worker_info info = {
        .id = worker->id,
        .address = registration->address,
        .cloud = registration->cloud,
        .status = slice_of_str(worker->online ? "online" : "offline"),
        .reason = worker->reason,
        .epoch = worker->epoch,
        .instance_id = registration->instance_id,
        .slots = registration->slots,
        .labels = registration->labels,
        .labels_count = registration->labels_count,
        .since_index = worker->since_index,
    };
    struct worker_seen seen;
    info.has_last_seen_unix_ms = node_worker_seen(node, worker, &seen);
    if (info.has_last_seen_unix_ms) {
        info.last_seen_unix_ms = seen.unix_ms;
        info.last_seen_source = slice_of_str(seen.source);
    }
    return info;
}
