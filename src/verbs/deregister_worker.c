// DeregisterWorker: a worker leaves, and is offline at once.
#include "verbs/summary.h"
#include "verbs/verbs.h"
#include "verbs/worker_service.h"

static void reply(struct node *node, struct rpc_call call, bool accepted) {
    struct worker_redirect redirect;
    worker_redirect(node, &redirect);
    struct pb_deregister_worker_response response = {
        .accepted = accepted, .has_redirect = true, .redirect = redirect.message};
    node_reply(node, call, verb_deregister_worker.method, &response);
}

static struct slice scope(const void *message) {
    return ((const struct pb_deregister_worker_request *)message)->worker_id;
}

static bool ready(struct node *node, struct rpc_call call) {
    enum worker_service service = worker_service(node, call);
    if (service == WORKER_REDIRECTED) {
        reply(node, call, false);
    }
    return service == WORKER_SERVED;
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    const struct pb_deregister_worker_request *request = message;
    struct worker_ref ref = {.worker_id = request->worker_id, .instance_id = request->instance_id, .epoch = request->epoch};
    struct state_worker worker;
    if (!worker_find(node, call, &ref, &worker)) {
        return false;
    }
    struct pb_worker_change *change = arena_alloc(node_scratch(node), sizeof *change);
    assert(change != NULL);  // the scratch arena has no limit
    *change = (struct pb_worker_change){
        .worker_id = request->worker_id, .epoch = worker.epoch, .online = false, .reason = slice_of_str("left")};
    command->op = PB_COMMAND_OP_CHANGE_WORKERS;
    command->change_workers = (struct pb_change_workers){.changes = change, .changes_count = 1};
    return true;
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)result;
    reply(node, call, true);
}

enum { SUMMARY_CHANGES_MAX = 8 };  // in a one-line summary

static void summarize(const struct pb_command *command, struct buf *out) {
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        const struct pb_worker_change *change = &command->change_workers.changes[i];
        if (i == SUMMARY_CHANGES_MAX) {
            buf_printf(out, " and %zu more", command->change_workers.changes_count - i);
            return;
        }
        buf_append_str(out, i == 0 ? "worker " : ", worker ");
        summary_text(out, change->worker_id);
        buf_append_str(out, change->online ? " online" : " offline (");
        if (!change->online) {
            summary_text(out, change->reason);
            buf_append_str(out, ")");
        }
    }
}

const struct verb verb_deregister_worker = {
    .method = &pb_worker_service_deregister_worker,
    .scope = scope,
    .ready = ready,
    .propose = propose,
    .applied = applied,
    .op = PB_COMMAND_OP_CHANGE_WORKERS,
    .summarize = summarize,
};
