// RegisterWorker: registers an instance of a worker.
#include "verbs/summary.h"
#include "verbs/verbs.h"
#include "verbs/worker_service.h"
#include "wire/command.h"

static void reply(struct node *node, struct rpc_call call, bool accepted, uint64_t epoch) {
    struct worker_redirect redirect;
    worker_redirect(node, &redirect);
    struct pb_register_worker_response response = {
        .accepted = accepted,
        .epoch = epoch,
        .heartbeat_interval_ms = worker_heartbeat_interval_ms(),
        .has_redirect = true,
        .redirect = redirect.message,
    };
    node_reply(node, call, verb_register_worker.method, &response);
}

static struct slice scope(const void *message) {
    return ((const struct pb_register_worker_request *)message)->worker_id;
}

static bool ready(struct node *node, struct rpc_call call) {
    enum worker_service service = worker_service(node, call);
    if (service == WORKER_REDIRECTED) {
        reply(node, call, false, 0);
    }
    return service == WORKER_SERVED;
}

static bool propose(struct node *node, struct rpc_call call, const void *message, struct pb_command *command) {
    (void)call;
    command->level = node_command_level(node, COMMAND_LEVEL_EPOCH_ON_RETURN);
    command->op = PB_COMMAND_OP_REGISTER_WORKER;
    command->register_worker = *(const struct pb_register_worker_request *)message;
    return true;
}

static void applied(struct node *node, struct rpc_call call, const struct state_result *result) {
    if (result->outcome == STATE_TOO_MANY) {
        node_tell(node, call, OUTCOME_REGISTRY_FULL, NULL);
    } else {
        reply(node, call, true, result->epoch);
    }
}

static void summarize(const struct pb_command *command, struct buf *out) {
    buf_append_str(out, "register worker ");
    summary_text(out, command->register_worker.worker_id);
}

const struct verb verb_register_worker = {
    .method = &pb_worker_service_register_worker,
    .scope = scope,
    .ready = ready,
    .propose = propose,
    .applied = applied,
    .op = PB_COMMAND_OP_REGISTER_WORKER,
    .summarize = summarize,
};
