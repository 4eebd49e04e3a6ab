// The consensus core: Raft as a pure state machine (Ongaro & Ousterhout, "In Search of an Understandable Consensus
// Algorithm", 2014, here "paper"; Ongaro's dissertation, 2014, here "thesis").
//
// raft_step takes everything that happened in one turn of the loop (messages, a tick, proposals, completions) and returns
// everything that must follow from it: what to persist, what to send at once, what to send once that is durable, what has
// become committed. The core makes no system call, reads no clock, draws no random number but from the generator in its
// struct, and logs nothing: the same inputs give the same outputs, byte for byte.
//
// There is exactly one caller, a single thread, so that no lock is needed.
//
// The caller's contract:
//  1. Submit update.persist, if update.has_persist, to the log in the order of `write`, and later report
//     RAFT_EVENT_PERSISTED for it. Writes become durable in order.
//  2. Send update.send_now at once, in order. Hold each message of update.send_after_persist until the write it names
//     is durable (paper section 5: "updated on stable storage before responding"; a candidate's RequestVote too, since
//     its own vote counts only once durable). This includes replies. The list is not in the order of the writes.
//     Most of them speak of term and vote alone: these may leave as soon as the hard state of that write is durable,
//     though entries of earlier writes are not (a full disk, where hard state is written ahead of them); see
//     raft_may_leave.
//     Each request that came in as an event gets exactly one reply, in one of the two lists of that step; a PreVote
//     perhaps of a later step, at most KEPT_PRE_VOTE_US later.
//  3. Apply entries up to update.commit_index in order, and report RAFT_EVENT_APPLIED.
//  4. Call raft_step at least every heartbeat interval with RAFT_EVENT_TICK: a longer gap than QUORUM_TIMEOUT_US between two
//     calls makes a leader step down before it does anything else. update.next_tick_us may ask for an earlier one.
// Messages may be lost, repeated, delayed and reordered without harm.
#ifndef BATON_RAFT_RAFT_H
#define BATON_RAFT_RAFT_H

#include "base/limits.h"
#include "raft/entry.h"

// A node's id: text[0 .. len-1], NUL-terminated. len 0 is nobody.
struct raft_id {
    uint8_t len;
    char text[ID_MAX + 1];
};

static inline struct slice raft_id_slice(const struct raft_id *id) {
    return slice_of(id->text, id->len);
}

// Byte order, as of all ids here.
static inline int raft_id_compare(const struct raft_id *a, const struct raft_id *b) {
    return slice_compare(raft_id_slice(a), raft_id_slice(b));
}

