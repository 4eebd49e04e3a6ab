// Which changes of members are allowed, and what they lead to: pure. The core keeps every change safe; these rules keep
// operators from changes that would cost them the majority that works.
#ifndef BATON_POLICY_MEMBERSHIP_H
#define BATON_POLICY_MEMBERSHIP_H

#include "raft/raft.h"

enum change_kind { CHANGE_ADD, CHANGE_PROMOTE, CHANGE_REMOVE, CHANGE_UPDATE };

struct change {
    enum change_kind kind;
    struct raft_id id;
    struct slice address;  // of CHANGE_ADD and CHANGE_UPDATE
};

struct change_member {
    struct raft_id id;
    struct slice address;
    char cloud[CLOUD_MAX + 1];
    bool voter;
    bool reachable;          // now; the leader reaches itself
    raft_index match_index;  // as the leader knows it
    uint32_t level;          // the highest that it reads, as it told last; 0: unknown
};

// What the leader knows when it is asked for a change.
struct change_world {
    struct change_member members[MEMBERS_MAX];
    size_t count;
    const struct raft_id *removed;  // ids that were members once
    size_t removed_count;
    bool established;      // the leader has committed an entry of its own term
    bool pending;          // a change is under way
    uint32_t level;        // the cluster's
    raft_index caught_up;  // who has this index has caught up: the commit index of a second ago; UINT64_MAX: not known yet
};

enum change_refusal {
    CHANGE_ALLOWED,
    CHANGE_NOT_ESTABLISHED,
    CHANGE_PENDING,
    CHANGE_WAS_REMOVED,  // the id was a member once
    CHANGE_IS_MEMBER,
    CHANGE_IS_VOTER,
    CHANGE_NO_MEMBER,
    CHANGE_ADDRESS_TAKEN,  // by `other`
    CHANGE_TOO_MANY,       // MEMBERS_MAX
    CHANGE_TOO_MANY_REMOVED,
    CHANGE_BEHIND,       // the learner has not caught up
    CHANGE_TOO_OLD,      // the learner reads a level below the cluster's
    CHANGE_NO_MAJORITY,  // fewer voters than a majority would be reachable
};

// What is so after the change.
struct change_effect {
    size_t voters;
    size_t reachable;               // of these
    size_t may_fail;                // voters that may still fail
    const char *lost[MEMBERS_MAX];  // clouds, each of which may be lost alone; in the members' order
    size_t lost_count;
    const struct change_member *other;  // see CHANGE_ADDRESS_TAKEN
};

// *effect is set if the change is allowed, or refused with CHANGE_NO_MAJORITY. It borrows from `world`.
enum change_refusal change_check(const struct change_world *world, const struct change *change,
                                 struct change_effect *effect);

#endif
