// Which voter should lead: pure, with the time as an argument. Every node feeds it once a second with what it and the other
// members report; on the leader it decides whether to transfer leadership, to which voter, and why.
//
// A write commits when the nearest majority has it, so a member is worth as a leader what its round trip to its nearest
// majority takes: the commit estimate. The leader transfers leadership to a voter
//   - whose estimate, plus the spread of its links, is at most half the leader's own and at least PLACEMENT_GAIN_MIN_MS
//     less, so that nothing moves within one data centre. Of the leader's own round trips only the part counts in which
//     its loop was idle: load must not make it look distant;
//   - for PLACEMENT_WATCH_US without interruption;
//   - that was fit all that time: it has reported lately, its link to the leader is up and does not flap, it has everything
//     committed a second ago, its disk has space and is not slow.
// A link that was lost PLACEMENT_LOSSES_MAX times within a minute flaps, and counts towards no majority.
// With a preferred cloud, a leader outside it transfers leadership to the fastest fit voter inside, whatever the gain, and a
// leader inside never transfers it to a voter outside.
//
// Two attempts are at least PLACEMENT_COOLDOWN_US apart, and none is made within PLACEMENT_PAUSE_US of an operator's
// transfer. Neither timer is worth a log entry: each member reports what is left of it and the term in which it began, and
// all adopt the newest. So the next leader knows it even if the last one is gone, and a restarted node learns it again.
// placement_timer says why reports cannot prolong it for ever.
#ifndef BATON_POLICY_PLACEMENT_H
#define BATON_POLICY_PLACEMENT_H

#include "raft/raft.h"

#define PLACEMENT_WATCH_US       (5 * US_PER_S)
#define PLACEMENT_COOLDOWN_US    (30 * US_PER_S)
#define PLACEMENT_PAUSE_US       (600 * US_PER_S)
#define PLACEMENT_FRESH_US       (3 * US_PER_S)  // the age of a usable report: three were missed
#define PLACEMENT_CAUGHT_UP_US   (1 * US_PER_S)
#define PLACEMENT_RENEWAL_MIN_US (1 * US_PER_S)  // longer than a report takes to be relayed
#define PLACEMENT_GAIN_MIN_MS    2.0

// A disk is slow if a sync takes longer than this and than twice the leader's own.
#define PLACEMENT_SLOW_SYNC_MS 20.0

// The members, and this node while it is none.
enum { PLACEMENT_MEMBERS_MAX = MEMBERS_MAX + 1 };

enum { PLACEMENT_LOSSES_MAX = 3, PLACEMENT_GAIN_TEXT_MAX = ID_MAX + 128, PLACEMENT_TEXT_MAX = ID_MAX + 224 };

struct placement_member {
    struct raft_id id;
    char cloud[CLOUD_MAX + 1];
    bool voter;
};

// One member's link to another.
struct placement_link {
    double rtt_ms;    // 0: unknown, as while the other does not answer
    double least_ms;  // the part in which the measuring process was idle; 0: unknown, and all of it counts
    double spread_ms;
    uint32_t losses;  // within the last minute
};

// A pause or cooldown as it is reported.
struct placement_suspension {
    raft_term term;    // in which it began
    uint64_t left_us;  // 0: it is over
};

// What a member reports of itself.
struct placement_report {
    struct placement_link links[PLACEMENT_MEMBERS_MAX];  // to all members, in their order; its own is zero
    bool disk_full;
    bool quarantined;     // it cannot lead
    double disk_sync_ms;  // 0: unknown
    struct placement_suspension pause;
    struct placement_suspension cooldown;
};

// A pause or cooldown as this node knows it. A report replaces it only if it names a later term, or the same term and
// more than PLACEMENT_RENEWAL_MIN_US beyond what is left here: reports arrive late, so copies of one timer differ a little,
// and without that minimum each round of reports would prolong all of them.
struct placement_timer {
    raft_term term;
    uint64_t deadline_us;  // 0: never set
};

struct placement_member_state {
    struct placement_member member;
    struct placement_report report;
    uint64_t heard_us;         // when it last reported; 0: never
    raft_index match_index;    // as this leader knows it
    uint64_t better_since_us;  // since when it has been the better leader; 0: it is not
};

struct placement {
    bool on;
    char leader_cloud[CLOUD_MAX + 1];  // preferred; "": none
    struct placement_member_state states[PLACEMENT_MEMBERS_MAX];
    size_t count;
    size_t self;
    bool leading;
    raft_term term;  // in which it leads
    // The commit index of about a second ago; UINT64_MAX: not known yet.
    raft_index commit_before;
    // The latest sample, which becomes commit_before after PLACEMENT_CAUGHT_UP_US.
    raft_index commit_noted;
    uint64_t commit_noted_us;
    struct placement_timer pause;
    struct placement_timer cooldown;
    // For operators.
    char verdict[PLACEMENT_TEXT_MAX];  // of the last placement_decide
    uint64_t moved_us;                 // this node's last attempt; 0: none
    struct raft_id moved_to;
    char moved_why[PLACEMENT_GAIN_TEXT_MAX];
};

// `members` in id order, this node at `self`; behind them, as no voter, while it is none. `leader_cloud`: "" for no
// preference.
void placement_init(struct placement *placement, bool on, const char *leader_cloud, const struct placement_member *members,
                    size_t count, size_t self);

// Other members: what is known of those that stay is kept.
void placement_follow(struct placement *placement, const struct placement_member *members, size_t count, size_t self);

// A report of a member, this node included. Its numbers may be anything: they come from outside.
void placement_heard(struct placement *placement, uint64_t now_us, size_t member, const struct placement_report *report);

// Whether this node leads and may transfer leadership, and its term. A new leadership begins to watch from scratch.
void placement_lead(struct placement *placement, raft_term term, bool leading);

// The commit index, and each member's match index. Before placement_decide, while leading.
void placement_progress(struct placement *placement, uint64_t now_us, raft_index commit_index,
                        const raft_index match_index[PLACEMENT_MEMBERS_MAX]);

// The voter to transfer leadership to now, which counts as an attempt; NULL: none. `verdict` says why in either case.
const struct raft_id *placement_decide(struct placement *placement, uint64_t now_us);

// An operator has asked this leader for a transfer.
void placement_pause(struct placement *placement, uint64_t now_us, raft_term term);

// The voter to transfer leadership to when this leader stops: a fit one in the preferred cloud, or else in this node's own;
// of several, the one that commits fastest. NULL: none is known to be fit.
const struct raft_id *placement_successor(const struct placement *placement, uint64_t now_us);

// The commit estimate: how long a commit takes if this member leads, its disk left out; negative: unknown (0: a sole
// voter's).
double placement_commit_ms(const struct placement *placement, uint64_t now_us, size_t member);

// What a commit takes if these members vote, once leadership is where it will be then: with this leader if it votes, or
// else with its successor, or where placement moves it from there. Negative: unknown.
double placement_commit_ms_with(const struct placement *placement, uint64_t now_us, const bool votes[PLACEMENT_MEMBERS_MAX]);

// What is left of each timer.
struct placement_suspension placement_pause_left(const struct placement *placement, uint64_t now_us);
struct placement_suspension placement_cooldown_left(const struct placement *placement, uint64_t now_us);

#endif
