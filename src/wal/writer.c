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
    struct wal_write *restart;  // the write with which the log begins anew; NULL: it continues
    struct wal_write *stop;     // the first write that is not entirely in it; NULL: the whole queue is in it
    size_t stop_written;        // how many of its entries are durable then
    uint64_t hard_state_write;
    struct raft_hard_state hard_state;
    bool begins_with_hard_state;
    bool begins_segment;        // it must be the first of its segment:
    struct raft_entry_id base;  // the log continues, or begins anew, after this entry
    struct raft_entry_id last;
    uint64_t reserve;  // bytes of filling that it must leave
};

// --- gathering ---

static size_t lines_len(const struct wal_writer *w) {
    return w->batch_buf.len - HEAD_ROOM;
}

static void begin_batch(struct wal_writer *w, struct batch *b, uint64_t reserve) {
    *b = (struct batch){
        .hard_state = w->hard_state,
        .hard_state_write = w->durable_hard_state_write,
        .base = w->last,
        .last = w->last,
        .reserve = reserve,
    };
    buf_clear(&w->batch_buf);
    buf_reserve(&w->batch_buf, HEAD_ROOM);
    w->batch_buf.len += HEAD_ROOM;
}

static void add_hard_state(struct wal_writer *w, struct batch *b, const struct raft_hard_state *hard_state) {
    assert(hard_state->current_term >= b->hard_state.current_term);
    b->begins_with_hard_state |= lines_len(w) == 0;
    b->hard_state = *hard_state;
    w->batch_buf.len += wal_put_hard_state(buf_reserve(&w->batch_buf, WAL_HARD_STATE_LINE_MAX), hard_state);
}

// The log begins anew with this write. False: not in this batch, which has lines of the log before it.
static bool restart(struct wal_writer *w, struct batch *b, struct wal_write *write) {
    if (lines_len(w) > 0) {
        b->stop = write;
        return false;
    }
    b->begins_segment = true;
    b->restart = write;
    b->base = b->last = write->persist.reset;
    return true;
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
    b->begins_segment = w->generation > w->last_generation;
    for (struct wal_write *write = w->head; write != NULL; write = write->next) {
        const struct raft_persist *persist = &write->persist;
        assert(write == w->head || write->written == 0);  // so b->stop_written is 0 for one that is not in this batch
        if (lines_len(w) + WAL_HARD_STATE_LINE_MAX > LINES_MAX) {
            b->stop = write;
            return;
        }
        if (persist->reset.index > 0 && !write->restarted && !restart(w, b, write)) {
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
    b->stop_written = w->head->written;
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
        code = wal_segment_trim(w->dir.io, &w->current, 0, error);
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
                                    .incarnation = slice_of_str(w->incarnation),
                                    .segment = w->current.number,
                                    .generation = w->generation,
                                    .base = b->base,
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
    if (w->current.end == 0) {
        w->last_generation = w->generation;
    }
    w->chain = mark_crc;
    w->batch++;
    w->current.end += bytes.len;
    w->hard_state = b->hard_state;
    w->last = b->last;
    if (b->restart != NULL) {
        b->restart->restarted = true;
        w->anew_segment = w->current.number;
    }
    if (w->first_segment == 0) {
        w->first_segment = w->current.number;
    }
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
    bool leaves = b->begins_segment && w->current.end > 0;
    enum error_code code = leaves ? change_segment(w, need, b->reserve, error) : make_room(w, need, b->reserve, error);
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
            return error->code = ERR_IO;  // whatever the reason: this is final
        }
    }
    if (code == OK) {
        account(w, b, bytes, mark_crc);
        w->sync_seconds = (double)took_us / (double)US_PER_S;
    }
    return code;
}

// --- the queue ---

void wal_writer_raise_generation(struct wal_writer *w, uint64_t generation) {
    if (generation > w->generation) {
        w->generation = generation;
    }
}

