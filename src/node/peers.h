// Connections to the other members: two each (control, never queued behind bulk data; bulk, in order), the core's requests
// in flight on them, and a Status call a second, which measures the round trip and brings the peer's report.
#ifndef BATON_NODE_PEERS_H
#define BATON_NODE_PEERS_H

#include "base/metrics.h"
#include "baton/v1/control.pb.h"
#include "raft/raft.h"
#include "rpc/rpc.h"
#include "wire/configuration.h"
#include "wire/raft_messages.h"

struct peers;

// Metadata of the Status call: the id of the calling node.
#define PEER_METADATA "baton-node"

struct peers_options {
    struct rpc_runtime *rpc;
    struct tls *tls;  // NULL: plain
    struct metrics *metrics;
    const struct wire_identity *us;
    const struct wire_configuration *configuration;
    struct raft_slab *slab;
    uint64_t (*now_us)(void);
    // How long the loop has been idle, in all.
    uint64_t (*idle_us)(void *user);
    // The result of a request, an event for the core. `event.message.append` of a reply owns nothing.
    void (*on_event)(void *user, const struct raft_event *event);
    // A peer's Status, borrowed.
    void (*on_status)(void *user, const struct raft_id *peer, const struct pb_status_response *status);
    void *user;
};

// Connects to every member but this node. Options are copied.
struct peers *peers_new(const struct peers_options *options);

// Closes all connections; no callback follows.
void peers_close(struct peers *peers);
void peers_free(struct peers *peers);

// Sends one of the core's requests (not a reply).
void peers_send(struct peers *peers, const struct raft_message *request);

// The peer has called this node: connections to it that are down are tried again now, whatever their backoff.
void peers_heard(struct peers *peers, const struct raft_id *id);

// Asks every peer for its Status; call it once a second. A newly connected peer is asked at once.
void peers_ask(struct peers *peers);

// What is known of a peer. Its times are those of policy/link_quality.h.
struct peer_view {
    bool reachable;  // it has answered the last question, and its connection stands since
    double rtt_ms;   // 0: unknown
    double rtt_spread_ms;
    double rtt_least_ms;                 // the part of rtt_ms in which this process had nothing else to do; 0: unknown
    uint32_t losses;                     // of its control connection within the last minute
    char http_address[ADDRESS_MAX + 1];  // "" until it has told
};

// NULL: no such peer.
const struct peer_view *peers_view(struct peers *peers, const struct raft_id *id);

#endif
