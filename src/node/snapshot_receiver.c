// Receiving a snapshot: node/snapshot_receiver.h.
#include "node/snapshot_receiver.h"

#include <stdlib.h>

#include "base/mem.h"
#include "node/background.h"
#include "node/calls.h"
#include "node/digests.h"
#include "node/image.h"
#include "node/internal.h"
#include "node/open.h"
#include "node/snapshots.h"

enum {
    CHUNKS_MAX = 32,  // that wait for the core or the disk; further ones are sent again
    // Synced after so many bytes: at the end it would be all at once, and what this node acknowledges has to wait for it.
    SYNC_BLOCK = 512 * KIB
};

// One chunk, from its arrival to its reply.
struct chunk {
    struct chunk *next;
    struct raft_message reply;  // once the core has made it; before, only its call
    struct raft_entry_id last;
    uint64_t size;
    uint64_t offset;
    size_t len;
    uint8_t data[];
};

struct snapshot_receiver {
    struct node *node;
    struct chunk *waiting;  // for the core's reply
    size_t count;           // of these and those being stored

    // The image that arrives.
    struct raft_entry_id last;  // index 0: none
    uint64_t size;
    uint64_t stored;    // bytes
    uint64_t accepted;  // and those on their way to the disk
    uint64_t unsynced;  // of those stored
    struct wal_directory dir;
    int fd;
    struct chunk *storing;  // in order; the first is being written, or synced with those before it
    struct chunk **storing_end;
    uv_fs_t write;
    bool searched;  // for a part that an earlier process has left
    bool stopped;

    // Verified and loaded by another thread, from when all is stored until the core has decided.
    enum { ARRIVING, LOADING, LOADED, TOLD } phase;
    struct image image;
    enum error_code code;
    struct error error;
    struct raft_configuration configuration;  // the image's, for the core
};

struct snapshot_receiver *snapshot_receiver_new(struct node *node) {
    struct snapshot_receiver *r = mem_zalloc(sizeof *r);
    r->node = node;
    r->fd = -1;
    r->dir = (struct wal_directory){.wal = -1, .snap = -1, .lock = -1};
    r->storing_end = &r->storing;
    return r;
}

static void close_part(struct snapshot_receiver *r) {
    if (r->fd >= 0) {
        wal_io_system.close(wal_io_system.self, r->fd);
        r->fd = -1;
    }
    if (r->dir.io != NULL) {
        wal_directory_close(&r->dir);
        r->dir.io = NULL;
    }
    r->last = (struct raft_entry_id){0};
    r->size = r->stored = r->accepted = r->unsynced = 0;
}

void snapshot_receiver_free(struct snapshot_receiver *r) {
    assert(r->storing == NULL && r->phase != LOADING);
    for (struct chunk *chunk = r->waiting, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    close_part(r);
    image_free(&r->image);
    free(r);
}

void snapshot_receiver_stop(struct snapshot_receiver *r) {
    r->stopped = true;
}

// --- replies ---

// `offset` is where the sender should go on: for a chunk that is stored, behind it, whatever is on its way after it.
static void finish_chunk(struct node *node, struct chunk *chunk, uint64_t offset) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    struct rpc_call call = rpc_call_unpack(chunk->reply.call);
    struct wire_chunk_reply how_far = {.part = r->last, .offset = offset};
    if (!r->stopped && rpc_call_alive(node->server, call)) {
        buf_clear(&node->out);
        wire_chunk_reply_encode(&node->identity, &chunk->reply, &how_far, &node->out);
        rpc_reply(node->server, call, buf_slice(&node->out));
    }
    r->count--;
    free(chunk);
}

// --- the image is whole: load it ---

