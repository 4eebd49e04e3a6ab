// WorkerService: registration, heartbeats and goodbyes. A node that does not lead answers OK with accepted false and says
// who does; a leader answers from the moment its no-op is applied, since only then is its registry current.
#include <stdio.h>

#include "base/array.h"
#include "node/internal.h"
#include "wire/worker.h"

typedef void encode_fn(const struct wire_worker_response *response, struct buf *out);

static void respond(struct node *node, struct rpc_call call, struct wire_worker_response *response, encode_fn *encode) {
    struct slice addresses[MEMBERS_MAX];
    for (size_t i = 0; i < node->configuration.count; i++) {
        addresses[i] = slice_of_str(node->configuration.members[i].address);
    }
    const struct wire_member *leader = node->raft == NULL ? NULL : node_member(node, raft_leader(node->raft));
    if (leader != NULL) {
        response->redirect.leader_id = raft_id_slice(&leader->id);
        response->redirect.leader_address = slice_of_str(leader->address);
    }
    response->redirect.member_addresses = addresses;
    response->redirect.member_count = node->configuration.count;
    response->heartbeat_interval_ms = (uint32_t)(WORKER_HEARTBEAT_US / US_PER_MS);
    buf_clear(&node->out);
    encode(response, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

// False: the call has been answered, this node cannot serve it.
static bool serving(struct node *node, struct rpc_call call, encode_fn *encode) {
    if (node->serving_workers) {
        return true;
    }
    bool leading = node->raft != NULL && raft_state(node->raft) == RAFT_LEADER;
    if (!leading && node->raft != NULL && raft_leader(node->raft)->len > 0) {
        respond(node, call, &(struct wire_worker_response){.accepted = false}, encode);
    } else if (leading) {
        rpc_finish(node->server, call, RPC_UNAVAILABLE, "this node has just become leader and is not ready yet; try again");
    } else {
        rpc_finish(node->server, call, RPC_UNAVAILABLE, "there is no leader at the moment; try again");
    }
    return false;
}

static encode_fn *response_encoder(enum write_kind kind) {
    return kind == WRITE_REGISTER ? wire_register_worker_response_encode : wire_deregister_worker_response_encode;
}

void worker_redirect(struct node *node, const struct waiting_write *write) {
    if (serving(node, write->call, response_encoder(write->kind))) {
        rpc_finish(node->server, write->call, RPC_UNAVAILABLE, "leadership changed meanwhile; nothing was done, try again");
    }
}

static void finish_error(struct node *node, struct rpc_call call, const struct error *error) {
    rpc_finish(node->server, call, error->code == ERR_NO_MEMORY ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT,
               error->message);
}

static void register_worker(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct state_command command;
    arena_reset(&node->scratch);
    if (wire_register_worker_request_decode(&node->scratch, message, &command, &error) != OK) {
        finish_error(node, call, &error);
        return;
    }
    if (!serving(node, call, wire_register_worker_response_encode)) {
        return;
    }
    command.time_unix_ms = node_command_time_ms(node);
    struct raft_entry *entry = wire_command_encode(node->slab, &command);
    if (entry == NULL) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "no memory for the registration; try again later");
        return;
    }
    writes_collect(node->writes, entry, call, WRITE_REGISTER);
    node->collected = true;
}

// The worker that the reference names, if it is the one registered. Otherwise the call has been answered.
static bool find_worker(struct node *node, struct rpc_call call, const struct wire_worker_ref *ref,
                        struct state_worker *worker) {
    if (!state_worker(node->state, ref->worker_id, worker)) {
        rpc_finish(node->server, call, RPC_NOT_FOUND, "no such worker is registered; register again");
        return false;
    }
    if (!slice_equal(worker->instance_id, ref->instance_id)) {
        char text[2 * ID_MAX + 96];
        snprintf(text, sizeof text, "another instance has registered as %.*s; this one is replaced and must stop",
                 (int)worker->id.len, (const char *)worker->id.data);
        rpc_finish(node->server, call, RPC_ABORTED, text);
        return false;
    }
    if (worker->epoch != ref->epoch || slice_equal(worker->reason, slice_of_str("left"))) {
        rpc_finish(node->server, call, RPC_NOT_FOUND, "this registration has ended; register again");
        return false;
    }
    return true;
}

static void heartbeat(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_worker_ref ref;
    if (wire_heartbeat_request_decode(message, &ref, &error) != OK) {
        finish_error(node, call, &error);
        return;
    }
    struct state_worker worker;
    if (!serving(node, call, wire_heartbeat_response_encode) || !find_worker(node, call, &ref, &worker)) {
        return;
    }
    workers_heard(node, &worker);
    respond(node, call, &(struct wire_worker_response){.accepted = true}, wire_heartbeat_response_encode);
}

static void deregister_worker(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct error error = {0};
    struct wire_worker_ref ref;
    if (wire_deregister_worker_request_decode(message, &ref, &error) != OK) {
        finish_error(node, call, &error);
        return;
    }
    struct state_worker worker;
    if (!serving(node, call, wire_deregister_worker_response_encode) || !find_worker(node, call, &ref, &worker)) {
        return;
    }
    struct state_worker_change change = {
        .worker_id = worker.id, .epoch = worker.epoch, .online = false, .reason = slice_of_str("left")};
    workers_propose(node, &change, 1, call, WRITE_DEREGISTER);
}

void worker_write_done(struct node *node, const struct waiting_write *write, const struct state_result *result) {
    struct wire_worker_response response = {.accepted = true, .epoch = result->epoch};
    if (result->outcome == STATE_TOO_MANY) {
        rpc_finish(node->server, write->call, RPC_RESOURCE_EXHAUSTED,
                   "as many workers as the registry takes are online; stop some first");
        return;
    }
    respond(node, write->call, &response, response_encoder(write->kind));
}

static const struct rpc_method methods[] = {
    {.name = "RegisterWorker", .kind = RPC_UNARY, .on_message = register_worker},
    {.name = "Heartbeat", .kind = RPC_UNARY, .on_message = heartbeat},
    {.name = "DeregisterWorker", .kind = RPC_UNARY, .on_message = deregister_worker},
};

const struct rpc_service worker_service = {
    .name = "baton.v1.WorkerService",
    .methods = methods,
    .method_count = ARRAY_COUNT(methods),
};