static inline bool raft_id_equal(const struct raft_id *a, const struct raft_id *b) {
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

// The caller has checked the length; a longer text is a bug.
struct raft_id raft_id_of(struct slice text);

enum raft_state { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

// "Follower", "Candidate", "Leader".
const char *raft_state_name(enum raft_state state);

struct raft_member {
    struct raft_id id;
    bool voter;      // a learner receives the log but neither votes nor counts
    bool preferred;  // stands where the leader had better be. It only settles which of two nodes that ask PreVotes at the
                     // same time gives way: a node that believes otherwise delays an election at most, and elects nobody
                     // wrongly
};

// What must survive a restart beside the log (paper figure 2); term and vote are always written together.
struct raft_hard_state {
    raft_term current_term;
    struct raft_id voted_for;  // in current_term; nobody: len 0
};

struct raft_config {
    struct raft_id id;                  // this node; must be among members
    const struct raft_member *members;  // copied; at most MEMBERS_MAX; any order
    size_t member_count;
    uint64_t seed;  // of the generator for election timeouts
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;  // drawn uniformly from [min, max], anew each time
    uint64_t heartbeat_interval_us;    // 2 * heartbeat <= election_timeout_min
    uint64_t quorum_timeout_us;        // CheckQuorum: see QUORUM_TIMEOUT_US
};

// --- messages ---

enum raft_message_type {
    RAFT_REQUEST_VOTE,  // pre_vote too
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
    enum raft_lane lane;  // AppendEntries with entries: bulk, but for a copy of what is stuck there; all else: control. A
                          // reply takes its call's connection.
    struct raft_id from;
    struct raft_id to;
    raft_term term;  // the sender's current one, in every message: a PreVote too, which must not raise anybody's
    // Of a request that was given to the core: the caller's handle of the call, handed back in the one reply to it. Of a
    // request that the core sends: a number that the caller hands back in the reply, with RAFT_EVENT_MESSAGE, or in
    // RAFT_EVENT_SEND_FAILED. It names what was sent and when, so that a late answer is never taken for a newer one's.
    uint64_t call;
    // Of a message in send_after_persist: the write that must be durable first, with its entries or only its hard state.
    uint64_t after_write;
    bool claims_entries;
    union {
        struct {
            struct raft_entry_id last_log;
            bool pre_vote;
            bool leadership_transfer;  // asked for by TimeoutNow: voters do not protect a leader they hear
        } request_vote;
        struct {
            bool granted;
            bool pre_vote;  // of the question; not on the wire: the caller of the RPC knows what it asked
        } vote_reply;
        struct {
            struct raft_id leader_id;
            struct raft_entry_id prev_log;
            // entries[0 .. count-1], indices prev_log.index + 1 and on. In an update: borrowed, valid until the next
            // raft_step. In an event: one reference each, which the core takes, whatever it does with the message; the
            // array itself stays the caller's.
            struct raft_entry **entries;
            size_t count;
            raft_index leader_commit;
        } append;
        struct {
            bool success;
            raft_index match_index;     // verified by this message and durable at the sender
            raft_term conflict_term;    // of a rejection: the term at prev_log.index there; 0: the log is shorter
            raft_index conflict_index;  // of a rejection: the first index of conflict_term there, or last index + 1
        } append_reply;
    };
};

// Whether a message of send_after_persist may leave, when all writes are durable up to one and hard states up to another.
static inline bool raft_may_leave(const struct raft_message *message, uint64_t durable_write,
                                  uint64_t durable_hard_state_write) {
    return message->after_write <= (message->claims_entries ? durable_write : durable_hard_state_write);
}

// --- events ---

enum raft_event_type {
    RAFT_EVENT_TICK,         // only the time
    RAFT_EVENT_MESSAGE,      // a message has come in
    RAFT_EVENT_SEND_FAILED,  // a request that the core sent got no answer: its connection was lost or its deadline passed
    // The connection to a peer ended by end of file or reset, without a goodbye: the process there is gone. Not when a
    // keepalive expired, which may be the network. If the peer leads, this node asks PreVotes at once instead of waiting for
    // its timeout.
    RAFT_EVENT_LOST,
    RAFT_EVENT_PROPOSE,    // append these entries, if leader
    RAFT_EVENT_READ,       // a linearizable read wants an index
    RAFT_EVENT_PERSISTED,  // everything up to a write is durable
    RAFT_EVENT_APPLIED,    // the state machine has applied up to an index
    RAFT_EVENT_TRANSFER,   // hand leadership to a node
    RAFT_EVENT_STORAGE,    // the disk's condition has changed
};

enum raft_storage {
    RAFT_STORAGE_GOOD,
    RAFT_STORAGE_FULL,  // entries cannot be written; hard state still can: neither lead nor campaign, but vote
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
            struct raft_entry **entries;  // one reference each, which the core takes, also when it refuses
            size_t count;
            uint64_t tag;  // handed back in raft_proposed
        } propose;
        struct {
            uint64_t tag;  // handed back in raft_read
        } read;
        uint64_t persisted_write;
        raft_index applied_index;
        struct {
            struct raft_id target;  // nobody: of the voters that answer, the one that is furthest
        } transfer;
        enum raft_storage storage;
    };
};

// --- update ---

enum raft_refusal {
    RAFT_ACCEPTED,
    RAFT_NOT_LEADER,
    RAFT_TRANSFERRING,  // leadership is being handed over: writes wait for the next leader
    RAFT_TOO_MUCH,      // UNCOMMITTED_BYTES_MAX reached
    RAFT_NO_SUCH_NODE,  // a transfer to a stranger, a learner, or to oneself
    RAFT_BUSY,          // a transfer is running already
};

// What became of one RAFT_EVENT_PROPOSE, in the order of the events. When accepted, its entries have consecutive indices
// from `first` on. An accepted proposal is committed when commit_index reaches it while the entry there has this term;
// its outcome is unknown if this node loses leadership first.
struct raft_proposed {
    uint64_t tag;
    enum raft_refusal refusal;
    struct raft_entry_id first;
};

