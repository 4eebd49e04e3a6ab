// A simulated cluster: cores in one process on virtual time, with failures that a real network rarely shows.
//
// One seed determines a run, so that a failing one can be repeated. A violated invariant prints the seed, the time and the
// node, and stops the run; see sim_broken. After each step of any node these are checked:
//   election safety      one leader per term, and none that has resigned     (paper figure 3)
//   leader append-only   raft_check_invariants
//   log matching         entries with equal index and term are equal and have equal predecessors
//   leader completeness  a new leader has every committed entry
//   state machine safety no two nodes commit different entries at an index
//   durability           committed entries are on the disks of a majority; what a message claims is on its sender's disk
//   linearizable reads   a read's index covers all that was committed when it was requested
//   monotonicity         terms, votes, commit and applied indices (raft_check_invariants)
//   one reply            each request that a core receives gets exactly one reply
//   members              committed configurations differ by one voter at most; a node is removed only by a committed one
//   snapshots            the core drops only what is durable and applied; a snapshot that it installs is of committed
//   entries
//
//   sim.c      time, the event loop, the network
//   host.c     a node: its turns, crash and restart
//   disk.c     a node's disk
//   snapshot.c a node's snapshots: taken, sent, received
//   members.c  changes of members
//   generations.c  a survivor that founds a generation
//   history.c  the checks across nodes
//   chaos.c    random failures
#ifndef BATON_TESTS_SIM_H
#define BATON_TESTS_SIM_H

#include <stddef.h>
#include <stdio.h>

#include "../unit/raft_configuration.h"
#include "base/rng.h"
#include "raft/queue.h"
#include "raft/raft.h"

// --- for tests ---

