// The other members, as this node reaches them: two connections each (control, never behind bulk data; bulk, in order), the
// core's requests under way on them, and what a question a second tells of each: round trip, role, addresses.
#ifndef BATON_NODE_PEERS_H
#define BATON_NODE_PEERS_H

#include "base/metrics.h"
#include "raft/raft.h"
#include "rpc/rpc.h"
#include "wire/command.h"
#include "wire/control.h"
#include "wire/raft_messages.h"

struct peers;

// In the metadata of the question a second: the id of the node that asks.
#define PEER_METADATA "baton-node"

struct peers_options {
    struct rpc_runtime *rpc;
    struct tls *tls;  // NULL: plain
    struct metrics *metrics;
    const struct wire_identity *us;
    const struct wire_configuration *configuration;
    struct raft_slab *slab;
    uint64_t (*now_us)(void);
    // For how long, in all, the loop has waited with nothing to do.
    uint64_t (*idle_us)(void *user);
    // What comes of requests: the core's next event. `event.message.append` of an answer holds nothing.
    void (*on_event)(void *user, const struct raft_event *event);
    // A peer's answer to the question a second, borrowed.
    void (*on_status)(void *user, const struct raft_id *peer, const struct wire_status_response *status);
    void *user;
};

// Connects to every member but this node. Options are copied.
struct peers *peers_new(const struct peers_options *options);

// Ends all connections; no event comes after.
void peers_close(struct peers *peers);
void peers_free(struct peers *peers);

// Sends one of the core's requests (not a reply).
void peers_send(struct peers *peers, const struct raft_message *request);

// The peer has called us: if our connection to it is down, it is worth another attempt now.
void peers_heard(struct peers *peers, const struct raft_id *id);

// Asks every peer how it is; call it once a second. A peer that has just been connected to is asked at once.
void peers_ask(struct peers *peers);

// What is known of a peer.
struct peer_view {
    bool reachable;  // it has answered the last question, and its connection stands since
    double rtt_ms;   // see policy/link_quality.h; 0: never measured
    double rtt_spread_ms;
    double rtt_least_ms;                 // the part of rtt_ms in which this process had nothing else to do
    uint32_t losses;                     // of its control connection within the last minute
    char http_address[ADDRESS_MAX + 1];  // "" until it has told
};

// NULL: no such peer.
const struct peer_view *peers_view(struct peers *peers, const struct raft_id *id);

#endif
