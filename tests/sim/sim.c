// Time, the event loop, the network.
#include "sim.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/array.h"

uint64_t sim_seed(uint64_t otherwise) {
    const char *text = getenv("BATON_SEED");
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

bool sim_skips(uint64_t seed) {
    return sim_seed(seed) != seed;
}

void sim_break(struct sim *sim, size_t node, const char *format, ...) {
    if (sim->broken) {
        return;
    }
    sim->broken = true;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "broken: BATON_SEED=%llu, at %.3f ms, %s: ", (unsigned long long)sim->config.seed,
            (double)sim->now_us / 1000, sim->nodes[node].id.text);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static uint64_t latest_seed;

// In place of the C library's: a core that fails an assertion breaks the run, too, and its seed is to be known.
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) {
    fprintf(stderr, "broken: BATON_SEED=%llu: %s:%u: %s: %s\n", (unsigned long long)latest_seed, file, line, function,
            assertion);
    abort();
}

bool sim_broken(const struct sim *sim) {
    return sim->broken;
}

uint64_t sim_now(const struct sim *sim) {
    return sim->now_us;
}

uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max) {
    return rng_between(&sim->rng, min, max);
}

bool sim_chance(struct sim *sim, uint64_t n) {
    return sim_between(sim, 1, n) == 1;
}

// --- the heap of events ---

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b) {
    struct sim_event held = *a;
    *a = *b;
    *b = held;
}

void sim_schedule(struct sim *sim, struct sim_event event) {
    assert(event.at_us >= sim->now_us);
    array_reserve(sim->heap, sim->heap_capacity, sim->heap_count + 1);
    event.order = sim->order++;
    size_t i = sim->heap_count++;
    sim->heap[i] = event;
    for (; i > 0 && is_before(&sim->heap[i], &sim->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&sim->heap[i], &sim->heap[(i - 1) / 2]);
    }
}

static struct sim_event take_first(struct sim *sim) {
    struct sim_event first = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < sim->heap_count; child++) {
            least = is_before(&sim->heap[child], &sim->heap[least]) ? child : least;
        }
        if (least == i) {
            return first;
        }
        swap(&sim->heap[i], &sim->heap[least]);
        i = least;
    }
}

// Schedules a turn of the node, unless an earlier one is scheduled.
void sim_wake(struct sim *sim, size_t node, uint64_t at_us) {
    struct sim_node *host = &sim->nodes[node];
    at_us = at_us > sim->now_us ? at_us : sim->now_us;
    at_us = at_us > host->paused_until_us ? at_us : host->paused_until_us;
    if (at_us >= host->turn_us) {
        return;
    }
    host->turn_us = at_us;
    sim_schedule(sim, (struct sim_event){.at_us = at_us, .type = SIM_TURN, .node = node, .life = host->life});
}

// --- the network ---

size_t sim_index_of(const struct sim *sim, const struct raft_id *id) {
    size_t i = 0;
    while (!raft_id_equal(&sim->nodes[i].id, id)) {
        i++;
        assert(i < sim->node_count);
    }
    return i;
}

struct raft_entry **sim_copy_entries(struct raft_entry *const *entries, size_t count) {
    if (count == 0) {
        return NULL;
    }
    struct raft_entry **copy = mem_alloc(count * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = raft_entry_ref(entries[i]);
    }
    return copy;
}

void sim_message_drop(struct sim_message *message) {
    if (message->message.type != RAFT_APPEND_ENTRIES) {
        return;
    }
    for (size_t i = 0; i < message->message.append.count; i++) {
        raft_entry_unref(message->message.append.entries[i]);
    }
    free(message->message.append.entries);
}

static bool is_request(const struct raft_message *message) {
    return message->type == RAFT_REQUEST_VOTE || message->type == RAFT_APPEND_ENTRIES || message->type == RAFT_TIMEOUT_NOW ||
           message->type == RAFT_INSTALL_SNAPSHOT;
}

// In half of the cases the request's sender is told, a while later.
static void lose(struct sim *sim, struct sim_message *message) {
    bool request = is_request(&message->message);
    if (sim_chance(sim, 2)) {
        sim_schedule(sim, (struct sim_event){
                              .at_us = sim->now_us + sim_between(sim, 1000, 300000),
                              .type = SIM_SEND_FAILED,
                              .node = request ? message->from : message->to,
                              .life = request ? message->from_life : message->to_life,
                              .peer = request ? message->to : message->from,
                              .call = message->message.call,
                          });
    }
    sim_message_drop(message);
}

