// The consensus core: Raft as a pure state machine (Ongaro & Ousterhout, "In Search of an Understandable Consensus
// Algorithm", 2014, here "paper"; Ongaro's dissertation, 2014, here "thesis").
//
// raft_step takes everything that happened in one turn of the event loop (messages, a tick, proposals, completions) and
// returns everything that must follow: what to persist, what to send at once, what to send once that is durable, what has
// become committed. The core makes no system call, reads no clock, takes random numbers only from its own seeded generator,
// and logs nothing: the same inputs give the same outputs, byte for byte.
//
// A single thread calls it, so that no lock is needed.
//
// The caller's contract:
//  1. Submit update.persist, if update.has_persist, to the log in the order of `write`, and later report
//     RAFT_EVENT_PERSISTED for it. Writes become durable in order.
//  2. Send update.send_now at once, in order. Hold each message of update.send_after_persist, replies included, until
//     raft_may_leave allows it (paper section 5: "updated on stable storage before responding"; a candidate's RequestVote
//     too, since its own vote counts only once durable). The list is not in the order of the writes.
//     Each request that came in as an event gets exactly one reply, in one of the two lists of that step. The reply to a
//     PreVote may be deferred to a later step, by at most PRE_VOTE_DEFER_US.
//  3. Apply entries up to update.commit_index in order, and report RAFT_EVENT_APPLIED.
//  4. Call raft_step by update.next_tick_us at the latest, with RAFT_EVENT_TICK if nothing else has happened. A leader that
//     was not called for longer than quorum_timeout_us steps down before it does anything else.
// Messages may be lost, repeated, delayed and reordered.
#ifndef BATON_RAFT_RAFT_H
#define BATON_RAFT_RAFT_H

#include "base/limits.h"
#include "raft/entry.h"

// A node's id: text[0 .. len-1], NUL-terminated. len 0: none.
struct raft_id {
    uint8_t len;
    char text[ID_MAX + 1];
};

static inline struct slice raft_id_slice(const struct raft_id *id) {
    return slice_of(id->text, id->len);
}

// Bytewise, as all ids are ordered.
static inline int raft_id_compare(const struct raft_id *a, const struct raft_id *b) {
    return slice_compare(raft_id_slice(a), raft_id_slice(b));
}

