// Streaming images: node/backups.h.
#include "node/backups.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "node/background.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "node/snapshots.h"
#include "wal/image.h"
#include "wire/codec.h"

enum { CHUNK_BYTES = 256 * KIB };

#define STALLED_US (60 * US_PER_S)

struct backup {
    struct node *node;
    enum { UNUSED, SNAPSHOT, VERIFYING, SENDING } step;
    struct rpc_call call;
    bool ended;               // the call is over; the place is free once no thread works on it
    bool working;             // a thread reads the file
    raft_index commit_index;  // see BackupStart
    uint64_t begun_us;

    // The file, pinned by its descriptor. While verifying the thread's.
    struct wal_image_reader image;
    struct raft_entry_id last;
    uint64_t generation;
    atomic_bool cancelled;
    enum error_code code;
    struct error error;

    uint64_t next;  // offset of the chunk
    size_t chunk_len;
    uint8_t *chunk;  // CHUNK_BYTES
    uv_fs_t read;
    uint64_t blocked_us;  // since when a chunk waits for room; 0: none does
};

struct backups {
    struct backup places[BACKUPS_MAX];
    raft_index commit_heard;  // the highest commit index that a member has told
};

struct backups *backups_new(void) {
    return mem_zalloc(sizeof(struct backups));
}

void backups_free(struct backups *backups) {
    for (size_t i = 0; i < BACKUPS_MAX; i++) {
        assert(backups->places[i].step == UNUSED);
    }
    free(backups);
}

void backups_heard(struct node *node, const struct pb_status_response *status) {
    if (status->commit_index > node->backups->commit_heard) {
        node->backups->commit_heard = status->commit_index;
    }
}

// --- the end of a backup ---

static void release(struct backup *b) {
    if (b->working) {
        return;
    }
    if (b->step >= VERIFYING) {
        wal_image_close(&b->image);
    }
    free(b->chunk);
    b->chunk = NULL;
    b->step = UNUSED;
}

static void end(struct backup *b) {
    b->ended = true;
    atomic_store(&b->cancelled, true);
    release(b);
}

static void give_up(struct backup *b, enum outcome outcome, const char *reason) {
    struct outcome_facts facts = {.name = slice_of_str(reason)};
    node_tell(b->node, b->call, outcome, &facts);
    end(b);
}

static struct backup *find(struct node *node, struct rpc_call call) {
    for (size_t i = 0; i < BACKUPS_MAX; i++) {
        struct backup *b = &node->backups->places[i];
        if (b->step != UNUSED && !b->ended && rpc_call_pack(b->call) == rpc_call_pack(call)) {
            return b;
        }
    }
    return NULL;
}

// --- sending ---

static void read_chunk(struct backup *b);

static void send_chunk(struct backup *b) {
    struct node *node = b->node;
    struct pb_backup_response response = {.data = slice_of(b->chunk, b->chunk_len)};
    if (quarantine_begun(node)) {  // since the call: the state that it was taken of may be wrong
        quarantine_tell(node, b->call, false);
        end(b);
        return;
    }
    buf_clear(&node->out);
    pb_encode(&pb_backup_response_type, &response, &node->out);
    if (!rpc_send(node->server, b->call, buf_slice(&node->out))) {
        b->blocked_us = node_clock_us();
        return;
    }
    b->blocked_us = 0;
    b->next += b->chunk_len;
    if (b->next < b->image.file.size) {
        read_chunk(b);
        return;
    }
    slog(SLOG_INFO, "backup-sent", "sent a backup", F_U64("index", b->last.index), F_U64("bytes", b->next),
         F_DOUBLE("seconds", (double)(node_clock_us() - b->begun_us) / (double)US_PER_S));
    rpc_finish(node->server, b->call, RPC_OK, NULL);
    end(b);
}

static void chunk_read(uv_fs_t *fs) {
    struct backup *b = fs->data;
    ssize_t len = fs->result;
    uv_fs_req_cleanup(fs);
    b->working = false;
    if (b->ended) {
        release(b);
    } else if (len != (ssize_t)b->chunk_len) {
        give_up(b, OUTCOME_BACKUP_UNREADABLE, len < 0 ? uv_strerror((int)len) : "the file is shorter than it was");
    } else {
        send_chunk(b);
    }
}

static void read_chunk(struct backup *b) {
    uint64_t left = b->image.file.size - b->next;
    b->chunk_len = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    b->working = true;
    b->read.data = b;
    uv_buf_t buf = uv_buf_init((char *)b->chunk, (unsigned)b->chunk_len);
    uv_fs_read(b->node->loop, &b->read, b->image.file.fd, &buf, 1, (int64_t)b->next, chunk_read);
}

