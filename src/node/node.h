// One control-plane node: joins the consensus core, the log, the state machine and the services on one loop.
//
// A turn of the loop: what has come in is collected as events (the services' handlers, peers' answers, the log's
// completions, the clock); then node_turn hands all of it to the core in one step and carries out what follows: the log's
// write is handed over, messages go out, committed entries are applied and answered, and every connection is flushed once.
#ifndef BATON_NODE_NODE_H
#define BATON_NODE_NODE_H

#include <uv.h>

#include "base/error.h"
#include "base/metrics.h"
#include "node/view.h"
#include "wire/command.h"

struct tls;

// Checked by whoever fills it (src/cmd/batond_options.h).
struct node_config {
    struct raft_id node_id;
    struct raft_id cluster_id;
    char cloud[8];
    const char *data_dir;
    const char *listen;          // HOST:PORT
    const char *advertise;       // what others are told
    const char *advertise_http;  // what others are told of the debug port
    bool bootstrap;
    struct wire_member peers[MEMBERS_MAX];  // with bootstrap: all members, this one included, in id order
    size_t peer_count;
    struct tls *tls;  // whose certificate names this node; NULL: plain
    uint64_t heartbeat_interval_us;
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;
    bool placement;        // hand leadership to where it serves best: see policy/placement.h
    char leader_cloud[8];  // which it prefers; "": none
};

struct node;

// Opens the data directory, starts to listen and to take part. `config` must live on; `metrics` gets the node's metrics.
// Errors: those of wal_open, ERR_INVALID (the directory's configuration does not fit the flags), ERR_UNAVAILABLE (cannot
// listen). `stopped(user)` is called once the node has come to its end: after node_stop, or by itself with `failure` set
// when it cannot go on; the caller then leaves the loop.
enum error_code node_start(uv_loop_t *loop, const struct node_config *config, struct metrics *metrics,
                           void (*stopped)(void *user, enum error_code failure), void *user, struct node **node,
                           struct error *error);

// Leaves in order: hands leadership over, lets running calls finish, syncs; under 2 s.
void node_stop(struct node *node);

// After `stopped`, or to end at once: closes the log (leaving unwritten what was never acknowledged) and all handles.
void node_close(struct node *node);

// After node_close, when the loop has run dry.
void node_free(struct node *node);

// Where it listens, for people.
const char *node_address(const struct node *node);

// What src/http shows of this node.
struct http_source node_http_source(struct node *node);

#endif
