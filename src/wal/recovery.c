// Collecting the entries and repairing the end (recovery.h).
#include "wal/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/base64.h"

struct collector {
    struct raft_slab *slab;
    struct raft_restored *log;
    size_t cap;
    raft_index from;  // entries up to here are not needed
};

static void cut(struct raft_restored *log, size_t count) {
    while (log->count > count) {
        raft_entry_unref(log->entries[--log->count]);
    }
}

static void collect_base(void *self, struct raft_entry_id base) {
    struct collector *c = self;
    cut(c->log, 0);
    c->log->base = base;
}

static enum error_code collect_entry(void *self, const struct wal_record *record, struct slice line, uint64_t segment,
                                     uint64_t offset, struct error *error) {
    (void)line;
    (void)segment;
    (void)offset;
    struct collector *c = self;
    struct raft_restored *log = c->log;
    raft_index index = record->entry.id.index;
    if (index <= log->base.index) {  // it replaces one before those collected, all of which it discards
        cut(log, 0);
        log->base = record->entry.id;
        return OK;
    }
    size_t before = (size_t)(index - 1 - log->base.index);
    assert(before <= log->count);  // the scan refuses a gap
    cut(log, before);
    raft_term term_before = log->count > 0 ? log->entries[log->count - 1]->id.term : log->base.term;
    if (record->entry.id.term < term_before) {
        return error_set(error, ERR_WAL_CORRUPT, "an entry of term %" PRIu64 " follows one of term %" PRIu64,
                         record->entry.id.term, term_before);
    }
    if (index <= c->from) {
        assert(log->count == 0);
        log->base = record->entry.id;
        return OK;
    }
    struct slice command = record->entry.command;
    struct raft_entry *entry = raft_entry_new(c->slab, record->entry.type, record->entry.id, wal_command_len(command));
    if (entry == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the entries of the log");
    }
    if (base64_decode(entry->data, (const char *)command.data, command.len) != (ssize_t)entry->len) {
        raft_entry_unref(entry);
        return error_set(error, ERR_WAL_CORRUPT, "the command is not base64");
    }
    array_reserve(log->entries, c->cap, log->count + 1);
    log->entries[log->count++] = entry;
    return OK;
}

void wal_recovered_cut(struct wal_recovered *recovered, struct raft_entry_id base) {
    cut(&recovered->log, 0);
    recovered->log.base = base;
}

void wal_recovered_free(struct wal_recovered *recovered) {
    if (recovered->log.entries != NULL) {
        cut(&recovered->log, 0);
        free(recovered->log.entries);
    }
    *recovered = (struct wal_recovered){.empty = true};
}

enum error_code wal_collect(const struct wal_directory *dir, const struct wal_identity *want, raft_index from,
                            struct raft_slab *slab, struct wal_recovered *recovered, struct wal_log_end *end,
                            struct error *error) {
    *recovered = (struct wal_recovered){.empty = true};
    struct collector c = {.slab = slab, .log = &recovered->log, .from = from};
    struct wal_visitor visitor = {.self = &c, .begins = collect_base, .entry = collect_entry};
    raft_slab_bulk_begin(slab);
    enum error_code code = wal_scan(dir, want, from, &visitor, end, error);
    raft_slab_bulk_end(slab);
    if (code != OK) {
        wal_recovered_free(recovered);
        return code;
    }
    assert(recovered->log.base.index + recovered->log.count == end->last.index);
    recovered->empty = end->current.number == 0;
    recovered->generation = end->generation;
    memcpy(recovered->incarnation, end->incarnation, sizeof recovered->incarnation);
    recovered->log.hard_state = end->hard_state;
    recovered->torn_bytes = end->torn_bytes;
    memcpy(recovered->torn_where, end->torn_where, sizeof recovered->torn_where);
    recovered->segments = end->segments;
    recovered->bytes = end->bytes;
    return OK;
}

// --- repair ---

// Everything after the last mark becomes durable newlines: a torn batch, and the filling too, as the previous process may
// have been killed, or have failed, before it was synced. Zeros are filling that never reached the disk; they are cut off.
static enum error_code blank_end(const struct wal_directory *dir, struct wal_segment *segment, uint64_t size,
                                 struct error *error) {
    if (segment->number == 0) {
        return OK;
    }
    const struct wal_io *io = dir->io;
    enum error_code code = wal_segment_open(io, dir->wal, segment, error);
    if (code == OK && segment->filled < size &&
        (io->truncate(io->self, segment->fd, (off_t)segment->filled) != 0 || io->sync(io->self, segment->fd) != 0)) {
        code = wal_segment_failed("cutting zeros off", segment->number, error);
    }
    return code == OK ? wal_segment_blank(io, segment, segment->end, segment->filled, error) : code;
}

static enum error_code read_again(const struct wal_io *io, const struct wal_segment *segment, uint64_t from, uint8_t *bytes,
                                  size_t len, struct error *error) {
    for (size_t done = 0; done < len;) {
        ssize_t n = io->read_at(io->self, segment->fd, bytes + done, len - done, (off_t)(from + done));
        if (n < 0 && errno != EINTR) {
            return wal_segment_failed("reading", segment->number, error);
        }
        if (n == 0) {
            assert(done == len - 1);  // the scan has read all of it, except perhaps the last newline
            bytes[done] = '\n';
            n = 1;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

// The last batch was complete when it was read, but perhaps only in the page cache: its writer may have been killed, or have
// failed, before the sync. Votes and acknowledgements from now on depend on it, so it is made durable first. (A sync alone
// does not suffice: after a failed one the kernel treats the pages as clean.)
static enum error_code write_last_again(const struct wal_directory *dir, struct wal_log_end *end, struct error *error) {
    struct wal_segment *segment = &end->current;
    if (segment->number == 0) {
        return OK;
    }
    size_t len = (size_t)(segment->end - end->last_batch);
    uint8_t *bytes = mem_alloc(len);
    enum error_code code = read_again(dir->io, segment, end->last_batch, bytes, len, error);
    if (code == OK) {
        uint64_t took;
        code = wal_segment_write(dir->io, segment, end->last_batch, slice_of(bytes, len), &took, error);
    }
    free(bytes);
    if (segment->filled < segment->end) {
        segment->filled = segment->end;
    }
    return code;
}

enum error_code wal_repair(const struct wal_directory *dir, struct wal_log_end *end, struct error *error) {
    enum error_code code = blank_end(dir, &end->current, end->current_size, error);
    if (code == OK) {
        code = blank_end(dir, &end->next, end->next_size, error);
    }
    if (code == OK) {
        code = write_last_again(dir, end, error);
    }
    if (code != OK) {
        wal_segment_close(dir->io, &end->current);
        wal_segment_close(dir->io, &end->next);
    }
    return code;
}
