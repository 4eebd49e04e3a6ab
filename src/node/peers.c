// Connections to the other members: node/peers.h.
#include "node/peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/slog.h"
#include "policy/link_quality.h"
#include "wire/codec.h"

// Between nodes: HTTP/2's default of 64 KiB would limit a 50 ms link to 1.3 MB/s.
enum { PEER_STREAM_WINDOW = 8 * MIB, PEER_CONNECTION_WINDOW = 16 * MIB };

// Detects a dead or partitioned peer within a second.
enum { PEER_KEEPALIVE_INTERVAL_MS = 300, PEER_KEEPALIVE_TIMEOUT_MS = 600 };

// Deadlines. A heartbeat slower than CheckQuorum's timeout is worthless; bulk data may cross a slow link, and its
// connection's keepalive detects a dead peer sooner.
enum { HEARTBEAT_DEADLINE_MS = 1000, BULK_DEADLINE_MS = 10000, QUESTION_DEADLINE_MS = 1000 };

// In flight to all peers: what the core allows each, and some small requests.
enum { REQUESTS_MAX = (INFLIGHT_MESSAGES_MAX + 64) * MEMBERS_MAX };

struct peer {
    struct peers *peers;
    struct raft_id id;
    char address[ADDRESS_MAX + 1];
    struct rpc_channel *lanes[2];  // by enum raft_lane
    bool up[2];
    bool asked;      // a Status call is in flight
    bool disagrees;  // its members are not ours
    uint64_t asked_us;
    uint64_t asked_idle_us;
    struct link_quality link;
    struct peer_view view;
    struct histogram *replication_latency;
    struct histogram *round_trip;
    struct metric *send_failures;
};

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
    struct peers_options options;
    struct peer list[MEMBERS_MAX];
    size_t count;
    struct request *requests;  // by index, the tag of the call
    uint32_t request_count;
    uint32_t request_cap;
    uint32_t free_request;  // index + 1
    struct buf out;
    struct arena scratch;  // of answers: from outside, so limited
    bool closed;
};

static const double latency_bounds_ms[] = {0.1, 0.2, 0.3, 0.5, 0.75, 1,   1.5, 2,   3,   5,   7.5,  10,   15,   20,   25,
                                           30,  40,  50,  60,  75,   100, 150, 200, 300, 500, 1000, 2000, 5000, 10000};
static const double round_trip_bounds_s[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04,
                                             0.05,   0.06,   0.08,   0.1,   0.15,  0.2,   0.3,  0.5,  1};

static void ask(struct peer *peer);

static void lane_up(struct peer *peer, enum raft_lane lane) {
    peer->up[lane] = true;
    if (lane == RAFT_CONTROL) {
        slog(SLOG_INFO, "connected to peer", F_STR("peer", peer->id.text), F_STR("address", peer->address));
    }
}

static const char *down_text(enum rpc_down_reason reason) {
    switch (reason) {
    case RPC_DOWN_REFUSED:
        return "refused";
    case RPC_DOWN_RESET:
        return "closed by the peer";
    case RPC_DOWN_GOAWAY:
        return "the peer is shutting down";
    case RPC_DOWN_KEEPALIVE:
        return "no answer to a ping";
    case RPC_DOWN_CLOSED:
        return "closed";
    }
    return "unknown";
}

static void lane_down(struct peer *peer, enum raft_lane lane, enum rpc_down_reason reason) {
    bool was_up = peer->up[lane];
    peer->up[lane] = false;
    if (was_up && reason == RPC_DOWN_RESET && !peer->peers->closed) {
        peer->peers->options.on_event(peer->peers->options.user,
                                      &(struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = peer->id});
    }
    if (lane != RAFT_CONTROL || !was_up) {
        return;
    }
    peer->view.reachable = false;
    if (reason != RPC_DOWN_GOAWAY && reason != RPC_DOWN_CLOSED) {
        link_quality_lost(&peer->link, peer->peers->options.now_us());
    }
    slog(SLOG_WARN, "lost the connection to peer", F_STR("peer", peer->id.text), F_STR("address", peer->address),
         F_STR("reason", down_text(reason)));
}

// The socket is connected, but nothing has been received yet. The Status call goes out with the first bytes: it tells the
// peer that this node is up. If it fails it is repeated.
static void control_open(void *user) {
    ask(user);
}

static void bulk_open(void *user) {
    (void)user;
}

static void control_up(void *user) {
    lane_up(user, RAFT_CONTROL);
}

static void bulk_up(void *user) {
    lane_up(user, RAFT_BULK);
}

static void control_down(void *user, enum rpc_down_reason reason) {
    lane_down(user, RAFT_CONTROL, reason);
}

static void bulk_down(void *user, enum rpc_down_reason reason) {
    lane_down(user, RAFT_BULK, reason);
}

