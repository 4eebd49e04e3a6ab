// Heartbeats and missed heartbeats: node/worker_liveness.h.
#include "node/worker_liveness.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/slog.h"
#include "node/internal.h"
#include "policy/liveness.h"
#include "wire/command.h"

struct worker_liveness {
    struct liveness *liveness;
    bool confirming;  // a quorum is being asked before workers are declared offline
    bool *expiring;   // by row: a change to offline is proposed and not yet applied
    uint32_t expiring_cap;
    uint32_t expiring_count;  // rows that are set
    // As the previous leader last reported: every online worker was heard then or later, unix time; 0: unknown.
    int64_t predecessor_ms;
};

struct worker_liveness *worker_liveness_new(void) {
    struct worker_liveness *workers = mem_zalloc(sizeof *workers);
    workers->liveness = liveness_new();
    return workers;
}

void worker_liveness_free(struct worker_liveness *workers) {
    liveness_free(workers->liveness);
    free(workers->expiring);
    free(workers);
}

// Changes in one entry: it must stay far below COMMAND_MAX.
enum { CHANGES_MAX = 1024 };

static bool is_expiring(const struct worker_liveness *workers, uint32_t row) {
    return row < workers->expiring_cap && workers->expiring[row];
}

static void set_expiring(struct worker_liveness *workers, uint32_t row) {
    assert(!is_expiring(workers, row));
    uint32_t cap = workers->expiring_cap;
    if (row >= cap) {
        array_reserve(workers->expiring, workers->expiring_cap, row + 1);
        memset(workers->expiring + cap, 0, (workers->expiring_cap - cap) * sizeof *workers->expiring);
    }
    workers->expiring[row] = true;
    workers->expiring_count++;
}

static void clear_expiring(struct worker_liveness *workers, uint32_t row) {
    if (is_expiring(workers, row)) {
        workers->expiring[row] = false;
        workers->expiring_count--;
    }
}

// --- the time since which all were heard ---

static int64_t wall_of(uint64_t us) {
    return node_wall_ms() - (int64_t)((node_clock_us() - us) / US_PER_MS);
}

// Expiring workers are online until their change is applied, but no longer watched. False: one has not been heard.
static bool expiring_heard_since(const struct worker_liveness *workers, uint64_t *heard_us) {
    for (uint32_t row = 0, left = workers->expiring_count; left > 0; row++) {
        uint64_t last_us;
        if (!is_expiring(workers, row)) {
            continue;
        }
        if (!liveness_last_heard(workers->liveness, row, &last_us)) {
            return false;
        }
        *heard_us = last_us < *heard_us ? last_us : *heard_us;
        left--;
    }
    return true;
}

// For a node that serves workers, or did until now. Its predecessor heard those that it has not heard itself.
static int64_t heard_since_ms(const struct node *node) {
    const struct worker_liveness *workers = node->workers;
    uint64_t heard_us;
    bool all_heard = liveness_heard_since(workers->liveness, &heard_us) && expiring_heard_since(workers, &heard_us);
    return all_heard ? wall_of(heard_us) : workers->predecessor_ms;
}

// --- proposals of the leader itself ---

static void ignore_result(struct node *node, struct rpc_call call, const struct state_result *result) {
    (void)node;
    (void)call;
    (void)result;  // worker_liveness_applied has followed it
}

static void changes_lost(struct node *node);

static const struct verb worker_changes = {.applied = ignore_result, .lost = changes_lost};

static void propose(struct node *node, const struct pb_worker_change *changes, size_t count) {
    struct pb_command command = {
        .format = COMMAND_FORMAT,
        .op = PB_COMMAND_OP_CHANGE_WORKERS,
        .change_workers = {.changes = changes, .changes_count = count},
    };
    node_propose(node, (struct rpc_call){0}, &worker_changes, &command);
}