static void load(void *user) {
    struct snapshot_receiver *r = user;
    r->code = image_load_part(&r->dir, r->last, &r->image, &r->error);
    if (r->code == OK && !slice_equal(slice_of_str(r->image.cluster_id), raft_id_slice(&r->node->config->cluster_id))) {
        r->code = error_set(&r->error, ERR_FOREIGN, "a snapshot of cluster %s", r->image.cluster_id);
    }
    if (r->code == OK) {
        r->code = wal_image_adopt_part(&r->dir, r->last, &r->error);
    }
}

static bool read_members(struct snapshot_receiver *r) {
    r->configuration = (struct raft_configuration){.count = 0};
    if (!node_decode_configuration(r->node, buf_slice(&r->image.configuration), &r->configuration)) {
        error_set(&r->error, ERR_SNAP_CORRUPT, "its configuration cannot be read");
        return false;
    }
    return true;
}

static void drop_image(struct snapshot_receiver *r) {
    image_free(&r->image);
    close_part(r);
    r->phase = ARRIVING;
}

static void loaded(void *user) {
    struct snapshot_receiver *r = user;
    if (r->stopped) {
        drop_image(r);  // it is durable, or a part: the next start goes on from there
        return;
    }
    if (r->code == ERR_UNKNOWN_COMMAND || r->code == ERR_WAL_VERSION) {
        error_wrap(&r->error, "a snapshot from the leader");
        drop_image(r);
        node_fail(r->node, r->code, r->error.message);
        return;
    }
    if (r->code != OK || !read_members(r)) {
        struct error ignored;
        slog(SLOG_ERROR, "received-snapshot-unusable", "a snapshot from the leader cannot be used; it is asked for again",
             F_STR("reason", r->error.message));
        if (r->dir.io != NULL) {
            wal_images_drop_parts(&r->dir, (struct raft_entry_id){0}, &ignored);
        }
        drop_image(r);
        return;
    }
    r->phase = LOADED;
    *node_event(r->node) = (struct raft_event){.type = RAFT_EVENT_TICK};  // so that there is a step
}

void snapshot_receiver_tell(struct node *node) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    if (r->phase != LOADED) {
        return;
    }
    r->phase = TOLD;
    *node_event(node) = (struct raft_event){
        .type = RAFT_EVENT_SNAPSHOT_INSTALLED,
        .snapshot = {.last = r->last,
                     .configuration = &r->configuration,
                     .configuration_index = r->image.configuration_index},
    };
}

static void begin_loading(struct snapshot_receiver *r) {
    struct error error = {0};
    if (background_run(r->node->loop, load, loaded, r, &error) == OK) {
        r->phase = LOADING;
    } else {  // the leader goes on asking
        slog(SLOG_WARN, "received-snapshot-unloaded", "a snapshot from the leader cannot be loaded yet",
             F_STR("reason", error.message));
    }
}

// --- storing ---

static void store_next(struct snapshot_receiver *r);

static void could_not_store(ssize_t result) {
    slog(SLOG_WARN, "received-snapshot-unstored", "a snapshot from the leader could not be stored",
         F_STR("reason", result < 0 ? uv_strerror((int)result) : "a short write"));
}

// The first chunk is on the disk, or not.
static void settle(struct snapshot_receiver *r, bool whole) {
    struct chunk *chunk = r->storing;
    r->stored += whole ? chunk->len : 0;
    r->accepted = whole ? r->accepted : r->stored;  // those after it are dropped in their turn
    r->storing = chunk->next;
    if (r->storing == NULL) {
        r->storing_end = &r->storing;
    }
    metric_add(r->node->m.snapshot_received_bytes, whole ? (double)chunk->len : 0);
    finish_chunk(r->node, chunk, r->stored);
    store_next(r);
    if (r->storing == NULL && r->stored == r->size && !r->stopped) {
        begin_loading(r);
    }
}

static void synced(uv_fs_t *fs) {
    struct snapshot_receiver *r = fs->data;
    bool done = fs->result == 0;
    if (!done) {
        could_not_store(fs->result);
    }
    uv_fs_req_cleanup(fs);
    r->unsynced = 0;
    settle(r, done);
}

