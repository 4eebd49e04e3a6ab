// One other member as node/peers.c knows it: its two connections, and who answers there.
#ifndef BATON_NODE_PEER_H
#define BATON_NODE_PEER_H

#include "base/metrics.h"
#include "baton/v1/control.pb.h"
#include "policy/link_quality.h"
#include "raft/raft.h"
#include "rpc/rpc.h"
#include "wire/configuration.h"
#include "wire/raft_messages.h"

// Metadata of the Status call: the id of the calling node.
#define PEER_METADATA "baton-node"
// The same: the data directory that the called node has, as the caller knows it.
#define PEER_METADATA_DIRECTORY "baton-directory"
// The same: what the called node has lost (node/lost_entries.c).
#define PEER_METADATA_LOST "baton-lost"

// A trailer of the Status call: the entry of the committed configuration without the calling node, a decimal number.
#define PEER_TRAILER_REMOVED "baton-removed"

struct peer_options {
    struct rpc_runtime *rpc;
    struct tls *tls;   // NULL: plain
    bool tls_migrate;  // with `tls`: plain if the peer has none yet
    struct metrics *metrics;
    const struct wire_identity *us;
    const struct wire_configuration *configuration;  // in force
    struct raft_slab *slab;
    uint64_t (*now_us)(void);
    // Whether connections to a node that is no member (any more) are kept.
    bool (*is_wanted)(void *user, const struct raft_id *id);
    // How long the loop has been idle, in all.
    uint64_t (*idle_us)(void *user);
    // The result of a request, an event for the core. `event.message.append` of a reply owns nothing.
    void (*on_event)(void *user, const struct raft_event *event);
    // A peer's Status, borrowed.
    void (*on_status)(void *user, const struct raft_id *peer, const struct pb_status_response *status);
    // A peer is of this generation of the cluster, which is higher than ours.
    void (*on_superseded)(void *user, const struct raft_id *peer, uint64_t generation);
    // A peer says that this node was removed.
    void (*on_removed)(void *user, const struct raft_id *peer);
    void *user;
};

enum { PEER_UNREACHABLE_MAX = 512, PEER_LABELS_MAX = ID_MAX + CLOUD_MAX + 64, PEER_LOST_MAX = 96 };

// What is known of a peer. Its times are those of policy/link_quality.h.
struct peer_view {
    bool plaintext;  // the connection to it is
    bool reachable;  // it has answered the last question, and its connection stands since
    // Why it is not reachable, for people; "": it is, or has not been for less than UNREACHED_TOLD_US.
    char unreachable[PEER_UNREACHABLE_MAX];
    char quarantine[QUARANTINE_MESSAGE_MAX + 1];  // as it said last: why it serves no clients; "": it does
    double rtt_ms;                                // 0: unknown
    double rtt_spread_ms;
    double rtt_least_ms;                 // the part of rtt_ms in which this process had nothing else to do; 0: unknown
    uint32_t losses;                     // of its control connection within the last minute
    uint32_t level;                      // the highest that it reads, as it told last; 0: unknown, or it runs 0.1.0
    char http_address[ADDRESS_MAX + 1];  // "" until it has told
    uint64_t generation;                 // that it told last; 0: none yet
};

struct peer {
    const struct peer_options *options;
    struct arena *scratch;  // of answers
    struct raft_id id;
    char address[ADDRESS_MAX + 1];
    struct rpc_channel *lanes[2];  // by enum raft_lane
    bool closed;                   // it only waits for the ends of its calls
    size_t calls;                  // of both lanes, without a result
    bool up[2];
    bool met[2];                          // up, and it is this peer that answers there
    bool asked[2];                        // a Status call is in flight on this connection
    uint32_t connection[2];               // the number of the lane's latest
    bool disagrees;                       // it was founded with other members
    uint64_t unreached_us;                // since when it is not reachable; 0: it is
    bool told;                            // and this has been logged
    char stranger[PEER_UNREACHABLE_MAX];  // who answered last at its address in its place
    uint64_t stranger_us;                 // when; 0: never
    uint64_t stranger_logged_us;
    char lost[PEER_LOST_MAX];  // what it is told that it has lost; "": nothing
    uint64_t asked_us;
    uint64_t asked_idle_us;
    struct link_quality link;
    struct peer_view view;
    char labels[PEER_LABELS_MAX];  // of its metrics, which it has until it is closed
    struct histogram *replication_latency;
    struct histogram *round_trip;
    struct metric *send_failures;
    struct metric *is_voter;
    struct metric *snapshot_ratio;
};

// Begins to connect. The options and the arena must outlive the peer.
struct peer *peer_new(const struct peer_options *options, struct arena *scratch, const struct wire_member *member);

// Closes its connections and gives up its metrics. Free it once its calls, which are cancelled, have ended.
void peer_close(struct peer *peer);

// Asks it for its Status on this connection, unless a question is in flight there.
void peer_ask(struct peer *peer, enum raft_lane lane);

// Once a second: logs that it has not been reached for long, asks it for its Status, and finds out who answers on a
// connection that nothing is known of.
void peer_attend(struct peer *peer);

// As peers_heard and peers_view.
void peer_heard(struct peer *peer);
const struct peer_view *peer_look(struct peer *peer);

#endif
