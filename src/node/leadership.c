// Changes of leadership and their consequences, behind node/leadership.h.
#include "node/leadership.h"

#include <stdio.h>

#include "node/calls.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "node/read_index.h"
#include "node/worker_liveness.h"
#include "wire/command.h"

// How long the pending writes of a deposed leader wait for the next one before they are answered "outcome unknown".
#define ORPHAN_PATIENCE_US (2 * US_PER_S)

void leadership_log(const struct node *node, const struct raft_transition *transition) {
    char message[2 * ID_MAX + 64];
    snprintf(message, sizeof message, "%s transitioned from %s to %s (term %llu)", node_id(node)->text,
             raft_state_name(transition->from), raft_state_name(transition->to), (unsigned long long)transition->term);
    slog(SLOG_INFO, "role-changed", message, F_STR("from", raft_state_name(transition->from)),
         F_STR("to", raft_state_name(transition->to)), F_U64("term", transition->term), F_STR("reason", transition->reason));
}

// The log may end with commands of earlier leaders that are not applied yet. What this one proposes is not earlier than
// these: times rise with the log, so its last command has the latest.
static void take_over_time(struct node *node) {
    struct pb_command command;
    struct error error = {0};
    for (raft_index index = raft_last_log(node->raft).index; index > state_last_applied(node->state); index--) {
        const struct raft_entry *entry = raft_entry_at(node->raft, index);
        arena_reset(&node->scratch);
        if (entry->type == RAFT_ENTRY_COMMAND && wire_command_decode(&node->scratch, entry, &command, &error) == OK) {
            node->command_time_ms =
                command.time_unix_ms > node->command_time_ms ? command.time_unix_ms : node->command_time_ms;
            return;
        }
    }
}

static void follow_leader(struct node *node) {
    const struct raft_id *leader = node_leader_id(node);
    if (leader->len == 0) {
        node->leader_lost_us = node->now_us;
        return;
    }
    slog(SLOG_INFO, "leader-followed", "following a leader", F_STR("leader", leader->text),
         F_U64("term", raft_current_term(node->raft)));
    metric_add(node->m.leader_changes, 1);
    node->leader_lost_us = 0;
}

static void follow_serving(struct node *node) {
    bool serving = node_leads(node) && !quarantine_begun(node) && raft_leader_is_established(node->raft) &&
                   state_last_applied(node->state) >= raft_commit_index(node->raft);
    // A backlog of entries to apply delays the start of serving, but does not end it.
    bool ends = !node_leads(node) || quarantine_begun(node);
    if (serving != node->serving_workers && (serving || ends)) {
        node->serving_workers = serving;
        worker_liveness_leadership(node);
    }
}

// The entry may survive on another node and be committed by a later leader.
static void write_orphaned(void *user, const struct waiting_write *write) {
    calls_write_lost(user, write, false);
}

// Ends what has waited for a leader for too long, or must not be answered from this node's state any more.
static void end_patience(struct node *node) {
    if (quarantine_begun(node)) {
        writes_drop(node->writes, write_orphaned, node);
    }
    if (node_leads(node) || node->leader_lost_us == 0) {
        return;
    }
    uint64_t leaderless_us = node->now_us - node->leader_lost_us;
    if (writes_count(node->writes) > 0 && leaderless_us > ORPHAN_PATIENCE_US) {
        writes_drop(node->writes, write_orphaned, node);
    }
    if (watches_count(node->watches) > 0 && node_is_leaderless(node)) {
        watches_finish(node->watches, OUTCOME_WATCH_LEADERLESS);
    }
}

static void follow_transfer(struct node *node, const struct raft_update *update) {
    struct transfer_end end;
    if (!transfer_follow(node->transfer, update, node_leader_id(node)->len > 0, node->now_us, &end)) {
        return;
    }
    if (end.done != NULL) {
        if (end.outcome != RAFT_TRANSFER_REFUSED) {  // an operator's transfer pauses placement
            placement_pause(&node->placement, node->now_us, raft_current_term(node->raft));
        }
        end.done(node, end.call, end.outcome, end.refusal);
    }
    transfer_resume(node->transfer, calls_resume_write, node);
}

void leadership_follow(struct node *node, const struct raft_update *update) {
    if (update->leader_changed) {
        read_index_follow(node);
        follow_leader(node);
        if (node_leads(node)) {
            take_over_time(node);
        }
    }
    follow_serving(node);
}

void leadership_settle(struct node *node, const struct raft_update *update) {
    end_patience(node);
    follow_transfer(node, update);
}

// --- transfers ---

static bool begin(struct node *node, const struct raft_id *target, struct rpc_call call, transfer_done *done,
                  const char *reason) {
    if (!transfer_begin(node->transfer, target, call, done, node_clock_us())) {
        return false;
    }
    slog(SLOG_INFO, "leadership-handed-over", "handing leadership over",
         F_STR("target", target->len > 0 ? target->text : "the most up-to-date voter"), F_STR("reason", reason));
    return true;
}

void leadership_hand_over(struct node *node, const struct raft_id *target, const char *reason) {
    begin(node, target, (struct rpc_call){0}, NULL, reason);
}

void node_transfer_leadership(struct node *node, const struct raft_id *target, struct rpc_call call, transfer_done *done) {
    if (raft_id_equal(target, node_id(node))) {  // already where the operator wants it
        placement_pause(&node->placement, node->now_us, raft_current_term(node->raft));
        done(node, call, RAFT_TRANSFER_DONE, RAFT_ACCEPTED);
    } else if (!begin(node, target, call, done, "an operator asked for it")) {
        done(node, call, RAFT_TRANSFER_REFUSED, RAFT_BUSY);
    }
}