static void begin_sending(struct backup *b) {
    struct node *node = b->node;
    struct pb_backup_start start = {
        .index = b->last.index,
        .term = b->last.term,
        .generation = b->generation,
        .bytes = b->image.file.size,
        .node = raft_id_slice(node_id(node)),
        .leader = raft_id_slice(node_leader_id(node)),
        .commit_index = b->commit_index,
    };
    struct pb_backup_response response = {.has_start = true, .start = start};
    b->step = SENDING;
    b->chunk = mem_alloc(CHUNK_BYTES);
    b->next = 0;
    b->blocked_us = 0;
    buf_clear(&node->out);
    pb_encode(&pb_backup_response_type, &response, &node->out);
    bool sent = rpc_send(node->server, b->call, buf_slice(&node->out));
    assert(sent);  // the first message of a call, and small
    read_chunk(b);
}

// --- verifying, on a thread of its own ---

static void read_all(void *user) {
    struct backup *b = user;
    struct slice members;
    uint64_t digest;
    do {
        b->code = wal_image_next(&b->image, &members, &digest, &b->error);
    } while (b->code == OK && members.data != NULL && !atomic_load_explicit(&b->cancelled, memory_order_relaxed));
}

static void verified(void *user) {
    struct backup *b = user;
    b->working = false;
    if (b->ended) {
        release(b);
    } else if (b->code != OK) {
        slog(SLOG_ERROR, "backup-damaged", "a snapshot is damaged and was not given as a backup",
             F_STR("reason", b->error.message));
        if (b->code == ERR_SNAP_CORRUPT) {
            snapshots_suspect(b->node, b->last);
        }
        give_up(b, OUTCOME_BACKUP_UNREADABLE, b->error.message);
    } else {
        begin_sending(b);
    }
}

// Opens the file here, so that it is pinned before another snapshot can take its place.
static void begin_verifying(struct backup *b) {
    struct node *node = b->node;
    struct wal_directory dir;
    struct wal_image_header header;
    b->step = VERIFYING;
    b->last = snapshots_status(node->snapshots).last;
    b->image = (struct wal_image_reader){.file.fd = -1};
    enum error_code code = wal_directory_look(&dir, node->config->data_dir, &wal_io_system, &b->error);
    if (code == OK) {
        code = wal_image_open(&dir, b->last, &b->image, &header, &b->error);
    }
    wal_directory_close(&dir);
    if (code != OK) {
        give_up(b, OUTCOME_BACKUP_UNREADABLE, b->error.message);
        return;
    }
    b->generation = header.generation;
    b->working = true;
    struct error error = {0};
    if (background_run(node->loop, read_all, verified, b, &error) != OK) {
        b->working = false;
        give_up(b, OUTCOME_BACKUP_UNREADABLE, error.message);
    }
}

static void snapshot_taken(struct node *node, struct rpc_call call, const struct snapshot_result *result) {
    struct backup *b = find(node, call);
    if (b == NULL) {
        return;  // its client has gone
    }
    if (result->error != NULL) {
        give_up(b, OUTCOME_NO_SNAPSHOT, result->error);
    } else {
        begin_verifying(b);
    }
}

// --- calls ---

bool node_backup(struct node *node, struct rpc_call call) {
    struct backup *b = NULL;
    for (size_t i = 0; i < BACKUPS_MAX; i++) {
        if (node->backups->places[i].step == UNUSED) {
            b = &node->backups->places[i];
        }
    }
    if (b == NULL) {
        return false;
    }
    *b = (struct backup){.node = node,
                         .step = SNAPSHOT,
                         .call = call,
                         .commit_index = node->backups->commit_heard,
                         .begun_us = node_clock_us()};
    if (!node_take_snapshot(node, call, snapshot_taken)) {
        b->step = UNUSED;
        return false;
    }
    return true;
}

void node_backup_cancelled(struct node *node, struct rpc_call call) {
    struct backup *b = find(node, call);
    if (b != NULL) {
        end(b);
    }
}

void node_backup_writable(struct node *node, struct rpc_call call) {
    struct backup *b = find(node, call);
    if (b != NULL && b->blocked_us > 0) {
        send_chunk(b);
    }
}

void backups_sample(struct node *node) {
    for (size_t i = 0; i < BACKUPS_MAX; i++) {
        struct backup *b = &node->backups->places[i];
        if (b->step == SENDING && !b->ended && b->blocked_us > 0 && node_clock_us() - b->blocked_us > STALLED_US) {
            give_up(b, OUTCOME_BACKUP_STALLED, "");
        }
    }
}

void backups_finish(struct node *node) {
    for (size_t i = 0; i < BACKUPS_MAX; i++) {
        struct backup *b = &node->backups->places[i];
        if (b->step != UNUSED && !b->ended) {
            give_up(b, OUTCOME_BACKUP_LEAVING, "");
        }
    }
}
