// A node's snapshots, as its driver handles them: taken of what is applied, sent in chunks to followers that need one,
// received across restarts and changes of leader, loaded, and reported to the core.
#include "base/mem.h"
#include "sim.h"

enum {
    CHUNKS = 3,               // of each snapshot
    TAKE_MAX_US = 20000,      // until one is durable
    LOAD_MAX_US = 100000,     // until a received one is durable and loaded
    REPLY_WAIT_US = 1000000,  // for the reply to a chunk, before it is sent again
};

// --- taken ---

void sim_snapshot(struct sim *sim, size_t node, raft_index index) {
    struct sim_node *host = &sim->nodes[node];
    struct raft_entry *last = host->core == NULL ? NULL : raft_entry_at(host->core, host->applied);
    if (last == NULL) {
        return;
    }
    sim_schedule(sim, (struct sim_event){
                          .at_us = sim->now_us + sim_between(sim, 0, TAKE_MAX_US),
                          .type = SIM_SNAPSHOT_TAKEN,
                          .node = node,
                          .life = host->life,
                          .snapshot = last->id,
                          .compact = index,
                      });
}

// The snapshot is on the disk, unless a newer one is.
static void store(struct sim *sim, size_t node, struct raft_entry_id last) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    if (last.index > disk->snapshot.index) {
        disk->snapshot = last;
        disk->members_index = sim_history_members(sim, node, last.index, &disk->members);
    }
}

void sim_snapshot_taken(struct sim *sim, size_t node, const struct sim_event *event) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    store(sim, node, event->snapshot);
    // Not more than a snapshot covers; how much of that is durable and applied, the core knows.
    raft_index index = event->compact < disk->snapshot.index ? event->compact : disk->snapshot.index;
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = index});
}

// --- sent ---

static bool same(struct raft_entry_id a, struct raft_entry_id b) {
    return a.index == b.index && a.term == b.term;
}

static void send_chunk(struct sim *sim, size_t node, size_t peer) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_transfer *transfer = &host->transfers[peer];
    if (sim->now_us < transfer->until_us) {
        return;
    }
    if (!same(transfer->last, host->disk.snapshot)) {
        *transfer = (struct sim_transfer){.last = host->disk.snapshot};
    }
    struct sim_message message = {.from = node, .from_life = host->life, .to = peer, .chunk = transfer->chunk};
    if (raft_snapshot_request(host->core, &sim->nodes[peer].id, transfer->last, &message.message)) {
        transfer->until_us = sim->now_us + REPLY_WAIT_US;
        sim_send(sim, message);
    }
}

void sim_snapshot_send(struct sim *sim, size_t node) {
    struct raft_node *core = sim->nodes[node].core;
    struct raft_progress all[MEMBERS_MAX];
    size_t count = raft_state(core) == RAFT_LEADER ? raft_progress(core, all) : 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].needs_snapshot) {
            send_chunk(sim, node, sim_index_of(sim, &all[i].id));
        }
    }
}

void sim_snapshot_replied(struct sim *sim, size_t node, const struct sim_message *reply) {
    struct sim_transfer *transfer = &sim->nodes[node].transfers[reply->from];
    transfer->until_us = 0;
    transfer->chunk = reply->chunk;
}

// --- received ---

unsigned sim_snapshot_store(struct sim *sim, size_t node, const struct raft_message *reply, const struct sim_call *call) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_disk *disk = &host->disk;
    if (!reply->snapshot_reply.accepted || reply->snapshot_reply.done) {
        return 0;
    }
    if (!same(disk->receiving, call->snapshot)) {
        disk->receiving = call->snapshot;
        disk->chunks = 0;
    }
    disk->chunks += disk->chunks == call->chunk && disk->chunks < CHUNKS;
    if (disk->chunks == CHUNKS) {
        sim_schedule(sim, (struct sim_event){
                              .at_us = sim->now_us + sim_between(sim, 0, LOAD_MAX_US),
                              .type = SIM_SNAPSHOT_LOADED,
                              .node = node,
                              .life = host->life,
                              .snapshot = disk->receiving,
                          });
    }
    return disk->chunks;
}

void sim_snapshot_loaded(struct sim *sim, size_t node, const struct sim_event *event) {
    store(sim, node, event->snapshot);
    struct raft_configuration *members = mem_alloc(sizeof *members);  // freed with the event
    struct raft_event installed = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED};
    installed.snapshot.last = event->snapshot;
    installed.snapshot.configuration_index = sim_history_members(sim, node, event->snapshot.index, members);
    installed.snapshot.configuration = members;
    sim_host_event(sim, node, installed);
}

void sim_snapshot_installed(struct sim *sim, size_t node, const struct raft_update *update) {
    struct sim_node *host = &sim->nodes[node];
    const struct raft_entry *committed = sim_history_at(sim, node, update->installed.index);
    if (committed == NULL || committed->id.term != update->installed.term) {
        sim_break(sim, node, "installs a snapshot of %llu, which is not committed",
                  (unsigned long long)update->installed.index);
    }
    if (update->installed.index <= host->commit_index) {
        sim_break(sim, node, "installs a snapshot of %llu, which is older than its state",
                  (unsigned long long)update->installed.index);
    }
    host->commit_index = host->applied = update->installed.index;
    sim->counts.installed++;
    sim->counts.replaced += update->persist.reset.index > 0;
}