static inline bool raft_id_equal(const struct raft_id *a, const struct raft_id *b) {
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

// At most ID_MAX bytes, which the caller has checked.
struct raft_id raft_id_of(struct slice text);

enum raft_state { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

// "Follower", "Candidate", "Leader".
const char *raft_state_name(enum raft_state state);

struct raft_member {
    struct raft_id id;
    bool voter;      // a learner receives the log but neither votes nor counts towards a quorum
    bool preferred;  // as leader. Only breaks the tie between two nodes that request pre-votes at the same time: nodes that
                     // disagree about it may delay an election, but never elect wrongly
};

// The persistent state besides the log (paper figure 2); term and vote are always written together.
struct raft_hard_state {
    raft_term current_term;
    struct raft_id voted_for;  // in current_term; len 0: none
};

struct raft_config {
    struct raft_id id;                  // this node; must be among members
    const struct raft_member *members;  // copied; at most MEMBERS_MAX; any order
    size_t member_count;
    uint64_t seed;  // of the generator for election timeouts
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;  // each timeout is drawn uniformly from [min, max]
    uint64_t heartbeat_interval_us;    // 2 * heartbeat <= election_timeout_min
    uint64_t quorum_timeout_us;        // CheckQuorum, see QUORUM_TIMEOUT_US; 2 * heartbeat <= quorum_timeout
};

// --- messages ---

enum raft_message_type {
    RAFT_REQUEST_VOTE,  // or a PreVote: request_vote.pre_vote
    RAFT_REQUEST_VOTE_REPLY,
    RAFT_APPEND_ENTRIES,
    RAFT_APPEND_ENTRIES_REPLY,
    RAFT_TIMEOUT_NOW,
    RAFT_TIMEOUT_NOW_REPLY,
};

// Which of the two connections to a peer a message takes: control is never queued behind bulk data.
enum raft_lane { RAFT_CONTROL, RAFT_BULK };

struct raft_message {
    enum raft_message_type type;
    enum raft_lane lane;  // bulk for AppendEntries with entries, except a copy of one that is stuck there; control for all
                          // else. A reply takes the connection of its request.
    struct raft_id from;
    struct raft_id to;
    raft_term term;  // the sender's current term; in a PreVote, too, so that it raises no other node's term
    // In a request to the core: the caller's handle for the call, returned in the one reply to it. In a request from the
    // core: a number that the caller returns in the reply, with RAFT_EVENT_MESSAGE, or in RAFT_EVENT_SEND_FAILED. It
    // identifies what was sent and when, so that a late reply is never taken for the reply to a newer request.
    uint64_t call;
    // In send_after_persist: the write that must be durable before this message leaves; see raft_may_leave.
    uint64_t after_write;
    bool claims_entries;  // acknowledges entries that were not durable yet when the message was made
    union {
        struct {
            struct raft_entry_id last_log;
            bool pre_vote;
            bool leadership_transfer;  // the leader asked for it by TimeoutNow: voters grant although they hear it
        } request_vote;
        struct {
            bool granted;
            bool pre_vote;  // as in the request; not on the wire: the caller of the RPC knows what it asked
        } vote_reply;
        struct {
            struct raft_id leader_id;
            struct raft_entry_id prev_log;
            // entries[0 .. count-1], from index prev_log.index + 1 on. In an update: borrowed, valid until the next
            // raft_step. In an event: one reference each, which the core always takes; the array itself stays the
            // caller's.
            struct raft_entry **entries;
            size_t count;
            raft_index leader_commit;
        } append;
        struct {
            bool success;
            raft_index match_index;     // of a success: the logs are equal, and durable at the sender, up to here
            raft_term conflict_term;    // of a rejection: the follower's term at prev_log.index; 0: its log is shorter
            raft_index conflict_index;  // of a rejection: its first index of conflict_term, or its last index + 1
        } append_reply;
    };
};

// Whether a message of send_after_persist may leave: all writes up to `durable_write` are durable, and the hard states of
// all writes up to `durable_hard_state_write` (on a full disk, hard state is written ahead of entries that wait).
//
// An AppendEntries reply that acknowledges entries that were not durable when it was made (claims_entries) waits for the
// whole write. Everything else waits for the write's hard state only: RequestVote, its reply, TimeoutNow's reply, and
// AppendEntries replies that reject, or that acknowledge no more than was durable when they were made.
static inline bool raft_may_leave(const struct raft_message *message, uint64_t durable_write,
                                  uint64_t durable_hard_state_write) {
    return message->after_write <= (message->claims_entries ? durable_write : durable_hard_state_write);
}

// --- events ---

enum raft_event_type {
    RAFT_EVENT_TICK,         // only the time
    RAFT_EVENT_MESSAGE,      // a message was received
    RAFT_EVENT_SEND_FAILED,  // a request from the core got no reply: its connection was lost or its deadline passed
    // The connection to a peer ended by end of file or reset, without an orderly close: its process has died. Not for an
    // expired keepalive, which may be the network. If the peer is the leader, this node requests pre-votes at once instead
    // of waiting for its election timeout.
    RAFT_EVENT_LOST,
    RAFT_EVENT_PROPOSE,    // append these entries, if leader
    RAFT_EVENT_READ,       // a linearizable read needs a read index
    RAFT_EVENT_PERSISTED,  // everything up to a write is durable
    RAFT_EVENT_APPLIED,    // the state machine has applied up to an index
    RAFT_EVENT_TRANSFER,   // transfer leadership to a node
    RAFT_EVENT_STORAGE,    // the disk is full, or no longer so
};

enum raft_storage {
    RAFT_STORAGE_GOOD,
    RAFT_STORAGE_FULL,  // hard state can be written, entries cannot: the node votes, but neither leads nor campaigns
};

struct raft_event {
    enum raft_event_type type;
    union {
        struct raft_message message;
        struct {
            struct raft_id peer;
            uint64_t call;  // of the request
        } send_failed;
        struct raft_id lost_peer;
        struct {
            struct raft_entry **entries;  // one reference each, which the core takes even if it refuses
            size_t count;                 // > 0
            uint64_t tag;                 // returned in raft_proposed
        } propose;
        struct {
            uint64_t tag;  // returned in raft_read
        } read;
        uint64_t persisted_write;
        raft_index applied_index;
        struct {
            struct raft_id target;  // len 0: the most up-to-date voter of those that have answered lately
        } transfer;
        enum raft_storage storage;
    };
};

// --- update ---

enum raft_refusal {
    RAFT_ACCEPTED,
    RAFT_NOT_LEADER,
    RAFT_TRANSFERRING,  // a leadership transfer is running: writes wait for the next leader
    RAFT_TOO_MUCH,      // UNCOMMITTED_BYTES_MAX reached
    RAFT_NO_SUCH_NODE,  // the transfer's target is not another voter
    RAFT_BUSY,          // another transfer is running
};

// The outcome of one RAFT_EVENT_PROPOSE, in the order of the events. If accepted, its entries have consecutive indices from
// `first` on. An accepted proposal is committed when commit_index reaches it and the entry there has this term; its outcome
// is unknown if this node loses leadership first.
struct raft_proposed {
    uint64_t tag;
    enum raft_refusal refusal;
    struct raft_entry_id first;
};

// A read that may be served once the state machine has applied `index` (thesis section 6.4), or was refused.
struct raft_read {
    uint64_t tag;
    enum raft_refusal refusal;
    raft_index index;
};

struct raft_persist {
    uint64_t write;  // 1, 2, 3, ...
    bool has_hard_state;
    struct raft_hard_state hard_state;
    // Consecutive. If the first is not after the last one written, the log is truncated there first. Borrowed until the
    // next raft_step: the caller takes references to keep them longer.
    struct raft_entry *const *entries;
    size_t count;
};

struct raft_transition {
    enum raft_state from;
    enum raft_state to;
    raft_term term;      // after the transition
    const char *reason;  // for the log; a static string
};

enum raft_transfer_outcome { RAFT_TRANSFER_NONE, RAFT_TRANSFER_REFUSED, RAFT_TRANSFER_DONE, RAFT_TRANSFER_FAILED };

// All of it is borrowed: valid until the next raft_step.
struct raft_update {
    bool has_persist;
    struct raft_persist persist;

    const struct raft_message *send_now;
    size_t send_now_count;
    const struct raft_message *send_after_persist;
    size_t send_after_persist_count;

    raft_index commit_index;  // never decreases

    const struct raft_proposed *proposed;
    size_t proposed_count;
    const struct raft_read *reads;
    size_t read_count;
    const struct raft_transition *transitions;
    size_t transition_count;

    bool leader_changed;                  // raft_leader() differs from what it was after the previous step
    enum raft_transfer_outcome transfer;  // if a transfer ended, or was refused, in this step
    enum raft_refusal transfer_refusal;

    uint64_t elections_started;  // in this step; rounds of pre-votes do not count
    // When a timer expires next. At or before `now_us`: there is more to send to a peer that lags, so step again as soon as
    // this update has been processed.
    uint64_t next_tick_us;
};

// --- the node ---

struct raft_node;

// What recovery has read from disk, all of it durable. A new cluster starts with the same on every node: term 1, no vote,
// and entry 1 of term 1, the configuration. The caller has checked: indices are consecutive, terms never decrease and do not
// exceed hard_state.current_term, and base.index <= applied <= the last index.
struct raft_restored {
    struct raft_hard_state hard_state;
    struct raft_entry_id base;    // the entry before the first one here; {0, 0}: the log starts at 1
    struct raft_entry **entries;  // from base.index + 1 on; one reference each, which the core takes
    size_t count;
    raft_index applied;  // by the state machine as it starts (base.index until there are snapshots)
};

// NULL if out of memory. The relations stated in raft_config must hold (the caller has checked its flags). The node starts
// as a follower with a full election timeout from `now_us` on. `slab` must outlive the node.
struct raft_node *raft_new(const struct raft_config *config, struct raft_slab *slab, const struct raft_restored *restored,
                           uint64_t now_us);
void raft_free(struct raft_node *node);

// `now_us`: monotonic, never less than in the previous step. Cannot fail: if the core runs out of memory for itself it ends
// the process rather than go on from half a step.
void raft_step(struct raft_node *node, uint64_t now_us, struct raft_event *events, size_t count, struct raft_update *update);

// The node's present state. Pointers are valid until the next raft_step.
enum raft_state raft_state(const struct raft_node *node);
raft_term raft_current_term(const struct raft_node *node);
const struct raft_id *raft_leader(const struct raft_node *node);  // len 0: none known
raft_index raft_commit_index(const struct raft_node *node);
struct raft_entry_id raft_last_log(const struct raft_node *node);
struct raft_entry_id raft_base(const struct raft_node *node);

// Whether this node leads and has committed an entry of its own term (its no-op), so that its commit index is current.
bool raft_leader_is_established(const struct raft_node *node);

// The entry at an index, borrowed; NULL outside (base, last].
struct raft_entry *raft_entry_at(const struct raft_node *node, raft_index index);

struct raft_progress {
    struct raft_id id;
    bool voter;
    raft_index match_index;  // on the leader; 0 elsewhere
    raft_index next_index;
    uint64_t inflight;       // AppendEntries in flight
    uint64_t last_heard_us;  // send time of the latest request it has answered; 0: none
};

// All members but this one, in id order; returns how many (at most MEMBERS_MAX).
size_t raft_progress(const struct raft_node *node, struct raft_progress out[MEMBERS_MAX]);

// For tests: checks the invariants of one node, and of its change since the last call (LogCabin's idea). Returns NULL, or
// the invariant that is violated.
const char *raft_check_invariants(struct raft_node *node);

#endif