static void peer_metrics(struct peer *peer, const struct wire_member *member) {
    char labels[ID_MAX + 64];
    snprintf(labels, sizeof labels, "peer=\"%s\",cloud=\"%s\"", member->id.text, member->cloud);
    struct metrics *metrics = peer->peers->options.metrics;
    size_t bounds = ARRAY_COUNT(latency_bounds_ms);
    peer->replication_latency =
        metrics_add_histogram(metrics, "raft_peer_replication_latency_ms",
                              "From sending entries to a peer to its durable acknowledgement, in milliseconds.", labels,
                              latency_bounds_ms, bounds);
    peer->round_trip =
        metrics_add_histogram(metrics, "raft_peer_round_trip_seconds", "Round trips to a peer, asked once a second.", labels,
                              round_trip_bounds_s, ARRAY_COUNT(round_trip_bounds_s));
    peer->send_failures = metrics_add(metrics, METRIC_COUNTER, "raft_peer_send_failures_total",
                                      "Requests to a peer that got no answer.", labels);
}

static void peer_connect(struct peer *peer) {
    char identity[sizeof "node/" + ID_MAX];
    snprintf(identity, sizeof identity, "node/%s", peer->id.text);
    struct rpc_channel_options options = {
        .target = peer->address,
        .tls = peer->peers->options.tls,
        .identity = identity,
        .keepalive_interval_ms = PEER_KEEPALIVE_INTERVAL_MS,
        .keepalive_timeout_ms = PEER_KEEPALIVE_TIMEOUT_MS,
        .stream_window = PEER_STREAM_WINDOW,
        .connection_window = PEER_CONNECTION_WINDOW,
        .on_open = control_open,
        .on_up = control_up,
        .on_down = control_down,
        .user = peer,
    };
    peer->lanes[RAFT_CONTROL] = rpc_channel_new(peer->peers->options.rpc, &options);
    options.ordered = true;
    options.on_open = bulk_open;
    options.on_up = bulk_up;
    options.on_down = bulk_down;
    peer->lanes[RAFT_BULK] = rpc_channel_new(peer->peers->options.rpc, &options);
}

struct peers *peers_new(const struct peers_options *options) {
    struct peers *peers = mem_zalloc(sizeof *peers);
    peers->options = *options;
    peers->scratch.limit = MIB;
    const struct wire_configuration *configuration = options->configuration;
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        if (raft_id_equal(&member->id, &options->us->node_id)) {
            continue;
        }
        struct peer *peer = &peers->list[peers->count++];
        peer->peers = peers;
        peer->id = member->id;
        memcpy(peer->address, member->address, sizeof peer->address);
        peer_metrics(peer, member);
        peer_connect(peer);
    }
    return peers;
}

void peers_close(struct peers *peers) {
    peers->closed = true;
    for (size_t i = 0; i < peers->count; i++) {
        rpc_channel_close(peers->list[i].lanes[RAFT_CONTROL]);
        rpc_channel_close(peers->list[i].lanes[RAFT_BULK]);
    }
}

void peers_free(struct peers *peers) {
    free(peers->requests);
    buf_free(&peers->out);
    arena_free(&peers->scratch);
    free(peers);
}

