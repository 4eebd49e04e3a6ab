// The story: story.h.
#include "story.h"

#include <assert.h>
#include <stdio.h>

#include "wal/image.h"
#include "wire/command.h"
#include "wire/configuration.h"

void story_init(struct story *s, uint64_t seed, enum disk_direct direct) {
    *s = (struct story){.rng = {.state = seed}, .slab = raft_slab_new()};
    disk_init(&s->disk, seed);
    s->disk.direct = direct;
    s->disk.halve = 2 + seed % 3;
    s->disk.eintr = 7;
    victim_init(&s->victim, &s->disk, s->slab);
}

void story_free(struct story *s) {
    victim_free(&s->victim);
    for (size_t i = 0; i < s->entry_count; i++) {
        raft_entry_unref(s->entries[i]);
    }
    raft_slab_free(s->slab);
    buf_free(&s->arriving_bytes);
    disk_free(&s->disk);
}

// --- entries ---

static struct raft_entry *make_command(struct story *s, raft_index index, size_t len) {
    char key[16];
    uint8_t value[4096];
    struct error error;
    assert(len <= sizeof value);
    for (size_t i = 0; i < len; i++) {
        value[i] = (uint8_t)rng_next(&s->rng);
    }
    snprintf(key, sizeof key, "k%llu", (unsigned long long)index % 13);
    struct pb_command command = {.format = COMMAND_FORMAT,
                                 .op = PB_COMMAND_OP_PUT,
                                 .time_unix_ms = (int64_t)(1000 * index),
                                 .put = {.key = slice_of_str(key), .value = slice_of(value, len)}};
    return wire_command_encode(s->slab, &command, &error);
}

struct raft_entry *story_entry(struct story *s, struct raft_entry_id id, size_t len) {
    struct wire_configuration configuration = {.generation = 1, .cluster_id = raft_id_of(slice_of_str("demo")), .count = 1};
    configuration.members[0] =
        (struct wire_member){.id = raft_id_of(slice_of_str("n1")), .address = "n1:7400", .voter = true};
    struct raft_entry *entry = id.index == 1 ? wire_configuration_encode(s->slab, id, &configuration)
                               : len == 0    ? raft_entry_new(s->slab, RAFT_ENTRY_NOOP, id, 0)
                                             : make_command(s, id.index, len);
    assert(entry != NULL && s->entry_count < STORY_ENTRIES_MAX);
    entry->id = id;
    s->entries[s->entry_count++] = entry;
    return entry;
}

// --- steps; each does nothing once the disk has stopped, or the node has failed ---

static bool is_over(const struct story *s) {
    return s->disk.dead || s->failed;
}

static bool goes_on(struct story *s, enum operation operation) {
    if (!is_over(s)) {
        s->operation = operation;
    }
    return !is_over(s);
}

static void fail(struct story *s, const char *what) {
    s->failed = true;
    if (!s->disk.dead && !s->faulty) {
        report_broken("%s: %s", what, s->victim.error.message);
    }
}

static void note_condition(struct story *s) {
    if (s->victim.writer->condition != WAL_GOOD) {
        fail(s, "the log failed");
    }
}

static struct moment *now(struct story *s) {
    return &s->truth.moments[s->truth.made];
}

static void push(struct story *s, const struct raft_hard_state *hard_state, raft_index first, size_t count, size_t len) {
    struct moment *m = truth_next(&s->truth);
    struct raft_entry *entries[16];
    assert(count <= 16);
    if (hard_state != NULL) {
        m->term = hard_state->current_term;
        snprintf(m->vote, sizeof m->vote, "%.7s", hard_state->voted_for.text);
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] =
            story_entry(s, (struct raft_entry_id){.term = m->term, .index = first + i}, i == 0 && hard_state ? 0 : len);
    }
    if (count > 0) {
        moment_take(m, first, entries, count);
    }
    victim_push(&s->victim, hard_state, (struct raft_entry_id){0}, entries, count);
}

// A node without space still votes, ahead of the entries that wait.
static void vote_without_space(struct story *s) {
    struct raft_hard_state vote = {.current_term = now(s)->term + 1, .voted_for = raft_id_of(slice_of_str("n3"))};
    push(s, &vote, now(s)->count + 1, 0, 0);
    victim_run(&s->victim);
}

static void run(struct story *s) {
    struct wal_writer *w = s->victim.writer;
    uint64_t segment = w->current.number;
    uint64_t end = w->current.end;
    while (wal_writer_step(w)) {
        s->truth.acknowledged = s->opened_at + w->durable_write;
        if (w->condition != WAL_GOOD) {
            continue;
        }
        assert(s->place_count < PLACES_MAX);
        s->places[s->place_count++] = (struct place){.segment = w->current.number,
                                                     .begin = w->current.number == segment ? end : 0,
                                                     .end = w->current.end,
                                                     .moment = s->truth.acknowledged};
        segment = w->current.number;
        end = w->current.end;
    }
    if (w->condition == WAL_FULL) {
        vote_without_space(s);
    }
    note_condition(s);
}

