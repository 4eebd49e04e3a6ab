// A node's configuration.
#ifndef BATON_NODE_CONFIG_H
#define BATON_NODE_CONFIG_H

#include "wire/configuration.h"

struct tls;
struct verb;

// Already checked (src/cmd/batond_options.h).
struct node_config {
    struct raft_id node_id;
    struct raft_id cluster_id;
    char cloud[8];
    const char *data_dir;
    const char *listen;          // HOST:PORT
    const char *advertise;       // the address that others use
    const char *advertise_http;  // the same of the debug pages
    bool bootstrap;
    struct wire_member peers[MEMBERS_MAX];  // with bootstrap: all members, this one included, in id order
    size_t peer_count;
    struct tls *tls;  // whose certificate names this node; NULL: plain
    uint64_t heartbeat_interval_us;
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;
    bool placement;                   // see policy/placement.h
    char leader_cloud[8];             // preferred by placement; "": none
    const struct verb *const *verbs;  // the calls it answers (src/verbs/verbs.h), NULL-terminated
};

#endif
