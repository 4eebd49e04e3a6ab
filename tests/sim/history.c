// The checks across nodes.
#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "sim.h"

struct leader_of {
    raft_term term;
    size_t node;
};

struct committed {
    struct raft_entry *entry;
    raft_term by;  // the term in which it was first seen committed: leaders of later terms must have it
};

void sim_history_init(struct sim *sim) {
    for (size_t i = 0; i < SIM_GENERATIONS_MAX; i++) {
        sim->history.committed[i] = raft_queue_of(sizeof(struct committed));
    }
    sim->history.leaders = raft_queue_of(sizeof(struct leader_of));
}

static struct raft_queue *history_of(struct sim *sim, size_t node) {
    return &sim->history.committed[sim->nodes[node].generation];
}

static struct committed *committed_at(const struct sim *sim, size_t node, raft_index index) {
    return raft_queue_at(&sim->history.committed[sim->nodes[node].generation], index - 1);
}

void sim_history_free(struct sim *sim) {
    struct sim_history *history = &sim->history;
    for (size_t i = 0; i < history->known_count; i++) {
        for (size_t j = 0; j < history->known[i].count; j++) {
            raft_entry_unref(((struct sim_known *)raft_queue_at(&history->known[i], j))->entry);
        }
        raft_queue_free(&history->known[i]);
    }
    free(history->known);
    for (size_t i = 0; i < SIM_GENERATIONS_MAX; i++) {
        for (struct committed *committed; (committed = raft_queue_front(&history->committed[i])) != NULL;) {
            raft_entry_unref(committed->entry);
            raft_queue_pop(&history->committed[i]);
        }
        raft_queue_free(&history->committed[i]);
    }
    raft_queue_free(&history->leaders);
}

raft_index sim_history_members(const struct sim *sim, size_t node, raft_index index, struct raft_configuration *out) {
    for (; index > 0; index--) {
        const struct raft_entry *entry = committed_at(sim, node, index)->entry;
        if (entry->type == RAFT_ENTRY_CONFIGURATION) {
            configuration_read(raft_entry_command(entry), out);
            return index;
        }
    }
    return 0;
}

struct raft_entry *sim_history_at(const struct sim *sim, size_t node, raft_index index) {
    return index == 0 || index > sim_history_length(sim, node) ? NULL : committed_at(sim, node, index)->entry;
}

raft_index sim_history_length(const struct sim *sim, size_t node) {
    return sim->history.committed[sim->nodes[node].generation].count;
}

bool sim_history_same(const struct raft_entry *a, const struct raft_entry *b) {
    return a->id.term == b->id.term && a->id.index == b->id.index && a->type == b->type &&
           slice_equal(raft_entry_command(a), raft_entry_command(b));
}

void sim_history_found(struct sim *sim, size_t node, raft_index index) {
    const struct sim_disk *disk = &sim->nodes[node].disk;
    const struct raft_queue *before = history_of(sim, node);
    struct raft_queue *fresh = &sim->history.committed[sim->generations];
    sim->history.founded[sim->generations] = index;
    for (size_t i = 0; i < before->count && i + 1 < index; i++) {
        const struct committed *committed = raft_queue_at(before, i);
        if (!sim_disk_holds(disk, committed->entry)) {
            return;  // lost, with all after it
        }
        struct committed *kept = raft_queue_push(fresh);
        *kept = (struct committed){.entry = raft_entry_ref(committed->entry), .by = committed->by};
    }
}

// --- log matching ---

static struct raft_queue *known_at(struct sim_history *history, raft_index index) {
    array_reserve(history->known, history->known_cap, index + 1);
    while (history->known_count <= index) {
        history->known[history->known_count++] = raft_queue_of(sizeof(struct sim_known));
    }
    return &history->known[index];
}

// By induction over the index: equal index and term with equal predecessors means equal logs up to there.
static void check_known(struct sim *sim, size_t node, struct raft_entry *entry, raft_term prev_term) {
    struct raft_queue *known = known_at(&sim->history, entry->id.index);
    for (size_t i = 0; i < known->count; i++) {
        const struct sim_known *other = raft_queue_at(known, i);
        if (other->entry->id.term != entry->id.term) {
            continue;
        }
        if (!sim_history_same(other->entry, entry) || other->prev_term != prev_term) {
            sim_break(sim, node, "two logs differ at index %llu of term %llu", (unsigned long long)entry->id.index,
                      (unsigned long long)entry->id.term);
        }
        return;
    }
    struct sim_known *fresh = raft_queue_push(known);
    *fresh = (struct sim_known){.entry = raft_entry_ref(entry), .prev_term = prev_term};
}

void sim_history_stored(struct sim *sim, size_t node, const struct raft_persist *persist) {
    for (size_t i = 0; i < persist->count; i++) {
        struct raft_entry *entry = persist->entries[i];
        raft_term prev_term = 0;
        if (i > 0) {
            prev_term = persist->entries[i - 1]->id.term;
        } else if (entry->id.index > 1) {
            const struct raft_entry *prev = raft_entry_at(sim->nodes[node].core, entry->id.index - 1);
            prev_term = prev == NULL ? raft_base(sim->nodes[node].core).term : prev->id.term;
        }
        check_known(sim, node, entry, prev_term);
    }
}