static void append(struct story *s, size_t count, size_t len) {
    if (goes_on(s, OP_APPEND)) {
        push(s, NULL, now(s)->count + 1, count, len);
        run(s);
    }
}

// The log's next term, in which `first` and what follows is replaced.
static void elect(struct story *s, raft_term term, const char *vote, raft_index first, size_t count, size_t len) {
    if (goes_on(s, OP_APPEND)) {
        struct raft_hard_state hard_state = {.current_term = term, .voted_for = raft_id_of(slice_of_str(vote))};
        push(s, &hard_state, first, count, len);
        run(s);
    }
}

// Batches until one begins a segment.
static void rotate(struct story *s, size_t len) {
    if (is_over(s)) {
        return;
    }
    uint64_t segment = s->victim.writer->current.number;
    while (!is_over(s) && s->victim.writer->current.number == segment) {
        bool fits = s->victim.writer->current.end + 3 * len + KIB < s->victim.segment_bytes;
        if (goes_on(s, fits ? OP_APPEND : OP_ROTATE)) {
            push(s, NULL, now(s)->count + 1, 2, len);
            run(s);
        }
    }
}

static void prepare(struct story *s) {
    while (goes_on(s, OP_ROTATE) && wal_writer_prepare(s->victim.writer, true)) {
        note_condition(s);
    }
}

static void commit(struct story *s, raft_index index) {
    if (is_over(s)) {
        return;
    }
    truth_commit(&s->truth, index);
    for (raft_index i = state_last_applied(s->victim.state) + 1; i <= index; i++) {
        victim_apply(&s->victim, s->truth.committed[i - 1]);
    }
}

static void snapshot(struct story *s) {
    if (!goes_on(s, OP_SNAPSHOT)) {
        return;
    }
    struct victim *v = &s->victim;
    raft_index index = state_last_applied(v->state);
    struct raft_entry_id last = s->truth.committed[index - 1]->id;
    truth_begin_picture(&s->truth, last, state_digest(v->state));
    if (victim_save_image(v, last.term) == OK) {
        truth_keep_picture(&s->truth);
        victim_drop_superseded(v);
        v->before = v->newest;
        v->newest = last;
    } else if (!s->disk.dead && !s->faulty) {  // else the node goes on without it
        report_broken("no image: %s", v->error.message);
    }
}

static void compact(struct story *s) {
    if (goes_on(s, OP_COMPACT)) {
        raft_index to = victim_compact_to(&s->victim);
        s->truth.compacted = to > s->truth.compacted ? to : s->truth.compacted;
        victim_compact(&s->victim);
        note_condition(s);
    }
}

static void start(struct story *s) {
    if (!goes_on(s, OP_START)) {
        return;
    }
    enum error_code code = victim_start(&s->victim);
    s->opened_at = s->truth.made;
    if (code != OK) {
        fail(s, "a start after a stop is refused");
    }
    if (code == OK && !is_over(s) && s->truth.made > 0) {
        char why[WHY_MAX];
        if (truth_find(&s->truth, s->truth.made, s->truth.made, false, &s->victim, why) == MOMENTS_MAX) {
            report_broken("a start after a stop: %s", why);
        }
        for (raft_index i = s->victim.newest.index; i < s->truth.committed_count; i++) {
            victim_apply(&s->victim, s->truth.committed[i]);
        }
    }
}

static void stop(struct story *s, bool in_order) {
    if (goes_on(s, OP_STOP)) {
        victim_stop(&s->victim, in_order);
    }
}

// --- an image from another node ---

// What the other node has committed in this term behind what this one knows; its image's bytes.
static struct raft_entry_id lead(struct story *s, raft_term term, size_t entries, struct buf *bytes) {
    struct truth *t = &s->truth;
    struct disk disk;
    struct victim leader;
    struct wal_directory dir;
    struct raft_entry_id last = {.term = term};
    for (size_t i = 0; i < entries; i++) {
        last.index = t->committed_count + 1;
        t->committed[t->committed_count++] = story_entry(s, last, i == 0 ? 0 : 150);
    }
    disk_init(&disk, 1);
    victim_init(&leader, &disk, s->slab);
    buf_append_slice(&leader.configuration, buf_slice(&s->victim.configuration));
    leader.state = truth_state(t, last.index);
    enum error_code code = wal_directory_open(&dir, "data", &disk.io, &leader.error);
    assert(code == OK);
    wal_directory_close(&dir);
    truth_begin_picture(t, last, state_digest(leader.state));
    code = victim_save_image(&leader, term);
    assert(code == OK);
    char name[WAL_IMAGE_NAME_SIZE];
    char path[64];
    wal_image_name(name, last);
    snprintf(path, sizeof path, "data/snap/%.56s", name);
    buf_clear(bytes);
    buf_append_slice(bytes, disk_bytes(&disk, path));
    victim_free(&leader);
    disk_free(&disk);
    return last;
}