static void deliver_later(struct sim *sim, struct sim_message message) {
    const struct sim_config *config = &sim->config;
    uint64_t delay = sim_between(sim, config->delay_min_us, config->delay_max_us);
    if (config->late_permille > 0 && sim_between(sim, 0, 999) < config->late_permille) {
        delay += sim_between(sim, 0, US_PER_S);
    }
    struct sim_message *copy = mem_alloc(sizeof *copy);
    *copy = message;
    sim_schedule(sim, (struct sim_event){
                          .at_us = sim->now_us + delay,
                          .type = SIM_DELIVER,
                          .node = message.to,
                          .life = message.to_life,
                          .message = copy,
                      });
}

// FNV-1a over what distinguishes one run from another.
static void digest(struct sim *sim, const struct sim_message *message) {
    const struct raft_message *m = &message->message;
    uint64_t parts[] = {sim->now_us, message->from, message->to, (uint64_t)m->type, m->term, m->call};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        sim->counts.digest = (sim->counts.digest ^ parts[i]) * UINT64_C(0x100000001b3);
    }
}

void sim_send(struct sim *sim, struct sim_message message) {
    digest(sim, &message);
    if (sim->cut[message.from][message.to] || sim_between(sim, 0, 999) < sim->config.loss_permille) {
        lose(sim, &message);
        return;
    }
    if (sim_between(sim, 0, 999) < sim->config.duplicate_permille) {
        struct sim_message again = message;
        if (message.message.type == RAFT_APPEND_ENTRIES) {
            again.message.append.entries = sim_copy_entries(message.message.append.entries, message.message.append.count);
        }
        deliver_later(sim, again);
    }
    deliver_later(sim, message);
}

static void deliver(struct sim *sim, const struct sim_event *event) {
    struct sim_node *host = &sim->nodes[event->node];
    // Lost: the link was cut meanwhile, or the node is down or was restarted.
    if (host->core == NULL || (event->life != 0 && event->life != host->life) ||
        sim->cut[event->message->from][event->node]) {
        lose(sim, event->message);
    } else if (sim_is_of_another_generation(sim, event->message)) {
        lose(sim, event->message);
    } else {
        sim_host_deliver(sim, event->node, event->message);
    }
    free(event->message);
}

void sim_cut(struct sim *sim, size_t from, size_t to, bool cut) {
    sim->cut[from][to] = cut;
}

void sim_isolate(struct sim *sim, size_t node) {
    for (size_t i = 0; i < sim->node_count; i++) {
        sim->cut[node][i] = sim->cut[i][node] = i != node;
    }
}

void sim_heal(struct sim *sim) {
    memset(sim->cut, 0, sizeof sim->cut);
}

// --- the event loop ---

static void handle(struct sim *sim, const struct sim_event *event) {
    struct sim_node *host = &sim->nodes[event->node];
    bool alive = host->core != NULL && event->life == host->life;
    switch (event->type) {
    case SIM_TURN:
        if (alive && event->at_us == host->turn_us) {
            sim_host_turn(sim, event->node);
        }
        return;
    case SIM_DELIVER:
        deliver(sim, event);
        return;
    case SIM_SEND_FAILED:
        if (alive) {
            struct raft_event failed = {.type = RAFT_EVENT_SEND_FAILED};
            failed.send_failed.peer = sim->nodes[event->peer].id;
            failed.send_failed.call = event->call;
            sim_host_event(sim, event->node, failed);
        }
        return;
    case SIM_LOST:
        if (alive && !sim->cut[event->peer][event->node]) {
            sim_host_event(sim, event->node,
                           (struct raft_event){.type = RAFT_EVENT_LOST, .lost_peer = sim->nodes[event->peer].id});
        }
        return;
    case SIM_MET:
        if (alive && sim->nodes[event->peer].core != NULL && !sim->cut[event->peer][event->node]) {
            sim_host_event(sim, event->node, (struct raft_event){.type = RAFT_EVENT_MET});
        }
        return;
    case SIM_DISK:
        if (alive) {
            sim_disk_done(sim, event->node);
        }
        return;
    case SIM_SNAPSHOT_TAKEN:
        if (alive) {
            sim_snapshot_taken(sim, event->node, event);
        }
        return;
    case SIM_SNAPSHOT_LOADED:
        if (alive) {
            sim_snapshot_loaded(sim, event->node, event);
        }
        return;
    }
}

