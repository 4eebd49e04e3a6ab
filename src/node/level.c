// Raising the cluster's level: node/level.h. The rule is in policy/level.h.
#include "node/level.h"

#include "node/internal.h"
#include "wire/command.h"

uint32_t node_command_level(const struct node *node, uint32_t level) {
    return state_level(node->state) >= level ? level : 0;
}

static void raised(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)call;
    (void)result;
    node->level_rule.proposed = false;
    slog(SLOG_INFO, "level-raised", "the cluster's level was raised: older versions cannot be members any more",
         F_U64("level", state_level(node->state)));
}

// A later sample proposes it again.
static void not_raised(struct node *node) {
    node->level_rule.proposed = false;
}

static const struct verb raise_level = {.applied = raised, .lost = not_raised};

static bool is_calm(const struct node *node) {
    return node_leads(node) && raft_leader_is_established(node->raft) && node->stopping == RUNNING &&
           !transfer_is_running(node->transfer) && node->configuration.index <= raft_commit_index(node->raft);
}

static void describe_world(const struct node *node, struct level_world *world) {
    *world = (struct level_world){
        .count = node->configuration.count,
        .cluster = state_level(node->state),
        .least = COMMAND_LEVEL_RAISE,
        .calm = is_calm(node),
    };
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct raft_id *id = &node->configuration.members[i].id;
        const struct peer_view *view = peers_view(node->peers, id);
        if (raft_id_equal(id, node_id(node))) {
            world->members[i] = (struct level_member){.told = true, .level = COMMAND_LEVEL};
        } else if (view != NULL && view->reachable) {
            world->members[i] = (struct level_member){.told = true, .level = view->level};
        }
    }
}

void level_sample(struct node *node) {
    struct level_world world;
    describe_world(node, &world);
    uint32_t level = level_decide(&node->level_rule, &world, node_clock_us());
    if (level == 0) {
        return;
    }
    struct pb_command command = {
        .format = COMMAND_FORMAT,
        .level = COMMAND_LEVEL_RAISE,
        .op = PB_COMMAND_OP_RAISE_LEVEL,
        .raise_level = {.level = level},
    };
    node_propose(node, (struct rpc_call){0}, &raise_level, &command);
}
