// Taking snapshots and compacting the log: node/snapshots.h.
#include "node/snapshots.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/background.h"
#include "node/digests.h"
#include "node/image.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "policy/retention.h"

enum {
    REQUESTS_MAX = 64,        // operators who wait for an image
    COMPACT_TURN_MAX = 4096,  // entries dropped in one turn
    ENTRY_LINE_FRAME = 96,    // bytes of an entry's line in the log beside its command in base64
    GROWTH = 6,  // an image grows by less for each byte of the log: a control character of a label is six in JSON
};

#define RETRY_US (10 * US_PER_S)  // after a failure

struct request {
    struct rpc_call call;
    snapshot_done *done;
};

// One image being written. The thread reads what is above `code`, and sets what is below.
struct writing {
    struct node *node;
    struct state_version *version;
    struct wal_directory dir;
    struct wal_image_header header;
    struct buf configuration;  // the header's
    struct image_room room;
    struct raft_entry_id superseded;  // the image to be removed once this one is durable; index 0: none
    struct image_orders orders;
    uint64_t place;  // of the log's length
    bool wanted;     // by the log, not only by operators
    uint64_t begun_us;

    enum error_code code;
    struct error error;
    uint64_t bytes;
};

// An image being read again. The thread sets what is below `last`.
struct checking {
    struct node *node;
    struct raft_entry_id last;
    enum error_code code;
    struct error error;
};

struct snapshots {
    struct raft_entry_id newest;  // durable; index 0: none
    struct raft_entry_id before;  // the same
    uint64_t newest_bytes;
    int64_t newest_unix_ms;     // when it was written; 0: unknown
    uint64_t newest_place;      // of the log's length
    uint64_t next_cut;          // the same: where the next one is due
    uint64_t retry_us;          // not before, after a failure
    bool wanted;                // since a cut, or since one was damaged
    struct writing *writing;    // NULL: none is being written
    struct checking *checking;  // NULL: none is being read again
    // Who waits: the first `served` for the one being written, the others for the next.
    struct request requests[REQUESTS_MAX];
    size_t count;
    size_t served;
    raft_index compacted;  // what the log on the disk was last told
};

struct snapshots *snapshots_new(void) {
    return mem_zalloc(sizeof(struct snapshots));
}

void snapshots_free(struct snapshots *s) {
    assert(s->writing == NULL && s->checking == NULL);
    free(s);
}

// About the bytes of the log's lines since the founding; the same on all nodes.
static uint64_t log_length(const struct node *node) {
    return state_command_bytes(node->state) / 3 * 4 + ENTRY_LINE_FRAME * state_last_applied(node->state);
}

static void find_next_cut(struct node *node) {
    uint64_t interval = node->config->snapshot_log_bytes;
    while (interval < node->snapshots->newest_bytes) {
        interval *= 2;
    }
    node->snapshots->next_cut = (log_length(node) / interval + 1) * interval;
}

static void set_metrics(struct node *node) {
    metric_set(node->m.snapshot_index, (double)node->snapshots->newest.index);
    metric_set(node->m.snapshot_bytes, (double)node->snapshots->newest_bytes);
}

// --- after a start ---

// Removes all images but `last` and, unless `before` is NULL, the newest older one, which is then *before.
static void remove_others(const struct wal_directory *dir, struct raft_entry_id last, struct raft_entry_id *before,
                          struct error *error) {
    struct raft_entry_id *list = NULL;
    size_t count = 0;
    enum error_code code = wal_images(dir, &list, &count, error);
    for (size_t i = 0; code == OK && i < count; i++) {
        if (before != NULL && list[i].index < last.index && before->index == 0) {
            *before = list[i];
        } else if (list[i].index != last.index || list[i].term != last.term) {
            code = wal_image_remove(dir, list[i], error);
        }
    }
    if (code != OK) {
        slog(SLOG_WARN, "old-snapshots-left", "old snapshots were not removed", F_STR("reason", error->message));
    }
    free(list);
}

static void take_newest(struct node *node, struct raft_entry_id last, uint64_t bytes, int64_t unix_ms, uint64_t place) {
    node->snapshots->newest = last;
    node->snapshots->newest_bytes = bytes;
    node->snapshots->newest_unix_ms = unix_ms;
    node->snapshots->newest_place = place;
    find_next_cut(node);
    set_metrics(node);
}

