// A node: its turns, its disk, crash and restart.
//
// A turn gives all received events to the core in one step, and fulfils the caller's contract of raft/raft.h. The disk
// completes writes in order, each after a while; a crash loses all or a last part of the writes in progress.
#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "sim.h"

enum { TURN_DELAY_MAX_US = 300 };  // events received within it often share a turn

// --- the disk ---

static void disk_cut(struct sim_disk *disk, size_t count) {
    while (disk->count > count) {
        raft_entry_unref(disk->entries[--disk->count]);
    }
}

// Takes the write's entries.
static void disk_apply(struct sim *sim, size_t node, struct raft_persist *persist) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    if (persist->has_hard_state && persist->write > disk->hard_state_write) {
        if (persist->hard_state.current_term < disk->hard_state.current_term) {
            sim_break(sim, node, "an older term is written over a newer one");
        }
        disk->hard_state = persist->hard_state;
        disk->hard_state_write = persist->write;
    }
    for (size_t i = 0; i < persist->count; i++) {
        raft_index index = persist->entries[i]->id.index;
        if (index > disk->count + 1) {
            sim_break(sim, node, "a write leaves a gap before index %llu", (unsigned long long)index);
        }
        disk_cut(disk, index - 1);
        array_reserve(disk->entries, disk->capacity, disk->count + 1);
        disk->entries[disk->count++] = persist->entries[i];
    }
    free((void *)persist->entries);
}

static void disk_drop(struct raft_persist *persist) {
    for (size_t i = 0; i < persist->count; i++) {
        raft_entry_unref(persist->entries[i]);
    }
    free((void *)persist->entries);
}

static void schedule_disk(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    const struct sim_disk_write *write = raft_queue_front(&host->disk.writes);
    if (write == NULL) {
        return;
    }
    if (host->disk.full) {
        write = raft_queue_at(&host->disk.writes, host->disk.writes.count - 1);
    }
    uint64_t at_us = write->done_us > sim->now_us ? write->done_us : sim->now_us;
    at_us = at_us > host->disk.stuck_until_us ? at_us : host->disk.stuck_until_us;
    sim_schedule(sim, (struct sim_event){.at_us = at_us, .type = SIM_DISK, .node = node, .life = host->life});
}

static void submit(struct sim *sim, size_t node, const struct raft_persist *persist) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    struct sim_disk_write *write = raft_queue_push(&disk->writes);
    write->persist = *persist;
    write->persist.entries = sim_copy_entries(persist->entries, persist->count);
    write->done_us = sim->now_us + sim_between(sim, sim->config.disk_min_us, sim->config.disk_max_us);
    schedule_disk(sim, node);
}

static void release_held(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    size_t count = host->held.count;
    for (size_t i = 0; i < count; i++) {
        struct sim_message message = *(struct sim_message *)raft_queue_front(&host->held);
        raft_queue_pop(&host->held);
        if (!raft_may_leave(&message.message, host->durable_write, host->disk.hard_state_write)) {
            *(struct sim_message *)raft_queue_push(&host->held) = message;
            continue;
        }
        sim_history_promised(sim, node, &message.message);
        sim_send(sim, message);
    }
}

// On a full disk, hard state is still written, ahead of entries that wait.
static void write_hard_state_ahead(struct sim *sim, size_t node) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    for (size_t i = 0; i < disk->writes.count; i++) {
        const struct sim_disk_write *write = raft_queue_at(&disk->writes, i);
        struct raft_persist hard_state = write->persist;
        hard_state.entries = NULL;
        hard_state.count = 0;
        if (write->done_us <= sim->now_us) {
            disk_apply(sim, node, &hard_state);
        }
    }
    release_held(sim, node);
}

void sim_host_disk_done(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_disk *disk = &host->disk;
    if (disk->stuck_until_us > sim->now_us) {
        schedule_disk(sim, node);
        return;
    }
    if (disk->full) {
        write_hard_state_ahead(sim, node);
        return;
    }
    uint64_t before = host->durable_write;
    for (struct sim_disk_write *write; (write = raft_queue_front(&disk->writes)) != NULL;) {
        if (write->done_us > sim->now_us) {
            break;
        }
        host->durable_write = write->persist.write;
        disk_apply(sim, node, &write->persist);
        raft_queue_pop(&disk->writes);
    }
    schedule_disk(sim, node);
    if (host->durable_write == before) {
        return;
    }
    release_held(sim, node);
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = host->durable_write});
}

