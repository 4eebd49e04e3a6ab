// The core's insides: struct raft_node, and what its files offer each other.
//
//   node.c         raft_step: events in, one update out; what the node knows of itself
//   election.c     PreVote, RequestVote, timeouts, changes of state
//   kept.c         PreVotes that wait for the loss of a leader
//   append.c       a follower's side of AppendEntries
//   replication.c  the leader's side: what to send to whom, what an answer means
//   commit.c       the leader's commit rule, CheckQuorum's arithmetic, proposals
//   read.c         linearizable reads
//   transfer.c     handing leadership over
//   output.c       the update under construction
//   log.c          the log and what of it is durable
//   invariants.c   what must always hold
//
// A step handles its events in order, then the timers, and only then makes its requests (votes, heartbeats, AppendEntries)
// from the state that all of it has left behind; replies are made on the way, one for each request.
#ifndef BATON_RAFT_NODE_H
#define BATON_RAFT_NODE_H

#include "base/rng.h"
#include "raft/log.h"
#include "raft/queue.h"
#include "raft/raft.h"

enum {
    // Heartbeats to one peer that a late answer can still be told from: 9.6 s of them at 150 ms.
    RAFT_HEARTBEATS_KEPT = 64,
    // Heartbeats for reads under way to one peer; reads that come meanwhile share the next one.
    RAFT_READ_ROUNDS_MAX = 8,
};

// A term or index beyond is nonsense from a broken peer; below it, adding to one never overflows.
#define RAFT_NUMBER_MAX (UINT64_MAX / 2)

// An AppendEntries with entries, or a heartbeat, on its way to a peer.
struct raft_sent {
    uint64_t since_us;
    uint64_t round;  // of reads: see read.c
    raft_index prev_index;
    raft_index last_index;
    uint64_t cost;  // bytes counted against INFLIGHT_BYTES_MAX
};

// A call number is a sequence number per peer and kind, times four, plus the kind.
enum raft_call_kind { RAFT_CALL_APPEND, RAFT_CALL_HEARTBEAT, RAFT_CALL_VOTE, RAFT_CALL_TIMEOUT_NOW, RAFT_CALL_KINDS };

// Another member.
struct raft_peer {
    struct raft_id id;
    bool voter;
    bool preferred;

    // --- as its leader; made anew when this node wins an election ---
    raft_index next_index;   // of the next entry to send; > match_index
    raft_index match_index;  // known to be equal to ours and durable there; never falls
    bool probing;            // next_index is a guess: one AppendEntries at a time, until one is accepted
    bool paused;             // the last attempt came to nothing: none until the next heartbeat is due
    // AppendEntries under way: sequence numbers [appends_first, appends_next), in appends[sequence % size]. A number outside
    // is answered already, or given up.
    uint64_t appends_first;
    uint64_t appends_next;
    uint64_t appends_cost;
    uint64_t appends_since_us;  // when one was last answered, or sent with none before it
    struct raft_sent appends[INFLIGHT_MESSAGES_MAX];
    // Heartbeats: [heartbeats_first, heartbeats_next), the last RAFT_HEARTBEATS_KEPT of them in heartbeats[].
    uint64_t heartbeats_first;
    uint64_t heartbeats_next;
    uint64_t heartbeats_answered;  // the highest that was, or heartbeats_first - 1
    struct raft_sent heartbeats[RAFT_HEARTBEATS_KEPT];
    uint64_t heard_us;     // when the latest request that it has answered was sent; 0: it has answered none
    uint64_t round_sent;   // the latest round of reads that a heartbeat has carried there
    uint64_t round_heard;  // the latest round that it has answered

    // --- as a candidate, or asking PreVotes ---
    uint64_t votes_next;  // sequence number of the next question; the one before is the only one whose answer counts
    bool granted;         // the question that is open now

    // --- as a voter: its PreVote that waits (kept.c) ---
    bool keeps;
    uint64_t kept_until_us;
    struct raft_message kept;

    uint64_t timeout_nows_next;
};

// One RAFT_EVENT_PROPOSE that this leader has accepted and not committed yet.
struct raft_proposal {
    raft_index last_index;
    uint64_t cost;
};

struct raft_pending_read {
    uint64_t tag;
    raft_index index;
    uint64_t round;  // 0: waits for the leader to be established
};

