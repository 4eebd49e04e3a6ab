// Internals of the core: struct raft_node, and the functions that its files share.
//
//   node.c         raft_step: events in, one update out; the node's present state
//   election.c     PreVote, RequestVote, election timeouts, state transitions
//   prevote.c      pre-votes whose reply is deferred while a leader is heard
//   append.c       AppendEntries at the follower
//   replication.c  AppendEntries at the leader: what to send to whom, what a reply means
//   check_quorum.c CheckQuorum: when a leader steps down by itself
//   commit.c       proposals, the leader's commit rule, quorum arithmetic
//   read.c         linearizable reads
//   lease.c        promises of voters, by which the leader reads without asking
//   transfer.c     leadership transfer
//   members.c      the configuration in force, and the peers that follow from it
//   snapshot.c     compaction of the log behind snapshots, InstallSnapshot on both sides
//   notes.c        what elections come from, for who asks
//   output.c       the update under construction
//   log.c          the log, and how far it is durable
//   invariants.c   invariants, for tests
//
// A step handles its events in order, then the timers, and only then makes its requests (votes, heartbeats, AppendEntries),
// from the resulting state; replies are made on the way, one for each request.
#ifndef BATON_RAFT_NODE_H
#define BATON_RAFT_NODE_H

#include "base/rng.h"
#include "raft/log.h"
#include "raft/queue.h"
#include "raft/raft.h"

enum {
    // The latest heartbeats to one peer whose replies can still be matched to them, 9.6 s at 150 ms each; and as many chunks
    // of snapshots.
    RAFT_TRACKED = 64,
    // Members besides this node, and those that were removed and have not heard of it yet.
    RAFT_PEERS_MAX = 2 * MEMBERS_MAX,
    // Unanswered heartbeats to one peer beyond which a read opens no further round there; later reads share the next one.
    RAFT_READ_ROUNDS_MAX = 8,
};

// A larger term or index can only come from a broken peer; up to it, additions never overflow.
#define RAFT_NUMBER_MAX (UINT64_MAX / 2)

// An AppendEntries with entries, or a heartbeat, in flight to a peer.
struct raft_sent {
    uint64_t since_us;  // when it was sent
    uint64_t round;     // of reads: see read.c
    raft_index prev_index;
    raft_index match_index;  // the peer's when it was sent
    raft_index last_index;
    raft_index told;  // the commit index that the follower has once it has accepted this
    uint64_t cost;    // bytes counted against INFLIGHT_BYTES_MAX
};

// Requests of this leadership that promise nothing about what follows: [first, next), the latest of them in sent[].
struct raft_tracked {
    uint64_t first;
    uint64_t next;
    struct raft_sent sent[RAFT_TRACKED];
};

// A call number is a sequence number per peer and kind, times the number of kinds, plus the kind.
enum raft_call_kind {
    RAFT_CALL_APPEND,
    RAFT_CALL_HEARTBEAT,
    RAFT_CALL_VOTE,
    RAFT_CALL_TIMEOUT_NOW,
    RAFT_CALL_SNAPSHOT,
    RAFT_CALL_KINDS
};

// Another member, or one that was removed and has not heard of it yet.
struct raft_peer {
    struct raft_id id;
    bool voter;
    bool preferred;
    // A peer that is removed and added again starts anew: its numbers begin behind those of its former self, whose replies
    // are ignored.
    uint64_t first_sequence;

    // --- removed; only on a leader, which goes on sending to it until it has heard of it (members.c) ---
    raft_index leaving_index;   // of the configuration without it; 0: it is a member
    uint64_t leaving_until_us;  // UINT64_MAX: that configuration is not committed yet

    // --- while this node leads; initialized when it wins an election ---
    raft_index next_index;        // of the next entry to send; > match_index
    raft_index match_index;       // the logs are equal, and durable there, up to here; never decreases
    raft_index told_index;        // its commit index has reached this
    struct raft_entry_id forgot;  // see raft_progress
    bool probing;                 // next_index is a guess: one AppendEntries at a time, until one is accepted
    bool paused;                  // the last attempt failed: the next one is made when a heartbeat is due
    // AppendEntries in flight: sequence numbers [appends_first, appends_next), in appends[sequence % size]. Earlier ones are
    // answered or given up.
    uint64_t appends_first;
    uint64_t appends_next;
    uint64_t appends_cost;
    uint64_t appends_since_us;  // when one was last answered, or the first of those in flight was sent
    struct raft_sent appends[INFLIGHT_MESSAGES_MAX];
    struct raft_tracked heartbeats;
    uint64_t heartbeats_answered;   // the latest that was answered; heartbeats.first - 1: none
    struct raft_tracked snapshots;  // chunks of snapshots
    uint64_t heard_us;              // send time of the latest request that it has answered; 0: none
    uint64_t lease_until_us;        // it votes for no other before that, by this node's clock; 0: it has not promised
    uint64_t round_sent;            // the latest round of reads that a heartbeat to it belongs to
    uint64_t round_heard;           // the latest round that it has answered

