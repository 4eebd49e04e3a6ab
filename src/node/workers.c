// The registry's liveness on the leader: what heartbeats and their absence propose to the log. The clockwork is
// policy/liveness.h; here it meets the state machine and the core.
//
// Nobody is called offline before waiting input has been read (workers_tick runs behind the loop's wait) and before a quorum
// has confirmed that this node still leads.
#include <stdlib.h>

#include "base/mem.h"
#include "base/slog.h"
#include "node/internal.h"

// Changes in one entry: it must stay far below COMMAND_MAX.
enum { CHANGES_MAX = 1024 };

static void mark(struct node *node, uint32_t slot, bool changing) {
    if (slot >= node->changing_count) {
        uint32_t count = state_worker_slots(node->state) + 64;
        if (count <= slot) {
            count = slot + 64;
        }
        node->changing = mem_realloc(node->changing, count * sizeof *node->changing);
        memset(node->changing + node->changing_count, 0, (count - node->changing_count) * sizeof *node->changing);
        node->changing_count = count;
    }
    node->changing[slot] = changing;
}

static bool is_changing(const struct node *node, uint32_t slot) {
    return slot < node->changing_count && node->changing[slot];
}

void workers_propose(struct node *node, const struct state_worker_change *changes, size_t count, struct rpc_call call,
                     enum write_kind kind) {
    struct state_command command = {
        .time_unix_ms = node_command_time_ms(node),
        .operation = STATE_CHANGE_WORKERS,
        .change_workers = {.changes = changes, .count = count},
    };
    struct raft_entry *entry = wire_command_encode(node->slab, &command);
    if (entry == NULL) {
        rpc_finish(node->server, call, RPC_RESOURCE_EXHAUSTED, "no memory for the change; try again later");
        return;
    }
    writes_collect(node->writes, entry, call, kind);
    node->collected = true;
}

void workers_heard(struct node *node, const struct state_worker *worker) {
    liveness_heard(node->liveness, worker->slot, node_clock_us());
    if (worker->online || is_changing(node, worker->slot)) {
        return;
    }
    mark(node, worker->slot, true);
    struct state_worker_change change = {.worker_id = worker->id, .epoch = worker->epoch, .online = true};
    workers_propose(node, &change, 1, (struct rpc_call){0}, WRITE_WORKER_CHANGES);
}

static bool watch_online(void *user, const struct state_worker *worker) {
    struct node *node = user;
    if (worker->online) {
        liveness_watch(node->liveness, worker->slot, node->now_us);
    }
    return true;
}

static void forget_changes(struct node *node) {
    if (node->changing_count > 0) {
        memset(node->changing, 0, node->changing_count * sizeof *node->changing);
    }
    node->expiry_read = false;
}

void workers_leadership(struct node *node) {
    liveness_reset(node->liveness);
    forget_changes(node);
    if (node->serving_workers) {
        state_workers(node->state, slice_of(NULL, 0), watch_online, node);
    }
}

uint64_t workers_due_us(const struct node *node) {
    return node->serving_workers && !node->expiry_read ? liveness_next_us(node->liveness) : UINT64_MAX;
}

void workers_tick(struct node *node) {
    if (node->now_us < workers_due_us(node)) {
        return;
    }
    node->expiry_read = true;
    reads_collect(node->reads, READ_CONFIRM, (struct rpc_call){0}, slice_of(NULL, 0));
    node->collected = true;
}

// Calls offline as many as one entry takes. True: there may be more.
static bool expire_some(struct node *node) {
    uint32_t slots[CHANGES_MAX];
    struct state_worker_change changes[CHANGES_MAX];
    size_t expired = liveness_expired(node->liveness, node->now_us, slots, CHANGES_MAX);
    size_t count = 0;
    for (size_t i = 0; i < expired; i++) {
        struct state_worker worker;
        // Whoever is expired needs no second look until its change is applied or lost.
        liveness_forget(node->liveness, slots[i]);
        if (!state_worker_at(node->state, slots[i], &worker) || !worker.online || is_changing(node, slots[i])) {
            continue;
        }
        mark(node, slots[i], true);
        changes[count++] = (struct state_worker_change){
            .worker_id = worker.id,
            .epoch = worker.epoch,
            .online = false,
            .reason = slice_of_str("missed-heartbeats"),
        };
    }
    if (count > 0) {
        workers_propose(node, changes, count, (struct rpc_call){0}, WRITE_WORKER_CHANGES);
    }
    return expired == CHANGES_MAX;
}

// One confirmation is enough for all: at 50 ms for each entry, 100,000 would be told too late.
void workers_confirmed(struct node *node, bool leader) {
    node->expiry_read = false;
    bool more = leader && node->serving_workers;
    while (more) {
        more = expire_some(node);
    }
}

static void log_worker(const struct state_worker *worker) {
    slog(SLOG_INFO, worker->online ? "worker is online" : "worker is offline", F_BYTES("worker", worker->id),
         F_BYTES("cloud", worker->cloud), F_BYTES("address", worker->address), F_U64("epoch", worker->epoch),
         F_BYTES("reason", worker->reason));
}

static void follow_worker(struct node *node, struct slice id, bool registered) {
    struct state_worker worker;
    if (!state_worker(node->state, id, &worker)) {
        return;
    }
    mark(node, worker.slot, false);
    log_worker(&worker);
    if (!node->serving_workers) {
        return;
    }
    if (registered) {
        liveness_heard(node->liveness, worker.slot, node->now_us);
    } else if (!worker.online) {
        liveness_forget(node->liveness, worker.slot);
    } else if (!liveness_watches(node->liveness, worker.slot)) {
        liveness_watch(node->liveness, worker.slot, node->now_us);
    }
}

void workers_applied(struct node *node, const struct state_command *command) {
    if (command->operation == STATE_REGISTER_WORKER) {
        follow_worker(node, command->register_worker.worker_id, true);
        return;
    }
    for (size_t i = 0; i < command->change_workers.count; i++) {
        follow_worker(node, command->change_workers.changes[i].worker_id, false);
    }
}

// Rare (leadership is lost, or too much waits): everybody online and unwatched gets a new full timeout.
static bool watch_again(void *user, const struct state_worker *worker) {
    struct node *node = user;
    if (worker->online && !liveness_watches(node->liveness, worker->slot)) {
        liveness_watch(node->liveness, worker->slot, node->now_us);
    }
    return true;
}

void workers_lost(struct node *node) {
    forget_changes(node);
    if (node->serving_workers) {
        state_workers(node->state, slice_of(NULL, 0), watch_again, node);
    }
}

bool node_worker_last_seen(const struct node *node, uint32_t slot, int64_t *unix_ms) {
    uint64_t heard_us;
    if (!node->serving_workers || !liveness_last_heard(node->liveness, slot, &heard_us)) {
        return false;
    }
    *unix_ms = node_wall_ms() - (int64_t)((node_clock_us() - heard_us) / US_PER_MS);
    return true;
}
