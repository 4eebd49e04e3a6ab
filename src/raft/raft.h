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
//  5. Put the installed snapshot in the place of the state, if update.installed names one, before anything else is applied.
//     After update.configuration_changed, be able to reach all that raft_may_contact says.
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

// Who belongs to the cluster, as a configuration entry says (thesis section 4.1). It is in force from when its entry is
// appended, committed or not, until the entry is truncated or another is appended.
struct raft_configuration {
    struct raft_member members[MEMBERS_MAX];  // each id once, in any order
    size_t count;
    // It is of an earlier generation than this node, which has not got all of the log yet: who is a voter in it alone cannot
    // be elected, since the cluster was founded anew without him.
    bool past;
};

// The persistent state besides the log (paper figure 2); term and vote are always written together.
struct raft_hard_state {
    raft_term current_term;
    struct raft_id voted_for;  // in current_term; len 0: none
};

struct raft_config {
    struct raft_id id;  // this node
    // The configuration of the snapshot that the node starts from, and the index of its entry; without a snapshot empty, and
    // 0. Later configuration entries of the log take its place. A node that finds none follows whatever leader contacts it.
    struct raft_configuration configuration;
    raft_index configuration_index;
    // Reads the command of a configuration entry: of the log, of a leader's message, or proposed. The same bytes must always
    // give the same members. False: they cannot be read. A leader's message with such an entry is refused, a proposal, too.
    bool (*decode_configuration)(void *user, struct slice command, struct raft_configuration *out);
    void *user;
    uint64_t seed;  // of the generator for election timeouts
    uint64_t election_timeout_min_us;
    uint64_t election_timeout_max_us;  // each timeout is drawn uniformly from [min, max]
    uint64_t heartbeat_interval_us;    // 2 * heartbeat <= election_timeout_min
    uint64_t quorum_timeout_us;        // CheckQuorum, see QUORUM_TIMEOUT_US; 2 * heartbeat <= quorum_timeout
    // Promises leases to leaders, and as the leader serves reads under those of a majority: see lease.c. Members may differ.
    bool lease_reads;
    bool may_have_promised;  // a lease, in an earlier life: no vote for LEASE_US from the start on
};

// --- messages ---

enum raft_message_type {
    RAFT_REQUEST_VOTE,  // or a PreVote: request_vote.pre_vote
    RAFT_REQUEST_VOTE_REPLY,
    RAFT_APPEND_ENTRIES,
    RAFT_APPEND_ENTRIES_REPLY,
    RAFT_TIMEOUT_NOW,
    RAFT_TIMEOUT_NOW_REPLY,
    RAFT_INSTALL_SNAPSHOT,  // a chunk of a snapshot; see raft_snapshot_request
    RAFT_INSTALL_SNAPSHOT_REPLY,
};

// Which of the two connections to a peer a message takes: control is never queued behind bulk data.
enum raft_lane { RAFT_CONTROL, RAFT_BULK };

struct raft_message {
    enum raft_message_type type;
    enum raft_lane lane;  // bulk for InstallSnapshot, and for AppendEntries with entries except a copy of one that is stuck
                          // there; control for all else. A reply takes the connection of its request.
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
            uint64_t promised_us;       // from the request on the sender votes for no other; 0: it promises nothing
        } append_reply;
        // What the core knows of a chunk (paper figure 13). Its bytes, and where in the snapshot they are, are the caller's.
        struct {
            struct raft_id leader_id;
            struct raft_entry_id last;  // the last entry that the snapshot covers
        } snapshot;
        struct {
            bool accepted;           // the sender leads the term: store the chunk, unless done
            bool done;               // no chunk is needed (any more): all that the snapshot covers is committed and durable
            raft_index match_index;  // if done: what the snapshot covers
        } snapshot_reply;
    };
};