    // --- while this node campaigns ---
    uint64_t votes_next;  // sequence number of the next vote request; only a reply to the latest one counts
    bool granted;         // by the reply to the latest one

    // --- its PreVote whose reply is deferred (prevote.c) ---
    bool defers_pre_vote;
    uint64_t deferred_until_us;
    struct raft_message deferred_pre_vote;

    uint64_t timeout_nows_next;
};

// A configuration, and the index of its entry; 0: it is from no entry.
struct raft_membership {
    raft_index index;
    struct raft_configuration configuration;
};

// One accepted RAFT_EVENT_PROPOSE that is not committed yet.
struct raft_proposal {
    raft_index last_index;
    uint64_t cost;
};

struct raft_pending_read {
    uint64_t tag;
    raft_index index;
    uint64_t round;  // 0: none yet: the leader is not established
};

// The node as raft_check_invariants last saw it.
struct raft_seen {
    raft_term current_term;
    struct raft_id voted_for;
    enum raft_state state;
    raft_index commit_index;
    raft_index last_applied;
    struct raft_entry_id last_log;
    struct raft_entry_id base;
};

// A single thread steps the node, so that no lock is needed.
struct raft_node {
    // --- constant ---
    struct raft_id id;
    bool (*decode_configuration)(void *user, struct slice command, struct raft_configuration *out);
    void *user;
    uint64_t election_timeout_min_us;  // see raft_config
    uint64_t election_timeout_max_us;
    uint64_t heartbeat_interval_us;
    uint64_t quorum_timeout_us;
    bool lease_reads;
    struct raft_slab *slab;

    // --- members ---
    // struct raft_membership: the latest committed configuration (or the one at the start), and those after it in the log.
    // The last is in force; what follows is as it says.
    struct raft_queue memberships;
    bool voter;
    bool preferred;
    struct raft_peer *peers[RAFT_PEERS_MAX];  // in id order
    size_t peer_count;
    size_t voter_count;       // including this node, if it is one
    uint64_t first_sequence;  // of a peer that is added next
    // About the latest committed configuration, as of its index: UINT64_MAX: none is committed.
    raft_index settled_index;
    bool was_member;             // this node was in it or in an earlier one
    bool removed;                // and is in it no more
    bool configuration_changed;  // in this step

    // --- persistent (paper figure 2): what is not on disk yet goes into this step's write ---
    raft_term current_term;
    struct raft_id voted_for;
    bool hard_state_changed;
    uint64_t hard_state_write;  // the write with the latest hard state, unless hard_state_changed; 0: from recovery
    struct raft_log log;

    // --- the disk ---
    uint64_t last_write;       // number of the latest write in an update
    uint64_t persisted_write;  // durable up to here
    enum raft_storage storage;

    // --- volatile ---
    enum raft_state state;
    struct raft_id leader;           // of current_term; len 0: unknown
    struct raft_id reported_leader;  // as of the end of the last step
    raft_index commit_index;
    raft_index last_applied;
    struct raft_entry_id installed;  // in this step, see raft_update
    uint64_t now_us;                 // of this step
    struct rng rng;
    uint64_t election_deadline_us;  // not while it leads
    uint64_t election_timeout_us;   // as last drawn
    uint64_t leader_heard_us;       // when a message of `leader` was last received
    uint64_t bound_until_us;        // until then it neither votes nor campaigns, but for a transfer: lease.c
    struct raft_id lost_leader;     // the latest leader whose connection was lost, in lost_term, at lost_us
    raft_term lost_term;
    uint64_t lost_us;
    bool only_started;         // it has known no leader since it started, and has granted no vote or pre-vote
    bool pre_voting;           // a follower that has requested pre-votes
    uint64_t pre_vote_rounds;  // since a leader was heard
    bool ask_votes;            // send RequestVote, or PreVote if pre_voting, at the end of this step
    bool transfer_election;    // the election was started by TimeoutNow
    bool resigned;             // it may never lead again

