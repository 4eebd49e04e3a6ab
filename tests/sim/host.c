// A node: its turns, its disk, crash and restart.
//
// A turn gives all received events to the core in one step, and fulfils the caller's contract of raft/raft.h.
#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "sim.h"

enum { TURN_DELAY_MAX_US = 300 };  // events received within it often share a turn

// --- messages ---

void sim_host_release(struct sim *sim, size_t node) {
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
        if (message->message.type == RAFT_INSTALL_SNAPSHOT) {
            call->snapshot = message->message.snapshot.last;
            call->chunk = message->chunk;
        }
        event.message.call = sim->calls.count;
    } else if (message->message.type == RAFT_INSTALL_SNAPSHOT_REPLY) {
        sim_snapshot_replied(sim, node, message);
    }
    sim_host_event(sim, node, event);
}

static bool is_reply(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE_REPLY || message->type == RAFT_APPEND_ENTRIES_REPLY ||
           message->type == RAFT_TIMEOUT_NOW_REPLY || message->type == RAFT_INSTALL_SNAPSHOT_REPLY;
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
        if (message->type == RAFT_INSTALL_SNAPSHOT_REPLY) {
            out.chunk = sim_snapshot_store(sim, node, message, call);
        }
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
    sim_host_release(sim, node);  // its write may be durable although the core has not been told yet
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

// Only a disk that was set back has lost what was durable on it.
static void check_forgot(struct sim *sim, size_t node) {
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = raft_progress(sim->nodes[node].core, progress);
    for (size_t i = 0; i < count; i++) {
        size_t peer = sim_index_of(sim, &progress[i].id);
        if (progress[i].forgot.index == 0) {
            continue;
        }
        if (!sim->nodes[peer].set_back) {
            sim_break(sim, node, "%s is said to have lost entry %llu, but its disk has never been set back",
                      progress[i].id.text, (unsigned long long)progress[i].forgot.index);
        }
        sim->nodes[peer].found_out = true;
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
    raft_step(host->core, sim_clock(sim, node), raft_queue_front(&events), events.count, &update);
    const char *broken = raft_check_invariants(host->core);
    if (broken != NULL) {
        sim_break(sim, node, "%s", broken);
    }
    check_replies(sim, node, raft_queue_front(&events), events.count, &update);
    bool resigned = false;
    for (size_t i = 0; i < events.count; i++) {
        const struct raft_event *event = raft_queue_at(&events, i);
        if (event->type == RAFT_EVENT_MESSAGE && event->message.type == RAFT_APPEND_ENTRIES) {
            free(event->message.append.entries);
        }
        if (event->type == RAFT_EVENT_PROPOSE) {
            free(event->propose.entries);
        }
        if (event->type == RAFT_EVENT_SNAPSHOT_INSTALLED) {
            free((void *)event->snapshot.configuration);
        }
        resigned |= event->type == RAFT_EVENT_RESIGN;
    }
    raft_queue_free(&events);
    if (update.has_persist) {
        sim_history_stored(sim, node, &update.persist);
        sim_disk_submit(sim, node, &update.persist);
    }
    if (update.peer_forgot) {
        check_forgot(sim, node);
    }
    take_transitions(sim, node, &update);
    host->resigned |= resigned;
    send_all(sim, node, &update);
    if (update.installed.index > 0) {
        sim_snapshot_installed(sim, node, &update);
    }
    sim_history_committed(sim, node, host->commit_index + 1, update.commit_index);
    host->commit_index = update.commit_index;
    sim_members_removed(sim, node, update.removed);
    sim_disk_compact(sim, node);
    sim_snapshot_send(sim, node);
    take_reads(sim, node, &update);
    sim->counts.transfers_done += update.transfer == RAFT_TRANSFER_DONE;
    apply(sim, node);
    // "At once" is a little later, so that time advances.
    uint64_t next_us = sim_clock_shows(sim, node, update.next_tick_us);
    sim_wake(sim, node, next_us > sim->now_us ? next_us : sim->now_us + 20);
}

// --- clocks ---

uint64_t sim_clock(const struct sim *sim, size_t node) {
    return sim->now_us * (uint64_t)(1000 + sim->nodes[node].drift_permille) / 1000;
}

uint64_t sim_clock_shows(const struct sim *sim, size_t node, uint64_t node_us) {
    uint64_t rate = (uint64_t)(1000 + sim->nodes[node].drift_permille);
    return (node_us * 1000 + rate - 1) / rate;
}

// --- crash and restart ---

static bool has_leases(const struct sim *sim, size_t node) {
    return sim->config.leases && !(sim->config.one_without && node == 1);
}

void sim_host_init(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    host->inbox = raft_queue_of(sizeof(struct raft_event));
    host->held = raft_queue_of(sizeof(struct sim_message));
    host->reads = raft_queue_of(sizeof(struct sim_pending_read));
    host->disk.writes = raft_queue_of(sizeof(struct sim_disk_write));
    host->turn_us = UINT64_MAX;
    host->selfish = sim->config.selfish;
    host->seed = sim->config.seed;
    uint64_t drift = sim->config.drift_permille;
    if (sim->config.slow_node > 0) {
        host->drift_permille = node + 1 == sim->config.slow_node ? -(int64_t)drift : (int64_t)drift;
    } else if (drift > 0) {
        host->drift_permille = (int64_t)sim_between(sim, 0, 2 * drift) - (int64_t)drift;
    }
    if (node >= sim->founders.count) {
        return;
    }
    // A new cluster: entry 1 of term 1, the configuration, on every node.
    struct raft_entry **entries = mem_alloc(sizeof *entries);
    entries[0] = sim_configuration_entry(sim, (struct raft_entry_id){.term = 1, .index = 1}, &sim->founders);
    struct raft_persist persist = {
        .write = 1, .has_hard_state = true, .hard_state.current_term = 1, .entries = entries, .count = 1};
    sim_history_stored(sim, node, &persist);
    sim_disk_apply(sim, node, &persist);
}

// Who prefers whom as leader: as the seed says, or each itself.
static bool decode_configuration(void *user, struct slice command, struct raft_configuration *out) {
    const struct sim_node *host = user;
    bool readable = configuration_read(command, out);
    for (size_t i = 0; i < out->count; i++) {
        struct raft_member *member = &out->members[i];
        uint64_t number = strtoull(member->id.text + 1, NULL, 10) - 1;
        member->preferred = host->selfish ? raft_id_equal(&member->id, &host->id) : (host->seed >> number & 1) != 0;
    }
    return readable;
}

// The node learns of its connection to the peer, a one-way delay later.
static void tell_of_connection(struct sim *sim, size_t node, size_t peer, enum sim_event_type type) {
    sim_schedule(sim, (struct sim_event){
                          .at_us = sim->now_us + sim_between(sim, 100, 60000),
                          .type = type,
                          .node = node,
                          .life = sim->nodes[node].life,
                          .peer = peer,
                      });
}

void sim_restart(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->core != NULL || host->silent) {
        return;
    }
    host->life++;
    host->resigns = host->resigned = false;
    host->durable_write = 0;
    host->disk.hard_state_write = 0;
    sim_disk_recover(sim, node);
    host->commit_index = host->disk.snapshot.index;
    host->applied = host->disk.snapshot.index;
    host->removed = false;
    host->paused_until_us = 0;
    host->turn_us = UINT64_MAX;
    struct raft_config config = {
        .id = host->id,
        .configuration = host->disk.members,
        .configuration_index = host->disk.members_index,
        .decode_configuration = decode_configuration,
        .user = host,
        .seed = rng_next(&sim->rng),
        .election_timeout_min_us = ELECTION_TIMEOUT_MIN_US,
        .election_timeout_max_us = ELECTION_TIMEOUT_MAX_US,
        .heartbeat_interval_us = HEARTBEAT_INTERVAL_US,
        .quorum_timeout_us = QUORUM_TIMEOUT_US,
        .lease_reads = has_leases(sim, node),
        .may_have_promised = has_leases(sim, node),
    };
    struct raft_restored restored = {
        .hard_state = host->disk.hard_state,
        .base = host->disk.base,
        .count = host->disk.count,
        .applied = host->disk.snapshot.index,
    };
    restored.entries = sim_copy_entries(host->disk.entries, host->disk.count);
    host->core = raft_new(&config, sim->slab, &restored, sim_clock(sim, node));
    free(restored.entries);
    if (host->disk.full) {
        sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = RAFT_STORAGE_FULL});
    }
    for (size_t i = 0; i < sim->node_count; i++) {
        if (i != node && sim->nodes[i].core != NULL) {
            tell_of_connection(sim, i, node, SIM_MET);
            tell_of_connection(sim, node, i, SIM_MET);
        }
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
        if (event->type == RAFT_EVENT_SNAPSHOT_INSTALLED) {
            free((void *)event->snapshot.configuration);
        }
        raft_queue_pop(&host->inbox);
    }
}

