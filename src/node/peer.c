// One other member: its connections, and who answers there: node/peer.h.
#include "node/peer.h"

#include <stdio.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/slog.h"
#include "node/stranger.h"
#include "wire/codec.h"

// Between nodes: HTTP/2's default of 64 KiB would limit a 50 ms link to 1.3 MB/s.
enum { PEER_STREAM_WINDOW = 8 * MIB, PEER_CONNECTION_WINDOW = 16 * MIB };

// Detects a dead or partitioned peer within a second.
enum { PEER_KEEPALIVE_INTERVAL_MS = 300, PEER_KEEPALIVE_TIMEOUT_MS = 600 };

enum { QUESTION_DEADLINE_MS = 1000 };

// A peer that has not been reached for so long is logged, once, and shown in the status: longer than a restart takes.
#define UNREACHED_TOLD_US (5 * US_PER_S)

// Of strangers at one peer's address: how long it is shown, since the next attempt shows it again, and how often logged.
#define STRANGER_SHOWN_US  (5 * US_PER_S)
#define STRANGER_LOGGED_US (30 * US_PER_S)

static const double latency_bounds_ms[] = {0.1, 0.2, 0.3, 0.5, 0.75, 1,   1.5, 2,   3,   5,   7.5,  10,   15,   20,   25,
                                           30,  40,  50,  60,  75,   100, 150, 200, 300, 500, 1000, 2000, 5000, 10000};
static const double round_trip_bounds_s[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04,
                                             0.05,   0.06,   0.08,   0.1,   0.15,  0.2,   0.3,  0.5,  1};

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
    bool was_met = peer->met[lane];
    peer->up[lane] = peer->met[lane] = false;
    if (was_met && reason == RPC_DOWN_RESET && !peer->closed) {
        peer->options->on_event(peer->options->user, &(struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = peer->id});
    }
    if (lane != RAFT_CONTROL || !was_met) {
        return;
    }
    peer->view.reachable = false;
    if (reason != RPC_DOWN_GOAWAY && reason != RPC_DOWN_CLOSED) {
        link_quality_lost(&peer->link, peer->options->now_us());
    }
    slog(SLOG_WARN, "peer-lost", "lost the connection to peer", F_STR("peer", peer->id.text),
         F_STR("address", peer->address), F_STR("reason", down_text(reason)));
}

// The socket is connected, but nothing has been received yet. The Status call goes out with the first bytes: it tells the
// peer that this node is up, and this node who is there. If it fails it is repeated.
static void lane_open(struct peer *peer, enum raft_lane lane) {
    peer->connection[lane]++;
    peer->asked[lane] = false;
    peer_ask(peer, lane);
}

static void control_open(void *user) {
    lane_open(user, RAFT_CONTROL);
}

static void bulk_open(void *user) {
    lane_open(user, RAFT_BULK);
}

static void control_up(void *user) {
    ((struct peer *)user)->up[RAFT_CONTROL] = true;
}

static void bulk_up(void *user) {
    ((struct peer *)user)->up[RAFT_BULK] = true;
}

static void control_down(void *user, enum rpc_down_reason reason) {
    lane_down(user, RAFT_CONTROL, reason);
}

static void bulk_down(void *user, enum rpc_down_reason reason) {
    lane_down(user, RAFT_BULK, reason);
}

static void add_metrics(struct peer *peer, const struct wire_member *member) {
    snprintf(peer->labels, sizeof peer->labels, "peer=\"%s\",cloud=\"%s\"", member->id.text, member->cloud);
    struct metrics *metrics = peer->options->metrics;
    size_t bounds = ARRAY_COUNT(latency_bounds_ms);
    peer->replication_latency =
        metrics_add_histogram(metrics, "raft_peer_replication_latency_ms",
                              "From sending entries to a peer to its durable acknowledgement, in milliseconds.",
                              peer->labels, latency_bounds_ms, bounds);
    peer->round_trip =
        metrics_add_histogram(metrics, "raft_peer_round_trip_seconds", "Round trips to a peer, asked once a second.",
                              peer->labels, round_trip_bounds_s, ARRAY_COUNT(round_trip_bounds_s));
    peer->send_failures = metrics_add(metrics, METRIC_COUNTER, "raft_peer_send_failures_total",
                                      "Requests to a peer that got no answer.", peer->labels);
    peer->is_voter =
        metrics_add(metrics, METRIC_GAUGE, "raft_peer_is_voter", "1 if the peer votes, 0 if it is a learner.", peer->labels);
    peer->snapshot_ratio = metrics_add(
        metrics, METRIC_GAUGE, "raft_peer_snapshot_ratio",
        "What part of the snapshot that this leader sends to the peer has arrived; 0 if it sends none.", peer->labels);
}

