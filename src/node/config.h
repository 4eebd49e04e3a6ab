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
    char cloud[CLOUD_MAX + 1];
    const char *data_dir;
    const char *listen;          // HOST:PORT
    const char *advertise;       // the address that others use
    const char *advertise_http;  // the same of the debug pages
    bool bootstrap;
    struct wire_member peers[MEMBERS_MAX];  // with bootstrap: all members, this one included, in id order
    size_t peer_count;
    struct tls *tls;                  // whose certificate names this node; NULL: plain
    bool tls_migrate;                 // with `tls`: plaintext is accepted, too, and spoken to peers that have no TLS yet
    uint64_t client_connections;      // of one client; 0: half of all with TLS, without it no limit
    uint64_t client_watches;          // likewise
    uint64_t client_calls;            // a second, of one client; 0: no limit
    uint64_t client_bytes;            // of requests a second, of one client; 0: no limit
    bool shared_worker_certificates;  // baton://worker/w1 is good for any worker id, as in 0.1.0
    uint64_t heartbeat_interval_us;
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;
    bool lease_reads;                  // as the leader read under leases, else promise them: raft/lease.c
    uint64_t snapshot_log_bytes;       // of the log since the last snapshot: then the next one is taken
    uint64_t snapshot_rate;            // bytes a second that are sent of snapshots, at most; 0: no limit
    uint64_t log_retention;            // bytes of the log kept in memory for followers that lag, at most
    bool placement;                    // see policy/placement.h
    char leader_cloud[CLOUD_MAX + 1];  // preferred by placement; "": none
    const char *settings;              // the flags and their values, "--name=value" a line, for reports; no secrets
    const char *audit_log;             // a file, "-": standard error; NULL: none is kept
    const struct verb *const *verbs;   // the calls it answers (src/verbs/verbs.h), NULL-terminated
};

#endif
