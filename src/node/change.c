// Changes of members for operators: node_change_members of node/verb.h.
#include "node/internal.h"
#include "node/leadership.h"
#include "node/lost_entries.h"
#include "node/membership.h"

static void describe_world(const struct node *node, struct change_world *world) {
    const struct wire_configuration *configuration = &node->configuration;
    *world = (struct change_world){
        .count = configuration->count,
        .removed = configuration->removed,
        .removed_count = configuration->removed_count,
        .established = raft_leader_is_established(node->raft),
        .pending = configuration->index > raft_commit_index(node->raft),
        .caught_up = node->placement.commit_before,
        .level = state_level(node->state),
    };
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        const struct peer_view *view = peers_view(node->peers, &member->id);
        struct change_member *out = &world->members[i];
        *out = (struct change_member){
            .id = member->id,
            .address = slice_of_str(member->address),
            .voter = member->voter,
            .match_index = node_match_index(node, &member->id),
            .level = view == NULL ? 0 : view->level,
        };
        bool counts = view != NULL && view->reachable && !lost_entries_of(node, &member->id);
        out->reachable = raft_id_equal(&member->id, node_id(node)) || counts;
        memcpy(out->cloud, member->cloud, sizeof out->cloud);
    }
}

static const enum outcome outcomes[] = {
    [CHANGE_NOT_ESTABLISHED] = OUTCOME_NOT_READY,
    [CHANGE_PENDING] = OUTCOME_CHANGE_PENDING,
    [CHANGE_WAS_REMOVED] = OUTCOME_WAS_REMOVED,
    [CHANGE_IS_MEMBER] = OUTCOME_IS_MEMBER,
    [CHANGE_IS_VOTER] = OUTCOME_IS_VOTER,
    [CHANGE_NO_MEMBER] = OUTCOME_NO_SUCH_MEMBER,
    [CHANGE_ADDRESS_TAKEN] = OUTCOME_ADDRESS_TAKEN,
    [CHANGE_TOO_MANY] = OUTCOME_TOO_MANY_MEMBERS,
    [CHANGE_TOO_MANY_REMOVED] = OUTCOME_TOO_MANY_REMOVED,
    [CHANGE_BEHIND] = OUTCOME_LEARNER_BEHIND,
    [CHANGE_TOO_OLD] = OUTCOME_LEARNER_TOO_OLD,
    [CHANGE_NO_MAJORITY] = OUTCOME_NO_MAJORITY_LEFT,
};

static void refuse(struct node *node, struct rpc_call call, enum change_refusal refusal, const struct change *change,
                   const struct change_world *world, const struct change_effect *effect) {
    struct outcome_facts facts = {.name = raft_id_slice(&change->id), .address = change->address};
    if (refusal == CHANGE_ADDRESS_TAKEN) {
        facts.name = raft_id_slice(&effect->other->id);
    } else if (refusal == CHANGE_TOO_MANY || refusal == CHANGE_TOO_MANY_REMOVED) {
        facts.limit = refusal == CHANGE_TOO_MANY ? MEMBERS_MAX : REMOVED_MAX;
    } else if (refusal == CHANGE_BEHIND) {
        facts.number = node_match_index(node, &change->id);
        facts.limit = world->caught_up == UINT64_MAX ? raft_commit_index(node->raft) : world->caught_up;
    } else if (refusal == CHANGE_TOO_OLD) {
        facts.number = peers_view(node->peers, &change->id)->level;
        facts.limit = world->level;
    } else if (refusal == CHANGE_NO_MAJORITY) {
        facts.number = effect->reachable;
        facts.limit = effect->voters;
    }
    node_tell(node, call, outcomes[refusal], &facts);
}

// --- the next configuration ---

static void insert(struct wire_configuration *next, const struct change *change, struct slice cloud) {
    size_t at = next->count++;
    for (; at > 0 && raft_id_compare(&next->members[at - 1].id, &change->id) > 0; at--) {
        next->members[at] = next->members[at - 1];
    }
    next->members[at] = (struct wire_member){.id = change->id};
    memcpy(next->members[at].address, change->address.data, change->address.len);
    memcpy(next->members[at].cloud, cloud.data, cloud.len);
}

static void apply(struct wire_configuration *next, const struct change *change, struct slice cloud) {
    if (change->kind == CHANGE_ADD) {
        insert(next, change, cloud);
        return;
    }
    size_t at = 0;
    while (!raft_id_equal(&next->members[at].id, &change->id)) {
        at++;
    }
    struct wire_member *member = &next->members[at];
    if (change->kind == CHANGE_PROMOTE) {
        member->voter = true;
    } else if (change->kind == CHANGE_UPDATE) {
        memset(member->address, 0, sizeof member->address);
        memcpy(member->address, change->address.data, change->address.len);
    } else {
        next->count--;
        memmove(member, member + 1, (next->count - at) * sizeof *member);
        next->removed[next->removed_count++] = change->id;
    }
}