void sim_stick_disk(struct sim *sim, size_t node, uint64_t duration_us) {
    sim->nodes[node].disk.stuck_until_us = sim->now_us + duration_us;
}

void sim_fill_disk(struct sim *sim, size_t node, bool full) {
    struct sim_node *host = &sim->nodes[node];
    if (host->disk.full == full) {
        return;
    }
    host->disk.full = full;
    if (host->core != NULL) {
        enum raft_storage storage = full ? RAFT_STORAGE_FULL : RAFT_STORAGE_GOOD;
        sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = storage});
        schedule_disk(sim, node);
    }
}

// --- a turn ---

void sim_host_event(struct sim *sim, size_t node, struct raft_event event) {
    struct sim_node *host = &sim->nodes[node];
    *(struct raft_event *)raft_queue_push(&host->inbox) = event;
    sim_wake(sim, node, sim->now_us + sim_between(sim, 0, TURN_DELAY_MAX_US));
}

void sim_host_deliver(struct sim *sim, size_t node, const struct sim_message *message) {
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE, .message = message->message};
    if (message->to_life == 0) {
        struct sim_call *call = raft_queue_push(&sim->calls);
        *call = (struct sim_call){.from = message->from, .life = message->from_life, .call = message->message.call};
        event.message.call = sim->calls.count;
    }
    sim_host_event(sim, node, event);
}

static bool is_reply(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE_REPLY || message->type == RAFT_APPEND_ENTRIES_REPLY ||
           message->type == RAFT_TIMEOUT_NOW_REPLY;
}

static struct sim_message address(struct sim *sim, size_t node, const struct raft_message *message) {
    struct sim_message out = {.message = *message, .from = node, .from_life = sim->nodes[node].life};
    out.to = sim_index_of(sim, &message->to);
    if (message->type == RAFT_APPEND_ENTRIES) {
        out.message.append.entries = sim_copy_entries(message->append.entries, message->append.count);
    }
    if (is_reply(message)) {
        const struct sim_call *call = raft_queue_at(&sim->calls, message->call - 1);
        if (call->from != out.to) {
            sim_break(sim, node, "a reply goes to another node than its request came from");
        }
        out.message.call = call->call;
        out.to_life = call->life;
    }
    return out;
}

static void send_all(struct sim *sim, size_t node, const struct raft_update *update) {
    for (size_t i = 0; i < update->send_now_count; i++) {
        const struct raft_message *message = &update->send_now[i];
        sim_history_promised(sim, node, message);
        sim_send(sim, address(sim, node, message));
    }
    struct sim_node *host = &sim->nodes[node];
    for (size_t i = 0; i < update->send_after_persist_count; i++) {
        const struct raft_message *message = &update->send_after_persist[i];
        *(struct sim_message *)raft_queue_push(&host->held) = address(sim, node, message);
    }
    release_held(sim, node);  // its write may be durable although the core has not been told yet
}

// Each request among the events has one reply in the update; that to a PreVote may be deferred.
static size_t replies_to(const struct raft_message *messages, size_t count, uint64_t call) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += is_reply(&messages[i]) && messages[i].call == call;
    }
    return found;
}

static void check_replies(struct sim *sim, size_t node, const struct raft_event *events, size_t count,
                          const struct raft_update *update) {
    for (size_t i = 0; i < count; i++) {
        if (events[i].type != RAFT_EVENT_MESSAGE || is_reply(&events[i].message)) {
            continue;
        }
        uint64_t call = events[i].message.call;
        size_t found = replies_to(update->send_now, update->send_now_count, call) +
                       replies_to(update->send_after_persist, update->send_after_persist_count, call);
        bool may_wait = events[i].message.type == RAFT_REQUEST_VOTE && events[i].message.request_vote.pre_vote;
        if (found > 1 || (found == 0 && !may_wait)) {
            sim_break(sim, node, "a request has %zu replies", found);
        }
    }
}

static void take_reads(struct sim *sim, size_t node, const struct raft_update *update) {
    struct sim_node *host = &sim->nodes[node];
    for (size_t i = 0; i < update->read_count; i++) {
        const struct raft_read *read = &update->reads[i];
        size_t at = 0;
        while (at < host->reads.count && ((struct sim_pending_read *)raft_queue_at(&host->reads, at))->tag != read->tag) {
            at++;
        }
        if (at == host->reads.count) {
            sim_break(sim, node, "a read that was not requested is answered, or one is answered twice");
            return;
        }
        struct sim_pending_read *asked = raft_queue_at(&host->reads, at);
        if (read->refusal == RAFT_ACCEPTED && read->index < asked->committed) {
            sim_break(sim, node, "a read at %llu misses what was committed up to %llu when it was asked",
                      (unsigned long long)read->index, (unsigned long long)asked->committed);
        }
        sim->counts.reads_served += read->refusal == RAFT_ACCEPTED;
        *asked = *(struct sim_pending_read *)raft_queue_front(&host->reads);
        raft_queue_pop(&host->reads);
    }
}