void snapshots_recovered(struct node *node, struct raft_entry_id last, uint64_t bytes, int64_t written_unix_ms) {
    struct error error = {0};
    struct wal_directory dir;
    take_newest(node, last, bytes, written_unix_ms, log_length(node));
    if (wal_directory_look(&dir, node->config->data_dir, &wal_io_system, &error) == OK) {
        if (wal_images_tidy(&dir, &error) != OK) {
            slog(SLOG_WARN, "unfinished-snapshots-left", "unfinished snapshots were not removed",
                 F_STR("reason", error.message));
        }
        remove_others(&dir, last, &node->snapshots->before, &error);
    }
    wal_directory_close(&dir);
}

// --- writing, on a thread of its own ---

static void write_image(void *user) {
    struct writing *w = user;
    w->code = wal_directory_look(&w->dir, w->node->config->data_dir, &wal_io_system, &w->error);
    if (w->code == OK) {
        w->code = image_save(&w->dir, &w->header, w->version, &w->room, &w->orders, &w->bytes, &w->error);
    }
    if (w->code == OK && w->superseded.index > 0) {
        w->code = wal_image_remove(&w->dir, w->superseded, &w->error);
    }
    wal_directory_close(&w->dir);
}

// --- the loop's side ---

static void answer_requests(struct node *node, const struct writing *w, double seconds) {
    struct snapshots *s = node->snapshots;
    struct snapshot_result result = {
        .index = w->header.last.index,
        .bytes = w->bytes,
        .seconds = seconds,
        .error = w->code == OK ? NULL : w->error.message,
    };
    bool enough = w->code == OK && result.index == state_last_applied(node->state);
    if (enough || quarantine_begun(node)) {
        s->served = s->count;  // those who came meanwhile want no other one, or get none
    }
    for (size_t i = 0; i < s->served; i++) {
        s->requests[i].done(node, s->requests[i].call, &result);
    }
    s->count -= s->served;
    memmove(s->requests, s->requests + s->served, s->count * sizeof s->requests[0]);
    s->served = 0;
}

static void stop_serving(struct node *node, const struct writing *w) {
    char message[QUARANTINE_MESSAGE_MAX + 1];
    snprintf(message, sizeof message,
             "%.190s: stop this node, check its memory, fetch the state from another node by batond --rebuild, and start it "
             "again",
             w->error.message);
    quarantine_begin(node, QUARANTINE_DIVERGED, message);
}

// One from the leader was installed meanwhile, and covers as much or more. An older one is of a log that this node no longer
// has.
static void drop_overtaken(struct node *node, struct writing *w) {
    struct error error = {0};
    struct wal_directory dir;
    if (wal_directory_look(&dir, node->config->data_dir, &wal_io_system, &error) == OK) {
        remove_others(&dir, node->snapshots->newest, NULL, &error);
    }
    wal_directory_close(&dir);
    w->header.last = node->snapshots->newest;
    w->bytes = node->snapshots->newest_bytes;
}

static void take_result(struct node *node, struct writing *w, double seconds) {
    struct snapshots *s = node->snapshots;
    if (w->code == OK && w->header.last.index <= s->newest.index) {
        drop_overtaken(node, w);
        return;
    }
    if (w->code == OK) {
        s->before = s->newest;
        take_newest(node, w->header.last, w->bytes, node_wall_ms(), w->place);
        metric_add(node->m.snapshots, 1);
        histogram_observe(node->m.snapshot_seconds, seconds);
        slog(SLOG_INFO, "snapshot-taken", "took a snapshot", F_U64("index", w->header.last.index), F_U64("bytes", w->bytes),
             F_DOUBLE("seconds", seconds));
        return;
    }
    s->wanted |= w->wanted;
    s->retry_us = node_clock_us() + RETRY_US;
    metric_add(node->m.snapshot_failures, 1);
    if (w->code == ERR_STATE_DAMAGED) {
        stop_serving(node, w);
    } else if (w->code != ERR_UNAVAILABLE) {
        slog(SLOG_WARN, "snapshot-failed", "no snapshot was taken; the log grows until one is",
             F_U64("index", w->header.last.index), F_STR("reason", w->error.message));
    }
}

