// The rules of policy/membership.h.
#include "policy/membership.h"

#include <string.h>

static const struct change_member *find(const struct change_world *world, const struct raft_id *id) {
    for (size_t i = 0; i < world->count; i++) {
        if (raft_id_equal(&world->members[i].id, id)) {
            return &world->members[i];
        }
    }
    return NULL;
}

static bool was_removed(const struct change_world *world, const struct raft_id *id) {
    for (size_t i = 0; i < world->removed_count; i++) {
        if (raft_id_equal(&world->removed[i], id)) {
            return true;
        }
    }
    return false;
}

static const struct change_member *address_owner(const struct change_world *world, const struct change *change) {
    for (size_t i = 0; i < world->count; i++) {
        const struct change_member *member = &world->members[i];
        if (slice_equal(member->address, change->address) && !raft_id_equal(&member->id, &change->id)) {
            return member;
        }
    }
    return NULL;
}

// Whether the member votes after the change.
static bool will_vote(const struct change_member *member, const struct change *change) {
    bool concerned = raft_id_equal(&member->id, &change->id);
    return concerned && change->kind == CHANGE_REMOVE    ? false
           : concerned && change->kind == CHANGE_PROMOTE ? true
                                                         : member->voter;
}

static size_t majority(size_t voters) {
    return voters / 2 + 1;
}

// Clouds without whose voters the others that are reachable are a majority still.
static void find_losses(const struct change_world *world, const struct change *change, struct change_effect *effect) {
    for (size_t i = 0; i < world->count; i++) {
        const char *cloud = world->members[i].cloud;
        size_t outside = 0;
        bool told = !will_vote(&world->members[i], change);
        for (size_t k = 0; k < world->count; k++) {
            const struct change_member *member = &world->members[k];
            bool inside = strcmp(member->cloud, cloud) == 0;
            told = told || (k < i && inside && will_vote(member, change));
            outside += !inside && member->reachable && will_vote(member, change);
        }
        if (!told && outside >= majority(effect->voters)) {
            effect->lost[effect->lost_count++] = cloud;
        }
    }
}

static void find_effect(const struct change_world *world, const struct change *change, struct change_effect *effect) {
    for (size_t i = 0; i < world->count; i++) {
        bool votes = will_vote(&world->members[i], change);
        effect->voters += votes;
        effect->reachable += votes && world->members[i].reachable;
    }
    size_t needed = majority(effect->voters);
    effect->may_fail = effect->reachable > needed ? effect->reachable - needed : 0;
    find_losses(world, change, effect);
}

static enum change_refusal check_add(const struct change_world *world, const struct change *change,
                                     const struct change_member *member) {
    return was_removed(world, &change->id) ? CHANGE_WAS_REMOVED
           : member != NULL                ? CHANGE_IS_MEMBER
           : world->count == MEMBERS_MAX   ? CHANGE_TOO_MANY
                                           : CHANGE_ALLOWED;
}

static enum change_refusal check_promote(const struct change_world *world, const struct change_member *member) {
    bool caught_up = member->reachable && world->caught_up != UINT64_MAX && member->match_index >= world->caught_up;
    bool too_old = member->level > 0 && member->level < world->level;  // so it cannot catch up either
    return member->voter ? CHANGE_IS_VOTER : too_old ? CHANGE_TOO_OLD : caught_up ? CHANGE_ALLOWED : CHANGE_BEHIND;
}

enum change_refusal change_check(const struct change_world *world, const struct change *change,
                                 struct change_effect *effect) {
    const struct change_member *member = find(world, &change->id);
    enum change_refusal refusal = CHANGE_ALLOWED;
    *effect = (struct change_effect){.voters = 0};
    if (!world->established) {
        return CHANGE_NOT_ESTABLISHED;
    }
    if (world->pending) {
        return CHANGE_PENDING;
    }
    if (change->kind == CHANGE_ADD) {
        refusal = check_add(world, change, member);
    } else if (member == NULL) {
        return was_removed(world, &change->id) ? CHANGE_WAS_REMOVED : CHANGE_NO_MEMBER;
    } else if (change->kind == CHANGE_PROMOTE) {
        refusal = check_promote(world, member);
    } else if (change->kind == CHANGE_REMOVE && world->removed_count >= REMOVED_MAX) {
        refusal = CHANGE_TOO_MANY_REMOVED;
    }
    bool has_address = change->kind == CHANGE_ADD || change->kind == CHANGE_UPDATE;
    effect->other = has_address ? address_owner(world, change) : NULL;
    if (refusal != CHANGE_ALLOWED || effect->other != NULL) {
        return refusal != CHANGE_ALLOWED ? refusal : CHANGE_ADDRESS_TAKEN;
    }
    find_effect(world, change, effect);
    return effect->reachable >= majority(effect->voters) ? CHANGE_ALLOWED : CHANGE_NO_MAJORITY;
}