// What an invariant over time needs to remember (invariants.c).
struct raft_seen {
    raft_term current_term;
    struct raft_id voted_for;
    enum raft_state state;
    raft_index commit_index;
    raft_index last_applied;
    struct raft_entry_id last_log;
};

// One writer: a single thread steps the node, so that no lock is needed.
struct raft_node {
    // --- for life ---
    struct raft_id id;
    bool voter;
    bool preferred;
    struct raft_config config;  // its id and members are not used: see above and below
    struct raft_slab *slab;
    struct raft_peer peers[MEMBERS_MAX];  // in id order
    size_t peer_count;
    size_t voter_count;  // this node included, if it is one

    // --- what must survive (paper figure 2): what is newer than the disk goes out with this step's write ---
    raft_term current_term;
    struct raft_id voted_for;
    bool hard_state_changed;
    uint64_t hard_state_write;  // the write that carries it, once hard_state_changed is false; 0: the disk had it
    struct raft_log log;

    // --- the disk ---
    uint64_t last_write;       // number of the last write handed out
    uint64_t persisted_write;  // durable up to here
    enum raft_storage storage;

    // --- volatile ---
    enum raft_state state;
    struct raft_id leader;           // of current_term; nobody: not known
    struct raft_id reported_leader;  // as of the end of the last step
    raft_index commit_index;
    raft_index last_applied;
    uint64_t now_us;  // of this step
    struct rng rng;
    uint64_t election_deadline_us;  // unless leader
    uint64_t leader_heard_us;       // when `leader` last called
    struct raft_id lost_leader;     // whose connection died last, in lost_term, at lost_us
    raft_term lost_term;
    uint64_t lost_us;
    bool pre_voting;           // a Follower that asks PreVotes
    uint64_t pre_vote_rounds;  // since a leader was heard
    bool ask_votes;            // at the end of this step: RequestVote, or PreVote if pre_voting
    bool transfer_election;    // the candidacy was asked for by TimeoutNow

    // --- as leader ---
    uint64_t leader_since_us;
    raft_index term_start_index;  // of the no-op that opened the term
    uint64_t heartbeat_due_us;
    bool match_changed;                 // some match_index or durable_index has risen: the commit index may, too
    uint64_t quorum_heard_us;           // a majority has answered something sent at this time or later (CheckQuorum)
    struct raft_queue proposals;        // struct raft_proposal, by index
    uint64_t uncommitted_cost;          // their sum
    struct raft_queue reads;            // struct raft_pending_read, by arrival
    uint64_t read_round;                // the latest round of heartbeats that a read waits for
    struct raft_peer *transfer_target;  // NULL: no transfer is running
    uint64_t transfer_deadline_us;
    bool timeout_now_sent;

    // --- the update under construction (output.c) ---
    struct raft_queue send_now;            // struct raft_message
    struct raft_queue send_after_persist;  // struct raft_message
    struct raft_queue proposed;            // struct raft_proposed
    struct raft_queue reads_ready;         // struct raft_read
    struct raft_queue transitions;         // struct raft_transition
    enum raft_transfer_outcome transfer_outcome;
    enum raft_refusal transfer_refusal;
    uint64_t elections_started;
    bool more_to_send;  // a peer could be sent more at once: step again soon

    struct raft_seen seen;
};

// What an entry counts against the limits of bytes: its command, and about what frames it on the wire and in memory.
static inline uint64_t raft_entry_cost(const struct raft_entry *entry) {
    return entry->len + sizeof *entry;
}

// --- node.c ---

// NULL: no other member has this id.
struct raft_peer *raft_peer_find(struct raft_node *node, const struct raft_id *id);

static inline size_t raft_majority(const struct raft_node *node) {
    return node->voter_count / 2 + 1;
}

static inline uint64_t raft_call_number(uint64_t sequence, enum raft_call_kind kind) {
    return sequence * RAFT_CALL_KINDS + kind;
}

// --- election.c ---