// --- state machine safety, durability ---

void sim_history_committed(struct sim *sim, size_t node, raft_index from, raft_index to) {
    for (raft_index index = from; index <= to && !sim->broken; index++) {
        struct raft_entry *entry = raft_entry_at(sim->nodes[node].core, index);
        if (index <= sim_history_length(sim, node)) {
            if (!sim_history_same(entry, committed_at(sim, node, index)->entry)) {
                sim_break(sim, node, "commits another entry at index %llu than was committed before",
                          (unsigned long long)index);
            }
            continue;
        }
        size_t voters;
        size_t having = sim_members_having(sim, node, entry, &voters);
        if (having < voters / 2 + 1) {
            sim_break(sim, node, "commits index %llu, which is on the disks of %zu voters of %zu", (unsigned long long)index,
                      having, voters);
        }
        sim_members_committed(sim, node, entry);
        struct committed *committed = raft_queue_push(history_of(sim, node));
        *committed = (struct committed){.entry = raft_entry_ref(entry), .by = raft_current_term(sim->nodes[node].core)};
        sim->counts.committed++;
    }
}

// --- election safety, leader completeness ---

static void check_complete(struct sim *sim, size_t node, raft_term term) {
    struct raft_entry_id base = raft_base(sim->nodes[node].core);
    if (base.index > sim_history_length(sim, node) ||
        (base.index > 0 && committed_at(sim, node, base.index)->entry->id.term != base.term)) {
        sim_break(sim, node, "has a base, %llu, that is not committed", (unsigned long long)base.index);
    }
    for (raft_index index = base.index + 1; index <= sim_history_length(sim, node) && !sim->broken; index++) {
        const struct committed *committed = committed_at(sim, node, index);
        const struct raft_entry *entry = raft_entry_at(sim->nodes[node].core, index);
        if (committed->by < term && (entry == NULL || !sim_history_same(entry, committed->entry))) {
            sim_break(sim, node, "is elected without the committed entry %llu", (unsigned long long)index);
        }
    }
}

void sim_history_led(struct sim *sim, size_t node, raft_term term) {
    struct raft_queue *leaders = &sim->history.leaders;
    for (size_t i = 0; i < leaders->count; i++) {
        const struct leader_of *other = raft_queue_at(leaders, i);
        if (other->term == term) {
            sim_break(sim, node, "is elected in term %llu, in which %s was", (unsigned long long)term,
                      sim->nodes[other->node].id.text);
        }
    }
    if (sim->nodes[node].resigned) {
        sim_break(sim, node, "is elected in term %llu, but has resigned", (unsigned long long)term);
    }
    struct leader_of *fresh = raft_queue_push(leaders);
    *fresh = (struct leader_of){.term = term, .node = node};
    sim->counts.leaders++;
    const struct raft_node *core = sim->nodes[node].core;
    if (raft_state(core) == RAFT_LEADER && raft_current_term(core) == term) {
        check_complete(sim, node, term);  // otherwise it has stepped down within the step, and its log may have changed
    }
}

// --- claims ---

void sim_history_promised(struct sim *sim, size_t node, const struct raft_message *message) {
    const struct sim_disk *disk = &sim->nodes[node].disk;
    const struct raft_hard_state *hard_state = &disk->hard_state;
    bool vote = message->type == RAFT_REQUEST_VOTE_REPLY && message->vote_reply.granted && !message->vote_reply.pre_vote;
    bool candidacy = message->type == RAFT_REQUEST_VOTE && !message->request_vote.pre_vote;
    bool append = message->type == RAFT_APPEND_ENTRIES_REPLY && message->append_reply.success;
    bool snapshot = message->type == RAFT_INSTALL_SNAPSHOT_REPLY && message->snapshot_reply.done;
    if (!vote && !candidacy && !append && !snapshot) {
        return;
    }
    if (hard_state->current_term < message->term) {
        sim_break(sim, node, "sends a message of term %llu before the term is durable", (unsigned long long)message->term);
    }
    if (hard_state->current_term != message->term) {
        return;  // a claim of an earlier term binds no longer
    }
    const struct raft_id *voted_for = candidacy ? &message->from : &message->to;
    if ((vote || candidacy) && !raft_id_equal(&hard_state->voted_for, voted_for)) {
        sim_break(sim, node, "sends a vote before it is durable");
    }
    raft_index match_index = 0;
    if (append || snapshot) {
        match_index = append ? message->append_reply.match_index : message->snapshot_reply.match_index;
    }
    if (disk->base.index + disk->count < match_index) {
        sim_break(sim, node, "acknowledges index %llu, with %zu entries on its disk", (unsigned long long)match_index,
                  disk->count);
    }
}
