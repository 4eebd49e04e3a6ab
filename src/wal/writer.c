// Batches: gathered from the queue, given room in a segment, sealed with their mark, written.
#include "wal/writer.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/ids.h"
#include "base/mem.h"

enum {
    // Space before a batch's lines in the buffer for the lines that open a segment: whether they are needed is known only
    // when
    // the batch's segment is.
    HEAD_ROOM = WAL_HEADER_LINE_MAX + WAL_HARD_STATE_LINE_MAX,
    LINES_MAX = WAL_BATCH_MAX - HEAD_ROOM,
    FILL_STEP = 64 * KIB,  // filling grows by multiples of this; files of short-lived nodes stay small
};

#define RETRY_US US_PER_S

// What is durable once the batch is.
struct batch {
    struct wal_write *stop;  // the first write that is not entirely in it; NULL: the whole queue is in it
    size_t stop_written;     // how many of its entries are durable then
    uint64_t hard_state_write;
    struct raft_hard_state hard_state;
    bool has_hard_state;
    bool begins_with_hard_state;
    struct raft_entry_id last;
    uint64_t reserve;  // bytes of filling that it must leave
};

// --- gathering ---

static size_t lines_len(const struct wal_writer *w) {
    return w->batch_buf.len - HEAD_ROOM;
}

static void begin_batch(struct wal_writer *w, struct batch *b, uint64_t reserve) {
    *b = (struct batch){
        .hard_state = w->hard_state, .hard_state_write = w->durable_hard_state_write, .last = w->last, .reserve = reserve};
    buf_clear(&w->batch_buf);
    buf_reserve(&w->batch_buf, HEAD_ROOM);
    w->batch_buf.len = HEAD_ROOM;
}

static void add_hard_state(struct wal_writer *w, struct batch *b, const struct raft_hard_state *hard_state) {
    assert(hard_state->current_term >= b->hard_state.current_term);
    b->begins_with_hard_state |= lines_len(w) == 0;
    b->has_hard_state = true;
    b->hard_state = *hard_state;
    w->batch_buf.len += wal_put_hard_state(buf_reserve(&w->batch_buf, WAL_HARD_STATE_LINE_MAX), hard_state);
}

// Adds as many entries of one write as fit. False: not all did.
static bool add_entries(struct wal_writer *w, struct batch *b, struct wal_write *write) {
    for (size_t i = write->written; i < write->persist.count; i++) {
        const struct raft_entry *entry = write->persist.entries[i];
        assert(entry->id.index <= b->last.index + 1 && entry->id.term <= b->hard_state.current_term);
        size_t len = wal_entry_line_max(entry);
        if (lines_len(w) + len > LINES_MAX) {
            b->stop = write;
            b->stop_written = i;
            return false;
        }
        w->batch_buf.len += wal_put_entry(buf_reserve(&w->batch_buf, len), entry);
        b->last = entry->id;
    }
    return true;
}

static void gather_all(struct wal_writer *w, struct batch *b) {
    begin_batch(w, b, WAL_RESERVE_BYTES);
    for (struct wal_write *write = w->head; write != NULL; write = write->next) {
        const struct raft_persist *persist = &write->persist;
        if (lines_len(w) + WAL_HARD_STATE_LINE_MAX > LINES_MAX) {
            b->stop = write;
            b->stop_written = write->written;
            return;
        }
        // A hard state written ahead of its entries must not be written after them again: the term would fall.
        if (persist->has_hard_state && persist->write > b->hard_state_write) {
            add_hard_state(w, b, &persist->hard_state);
        }
        if (persist->write > b->hard_state_write) {
            b->hard_state_write = persist->write;
        }
        if (!add_entries(w, b, write)) {
            return;
        }
    }
}

// Only the last hard state of the queue. False: all are durable.
static bool gather_hard_state(struct wal_writer *w, struct batch *b) {
    begin_batch(w, b, 0);
    const struct raft_hard_state *last = NULL;
    for (struct wal_write *write = w->head; write != NULL; write = write->next) {
        if (write->persist.has_hard_state && write->persist.write > w->durable_hard_state_write) {
            last = &write->persist.hard_state;
        }
    }
    if (last != NULL) {
        add_hard_state(w, b, last);
    }
    b->stop = w->head;
    b->stop_written = w->head != NULL ? w->head->written : 0;
    b->hard_state_write = w->pushed_write;
    return last != NULL;
}

