// The log in memory; see log.h.
#include "raft/log.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"

void raft_log_init(struct raft_log *log, struct raft_entry_id base, struct raft_entry **entries, size_t count) {
    *log = (struct raft_log){
        .base = base,
        .written_index = base.index,
        .writes = raft_queue_of(sizeof(struct raft_write)),
    };
    for (size_t i = 0; i < count; i++) {
        raft_log_append(log, entries[i]);
    }
    log->written_index = raft_log_last(log).index;
    log->durable_index = log->written_index;
}

void raft_log_free(struct raft_log *log) {
    for (size_t i = 0; i < log->count; i++) {
        raft_entry_unref(log->entries[log->head + i]);
    }
    free(log->entries);
    raft_queue_free(&log->writes);
}

struct raft_entry_id raft_log_last(const struct raft_log *log) {
    return log->count == 0 ? log->base : log->entries[log->head + log->count - 1]->id;
}

raft_term raft_log_term(const struct raft_log *log, raft_index index) {
    assert(index >= log->base.index && index - log->base.index <= log->count);
    return index == log->base.index ? log->base.term : raft_log_at(log, index)->id.term;
}

struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index) {
    if (index <= log->base.index || index - log->base.index > log->count) {
        return NULL;
    }
    return log->entries[log->head + (index - log->base.index - 1)];
}

bool raft_log_holds(const struct raft_log *log, struct raft_entry_id id) {
    if (id.index < log->base.index || id.index - log->base.index > log->count) {
        return false;
    }
    return raft_log_term(log, id.index) == id.term;
}

struct raft_entry **raft_log_from(const struct raft_log *log, raft_index index) {
    assert(index > log->base.index && index - log->base.index <= log->count + 1);
    return log->entries + log->head + (index - log->base.index - 1);
}

// Makes room for one more entry at the end: by moving all to the front if at least half of the array is free there (so that
// each is moved less than once on average), else by doubling.
static void make_room(struct raft_log *log) {
    if (log->head > 0 && log->head >= log->count && log->head + log->count == log->capacity) {
        memmove((void *)log->entries, (void *)(log->entries + log->head), log->count * sizeof(struct raft_entry *));
        log->head = 0;
    }
    array_reserve(log->entries, log->capacity, log->head + log->count + 1);
}

void raft_log_append(struct raft_log *log, struct raft_entry *entry) {
    struct raft_entry_id last = raft_log_last(log);
    assert(entry->id.index == last.index + 1 && entry->id.term >= last.term);
    make_room(log);
    log->entries[log->head + log->count++] = entry;
}

// What writes in progress have after `last` will not be durable as part of this log.
static void clip_writes(struct raft_log *log, raft_index last) {
    if (log->durable_index > last) {
        log->durable_index = last;
    }
    for (size_t i = 0; i < log->writes.count; i++) {
        struct raft_write *write = raft_queue_at(&log->writes, i);
        if (write->last_index > last) {
            write->last_index = last;
        }
    }
}

void raft_log_compact(struct raft_log *log, raft_index index) {
    assert(index >= log->base.index && index <= log->durable_index);
    struct raft_entry_id base = {.term = raft_log_term(log, index), .index = index};
    size_t dropped = index - log->base.index;
    for (size_t i = 0; i < dropped; i++) {
        raft_entry_unref(log->entries[log->head + i]);
    }
    log->base = base;
    log->count -= dropped;
    log->head = log->count == 0 ? 0 : log->head + dropped;
}

void raft_log_truncate(struct raft_log *log, raft_index first) {
    assert(first > log->base.index && first <= raft_log_last(log).index + 1);
    while (log->count > first - log->base.index - 1) {
        raft_entry_unref(log->entries[log->head + --log->count]);
    }
    if (log->written_index >= first) {
        log->written_index = first - 1;
    }
    clip_writes(log, first - 1);
}

void raft_log_restart(struct raft_log *log, struct raft_entry_id base) {
    assert(base.index > log->base.index && base.term >= log->base.term);
    while (log->count > 0) {
        raft_entry_unref(log->entries[log->head + --log->count]);
    }
    log->head = 0;
    log->base = base;
    log->restarted = true;
    log->written_index = base.index;
    clip_writes(log, 0);
}

raft_index raft_log_last_up_to_term(const struct raft_log *log, raft_term term, raft_index limit) {
    assert(limit >= log->base.index && limit <= raft_log_last(log).index);
    raft_index low = log->base.index;
    raft_index high = limit;  // the result is in [low, high]
    while (low < high) {
        raft_index middle = high - (high - low) / 2;
        if (raft_log_term(log, middle) <= term) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

raft_index raft_log_first_of_term_at(const struct raft_log *log, raft_index index) {
    raft_term term = raft_log_term(log, index);
    return index == log->base.index ? index : raft_log_last_up_to_term(log, term - 1, index) + 1;
}

void raft_log_write(struct raft_log *log, uint64_t number, uint64_t now_us) {
    log->written_index = raft_log_last(log).index;
    log->restarted = false;
    assert(log->durable_index <= log->written_index);
    struct raft_write *write = raft_queue_push(&log->writes);
    *write = (struct raft_write){.number = number, .last_index = log->written_index, .since_us = now_us};
}

void raft_log_persisted(struct raft_log *log, uint64_t number) {
    for (struct raft_write *write; (write = raft_queue_front(&log->writes)) != NULL && write->number <= number;) {
        if (write->last_index > log->durable_index) {
            log->durable_index = write->last_index;
        }
        raft_queue_pop(&log->writes);
    }
}

bool raft_log_writing_since(const struct raft_log *log, uint64_t *since_us) {
    const struct raft_write *write = raft_queue_front(&log->writes);
    if (write == NULL) {
        return false;
    }
    *since_us = write->since_us;
    return true;
}
