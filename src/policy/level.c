// The rule of policy/level.h.
#include "policy/level.h"

// What all members read; 0: one of them has not told.
static uint32_t read_by_all(const struct level_world *world) {
    uint32_t level = UINT32_MAX;
    for (size_t i = 0; i < world->count; i++) {
        uint32_t told = world->members[i].told ? world->members[i].level : 0;
        level = told < level ? told : level;
    }
    return world->count == 0 ? 0 : level;
}

uint32_t level_decide(struct level_rule *rule, const struct level_world *world, uint64_t now_us) {
    uint32_t reached = world->calm ? read_by_all(world) : 0;
    if (reached != rule->reached) {
        rule->reached = reached;
        rule->since_us = now_us;
    }
    // From level 0 there is nothing to wait for: no node comes back to 0.1.0, which cannot read its log any more.
    bool settled = world->cluster == 0 || now_us - rule->since_us >= LEVEL_SETTLE_US;
    if (rule->proposed || !settled || reached <= world->cluster || reached < world->least) {
        return 0;
    }
    rule->proposed = true;
    return reached;
}
