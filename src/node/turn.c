// The turn of the loop: node/turn.h, and docs/design.md.
#include "node/turn.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "node/apply.h"
#include "node/audit.h"
#include "node/calls.h"
#include "node/causes.h"
#include "node/held_versions.h"
#include "node/internal.h"
#include "node/leadership.h"
#include "node/leave.h"
#include "node/lost_entries.h"
#include "node/membership.h"
#include "node/quarantine.h"
#include "node/raft_service.h"
#include "node/read_index.h"
#include "node/snapshot_receiver.h"
#include "node/snapshot_sender.h"
#include "node/snapshots.h"
#include "node/worker_liveness.h"

// The longest time between turns, so that the core never takes an idle loop for a stall (raft/raft.h, contract 4).
#define TURN_GAP_MAX_US (100 * US_PER_MS)

struct turn {
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t tick;
    uv_async_t wal_done;
    uv_idle_t busy;  // active while there is more to do, so that the loop does not block
    uint64_t next_tick_us;
    uint64_t armed_us;        // when `tick` fires; 0: not armed
    uint64_t last_us;         // of the last step
    uint64_t worked_from_us;  // when the loop last began to wait, and how long it had waited until then
    uint64_t idle_us;
    raft_index applied_told;       // to the core
    uint64_t durable_told;         // the same of the last durable write
    enum wal_condition condition;  // the same of the log's condition
    struct raft_message *held;     // until a write is durable; none carries entries
    size_t held_count;
    size_t held_cap;
};

// --- input ---

static void note_sync(struct node *node, double seconds) {
    histogram_observe(node->m.fsync, seconds);
    node->sync_time.seconds += seconds;
    node->sync_time.count++;
    causes_synced(node->causes, seconds);
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
    if (status->condition != node->turn->condition) {
        node->turn->condition = status->condition;
        metric_set(node->m.wal_full, status->condition == WAL_FULL);
        if (status->condition == WAL_FULL) {
            slog(SLOG_ERROR, "disk-full",
                 "no space for the log: until there is, this node acknowledges nothing and neither leads nor campaigns",
                 F_STR("reason", status->error.message));
        } else {
            slog(SLOG_INFO, "disk-not-full", "there is space for the log again");
        }
        *node_event(node) = (struct raft_event){
            .type = RAFT_EVENT_STORAGE,
            .storage = status->condition == WAL_FULL ? RAFT_STORAGE_FULL : RAFT_STORAGE_GOOD,
        };
    }
    if (status->durable_write > node->turn->durable_told) {
        node->turn->durable_told = status->durable_write;
        *node_event(node) = (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = status->durable_write};
    }
}

static void collect(struct node *node) {
    struct raft_event event;
    if (writes_event(node->writes, &event)) {
        *node_event(node) = event;
    }
    if (transfer_event(node->transfer, &event)) {
        *node_event(node) = event;
    }
    if (membership_event(node->membership, &event)) {
        *node_event(node) = event;
    }
    if (reads_event(node->reads, &event)) {
        *node_event(node) = event;
    }
}

// Whether something waits for the next step.
static bool has_collected(const struct node *node) {
    return writes_collected(node->writes) || reads_collected(node->reads) || transfer_has_event(node->transfer) ||
           membership_has_event(node->membership);
}

// Whether work that may take long has had its part of the turn, and more is left.
static bool has_long_work(const struct node *node) {
    return slow_replies_waiting(node->slow_replies) || watches_behind(node->watches);
}

static void tell_applied(struct node *node) {
    raft_index applied = state_last_applied(node->state);
    if (applied == node->turn->applied_told) {
        return;
    }
    node->turn->applied_told = applied;
    *node_event(node) = (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = applied};
}

// --- messages ---

static bool is_reply(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE_REPLY || message->type == RAFT_APPEND_ENTRIES_REPLY ||
           message->type == RAFT_TIMEOUT_NOW_REPLY || message->type == RAFT_INSTALL_SNAPSHOT_REPLY;
}

// In a quarantine that is silent, those who wait for a reply learn why there is none.
static bool is_kept_back(struct node *node, const struct raft_message *message) {
    if (!quarantine_is_silent(node)) {
        return false;
    }
    if (is_reply(message)) {
        quarantine_tell(node, rpc_call_unpack(message->call), false);
    }
    return true;
}

static void send_message(struct node *node, const struct raft_message *message) {
    if (is_kept_back(node, message)) {
        return;
    }
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
    case RAFT_INSTALL_SNAPSHOT_REPLY:
        snapshot_receiver_reply(node, message);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        break;  // never in an update: raft_snapshot_request
    }
}

static bool is_awaited(const struct node *node, const struct raft_message *message) {
    return !is_reply(message) || rpc_call_alive(node->server, rpc_call_unpack(message->call));
}

// Replies whose calls have ended would pile up behind a stalled disk.
static void drop_unawaited(struct node *node) {
    size_t kept = 0;
    for (size_t i = 0; i < node->turn->held_count; i++) {
        if (is_awaited(node, &node->turn->held[i])) {
            node->turn->held[kept++] = node->turn->held[i];
        }
    }
    node->turn->held_count = kept;
}