// --- room in a segment ---

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

// Fills room for `need` bytes, the newline after them, and the reserve.
static enum error_code fill_for(struct wal_writer *w, struct wal_segment *segment, uint64_t need, uint64_t reserve,
                                struct error *error) {
    uint64_t to = segment->end + need + 1 + reserve;
    if (to <= segment->filled) {
        return OK;
    }
    return wal_segment_fill(w->dir.io, segment, (to + FILL_STEP - 1) / FILL_STEP * FILL_STEP, error);
}

// The current segment is left only once the next one has room: on a full disk its reserve is all there is.
static enum error_code change_segment(struct wal_writer *w, uint64_t need, uint64_t reserve, struct error *error) {
    enum error_code code = OK;
    if (w->next.fd < 0) {
        code = wal_segment_create(w->dir.io, w->dir.wal, w->current.number + 1, &w->next, error);
    }
    if (code == OK) {
        code = fill_for(w, &w->next, need, reserve, error);
    }
    if (code == OK && w->current.fd >= 0) {
        code = wal_segment_trim(w->dir.io, &w->current, error);
    }
    if (code == OK) {
        wal_segment_close(w->dir.io, &w->current);
        w->current = w->next;
        w->next.fd = -1;
        assert(w->current.end == 0);
    }
    return code;
}

// Makes room for `need` bytes in w->current. A batch of hard states alone may exceed the segment's size.
static enum error_code make_room(struct wal_writer *w, uint64_t need, uint64_t reserve, struct error *error) {
    const struct wal_segment *current = &w->current;
    bool fits = current->fd >= 0 && (current->end == 0 || current->end + need <= w->segment_bytes ||
                                     (reserve == 0 && current->end + need < current->filled));
    return fits ? fill_for(w, &w->current, need, reserve, error) : change_segment(w, need, reserve, error);
}

// --- sealing and writing ---

// Adds the lines that open a segment, if this batch does, and the mark. Returns the whole batch, ready to be written.
static struct slice seal(struct wal_writer *w, const struct batch *b, uint32_t *mark_crc) {
    uint8_t head[HEAD_ROOM];
    size_t head_len = 0;
    if (w->current.end == 0) {
        struct wal_header header = {.cluster_id = w->identity.cluster_id,
                                    .node_id = w->identity.node_id,
                                    .segment = w->current.number,
                                    .generation = w->identity.generation,
                                    .base = w->last,
                                    .prev = w->chain};
        head_len = wal_put_header(head, &header);
        if (!b->begins_with_hard_state) {
            head_len += wal_put_hard_state(head + head_len, &w->hard_state);
        }
    }
    buf_reserve(&w->batch_buf, WAL_MARK_LINE_MAX);
    uint8_t *first = w->batch_buf.data + HEAD_ROOM - head_len;
    memcpy(first, head, head_len);
    size_t len = head_len + lines_len(w);
    uint32_t crc = crc32c(w->chain, first, len);
    return slice_of(first, len + wal_put_mark(first + len, w->batch + 1, len, crc, mark_crc));
}

static void account(struct wal_writer *w, const struct batch *b, struct slice bytes, uint32_t mark_crc) {
    assert(b->hard_state_write >= w->durable_hard_state_write);
    w->chain = mark_crc;
    w->batch++;
    w->current.end += bytes.len;
    w->hard_state = b->hard_state;
    w->last = b->last;
    w->batches++;
    w->bytes += bytes.len;
    while (w->head != b->stop) {
        w->durable_write = w->head->persist.write;
        w->head = w->head->next;
    }
    if (b->stop != NULL) {
        b->stop->written = b->stop_written;
    } else {
        w->tail = NULL;
    }
    w->durable_hard_state_write = b->hard_state_write;
    assert(w->durable_write <= w->durable_hard_state_write && w->durable_hard_state_write <= w->pushed_write);
    assert(w->current.end < w->current.filled);  // a newline follows the mark
}

