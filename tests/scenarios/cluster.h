// The cluster of a scenario: cores, the messages between them, their disks and their clocks. Everything in a core's updates
// is written to the trace.
//
//   run.c      finds the scenarios, compares traces or rewrites them
//   script.c   the language: one command a line
//   messages.c its commands about messages
//   words.c    a command, word by word
//   cluster.c  nodes, clocks, disks, messages
//   trace.c    how an update and a message are written down
//
// The script delivers every message and advances the clocks, one for each node. It also plays the members without a core,
// whose messages it makes up.
#ifndef BATON_TESTS_SCENARIOS_CLUSTER_H
#define BATON_TESTS_SCENARIOS_CLUSTER_H

#include "../unit/raft_configuration.h"
#include "raft/queue.h"
#include "raft/raft.h"

enum { CLUSTER_LOG_MAX = 64 };

enum packet_place {
    PACKET_HELD,  // in send_after_persist
    PACKET_IN_FLIGHT,
    PACKET_GONE,  // delivered or lost
};

// A message between members. It is kept to the end of the scenario, so that it can be delivered again.
struct packet {
    size_t number;                // m1, m2, ...
    struct raft_message message;  // owns an array of entries with references
    enum packet_place place;
    struct server *to;       // where it arrives; NULL: at no member
    struct packet *request;  // of a reply
    unsigned life;           // of its sender when it was sent; 0: made up by the script
    size_t replies;          // to a request, since it was last delivered
};

struct disk {
    bool held;  // writes complete when the script says so, else at once
    struct raft_hard_state hard_state;
    struct raft_entry_id base;          // the log begins after it
    struct raft_entry_id snapshot;      // the last entry that the latest snapshot covers; index 0: there is none
    struct raft_configuration members;  // of the snapshot; at the start those of the scenario
    raft_index members_index;           // of their entry
    struct raft_entry **entries;        // entries[i] has index base.index + 1 + i
    size_t count, cap;
    struct raft_queue writes;  // struct raft_persist with arrays of their own, in progress
    uint64_t durable_write;
    uint64_t hard_state_write;  // hard states are durable up to this write
};

struct server {
    struct raft_id id;
    bool member;  // at the start
    bool voter;
    bool starts;             // it has a core, which may be down; else the script plays this member
    struct raft_node *core;  // NULL: down, or played
    unsigned life;           // how often a core was started
    uint64_t seed;
    bool lease_reads;
    size_t prefers;  // number of the member that this node takes for the preferred one; 0: none
    uint64_t now_us;
    uint64_t next_tick_us;
    uint64_t shown_tick_us;  // as of the last line of trace about it
    raft_index applied;
    struct raft_id shown_leader;
    bool shown_removed;
    char *shown_status;  // NULL: none yet
    struct disk disk;
};

struct cluster {
    struct raft_slab *slab;
    struct server servers[MEMBERS_MAX];  // n1 is servers[0]
    size_t count;
    bool cut[MEMBERS_MAX][MEMBERS_MAX];  // from, to
    struct packet **packets;
    size_t packet_count, packet_cap;
    char **tags;  // of proposals and reads: tag i + 1
    size_t tag_count, tag_cap;
    struct raft_queue leaders;  // struct raft_entry_id: a term, and the number of its leader as index
    char **trace;
    size_t trace_count, trace_cap;
    size_t command_trace;  // where the present command's trace begins
    char error[512];       // why the script cannot go on; empty: it can
};

void cluster_init(struct cluster *cluster);
void cluster_free(struct cluster *cluster);