void wal_writer_push(struct wal_writer *w, struct wal_write *write) {
    assert(write->persist.write == w->pushed_write + 1);
    w->pushed_write = write->persist.write;
    write->next = NULL;
    write->written = 0;
    write->restarted = false;
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

// Writes a batch of everything queued. True: something was done.
static bool step_all(struct wal_writer *w) {
    struct error error;
    struct batch b;
    gather_all(w, &b);
    enum error_code code = write_batch(w, &b, &error);
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

// Nothing goes ahead of an entry that founds: with the term alone the log would be neither what it was nor what it becomes.
static bool may_go_ahead(const struct wal_writer *w) {
    return w->generation == w->last_generation && w->last.index > 0;
}

static bool step_hard_state(struct wal_writer *w) {
    struct error error;
    struct batch b;
    if (!may_go_ahead(w)) {
        return false;
    }
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
    if (w->condition == WAL_FAILED || w->head == NULL) {
        assert(w->condition != WAL_FULL);  // what found no space waits
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

// --- removing old segments ---

// Synced one by one: after a crash the segments that are left must be consecutive. False: it failed.
static bool remove_first(struct wal_writer *w) {
    struct error error;
    const struct wal_io *io = w->dir.io;
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(name, w->first_segment);
    if (io->unlink_at(io->self, w->dir.wal, name) != 0 || io->sync(io->self, w->dir.wal) != 0) {
        wal_segment_failed("removing", w->first_segment, &error);
        fail(w, &error);
        return false;
    }
    w->first_segment++;
    return true;
}

// The last segment's first batch is durable once it has an end, so nothing depends on the one before any more.
bool wal_writer_purge(struct wal_writer *w, raft_index index) {
    if (w->condition == WAL_FAILED || w->current.end == 0 || w->first_segment >= w->current.number) {
        return false;
    }
    if (w->first_segment < w->anew_segment) {
        return remove_first(w);
    }
    if (w->second_segment != w->first_segment + 1) {
        w->second_segment = w->first_segment + 1;
        // Damage there is for the next start to find: nothing is removed then.
        if (!wal_segment_base(&w->dir, w->second_segment, &w->second_base)) {
            w->second_base = UINT64_MAX;
        }
    }
    return w->second_base <= index && remove_first(w);
}

// --- opening and closing ---

// What the log on the disk says takes the place of what the options say.
static void take_end(struct wal_writer *w, const struct wal_log_end *end) {
    w->current = end->current;
    w->next = end->next;
    w->batch = end->batch;
    w->chain = end->chain;
    w->hard_state = end->hard_state;
    w->last = end->last;
    w->first_segment = end->first_segment;
    w->anew_segment = end->anew_segment;
    w->last_generation = end->generation;
    wal_writer_raise_generation(w, end->generation);
    if (end->incarnation[0] != '\0') {
        memcpy(w->incarnation, end->incarnation, sizeof w->incarnation);
    }
}

// Whether the log has the image's last entry, or begins after it. It may lack it: the crash came between the image, which
// was installed from another node, and the first batch after it.
static bool covers(const struct raft_restored *log, struct raft_entry_id image) {
    if (image.index <= log->base.index) {
        return image.index < log->base.index || image.term == log->base.term;
    }
    size_t at = (size_t)(image.index - log->base.index - 1);
    return at < log->count && log->entries[at]->id.term == image.term;
}

// The log must begin at or before the image, and anew after an image that it does not have.
static enum error_code join_image(const struct wal_writer *w, struct raft_entry_id image, struct wal_recovered *recovered,
                                  bool *anew, struct error *error) {
    struct raft_restored *log = &recovered->log;
    *anew = !recovered->empty && !covers(log, image);
    if (*anew) {
        wal_recovered_cut(recovered, image);
    }
    if (image.index >= log->base.index) {
        return OK;
    }
    return error_set(error, ERR_WAL_GAP,
                     "WAL_GAP %s/wal: the log begins after entry %llu, and no image in snap/ reaches that far; %s",
                     w->dir.path, (unsigned long long)log->base.index,
                     "restore the missing files, or leave the node stopped and replace it");
}

// Writes one batch without entries at the start of a new segment, so that the log there begins after `base` and has this
// directory's incarnation and generation.
static enum error_code begin_segment(struct wal_writer *w, struct raft_entry_id base, struct error *error) {
    struct batch b;
    begin_batch(w, &b, WAL_RESERVE_BYTES);
    b.begins_segment = true;
    b.base = b.last = base;
    return write_batch(w, &b, error);
}

static enum error_code recover(struct wal_writer *w, const struct wal_options *options, struct raft_slab *slab,
                               struct wal_recovered *recovered, struct error *error) {
    struct wal_log_end end;
    enum error_code code = wal_collect(&w->dir, &w->identity, options->from, slab, recovered, &end, error);
    if (code != OK) {
        return code;
    }
    bool anew;
    code = join_image(w, options->image, recovered, &anew, error);
    if (code == OK) {
        code = wal_repair(&w->dir, &end, error);
    }
    if (code == OK) {
        take_end(w, &end);
        bool unnamed = end.incarnation[0] == '\0';
        if (!recovered->empty && (anew || unnamed)) {
            code = begin_segment(w, anew ? options->image : w->last, error);
            w->anew_segment = anew ? w->current.number : w->anew_segment;
        }
    }
    memcpy(recovered->incarnation, w->incarnation, sizeof recovered->incarnation);
    return code;
}

enum error_code wal_writer_begin(struct wal_writer *w, struct error *error) {
    assert(w->batch == 0 && w->pushed_write == 0);
    return begin_segment(w, w->last, error);
}

static struct slice copy_id(char to[ID_MAX], struct slice id) {
    assert(id_check(id, "id", NULL) == OK);
    memcpy(to, id.data, id.len);
    return slice_of(to, id.len);
}

static void close_all(struct wal_writer *w) {
    wal_segment_close(w->dir.io, &w->current);
    wal_segment_close(w->dir.io, &w->next);
    wal_directory_close(&w->dir);
    buf_free(&w->batch_buf);
    wal_blocks_free(&w->blocks);
    free(w);
}

enum error_code wal_writer_open(const struct wal_options *options, struct raft_slab *slab, struct wal_writer **writer,
                                struct wal_recovered *recovered, struct error *error) {
    struct wal_writer *w = mem_zalloc(sizeof *w);
    w->identity = (struct wal_identity){.cluster_id = copy_id(w->cluster_id, options->cluster_id),
                                        .node_id = copy_id(w->node_id, options->node_id)};
    assert(options->incarnation.len == INCARNATION_DIGITS && options->from <= options->image.index);
    memcpy(w->incarnation, options->incarnation.data, INCARNATION_DIGITS);
    w->generation = 1;
    w->segment_bytes = options->segment_bytes != 0 ? options->segment_bytes : WAL_SEGMENT_BYTES;
    w->current.fd = -1;
    w->next.fd = -1;
    *recovered = (struct wal_recovered){.empty = true};
    enum error_code code =
        wal_directory_open(&w->dir, options->dir, options->io != NULL ? options->io : &wal_io_system, error);
    if (code == OK) {
        code = recover(w, options, slab, recovered, error);
    }
    if (code != OK) {
        wal_recovered_free(recovered);
        close_all(w);
        return code;
    }
    wal_writer_raise_generation(w, options->generation);  // not before: opening may begin a segment, which has no entry
    *writer = w;
    return OK;
}

// A clean stop leaves no filling but the reserve, with which a node can vote that starts on a disk that is full by then: the
// current segment is trimmed, and a next one without a batch is removed.
static enum error_code trim(struct wal_writer *w, struct error *error) {
    const struct wal_io *io = w->dir.io;
    enum error_code code = OK;
    if (w->current.fd >= 0 && w->current.end > 0) {
        code = wal_segment_trim(io, &w->current, WAL_RESERVE_BYTES, error);
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
    close_all(w);
    return code;
}