static enum error_code write_batch(struct wal_writer *w, const struct batch *b, struct error *error) {
    uint64_t need = HEAD_ROOM + lines_len(w) + WAL_MARK_LINE_MAX;
    enum error_code code = make_room(w, need, b->reserve, error);
    if (code != OK) {
        return code;
    }
    uint32_t mark_crc;
    struct slice bytes = seal(w, b, &mark_crc);
    assert(bytes.len <= need);
    uint64_t took_us = 0;
    code = wal_segment_append(w->dir.io, &w->current, &w->blocks, bytes, &took_us, error);
    if (code == ERR_NO_SPACE) {
        // A copy-on-write file system can run out of space even for bytes that exist. What it wrote of the batch must be
        // overwritten before anything else is written.
        struct error cleaning;
        uint64_t end = w->current.end;
        if (wal_segment_blank(w->dir.io, &w->current, end, end + bytes.len, &cleaning) != OK) {
            *error = cleaning;
            return ERR_IO;
        }
    }
    if (code == OK) {
        account(w, b, bytes, mark_crc);
        w->sync_seconds = (double)took_us / (double)US_PER_S;
    }
    return code;
}

// --- the queue ---

void wal_writer_push(struct wal_writer *w, struct wal_write *write) {
    assert(write->persist.write == w->pushed_write + 1);
    w->pushed_write = write->persist.write;
    write->next = NULL;
    write->written = 0;
    if (w->tail != NULL) {
        w->tail->next = write;
    } else {
        w->head = write;
    }
    w->tail = write;
}

static void fail(struct wal_writer *w, const struct error *error) {
    w->condition = WAL_FAILED;
    w->error = *error;
}

// Writes a batch of everything queued; with an empty queue, probes for space. True: something was done.
static bool step_all(struct wal_writer *w) {
    struct error error;
    struct batch b;
    gather_all(w, &b);
    enum error_code code = w->head != NULL ? write_batch(w, &b, &error) : make_room(w, FILL_STEP, WAL_RESERVE_BYTES, &error);
    if (code == OK) {
        w->condition = WAL_GOOD;
        return true;
    }
    if (code != ERR_NO_SPACE) {
        fail(w, &error);
        return true;
    }
    w->condition = WAL_FULL;
    w->error = error;
    w->retry_us = w->dir.io->now_us(w->dir.io->self) + RETRY_US;
    return false;
}

static bool step_hard_state(struct wal_writer *w) {
    struct error error;
    struct batch b;
    if (!gather_hard_state(w, &b)) {
        w->durable_hard_state_write = w->pushed_write;
        return false;
    }
    enum error_code code = write_batch(w, &b, &error);
    if (code != OK && code != ERR_NO_SPACE) {
        fail(w, &error);
    }
    return code != ERR_NO_SPACE;
}

bool wal_writer_step(struct wal_writer *w) {
    if (w->condition == WAL_FAILED || (w->condition == WAL_GOOD && w->head == NULL)) {
        return false;
    }
    if (w->condition == WAL_FULL && w->dir.io->now_us(w->dir.io->self) < w->retry_us) {
        return step_hard_state(w);
    }
    return step_all(w) || (w->condition == WAL_FULL && step_hard_state(w));
}

uint64_t wal_writer_retry_us(const struct wal_writer *w) {
    return w->condition == WAL_FULL ? w->retry_us : 0;
}

// --- filling ahead ---

// Fills the current segment to its size plus the reserve, then begins the next one.
static enum error_code fill_ahead(struct wal_writer *w, uint64_t ahead, bool *worked, struct error *error) {
    uint64_t whole = w->segment_bytes + WAL_RESERVE_BYTES;
    if (w->current.filled - w->current.end >= ahead) {
        return OK;
    }
    *worked = true;
    if (w->current.filled < whole) {
        return wal_segment_fill(w->dir.io, &w->current, min_u64(w->current.filled + WAL_FILL_CHUNK, whole), error);
    }
    if (w->next.fd < 0) {
        return wal_segment_create(w->dir.io, w->dir.wal, w->current.number + 1, &w->next, error);
    }
    if (w->next.filled < min_u64(ahead, whole)) {
        return wal_segment_fill(w->dir.io, &w->next, min_u64(w->next.filled + WAL_FILL_CHUNK, whole), error);
    }
    *worked = false;
    return OK;
}