// To `term` (>= current_term) as a Follower; nothing happens if it is one in that term. `reason` shows in the transition.
void raft_become_follower(struct raft_node *node, raft_term term, const char *reason);
void raft_reset_election_timer(struct raft_node *node);
// It may ask for votes: a voter with a disk that works.
bool raft_may_campaign(const struct raft_node *node);
// A real election, without PreVotes before it.
void raft_start_election(struct raft_node *node, bool transfer);
void raft_run_election_timer(struct raft_node *node);
void raft_handle_request_vote(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
void raft_handle_vote_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
// Becomes leader if enough votes are in and the own one is durable.
void raft_count_votes(struct raft_node *node);
void raft_send_vote_requests(struct raft_node *node);

// Whether a leader that lives is over this node, for all it knows.
bool raft_hears_leader(const struct raft_node *node);
// A PreVote that only a leader's being heard can stand against.
bool raft_would_elect(const struct raft_node *node, const struct raft_message *message);
// Of a PreVote for which that does not: false if this node asks, too, and it is the other one that must give way.
bool raft_grant_pre_vote(struct raft_node *node, const struct raft_peer *peer, const struct raft_message *message);
// A message that the leader sent before its connection died, and that was read behind the end of it: true and worth
// taking, but no sign of life. A leader that lives goes on to send.
bool raft_is_echo(const struct raft_node *node, const struct raft_message *message);
// The connection to a peer has ended as that of a dead process does: if it leads, this node asks PreVotes at once.
void raft_handle_lost(struct raft_node *node, const struct raft_peer *peer);

// --- kept.c ---

// Answers it later, in the step in which the leader is lost, or when KEPT_PRE_VOTE_US have passed.
void raft_keep_pre_vote(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
void raft_settle_pre_votes(struct raft_node *node);
// When one that is kept must be looked at again; UINT64_MAX: none is.
uint64_t raft_next_kept(const struct raft_node *node);

// --- append.c ---

// Takes the message's entries.
void raft_handle_append_entries(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
// Answers an AppendEntries with a rejection that says nothing but our term; takes its entries.
void raft_refuse_append_entries(struct raft_node *node, const struct raft_message *message);

// --- replication.c ---

void raft_start_leading(struct raft_node *node);
// `higher_term`: one was seen, as opposed to giving up in our own.
void raft_stop_leading(struct raft_node *node, bool higher_term);
void raft_handle_append_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
void raft_handle_send_failed(struct raft_node *node, struct raft_peer *peer, uint64_t call);
// CheckQuorum, a stuck disk, heartbeats, retries.
void raft_run_leader_timers(struct raft_node *node);
void raft_send_append_entries(struct raft_node *node);

// --- commit.c ---

void raft_handle_propose(struct raft_node *node, const struct raft_event *event);
// Appends an entry of this leader's, taking the reference.
void raft_append_own(struct raft_node *node, struct raft_entry *entry);
void raft_advance_commit(struct raft_node *node);
// The highest value that a majority of voters has reached, when `own` is this node's and of_peer(peer) each other one's.
uint64_t raft_quorum_value(const struct raft_node *node, uint64_t own, uint64_t (*of_peer)(const struct raft_peer *peer));

// --- read.c ---

void raft_handle_read(struct raft_node *node, uint64_t tag);
// Gives new reads their index and round, and hands out those whose round a majority has answered.
void raft_advance_reads(struct raft_node *node);
void raft_refuse_reads(struct raft_node *node);

// --- transfer.c ---

void raft_handle_transfer(struct raft_node *node, const struct raft_id *target);
void raft_handle_timeout_now(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
void raft_run_transfer(struct raft_node *node);
void raft_end_transfer(struct raft_node *node, enum raft_transfer_outcome outcome);

// --- output.c ---

void raft_outputs_init(struct raft_node *node);
void raft_outputs_free(struct raft_node *node);
void raft_outputs_clear(struct raft_node *node);
// A request to a peer, to be filled in: sent now, or (`after_write`) after this step's write.
struct raft_message *raft_request(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                  uint64_t call);
struct raft_message *raft_request_after(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                        uint64_t call, uint64_t after_write);
// The reply to a request, to be filled in: sent once `after_write` is durable, or now if it is.
struct raft_message *raft_reply(struct raft_node *node, const struct raft_message *request, enum raft_message_type type,
                                uint64_t after_write);
// The write that makes term and vote as they are now durable, and the one for the log.
uint64_t raft_hard_state_write(const struct raft_node *node);
uint64_t raft_log_tail_write(const struct raft_node *node);
void raft_record_transition(struct raft_node *node, enum raft_state to, const char *reason);
void raft_fill_update(struct raft_node *node, struct raft_update *update);

#endif
