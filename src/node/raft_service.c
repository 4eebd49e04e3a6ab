// Raft messages from other members: node/raft_service.h.
#include "node/raft_service.h"

#include <stdio.h>

#include "base/array.h"
#include "baton/v1/raft.pb.h"
#include "node/generation.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "node/snapshot_receiver.h"
#include "node/stranger.h"

bool raft_service_is_sender(struct rpc_peer peer, const struct raft_id *from) {
    return peer.identity == NULL || (strncmp(peer.identity, "node/", 5) == 0 && strcmp(peer.identity + 5, from->text) == 0);
}

static void drop_entries(const struct raft_message *message) {
    for (size_t i = 0; message->type == RAFT_APPEND_ENTRIES && i < message->append.count; i++) {
        raft_entry_unref(message->append.entries[i]);
    }
}

static enum error_code check_sender(struct rpc_peer peer, const struct raft_id *from, struct error *error) {
    if (!raft_service_is_sender(peer, from)) {
        return error_set(error, ERR_FOREIGN, "%s speaks for %s", peer.identity, from->text);
    }
    return OK;
}

// What a refused message says of generations: its sender learns ours, or this node his.
static void compare_generations(struct node *node, struct rpc_call call, struct rpc_peer peer, struct slice bytes,
                                enum error_code code) {
    struct raft_id from;
    uint64_t generation;
    if (code == ERR_OLD_GENERATION) {
        char ours[24];
        snprintf(ours, sizeof ours, "%llu", (unsigned long long)node->identity.generation);
        rpc_call_trailer(node->server, call, GENERATION_TRAILER, slice_of_str(ours));
    } else if (code == ERR_SUPERSEDED && wire_raft_sender(bytes, &node->scratch, &from, &generation) &&
               raft_service_is_sender(peer, &from)) {
        generation_heard(node, &from, generation);
    }
}

static void refuse(struct node *node, struct rpc_call call, struct rpc_peer peer, const char *path, struct slice bytes,
                   const struct error *error) {
    compare_generations(node, call, peer, bytes, error->code);
    slog(SLOG_WARN, "message-refused", "refused a message", F_STR("caller", peer.address), F_STR("path", path),
         F_STR("reason", error->message));
    outcome_refuse(node->server, call, error);
}

// Decodes a message that must be for this node, and from a member or one that knows this node. On error it owns nothing.
static enum error_code open_message(struct node *node, struct rpc_peer peer, enum raft_message_type type, struct slice bytes,
                                    struct raft_message *message, struct error *error) {
    enum error_code code = wire_raft_decode(&node->identity, type, bytes, node->slab, &node->event_arena, message, error);
    if (code != OK) {
        return code;
    }
    code = check_sender(peer, &message->from, error);
    if (code != OK) {
        drop_entries(message);
    }
    return code;
}

// A node that waits to be added has the generation of who adds it, from the first message on that it believes.
static void join_generation(struct node *node, struct slice bytes) {
    struct raft_id from;
    uint64_t generation;
    if (node->configuration.count == 0 && wire_raft_sender(bytes, &node->scratch, &from, &generation)) {
        generation_follow(node, generation);
    }
}

static void take(struct node *node, struct rpc_call call, enum raft_message_type type, struct slice bytes) {
    if (quarantine_is_silent(node)) {
        quarantine_tell(node, call, false);
        return;
    }
    if (node->configuration.count == 0 && type == RAFT_REQUEST_VOTE) {
        node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);  // a node that knows no cluster never votes
        return;
    }
    struct error error = {0};
    struct raft_message message;
    struct rpc_peer peer = rpc_call_peer(node->server, call);
    if (open_message(node, peer, type, bytes, &message, &error) != OK) {
        refuse(node, call, peer, wire_raft_method(type)->path, bytes, &error);
        return;
    }
    join_generation(node, bytes);
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

static void install_snapshot(void *user, struct rpc_call call, struct slice bytes) {
    struct node *node = user;
    struct rpc_peer peer = rpc_call_peer(node->server, call);
    struct raft_message message;
    struct wire_chunk chunk;
    struct error error = {0};
    if (quarantine_is_silent(node)) {
        quarantine_tell(node, call, false);
        return;
    }
    arena_reset(&node->scratch);
    enum error_code code = wire_chunk_decode(&node->identity, bytes, &node->scratch, &message, &chunk, &error);
    if (code == OK) {
        code = check_sender(peer, &message.from, &error);
    }
    if (code != OK) {
        refuse(node, call, peer, pb_raft_service_install_snapshot.path, bytes, &error);
        return;
    }
    join_generation(node, bytes);
    message.call = rpc_call_pack(call);
    snapshot_receiver_chunk(node, &message, &chunk);
    *node_event(node) = (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = message};
}

// --- ReadIndex ---

static void answer_read_index(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    const struct pb_read_index_request *request = message;
    struct raft_id to = raft_id_of(request->envelope.from);
    buf_clear(&node->out);
    wire_read_index_reply_encode(&node->identity, &to, raft_current_term(node->raft), index, &node->out);
    rpc_reply(node->server, call, buf_slice(&node->out));
}

// Shares the quorum round of this leader's own reads in the turn.
static const struct verb verb_read_index = {.method = &pb_raft_service_read_index, .answer = answer_read_index};

static void read_index(void *user, struct rpc_call call, struct slice message) {
    struct node *node = user;
    struct raft_id from;
    raft_term term;
    struct error error = {0};
    if (quarantine_is_silent(node)) {
        quarantine_tell(node, call, false);
        return;
    }
    if (node->configuration.count == 0) {
        node_tell(node, call, OUTCOME_NO_CLUSTER, NULL);
        return;
    }
    struct rpc_peer peer = rpc_call_peer(node->server, call);
    arena_reset(&node->scratch);
    enum error_code code = wire_read_index_decode(&node->identity, message, &node->scratch, &from, &term, &error);
    if (code == OK) {
        code = check_sender(peer, &from, &error);
    }
    if (code != OK) {
        refuse(node, call, peer, pb_raft_service_read_index.path, message, &error);
    } else if (!node_leads(node) || term > raft_current_term(node->raft)) {
        node_redirect(node, call);
    } else {
        reads_collect(node->reads, &verb_read_index, call, message);
    }
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
    {.name = "InstallSnapshot", .kind = RPC_UNARY, .on_message = install_snapshot},
    {.name = "ReadIndex", .kind = RPC_UNARY, .on_message = read_index},
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
