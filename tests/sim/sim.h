// A simulated cluster: cores in one process on virtual time, with failures that a real network rarely shows.
//
// One seed determines a run, so that a failing one can be repeated. A violated invariant prints the seed, the time and the
// node, and stops the run; see sim_broken. After each step of any node these are checked:
//   election safety      one leader per term                                 (paper figure 3)
//   leader append-only   raft_check_invariants
//   log matching         entries with equal index and term are equal and have equal predecessors
//   leader completeness  a new leader has every committed entry
//   state machine safety no two nodes commit different entries at an index
//   durability           committed entries are on the disks of a majority; what a message claims is on its sender's disk
//   linearizable reads   a read's index covers all that was committed when it was requested
//   monotonicity         terms, votes, commit and applied indices (raft_check_invariants)
//   one reply            each request that a core receives gets exactly one reply
//
//   sim.c      time, the event loop, the network
//   host.c     a node: its turns, its disk, crash and restart
//   history.c  the checks across nodes
//   chaos.c    random failures
#ifndef BATON_TESTS_SIM_H
#define BATON_TESTS_SIM_H

#include <stddef.h>
#include <stdio.h>

#include "base/rng.h"
#include "raft/queue.h"
#include "raft/raft.h"

// --- for tests ---

struct sim_config {
    uint64_t seed;
    size_t voters;
    size_t learners;
    uint64_t delay_min_us, delay_max_us;  // of a message, one way
    uint64_t disk_min_us, disk_max_us;    // of a write
    unsigned loss_permille;
    unsigned duplicate_permille;
    unsigned late_permille;  // messages that take up to a second
    bool selfish;            // each node takes itself for the preferred leader
};

struct sim;

// The seed that BATON_SEED names, or `otherwise`.
uint64_t sim_seed(uint64_t otherwise);
// With BATON_SEED set, only that seed is run: true for all others.
bool sim_skips(uint64_t seed);

// A new cluster, all nodes up, with entry 1 in every log.
struct sim *sim_new(const struct sim_config *config);
void sim_free(struct sim *sim);

bool sim_broken(const struct sim *sim);
uint64_t sim_now(const struct sim *sim);
// One chance in `n`.
bool sim_chance(struct sim *sim, uint64_t n);

// Run until then, or until something breaks (false).
bool sim_run(struct sim *sim, uint64_t duration_us);
// Run until `condition` holds; false if it does not within `limit_us`, or something breaks.
bool sim_run_until(struct sim *sim, bool (*condition)(struct sim *sim), uint64_t limit_us);

// Nodes are numbered from 0, voters first. NULL: it is down.
struct raft_node *sim_core(struct sim *sim, size_t node);
size_t sim_node_count(const struct sim *sim);
// The leader with the highest term; SIZE_MAX: none.
size_t sim_leader(const struct sim *sim);
// Whether there is a leader, all nodes are up, and all have committed the leader's whole log.
bool sim_is_settled(struct sim *sim);

void sim_cut(struct sim *sim, size_t from, size_t to, bool cut);     // one direction
void sim_isolate(struct sim *sim, size_t node);                      // both directions, to all other nodes
void sim_heal(struct sim *sim);                                      // all links
void sim_reset_connections(struct sim *sim, size_t node);            // the other nodes' connections to it
void sim_crash(struct sim *sim, size_t node);                        // loses all or a last part of the writes in progress
void sim_restart(struct sim *sim, size_t node);                      // from its disk
void sim_pause(struct sim *sim, size_t node, uint64_t duration_us);  // like SIGSTOP
void sim_stick_disk(struct sim *sim, size_t node, uint64_t duration_us);  // no write completes until then
void sim_fill_disk(struct sim *sim, size_t node, bool full);
void sim_propose(struct sim *sim, size_t node, size_t entries, size_t bytes);
void sim_read(struct sim *sim, size_t node);
void sim_transfer(struct sim *sim, size_t node, size_t target);

// Random failures of these kinds, see chaos.c.
struct sim_chaos {
    bool partitions, crashes, pauses, disks, transfers;
};
bool sim_run_chaos(struct sim *sim, const struct sim_chaos *chaos, uint64_t duration_us);
// Ends all failures; then a leader must be elected, a write must be committed, and all logs must become equal.
bool sim_recover(struct sim *sim, uint64_t limit_us);

struct sim_counts {
    uint64_t committed, reads_served, leaders, transfers_done, steps;
    uint64_t digest;  // of all messages, and when they were sent
};
const struct sim_counts *sim_counts(const struct sim *sim);