static void hold_message(struct node *node, const struct raft_message *message) {
    if (node->turn->held_count == node->turn->held_cap) {
        drop_unawaited(node);
    }
    array_reserve(node->turn->held, node->turn->held_cap, node->turn->held_count + 1);
    node->turn->held[node->turn->held_count++] = *message;
}

static void release_messages(struct node *node) {
    size_t kept = 0;
    for (size_t i = 0; i < node->turn->held_count; i++) {
        if (raft_may_leave(&node->turn->held[i], node->turn->durable_told, node->wal_status.durable_hard_state_write)) {
            send_message(node, &node->turn->held[i]);
        } else {
            node->turn->held[kept++] = node->turn->held[i];
        }
    }
    node->turn->held_count = kept;
}

// --- the step ---

static void write_lost(void *user, const struct waiting_write *write) {
    calls_write_lost(user, write, false);
}

static void write_refused(void *user, const struct waiting_write *write, enum raft_refusal refusal) {
    calls_write_refused(user, write, refusal);
}

static void read_ready(void *user, const struct waiting_read *read, struct slice message, enum raft_refusal refusal) {
    if (refusal == RAFT_ACCEPTED) {
        calls_read_ready(user, read, message);
    } else {
        calls_read_refused(user, read, message);
    }
}

static void carry_out(struct node *node, const struct raft_update *update) {
    causes_noted(update);
    for (size_t i = 0; i < update->transition_count; i++) {
        leadership_log(node, &update->transitions[i]);
    }
    // Before the peers' messages, so that the log's thread writes while this one sends.
    if (update->has_persist) {
        wal_submit(node->wal, &update->persist, node->now_us);
    }
    membership_follow(node, update);
    for (size_t i = 0; i < update->send_now_count; i++) {
        send_message(node, &update->send_now[i]);
    }
    for (size_t i = 0; i < update->send_after_persist_count; i++) {
        hold_message(node, &update->send_after_persist[i]);
    }
    for (size_t i = 0; i < update->proposed_count; i++) {
        if (update->proposed[i].tag == MEMBERSHIP_TAG) {
            membership_placed(node, &update->proposed[i]);
            continue;
        }
        writes_placed(node->writes, &update->proposed[i], node->now_us, write_lost, write_refused, node);
    }
    for (size_t i = 0; i < update->read_count; i++) {
        reads_answered(node->reads, &update->reads[i]);
    }
    metric_add(node->m.elections, (double)update->elections_started);
    node->turn->next_tick_us = update->next_tick_us;
}

// The turn itself follows when the loop prepares to poll.
static void on_tick(uv_timer_t *timer) {
    struct node *node = timer->data;
    node->turn->armed_us = 0;
}

// A timer that fires too early only costs a wake-up, so it is moved only if it would fire too late.
static void arm_tick(struct node *node) {
    uint64_t at_us = node->turn->next_tick_us;
    uint64_t expiry_us = worker_liveness_due_us(node);
    if (expiry_us < at_us) {
        at_us = expiry_us;
    }
    if (at_us > node->now_us + TURN_GAP_MAX_US) {
        at_us = node->now_us + TURN_GAP_MAX_US;
    }
    if (node->turn->armed_us != 0 && node->turn->armed_us <= at_us) {
        return;
    }
    node->turn->armed_us = at_us;
    uint64_t wait_us = at_us > node->now_us ? at_us - node->now_us : 0;
    // libuv counts milliseconds from the loop's cached time: never early, at most one late.
    uv_update_time(node->loop);
    uv_timer_start(&node->turn->tick, on_tick, (wait_us + US_PER_MS - 1) / US_PER_MS, 0);
}

// Does nothing: while the handle is active, the loop polls without blocking.
static void node_busy(uv_idle_t *idle) {
    (void)idle;
}

// Called at the end of a turn, perhaps after this one: the loop must not wait.
void node_watch_writable(struct node *node, struct rpc_call call) {
    watches_writable(node->watches, call);
    uv_idle_start(&node->turn->busy, node_busy);
}

static void notice_stall(struct node *node) {
    uint64_t gap = node->now_us - node->turn->last_us;
    if (node->turn->last_us != 0 && gap > US_PER_S) {
        slog(SLOG_WARN, "loop-stalled", "the event loop stalled", F_DOUBLE("seconds", (double)gap / (double)US_PER_S));
    } else if (node->turn->last_us != 0 && gap > ELECTION_TIMEOUT_MIN_US) {  // an election can come from it
        slog(SLOG_DEBUG, "loop-paused", "the event loop stood still for a moment",
             F_DOUBLE("seconds", (double)gap / (double)US_PER_S));
    }
    node->turn->last_us = node->now_us;
}

