// Sending snapshots: node/snapshot_sender.h.
#include "node/snapshot_sender.h"

#include <stdlib.h>

#include "base/mem.h"
#include "baton/v1/raft.pb.h"
#include "node/internal.h"
#include "node/snapshots.h"
#include "wal/image.h"

enum {
    CHUNK_BYTES = 512 * KIB,
    IN_FLIGHT_MAX = 8,   // chunks: 4 MiB fill a link of 80 MB/s over 50 ms
    DEADLINE_MS = 10000  // of one chunk
};

#define RETRY_US  (500 * US_PER_MS)  // after a failure, or while the receiver does not get on
#define POLL_US   (50 * US_PER_MS)   // while the receiver verifies what it has
#define PINNED_US (10 * US_PER_S)    // a receiver that is silent for longer gets another image, and its log may go

struct sender {
    struct snapshot_senders *all;
    bool active;
    struct raft_id peer;
    struct raft_entry_id last;  // of the image
    int fd;
    uint64_t size;
    uint64_t acknowledged;  // bytes that the receiver has
    uint64_t next;          // offset of the next chunk
    // Raised when the sender goes back: replies to chunks of earlier attempts no longer say where to go on.
    uint32_t attempt;
    bool asking;  // the next request only asks how far the receiver is, and nothing else is in flight
    uint32_t in_flight;
    uint64_t not_before_us;
    uint64_t heard_us;  // when the receiver last answered
    bool reading;
    uv_fs_t read;
    size_t chunk_len;
    uint8_t *chunk;  // CHUNK_BYTES
    struct tag {
        uint32_t attempt;
        uint64_t end;   // offset after the chunk
        uint64_t call;  // the core's number
        bool used;
    } tags[IN_FLIGHT_MAX];
};

struct snapshot_senders {
    struct node *node;
    struct sender senders[MEMBERS_MAX];
    uint64_t rate_from_us;  // bytes are paid for up to here
    uv_timer_t timer;
    bool closing;
};

struct snapshot_senders *snapshot_senders_new(struct node *node) {
    struct snapshot_senders *all = mem_zalloc(sizeof *all);
    all->node = node;
    uv_timer_init(node->loop, &all->timer);
    all->timer.data = all;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        all->senders[i].all = all;
        all->senders[i].fd = -1;
    }
    return all;
}

void snapshot_senders_close(struct snapshot_senders *all) {
    all->closing = true;
    uv_close((uv_handle_t *)&all->timer, NULL);
}

// A read in progress keeps file and memory until it ends.
static void release(struct sender *s) {
    if (s->reading) {
        return;
    }
    if (s->fd >= 0) {
        wal_io_system.close(wal_io_system.self, s->fd);
        s->fd = -1;
    }
    free(s->chunk);
    s->chunk = NULL;
}

void snapshot_senders_free(struct snapshot_senders *all) {
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        assert(!all->senders[i].reading);
        release(&all->senders[i]);
    }
    free(all);
}

raft_index snapshot_senders_lowest(const struct snapshot_senders *all) {
    raft_index lowest = UINT64_MAX;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct sender *s = &all->senders[i];
        bool under_way = s->active && s->acknowledged > 0 && node_clock_us() - s->heard_us < PINNED_US;
        if (under_way && s->last.index < lowest) {
            lowest = s->last.index;
        }
    }
    return lowest;
}

struct snapshot_sending snapshot_senders_status(const struct snapshot_senders *all, const struct raft_id *peer) {
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct sender *s = &all->senders[i];
        if (s->active && raft_id_equal(&s->peer, peer)) {
            return (struct snapshot_sending){.sent = s->acknowledged, .size = s->size};
        }
    }
    return (struct snapshot_sending){.size = 0};
}

// --- which image ---

