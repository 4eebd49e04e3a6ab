// RaftService: calls from the other members become events of the core; its replies answer them.
#include "base/array.h"
#include "base/slog.h"
#include "node/internal.h"

static enum rpc_status status_of(enum error_code code) {
    switch (code) {
    case ERR_FOREIGN:
        return RPC_PERMISSION_DENIED;
    case ERR_NO_MEMORY:
        return RPC_RESOURCE_EXHAUSTED;
    default:
        return RPC_INVALID_ARGUMENT;
    }
}

// On an encrypted connection a message's sender must be who its connection's certificate names.
static bool is_sender(struct rpc_peer peer, const struct raft_id *from) {
    return peer.identity == NULL || (strncmp(peer.identity, "node/", 5) == 0 && strcmp(peer.identity + 5, from->text) == 0);
}

static void take(struct node *node, struct rpc_call call, enum raft_message_type type, struct slice bytes) {
    if (node->raft == NULL) {
        rpc_finish(node->server, call, RPC_FAILED_PRECONDITION,
                   "this node started on an empty data directory without --bootstrap and belongs to no cluster");
        return;
    }
    struct error error = {0};
    struct raft_message message;
    struct rpc_peer peer = rpc_call_peer(node->server, call);
    enum error_code code = wire_raft_decode(&node->identity, type, bytes, node->slab, &node->turn, &message, &error);
    bool member = code == OK && node_member(node, &message.from) != NULL;
    if (code == OK && (!member || !is_sender(peer, &message.from))) {
        for (size_t i = 0; type == RAFT_APPEND_ENTRIES && i < message.append.count; i++) {
            raft_entry_unref(message.append.entries[i]);
        }
        code = member ? error_set(&error, ERR_FOREIGN, "%s speaks for %s", peer.identity, message.from.text)
                      : error_set(&error, ERR_FOREIGN, "%s is no member of cluster %s", message.from.text,
                                  node->identity.cluster_id.text);
    }
    if (code != OK) {
        uint64_t suppressed;
        if (slog_allowed(&node->refused, node_clock_us() / US_PER_MS, &suppressed)) {
            slog(SLOG_WARN, "refused a message", F_STR("caller", peer.address), F_STR("path", wire_raft_path(type)),
                 F_STR("reason", error.message), F_U64("suppressed", suppressed));
        }
        rpc_finish(node->server, call, status_of(code), error.message);
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

static const char *const roles[] = {"node", NULL};

const struct rpc_service raft_service = {
    .roles = roles,
    .name = "baton.v1.RaftService",
    .methods = methods,
    .method_count = ARRAY_COUNT(methods),
};
