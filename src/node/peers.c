// Connections to the other members: node/peers.h.
#include "node/peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/slog.h"
#include "node/peer.h"
#include "node/stranger.h"

// Deadlines. A heartbeat slower than CheckQuorum's timeout is worthless; bulk data may cross a slow link, and its
// connection's keepalive detects a dead peer sooner.
enum { HEARTBEAT_DEADLINE_MS = 1000, BULK_DEADLINE_MS = 10000 };

// The members, and those who have gone: the core wants a while to tell some, and calls to all of them end later.
enum { PEERS_MAX = 8 * MEMBERS_MAX };

// In flight to all peers: what the core allows each, and some small requests.
enum { REQUESTS_MAX = (INFLIGHT_MESSAGES_MAX + 64) * PEERS_MAX };

// A request of the core in flight.
struct request {
    struct peer *peer;
    enum raft_message_type type;
    bool pre_vote;
    bool has_entries;
    uint64_t call;  // the core's number
    uint64_t sent_us;
    uint32_t next_free;  // in the free list, index + 1; 0: the end
};

struct peers {
    struct peer_options options;
    struct peer **list;  // closed ones too, until their calls have ended
    size_t count;
    size_t cap;
    struct request *requests;  // by index, the tag of the call
    uint32_t request_count;
    uint32_t request_cap;
    uint32_t free_request;  // index + 1
    struct buf out;
    struct arena scratch;  // of answers: from outside, so limited
    bool closed;
};

static struct peer *find(const struct peers *peers, const struct raft_id *id) {
    for (size_t i = 0; i < peers->count; i++) {
        if (!peers->list[i]->closed && raft_id_equal(&peers->list[i]->id, id)) {
            return peers->list[i];
        }
    }
    return NULL;
}

// --- the members ---

static void free_ended(struct peers *peers) {
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->list[i];
        if (peer->closed && peer->calls == 0) {
            free(peer);
        } else {
            peers->list[kept++] = peer;
        }
    }
    peers->count = kept;
}

static void close_gone(struct peers *peers) {
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->list[i];
        const struct wire_member *member = wire_configuration_member(peers->options.configuration, &peer->id);
        bool moved = member != NULL && strcmp(member->address, peer->address) != 0;
        if (peer->closed || (member != NULL && !moved) ||
            (member == NULL && peers->options.is_wanted(peers->options.user, &peer->id))) {
            continue;
        }
        slog(SLOG_INFO, moved ? "peer-moved" : "peer-removed",
             moved ? "a peer has another address" : "a peer is no member any more", F_STR("peer", peer->id.text),
             F_STR("address", peer->address));
        peer_close(peer);
    }
}

void peers_meet(struct peers *peers, const struct wire_member *member) {
    if (raft_id_equal(&member->id, &peers->options.us->node_id) || find(peers, &member->id) != NULL) {
        return;
    }
    array_reserve(peers->list, peers->cap, peers->count + 1);
    peers->list[peers->count++] = peer_new(&peers->options, &peers->scratch, member);
}

void peers_follow(struct peers *peers) {
    const struct wire_configuration *configuration = peers->options.configuration;
    close_gone(peers);
    free_ended(peers);
    for (size_t i = 0; i < configuration->count; i++) {
        peers_meet(peers, &configuration->members[i]);
    }
}

struct peers *peers_new(const struct peer_options *options) {
    struct peers *peers = mem_zalloc(sizeof *peers);
    peers->options = *options;
    peers->scratch.limit = MIB;
    peers_follow(peers);
    return peers;
}

void peers_close(struct peers *peers) {
    peers->closed = true;
    for (size_t i = 0; i < peers->count; i++) {
        if (!peers->list[i]->closed) {
            peer_close(peers->list[i]);
        }
    }
}

void peers_free(struct peers *peers) {
    for (size_t i = 0; i < peers->count; i++) {
        free(peers->list[i]);
    }
    free((void *)peers->list);
    free(peers->requests);
    buf_free(&peers->out);
    arena_free(&peers->scratch);
    free(peers);
}

// --- requests ---

static uint32_t request_take(struct peers *peers) {
    if (peers->free_request != 0) {
        uint32_t index = peers->free_request - 1;
        peers->free_request = peers->requests[index].next_free;
        return index;
    }
    if (peers->request_count == peers->request_cap) {
        assert(peers->request_cap < REQUESTS_MAX * 2);
        array_reserve(peers->requests, peers->request_cap, peers->request_count + 1);
    }
    return peers->request_count++;
}

static void request_give(struct peers *peers, uint32_t index) {
    peers->requests[index].next_free = peers->free_request;
    peers->free_request = index + 1;
}

static enum raft_message_type reply_type(enum raft_message_type request) {
    switch (request) {
    case RAFT_REQUEST_VOTE:
        return RAFT_REQUEST_VOTE_REPLY;
    case RAFT_APPEND_ENTRIES:
        return RAFT_APPEND_ENTRIES_REPLY;
    default:
        return RAFT_TIMEOUT_NOW_REPLY;
    }
}