static bool open_image(struct sender *s, struct raft_entry_id last) {
    struct error error = {0};
    struct wal_directory dir;
    char name[WAL_IMAGE_NAME_SIZE];
    struct stat st;
    const struct wal_io *io = &wal_io_system;
    wal_image_name(name, last);
    int fd = -1;
    if (wal_directory_look(&dir, s->all->node->config->data_dir, io, &error) == OK) {
        fd = io->open_at(io->self, dir.snap, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    }
    wal_directory_close(&dir);
    if (fd < 0 || io->stat(io->self, fd, &st) != 0) {
        if (fd >= 0) {
            io->close(io->self, fd);
        }
        return false;
    }
    if (s->fd >= 0) {
        io->close(io->self, s->fd);
    }
    s->fd = fd;
    s->last = last;
    s->size = (uint64_t)st.st_size;
    s->acknowledged = s->next = 0;
    return true;
}

static void begin(struct sender *s, const struct raft_id *peer) {
    struct snapshot_status newest = snapshots_status(s->all->node->snapshots);
    bool behind = newest.last.index < raft_base(s->all->node->raft).index;
    if (newest.last.index == 0 || newest.suspect || behind || s->reading || !open_image(s, newest.last)) {
        return;  // until there is one that the log continues
    }
    s->active = true;
    s->peer = *peer;
    s->attempt++;
    s->asking = true;
    s->not_before_us = 0;
    if (s->chunk == NULL) {
        s->chunk = mem_alloc(CHUNK_BYTES);
    }
    slog(SLOG_INFO, "snapshot-sent", "a follower lags behind the log and is sent a snapshot", F_STR("follower", peer->text),
         F_U64("index", s->last.index), F_U64("bytes", s->size));
}

// The receiver has a part of another image: completes that one if it is here and its entries are still in the log.
static void switch_image(struct sender *s, struct raft_entry_id part) {
    if (!s->reading && part.index >= raft_base(s->all->node->raft).index && open_image(s, part)) {
        slog(SLOG_INFO, "snapshot-sent-on", "going on with the snapshot that the follower has a part of",
             F_STR("follower", s->peer.text), F_U64("index", part.index));
    }
}

// --- sending ---

static void done(void *user, uint64_t number, const struct rpc_result *result);

static struct tag *free_tag(struct sender *s) {
    for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
        if (!s->tags[i].used) {
            return &s->tags[i];
        }
    }
    return NULL;
}

// Sends s->chunk[0 .. len-1] as the bytes at s->next. False: this node does not lead any more, or the peer needs none.
static bool send_chunk(struct sender *s, size_t len) {
    struct node *node = s->all->node;
    struct raft_message message;
    struct tag *tag = free_tag(s);
    struct rpc_channel *channel = peers_channel(node->peers, &s->peer, RAFT_BULK);
    if (tag == NULL || channel == NULL || !raft_snapshot_request(node->raft, &s->peer, s->last, &message)) {
        return false;
    }
    struct wire_chunk chunk = {.size = s->size, .offset = s->next, .data = slice_of(s->chunk, len)};
    *tag = (struct tag){.attempt = s->attempt, .end = s->next + len, .call = message.call, .used = true};
    s->in_flight++;
    s->next += len;
    buf_clear(&node->out);
    wire_chunk_encode(&node->identity, &message, &chunk, &node->out);
    uint64_t number = (uint64_t)(s - s->all->senders) * IN_FLIGHT_MAX + (uint64_t)(tag - s->tags);
    rpc_channel_call(channel, &(struct rpc_request){
                                  .path = pb_raft_service_install_snapshot.path,
                                  .body = buf_slice(&node->out),
                                  .timeout_ms = DEADLINE_MS,
                                  .user = s->all,
                                  .tag = number,
                                  .on_done = done,
                              });
    metric_add(node->m.snapshot_sent_bytes, (double)len);
    return true;
}

static void pump(struct sender *s);

static void on_timer(uv_timer_t *timer) {
    struct snapshot_senders *all = timer->data;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        pump(&all->senders[i]);
    }
}

static void wait_until(struct snapshot_senders *all, uint64_t at_us) {
    uint64_t now_us = node_clock_us();
    uint64_t wait_ms = at_us > now_us ? (at_us - now_us + US_PER_MS - 1) / US_PER_MS : 0;
    if (!all->closing) {
        uv_timer_start(&all->timer, on_timer, wait_ms, 0);
    }
}