// A read that may be answered once the state machine has applied `index` (thesis section 6.4), or refused.
struct raft_read {
    uint64_t tag;
    enum raft_refusal refusal;
    raft_index index;
};

struct raft_persist {
    uint64_t write;  // 1, 2, 3, ...
    bool has_hard_state;
    struct raft_hard_state hard_state;
    // Consecutive; the first may lie at or below the last one written before: then the log is cut there. Borrowed until
    // the next raft_step: who needs them longer takes references.
    struct raft_entry *const *entries;
    size_t count;
};

struct raft_transition {
    enum raft_state from;
    enum raft_state to;
    raft_term term;      // after it
    const char *reason;  // for people, static
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

    raft_index commit_index;  // current; never falls

    const struct raft_proposed *proposed;
    size_t proposed_count;
    const struct raft_read *reads;
    size_t read_count;
    const struct raft_transition *transitions;
    size_t transition_count;

    bool leader_changed;                  // raft_leader() is another than after the step before
    enum raft_transfer_outcome transfer;  // an end of the transfer, if it came in this step
    enum raft_refusal transfer_refusal;

    uint64_t elections_started;  // in this step, PreVotes not counted
    // The next time at which a tick would do anything. At or before `now_us`: a peer lags and can be sent more at once, so
    // step again as soon as this update has been dealt with.
    uint64_t next_tick_us;
};

// --- the node ---

struct raft_node;

// What recovery has read from disk, all of it durable. A new cluster begins with the same on every node: term 1, nobody
// voted for, and entry 1 of term 1, the configuration. Relations that the caller has checked: indices without a gap, terms
// that never fall, none beyond hard_state.current_term, and base.index <= applied <= the last index.
struct raft_restored {
    struct raft_hard_state hard_state;
    struct raft_entry_id base;    // the entry before the first held; {0, 0}: the log starts at 1
    struct raft_entry **entries;  // base.index + 1 and on; one reference each, which the core takes
    size_t count;
    raft_index applied;  // the state machine starts here (base.index until there are snapshots)
};

// NULL without memory. Breaking the relations stated in raft_config is a bug (the caller has checked flags). The node starts
// as a Follower with a full election timeout from `now_us` on. `slab` must outlive the node.
struct raft_node *raft_new(const struct raft_config *config, struct raft_slab *slab, const struct raft_restored *restored,
                           uint64_t now_us);
void raft_free(struct raft_node *node);

// `now_us`: monotonic, never less than in the step before. Cannot fail: without memory for itself the core stops the
// process rather than go on from half a step.
void raft_step(struct raft_node *node, uint64_t now_us, struct raft_event *events, size_t count, struct raft_update *update);

// What it is now. Pointers are valid until the next raft_step.
enum raft_state raft_state(const struct raft_node *node);
raft_term raft_current_term(const struct raft_node *node);
const struct raft_id *raft_leader(const struct raft_node *node);  // len 0: none known
raft_index raft_commit_index(const struct raft_node *node);
struct raft_entry_id raft_last_log(const struct raft_node *node);
struct raft_entry_id raft_base(const struct raft_node *node);

// The leader has committed an entry of its own term (its no-op): what it reads and decides from then on is current.
bool raft_leader_is_established(const struct raft_node *node);

// The entry held at an index, borrowed; NULL outside (base, last].
struct raft_entry *raft_entry_at(const struct raft_node *node, raft_index index);

struct raft_progress {
    struct raft_id id;
    bool voter;
    raft_index match_index;  // on the leader; 0 elsewhere
    raft_index next_index;
    uint64_t inflight;       // AppendEntries under way
    uint64_t last_heard_us;  // when a request was sent that has been answered; 0: never
};

// All members but this one, in id order; returns how many (at most MEMBERS_MAX).
size_t raft_progress(const struct raft_node *node, struct raft_progress out[MEMBERS_MAX]);

// For tests: checks what must always hold of one node, and of the change since the last call (LogCabin's idea). Returns
// NULL, or the name of the broken invariant.
const char *raft_check_invariants(struct raft_node *node);

#endif