// Whether a message of send_after_persist may leave: all writes up to `durable_write` are durable, and the hard states of
// all writes up to `durable_hard_state_write` (on a full disk, hard state is written ahead of entries that wait).
//
// An AppendEntries reply that acknowledges entries that were not durable when it was made (claims_entries) waits for the
// whole write, and so does an InstallSnapshot reply that says `done`. Everything else waits for the write's hard state only:
// RequestVote, its reply, TimeoutNow's reply, and AppendEntries replies that reject, or that acknowledge no more than was
// durable when they were made.
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
    // Another member was reached. A node that has only just started, and has neither heard of a leader nor voted since,
    // requests pre-votes at once: where all nodes start together, no leader is there to be waited for. If one is, its
    // followers do not grant them.
    RAFT_EVENT_MET,
    RAFT_EVENT_PROPOSE,    // append these entries, if leader
    RAFT_EVENT_READ,       // a linearizable read needs a read index
    RAFT_EVENT_PERSISTED,  // everything up to a write is durable
    RAFT_EVENT_APPLIED,    // the state machine has applied up to an index
    // Entries up to an index may be dropped: a durable snapshot covers them. The caller decides how far, and thereby how
    // many stay for followers that lag. Entries that are not applied, or not durable here, stay in any case.
    RAFT_EVENT_COMPACT,
    // A snapshot that came by InstallSnapshot is whole, durable and loaded, but not in use yet: see raft_update.installed.
    // The leader learns of it by the reply to a request that the core gets after this: to the one with the last chunk, if
    // the caller holds that back until now, or to a later one.
    RAFT_EVENT_SNAPSHOT_INSTALLED,
    RAFT_EVENT_TRANSFER,  // transfer leadership to a node
    RAFT_EVENT_STORAGE,   // the disk is full, or no longer so
    // This node may never lead again, though its log is sound: it votes, and acknowledges entries, but does not campaign. A
    // leader takes no more reads and proposals, and steps down: at once, or when a transfer has ended.
    RAFT_EVENT_RESIGN,
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
        raft_index compact_index;
        struct {
            struct raft_entry_id last;  // the last entry that it covers
            // In force there, at least one voter; borrowed until raft_step returns.
            const struct raft_configuration *configuration;
            raft_index configuration_index;
        } snapshot;
        struct {
            struct raft_id target;  // len 0: the most up-to-date voter of those that have answered lately
        } transfer;
        enum raft_storage storage;
        struct {
            bool hand_over;         // a leader begins a transfer first, unless one is running
            struct raft_id target;  // as of a transfer
        } resign;
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
    RAFT_BEHIND,        // the transfer's target needs a snapshot first, or its disk has lost entries
    // Of a proposal with a configuration entry:
    RAFT_NOT_ESTABLISHED,  // this leader has not committed an entry of its own term yet: another leader's change may be
                           // neither committed nor given up
    RAFT_CHANGE_PENDING,   // the configuration in force is not committed yet
    RAFT_UNSAFE_CHANGE,    // it is not alone, cannot be read, has no voter, or differs by more than one voter
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
    // index > 0: the log on disk starts anew after this entry, the last one that the installed snapshot covers, and holds
    // nothing of what it was (paper figure 13, rule 7). Always with the hard state. After a crash before this is durable,
    // recovery finds the snapshot and a log that does not hold `reset`, and starts the log after it.
    struct raft_entry_id reset;
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

// What an election came from, for who asks why there was one. Nothing depends on a note.
enum raft_note_kind {
    RAFT_NOTE_TIMEOUT,      // the election timeout passed: `peer` led, as far as is known; `us`: the timeout that was drawn
    RAFT_NOTE_LEADER_LOST,  // the connection to the leader, `peer`, broke
    RAFT_NOTE_ASKED,        // the votes, or pre-votes, of all voters
    RAFT_NOTE_DEFERRED,     // the answer to a pre-vote of `peer` waits, for `reason`
    RAFT_NOTE_ANSWERED,     // a request of `peer` was granted, or not, for `reason`
    RAFT_NOTE_GRANTED,      // `peer` has granted this node's request
    RAFT_NOTE_REFUSED,      // `peer` has refused it; only `peer` knows why
    RAFT_NOTE_UNHEARD,      // by a leader that steps down: `peer`, a voter, for `us`; 0: ever since it was elected
};

struct raft_note {
    enum raft_note_kind kind;
    struct raft_id peer;
    raft_term term;  // after what is noted; of RAFT_NOTE_ASKED with `pre_vote`, the term before the one that is sought
    bool pre_vote;
    bool granted;        // of RAFT_NOTE_ANSWERED
    const char *reason;  // NULL: none; a static string
    uint64_t us;
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

    // index > 0: the snapshot of RAFT_EVENT_SNAPSHOT_INSTALLED takes the place of the applied state now, and applying goes
    // on after it. Otherwise, after that event, the state needs no snapshot any more, and the caller drops it: an older
    // snapshot is never installed.
    struct raft_entry_id installed;

    const struct raft_proposed *proposed;
    size_t proposed_count;
    const struct raft_read *reads;
    size_t read_count;
    const struct raft_transition *transitions;
    size_t transition_count;
    const struct raft_note *notes;
    size_t note_count;