static void connect_lanes(struct peer *peer) {
    char identity[sizeof "node/" + ID_MAX];
    snprintf(identity, sizeof identity, "node/%s", peer->id.text);
    struct rpc_channel_options options = {
        .target = peer->address,
        .tls = peer->options->tls,
        .allow_plaintext = peer->options->tls_migrate,
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
    peer->lanes[RAFT_CONTROL] = rpc_channel_new(peer->options->rpc, &options);
    options.ordered = true;
    options.on_open = bulk_open;
    options.on_up = bulk_up;
    options.on_down = bulk_down;
    peer->lanes[RAFT_BULK] = rpc_channel_new(peer->options->rpc, &options);
}

struct peer *peer_new(const struct peer_options *options, struct arena *scratch, const struct wire_member *member) {
    struct peer *peer = mem_zalloc(sizeof *peer);
    peer->options = options;
    peer->scratch = scratch;
    peer->id = member->id;
    memcpy(peer->address, member->address, sizeof peer->address);
    add_metrics(peer, member);
    connect_lanes(peer);
    return peer;
}

void peer_close(struct peer *peer) {
    peer->closed = true;
    rpc_channel_close(peer->lanes[RAFT_CONTROL]);
    rpc_channel_close(peer->lanes[RAFT_BULK]);
    metrics_forget(peer->options->metrics, peer->labels);
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

static void learn_quarantine(struct peer *peer, struct slice message) {
    size_t len = message.len < QUARANTINE_MESSAGE_MAX ? message.len : QUARANTINE_MESSAGE_MAX;
    snprintf(peer->view.quarantine, sizeof peer->view.quarantine, "%.*s", (int)len, (const char *)message.data);
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
// which Raft itself cannot detect. Later configurations may differ for a while: a node learns of one by its entry.
static void compare_members(struct peer *peer, const struct pb_status_response *status) {
    bool founding = peer->options->configuration->index == 1 && status->configuration_index <= 1;  // 0: told by 0.1.0
    bool agrees = !founding || status->members_count == 0 || same_members(peer->options->configuration, status);
    if (!agrees && !peer->disagrees) {
        slog(SLOG_ERROR, "peer-founded-otherwise",
             "this peer was founded with other --peers than this node: stop both, and bootstrap the wrong one again",
             F_STR("peer", peer->id.text), F_STR("address", peer->address));
    }
    peer->disagrees = !agrees;
}

// Closes the connection; the peer may be at another of its name's addresses, or will be.
static void reject(struct peer *peer, enum raft_lane lane, const struct stranger *stranger) {
    uint64_t now_us = peer->options->now_us();
    const char *at = rpc_channel_remote(peer->lanes[lane]);
    char text[sizeof peer->stranger];
    bool by_name = strcmp(at, peer->address) != 0;
    snprintf(text, sizeof text, by_name ? "%s answers at %s (%s)" : "%s answers at %s", stranger->text, peer->address, at);
    memcpy(peer->stranger, text, sizeof text);
    peer->stranger_us = now_us;
    peer->view.generation = stranger->generation;
    if (peer->stranger_logged_us == 0 || now_us - peer->stranger_logged_us >= STRANGER_LOGGED_US) {
        peer->stranger_logged_us = now_us;
        slog(SLOG_WARN, "peer-is-another",
             "another node answers at a peer's address: its answers are not used, and the address is looked up again",
             F_STR("peer", peer->id.text), F_STR("cluster", peer->options->us->cluster_id.text),
             F_STR("address", peer->address), F_STR("at", at), F_STR("found", stranger->text));
    }
    if (lane == RAFT_CONTROL) {
        peer->view.reachable = false;
    }
    rpc_channel_reject(peer->lanes[lane]);
}

static void meet(struct peer *peer, enum raft_lane lane) {
    if (!peer->met[lane] && lane == RAFT_CONTROL) {
        slog(SLOG_INFO, "peer-connected", "connected to peer", F_STR("peer", peer->id.text),
             F_STR("address", peer->address));
        peer->options->on_event(peer->options->user, &(struct raft_event){.type = RAFT_EVENT_MET});
    }
    peer->met[lane] = true;
}

// A report on the control connection.
static void take_report(struct peer *peer, const struct pb_status_response *status) {
    double ms = (double)(peer->options->now_us() - peer->asked_us) / (double)US_PER_MS;
    uint64_t idle_us = peer->options->idle_us(peer->options->user) - peer->asked_idle_us;
    peer->view.reachable = true;
    peer->view.level = status->level;
    peer->unreached_us = peer->stranger_us = 0;
    peer->told = false;
    peer->view.generation = status->generation;
    histogram_observe(peer->round_trip, ms / 1000);
    link_quality_measured(&peer->link, ms, (double)(idle_us + 1) / (double)US_PER_MS);  // never 0, which is "not known"
    compare_members(peer, status);
    learn_address(peer, status);
    learn_quarantine(peer, status->quarantine);
    peer->options->on_status(peer->options->user, &peer->id, status);
}

// A question: the connection's number, and beneath it the lane.
static uint64_t question_tag(const struct peer *peer, enum raft_lane lane) {
    return (uint64_t)peer->connection[lane] << 1 | (lane == RAFT_BULK);
}

static void question_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct peer *peer = user;
    enum raft_lane lane = (tag & 1) == 0 ? RAFT_CONTROL : RAFT_BULK;
    peer->calls--;
    if (peer->closed || tag >> 1 != peer->connection[lane]) {
        return;  // a connection that ends in order answers while the next one is made: it says nothing of that one
    }
    peer->asked[lane] = false;
    struct pb_status_response status;
    struct stranger stranger;
    bool found = false;
    if (result->status == RPC_OK && pb_decode(peer->scratch, &pb_status_response_type, result->body, &status, NULL) == OK) {
        found = stranger_find(peer->options->us, &peer->id, &status, &stranger);
        if (!found) {
            meet(peer, lane);
        }
        if (!found && lane == RAFT_CONTROL) {
            take_report(peer, &status);
        }
        if (!found && rpc_result_trailer(result, PEER_TRAILER_REMOVED).len > 0) {
            peer->options->on_removed(peer->options->user, &peer->id);
        }
    } else if (result->answered && result->status == RPC_UNIMPLEMENTED) {
        found = true;
        stranger = (struct stranger){.text = "a server that is no node of baton"};
    } else if (lane == RAFT_CONTROL) {
        peer->view.reachable = false;
    }
    arena_reset(peer->scratch);
    if (found) {
        reject(peer, lane, &stranger);
    }
    if (found && stranger.generation > peer->options->us->generation) {
        peer->options->on_superseded(peer->options->user, &peer->id, stranger.generation);
    }
}

void peer_ask(struct peer *peer, enum raft_lane lane) {
    if (peer->asked[lane]) {
        return;
    }
    peer->asked[lane] = true;
    if (lane == RAFT_CONTROL) {
        peer->asked_us = peer->options->now_us();
        peer->asked_idle_us = peer->options->idle_us(peer->options->user);
    }
    const struct wire_member *member = wire_configuration_member(peer->options->configuration, &peer->id);
    bool named = member != NULL && member->incarnation[0] != '\0';
    const char *metadata[7] = {PEER_METADATA, peer->options->us->node_id.text};
    const char **next = &metadata[2];
    if (named) {
        *next++ = PEER_METADATA_DIRECTORY;
        *next++ = member->incarnation;
    }
    if (peer->lost[0] != '\0') {
        *next++ = PEER_METADATA_LOST;
        *next++ = peer->lost;
    }
    peer->calls++;
    rpc_channel_call(peer->lanes[lane], &(struct rpc_request){
                                            .path = pb_control_service_status.path,
                                            .timeout_ms = QUESTION_DEADLINE_MS,
                                            .user = peer,
                                            .tag = question_tag(peer, lane),
                                            .on_done = question_done,
                                            .metadata = metadata,
                                        });
}

// --- peers that are not reached ---

// Why there is no answer from it.
static const char *why_unreachable(const struct peer *peer, uint64_t now_us) {
    if (peer->stranger_us != 0 && now_us - peer->stranger_us < STRANGER_SHOWN_US) {
        return peer->stranger;
    }
    const char *why = rpc_channel_why_down(peer->lanes[RAFT_CONTROL]);
    return peer->up[RAFT_CONTROL] ? "it is connected but does not answer"
           : why[0] != '\0'       ? why
                                  : "no attempt has ended yet";
}

static void watch_absence(struct peer *peer, uint64_t now_us) {
    if (peer->view.reachable) {
        return;
    }
    if (peer->unreached_us == 0) {
        peer->unreached_us = now_us;
    }
    if (!peer->told && now_us - peer->unreached_us >= UNREACHED_TOLD_US) {
        peer->told = true;
        slog(SLOG_WARN, "peer-unreachable", "cannot reach a peer", F_STR("peer", peer->id.text),
             F_STR("address", peer->address), F_STR("reason", why_unreachable(peer, now_us)));
    }
}

void peer_attend(struct peer *peer) {
    watch_absence(peer, peer->options->now_us());
    peer_ask(peer, RAFT_CONTROL);
    if (peer->up[RAFT_BULK] && !peer->met[RAFT_BULK]) {
        peer_ask(peer, RAFT_BULK);
    }
}

void peer_heard(struct peer *peer) {
    for (size_t lane = 0; lane < 2; lane++) {
        if (!peer->up[lane]) {
            rpc_channel_wake(peer->lanes[lane]);
        }
    }
}

const struct peer_view *peer_look(struct peer *peer) {
    uint64_t now_us = peer->options->now_us();
    peer->view.rtt_ms = link_quality_rtt_ms(&peer->link);
    peer->view.rtt_least_ms = link_quality_least_ms(&peer->link);
    peer->view.rtt_spread_ms = link_quality_spread_ms(&peer->link);
    peer->view.losses = link_quality_losses(&peer->link, now_us);
    peer->view.unreachable[0] = '\0';
    peer->view.plaintext = rpc_channel_is_plaintext(peer->lanes[RAFT_CONTROL]);
    if (!peer->view.reachable && (peer->told || peer->stranger_us != 0)) {
        snprintf(peer->view.unreachable, sizeof peer->view.unreachable, "%s", why_unreachable(peer, now_us));
    }
    return &peer->view;
}
