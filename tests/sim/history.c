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
    sim->history.committed = raft_queue_of(sizeof(struct committed));
    sim->history.leaders = raft_queue_of(sizeof(struct leader_of));
}

static struct committed *committed_at(const struct sim *sim, raft_index index) {
    return raft_queue_at(&sim->history.committed, index - 1);
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
    for (raft_index index = 1; index <= sim_history_length(sim); index++) {
        raft_entry_unref(committed_at(sim, index)->entry);
    }
    raft_queue_free(&history->committed);
    raft_queue_free(&history->leaders);
}

raft_index sim_history_length(const struct sim *sim) {
    return sim->history.committed.count;
}

static bool same(const struct raft_entry *a, const struct raft_entry *b) {
    return a->id.term == b->id.term && a->id.index == b->id.index && a->type == b->type &&
           slice_equal(raft_entry_command(a), raft_entry_command(b));
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
        if (!same(other->entry, entry) || other->prev_term != prev_term) {
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
            prev_term = raft_entry_at(sim->nodes[node].core, entry->id.index - 1)->id.term;
        }
        check_known(sim, node, entry, prev_term);
    }
}

// --- state machine safety, durability ---

static size_t durable_on(const struct sim *sim, const struct raft_entry *entry) {
    size_t nodes = 0;
    for (size_t i = 0; i < sim->config.voters; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disk;
        nodes += disk->count >= entry->id.index && same(disk->entries[entry->id.index - 1], entry);
    }
    return nodes;
}

void sim_history_committed(struct sim *sim, size_t node, raft_index from, raft_index to) {
    for (raft_index index = from; index <= to && !sim->broken; index++) {
        struct raft_entry *entry = raft_entry_at(sim->nodes[node].core, index);
        if (index <= sim_history_length(sim)) {
            if (!same(entry, committed_at(sim, index)->entry)) {
                sim_break(sim, node, "commits another entry at index %llu than was committed before",
                          (unsigned long long)index);
            }
            continue;
        }
        if (durable_on(sim, entry) < sim->config.voters / 2 + 1) {
            sim_break(sim, node, "commits index %llu, which is on the disks of %zu voters of %zu", (unsigned long long)index,
                      durable_on(sim, entry), sim->config.voters);
        }
        struct committed *committed = raft_queue_push(&sim->history.committed);
        *committed = (struct committed){.entry = raft_entry_ref(entry), .by = raft_current_term(sim->nodes[node].core)};
        sim->counts.committed++;
    }
}

// --- election safety, leader completeness ---

static void check_complete(struct sim *sim, size_t node, raft_term term) {
    for (raft_index index = 1; index <= sim_history_length(sim) && !sim->broken; index++) {
        const struct committed *committed = committed_at(sim, index);
        const struct raft_entry *entry = raft_entry_at(sim->nodes[node].core, index);
        if (committed->by < term && (entry == NULL || !same(entry, committed->entry))) {
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
    if (!vote && !candidacy && !append) {
        return;
    }
    if (hard_state->current_term < message->term) {
        sim_break(sim, node, "sends a message of term %llu before the term is durable", (unsigned long long)message->term);
    }
    if (hard_state->current_term != message->term) {
        return;  // a claim of an earlier term binds no longer
    }
    const struct raft_id *voted_for = candidacy ? &message->from : &message->to;
    if (!append && !raft_id_equal(&hard_state->voted_for, voted_for)) {
        sim_break(sim, node, "sends a vote before it is durable");
    }
    if (append && disk->count < message->append_reply.match_index) {
        sim_break(sim, node, "acknowledges index %llu, with %zu entries on its disk",
                  (unsigned long long)message->append_reply.match_index, disk->count);
    }
}
