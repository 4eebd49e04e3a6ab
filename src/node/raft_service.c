// Raft messages from other members: node/raft_service.h.
#include "node/raft_service.h"

#include "base/array.h"
#include "baton/v1/raft.pb.h"
#include "node/internal.h"

// On an encrypted connection the sender must be the node that the certificate names.
static bool is_sender(struct rpc_peer peer, const struct raft_id *from) {
    return peer.identity == NULL || (strncmp(peer.identity, "node/", 5) == 0 && strcmp(peer.identity + 5, from->text) == 0);
}

static void drop_entries(const struct raft_message *message) {
    for (size_t i = 0; message->type == RAFT_APPEND_ENTRIES && i < message->append.count; i++) {
        raft_entry_unref(message->append.entries[i]);
    }
}

// Decodes a message that must be for this node and from a member. On error it owns nothing.
static enum error_code open_message(struct node *node, struct rpc_peer peer, enum raft_message_type type, struct slice bytes,
                                    struct raft_message *message, struct error *error) {
    enum error_code code = wire_raft_decode(&node->identity, type, bytes, node->slab, &node->event_arena, message, error);
    if (code != OK) {
        return code;
    }
    if (wire_configuration_member(&node->configuration, &message->from) == NULL) {
        code = error_set(error, ERR_FOREIGN, "%s is no member of cluster %s", message->from.text,
                         node->identity.cluster_id.text);
    } else if (!is_sender(peer, &message->from)) {
        code = error_set(error, ERR_FOREIGN, "%s speaks for %s", peer.identity, message->from.text);
    }
    if (code != OK) {
        drop_entries(message);
    }
    return code;
}

static void take(struct node *node, struct rpc_call call, enum raft_message_type type, struct slice bytes) {
    if (node->raft == NULL) {
        node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);
        return;
    }
    struct error error = {0};
    struct raft_message message;
    struct rpc_peer peer = rpc_call_peer(node->server, call);
    if (open_message(node, peer, type, bytes, &message, &error) != OK) {
        uint64_t suppressed;
        if (slog_allowed(&node->refused, node_clock_us() / US_PER_MS, &suppressed)) {
            slog(SLOG_WARN, "refused a message", F_STR("caller", peer.address), F_STR("path", wire_raft_method(type)->path),
                 F_STR("reason", error.message), F_U64("suppressed", suppressed));
        }
        outcome_refuse(node->server, call, &error);
        return;
    }
    peers_heard(node->peers, &message.from);
    message.call = rpc_call_pack(call);
    struct raft_event *event = node_event(node);
    event->type = RAFT_EVENT_MESSAGE;
    event->message = message;
}

static void request_vote(void *user, struct rpc_call call, struct slice message) {
    take(user, call, RAFT_REQUEST_VOTE, message);
}

static void append_entries(void *user, struct rpc_call call, struct slice message) {
    take(user, call, RAFT_APPEND_ENTRIES, message);
}

static void timeout_now(void *user, struct rpc_call call, struct slice message) {
    take(user, call, RAFT_TIMEOUT_NOW, message);
}

void raft_service_reply(struct node *node, const struct raft_message *reply) {
    struct rpc_call call = rpc_call_unpack(reply->call);
    if (!rpc_call_alive(node->server, call)) {
        return;
    }
    buf_clear(&node->out);
    wire_raft_encode(&node->identity, reply, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

static const struct rpc_method methods[] = {
    {.name = "RequestVote", .kind = RPC_UNARY, .on_message = request_vote},
    {.name = "AppendEntries", .kind = RPC_UNARY, .on_message = append_entries},
    {.name = "TimeoutNow", .kind = RPC_UNARY, .on_message = timeout_now},
};

void raft_service_start(struct node *node) {
    node->raft_service = (struct rpc_service){
        .name = pb_raft_service.name,
        .roles = pb_raft_service.roles,
        .methods = methods,
        .method_count = ARRAY_COUNT(methods),
        .user = node,
    };
    rpc_server_add_service(node->server, &node->raft_service);
    rpc_server_set_serving(node->server, node->raft_service.name, true);
}