    // --- as leader ---
    raft_index term_start_index;  // of the no-op that opened the term
    uint64_t heartbeat_due_us;
    bool match_changed;                 // a match_index or durable_index has advanced: the commit index may, too
    uint64_t quorum_heard_us;           // a majority has answered requests sent at this time or later (CheckQuorum)
    struct raft_queue proposals;        // struct raft_proposal, by index
    uint64_t uncommitted_cost;          // of all proposals
    struct raft_queue reads;            // struct raft_pending_read, by arrival
    uint64_t read_round;                // the latest round of heartbeats for reads
    struct raft_peer *transfer_target;  // a voter; NULL: no transfer is running
    uint64_t transfer_deadline_us;
    bool timeout_now_sent;
    bool lease_given_up;  // a TimeoutNow was sent in this term

    // --- the update under construction (output.c) ---
    struct raft_queue send_now;            // struct raft_message
    struct raft_queue send_after_persist;  // struct raft_message
    struct raft_queue proposed;            // struct raft_proposed
    struct raft_queue reads_ready;         // struct raft_read
    struct raft_queue transitions;         // struct raft_transition
    struct raft_queue notes;               // struct raft_note
    enum raft_transfer_outcome transfer_outcome;
    enum raft_refusal transfer_refusal;
    uint64_t elections_started;
    bool more_to_send;  // a peer can be sent more at once
    bool peer_forgot;

    struct raft_seen seen;
};

// What an entry counts against the byte limits: its command, and roughly its overhead on the wire and in memory.
static inline uint64_t raft_entry_cost(const struct raft_entry *entry) {
    return entry->len + sizeof *entry;
}

// --- node.c ---

static inline size_t raft_majority(const struct raft_node *node) {
    return node->voter_count / 2 + 1;
}

static inline uint64_t raft_call_number(uint64_t sequence, enum raft_call_kind kind) {
    return sequence * RAFT_CALL_KINDS + kind;
}

// --- election.c ---

// To a follower in `term` (>= current_term); no change if it is one already. `reason` is for the transition, if there is
// one.
void raft_become_follower(struct raft_node *node, raft_term term, const char *reason);
// Adopts a higher term: no vote yet, no leader known.
void raft_enter_term(struct raft_node *node, raft_term term);
void raft_reset_election_timer(struct raft_node *node);
// Whether it may campaign: it is electable and has not resigned, and its disk is neither full nor stuck.
bool raft_may_campaign(const struct raft_node *node);
// Starts an election: new term, own vote, RequestVote to all. `transfer`: because of TimeoutNow.
void raft_start_election(struct raft_node *node, bool transfer);
void raft_run_election_timer(struct raft_node *node);
// In the four functions that handle a request: `credible` unless it is for another node, from this one, or has an absurd
// term; it is then answered and changes nothing. Its sender need not be a member: "servers process incoming RPC requests
// without consulting their current configurations" (thesis section 4.1), or a new member could not be added.
void raft_handle_request_vote(struct raft_node *node, const struct raft_message *message, bool credible);
void raft_handle_vote_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
// With a majority of pre-votes, starts the election; with a majority of votes, its own durable, becomes leader.
void raft_count_votes(struct raft_node *node);
void raft_send_vote_requests(struct raft_node *node);

// Whether it leads, heard a leader within the minimum election timeout (thesis section 4.2.3), or has promised a lease.
bool raft_hears_leader(const struct raft_node *node);
// Until when that is so if nothing more is heard.
uint64_t raft_hears_leader_until_us(const struct raft_node *node);
// Whether it would grant this PreVote if it heard no leader: term and log are up to date, and this node does not lead.
bool raft_would_elect(const struct raft_node *node, const struct raft_message *message);
// Answers such a PreVote with no live leader: grants, unless this node is campaigning and wins the tie. If it loses the tie
// it ends its own round. `peer`: the sender, NULL if it is no member.
bool raft_grant_pre_vote(struct raft_node *node, const struct raft_peer *peer, const struct raft_message *message);
// Whether the lost leader may have sent this message before its connection was lost. Its entries are taken as usual, but it
// does not make the sender the leader again; a live leader sends further ones.
bool raft_is_late_from_lost_leader(const struct raft_node *node, const struct raft_message *message);
// RAFT_EVENT_LOST.
void raft_handle_lost(struct raft_node *node, const struct raft_id *peer);
// RAFT_EVENT_MET.
void raft_handle_met(struct raft_node *node);