static void take_transitions(struct sim *sim, size_t node, const struct raft_update *update) {
    for (size_t i = 0; i < update->transition_count; i++) {
        const struct raft_transition *t = &update->transitions[i];
        if (sim->trace) {
            fprintf(stderr, "%10.3f %s transitioned from %s to %s (term %llu): %s\n", (double)sim->now_us / 1000,
                    sim->nodes[node].id.text, raft_state_name(t->from), raft_state_name(t->to), (unsigned long long)t->term,
                    t->reason);
        }
        if (t->to == RAFT_LEADER) {
            sim_history_led(sim, node, t->term);
        }
    }
}

static void apply(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->applied == host->commit_index || sim_chance(sim, 3)) {
        return;
    }
    host->applied = host->commit_index;
    *(struct raft_event *)raft_queue_push(&host->inbox) =
        (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied_index = host->applied};
}

void sim_host_turn(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    host->turn_us = UINT64_MAX;
    if (host->paused_until_us > sim->now_us) {
        sim_wake(sim, node, host->paused_until_us);
        return;
    }
    struct raft_queue events = host->inbox;
    host->inbox = raft_queue_of(sizeof(struct raft_event));
    struct raft_update update;
    sim->counts.steps++;
    raft_step(host->core, sim->now_us, raft_queue_front(&events), events.count, &update);
    const char *broken = raft_check_invariants(host->core);
    if (broken != NULL) {
        sim_break(sim, node, "%s", broken);
    }
    check_replies(sim, node, raft_queue_front(&events), events.count, &update);
    for (size_t i = 0; i < events.count; i++) {
        const struct raft_event *event = raft_queue_at(&events, i);
        if (event->type == RAFT_EVENT_MESSAGE && event->message.type == RAFT_APPEND_ENTRIES) {
            free(event->message.append.entries);
        }
        if (event->type == RAFT_EVENT_PROPOSE) {
            free(event->propose.entries);
        }
    }
    raft_queue_free(&events);
    if (update.has_persist) {
        sim_history_stored(sim, node, &update.persist);
        submit(sim, node, &update.persist);
    }
    take_transitions(sim, node, &update);
    send_all(sim, node, &update);
    sim_history_committed(sim, node, host->commit_index + 1, update.commit_index);
    host->commit_index = update.commit_index;
    take_reads(sim, node, &update);
    sim->counts.transfers_done += update.transfer == RAFT_TRANSFER_DONE;
    apply(sim, node);
    // "At once" is a little later, so that time advances.
    sim_wake(sim, node, update.next_tick_us > sim->now_us ? update.next_tick_us : sim->now_us + 20);
}

// --- crash and restart ---

void sim_host_init(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    host->inbox = raft_queue_of(sizeof(struct raft_event));
    host->held = raft_queue_of(sizeof(struct sim_message));
    host->reads = raft_queue_of(sizeof(struct sim_pending_read));
    host->disk.writes = raft_queue_of(sizeof(struct sim_disk_write));
    host->turn_us = UINT64_MAX;
    // A new cluster: entry 1 of term 1, the configuration, on every node.
    struct raft_entry_id first = {.term = 1, .index = 1};
    struct raft_entry **entries = mem_alloc(sizeof *entries);
    entries[0] = raft_entry_new(sim->slab, RAFT_ENTRY_CONFIGURATION, first, 0);
    struct raft_persist persist = {
        .write = 1, .has_hard_state = true, .hard_state.current_term = 1, .entries = entries, .count = 1};
    sim_history_stored(sim, node, &persist);
    disk_apply(sim, node, &persist);
}

