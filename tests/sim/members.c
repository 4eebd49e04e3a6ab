// Changes of members: proposed at random, most of them allowed, some not; and what must be true of those that are committed.
#include "base/mem.h"
#include "sim.h"

static struct raft_member *find(struct raft_configuration *members, const struct raft_id *id) {
    for (size_t i = 0; i < members->count; i++) {
        if (raft_id_equal(&members->members[i].id, id)) {
            return &members->members[i];
        }
    }
    return NULL;
}

static void change(struct sim *sim, struct raft_configuration *members) {
    const struct raft_id *id = &sim->nodes[sim_between(sim, 0, sim->node_count - 1)].id;
    struct raft_member *member = find(members, id);
    if (member == NULL) {
        members->members[members->count++] = (struct raft_member){.id = *id, .voter = sim_chance(sim, 4)};
    } else if (sim_chance(sim, 3)) {
        *member = members->members[--members->count];
    } else {
        member->voter = !member->voter;
    }
}

void sim_propose_members(struct sim *sim, size_t node, const struct raft_configuration *members) {
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.tag = ++sim->tags;
    event.propose.count = 1;
    event.propose.entries = mem_alloc(sizeof *event.propose.entries);
    event.propose.entries[0] = sim_configuration_entry(sim, (struct raft_entry_id){0}, members);
    sim_host_event(sim, node, event);
}

void sim_change_members(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    if (host->core == NULL) {
        return;
    }
    raft_index index;
    struct raft_configuration members = *raft_configuration(host->core, &index);
    change(sim, &members);
    if (sim_chance(sim, 8)) {
        change(sim, &members);  // often more than one voter at a time
    }
    sim_propose_members(sim, node, &members);
}

static size_t voters_lacking(struct raft_configuration *one, struct raft_configuration *other) {
    size_t count = 0;
    for (size_t i = 0; i < one->count; i++) {
        const struct raft_member *there = find(other, &one->members[i].id);
        count += one->members[i].voter && (there == NULL || !there->voter);
    }
    return count;
}

void sim_members_committed(struct sim *sim, size_t node, const struct raft_entry *entry) {
    struct raft_configuration before;
    struct raft_configuration after;
    if (entry->type != RAFT_ENTRY_CONFIGURATION || entry->id.index == sim->history.founded[sim->nodes[node].generation] ||
        sim_history_members(sim, node, entry->id.index - 1, &before) == 0) {
        return;
    }
    configuration_read(raft_entry_command(entry), &after);
    if (voters_lacking(&before, &after) + voters_lacking(&after, &before) > 1) {
        sim_break(sim, node, "commits a change of more than one voter at index %llu", (unsigned long long)entry->id.index);
    }
    sim->counts.changes++;
}

size_t sim_members_having(const struct sim *sim, size_t node, const struct raft_entry *entry, size_t *voters) {
    raft_index index;
    const struct raft_configuration *members = raft_configuration(sim->nodes[node].core, &index);
    size_t having = 0;
    *voters = 0;
    for (size_t i = 0; i < members->count; i++) {
        if (members->members[i].voter) {
            ++*voters;
            having += sim_disk_holds(&sim->nodes[sim_index_of(sim, &members->members[i].id)].disk, entry);
        }
    }
    return having;
}

void sim_members_removed(struct sim *sim, size_t node, bool removed) {
    struct sim_node *host = &sim->nodes[node];
    struct raft_configuration committed = {.count = 0};
    sim_history_members(sim, node, host->commit_index, &committed);
    if (removed && find(&committed, &host->id) != NULL) {
        sim_break(sim, node, "is removed, although the configuration committed at %llu has it",
                  (unsigned long long)host->commit_index);
    }
    sim->counts.removals += removed && !host->removed;
    host->removed = removed;
}