// --- prevote.c ---

// Defers the reply until the leader is lost, for PRE_VOTE_DEFER_US at most. An older deferred PreVote of that peer is
// refused.
void raft_defer_pre_vote(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
// Refuses the one of this peer, which is about to go, if there is one.
void raft_refuse_deferred_pre_vote(struct raft_node *node, struct raft_peer *peer);
// Answers those that are due.
void raft_answer_deferred_pre_votes(struct raft_node *node);
// When a deferred reply may be due next; UINT64_MAX: none is deferred.
uint64_t raft_next_deferred_us(const struct raft_node *node);

// --- lease.c ---

// Whether it has promised a lease that still holds.
bool raft_is_bound(const struct raft_node *node);
// It hears the leader now, and promises it a lease if it promises any.
void raft_bind(struct raft_node *node);
// What the reply to this request of the leader may promise, in microseconds from now on.
uint64_t raft_promise(const struct raft_node *node, const struct raft_message *message);
// The peer has promised that, in reply to a request sent at `sent_us`.
void raft_take_promise(struct raft_peer *peer, uint64_t sent_us, uint64_t promised_us);
// On the leader: whether no other leader can have been elected until now.
bool raft_has_lease(const struct raft_node *node);

// --- append.c ---

// Takes the message's entries.
void raft_handle_append_entries(struct raft_node *node, const struct raft_message *message, bool credible);
// Whether the sender of an AppendEntries or InstallSnapshot is the leader of its term, which this node then follows. A
// second leader of the same term is refused.
bool raft_follow(struct raft_node *node, const struct raft_message *message);

// --- replication.c ---

void raft_start_leading(struct raft_node *node);
// The leader knows nothing of this peer's log: the next AppendEntries is from `next_index` on.
void raft_start_peer(struct raft_node *node, struct raft_peer *peer, raft_index next_index);
// `higher_term`: because of one, as opposed to stepping down in its own term.
void raft_stop_leading(struct raft_node *node, bool higher_term);
void raft_handle_append_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
void raft_handle_send_failed(struct raft_node *node, struct raft_peer *peer, uint64_t call);
// CheckQuorum, a stuck disk, retries. May step down.
void raft_run_leader_timers(struct raft_node *node);
void raft_send_append_entries(struct raft_node *node);
// The number of a new request among the tracked ones, sent now.
uint64_t raft_track(struct raft_node *node, struct raft_tracked *tracked);
// The peer has answered this one, which is contact with it. False: it is too old to be known.
bool raft_tracked_heard(struct raft_peer *peer, const struct raft_tracked *tracked, uint64_t sequence);
// The follower's log equals this one up to `index`, durably. This stays true however late the reply arrives, as long as it
// is of this term: a leader's log only grows, and its followers do not truncate what they have verified.
void raft_peer_matched(struct raft_node *node, struct raft_peer *peer, raft_index index);

// --- check_quorum.c ---

// This node has become leader: a majority has voted for it just now.
void raft_check_quorum_start(struct raft_node *node);
// Takes note of what peers have answered. False: the leader has stepped down.
bool raft_check_quorum(struct raft_node *node);
// When it steps down if nothing more is heard.
uint64_t raft_check_quorum_due_us(const struct raft_node *node);
// The time since the last step: steps down if the process was stopped for too long.
void raft_check_stall(struct raft_node *node, uint64_t gap_us);

// --- commit.c ---

void raft_handle_propose(struct raft_node *node, const struct raft_event *event);
// Gives the leader's entry its id and appends it, taking the reference.
void raft_append_own(struct raft_node *node, struct raft_entry *entry);
void raft_advance_commit(struct raft_node *node);
// The highest value that a majority of voters has reached; `own` is this node's, of_peer(peer) each peer's, but 0 of one
// whose disk has lost entries.
uint64_t raft_quorum_value(const struct raft_node *node, uint64_t own, uint64_t (*of_peer)(const struct raft_peer *peer));

// --- read.c ---

void raft_handle_read(struct raft_node *node, uint64_t tag);
// Opens a round for new reads, and releases those whose round a majority has answered.
void raft_advance_reads(struct raft_node *node);
void raft_refuse_reads(struct raft_node *node);

// --- transfer.c ---

void raft_handle_transfer(struct raft_node *node, const struct raft_id *target);
void raft_handle_timeout_now(struct raft_node *node, const struct raft_message *message, bool credible);
void raft_run_transfer(struct raft_node *node);
void raft_end_transfer(struct raft_node *node, enum raft_transfer_outcome outcome);
void raft_handle_resign(struct raft_node *node, const struct raft_event *event);

// --- members.c ---

// The configuration that the log begins with, and those in it; false: one cannot be read.
bool raft_members_init(struct raft_node *node, const struct raft_config *config);
void raft_members_free(struct raft_node *node);
// NULL: no other member, and none that is leaving, has this id.
struct raft_peer *raft_peer_find(const struct raft_node *node, const struct raft_id *id);
// Whether a configuration entry can be read, and names members that make sense.
bool raft_is_configuration(const struct raft_node *node, const struct raft_entry *entry);
// Whether these entries may be proposed, as far as members are concerned: RAFT_ACCEPTED, or why not.
enum raft_refusal raft_check_change(const struct raft_node *node, struct raft_entry *const *entries, size_t count);
// A configuration entry was appended: it is in force now.
void raft_members_appended(struct raft_node *node, const struct raft_entry *entry);
// The log ends before `first` now.
void raft_members_truncated(struct raft_node *node, raft_index first);
// The commit index has advanced.
void raft_members_committed(struct raft_node *node);
// A snapshot was installed: what the log has behind it is still in force.
void raft_members_installed(struct raft_node *node, raft_index last, raft_index index,
                            const struct raft_configuration *configuration);
// Whether it can be elected: a voter of the configuration in force, or of an earlier one that may still be the cluster's,
// since the latest is not committed (thesis section 4.2.2).
bool raft_is_electable(const struct raft_node *node);
// The leader's: those who were removed by a configuration that is not committed yet may not have heard of it.
void raft_members_start_leading(struct raft_node *node);
void raft_members_stop_leading(struct raft_node *node);
// Drops those who have heard that they were removed, or have had time enough.
void raft_members_run(struct raft_node *node);

// --- snapshot.c ---

// RAFT_EVENT_COMPACT.
void raft_compact(struct raft_node *node, raft_index index);
void raft_handle_install_snapshot(struct raft_node *node, const struct raft_message *message, bool credible);
void raft_handle_snapshot_reply(struct raft_node *node, struct raft_peer *peer, const struct raft_message *message);
// RAFT_EVENT_SNAPSHOT_INSTALLED.
void raft_handle_snapshot_installed(struct raft_node *node, const struct raft_event *event);

// Whether the leader has dropped entries that this peer lacks, so that only a snapshot can bring it up to date. A probe that
// goes back behind the base ends here; a heartbeat that the peer accepts at the base ends it. One whose disk has lost
// entries needs none: it must stop.
static inline bool raft_needs_snapshot(const struct raft_node *node, const struct raft_peer *peer) {
    return peer->next_index <= node->log.base.index && peer->forgot.index == 0;
}

// --- output.c ---

void raft_outputs_init(struct raft_node *node);
void raft_outputs_free(struct raft_node *node);
void raft_outputs_clear(struct raft_node *node);
// A request to a peer, for the caller to fill in: sent now, or once `after_write` is durable.
struct raft_message *raft_request(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                  uint64_t call);
struct raft_message *raft_request_after(struct raft_node *node, const struct raft_peer *peer, enum raft_message_type type,
                                        uint64_t call, uint64_t after_write);
// The reply to a request, for the caller to fill in: sent now if `after_write` is durable, else once it is.
struct raft_message *raft_reply(struct raft_node *node, const struct raft_message *request, enum raft_message_type type,
                                uint64_t after_write);
// The writes that make the present term and vote, and the present log, durable.
uint64_t raft_hard_state_write(const struct raft_node *node);
uint64_t raft_log_tail_write(const struct raft_node *node);
void raft_record_transition(struct raft_node *node, enum raft_state to, const char *reason);
void raft_fill_update(struct raft_node *node, struct raft_update *update);

// --- notes.c ---

// A new note of the present term, for the caller to fill in.
struct raft_note *raft_note(struct raft_node *node, enum raft_note_kind kind, const struct raft_id *peer, bool pre_vote);
// The answer to a RequestVote, after all that it has changed.
void raft_note_answer(struct raft_node *node, const struct raft_message *request, bool credible, bool granted);

#endif
