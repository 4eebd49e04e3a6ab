// The turn of the loop: one step of the core for everything that has come in, and what follows from it.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/slog.h"
#include "node/internal.h"

uint64_t node_clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

int64_t node_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t node_command_time_ms(struct node *node) {
    int64_t now = node_wall_ms();
    int64_t applied = state_time_unix_ms(node->state);
    if (now > node->command_time_ms) {
        node->command_time_ms = now;
    }
    if (applied > node->command_time_ms) {
        node->command_time_ms = applied;
    }
    return node->command_time_ms;
}

struct raft_event *node_event(struct node *node) {
    if (node->event_count == node->event_cap) {
        node->event_cap = node->event_cap == 0 ? 64 : node->event_cap * 2;
        node->events = mem_realloc(node->events, node->event_cap * sizeof *node->events);
    }
    return &node->events[node->event_count++];
}

void node_fail(struct node *node, enum error_code code, const char *message) {
    slog(SLOG_ERROR, "this node cannot go on and stops", F_STR("error", error_name(code)), F_STR("reason", message));
    if (node->stopping == STOPPED) {
        return;
    }
    node->stopping = STOPPED;
    node->stopped(node->stopped_user, code);
}

// --- what has come in ---

static void note_sync(struct node *node, double seconds) {
    histogram_observe(node->m.fsync, seconds);
    node->syncs_seconds += seconds;
    node->syncs++;
}

static void collect_log(struct node *node) {
    struct wal_status *status = &node->wal_status;
    wal_poll(node->wal, status);
    for (size_t i = 0; i < status->sync_count; i++) {
        note_sync(node, status->sync_seconds[i]);
    }
    metric_set(node->m.wal_batches, (double)status->batches);
    metric_set(node->m.wal_bytes, (double)status->bytes);
    if (status->condition == WAL_FAILED) {
        node_fail(node, ERR_IO, status->error.message);
        return;
    }
    if (status->condition != node->condition) {
        node->condition = status->condition;
        metric_set(node->m.wal_full, status->condition == WAL_FULL);
        if (status->condition == WAL_FULL) {
            slog(SLOG_ERROR,
                 "no space for the log: this node acknowledges nothing and neither leads nor campaigns until there is",
                 F_STR("reason", status->error.message));
        } else {
            slog(SLOG_INFO, "there is space for the log again");
        }
        *node_event(node) = (struct raft_event){
            .type = RAFT_EVENT_STORAGE,
            .storage = status->condition == WAL_FULL ? RAFT_STORAGE_FULL : RAFT_STORAGE_GOOD,
        };
    }
    if (status->durable_write > node->durable_write) {
        node->durable_write = status->durable_write;
        *node_event(node) = (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = status->durable_write};
    }
}

static void collect(struct node *node) {
    struct raft_event event;
    node->collected = false;
    if (writes_event(node->writes, &event)) {
        *node_event(node) = event;
    }
    if (handover_event(node->handover, &event)) {
        *node_event(node) = event;
    }
    if (reads_event(node->reads, &event)) {
        *node_event(node) = event;
    }
}

static void tell_applied(struct node *node) {
    raft_index applied = state_last_applied(node->state);
    if (applied == node->applied_told) {
        return;
    }
    node->applied_told = applied;
    *node_event(node) = (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = applied};
}

// --- messages ---

static void send_message(struct node *node, const struct raft_message *message) {
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
    case RAFT_APPEND_ENTRIES:
    case RAFT_TIMEOUT_NOW:
        peers_send(node->peers, message);
        break;
    case RAFT_REQUEST_VOTE_REPLY:
    case RAFT_APPEND_ENTRIES_REPLY:
    case RAFT_TIMEOUT_NOW_REPLY:
        raft_service_reply(node, message);
        break;
    }
}

static bool is_awaited(const struct node *node, const struct raft_message *message) {
    switch (message->type) {
    case RAFT_REQUEST_VOTE_REPLY:
    case RAFT_APPEND_ENTRIES_REPLY:
    case RAFT_TIMEOUT_NOW_REPLY:
        return rpc_call_alive(node->server, rpc_call_unpack(message->call));
    default:
        return true;
    }
}

// On a disk that stands still replies would pile up long after their calls have ended.
static void drop_unawaited(struct node *node) {
    size_t kept = 0;
    for (size_t i = 0; i < node->held_count; i++) {
        if (is_awaited(node, &node->held[i])) {
            node->held[kept++] = node->held[i];
        }
    }
    node->held_count = kept;
}

