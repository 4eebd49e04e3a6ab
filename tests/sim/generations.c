// Generations of a cluster (node/found.h): a survivor goes on alone, though the others may live on, and write.
//
// Whoever hears of a higher generation goes silent, as a process that is in quarantine. It comes back with an empty disk, as
// of the new generation, and waits to be added.
#include "base/mem.h"
#include "sim.h"

void sim_found(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_disk *disk = &host->disk;
    assert(host->core == NULL && sim->generations < SIM_GENERATIONS_MAX);
    struct raft_entry_id last = disk->count > 0 ? disk->entries[disk->count - 1]->id : disk->base;
    raft_term term = last.term > disk->hard_state.current_term ? last.term : disk->hard_state.current_term;
    struct raft_entry_id founded = {.term = term + GENERATION_TERMS, .index = last.index + 1};
    struct raft_configuration alone = {.members = {{.id = host->id, .voter = true}}, .count = 1};
    sim_history_found(sim, node, founded.index);
    host->generation = sim->generations++;
    struct raft_entry **entries = mem_alloc(sizeof *entries);
    entries[0] = sim_configuration_entry(sim, founded, &alone);
    struct raft_persist persist = {.write = disk->hard_state_write + 1,
                                   .has_hard_state = true,
                                   .hard_state.current_term = founded.term,
                                   .entries = entries,
                                   .count = 1};
    sim_disk_apply(sim, node, &persist);
}

void sim_rejoin(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    assert(host->core == NULL);
    sim_disk_wipe(&host->disk);
    host->generation = sim->generations - 1;
    host->silent = host->set_back = false;
}

bool sim_is_silent(const struct sim *sim, size_t node) {
    return sim->nodes[node].silent;
}

static void silence(struct sim *sim, size_t node) {
    sim->nodes[node].silent = true;
    sim_crash(sim, node);
}

// The sender of a lower generation learns of it by the refusal.
bool sim_is_of_another_generation(struct sim *sim, const struct sim_message *message) {
    size_t from = sim->nodes[message->from].generation;
    size_t to = sim->nodes[message->to].generation;
    if (from == to) {
        return false;
    }
    size_t lower = from < to ? message->from : message->to;
    if (from > to || !sim->cut[message->to][message->from]) {
        silence(sim, lower);
    }
    return true;
}
