// Reads that wait for the leader's index: node/read_index.h.
#include "node/read_index.h"

#include <stdlib.h>

#include "baton/v1/raft.pb.h"
#include "node/internal.h"

enum {
    ASKED_MAX = 16,        // calls in flight; further reads wait for one of them, and then share one
    DEADLINE_MS = 1000,    // of a call: later the leader has long stepped down
    PAUSE_US = 100 * 1000  // after a failure, unless another leader appears
};

struct read_index {
    struct reads *reads;
    size_t asked;            // calls in flight
    uint64_t not_before_us;  // after a failure
    bool has_news;
    bool unknown;  // the leader answers UNIMPLEMENTED
};

struct read_index *read_index_new(void) {
    struct read_index *index = mem_zalloc(sizeof *index);
    index->reads = reads_new();
    return index;
}

void read_index_free(struct read_index *index) {
    reads_free(index->reads);
    free(index);
}

void read_index_collect(struct node *node, const struct verb *verb, struct rpc_call call, struct slice request) {
    reads_collect(node->read_index->reads, verb, call, request);
}

void read_index_collect_again(struct node *node, const struct waiting_read *read, struct slice request) {
    reads_collect_again(node->read_index->reads, read, request);
}

// --- asking ---

static bool decode(struct node *node, const struct rpc_result *result, raft_index *index) {
    struct raft_id from;
    struct error error = {0};
    if (result->status != RPC_OK) {
        slog(SLOG_DEBUG, "read-index-unconfirmed", "the leader confirms no read index",
             F_STR("status", rpc_status_name(result->status)), F_BYTES("reason", result->message));
        return false;
    }
    arena_reset(&node->scratch);
    if (wire_read_index_reply_decode(&node->identity, result->body, &node->scratch, &from, index, &error) != OK) {
        slog(SLOG_WARN, "read-index-refused", "refused a read index", F_STR("reason", error.message));
        return false;
    }
    return true;
}

static void answered(void *user, uint64_t tag, const struct rpc_result *result) {
    struct node *node = user;
    struct read_index *own = node->read_index;
    struct raft_read answer = {.tag = tag, .refusal = RAFT_NOT_LEADER};
    own->asked--;
    own->has_news = true;
    if (decode(node, result, &answer.index)) {
        answer.refusal = RAFT_ACCEPTED;
    } else {
        own->unknown = result->status == RPC_UNIMPLEMENTED && result->answered;
        own->not_before_us = node_clock_us() + PAUSE_US;
    }
    reads_answered(own->reads, &answer);
}

static void ask(struct node *node, struct rpc_channel *channel, const struct raft_id *leader) {
    struct read_index *own = node->read_index;
    struct raft_event event;
    reads_event(own->reads, &event);
    own->asked++;
    buf_clear(&node->out);
    wire_read_index_encode(&node->identity, leader, raft_current_term(node->raft), &node->out);
    rpc_channel_call(channel, &(struct rpc_request){
                                  .path = pb_raft_service_read_index.path,
                                  .body = buf_slice(&node->out),
                                  .timeout_ms = DEADLINE_MS,
                                  .user = node,
                                  .tag = event.read.tag,
                                  .on_done = answered,
                              });
}

// Hands the reads back: this node leads now, or there is no hope.
static void refuse(struct read_index *own) {
    struct raft_event event;
    reads_event(own->reads, &event);
    reads_answered(own->reads, &(struct raft_read){.tag = event.read.tag, .refusal = RAFT_NOT_LEADER});
    own->has_news = true;
}

void read_index_ask(struct node *node) {
    struct read_index *own = node->read_index;
    if (!reads_collected(own->reads)) {
        return;
    }
    if (node_leads(node) || node_is_leaderless(node) || own->unknown) {
        refuse(own);
        return;
    }
    const struct raft_id *leader = node_leader_id(node);
    struct rpc_channel *channel = leader->len == 0 ? NULL : peers_channel(node->peers, leader, RAFT_CONTROL);
    if (channel != NULL && own->asked < ASKED_MAX && node_clock_us() >= own->not_before_us) {
        ask(node, channel, leader);
    }
}

bool read_index_has_news(const struct node *node) {
    return node->read_index->has_news;
}

void read_index_release(struct node *node, void (*ready)(void *user, const struct waiting_read *read, struct slice request,
                                                         enum raft_refusal refusal)) {
    node->read_index->has_news = false;
    reads_release(node->read_index->reads, state_last_applied(node->state), ready, node);
}

void read_index_follow(struct node *node) {
    node->read_index->not_before_us = 0;
    node->read_index->unknown = false;
}

bool read_index_is_unknown(const struct node *node) {
    return node->read_index->unknown;
}