static void hold_message(struct node *node, const struct raft_message *message) {
    if (node->held_count == node->held_cap) {
        drop_unawaited(node);
    }
    if (node->held_count == node->held_cap) {
        node->held_cap = node->held_cap == 0 ? 64 : node->held_cap * 2;
        node->held = mem_realloc(node->held, node->held_cap * sizeof *node->held);
    }
    node->held[node->held_count++] = *message;
}

static void release_messages(struct node *node) {
    size_t kept = 0;
    for (size_t i = 0; i < node->held_count; i++) {
        if (raft_may_leave(&node->held[i], node->durable_write, node->wal_status.durable_hard_state_write)) {
            send_message(node, &node->held[i]);
        } else {
            node->held[kept++] = node->held[i];
        }
    }
    node->held_count = kept;
}

// --- who leads ---

static void log_transition(struct node *node, const struct raft_transition *transition) {
    char message[2 * ID_MAX + 64];
    snprintf(message, sizeof message, "%s transitioned from %s to %s (term %llu)", node->config->node_id.text,
             raft_state_name(transition->from), raft_state_name(transition->to), (unsigned long long)transition->term);
    slog(SLOG_INFO, message, F_STR("from", raft_state_name(transition->from)), F_STR("to", raft_state_name(transition->to)),
         F_U64("term", transition->term), F_STR("reason", transition->reason));
}

// Truncated here, it may still live on another node and be committed by a later leader.
static void write_orphaned(void *user, const struct waiting_write *write) {
    node_write_lost(user, write, false);
}

static void follow_leadership(struct node *node, const struct raft_update *update) {
    enum raft_state state = raft_state(node->raft);
    const struct raft_id *leader = raft_leader(node->raft);
    if (update->leader_changed) {
        if (leader->len > 0) {
            slog(SLOG_INFO, "following a leader", F_STR("leader", leader->text),
                 F_U64("term", raft_current_term(node->raft)));
            metric_add(node->m.leader_changes, 1);
            node->leader_lost_us = 0;
        } else {
            node->leader_lost_us = node->now_us;
        }
    }
    if (state == RAFT_LEADER && node->state_before != RAFT_LEADER) {
        node->leader_since_us = node->now_us;
    }
    if (state != RAFT_LEADER && node->state_before == RAFT_LEADER) {
        node->leader_since_us = 0;
    }
    node->state_before = state;
    bool serving = state == RAFT_LEADER && raft_leader_is_established(node->raft) &&
                   state_last_applied(node->state) >= raft_commit_index(node->raft);
    // Once serving, a backlog of entries to apply does not end it; losing leadership does.
    if (serving != node->serving_workers && (serving || state != RAFT_LEADER)) {
        node->serving_workers = serving;
        workers_leadership(node);
    }
}

// What nobody has learned the end of for too long.
static void end_patience(struct node *node) {
    bool leading = raft_state(node->raft) == RAFT_LEADER;
    if (leading || node->leader_lost_us == 0) {
        return;
    }
    if (writes_count(node->writes) > 0 && node->now_us - node->leader_lost_us > ORPHAN_PATIENCE_US) {
        writes_drop(node->writes, write_orphaned, node);
    }
    if (watches_count(node->watches) > 0 && node->now_us - node->leader_lost_us > LEADERLESS_PATIENCE_US) {
        watches_finish(node->watches, RPC_UNAVAILABLE,
                       "this node hears no leader; watch on another node from the next revision");
    }
}

// --- the step ---

static void write_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    struct node *node = user;
    metric_add(node->m.proposals_failed, 1);
    if (write->kind == WRITE_WORKER_CHANGES) {
        workers_lost(node);
        return;
    }
    switch (refusal) {
    case RAFT_TOO_MUCH:
        rpc_finish(node->server, write->call, RPC_RESOURCE_EXHAUSTED,
                   "too many writes wait for a majority; nothing was written, try again later");
        break;
    case RAFT_TRANSFERRING:
        rpc_finish(node->server, write->call, RPC_UNAVAILABLE,
                   "leadership is being handed over; nothing was written, try again");
        break;
    default:
        if (write->kind == WRITE_REGISTER || write->kind == WRITE_DEREGISTER) {
            worker_redirect(node, write);
        } else {
            control_redirect(node, write->call);
        }
        break;
    }
}

static void read_ready(void *user, const struct waiting_read *read, struct slice request, enum raft_refusal refusal) {
    struct node *node = user;
    if (read->kind == READ_CONFIRM) {
        workers_confirmed(node, refusal == RAFT_ACCEPTED);
    } else if (refusal == RAFT_ACCEPTED) {
        control_read_ready(node, read, request);
    } else {
        control_redirect(node, read->call);
    }
}

