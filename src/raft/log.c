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
        raft_entry_unref(log->entries[i]);
    }
    free(log->entries);
    raft_queue_free(&log->writes);
}

struct raft_entry_id raft_log_last(const struct raft_log *log) {
    return log->count == 0 ? log->base : log->entries[log->count - 1]->id;
}

raft_term raft_log_term(const struct raft_log *log, raft_index index) {
    assert(index >= log->base.index && index - log->base.index <= log->count);
    return index == log->base.index ? log->base.term : log->entries[index - log->base.index - 1]->id.term;
}

struct raft_entry *raft_log_at(const struct raft_log *log, raft_index index) {
    if (index <= log->base.index || index - log->base.index > log->count) {
        return NULL;
    }
    return log->entries[index - log->base.index - 1];
}

bool raft_log_holds(const struct raft_log *log, struct raft_entry_id id) {
    if (id.index < log->base.index || id.index - log->base.index > log->count) {
        return false;
    }
    return raft_log_term(log, id.index) == id.term;
}

struct raft_entry **raft_log_from(const struct raft_log *log, raft_index index) {
    assert(index > log->base.index && index - log->base.index <= log->count + 1);
    return log->entries + (index - log->base.index - 1);
}

void raft_log_append(struct raft_log *log, struct raft_entry *entry) {
    struct raft_entry_id last = raft_log_last(log);
    assert(entry->id.index == last.index + 1 && entry->id.term >= last.term);
    array_reserve(log->entries, log->capacity, log->count + 1);
    log->entries[log->count++] = entry;
}

void raft_log_truncate(struct raft_log *log, raft_index first) {
    assert(first > log->base.index && first <= raft_log_last(log).index + 1);
    while (log->count > first - log->base.index - 1) {
        raft_entry_unref(log->entries[--log->count]);
    }
    raft_index last = first - 1;
    if (log->written_index > last) {
        log->written_index = last;
    }
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
    return term == 0 ? index : raft_log_last_up_to_term(log, term - 1, index) + 1;
}

void raft_log_write(struct raft_log *log, uint64_t number, uint64_t now_us) {
    log->written_index = raft_log_last(log).index;
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