static void begin_anew(struct story *s, struct raft_entry_id last) {
    struct moment *m = truth_next(&s->truth);
    struct raft_hard_state hard_state = {.current_term = m->term, .voted_for = raft_id_of(slice_of_str(m->vote))};
    memset(m->entries, 0, sizeof m->entries);
    m->base = last;
    m->count = (size_t)last.index;
    victim_push(&s->victim, &hard_state, last, NULL, 0);
    run(s);
}

static void install(struct story *s, raft_term term, size_t entries) {
    if (is_over(s)) {
        return;
    }
    elect(s, term, "", now(s)->count + 1, 0, 0);
    if (!goes_on(s, OP_INSTALL)) {
        return;
    }
    struct raft_entry_id last = s->arriving = lead(s, term, entries, &s->arriving_bytes);
    enum error_code code = victim_receive(&s->victim, last, buf_slice(&s->arriving_bytes));
    if (code != OK && s->faulty && !s->disk.dead) {
        code = victim_receive(&s->victim, last, buf_slice(&s->arriving_bytes));
    }
    if (code != OK) {
        fail(s, "an image that arrives is refused");
        return;
    }
    truth_keep_picture(&s->truth);
    begin_anew(s, last);
    if (!is_over(s)) {
        s->truth.compacted = last.index;
        victim_installed(&s->victim, last);
        s->arriving.index = s->disk.dead ? last.index : 0;
    }
    compact(s);
}

// --- the chapters ---

static void tell_log(struct story *s) {
    start(s);
    elect(s, 1, "n1", 1, 2, 200);
    if (s->entry_count > 0 && s->victim.configuration.len == 0) {
        buf_append_slice(&s->victim.configuration, raft_entry_command(s->entries[0]));
    }
    commit(s, 2);
    append(s, 3, 200);
    append(s, 1, 0);
    if (goes_on(s, OP_APPEND)) {  // three writes in one batch
        push(s, NULL, now(s)->count + 1, 1, 30);
        push(s, NULL, now(s)->count + 1, 2, 500);
        push(s, NULL, now(s)->count + 1, 1, 1);
        run(s);
    }
    rotate(s, 700);
    append(s, 4, 100);
    elect(s, 2, "n2", now(s)->count + 1, 3, 100);  // entries of a leader that loses them
    elect(s, 3, "", now(s)->count - 1, 2, 300);
    rotate(s, 600);
    append(s, 2, 400);
    append(s, 3, 350);
    commit(s, now(s)->count - 2);
}

static void tell_images(struct story *s) {
    snapshot(s);
    compact(s);
    append(s, 3, 300);
    commit(s, now(s)->count - 1);
    prepare(s);
    rotate(s, 500);
    prepare(s);
    commit(s, now(s)->count - 1);
    snapshot(s);
    compact(s);
    append(s, 2, 100);
    rotate(s, 800);
    elect(s, 4, "n3", now(s)->count + 1, 1, 0);
    append(s, 3, 800);
}

static void tell_third_image(struct story *s) {
    commit(s, now(s)->count - 2);
    snapshot(s);
    compact(s);
    stop(s, true);
    start(s);
    append(s, 1, 50);
}

static void tell_installed(struct story *s) {
    install(s, 5, 20);  // beyond the log, which ends in entries that others do not have
    append(s, 2, 300);
    append(s, 3, 200);
    commit(s, now(s)->count - 1);
}

static void tell_end(struct story *s) {
    rotate(s, 500);
    snapshot(s);
    compact(s);
    stop(s, false);
    start(s);
    append(s, 6, 100);
    install(s, 6, 4);  // inside the log, of another term
    append(s, 1, 200);
    stop(s, true);
    start(s);
    append(s, 1, 200);
    commit(s, now(s)->count);
    snapshot(s);
    stop(s, true);
}

void story_tell(struct story *s, enum chapter chapter) {
    tell_log(s);
    if (chapter >= CHAPTER_IMAGES) {
        tell_images(s);
    }
    if (chapter >= CHAPTER_INSTALLED) {
        tell_third_image(s);
        tell_installed(s);
    }
    if (chapter >= CHAPTER_END) {
        tell_end(s);
    }
    if (s->victim.writer != NULL) {
        s->truth.acknowledged = s->opened_at + s->victim.writer->durable_write;
        s->durable_hard_state_write = s->victim.writer->durable_hard_state_write;
    }
    victim_stop(&s->victim, false);
}