static void carry_out(struct node *node, const struct raft_update *update) {
    for (size_t i = 0; i < update->transition_count; i++) {
        log_transition(node, &update->transitions[i]);
    }
    // The log's thread starts before the peers are written to: both take their time side by side.
    if (update->has_persist) {
        wal_submit(node->wal, &update->persist, node->now_us);
    }
    for (size_t i = 0; i < update->send_now_count; i++) {
        send_message(node, &update->send_now[i]);
    }
    for (size_t i = 0; i < update->send_after_persist_count; i++) {
        hold_message(node, &update->send_after_persist[i]);
    }
    for (size_t i = 0; i < update->proposed_count; i++) {
        writes_placed(node->writes, &update->proposed[i], node->now_us, write_orphaned, write_refused, node);
    }
    for (size_t i = 0; i < update->read_count; i++) {
        reads_answered(node->reads, &update->reads[i]);
    }
    metric_add(node->m.elections, (double)update->elections_started);
    node->next_tick_us = update->next_tick_us;
}

// A timer that is set too early only wakes the loop for nothing, so it is moved only when it would be late.
static void arm_tick(struct node *node) {
    uint64_t at_us = node->next_tick_us;
    uint64_t expiry_us = workers_due_us(node);
    if (expiry_us < at_us) {
        at_us = expiry_us;
    }
    if (at_us > node->now_us + TURN_GAP_MAX_US) {
        at_us = node->now_us + TURN_GAP_MAX_US;
    }
    if (node->armed_us != 0 && node->armed_us <= at_us) {
        return;
    }
    node->armed_us = at_us;
    uint64_t wait_us = at_us > node->now_us ? at_us - node->now_us : 0;
    // libuv counts milliseconds from the loop's cached time: never early, at most one late.
    uv_update_time(node->loop);
    uv_timer_start(&node->tick, node_tick, (wait_us + US_PER_MS - 1) / US_PER_MS, 0);
}

// Only its being active matters: the loop then polls without waiting.
static void node_busy(uv_idle_t *idle) {
    (void)idle;
}

void node_tick(uv_timer_t *timer) {
    struct node *node = timer->data;
    node->armed_us = 0;
}

static void notice_stall(struct node *node) {
    uint64_t gap = node->now_us - node->last_turn_us;
    if (node->last_turn_us != 0 && gap > US_PER_S) {
        slog(SLOG_WARN, "the loop stood still", F_DOUBLE("seconds", (double)gap / (double)US_PER_S));
    }
    node->last_turn_us = node->now_us;
}

static void follow_up(struct node *node, const struct raft_update *update, bool after_wait) {
    bool more = node_apply(node);
    follow_leadership(node, update);
    reads_release(node->reads, state_last_applied(node->state), read_ready, node);
    watches_advance(node->watches);
    if (after_wait) {
        workers_tick(node);
    }
    end_patience(node);
    handover_follow(node, update);
    node_stop_progress(node);
    metric_set(node->m.term, (double)raft_current_term(node->raft));
    metric_set(node->m.is_leader, raft_state(node->raft) == RAFT_LEADER);
    metric_set(node->m.has_leader, raft_leader(node->raft)->len > 0);
    metric_set(node->m.commit_index, (double)raft_commit_index(node->raft));
    metric_set(node->m.applied_index, (double)state_last_applied(node->state));
    metric_set(node->m.proposals_pending, (double)writes_count(node->writes));
    // What following up has collected must not wait for the next event from outside.
    if (more || node->collected || node->event_count > 0 || answers_waiting(node->answers)) {
        uv_idle_start(&node->busy, node_busy);
    } else {
        uv_idle_stop(&node->busy);
    }
}

void node_turn(struct node *node, bool after_wait) {
    if (node->stopping == STOPPED) {
        return;
    }
    answers_turn(node->answers);
    if (node->raft == NULL) {
        return;
    }
    node->now_us = node_clock_us();
    collect_log(node);
    if (node->stopping == STOPPED) {
        return;
    }
    collect(node);
    bool busy = uv_is_active((uv_handle_t *)&node->busy) || answers_waiting(node->answers);
    bool expiring = after_wait && node->now_us >= workers_due_us(node);
    bool due = node->now_us >= node->next_tick_us || node->now_us - node->last_turn_us >= TURN_GAP_MAX_US;
    if (node->event_count == 0 && !due && !busy && !expiring) {
        arm_tick(node);
        return;
    }
    notice_stall(node);
    tell_applied(node);
    struct raft_update update;
    raft_step(node->raft, node->now_us, node->events, node->event_count, &update);
    node->event_count = 0;
    arena_reset(&node->turn);
    carry_out(node, &update);
    release_messages(node);
    follow_up(node, &update, after_wait);
    arm_tick(node);
    rpc_flush(node->rpc);
}