// What the others see, a one-way delay later, when the node's process has died; its connections may also be reset without
// that.
void sim_reset_connections(struct sim *sim, size_t node) {
    for (size_t i = 0; i < sim->node_count; i++) {
        if (i != node && sim->nodes[i].core != NULL) {
            tell_of_connection(sim, i, node, SIM_LOST);
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
    memset(host->transfers, 0, sizeof host->transfers);
    sim_disk_crash(sim, node);
}

void sim_host_free(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    sim_crash(sim, node);
    sim_disk_free(&host->disk);
    raft_queue_free(&host->inbox);
    raft_queue_free(&host->held);
    raft_queue_free(&host->reads);
}

void sim_pause(struct sim *sim, size_t node, uint64_t duration_us) {
    struct sim_node *host = &sim->nodes[node];
    host->paused_until_us = sim->now_us + duration_us;
}

// --- client requests ---

struct raft_entry *sim_configuration_entry(struct sim *sim, struct raft_entry_id id,
                                           const struct raft_configuration *configuration) {
    char text[CONFIGURATION_TEXT_MAX];
    configuration_write(configuration, text);
    struct raft_entry *entry = raft_entry_new(sim->slab, RAFT_ENTRY_CONFIGURATION, id, strlen(text));
    memcpy(entry->data, text, strlen(text));
    return entry;
}

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
    asked->committed = sim_history_length(sim, node);
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_READ, .read.tag = asked->tag});
}

void sim_transfer(struct sim *sim, size_t node, size_t target) {
    if (sim->nodes[node].core == NULL) {
        return;
    }
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_TRANSFER, .transfer.target = sim->nodes[target].id});
}

void sim_resign(struct sim *sim, size_t node, size_t target) {
    struct raft_event event = {.type = RAFT_EVENT_RESIGN};
    if (sim->nodes[node].core == NULL) {
        return;
    }
    sim->nodes[node].resigns = true;
    if (target != SIZE_MAX) {
        event.resign.hand_over = true;
        event.resign.target = sim->nodes[target].id;
    }
    sim_host_event(sim, node, event);
}
