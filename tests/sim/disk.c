// A node's disk: it completes writes in order, each after a while; a crash loses all or a last part of the writes in
// progress.
#include <stdlib.h>

#include "base/array.h"
#include "sim.h"

// Drops the entries after `last`.
static void cut(struct sim_disk *disk, raft_index last) {
    while (disk->count > 0 && disk->base.index + disk->count > last) {
        raft_entry_unref(disk->entries[--disk->count]);
    }
}

static void restart(struct sim_disk *disk, struct raft_entry_id base) {
    cut(disk, disk->base.index);
    disk->base = base;
}

void sim_disk_apply(struct sim *sim, size_t node, struct raft_persist *persist) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    if (persist->has_hard_state && persist->write > disk->hard_state_write) {
        if (persist->hard_state.current_term < disk->hard_state.current_term) {
            sim_break(sim, node, "an older term is written over a newer one");
        }
        disk->hard_state = persist->hard_state;
        disk->hard_state_write = persist->write;
    }
    if (persist->reset.index > 0) {
        if (persist->reset.index > disk->snapshot.index) {
            sim_break(sim, node, "the log starts anew after %llu, without a snapshot",
                      (unsigned long long)persist->reset.index);
        }
        restart(disk, persist->reset);
    }
    for (size_t i = 0; i < persist->count; i++) {
        raft_index index = persist->entries[i]->id.index;
        if (index > disk->base.index + disk->count + 1 || index <= disk->base.index) {
            sim_break(sim, node, "a write leaves a gap before index %llu", (unsigned long long)index);
        }
        cut(disk, index - 1);
        array_reserve(disk->entries, disk->capacity, disk->count + 1);
        disk->entries[disk->count++] = persist->entries[i];
    }
    free((void *)persist->entries);
}

static void drop(struct raft_persist *persist) {
    for (size_t i = 0; i < persist->count; i++) {
        raft_entry_unref(persist->entries[i]);
    }
    free((void *)persist->entries);
}

static void schedule(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    const struct sim_disk_write *write = raft_queue_front(&host->disk.writes);
    if (write == NULL) {
        return;
    }
    if (host->disk.full) {
        write = raft_queue_at(&host->disk.writes, host->disk.writes.count - 1);
    }
    uint64_t at_us = write->done_us > sim->now_us ? write->done_us : sim->now_us;
    at_us = at_us > host->disk.stuck_until_us ? at_us : host->disk.stuck_until_us;
    sim_schedule(sim, (struct sim_event){.at_us = at_us, .type = SIM_DISK, .node = node, .life = host->life});
}

void sim_disk_submit(struct sim *sim, size_t node, const struct raft_persist *persist) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    struct sim_disk_write *write = raft_queue_push(&disk->writes);
    write->persist = *persist;
    write->persist.entries = sim_copy_entries(persist->entries, persist->count);
    write->done_us = sim->now_us + sim_between(sim, sim->config.disk_min_us, sim->config.disk_max_us);
    schedule(sim, node);
}

// On a full disk, hard state is still written, ahead of entries that wait.
static void write_hard_state_ahead(struct sim *sim, size_t node) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    for (size_t i = 0; i < disk->writes.count; i++) {
        const struct sim_disk_write *write = raft_queue_at(&disk->writes, i);
        struct raft_persist hard_state = write->persist;
        hard_state.entries = NULL;
        hard_state.count = 0;
        hard_state.reset = (struct raft_entry_id){0};
        if (write->done_us <= sim->now_us) {
            sim_disk_apply(sim, node, &hard_state);
        }
    }
    sim_host_release(sim, node);
}

void sim_disk_done(struct sim *sim, size_t node) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_disk *disk = &host->disk;
    if (disk->stuck_until_us > sim->now_us) {
        schedule(sim, node);
        return;
    }
    if (disk->full) {
        write_hard_state_ahead(sim, node);
        return;
    }
    uint64_t before = host->durable_write;
    for (struct sim_disk_write *write; (write = raft_queue_front(&disk->writes)) != NULL;) {
        if (write->done_us > sim->now_us) {
            break;
        }
        host->durable_write = write->persist.write;
        sim_disk_apply(sim, node, &write->persist);
        raft_queue_pop(&disk->writes);
    }
    schedule(sim, node);
    if (host->durable_write == before) {
        return;
    }
    sim_host_release(sim, node);
    sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_write = host->durable_write});
}