static void written(void *user) {
    struct writing *w = user;
    struct node *node = w->node;
    double seconds = (double)(node_clock_us() - w->begun_us) / (double)US_PER_S;
    take_result(node, w, seconds);
    if (node->stopping != STOPPED) {  // else the callers are gone with the server
        answer_requests(node, w, seconds);
    }
    state_version_release(node->state, w->version);
    node->snapshots->writing = NULL;
    buf_free(&w->configuration);
    free(w);
}

static struct image_room room_for(const struct node *node) {
    const struct snapshots *s = node->snapshots;
    uint64_t since = log_length(node) - s->newest_place;
    return (struct image_room){.expected = s->newest_bytes + GROWTH * since, .spare = WAL_SEGMENT_BYTES};
}

static void begin(struct node *node) {
    struct snapshots *s = node->snapshots;
    raft_index index = state_last_applied(node->state);
    struct raft_entry *entry = raft_entry_at(node->raft, index);
    struct writing *w = mem_zalloc(sizeof *w);
    w->node = node;
    w->version = state_version_new(node->state);
    w->header = (struct wal_image_header){
        .cluster_id = raft_id_slice(&node->config->cluster_id),
        .generation = node->configuration.generation,
        .last = entry != NULL ? entry->id : raft_base(node->raft),
        .configuration_index = node->configuration_index,
    };
    buf_append_slice(&w->configuration, buf_slice(&node->configuration_command));
    w->header.configuration = buf_slice(&w->configuration);
    w->room = room_for(node);
    w->superseded = s->before;
    w->place = log_length(node);
    w->wanted = s->wanted;
    w->begun_us = node_clock_us();
    w->orders.applied = index;
    w->orders.hurry_from = index + state_item_count(node->state) * 2 / 3;
    s->writing = w;
    s->served = s->count;
    s->wanted = false;
    digests_keep(node);
    struct error error = {0};
    enum error_code code = background_run(node->loop, write_image, written, w, &error);
    if (code != OK) {
        w->code = code;
        w->error = error;
        written(w);
    }
}

static bool is_due(const struct node *node) {
    const struct snapshots *s = node->snapshots;
    raft_index applied = state_last_applied(node->state);
    if (s->writing != NULL || quarantine_begun(node) || node->stopping != RUNNING || applied == 0 ||
        node->configuration_index == 0) {
        return false;
    }
    if (applied == s->newest.index) {
        return false;
    }
    return s->count > 0 || (s->wanted && node_clock_us() >= s->retry_us);
}

void snapshots_applied(struct node *node) {
    struct snapshots *s = node->snapshots;
    if (s->writing != NULL) {
        atomic_store_explicit(&s->writing->orders.applied, state_last_applied(node->state), memory_order_relaxed);
    }
    if (log_length(node) < s->next_cut) {
        return;
    }
    find_next_cut(node);
    if (s->writing != NULL) {
        return;  // that one is nearly as new; a later one at another place would be of use to no other node
    }
    s->wanted = true;
    if (is_due(node)) {
        begin(node);
    }
}

// --- an image that does not seem to be whole ---

static void check(void *user) {
    struct checking *c = user;
    struct wal_directory dir;
    c->code = wal_directory_look(&dir, c->node->config->data_dir, &wal_io_system, &c->error);
    if (c->code == OK) {
        c->code = wal_image_verify(&dir, c->last, &c->error);
    }
    if (c->code == ERR_SNAP_CORRUPT) {
        struct error ignored;
        wal_image_remove(&dir, c->last, &ignored);  // else the next start passes it over
    }
    wal_directory_close(&dir);
}

static bool same(struct raft_entry_id a, struct raft_entry_id b) {
    return a.index == b.index && a.term == b.term;
}

static void checked(void *user) {
    struct checking *c = user;
    struct node *node = c->node;
    struct snapshots *s = node->snapshots;
    s->checking = NULL;
    if (c->code == ERR_SNAP_CORRUPT) {
        slog(SLOG_ERROR, "snapshot-damaged", "a snapshot of this node is damaged; it is dropped, and another one taken",
             F_STR("reason", c->error.message));
        if (same(c->last, s->newest)) {
            take_newest(node, s->before, s->newest_bytes, 0, s->newest_place);
            s->before = (struct raft_entry_id){0};
            s->wanted = true;
        } else if (same(c->last, s->before)) {
            s->before = (struct raft_entry_id){0};
        }
    }
    free(c);
}