// --- internal ---

enum { SIM_NODES_MAX = MEMBERS_MAX };

struct sim_message {
    struct raft_message message;  // with an array of references of its own
    size_t from, to;
    uint64_t from_life, to_life;  // to_life of a request: 0, any; of a reply: the life that sent the request
};

struct sim_disk_write {
    struct raft_persist persist;  // with an array of references of its own
    uint64_t done_us;
};

struct sim_disk {
    struct raft_hard_state hard_state;
    struct raft_entry **entries;  // entries[i] has index i + 1
    size_t count, capacity;
    struct raft_queue writes;  // struct sim_disk_write, in progress
    uint64_t stuck_until_us;
    bool full;                  // entries wait; hard states are written ahead of them
    uint64_t hard_state_write;  // hard states are durable up to this write
};

struct sim_pending_read {
    uint64_t tag;
    raft_index committed;  // in the whole cluster, when it was requested
};

struct sim_node {
    struct raft_id id;
    struct raft_node *core;   // NULL: down
    uint64_t life;            // how often it was started
    struct raft_queue inbox;  // struct raft_event
    struct raft_queue held;   // struct sim_message, from send_after_persist
    struct raft_queue reads;  // struct sim_pending_read
    struct sim_disk disk;
    uint64_t durable_write;
    raft_index commit_index;  // as of its last update
    raft_index applied;
    uint64_t turn_us;  // of the next turn; UINT64_MAX: none
    uint64_t paused_until_us;
};

enum sim_event_type { SIM_TURN, SIM_DELIVER, SIM_SEND_FAILED, SIM_LOST, SIM_DISK };

struct sim_event {
    uint64_t at_us;
    uint64_t order;  // of events at the same time
    enum sim_event_type type;
    size_t node;
    uint64_t life;
    struct sim_message *message;  // SIM_DELIVER
    size_t peer;                  // SIM_SEND_FAILED, SIM_LOST
    uint64_t call;
};

// A request delivered to a core, for its reply.
struct sim_call {
    size_t from;
    uint64_t life;
    uint64_t call;
};

// An entry that some node has written.
struct sim_known {
    struct raft_entry *entry;
    raft_term prev_term;
};

struct sim_history {
    struct raft_queue *known;  // known[index]: struct sim_known, one for each term
    size_t known_count, known_cap;
    struct raft_queue committed;  // from index 1 on
    struct raft_queue leaders;
};

struct sim {
    struct sim_config config;
    struct rng rng;
    struct raft_slab *slab;
    uint64_t now_us;
    uint64_t order;
    struct sim_event *heap;
    size_t heap_count, heap_capacity;
    struct sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    struct raft_member members[SIM_NODES_MAX];
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    struct raft_queue calls;  // struct sim_call; a handle is its position + 1
    struct sim_history history;
    struct sim_counts counts;
    uint64_t tags;
    bool broken;
    bool trace;
};

// Prints the first violation, with the seed, and stops the run.
void sim_break(struct sim *sim, size_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void sim_schedule(struct sim *sim, struct sim_event event);
void sim_wake(struct sim *sim, size_t node, uint64_t at_us);
uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max);
size_t sim_index_of(const struct sim *sim, const struct raft_id *id);
// Sends over the simulated network; takes the message's references.
void sim_send(struct sim *sim, struct sim_message message);
void sim_message_drop(struct sim_message *message);
struct raft_entry **sim_copy_entries(struct raft_entry *const *entries, size_t count);

void sim_host_init(struct sim *sim, size_t node);
void sim_host_free(struct sim *sim, size_t node);
void sim_host_turn(struct sim *sim, size_t node);
void sim_host_deliver(struct sim *sim, size_t node, const struct sim_message *message);
void sim_host_disk_done(struct sim *sim, size_t node);
void sim_host_event(struct sim *sim, size_t node, struct raft_event event);

void sim_history_init(struct sim *sim);
void sim_history_free(struct sim *sim);
void sim_history_stored(struct sim *sim, size_t node, const struct raft_persist *persist);
void sim_history_committed(struct sim *sim, size_t node, raft_index from, raft_index to);
void sim_history_led(struct sim *sim, size_t node, raft_term term);
void sim_history_promised(struct sim *sim, size_t node, const struct raft_message *message);
raft_index sim_history_length(const struct sim *sim);

#endif