static void chunk_read(uv_fs_t *fs) {
    struct sender *s = fs->data;
    ssize_t len = fs->result;
    uv_fs_req_cleanup(fs);
    s->reading = false;
    if (!s->active || s->all->closing) {
        release(s);
        return;
    }
    if (len != (ssize_t)s->chunk_len) {
        slog(SLOG_WARN, "snapshot-unreadable", "a snapshot cannot be read", F_U64("index", s->last.index),
             F_STR("reason", len < 0 ? uv_strerror((int)len) : "the file is shorter than it was"));
        s->active = false;
        release(s);
        return;
    }
    if (!s->asking && send_chunk(s, s->chunk_len)) {
        pump(s);
    }
}

static void read_chunk(struct sender *s) {
    uint64_t left = s->size - s->next;
    s->chunk_len = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    s->reading = true;
    s->read.data = s;
    uv_buf_t buf = uv_buf_init((char *)s->chunk, (unsigned)s->chunk_len);
    uv_fs_read(s->all->node->loop, &s->read, s->fd, &buf, 1, (int64_t)s->next, chunk_read);
}

// Pays for a chunk. False: it is not time yet.
static bool afford(struct snapshot_senders *all, uint64_t now_us) {
    uint64_t rate = all->node->config->snapshot_rate;
    if (rate == 0) {
        return true;
    }
    if (all->rate_from_us > now_us) {
        wait_until(all, all->rate_from_us);
        return false;
    }
    uint64_t earliest_us = now_us - 10 * US_PER_MS;  // what the timer was late is made up for
    uint64_t from_us = all->rate_from_us > earliest_us ? all->rate_from_us : earliest_us;
    all->rate_from_us = from_us + CHUNK_BYTES * US_PER_S / rate;
    return true;
}

// Whether the image can still be sent: the log goes on after it. As long as nothing of it has arrived, the newest one is
// sent. False: not now.
static bool is_current(struct sender *s) {
    struct raft_entry_id newest = snapshots_status(s->all->node->snapshots).last;
    bool behind = s->last.index < raft_base(s->all->node->raft).index;
    if (!behind && (s->acknowledged > 0 || s->last.index == newest.index)) {
        return true;
    }
    s->attempt++;
    s->asking = true;
    if (newest.index < raft_base(s->all->node->raft).index || !open_image(s, newest)) {
        s->active = false;
        release(s);
    }
    return s->active;
}

static void pump(struct sender *s) {
    uint64_t now_us = node_clock_us();
    if (!s->active || s->reading || s->all->closing) {
        return;
    }
    if (now_us < s->not_before_us) {
        wait_until(s->all, s->not_before_us);
        return;
    }
    if (!is_current(s)) {
        return;
    }
    if (s->asking) {
        if (s->in_flight == 0) {
            send_chunk(s, 0);
        }
        return;
    }
    if (s->in_flight < IN_FLIGHT_MAX && s->next < s->size && afford(s->all, now_us)) {
        read_chunk(s);
    }
}

// --- replies ---

// Nothing is known to be right but what the receiver says next.
static void ask_again(struct sender *s, uint64_t after_us) {
    s->attempt++;
    s->asking = true;
    s->not_before_us = node_clock_us() + after_us;
}

static void go_on_from(struct sender *s, const struct tag *tag, const struct wire_chunk_reply *reply) {
    bool ours = reply->part.index == s->last.index && reply->part.term == s->last.term;
    uint64_t offset = ours && reply->offset <= s->size ? reply->offset : 0;
    if (tag->attempt != s->attempt) {
        return;
    }
    // An empty part is worth nothing: is_current would go back to the newest image, and so on for ever.
    if (s->asking && !ours && reply->part.index > 0 && reply->offset > 0) {
        switch_image(s, reply->part);
        ours = reply->part.index == s->last.index && reply->part.term == s->last.term;
        offset = ours && reply->offset <= s->size ? reply->offset : 0;
    }
    if (s->acknowledged == s->size && offset == 0) {  // it was whole there, and was not taken
        snapshots_suspect(s->all->node, s->last);
        s->active = false;
        release(s);
        return;
    }
    bool advanced = offset > s->acknowledged;
    s->acknowledged = offset;
    if (s->asking || offset != tag->end) {
        bool was_asking = s->asking;
        s->attempt++;
        s->asking = offset == s->size;
        s->next = offset;
        s->not_before_us = s->asking ? node_clock_us() + POLL_US : was_asking || advanced ? 0 : node_clock_us() + RETRY_US;
    } else if (offset == s->size) {
        ask_again(s, POLL_US);  // all of it is there: until it is installed
    }
}

