// Where the leader serves best: pure, with the time as an argument. Every node feeds it with what it and the other members
// say of themselves once a second; on the leader it says whom to hand leadership to, and why, or why not.
//
// A write is committed when the nearest majority has it, so what a member is worth as a leader is its round trip to its
// nearest majority: the estimate. The leader hands over to a voter
//   - whose estimate, with the spread of its links added, is at most half of the leader's own, and
//     PLACEMENT_GAIN_MIN_MS less: within one machine room nothing moves. Of the leader's own round trips only that part
//     counts in which it had nothing else to do: a leader under load must not take itself for far away from everybody;
//   - for PLACEMENT_WATCH_US without a break;
//   - which all that time was fit: it has answered lately; the link to it stands and does not flap; it has all that was
//     committed a second ago; its disk has space and is not slow.
// A link that was lost PLACEMENT_LOSSES_MAX times within a minute flaps: it counts for nobody's majority either.
// With a preferred cloud, a leader outside hands over to the fit voter inside that commits fastest, whatever the gain, and
// one inside never hands over to a voter outside.
//
// There are at least PLACEMENT_COOLDOWN_US between two attempts, and none within PLACEMENT_PAUSE_US of a transfer that an
// operator asked for. Neither is worth a log entry: every member tells the others, which ask it once a second, how much is
// left and in which term it began, and all keep what is newest. So the next leader knows in time, even if the last one has
// gone, and a restarted node learns it again. See placement_until for why it ends though everybody passes it on.
#ifndef BATON_POLICY_PLACEMENT_H
#define BATON_POLICY_PLACEMENT_H

#include "raft/raft.h"

#define PLACEMENT_WATCH_US      (5 * US_PER_S)
#define PLACEMENT_COOLDOWN_US   (30 * US_PER_S)
#define PLACEMENT_PAUSE_US      (600 * US_PER_S)
#define PLACEMENT_FRESH_US      (3 * US_PER_S)  // a report's age: three questions without an answer
#define PLACEMENT_BEHIND_US     (1 * US_PER_S)
#define PLACEMENT_HOLD_SLACK_US (1 * US_PER_S)  // longer than two answers take
#define PLACEMENT_GAIN_MIN_MS   2.0

// A disk is slow if a sync takes longer than this and than twice the leader's own.
#define PLACEMENT_SLOW_SYNC_MS 20.0

enum { PLACEMENT_LOSSES_MAX = 3, PLACEMENT_GAIN_TEXT_MAX = ID_MAX + 128, PLACEMENT_TEXT_MAX = ID_MAX + 224 };

struct placement_member {
    struct raft_id id;
    char cloud[8];
    bool voter;
};

// From one member to another.
struct placement_link {
    double rtt_ms;    // 0: the other does not answer, or was never measured
    double least_ms;  // what of it is surely not due to the process that measured; 0: not known, all of it
    double spread_ms;
    uint32_t losses;  // within the last minute
};

// A pause or a cooldown, as it is passed on.
struct placement_hold {
    raft_term term;    // in which it began
    uint64_t left_us;  // 0: it is over
};

// What a member says of itself.
struct placement_report {
    struct placement_link links[MEMBERS_MAX];  // to all members, in their order; to itself all zero
    bool disk_full;
    double disk_sync_ms;  // 0: nothing was synced yet
    struct placement_hold pause;
    struct placement_hold cooldown;
};

// What this node remembers of one. What it is told replaces it only if it began in a later term, or in the same and has
// PLACEMENT_HOLD_SLACK_US more left than is left here. Being told takes time, by which the copies of one hold differ;
// without the slack each round of telling would prolong all of them.
struct placement_until {
    raft_term term;
    uint64_t us;  // 0: never
};

struct placement_seat {
    struct placement_member member;
    struct placement_report report;
    uint64_t heard_us;         // when it was reported; 0: never
    raft_index match_index;    // on the leader
    uint64_t better_since_us;  // since when it would be the better leader; 0: it would not
};

struct placement {
    bool on;
    char leader_cloud[8];  // "": none is preferred
    struct placement_seat seats[MEMBERS_MAX];
    size_t count;
    size_t self;
    bool leading;
    // The commit index of about a second ago; UINT64_MAX: not known yet.
    raft_index commit_before;
    raft_index commit_noted;
    uint64_t commit_noted_us;
    raft_term term;  // in which it leads
    struct placement_until pause;
    struct placement_until cooldown;
    // For people.
    char verdict[PLACEMENT_TEXT_MAX];  // what placement_decide said last
    uint64_t moved_us;                 // this node's last attempt; 0: none
    struct raft_id moved_to;
    char moved_why[PLACEMENT_GAIN_TEXT_MAX];
};

// `members` in id order, this node at `self`. `leader_cloud` "": none is preferred.
void placement_init(struct placement *placement, bool on, const char *leader_cloud, const struct placement_member *members,
                    size_t count, size_t self);

// The member has said how it is; also this node itself. Numbers from outside may be anything.
void placement_heard(struct placement *placement, uint64_t now_us, size_t member, const struct placement_report *report);

// Whether this node leads and may hand over, and in which term. Each leadership watches anew.
void placement_lead(struct placement *placement, raft_term term, bool leading);

// How far the log is: `match_index` by member. Before placement_decide, while leading.
void placement_progress(struct placement *placement, uint64_t now_us, raft_index commit_index,
                        const raft_index match_index[MEMBERS_MAX]);

// Whom to hand over to now; NULL: nobody. The attempt counts as made. Either way `verdict` says why.
const struct raft_id *placement_decide(struct placement *placement, uint64_t now_us);

// An operator has asked this leader for a transfer.
void placement_pause(struct placement *placement, uint64_t now_us, raft_term term);

// Whom to hand over to when this leader leaves: of the fit voters one in the preferred cloud, or else in this node's own;
// among these the one that commits fastest. NULL: nobody is known to be fit.
const struct raft_id *placement_successor(const struct placement *placement, uint64_t now_us);

// The estimate: how long a commit takes if this member leads, without its disk; negative: not known.
double placement_commit_ms(const struct placement *placement, uint64_t now_us, size_t member);

// What is left, for the other members and for people.
struct placement_hold placement_pause_left(const struct placement *placement, uint64_t now_us);
struct placement_hold placement_cooldown_left(const struct placement *placement, uint64_t now_us);

#endif