static void follow_up(struct node *node, const struct raft_update *update, bool after_wait) {
    snapshot_receiver_follow(node, update);
    bool more = node_apply(node);
    leadership_follow(node, update);
    reads_release(node->reads, state_last_applied(node->state), read_ready, node);
    read_index_release(node, read_ready);
    watches_advance(node->watches);
    if (after_wait) {
        worker_liveness_tick(node);
    }
    leadership_settle(node, update);
    membership_settle(node, update);
    lost_entries_settle(node, update);
    leave_progress(node);
    held_versions_turn(node->held_versions, node->state, node->now_us);
    more = state_collect(node->state) || more;
    more = snapshots_turn(node, snapshot_senders_lowest(node->snapshot_senders)) || more;
    snapshot_senders_turn(node);
    metric_set(node->m.term, (double)raft_current_term(node->raft));
    metric_set(node->m.is_leader, node_leads(node));
    metric_set(node->m.has_leader, node_leader_id(node)->len > 0);
    metric_set(node->m.commit_index, (double)raft_commit_index(node->raft));
    metric_set(node->m.applied_index, (double)state_last_applied(node->state));
    metric_set(node->m.cluster_level, (double)state_level(node->state));
    metric_set(node->m.proposals_pending, (double)writes_count(node->writes));
    // What was collected just now must not wait for the next event from outside.
    if (more || has_collected(node) || node->event_count > 0 || has_long_work(node)) {
        uv_idle_start(&node->turn->busy, node_busy);
    } else {
        uv_idle_stop(&node->turn->busy);
    }
}

// Takes a turn if there is anything to do. `after_wait`: all pending input has been read.
static void take_turn(struct node *node, bool after_wait) {
    if (node->stopping == STOPPED) {
        return;
    }
    slow_replies_turn(node->slow_replies);
    watches_catch_up(node->watches);
    node->now_us = node_clock_us();
    collect_log(node);
    if (node->stopping == STOPPED) {
        return;
    }
    read_index_ask(node);
    collect(node);
    bool busy = uv_is_active((uv_handle_t *)&node->turn->busy) || has_long_work(node) || read_index_has_news(node);
    bool expiring = after_wait && node->now_us >= worker_liveness_due_us(node);
    bool due = node->now_us >= node->turn->next_tick_us || node->now_us - node->turn->last_us >= TURN_GAP_MAX_US;
    if (node->event_count == 0 && !due && !busy && !expiring) {
        arm_tick(node);
        return;
    }
    notice_stall(node);
    tell_applied(node);
    snapshot_receiver_tell(node);
    struct raft_update update;
    raft_step(node->raft, node->now_us, node->events, node->event_count, &update);
    node->event_count = 0;
    arena_reset(&node->event_arena);
    carry_out(node, &update);
    release_messages(node);
    follow_up(node, &update, after_wait);
    arm_tick(node);
    audit_flush(node->audit);  // before the answers leave
    rpc_flush(node->rpc);
}

// --- in the loop ---

// The time since the loop last came here, without what it has waited.
static void measure_turn(struct node *node) {
    struct turn *turn = node->turn;
    uint64_t now_us = node_clock_us();
    uint64_t idle_us = uv_metrics_idle_time(node->loop) / 1000;
    if (turn->worked_from_us != 0) {
        uint64_t worked_us = now_us - turn->worked_from_us - (idle_us - turn->idle_us);
        histogram_observe(node->m.turn_seconds, (double)worked_us / (double)US_PER_S);
    }
    turn->worked_from_us = now_us;
    turn->idle_us = idle_us;
}

static void on_prepare(uv_prepare_t *handle) {
    measure_turn(handle->data);
    take_turn(handle->data, false);
    audit_flush(((struct node *)handle->data)->audit);  // of what was refused without a turn
}

static void on_check(uv_check_t *handle) {
    take_turn(handle->data, true);
}

// Only wakes the loop: the turn polls the log's completions itself.
static void on_wal_done(uv_async_t *handle) {
    (void)handle;
}

void turn_wake(void *turn) {
    uv_async_send(&((struct turn *)turn)->wal_done);
}

struct turn *turn_new(struct node *node) {
    struct turn *turn = mem_zalloc(sizeof *turn);
    uv_prepare_init(node->loop, &turn->prepare);
    uv_check_init(node->loop, &turn->check);
    uv_timer_init(node->loop, &turn->tick);
    uv_idle_init(node->loop, &turn->busy);
    uv_async_init(node->loop, &turn->wal_done, on_wal_done);
    turn->prepare.data = turn->check.data = turn->tick.data = turn->busy.data = node;
    // libuv calls what was started last first: before rpc's, which sends the answers.
    uv_prepare_start(&turn->prepare, on_prepare);
    uv_check_start(&turn->check, on_check);
    return turn;
}

void turn_close(struct turn *turn) {
    uv_handle_t *handles[] = {(uv_handle_t *)&turn->prepare, (uv_handle_t *)&turn->check, (uv_handle_t *)&turn->tick,
                              (uv_handle_t *)&turn->busy, (uv_handle_t *)&turn->wal_done};
    for (size_t i = 0; i < ARRAY_COUNT(handles); i++) {
        uv_close(handles[i], NULL);
    }
}

void turn_free(struct turn *turn) {
    free(turn->held);
    free(turn);
}