static struct peer *find(const struct peers *peers, const struct raft_id *id) {
    for (size_t i = 0; i < peers->count; i++) {
        if (raft_id_equal(&peers->list[i].id, id)) {
            return (struct peer *)&peers->list[i];
        }
    }
    return NULL;
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

// True: `event` holds the peer's reply.
static bool decode_answer(struct peers *peers, const struct request *request, const struct rpc_result *result,
                          struct raft_event *event) {
    struct error error = {0};
    if (result->status != RPC_OK) {
        slog(SLOG_DEBUG, "peer did not answer", F_STR("peer", request->peer->id.text),
             F_STR("status", rpc_status_name(result->status)), F_BYTES("reason", result->message));
        return false;
    }
    enum error_code code = wire_raft_decode(peers->options.us, reply_type(request->type), result->body, peers->options.slab,
                                            &peers->scratch, &event->message, &error);
    arena_reset(&peers->scratch);
    if (code == OK && !raft_id_equal(&event->message.from, &request->peer->id)) {
        code = error_set(&error, ERR_INVALID, "the answer is from %s", event->message.from.text);
    }
    if (code != OK) {
        slog(SLOG_WARN, "refused a peer's answer", F_STR("peer", request->peer->id.text), F_STR("reason", error.message));
    }
    return code == OK;
}

static void request_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct peers *peers = user;
    struct request request = peers->requests[tag];
    request_give(peers, (uint32_t)tag);
    if (peers->closed) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    if (decode_answer(peers, &request, result, &event)) {
        event.message.call = request.call;
        if (request.type == RAFT_REQUEST_VOTE) {
            event.message.vote_reply.pre_vote = request.pre_vote;
        }
        if (request.has_entries && event.message.append_reply.success) {
            histogram_observe(request.peer->replication_latency,
                              (double)(peers->options.now_us() - request.sent_us) / (double)US_PER_MS);
        }
    } else {
        metric_add(request.peer->send_failures, 1);
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
    assert(peer != NULL);
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

// --- Status, once a second ---

static void learn_address(struct peer *peer, const struct pb_status_response *status) {
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        if (slice_equal(member->id, raft_id_slice(&peer->id)) && member->http_address.len <= ADDRESS_MAX) {
            snprintf(peer->view.http_address, sizeof peer->view.http_address, "%.*s", (int)member->http_address.len,
                     (const char *)member->http_address.data);
        }
    }
}

static bool same_members(const struct wire_configuration *ours, const struct pb_status_response *theirs) {
    size_t same = 0;
    for (size_t i = 0; i < ours->count; i++) {
        const struct wire_member *a = &ours->members[i];
        for (size_t k = 0; k < theirs->members_count; k++) {
            const struct pb_member_status *b = &theirs->members[k];
            same += slice_equal(b->id, raft_id_slice(&a->id)) && slice_equal(b->address, slice_of_str(a->address)) &&
                    slice_equal(b->cloud, slice_of_str(a->cloud)) && b->voter == a->voter;
        }
    }
    return same == ours->count && theirs->members_count == ours->count;
}

// Nodes bootstrapped with different --peers hold different entries at index 1 in term 1 and count different majorities,
// which Raft itself cannot detect.
static void compare_members(struct peer *peer, const struct pb_status_response *status) {
    bool agrees = status->members_count == 0 || same_members(peer->peers->options.configuration, status);
    if (!agrees && !peer->disagrees) {
        slog(SLOG_ERROR,
             "this peer was founded with other --peers than this node: stop both, and bootstrap the wrong one again",
             F_STR("peer", peer->id.text), F_STR("address", peer->address));
    }
    peer->disagrees = !agrees;
}

static void question_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct peers *peers = user;
    struct peer *peer = &peers->list[tag];
    peer->asked = false;
    if (peers->closed) {
        return;
    }
    peer->view.reachable = result->status == RPC_OK;
    if (result->status != RPC_OK) {
        return;
    }
    double ms = (double)(peers->options.now_us() - peer->asked_us) / (double)US_PER_MS;
    uint64_t idle_us = peers->options.idle_us(peers->options.user) - peer->asked_idle_us;
    histogram_observe(peer->round_trip, ms / 1000);
    link_quality_measured(&peer->link, ms, (double)(idle_us + 1) / (double)US_PER_MS);  // never 0, which is "not known"
    struct pb_status_response status;
    if (pb_decode(&peers->scratch, &pb_status_response_type, result->body, &status, NULL) == OK) {
        compare_members(peer, &status);
        learn_address(peer, &status);
        peers->options.on_status(peers->options.user, &peer->id, &status);
    }
    arena_reset(&peers->scratch);
}

static void ask(struct peer *peer) {
    struct peers *peers = peer->peers;
    if (peer->asked) {
        return;
    }
    peer->asked = true;
    peer->asked_us = peers->options.now_us();
    peer->asked_idle_us = peers->options.idle_us(peers->options.user);
    const char *metadata[] = {PEER_METADATA, peers->options.us->node_id.text, NULL};
    rpc_channel_call(peer->lanes[RAFT_CONTROL], &(struct rpc_request){
                                                    .path = pb_control_service_status.path,
                                                    .timeout_ms = QUESTION_DEADLINE_MS,
                                                    .user = peers,
                                                    .tag = (uint64_t)(peer - peers->list),
                                                    .on_done = question_done,
                                                    .metadata = metadata,
                                                });
}

void peers_ask(struct peers *peers) {
    for (size_t i = 0; i < peers->count; i++) {
        ask(&peers->list[i]);
    }
}

void peers_heard(struct peers *peers, const struct raft_id *id) {
    struct peer *peer = find(peers, id);
    if (peer == NULL) {
        return;
    }
    for (size_t lane = 0; lane < 2; lane++) {
        if (!peer->up[lane]) {
            rpc_channel_wake(peer->lanes[lane]);
        }
    }
}

const struct peer_view *peers_view(struct peers *peers, const struct raft_id *id) {
    struct peer *peer = find(peers, id);
    if (peer == NULL) {
        return NULL;
    }
    peer->view.rtt_ms = link_quality_rtt_ms(&peer->link);
    peer->view.rtt_least_ms = link_quality_least_ms(&peer->link);
    peer->view.rtt_spread_ms = link_quality_spread_ms(&peer->link);
    peer->view.losses = link_quality_losses(&peer->link, peers->options.now_us());
    return &peer->view;
}