    bool leader_changed;                  // raft_leader() differs from what it was after the previous step
    bool configuration_changed;           // another configuration is in force: see raft_configuration, raft_may_contact
    bool removed;                         // this node was a member once, and the committed configuration is without it
    bool peer_forgot;                     // a peer was found to have lost entries: see raft_progress
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
// and entry 1 of term 1, the configuration. The caller has checked: indices are consecutive, terms never decrease, those of
// entries do not exceed hard_state.current_term, and base.index <= applied <= the last index. The base's term may exceed it,
// if a crash came between an installed snapshot and the write with its term: the core then adopts the term.
struct raft_restored {
    struct raft_hard_state hard_state;
    struct raft_entry_id base;    // the entry before the first one here; {0, 0}: the log starts at 1
    struct raft_entry **entries;  // from base.index + 1 on; one reference each, which the core takes
    size_t count;
    raft_index applied;  // by the state machine as it starts: the snapshot's index, 0 without one. Entries up to it that are
                         // here, too, are for followers that lag
};

// NULL if a configuration entry of the log cannot be read (of which decode_configuration knows), or makes no sense. The
// relations stated in raft_config must hold (the caller has checked its flags). The node starts as a follower with a full
// election timeout from `now_us` on. `slab` must outlive the node.
struct raft_node *raft_new(const struct raft_config *config, struct raft_slab *slab, const struct raft_restored *restored,
                           uint64_t now_us);
void raft_free(struct raft_node *node);

// `now_us`: monotonic, never less than in the previous step, and read after the events came: a lease that holds then makes
// their reads current. It goes on while the machine is suspended. Cannot fail: if the core runs out of memory for itself it
// ends the process rather than go on from half a step.
void raft_step(struct raft_node *node, uint64_t now_us, struct raft_event *events, size_t count, struct raft_update *update);

// The node's present state. Pointers are valid until the next raft_step.
enum raft_state raft_state(const struct raft_node *node);
raft_term raft_current_term(const struct raft_node *node);
const struct raft_id *raft_leader(const struct raft_node *node);  // len 0: none known
raft_index raft_commit_index(const struct raft_node *node);
struct raft_entry_id raft_last_log(const struct raft_node *node);
struct raft_entry_id raft_base(const struct raft_node *node);

// The configuration in force, and the index of its entry (which is committed if commit_index has reached it). Borrowed until
// the next raft_step.
const struct raft_configuration *raft_configuration(const struct raft_node *node, raft_index *index);

// Whether the core may have something to send to this node: a member, or one that was removed and has not heard of it yet.
bool raft_may_contact(const struct raft_node *node, const struct raft_id *id);

// Whether this node leads and has committed an entry of its own term (its no-op), so that its commit index is current.
bool raft_leader_is_established(const struct raft_node *node);

// The request for the next chunk of a snapshot to a peer, for the caller to add the chunk and send; on the leader, after
// raft_progress has said that the peer needs a snapshot. False: this node does not lead, or the peer needs none (any more).
// `last`: what the snapshot covers, at least raft_base. The reply comes back by RAFT_EVENT_MESSAGE; one that was lost, by
// RAFT_EVENT_SEND_FAILED, or not at all. When one says `done`, or a heartbeat has found out, replication goes on behind the
// snapshot: the caller keeps those entries meanwhile, or the peer needs the next snapshot at once.
bool raft_snapshot_request(struct raft_node *node, const struct raft_id *peer, struct raft_entry_id last,
                           struct raft_message *out);

// The entry at an index, borrowed; NULL outside (base, last].
struct raft_entry *raft_entry_at(const struct raft_node *node, raft_index index);

struct raft_progress {
    struct raft_id id;
    bool voter;
    raft_index match_index;  // on the leader; 0 elsewhere, and of a peer that forgot
    raft_index next_index;
    bool needs_snapshot;     // the entry at next_index was dropped: until it has a snapshot it is sent heartbeats only
    uint64_t inflight;       // AppendEntries in flight
    uint64_t last_heard_us;  // send time of the latest request it has answered; 0: none
    // index > 0: the peer lacks this entry although it had acknowledged it to this leader as durable, so its disk was set
    // back or has lost writes, and its votes may be lost, too. It counts for nothing and is sent heartbeats only until this
    // node leads no more; the caller sees to it that it stops. term 0: the entry is compacted here.
    struct raft_entry_id forgot;
};

// All members but this one, in id order; returns how many (at most MEMBERS_MAX).
size_t raft_progress(const struct raft_node *node, struct raft_progress out[MEMBERS_MAX]);

// For tests: checks the invariants of one node, and of its change since the last call (LogCabin's idea). Returns NULL, or
// the invariant that is violated.
const char *raft_check_invariants(struct raft_node *node);

#endif
