// Logs and disks to try them on; log_fixture.h says what each is for.
#include "log_fixture.h"

#include <stdlib.h>

#include "base/mem.h"

struct raft_entry *entry_new(struct raft_slab *slab, raft_index index, raft_term term, uint32_t len) {
    enum raft_entry_type type = len == 0 ? RAFT_ENTRY_NOOP : index == 1 ? RAFT_ENTRY_CONFIGURATION : RAFT_ENTRY_COMMAND;
    struct raft_entry *entry = raft_entry_new(slab, type, (struct raft_entry_id){.term = term, .index = index}, len);
    assert(entry != NULL);
    for (uint32_t i = 0; i < len; i++) {
        entry->data[i] = (uint8_t)(index * 31 + term * 7 + i * 13);
    }
    return entry;
}

bool entry_is_as_made(const struct raft_entry *entry) {
    for (uint32_t i = 0; i < entry->len; i++) {
        if (entry->data[i] != (uint8_t)(entry->id.index * 31 + entry->id.term * 7 + i * 13)) {
            return false;
        }
    }
    return true;
}

void log_init(struct log *log, struct disk *disk, uint64_t segment_bytes) {
    *log = (struct log){.disk = disk,
                        .segment_bytes = segment_bytes,
                        .slab = raft_slab_new(),
                        .recovered.empty = true,
                        .incarnation = INCARNATION,
                        .generation = 1};
}

void log_free(struct log *log) {
    log_close(log, false);
    raft_slab_free(log->slab);
}

enum error_code log_open(struct log *log) {
    struct wal_options options = {.dir = "data",
                                  .cluster_id = slice_of_str("demo"),
                                  .node_id = slice_of_str("n1"),
                                  .incarnation = slice_of_str(log->incarnation),
                                  .generation = log->generation,
                                  .image = log->image,
                                  .from = log->from,
                                  .segment_bytes = log->segment_bytes,
                                  .io = &log->disk->io};
    wal_recovered_free(&log->recovered);
    memset(&log->recovered, 0xff, sizeof log->recovered);  // it need not be anything
    log->write = 0;
    enum error_code code = wal_writer_open(&options, log->slab, &log->writer, &log->recovered, &log->error);
    assert(code == OK || (disk_open_files(log->disk) == 0 && log->recovered.empty && log->recovered.log.entries == NULL));
    return code;
}

enum error_code log_close(struct log *log, bool trim) {
    enum error_code code = OK;
    if (log->writer != NULL) {
        code = wal_writer_close(log->writer, trim, &log->error);
        log->writer = NULL;
        assert(disk_open_files(log->disk) == 0);
    }
    while (log->made != NULL) {
        struct wal_write *write = log->made;
        log->made = write->next_outstanding;
        for (size_t i = 0; i < write->persist.count; i++) {
            raft_entry_unref(write->entries[i]);
        }
        free(write);
    }
    wal_recovered_free(&log->recovered);
    return code;
}

void log_push(struct log *log, raft_term term, const char *vote, raft_index first, size_t count, uint32_t len) {
    struct model *m = &log->model;
    struct wal_write *write = mem_zalloc(sizeof *write + count * sizeof write->entries[0]);
    write->persist = (struct raft_persist){.write = ++log->write, .entries = write->entries, .count = count};
    if (vote != NULL) {
        write->persist.has_hard_state = true;
        write->persist.hard_state =
            (struct raft_hard_state){.current_term = term, .voted_for = raft_id_of(slice_of_str(vote))};
        m->term = term;
        assert(strlen(vote) < sizeof m->vote);
        strcpy(m->vote, vote);
    }
    m->count = count > 0 ? first - 1 : m->count;
    for (size_t i = 0; i < count; i++) {
        assert(m->count < MODEL_ENTRIES);
        write->entries[i] = entry_new(log->slab, first + i, m->term, len);
        m->entries[m->count].term = m->term;
        m->entries[m->count++].len = len;
    }
    write->next_outstanding = log->made;
    log->made = write;
    write->next = write;  // the writer sets these three itself
    write->written = SIZE_MAX;
    write->restarted = true;
    wal_writer_push(log->writer, write);
}

void log_append(struct log *log, size_t count, uint32_t len) {
    log_push(log, 0, NULL, log->model.count + 1, count, len);
}

void log_run(struct log *log) {
    for (int steps = 0; wal_writer_step(log->writer); steps++) {
        assert(steps < 1000);
    }
}

bool model_holds(const struct model *model, const struct wal_recovered *recovered) {
    const struct raft_restored *log = &recovered->log;
    if (log->hard_state.current_term != model->term || strcmp(log->hard_state.voted_for.text, model->vote) != 0 ||
        log->count != model->count) {
        return false;
    }
    for (size_t i = 0; i < log->count; i++) {
        const struct raft_entry *entry = log->entries[i];
        if (entry->id.index != i + 1 || entry->id.term != model->entries[i].term || entry->len != model->entries[i].len ||
            !entry_is_as_made(entry)) {
            return false;
        }
    }
    return true;
}