// Records why the script cannot go on; only the first call counts.
void cluster_fail(struct cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool cluster_failed(const struct cluster *cluster);

// NULL: no member has this id.
struct server *cluster_find(struct cluster *cluster, const struct raft_id *id);
// "n3", a member or not.
struct raft_id cluster_id(size_t number);
struct raft_entry *cluster_entry(struct cluster *cluster, struct raft_entry_id id, const char *text);
uint64_t cluster_tag(struct cluster *cluster, const char *text);

// --- nodes ---

// What a node finds on its disk at its first start.
struct start {
    struct raft_hard_state hard_state;
    struct raft_entry_id base;
    raft_index snapshot;  // base.index <= snapshot <= the last entry
    raft_term log[CLUSTER_LOG_MAX];
    char texts[CLUSTER_LOG_MAX][CONFIGURATION_TEXT_MAX];  // of configurations; empty: another entry
    size_t log_count;
    bool empty;  // the node is of no cluster yet
};

// Puts this on the server's disk and starts a core from it.
void cluster_start(struct cluster *cluster, struct server *server, const struct start *start);
void cluster_crash(struct cluster *cluster, struct server *server);
void cluster_restart(struct cluster *cluster, struct server *server);
// The disk of a server that is down loses its entries from `first` on, although they were durable.
void cluster_lose(struct cluster *cluster, struct server *server, raft_index first);
// Takes a snapshot of all that the node has applied, and drops its entries up to `index` if the core lets them go.
void cluster_compact(struct cluster *cluster, struct server *server, raft_index index);
// A snapshot that came from a leader is on the disk, and loaded.
void cluster_install(struct cluster *cluster, struct server *server, struct raft_entry_id last,
                     const struct raft_configuration *members, raft_index members_index);

// Steps the core with one event, and completes its writes unless its disk is held.
void cluster_event(struct cluster *cluster, struct server *server, struct raft_event event);

// --- clocks ---

// Advances the clocks of the chosen servers; timers that expire fire in order.
void cluster_wait(struct cluster *cluster, const bool chosen[MEMBERS_MAX], uint64_t duration_us);
// Advances the server's clock to its next timer.
void cluster_time_out(struct cluster *cluster, struct server *server);

// --- messages ---

// Takes the message; its entries are in an array of the heap, or NULL. `request`: of a reply.
struct packet *cluster_packet(struct cluster *cluster, struct raft_message message, struct packet *request);
// The leader sends a chunk of a snapshot, if the core wants it to.
void cluster_send_snapshot(struct cluster *cluster, struct server *server, struct server *to, struct raft_entry_id last);
void cluster_deliver(struct cluster *cluster, struct packet *packet);
// Delivers everything, in order, until nothing is in flight to a core.
void cluster_deliver_all(struct cluster *cluster);
void cluster_drop(struct cluster *cluster, struct packet *packet);
// Loses the message, and reports RAFT_EVENT_SEND_FAILED to the sender of the request.
void cluster_report_failed(struct cluster *cluster, struct packet *packet);
bool cluster_is_request(const struct raft_message *message);

// --- disks ---

// Completes the writes up to this one; with `hard_state_only` only their hard state, ahead of the entries.
void cluster_persist(struct cluster *cluster, struct server *server, uint64_t write, bool hard_state_only);

// --- trace.c ---

void trace_line(struct cluster *cluster, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Transitions, leader, write.
void trace_update(struct cluster *cluster, struct server *server, const struct raft_update *update);
// Proposals, reads, transfer.
void trace_results(struct cluster *cluster, struct server *server, const struct raft_update *update);
void trace_packet(struct cluster *cluster, const struct packet *packet);
void trace_received(struct cluster *cluster, const struct packet *packet);
void trace_applied(struct cluster *cluster, struct server *server, raft_index from, raft_index to);
// Timers that have changed since they were last shown.
void trace_timers(struct cluster *cluster);
// A lost message; consecutive ones share a line.
void trace_lost(struct cluster *cluster, const struct packet *packet);
void trace_status(struct cluster *cluster, struct server *server);
// Only if it differs from what was last shown.
void trace_changed_status(struct cluster *cluster, struct server *server);
void trace_progress(struct cluster *cluster, struct server *server);
void trace_logs(struct cluster *cluster);

#endif