static void stored(uv_fs_t *fs) {
    struct snapshot_receiver *r = fs->data;
    bool whole = fs->result == (ssize_t)r->storing->len;
    if (!whole) {
        could_not_store(fs->result);
    }
    uv_fs_req_cleanup(fs);
    r->unsynced += whole ? r->storing->len : 0;
    if (r->unsynced < SYNC_BLOCK) {
        settle(r, whole);
    } else {
        r->write.data = r;
        uv_fs_fdatasync(r->node->loop, &r->write, r->fd, synced);
    }
}

// One write at a time.
static void store_next(struct snapshot_receiver *r) {
    while (r->storing != NULL && (r->storing->offset != r->stored || r->stopped)) {
        struct chunk *chunk = r->storing;
        r->storing = chunk->next;
        finish_chunk(r->node, chunk, r->accepted);
    }
    if (r->storing == NULL) {
        r->storing_end = &r->storing;
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)r->storing->data, (unsigned)r->storing->len);
    r->write.data = r;
    uv_fs_write(r->node->loop, &r->write, r->fd, &buf, 1, (int64_t)r->storing->offset, stored);
}

// Opens the part of this image, which may have been begun by an earlier process, and drops all others.
static enum error_code open_part(struct snapshot_receiver *r, struct raft_entry_id last, struct error *error) {
    enum error_code code = wal_images_drop_parts(&r->dir, last, error);
    if (code == OK) {
        code = wal_image_open_part(&r->dir, last, &r->fd, &r->stored, error);
    }
    if (code == OK) {
        r->last = last;
        r->accepted = r->stored;
    }
    return code;
}

static bool begin_part(struct node *node, const struct chunk *chunk) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    struct error error = {0};
    close_part(r);
    enum error_code code = wal_directory_look(&r->dir, node->config->data_dir, &wal_io_system, &error);
    if (code == OK) {
        code = open_part(r, chunk->last, &error);
    }
    if (code != OK) {
        slog(SLOG_WARN, "received-snapshot-refused", "a snapshot from the leader cannot be stored",
             F_STR("reason", error.message));
        close_part(r);
        return false;
    }
    slog(SLOG_INFO, "snapshot-arrives", "a snapshot arrives from the leader", F_STR("leader", chunk->reply.to.text),
         F_U64("index", r->last.index), F_U64("size", chunk->size), F_U64("from", r->stored));
    return true;
}

// What an earlier process has left, if this one has not begun with another.
static void find_part(struct snapshot_receiver *r) {
    struct error error = {0};
    struct raft_entry_id last;
    if (r->searched) {
        return;
    }
    r->searched = true;
    enum error_code code = wal_directory_look(&r->dir, r->node->config->data_dir, &wal_io_system, &error);
    if (code == OK) {
        code = wal_image_find_part(&r->dir, &last, &error);
    }
    if (code == OK && last.index > 0) {
        code = open_part(r, last, &error);
    }
    if (code != OK || last.index == 0) {
        close_part(r);
        return;
    }
    slog(SLOG_INFO, "snapshot-arrives-on", "a part of a snapshot has arrived before; going on from there",
         F_U64("index", r->last.index), F_U64("from", r->stored));
}

// Whether the part that is open is the chunk's; the leader is told which one it is. Only bytes from the start begin another.
static bool fits(struct node *node, const struct chunk *chunk) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    find_part(r);
    bool same = chunk->last.index == r->last.index && chunk->last.term == r->last.term;
    if (!same) {
        bool begins = chunk->offset == 0 && (chunk->len > 0 || r->last.index == 0);
        if (r->storing != NULL || !begins || !begin_part(node, chunk)) {
            return false;
        }
    }
    if (r->stored > chunk->size || (r->size != 0 && r->size != chunk->size)) {
        struct error ignored;
        if (r->storing == NULL) {  // else at the next one: the file is being written
            wal_images_drop_parts(&r->dir, (struct raft_entry_id){0}, &ignored);  // not of this image: from the start
            close_part(r);
        }
        return false;
    }
    r->size = chunk->size;
    return true;
}