bool node_heard_worker(struct node *node, const struct state_worker *worker) {
    liveness_heard(node->workers->liveness, worker->row, node_clock_us());
    return !worker->online || is_expiring(node->workers, worker->row);
}

static bool watch_online(void *user, const struct state_worker *worker) {
    struct node *node = user;
    if (worker->online) {
        liveness_watch(node->workers->liveness, worker->row, node->now_us);
    }
    return true;
}

static void forget_changes(struct node *node) {
    struct worker_liveness *workers = node->workers;
    if (workers->expiring_count > 0) {
        memset(workers->expiring, 0, workers->expiring_cap * sizeof *workers->expiring);
        workers->expiring_count = 0;
    }
    workers->confirming = false;
}

void worker_liveness_leadership(struct node *node) {
    // This node may be the next leader again, and then its own predecessor.
    node->workers->predecessor_ms = heard_since_ms(node);
    liveness_reset(node->workers->liveness);
    forget_changes(node);
    if (node->serving_workers) {
        state_workers(node->state, slice_of(NULL, 0), watch_online, node);
    }
}

// --- expiry ---

// Of one that this leader has never heard itself, the time since it became the leader is not known here.
static void tell_silent(const struct node *node, const struct state_worker *worker) {
    uint64_t heard_us;
    bool heard = liveness_last_heard(node->workers->liveness, worker->row, &heard_us);
    slog(SLOG_DEBUG, "worker-silent",
         heard ? "a worker's heartbeats stopped" : "a worker never called this leader since it was elected",
         F_BYTES("worker", worker->id), F_BYTES("cloud", worker->registration->cloud), F_U64("epoch", worker->epoch),
         F_DOUBLE("silent_ms", heard ? (double)(node->now_us - heard_us) / (double)US_PER_MS : 0),
         F_DOUBLE("limit_ms", (double)LIVENESS_TIMEOUT_US / (double)US_PER_MS));
}

// Proposes that expired workers are offline, as many as one entry takes. True: there may be more.
static bool expire_some(struct node *node) {
    uint32_t rows[CHANGES_MAX];
    struct pb_worker_change changes[CHANGES_MAX];
    size_t expired = liveness_expired(node->workers->liveness, node->now_us, rows, CHANGES_MAX);
    size_t count = 0;
    for (size_t i = 0; i < expired; i++) {
        struct state_worker worker;
        // Not watched again until its change is applied or lost.
        liveness_forget(node->workers->liveness, rows[i]);
        if (!state_worker_at(node->state, rows[i], &worker) || !worker.online || is_expiring(node->workers, rows[i])) {
            continue;
        }
        set_expiring(node->workers, rows[i]);
        tell_silent(node, &worker);
        changes[count++] = (struct pb_worker_change){
            .worker_id = worker.id,
            .epoch = worker.epoch,
            .online = false,
            .reason = slice_of_str("missed-heartbeats"),
        };
    }
    if (count > 0) {
        propose(node, changes, count);
    }
    return expired == CHANGES_MAX;
}

// One confirmation serves all: at 50 ms an entry, the last of 100,000 workers would be declared offline too late.
static void confirmed(struct node *node, struct rpc_call call, const void *request, raft_index index) {
    (void)call;
    (void)request;
    (void)index;
    node->workers->confirming = false;
    bool more = node->serving_workers;
    while (more) {
        more = expire_some(node);
    }
}

static void not_confirmed(struct node *node) {
    node->workers->confirming = false;
}

// Asks a quorum whether this node still leads.
static const struct verb confirm_leadership = {.answer = confirmed, .lost = not_confirmed};

uint64_t worker_liveness_due_us(const struct node *node) {
    return node->serving_workers && !node->workers->confirming ? liveness_next_us(node->workers->liveness) : UINT64_MAX;
}

void worker_liveness_tick(struct node *node) {
    if (node->now_us < worker_liveness_due_us(node)) {
        return;
    }
    node->workers->confirming = true;
    reads_collect(node->reads, &confirm_leadership, (struct rpc_call){0}, slice_of(NULL, 0));
}

