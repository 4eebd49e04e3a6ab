// Heartbeat: a registered worker is alive. If it has been declared offline, or is about to be, it returns under a new epoch,
// and the reply waits for that: its work may have gone to another, so what it writes under the old epoch must be fenced. At
// the cluster's level 0, where a member may run 0.1.0, it returns as it did there: under the same epoch, so nothing waits.
#include "verbs/verbs.h"
#include "verbs/worker_service.h"
#include "wire/command.h"

static void reply(struct node *node, struct rpc_call call, bool accepted, uint64_t epoch) {
    struct worker_redirect redirect;
    worker_redirect(node, &redirect);
    struct pb_heartbeat_response response = {
        .accepted = accepted,
        .heartbeat_interval_ms = worker_heartbeat_interval_ms(),
        .has_redirect = true,
        .redirect = redirect.message,
        .epoch = epoch,
    };
    node_reply(node, call, verb_heartbeat.method, &response);
}

static struct slice scope(const void *message) {
    return ((const struct pb_heartbeat_request *)message)->worker_id;
}

static bool ready(struct node *node, struct rpc_call call) {
    enum worker_service service = worker_service(node, call);
    if (service == WORKER_REDIRECTED) {
        reply(node, call, false, 0);
    }
    return service == WORKER_SERVED;
}

static void returned(struct node *node, struct rpc_call call, const struct state_result *result) {
    if (result->epoch == 0) {
        // Replaced or dropped before the return was applied; the next heartbeat learns which.
        node_tell(node, call, OUTCOME_REGISTRATION_CHANGED, NULL);
    } else {
        reply(node, call, true, result->epoch);
    }
}

static const struct verb worker_return = {
    .method = &pb_worker_service_heartbeat,
    .ready = ready,
    .applied = returned,
};

static void returned_unawaited(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)node;
    (void)call;
    (void)result;
}

// The next heartbeat proposes it again.
static void not_returned(struct node *node) {
    (void)node;
}

static const struct verb worker_return_of_level_0 = {.applied = returned_unawaited, .lost = not_returned};

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;
    const struct pb_heartbeat_request *request = message;
    struct worker_ref ref = {.worker_id = request->worker_id, .instance_id = request->instance_id, .epoch = request->epoch};
    struct state_worker worker;
    if (!worker_find(node, call, &ref, &worker)) {
        return;
    }
    if (!node_heard_worker(node, &worker)) {
        reply(node, call, true, worker.epoch);
        return;
    }
    struct pb_worker_change change = {.worker_id = worker.id, .epoch = worker.epoch, .online = true};
    struct pb_command command = {
        .format = COMMAND_FORMAT,
        .level = node_command_level(node, COMMAND_LEVEL_EPOCH_ON_RETURN),
        .op = PB_COMMAND_OP_CHANGE_WORKERS,
        .change_workers = {.changes = &change, .changes_count = 1},
    };
    if (command.level > 0) {
        node_propose(node, call, &worker_return, &command);
        return;
    }
    node_propose(node, (struct rpc_call){0}, &worker_return_of_level_0, &command);
    reply(node, call, true, worker.epoch);
}

const struct verb verb_heartbeat = {
    .method = &pb_worker_service_heartbeat,
    .scope = scope,
    .ready = ready,
    .answer = answer,
};