bool wal_writer_prepare(struct wal_writer *w, bool idle) {
    if (w->condition != WAL_GOOD || w->current.fd < 0 || w->dir.io->now_us(w->dir.io->self) < w->retry_us) {
        return false;
    }
    struct error error;
    bool worked = false;
    enum error_code code = fill_ahead(w, idle ? WAL_FILL_AHEAD : WAL_FILL_AHEAD / 2, &worked, &error);
    if (code == ERR_NO_SPACE) {
        w->retry_us = w->dir.io->now_us(w->dir.io->self) + RETRY_US;  // nobody waits for it yet
        return false;
    }
    if (code != OK) {
        fail(w, &error);
    }
    return worked;
}

// --- opening and closing ---

static void take_end(struct wal_writer *w, const struct wal_log_end *end) {
    w->current = end->current;
    w->next = end->next;
    w->batch = end->batch;
    w->chain = end->chain;
    w->hard_state = end->hard_state;
    w->last = end->last;
}

static enum error_code recover(struct wal_writer *w, struct raft_slab *slab, struct wal_recovered *recovered,
                               struct error *error) {
    struct wal_log_end end;
    enum error_code code = wal_collect(&w->dir, &w->identity, slab, recovered, &end, error);
    if (code != OK) {
        return code;
    }
    code = wal_repair(&w->dir, &end, error);
    if (code != OK) {
        wal_recovered_free(recovered);
        return code;
    }
    take_end(w, &end);
    return OK;
}

static struct slice copy_id(char to[ID_MAX], struct slice id) {
    assert(id_check(id, "id", NULL) == OK);
    memcpy(to, id.data, id.len);
    return slice_of(to, id.len);
}

enum error_code wal_writer_open(const struct wal_options *options, struct raft_slab *slab, struct wal_writer **writer,
                                struct wal_recovered *recovered, struct error *error) {
    struct wal_writer *w = mem_zalloc(sizeof *w);
    w->identity = (struct wal_identity){.cluster_id = copy_id(w->cluster_id, options->cluster_id),
                                        .node_id = copy_id(w->node_id, options->node_id),
                                        .generation = options->generation};
    w->segment_bytes = options->segment_bytes != 0 ? options->segment_bytes : WAL_SEGMENT_BYTES;
    w->current.fd = -1;
    w->next.fd = -1;
    *recovered = (struct wal_recovered){.empty = true};
    enum error_code code =
        wal_directory_open(&w->dir, options->dir, options->io != NULL ? options->io : &wal_io_system, error);
    if (code == OK) {
        code = recover(w, slab, recovered, error);
    }
    if (code != OK) {
        wal_directory_close(&w->dir);
        free(w);
        return code;
    }
    *writer = w;
    return OK;
}

// A clean stop leaves no filling: the current segment is trimmed, and a next one without a batch is removed.
static enum error_code trim(struct wal_writer *w, struct error *error) {
    const struct wal_io *io = w->dir.io;
    enum error_code code = OK;
    if (w->current.fd >= 0 && w->current.end > 0) {
        code = wal_segment_trim(io, &w->current, error);
    }
    if (code == OK && w->next.fd >= 0) {
        char name[WAL_SEGMENT_NAME_SIZE];
        wal_segment_name(name, w->next.number);
        if (io->unlink_at(io->self, w->dir.wal, name) != 0 || io->sync(io->self, w->dir.wal) != 0) {
            code = wal_segment_failed("removing the unused", w->next.number, error);
        }
    }
    return code;
}

enum error_code wal_writer_close(struct wal_writer *w, bool trimming, struct error *error) {
    enum error_code code = OK;
    if (w->condition != WAL_GOOD) {
        *error = w->error;
        code = w->error.code;
    } else if (trimming) {
        code = trim(w, error);
    }
    wal_segment_close(w->dir.io, &w->current);
    wal_segment_close(w->dir.io, &w->next);
    wal_directory_close(&w->dir);
    buf_free(&w->batch_buf);
    wal_blocks_free(&w->blocks);
    free(w);
    return code;
}
