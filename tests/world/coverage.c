// Coverage: coverage.h.
#include "coverage.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/fingerprint.h"
#include "base/mem.h"
#include "host.h"
#include "ledger.h"
#include "members.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "world.h"

enum { FIRST_SLOTS = 1 << 16 };

// Fingerprints that were seen, in open addressing; 0 is a free place.
struct seen {
    uint64_t *slots;
    size_t size, count;
};

static bool on;
static struct seen states, steps;
static uint64_t before;

static void put(uint64_t *slots, size_t size, uint64_t value) {
    size_t at = value % size;
    while (slots[at] != 0 && slots[at] != value) {
        at = (at + 1) % size;
    }
    slots[at] = value;
}

static bool has(const struct seen *seen, uint64_t value) {
    size_t at = value % seen->size;
    while (seen->slots[at] != 0 && seen->slots[at] != value) {
        at = (at + 1) % seen->size;
    }
    return seen->slots[at] == value;
}

static void add(struct seen *seen, uint64_t value) {
    if (seen->count * 2 >= seen->size) {
        size_t size = seen->size == 0 ? FIRST_SLOTS : seen->size * 2;
        uint64_t *slots = mem_zalloc(size * sizeof *slots);
        for (size_t i = 0; i < seen->size; i++) {
            if (seen->slots[i] != 0) {
                put(slots, size, seen->slots[i]);
            }
        }
        free(seen->slots);
        seen->slots = slots;
        seen->size = size;
    }
    if (!has(seen, value)) {
        put(seen->slots, seen->size, value);
        seen->count++;
    }
}

static uint64_t compared(uint64_t one, uint64_t other) {
    return one == other ? 0 : one < other ? 1 : 2;
}

static uint64_t newest_term(void) {
    uint64_t newest = 0;
    for (int i = 0; i < host_count(); i++) {
        const struct node *node = host_of(i)->node;
        if (node != NULL && node->raft != NULL && raft_current_term(node->raft) > newest) {
            newest = raft_current_term(node->raft);
        }
    }
    return newest;
}

static uint64_t state_of(int host, uint64_t term) {
    const struct host *h = host_of(host);
    const struct node *node = h->node;
    uint64_t bits = (uint64_t)h->running | (uint64_t)h->paused << 1 | (uint64_t)h->lost << 2 | (uint64_t)h->set_back << 3 |
                    (uint64_t)members_have(host) << 4 | (uint64_t)members_vote(host) << 5;
    if (node != NULL && node->raft != NULL) {
        uint64_t committed = ledger_committed();
        bits |= (uint64_t)ledger_is_old(host) << 17 | (uint64_t)quarantine_is_silent(node) << 18;
        bits |= UINT64_C(1) << 6 | (uint64_t)raft_state(node->raft) << 7 |
                compared(raft_current_term(node->raft), term) << 10 |
                compared(raft_last_log(node->raft).index, committed) << 12 |
                compared(raft_commit_index(node->raft), committed) << 14 | (uint64_t)(raft_base(node->raft).index > 0) << 16;
    }
    return bits;
}

void coverage_begin(void) {
    on = true;
}

void coverage_look(void) {
    if (!on) {
        return;
    }
    uint64_t term = newest_term();
    uint64_t state = 1;
    for (int i = 0; i < host_count() && host_of(i)->is_node; i++) {
        state = fingerprint_u64(state, state_of(i, term));
    }
    state = state == 0 ? 1 : state;
    if (state != before) {
        add(&states, state);
        add(&steps, fingerprint_u64(before, state) | 1);
        before = state;
    }
}

size_t coverage_states(void) {
    return states.count;
}

size_t coverage_steps(void) {
    return steps.count;
}

void coverage_free(void) {
    free(states.slots);
    free(steps.slots);
    states = steps = (struct seen){0};
}