// Whether the chunk is now on its way to the disk; else it is answered with where this node is.
static bool take_chunk(struct node *node, struct chunk *chunk) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    if (r->stopped || r->phase != ARRIVING || !fits(node, chunk)) {
        return false;
    }
    if (r->stored == r->size && r->storing == NULL) {  // all of it was here before a restart
        begin_loading(r);
        return false;
    }
    if (chunk->len == 0 || chunk->offset != r->accepted) {
        return false;
    }
    r->accepted += chunk->len;
    bool idle = r->storing == NULL;
    chunk->next = NULL;
    *r->storing_end = chunk;
    r->storing_end = &chunk->next;
    if (idle) {
        store_next(r);
    }
    return true;
}

// --- the call ---

void snapshot_receiver_chunk(struct node *node, const struct raft_message *message, const struct wire_chunk *bytes) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    size_t len = r->count < CHUNKS_MAX ? bytes->data.len : 0;
    struct chunk *chunk = mem_alloc(sizeof *chunk + len);
    *chunk = (struct chunk){
        .next = r->waiting,
        .reply.call = message->call,
        .last = message->snapshot.last,
        .size = bytes->size,
        .offset = bytes->offset,
        .len = len,
    };
    if (len > 0) {
        memcpy(chunk->data, bytes->data.data, len);
    }
    r->waiting = chunk;
    r->count++;
}

void snapshot_receiver_reply(struct node *node, const struct raft_message *reply) {
    struct chunk **place = &node->snapshot_receiver->waiting;
    while (*place != NULL && (*place)->reply.call != reply->call) {
        place = &(*place)->next;
    }
    struct chunk *chunk = *place;
    if (chunk == NULL) {
        return;
    }
    *place = chunk->next;
    chunk->reply = *reply;
    if (!reply->snapshot_reply.accepted || reply->snapshot_reply.done || !take_chunk(node, chunk)) {
        finish_chunk(node, chunk, node->snapshot_receiver->accepted);
    }
}

// --- installing ---

static void outcome_unknown(void *user, const struct waiting_write *write) {
    calls_write_lost(user, write, false);
}

// Writes that this node proposed as an earlier leader are among what the snapshot covers, or they are not: nobody here
// knows.
static void give_up_writes(struct node *node, struct raft_entry_id last) {
    struct waiting_write write;
    if (writes_applied(node->writes, last, &write, outcome_unknown, node)) {
        outcome_unknown(node, &write);
    }
}

static void install(struct node *node) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    struct state *before = node->state;
    raft_index from = state_last_applied(before);
    node->state = r->image.state;
    r->image.state = NULL;
    state_retire(before, node->state);
    node->configuration_index = r->image.configuration_index;
    buf_clear(&node->configuration_command);
    buf_append_slice(&node->configuration_command, buf_slice(&r->image.configuration));
    give_up_writes(node, r->last);
    watches_replace_state(node->watches, node->state);
    snapshots_installed(node, r->last, r->image.bytes);
    digests_replaced(node);
    slog(SLOG_INFO, "snapshot-installed", "installed a snapshot", F_U64("index", r->last.index),
         F_U64("bytes", r->image.bytes), F_U64("instead_of", from));
}

void snapshot_receiver_follow(struct node *node, const struct raft_update *update) {
    struct snapshot_receiver *r = node->snapshot_receiver;
    if (r->phase != TOLD) {
        return;
    }
    if (update->installed.index > 0) {
        assert(update->installed.index == r->last.index);
        install(node);
    } else {
        struct error ignored;
        wal_image_remove(&r->dir, r->last, &ignored);  // an older one is never installed
    }
    drop_image(r);
}