void sim_stick_disk(struct sim *sim, size_t node, uint64_t duration_us) {
    sim->nodes[node].disk.stuck_until_us = sim->now_us + duration_us;
}

void sim_fill_disk(struct sim *sim, size_t node, bool full) {
    struct sim_node *host = &sim->nodes[node];
    if (host->disk.full == full) {
        return;
    }
    host->disk.full = full;
    if (host->core != NULL) {
        enum raft_storage storage = full ? RAFT_STORAGE_FULL : RAFT_STORAGE_GOOD;
        sim_host_event(sim, node, (struct raft_event){.type = RAFT_EVENT_STORAGE, .storage = storage});
        schedule(sim, node);
    }
}

bool sim_set_back(struct sim *sim, size_t node, size_t entries) {
    struct sim_node *host = &sim->nodes[node];
    struct sim_disk *disk = &host->disk;
    raft_index last = disk->base.index + disk->count;
    raft_index kept = disk->snapshot.index > disk->base.index ? disk->snapshot.index : disk->base.index;
    if (host->core != NULL || last <= kept) {
        return false;
    }
    cut(disk, last - kept > entries ? last - entries : kept);
    host->set_back = true;
    return true;
}

bool sim_is_found_out(const struct sim *sim, size_t node) {
    return sim->nodes[node].found_out;
}

void sim_disk_crash(struct sim *sim, size_t node) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    bool survives = !disk->full;
    for (struct sim_disk_write *write; (write = raft_queue_front(&disk->writes)) != NULL;) {
        survives = survives && sim_chance(sim, 2);
        if (survives) {
            sim_disk_apply(sim, node, &write->persist);
        } else {
            drop(&write->persist);
        }
        raft_queue_pop(&disk->writes);
    }
}

void sim_disk_free(struct sim_disk *disk) {
    cut(disk, disk->base.index);
    free(disk->entries);
    raft_queue_free(&disk->writes);
}

void sim_disk_wipe(struct sim_disk *disk) {
    sim_disk_free(disk);
    *disk = (struct sim_disk){.writes = raft_queue_of(sizeof(struct sim_disk_write))};
}

// --- snapshots ---

void sim_disk_recover(struct sim *sim, size_t node) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    raft_index index = disk->snapshot.index;
    if (index < disk->base.index) {
        sim_break(sim, node, "the log begins after %llu, the snapshot ends at %llu", (unsigned long long)disk->base.index,
                  (unsigned long long)index);
    }
    if (index <= disk->base.index) {
        return;
    }
    size_t at = index - disk->base.index - 1;
    if (at >= disk->count || disk->entries[at]->id.term != disk->snapshot.term) {
        restart(disk, disk->snapshot);
    }
}

void sim_disk_compact(struct sim *sim, size_t node) {
    struct sim_disk *disk = &sim->nodes[node].disk;
    const struct raft_queue *writes = &disk->writes;
    struct raft_entry_id base = raft_base(sim->nodes[node].core);
    bool restarts = false;  // by a write in progress
    for (size_t i = 0; i < writes->count; i++) {
        restarts |= ((struct sim_disk_write *)raft_queue_at(writes, i))->persist.reset.index > 0;
    }
    if (restarts || base.index <= disk->base.index) {
        return;
    }
    size_t dropped = base.index - disk->base.index;
    if (dropped > disk->count || disk->entries[dropped - 1]->id.term != base.term || base.index > disk->snapshot.index) {
        sim_break(sim, node, "the core has dropped %llu, which is not on the disk", (unsigned long long)base.index);
        return;
    }
    for (size_t i = 0; i < dropped; i++) {
        raft_entry_unref(disk->entries[i]);
    }
    disk->count -= dropped;
    memmove((void *)disk->entries, (void *)(disk->entries + dropped), disk->count * sizeof(struct raft_entry *));
    disk->base = base;
    sim->counts.compactions++;
}

bool sim_disk_holds(const struct sim_disk *disk, const struct raft_entry *entry) {
    raft_index index = entry->id.index;
    if (index <= disk->base.index) {
        return true;  // only committed entries are compacted
    }
    return index - disk->base.index <= disk->count && sim_history_same(disk->entries[index - disk->base.index - 1], entry);
}