struct sim_config {
    uint64_t seed;
    size_t voters;
    size_t learners;
    size_t outside;                       // nodes that are no members at first, and know of none
    uint64_t delay_min_us, delay_max_us;  // of a message, one way
    uint64_t disk_min_us, disk_max_us;    // of a write
    unsigned loss_permille;
    unsigned duplicate_permille;
    unsigned late_permille;   // messages that take up to a second
    bool selfish;             // each node takes itself for the preferred leader
    bool leases;              // nodes promise leases, and read under them,
    bool one_without;         // all but n2
    unsigned drift_permille;  // a node's clock runs so much faster or slower than the simulation's, at most
    size_t slow_node;         // from 1 on: its clock is as slow as that, and all others as fast; 0: each drifts at random
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
// Whether there is a leader, and all members are up and have committed the leader's whole log.
bool sim_is_settled(struct sim *sim);

void sim_cut(struct sim *sim, size_t from, size_t to, bool cut);     // one direction
void sim_isolate(struct sim *sim, size_t node);                      // both directions, to all other nodes
void sim_heal(struct sim *sim);                                      // all links
void sim_reset_connections(struct sim *sim, size_t node);            // the other nodes' connections to it
void sim_crash(struct sim *sim, size_t node);                        // loses all or a last part of the writes in progress
void sim_restart(struct sim *sim, size_t node);                      // from its disk
void sim_pause(struct sim *sim, size_t node, uint64_t duration_us);  // like SIGSTOP
void sim_stick_disk(struct sim *sim, size_t node, uint64_t duration_us);  // no write completes until then
// The disk of a node that is down loses up to `entries` of its last entries, although they were durable, but none that its
// snapshot covers. False: it has none to lose.
bool sim_set_back(struct sim *sim, size_t node, size_t entries);
// Whether a leader has noticed.
bool sim_is_found_out(const struct sim *sim, size_t node);
// A node that is down, and isolated or not, founds the next generation with it alone. The others live on in the one before,
// until they hear of it. Each generation has a history of its own, which begins with what the survivor had of the one
// before; terms have one leader, and entries of one index and term are equal, across all of them.
void sim_found(struct sim *sim, size_t node);
// Whether the node has heard of a higher generation; it is down then, and stays so, until it rejoins:
bool sim_is_silent(const struct sim *sim, size_t node);
// empty, and of the latest generation.
void sim_rejoin(struct sim *sim, size_t node);
void sim_fill_disk(struct sim *sim, size_t node, bool full);
void sim_propose(struct sim *sim, size_t node, size_t entries, size_t bytes);
void sim_read(struct sim *sim, size_t node);
void sim_transfer(struct sim *sim, size_t node, size_t target);
// The node may not lead again in this life. `target`: a leader transfers leadership to it first; SIZE_MAX: to nobody.
void sim_resign(struct sim *sim, size_t node, size_t target);

// The node takes a snapshot of what it has applied, and lets its core drop entries up to `index`.
void sim_snapshot(struct sim *sim, size_t node, raft_index index);

// Proposes these members to the node, which runs.
void sim_propose_members(struct sim *sim, size_t node, const struct raft_configuration *members);
// Proposes a change of members to the node, safe or not.
void sim_change_members(struct sim *sim, size_t node);

// Random failures of these kinds, snapshots, and changes of members; see chaos.c.
struct sim_chaos {
    bool partitions, crashes, pauses, disks, transfers, resigns, snapshots, members;
    bool reads;  // clients read, and write, ten times as often
};
bool sim_run_chaos(struct sim *sim, const struct sim_chaos *chaos, uint64_t duration_us);
// Ends all failures; then a leader must be elected, a write must be committed, and all logs must become equal.
bool sim_recover(struct sim *sim, uint64_t limit_us);

struct sim_counts {
    uint64_t committed, reads_served, leaders, transfers_done, steps;
    uint64_t changes, removals;                 // of members, committed; nodes that were told that they are removed
    uint64_t compactions, installed, replaced;  // snapshots installed; those of them that took the place of the log
    uint64_t digest;                            // of all messages, and when they were sent
};
const struct sim_counts *sim_counts(const struct sim *sim);

// --- internal ---

enum { SIM_NODES_MAX = MEMBERS_MAX, SIM_GENERATIONS_MAX = 4 };

struct sim_message {
    struct raft_message message;  // with an array of references of its own
    size_t from, to;
    uint64_t from_life, to_life;  // to_life of a request: 0, any; of a reply: the life that sent the request
    unsigned chunk;               // of InstallSnapshot: its number; of the reply: the one that is wanted next
};

struct sim_disk_write {
    struct raft_persist persist;  // with an array of references of its own
    uint64_t done_us;
};

struct sim_disk {
    struct raft_hard_state hard_state;
    struct raft_entry_id base;    // the log begins after it
    struct raft_entry **entries;  // entries[i] has index base.index + 1 + i
    size_t count, capacity;
    struct raft_queue writes;           // struct sim_disk_write, in progress
    struct raft_entry_id snapshot;      // what the latest one covers
    struct raft_entry_id receiving;     // what the one that a leader sends covers
    unsigned chunks;                    // of that one, here
    struct raft_configuration members;  // of the snapshot
    raft_index members_index;           // of their entry; 0: there is no snapshot
    uint64_t stuck_until_us;
    bool full;                  // entries wait; hard states are written ahead of them
    uint64_t hard_state_write;  // hard states are durable up to this write
};

// A snapshot on its way to a peer.
struct sim_transfer {
    struct raft_entry_id last;
    unsigned chunk;     // the next to send
    uint64_t until_us;  // its reply is awaited; 0: none is
};

struct sim_pending_read {
    uint64_t tag;
    raft_index committed;  // in the whole cluster, when it was requested
};

struct sim_node {
    struct raft_id id;
    bool selfish;             // as in sim_config
    uint64_t seed;            // of the simulation
    int64_t drift_permille;   // of its clock
    struct raft_node *core;   // NULL: down
    uint64_t life;            // how often it was started
    struct raft_queue inbox;  // struct raft_event
    struct raft_queue held;   // struct sim_message, from send_after_persist
    struct raft_queue reads;  // struct sim_pending_read
    struct sim_disk disk;
    size_t generation;                             // from 0 on
    bool silent;                                   // has heard of a higher one
    bool resigns, resigned;                        // in this life: was told to; has done so
    bool removed;                                  // as of its last update
    bool set_back;                                 // its disk has lost what it had acknowledged
    bool found_out;                                // and a leader has noticed
    struct sim_transfer transfers[SIM_NODES_MAX];  // by peer
    uint64_t durable_write;
    raft_index commit_index;  // as of its last update
    raft_index applied;
    uint64_t turn_us;  // of the next turn; UINT64_MAX: none
    uint64_t paused_until_us;
};

enum sim_event_type {
    SIM_TURN,
    SIM_DELIVER,
    SIM_SEND_FAILED,
    SIM_LOST,
    SIM_MET,
    SIM_DISK,
    SIM_SNAPSHOT_TAKEN,
    SIM_SNAPSHOT_LOADED
};

struct sim_event {
    uint64_t at_us;
    uint64_t order;  // of events at the same time
    enum sim_event_type type;
    size_t node;
    uint64_t life;
    struct sim_message *message;  // SIM_DELIVER
    size_t peer;                  // SIM_SEND_FAILED, SIM_LOST, SIM_MET
    uint64_t call;
    struct raft_entry_id snapshot;  // SIM_SNAPSHOT_...: what it covers
    raft_index compact;             // SIM_SNAPSHOT_TAKEN
};

// A request delivered to a core, for its reply.
struct sim_call {
    size_t from;
    uint64_t life;
    uint64_t call;
    struct raft_entry_id snapshot;  // of InstallSnapshot
    unsigned chunk;
};

// An entry that some node has written.
struct sim_known {
    struct raft_entry *entry;
    raft_term prev_term;
};

struct sim_history {
    struct raft_queue *known;  // known[index]: struct sim_known, one for each term
    size_t known_count, known_cap;
    struct raft_queue committed[SIM_GENERATIONS_MAX];  // from index 1 on
    raft_index founded[SIM_GENERATIONS_MAX];           // the entry that founded a generation
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
    size_t generations;
    struct raft_configuration founders;  // of entry 1
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

struct raft_entry *sim_configuration_entry(struct sim *sim, struct raft_entry_id id,
                                           const struct raft_configuration *configuration);
// The time on the node's clock, and when that will show such a time.
uint64_t sim_clock(const struct sim *sim, size_t node);
uint64_t sim_clock_shows(const struct sim *sim, size_t node, uint64_t node_us);
void sim_host_init(struct sim *sim, size_t node);
void sim_host_free(struct sim *sim, size_t node);
void sim_host_turn(struct sim *sim, size_t node);
void sim_host_deliver(struct sim *sim, size_t node, const struct sim_message *message);
void sim_host_event(struct sim *sim, size_t node, struct raft_event event);
// Sends what was held until now and may leave.
void sim_host_release(struct sim *sim, size_t node);

// Takes the write's entries.
void sim_disk_apply(struct sim *sim, size_t node, struct raft_persist *persist);
void sim_disk_submit(struct sim *sim, size_t node, const struct raft_persist *persist);
void sim_disk_done(struct sim *sim, size_t node);
// Its writes in progress are lost, or all but the first of them.
void sim_disk_crash(struct sim *sim, size_t node);
// What recovery does with a snapshot that the log does not hold.
void sim_disk_recover(struct sim *sim, size_t node);
// The log up to the core's base goes; the core must have let go only what is here.
void sim_disk_compact(struct sim *sim, size_t node);
void sim_disk_free(struct sim_disk *disk);
// Nothing is on it any more.
void sim_disk_wipe(struct sim_disk *disk);
// Whether the log, or what it was compacted from, has an entry equal to this one.
bool sim_disk_holds(const struct sim_disk *disk, const struct raft_entry *entry);

void sim_snapshot_taken(struct sim *sim, size_t node, const struct sim_event *event);
void sim_snapshot_loaded(struct sim *sim, size_t node, const struct sim_event *event);
// As the leader: sends chunks to those who need a snapshot.
void sim_snapshot_send(struct sim *sim, size_t node);
// The core's reply to a chunk: stores it if the reply says so. Returns the chunk that is wanted next.
unsigned sim_snapshot_store(struct sim *sim, size_t node, const struct raft_message *reply, const struct sim_call *call);
void sim_snapshot_replied(struct sim *sim, size_t node, const struct sim_message *reply);
// The core has installed one.
void sim_snapshot_installed(struct sim *sim, size_t node, const struct raft_update *update);

void sim_history_init(struct sim *sim);
void sim_history_free(struct sim *sim);
void sim_history_stored(struct sim *sim, size_t node, const struct raft_persist *persist);
void sim_history_committed(struct sim *sim, size_t node, raft_index from, raft_index to);
void sim_history_led(struct sim *sim, size_t node, raft_term term);
// Checks what the node says of its removal.
void sim_members_removed(struct sim *sim, size_t node, bool removed);
// Checks that an entry that is committed changes no more than one voter.
void sim_members_committed(struct sim *sim, size_t node, const struct raft_entry *entry);
// How many voters of the node's configuration have this entry on their disks; the configuration's voters.
size_t sim_members_having(const struct sim *sim, size_t node, const struct raft_entry *entry, size_t *voters);

void sim_history_promised(struct sim *sim, size_t node, const struct raft_message *message);
// A generation begins with what the node has of its own, and an entry at `index`.
void sim_history_found(struct sim *sim, size_t node, raft_index index);
// Of the node's generation, as are those below.
raft_index sim_history_length(const struct sim *sim, size_t node);
bool sim_history_same(const struct raft_entry *a, const struct raft_entry *b);
// The latest committed configuration up to this index, and the index of its entry.
raft_index sim_history_members(const struct sim *sim, size_t node, raft_index index, struct raft_configuration *out);
// The committed entry at this index; NULL: none is.
struct raft_entry *sim_history_at(const struct sim *sim, size_t node, raft_index index);

// Refuses the message, and silences whoever learns of a higher generation by that.
bool sim_is_of_another_generation(struct sim *sim, const struct sim_message *message);

#endif