// A peer has refused a message as one of an old generation.
static void hear_refusal(struct peers *peers, const struct request *request, const struct rpc_result *result) {
    uint64_t generation = stranger_generation(rpc_result_trailer(result, GENERATION_TRAILER));
    if (generation > peers->options.us->generation) {
        peers->options.on_superseded(peers->options.user, &request->peer->id, generation);
    }
}

// True: `event` holds the peer's reply.
static bool decode_answer(struct peers *peers, const struct request *request, const struct rpc_result *result,
                          struct raft_event *event) {
    struct error error = {0};
    if (result->status != RPC_OK) {
        slog(SLOG_DEBUG, "peer-silent", "peer did not answer", F_STR("peer", request->peer->id.text),
             F_STR("status", rpc_status_name(result->status)), F_BYTES("reason", result->message));
        hear_refusal(peers, request, result);
        return false;
    }
    enum error_code code = wire_raft_decode(peers->options.us, reply_type(request->type), result->body, peers->options.slab,
                                            &peers->scratch, &event->message, &error);
    arena_reset(&peers->scratch);
    if (code == OK && !raft_id_equal(&event->message.from, &request->peer->id)) {
        code = error_set(&error, ERR_INVALID, "the answer is from %s", event->message.from.text);
    }
    if (code != OK) {
        slog(SLOG_WARN, "answer-refused", "refused a peer's answer", F_STR("peer", request->peer->id.text),
             F_STR("reason", error.message));
    }
    return code == OK;
}

static void request_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct peers *peers = user;
    struct request request = peers->requests[tag];
    request_give(peers, (uint32_t)tag);
    request.peer->calls--;
    if (peers->closed) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    if (decode_answer(peers, &request, result, &event)) {
        event.message.call = request.call;
        if (request.type == RAFT_REQUEST_VOTE) {
            event.message.vote_reply.pre_vote = request.pre_vote;
        }
        if (request.has_entries && !request.peer->closed && event.message.append_reply.success) {
            histogram_observe(request.peer->replication_latency,
                              (double)(peers->options.now_us() - request.sent_us) / (double)US_PER_MS);
        }
    } else {
        if (!request.peer->closed) {
            metric_add(request.peer->send_failures, 1);
        }
        event = (struct raft_event){
            .type = RAFT_EVENT_SEND_FAILED,
            .send_failed = {.peer = request.peer->id, .call = request.call},
        };
    }
    peers->options.on_event(peers->options.user, &event);
}

static uint64_t deadline_ms(const struct raft_message *request) {
    if (request->type == RAFT_REQUEST_VOTE) {
        return REQUEST_VOTE_DEADLINE_US / US_PER_MS;
    }
    return request->lane == RAFT_BULK ? BULK_DEADLINE_MS : HEARTBEAT_DEADLINE_MS;
}

void peers_send(struct peers *peers, const struct raft_message *request) {
    struct peer *peer = find(peers, &request->to);
    if (peer == NULL) {
        return;  // it has left since the core made the request
    }
    peer->calls++;
    uint32_t index = request_take(peers);
    peers->requests[index] = (struct request){
        .peer = peer,
        .type = request->type,
        .pre_vote = request->type == RAFT_REQUEST_VOTE && request->request_vote.pre_vote,
        .has_entries = request->type == RAFT_APPEND_ENTRIES && request->append.count > 0,
        .call = request->call,
        .sent_us = peers->options.now_us(),
    };
    buf_clear(&peers->out);
    wire_raft_encode(peers->options.us, request, &peers->out);
    rpc_channel_call(peer->lanes[request->lane], &(struct rpc_request){
                                                     .path = wire_raft_method(request->type)->path,
                                                     .body = buf_slice(&peers->out),
                                                     .timeout_ms = deadline_ms(request),
                                                     .user = peers,
                                                     .tag = index,
                                                     .on_done = request_done,
                                                 });
}

struct rpc_channel *peers_channel(const struct peers *peers, const struct raft_id *id, enum raft_lane lane) {
    const struct peer *peer = find(peers, id);
    return peer == NULL ? NULL : peer->lanes[lane];
}

// --- questions ---

void peers_ask(struct peers *peers) {
    free_ended(peers);
    for (size_t i = 0; i < peers->count; i++) {
        if (!peers->list[i]->closed) {
            peer_attend(peers->list[i]);
        }
    }
}

bool peers_tell_lost(struct peers *peers, const struct raft_id *id, const char *claim) {
    struct peer *peer = find(peers, id);
    if (peer == NULL || strcmp(peer->lost, claim) == 0) {
        return false;
    }
    snprintf(peer->lost, sizeof peer->lost, "%s", claim);
    peer_ask(peer, RAFT_CONTROL);
    return true;
}

void peers_heard(struct peers *peers, const struct raft_id *id) {
    struct peer *peer = find(peers, id);
    if (peer != NULL) {
        peer_heard(peer);
    }
}

void peers_measure(struct peers *peers, const struct raft_id *id, bool voter, double snapshot_ratio) {
    struct peer *peer = find(peers, id);
    if (peer != NULL) {
        metric_set(peer->is_voter, voter);
        metric_set(peer->snapshot_ratio, snapshot_ratio);
    }
}

const struct peer_view *peers_view(struct peers *peers, const struct raft_id *id) {
    struct peer *peer = find(peers, id);
    return peer == NULL ? NULL : peer_look(peer);
}