void sim_restart(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->core != NULL) {
        return;
    }
    host->life++;
    host->durable_write = 0;
    host->disk.hard_state_write = 0;
    host->commit_index = 0;
    host->applied = 0;
    host->paused_until_us = 0;
    host->turn_us = UINT64_MAX;
    struct raft_member members[SIM_NODES_MAX];
    memcpy(members, sim->members, sizeof members);
    for (size_t i = 0; i < sim->node_count && sim->config.selfish; i++) {
        members[i].preferred = i == node;
    }
    struct raft_config config = {
        .id = host->id,
        .members = members,
        .member_count = sim->node_count,
        .seed = rng_next(&sim->rng),
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
    };
    struct raft_restored restored = {.hard_state = host->disk.hard_state, .count = host->disk.count};
    restored.entries = sim_copy_entries(host->disk.entries, host->disk.count);
    host->core = raft_new(&config, sim->slab, &restored, sim->now_us);
    free(restored.entries);
    if (host->disk.full) {
        sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    }
    sim_wake(sim, node, sim->now_us);
}

static void drop_inbox(struct sim_node *host) {
    for (struct raft_event *event; (event = raft_queue_front(&host->inbox)) != NULL;) {
        struct sim_message message = {.message = event->message};
        if (event->type == RAFT_EVENT_MESSAGE) {
            sim_message_drop(&message);
        }
        if (event->type == RAFT_EVENT_PROPOSE) {
            for (size_t i = 0; i < event->propose.count; i++) {
                raft_entry_unref(event->propose.entries[i]);
            }
            free(event->propose.entries);
        }
        raft_queue_pop(&host->inbox);
    }
}

// What the others see, a one-way delay later, when the node's process has died; its connections may also be reset without
// that.
void sim_reset_connections(struct sim *sim, size_t node) {
    for (size_t i = 0; i < sim->node_count; i++) {
        if (i != node && sim->nodes[i].core != NULL) {
            sim_schedule(sim, (struct sim_event){
                                  .at_us = sim->now_us + sim_between(sim, 100, 60000),
                                  .type = SIM_LOST,
                                  .node = i,
                                  .life = sim->nodes[i].life,
                                  .peer = node,
                              });
        }
    }
}

void sim_crash(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->core == NULL) {
        return;
    }
    if (sim->trace) {
        fprintf(stderr, "%10.3f %s crashes\n", (double)sim->now_us / 1000, host->id.text);
    }
    sim_reset_connections(sim, node);
    raft_free(host->core);
    host->core = NULL;
    drop_inbox(host);
    for (struct sim_message *message; (message = raft_queue_front(&host->held)) != NULL; raft_queue_pop(&host->held)) {
        sim_message_drop(message);
    }
    raft_queue_clear(&host->reads);
    // The first of the writes in progress may have reached the disk.
    bool survives = !host->disk.full;
    for (struct sim_disk_write *write; (write = raft_queue_front(&host->disk.writes)) != NULL;) {
        survives = survives && sim_chance(sim, 2);
        if (survives) {
            disk_apply(sim, node, &write->persist);
        } else {
            disk_drop(&write->persist);
        }
        raft_queue_pop(&host->disk.writes);
    }
}

void sim_host_free(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    sim_crash(sim, node);
    disk_cut(&host->disk, 0);
    free(host->disk.entries);
    raft_queue_free(&host->disk.writes);
    raft_queue_free(&host->inbox);
    raft_queue_free(&host->held);
    raft_queue_free(&host->reads);
}

void sim_pause(struct sim *sim, size_t node, uint64_t duration_us) {
    struct sim_node *host = &sim->nodes[node];
    host->paused_until_us = sim->now_us + duration_us;
}

// --- client requests ---

void sim_propose(struct sim *sim, size_t node, size_t entries, size_t bytes) {
    if (sim->nodes[node].core == NULL) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.tag = ++sim->tags;
    event.propose.count = entries;
    event.propose.entries = mem_alloc(entries * sizeof *event.propose.entries);
    for (size_t i = 0; i < entries; i++) {
        struct raft_entry *entry = raft_entry_new(sim->slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){0}, bytes);
        memset(entry->data, 0, bytes);
        uint64_t text = ++sim->tags;
        memcpy(entry->data, &text, bytes < sizeof text ? bytes : sizeof text);
        event.propose.entries[i] = entry;
    }
    sim_host_event(sim, node, event);
}

void sim_read(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->core == NULL) {
        return;
    }
    struct sim_pending_read *asked = raft_queue_push(&host->reads);
    asked->tag = ++sim->tags;
    asked->committed = sim_history_length(sim);
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_READ, .read.tag = asked->tag});
}

void sim_transfer(struct sim *sim, size_t node, size_t target) {
    if (sim->nodes[node].core == NULL) {
        return;
    }
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .transfer.target = sim->nodes[target].id});
}