// --- what has been applied ---

static void log_worker(const struct state_worker *worker, int64_t since_unix_ms) {
    slog(SLOG_INFO, worker->online ? "worker-online" : "worker-offline",
         worker->online ? "worker is online" : "worker is offline", F_BYTES("worker", worker->id),
         F_BYTES("cloud", worker->registration->cloud), F_BYTES("address", worker->registration->address),
         F_U64("epoch", worker->epoch), F_BYTES("reason", worker->reason), F_I64("since_unix_ms", since_unix_ms));
}

static void follow_worker(struct node *node, struct slice id, bool registered, int64_t since_unix_ms) {
    struct liveness *liveness = node->workers->liveness;
    struct state_worker worker;
    if (!state_worker(node->state, id, &worker)) {
        return;
    }
    if (!registered) {
        clear_expiring(node->workers, worker.row);
    }
    log_worker(&worker, since_unix_ms);
    if (!node->serving_workers) {
        return;
    }
    if (registered) {
        liveness_heard(liveness, worker.row, node->now_us);
    } else if (!worker.online) {
        liveness_forget(liveness, worker.row);
    } else if (!liveness_watches(liveness, worker.row)) {
        liveness_watch(liveness, worker.row, node->now_us);
    }
}

void worker_liveness_applied(struct node *node, const struct pb_command *command) {
    if (command->op == PB_COMMAND_OP_REGISTER_WORKER) {
        follow_worker(node, command->register_worker.worker_id, true, command->time_unix_ms);
        return;
    }
    assert(command->op == PB_COMMAND_OP_CHANGE_WORKERS);
    for (size_t i = 0; i < command->change_workers.changes_count; i++) {
        follow_worker(node, command->change_workers.changes[i].worker_id, false, command->time_unix_ms);
    }
}

// Rare (leadership is lost, or too much is uncommitted): every worker that is online and not watched gets a full timeout.
static bool watch_again(void *user, const struct state_worker *worker) {
    struct node *node = user;
    if (worker->online && !liveness_watches(node->workers->liveness, worker->row)) {
        liveness_watch(node->workers->liveness, worker->row, node->now_us);
    }
    return true;
}

static void changes_lost(struct node *node) {
    forget_changes(node);
    if (node->serving_workers) {
        state_workers(node->state, slice_of(NULL, 0), watch_again, node);
    }
}

// --- when they were last seen ---

bool node_worker_seen(const struct node *node, const struct state_worker *worker, struct worker_seen *seen) {
    uint64_t heard_us;
    if (!node->serving_workers) {
        return false;
    }
    // In a version held for a list the row may be another worker's by now.
    struct state_worker now;
    bool has_row = state_worker_at(node->state, worker->row, &now) && slice_equal(now.id, worker->id);
    if (has_row && liveness_last_heard(node->workers->liveness, worker->row, &heard_us)) {
        *seen = (struct worker_seen){.unix_ms = wall_of(heard_us), .source = "leader"};
    } else if (worker->online && node->workers->predecessor_ms > worker->seen_unix_ms) {
        *seen = (struct worker_seen){.unix_ms = node->workers->predecessor_ms, .source = "predecessor"};
    } else {
        *seen = (struct worker_seen){.unix_ms = worker->seen_unix_ms, .source = "log"};
    }
    return true;
}

int64_t worker_liveness_heard_since_ms(const struct node *node) {
    return node->serving_workers ? heard_since_ms(node) : 0;
}

void worker_liveness_peer(struct node *node, const struct pb_status_response *status) {
    // An earlier leader's report stays valid: the log knows when workers have come online since.
    bool is_known = status->workers_heard_since_unix_ms > 0;
    if (is_known && !node_leads(node) && slice_equal(status->role, slice_of_str("leader"))) {
        node->workers->predecessor_ms = status->workers_heard_since_unix_ms;
    }
}
