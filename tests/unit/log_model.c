// A log beside its model: log_model.h.
#include "log_model.h"

#include "unit.h"

void log_open_after(struct log *log, struct raft_entry_id image, raft_index from) {
    log->image = image;
    log->from = from;
    if (log_open(log) != OK) {
        fail_msg("%s", log->error.message);
    }
}

void log_check_holds(const struct log *log) {
    const struct raft_restored *restored = &log->recovered.log;
    assert_int_equal(restored->base.index + restored->count, log->model.count);
    for (size_t i = 0; i < restored->count; i++) {
        const struct raft_entry *entry = restored->entries[i];
        raft_index index = restored->base.index + 1 + i;
        assert_int_equal(entry->id.index, index);
        assert_int_equal(entry->id.term, log->model.entries[index - 1].term);
        assert_true(entry_is_as_made(entry));
    }
    if (restored->base.index > 0) {
        assert_int_equal(restored->base.term, log->model.entries[restored->base.index - 1].term);
    }
    assert_int_equal(restored->hard_state.current_term, log->model.term);
    assert_string_equal(restored->hard_state.voted_for.text, log->model.vote);
}

struct raft_entry_id log_id_at(const struct log *log, raft_index index) {
    return (struct raft_entry_id){.index = index, .term = log->model.entries[index - 1].term};
}

void log_begin(struct log *log, struct disk *disk, uint64_t segment_bytes, size_t entries) {
    disk_init(disk, 1);
    log_init(log, disk, segment_bytes);
    assert_int_equal(log_open(log), OK);
    log_push(log, 1, "n1", 1, 1, 1000);
    log_run(log);
    for (size_t i = 1; i < entries; i++) {
        log_append(log, 1, 1000);
        log_run(log);
    }
}

void log_end(struct log *log, struct disk *disk) {
    log_close(log, false);
    log_free(log);
    disk_free(disk);
}