// --- answers ---

// What a write costs with these members; 0: unknown, or nothing.
static double write_ms(const struct node *node, const struct wire_configuration *configuration) {
    bool votes[PLACEMENT_MEMBERS_MAX] = {false};
    for (size_t i = 0; i < node->placement.count; i++) {
        const struct wire_member *member = wire_configuration_member(configuration, &node->placement.states[i].member.id);
        votes[i] = member != NULL && member->voter;
    }
    double ms = placement_commit_ms_with(&node->placement, node_clock_us(), votes);
    return ms > 0 ? ms : 0;
}

// The effect of having this configuration. The responses of all four calls hold it and nothing else, so that one stands for
// all.
static void answer(struct node *node, struct rpc_call call, const struct change_effect *effect,
                   const struct wire_configuration *configuration) {
    struct slice lost[MEMBERS_MAX];
    for (size_t i = 0; i < effect->lost_count; i++) {
        lost[i] = slice_of_str(effect->lost[i]);
    }
    struct pb_member_effect told = {
        .voters = (uint32_t)effect->voters,
        .reachable = (uint32_t)effect->reachable,
        .may_fail = (uint32_t)effect->may_fail,
        .clouds_that_may_be_lost = lost,
        .clouds_that_may_be_lost_count = effect->lost_count,
        .write_ms = write_ms(node, configuration),
    };
    struct pb_member_add_response response = {.has_effect = true, .effect = told};
    node_reply(node, call, &pb_control_service_member_add, &response);
}

// Nothing is changed: the effect is that of keeping all as it is.
static void changed(struct node *node, struct rpc_call call, enum membership_outcome outcome, enum raft_refusal refusal) {
    struct change_world world;
    struct change_effect effect;
    if (outcome == MEMBERSHIP_DONE) {
        describe_world(node, &world);
        change_check(&world, &(struct change){.kind = CHANGE_UPDATE, .id = *node_id(node)}, &effect);
        answer(node, call, &effect, &node->configuration);
    } else if (outcome == MEMBERSHIP_LOST) {
        node_tell(node, call, OUTCOME_UNKNOWN_CHANGE, NULL);
    } else if (refusal == RAFT_NOT_LEADER) {
        node_redirect(node, call);
    } else {
        node_tell(node, call, refusal == RAFT_TRANSFERRING ? OUTCOME_TRANSFERRING : OUTCOME_CHANGE_PENDING, NULL);
    }
}

// The leader that is to be removed has handed leadership over: its successor does it.
static void handed_over(struct node *node, struct rpc_call call, enum raft_transfer_outcome outcome,
                        enum raft_refusal refusal) {
    (void)refusal;
    if (outcome == RAFT_TRANSFER_DONE) {
        node_redirect(node, call);
    } else {
        node_tell(node, call, OUTCOME_TRANSFER_FAILED, NULL);
    }
}

// A member that could not read the changed configuration, other than one that leaves by it.
static const struct raft_id *find_old(const struct node *node, const struct change *change) {
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct raft_id *id = &node->configuration.members[i].id;
        bool leaves = change->kind == CHANGE_REMOVE && raft_id_equal(id, &change->id);
        if (membership_is_old(node, id) && !leaves) {
            return id;
        }
    }
    return NULL;
}

void node_change_members(struct node *node, struct rpc_call call, const struct change *change, struct slice cloud,
                         bool dry_run) {
    struct change_world world;
    struct change_effect effect;
    describe_world(node, &world);
    enum change_refusal refusal = change_check(&world, change, &effect);
    const struct raft_id *old = find_old(node, change);
    struct wire_configuration next = node->configuration;
    if (refusal != CHANGE_ALLOWED) {
        refuse(node, call, refusal, change, &world, &effect);
        return;
    }
    apply(&next, change, cloud);
    if (old != NULL) {
        node_tell(node, call, OUTCOME_MEMBER_TOO_OLD, &(struct outcome_facts){.name = raft_id_slice(old)});
    } else if (dry_run) {
        answer(node, call, &effect, &next);
    } else if (change->kind == CHANGE_REMOVE && raft_id_equal(&change->id, node_id(node))) {
        static const struct raft_id any;
        const struct raft_id *successor = placement_successor(&node->placement, node_clock_us());
        node_transfer_leadership(node, successor != NULL ? successor : &any, call, handed_over);
    } else if (!membership_change(node, &next, call, changed)) {
        node_tell(node, call, OUTCOME_CHANGE_PENDING, NULL);
    }
}