static bool decode(struct sender *s, const struct rpc_result *result, struct raft_message *reply,
                   struct wire_chunk_reply *chunk) {
    struct node *node = s->all->node;
    struct error error = {0};
    if (result->status != RPC_OK) {
        slog(SLOG_DEBUG, "chunk-lost", "a chunk of a snapshot did not arrive", F_STR("follower", s->peer.text),
             F_STR("status", rpc_status_name(result->status)), F_BYTES("reason", result->message));
        return false;
    }
    arena_reset(&node->scratch);
    if (wire_chunk_reply_decode(&node->identity, result->body, &node->scratch, reply, chunk, &error) != OK) {
        slog(SLOG_WARN, "chunk-refused", "refused a reply to a chunk of a snapshot", F_STR("follower", s->peer.text),
             F_STR("reason", error.message));
        return false;
    }
    return raft_id_equal(&reply->from, &s->peer);
}

static void done(void *user, uint64_t number, const struct rpc_result *result) {
    struct snapshot_senders *all = user;
    struct sender *s = &all->senders[number / IN_FLIGHT_MAX];
    struct tag tag = s->tags[number % IN_FLIGHT_MAX];
    struct raft_message reply;
    struct wire_chunk_reply chunk;
    s->tags[number % IN_FLIGHT_MAX].used = false;
    s->in_flight--;
    if (all->closing) {
        return;
    }
    if (!decode(s, result, &reply, &chunk)) {
        *node_event(all->node) =
            (struct raft_event){.type = RAFT_EVENT_SEND_FAILED, .send_failed = {.peer = s->peer, .call = tag.call}};
        if (tag.attempt == s->attempt) {
            ask_again(s, RETRY_US);
        }
    } else {
        reply.call = tag.call;
        s->heard_us = node_clock_us();
        *node_event(all->node) = (struct raft_event){.type = RAFT_EVENT_MESSAGE, .message = reply};
        if (reply.snapshot_reply.accepted && !reply.snapshot_reply.done) {
            go_on_from(s, &tag, &chunk);
        }
    }
    pump(s);
}

// --- once a turn ---

static struct sender *sender_to(struct snapshot_senders *all, const struct raft_id *peer) {
    struct sender *unused = NULL;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct sender *s = &all->senders[i];
        if (s->active && raft_id_equal(&s->peer, peer)) {
            return s;
        }
        if (!s->active && !s->reading && s->in_flight == 0 && unused == NULL) {
            unused = s;
        }
    }
    return unused;
}

static void end_unneeded(struct snapshot_senders *all, const struct raft_progress *progress, size_t count) {
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct sender *s = &all->senders[i];
        bool needed = false;
        for (size_t k = 0; k < count; k++) {
            needed |= progress[k].needs_snapshot && raft_id_equal(&progress[k].id, &s->peer);
        }
        if (s->active && !needed) {
            s->active = false;
            release(s);
        }
    }
}

void snapshot_senders_turn(struct node *node) {
    struct snapshot_senders *all = node->snapshot_senders;
    struct raft_progress progress[MEMBERS_MAX];
    size_t count = node_leads(node) && node->stopping == RUNNING ? raft_progress(node->raft, progress) : 0;
    end_unneeded(all, progress, count);
    for (size_t i = 0; i < count; i++) {
        struct sender *s = progress[i].needs_snapshot ? sender_to(all, &progress[i].id) : NULL;
        if (s != NULL && !s->active) {
            begin(s, &progress[i].id);
        }
        if (s != NULL) {
            pump(s);
        }
    }
}