void snapshots_suspect(struct node *node, struct raft_entry_id last) {
    struct snapshots *s = node->snapshots;
    if (s->checking != NULL || node->stopping != RUNNING) {
        return;
    }
    s->checking = mem_zalloc(sizeof *s->checking);
    *s->checking = (struct checking){.node = node, .last = last};
    struct error error = {0};
    enum error_code code = background_run(node->loop, check, checked, s->checking, &error);
    if (code != OK) {
        s->checking->code = code;
        checked(s->checking);
    }
}

// --- compaction ---

static raft_index lowest_match(const struct node *node) {
    struct raft_progress progress[MEMBERS_MAX];
    raft_index lowest = UINT64_MAX;
    if (!node_leads(node)) {
        return lowest;
    }
    for (size_t i = 0, count = raft_progress(node->raft, progress); i < count; i++) {
        bool follows = !progress[i].needs_snapshot && progress[i].forgot.index == 0;
        if (follows && progress[i].match_index < lowest) {
            lowest = progress[i].match_index;
        }
    }
    return lowest;
}

// True: more is to be dropped.
static bool compact(struct node *node, raft_index sending_index) {
    struct snapshots *s = node->snapshots;
    struct retention retention = {
        .image_index = s->newest.index,
        .base_index = raft_base(node->raft).index,
        .last_index = raft_last_log(node->raft).index,
        .log_bytes = raft_slab_bytes(node->slab),
        .bytes_max = node->config->log_retention,
        .lowest_match = UINT64_MAX,
        .sending_index = sending_index,
    };
    if (retention.image_index <= retention.base_index + RETAINED_ENTRIES) {
        return false;
    }
    retention.lowest_match = lowest_match(node);
    raft_index limit = retention_limit(&retention);
    raft_index disk_limit = limit < s->before.index ? limit : s->before.index;
    if (disk_limit > s->compacted) {
        s->compacted = disk_limit;
        wal_compact(node->wal, disk_limit);
    }
    if (limit == retention.base_index) {
        return false;
    }
    bool more = limit - retention.base_index > COMPACT_TURN_MAX;
    raft_index to = more ? retention.base_index + COMPACT_TURN_MAX : limit;
    *node_event(node) = (struct raft_event){.type = RAFT_EVENT_COMPACT, .compact_index = to};
    state_forget_history(node->state, to);
    return more;
}

bool snapshots_turn(struct node *node, raft_index sending_index) {
    if (is_due(node)) {
        begin(node);
    }
    return compact(node, sending_index);
}

// --- operators ---

bool node_take_snapshot(struct node *node, struct rpc_call call, snapshot_done *done) {
    struct snapshots *s = node->snapshots;
    if (s->writing == NULL && s->newest.index > 0 && s->newest.index == state_last_applied(node->state)) {
        struct snapshot_result result = {.index = s->newest.index, .bytes = s->newest_bytes};
        done(node, call, &result);
        return true;
    }
    if (s->count == REQUESTS_MAX) {
        return false;
    }
    s->requests[s->count++] = (struct request){.call = call, .done = done};
    if (is_due(node)) {
        begin(node);
    }
    return true;
}

struct snapshot_status snapshots_status(const struct snapshots *s) {
    return (struct snapshot_status){
        .last = s->newest, .bytes = s->newest_bytes, .written_unix_ms = s->newest_unix_ms, .suspect = s->checking != NULL};
}

// The images before it are of a log that this node no longer has.
void snapshots_installed(struct node *node, struct raft_entry_id last, uint64_t bytes) {
    struct error error = {0};
    struct wal_directory dir;
    node->snapshots->before = (struct raft_entry_id){0};
    take_newest(node, last, bytes, node_wall_ms(), log_length(node));
    if (wal_directory_look(&dir, node->config->data_dir, &wal_io_system, &error) == OK) {
        remove_others(&dir, last, NULL, &error);
    }
    wal_directory_close(&dir);
}

void snapshots_stop(struct snapshots *s) {
    if (s->writing != NULL) {
        atomic_store(&s->writing->orders.cancelled, true);
    }
}