static bool run_to(struct sim *sim, uint64_t until_us, bool (*condition)(struct sim *sim)) {
    while (!sim->broken && sim->heap_count > 0 && sim->heap[0].at_us <= until_us) {
        struct sim_event event = take_first(sim);
        sim->now_us = event.at_us;
        handle(sim, &event);
        if (condition != NULL && condition(sim)) {
            return !sim->broken;
        }
    }
    if (!sim->broken) {
        sim->now_us = until_us;
    }
    return !sim->broken && condition == NULL;
}

bool sim_run(struct sim *sim, uint64_t duration_us) {
    return run_to(sim, sim->now_us + duration_us, NULL);
}

bool sim_run_until(struct sim *sim, bool (*condition)(struct sim *sim), uint64_t limit_us) {
    return run_to(sim, sim->now_us + limit_us, condition);
}

// --- creation ---

struct sim *sim_new(const struct sim_config *config) {
    struct sim *sim = mem_zalloc(sizeof *sim);
    latest_seed = config->seed;
    sim->config = *config;
    sim->rng.state = config->seed;
    sim->slab = raft_slab_new();
    sim->node_count = config->voters + config->learners + config->outside;
    assert(sim->node_count <= SIM_NODES_MAX);
    sim->calls = raft_queue_of(sizeof(struct sim_call));
    sim->trace = getenv("BATON_SIM_TRACE") != NULL;
    sim->now_us = US_PER_S;
    sim->generations = 1;
    sim_history_init(sim);
    for (size_t i = 0; i < sim->node_count; i++) {
        char name[24];
        snprintf(name, sizeof name, "n%zu", i + 1);
        sim->nodes[i].id = raft_id_of(slice_of_str(name));
        if (i < config->voters + config->learners) {
            sim->founders.members[i] = (struct raft_member){.id = sim->nodes[i].id, .voter = i < config->voters};
            sim->founders.count++;
        }
    }
    for (size_t i = 0; i < sim->node_count; i++) {
        sim_host_init(sim, i);
        sim_restart(sim, i);
    }
    return sim;
}

void sim_free(struct sim *sim) {
    for (size_t i = 0; i < sim->heap_count; i++) {
        if (sim->heap[i].type == SIM_DELIVER) {
            sim_message_drop(sim->heap[i].message);
            free(sim->heap[i].message);
        }
    }
    for (size_t i = 0; i < sim->node_count; i++) {
        sim_host_free(sim, i);
    }
    sim_history_free(sim);
    raft_queue_free(&sim->calls);
    free(sim->heap);
    raft_slab_free(sim->slab);
    free(sim);
}

struct raft_node *sim_core(struct sim *sim, size_t node) {
    return sim->nodes[node].core;
}

size_t sim_node_count(const struct sim *sim) {
    return sim->node_count;
}

size_t sim_leader(const struct sim *sim) {
    size_t leader = SIZE_MAX;
    raft_term term = 0;
    for (size_t i = 0; i < sim->node_count; i++) {
        const struct raft_node *core = sim->nodes[i].core;
        if (core != NULL && raft_state(core) == RAFT_LEADER && raft_current_term(core) > term) {
            leader = i;
            term = raft_current_term(core);
        }
    }
    return leader;
}

bool sim_is_settled(struct sim *sim) {
    size_t leader = sim_leader(sim);
    if (leader == SIZE_MAX || !raft_leader_is_established(sim->nodes[leader].core)) {
        return false;
    }
    raft_index last = raft_last_log(sim->nodes[leader].core).index;
    raft_index index;
    const struct raft_configuration *members = raft_configuration(sim->nodes[leader].core, &index);
    for (size_t i = 0; i < members->count; i++) {
        const struct raft_node *core = sim->nodes[sim_index_of(sim, &members->members[i].id)].core;
        if (core == NULL || raft_commit_index(core) != last || raft_last_log(core).index != last) {
            return false;
        }
    }
    return true;
}

const struct sim_counts *sim_counts(const struct sim *sim) {
    return &sim->counts;
}
