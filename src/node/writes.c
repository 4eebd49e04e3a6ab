// The two queues of proposals: node/writes.h.
#include "node/writes.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"

struct writes {
    // Collected in this turn: entries[i] is proposed for collected[i].
    struct raft_entry **entries;
    struct waiting_write *collected;
    size_t entries_cap;
    size_t collected_count;
    size_t collected_cap;

    // Waiting, in rising index order: a ring of a power of two.
    struct waiting_write *ring;
    size_t first;
    size_t count;
    size_t cap;
};

struct writes *writes_new(void) {
    return mem_zalloc(sizeof(struct writes));
}

void writes_free(struct writes *writes) {
    for (size_t i = 0; i < writes->collected_count; i++) {
        raft_entry_unref(writes->entries[i]);
    }
    free(writes->entries);
    free(writes->collected);
    free(writes->ring);
    free(writes);
}

void writes_collect(struct writes *writes, struct raft_entry *entry, struct rpc_call call, const struct verb *verb) {
    array_reserve(writes->entries, writes->entries_cap, writes->collected_count + 1);
    array_reserve(writes->collected, writes->collected_cap, writes->collected_count + 1);
    writes->entries[writes->collected_count] = entry;
    writes->collected[writes->collected_count++] = (struct waiting_write){.call = call, .verb = verb};
}

bool writes_collected(const struct writes *writes) {
    return writes->collected_count > 0;
}

bool writes_event(struct writes *writes, struct raft_event *event) {
    if (writes->collected_count == 0) {
        return false;
    }
    *event = (struct raft_event){
        .type = RAFT_EVENT_PROPOSE,
        .propose = {.entries = writes->entries, .count = writes->collected_count},
    };
    return true;
}

static struct waiting_write *at(struct writes *writes, size_t i) {
    return &writes->ring[(writes->first + i) & (writes->cap - 1)];
}

static void push(struct writes *writes, const struct waiting_write *write) {
    if (writes->count == writes->cap) {
        size_t cap = writes->cap == 0 ? 1024 : writes->cap * 2;
        struct waiting_write *ring = mem_alloc(cap * sizeof *ring);
        for (size_t i = 0; i < writes->count; i++) {
            ring[i] = *at(writes, i);
        }
        free(writes->ring);
        writes->ring = ring;
        writes->first = 0;
        writes->cap = cap;
    }
    assert(writes->count == 0 || at(writes, writes->count - 1)->id.index < write->id.index);
    writes->count++;
    *at(writes, writes->count - 1) = *write;
}

void writes_placed(struct writes *writes, const struct raft_proposed *proposed, uint64_t now_us,
                   void (*lost)(void *user, const struct waiting_write *write),
                   void (*refused)(void *user, const struct waiting_write *write, enum raft_refusal refusal), void *user) {
    size_t count = writes->collected_count;
    writes->collected_count = 0;
    if (proposed->refusal != RAFT_ACCEPTED) {
        for (size_t i = 0; i < count; i++) {
            refused(user, &writes->collected[i], proposed->refusal);
        }
        return;
    }
    while (writes->count > 0 && at(writes, writes->count - 1)->id.index >= proposed->first.index) {
        struct waiting_write overwritten = *at(writes, writes->count - 1);
        writes->count--;
        lost(user, &overwritten);
    }
    for (size_t i = 0; i < count; i++) {
        struct waiting_write write = writes->collected[i];
        write.id = (struct raft_entry_id){.term = proposed->first.term, .index = proposed->first.index + i};
        write.appended_us = now_us;
        push(writes, &write);
    }
}

bool writes_applied(struct writes *writes, struct raft_entry_id id, struct waiting_write *write,
                    void (*lost)(void *user, const struct waiting_write *write), void *user) {
    // Terms never fall along a log: no entry after this one has an earlier term.
    while (writes->count > 0 && (at(writes, 0)->id.index <= id.index || at(writes, 0)->id.term < id.term)) {
        struct waiting_write front = *at(writes, 0);
        writes->first++;
        writes->count--;
        if (front.id.index == id.index && front.id.term == id.term) {
            *write = front;
            return true;
        }
        lost(user, &front);
    }
    return false;
}

void writes_drop(struct writes *writes, void (*lost)(void *user, const struct waiting_write *write), void *user) {
    while (writes->count > 0) {
        struct waiting_write front = *at(writes, 0);
        writes->first++;
        writes->count--;
        lost(user, &front);
    }
}

size_t writes_count(const struct writes *writes) {
    return writes->count;
}
