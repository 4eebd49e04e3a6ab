// Images of the state: one index is one sequence of bytes, however a state came to it; a state loaded from one goes on like
// any other; and what is no image is refused.
#include "base/array.h"
#include "base/buf.h"
#include "base/mem.h"
#include "message_change.h"
#include "random.h"
#include "random_log.h"
#include "state/image.h"
#include "wire/json.h"
#include "wire/message.h"

// --- images as text: a line of JSON for each record ---

struct image {
    struct buf lines;
    uint64_t digest;
};

static void take_image(struct image *image, struct state *state) {
    struct state_version *version = state_version_new(state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    buf_clear(&image->lines);
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, &image->lines);
        buf_append_str(&image->lines, "\n");
    }
    assert_false(state_records_next(records, &record));
    image->digest = state_version_digest(version);
    assert_int_equal(state_records_digest(records), image->digest);
    assert_int_equal(state_version_index(version), state_last_applied(state));
    state_records_free(records);
    state_version_release(state, version);
}

// NULL: refused, for the reason in *error.
static struct state *load_text(struct slice lines, uint64_t digest, struct error *error) {
    struct state_loader *loader = state_loader_new();
    struct arena arena = {.limit = 64 * MIB};
    struct state *state = NULL;
    enum error_code code = OK;
    while (code == OK && lines.len > 0) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        size_t len = end == NULL ? lines.len : (size_t)(end - lines.data);
        struct pb_image_record record;
        arena_reset(&arena);
        code = pb_json_read(&arena, &pb_image_record_type, slice_of(lines.data, len), &record, error);
        if (code == OK) {
            code = state_loader_add(loader, &record, error);
        }
        len += end != NULL;
        lines = slice_of(lines.data + len, lines.len - len);
    }
    if (code == OK) {
        code = state_loader_finish(loader, digest, &state, error);
    }
    assert_int_equal(code == OK, state != NULL);
    state_loader_free(loader);
    arena_free(&arena);
    return state;
}

static struct state *load(const struct image *image) {
    struct error error = {.code = OK};
    struct state *state = load_text(buf_slice(&image->lines), image->digest, &error);
    if (state == NULL) {
        fail_msg("%s: %s", error_name(error.code), error.message);
    }
    return state;
}

static void assert_same_image(const struct image *a, const struct image *b) {
    if (!slice_equal(buf_slice(&a->lines), buf_slice(&b->lines))) {
        fail_msg("images differ:\n%.*s\n%.*s", (int)a->lines.len, (const char *)a->lines.data, (int)b->lines.len,
                 (const char *)b->lines.data);
    }
    assert_int_equal(a->digest, b->digest);
}

// --- one index, one sequence of bytes ---

enum { HELD_MAX = 4 };

// A state in whose memory more happens than the log says.
struct shaken {
    struct state *state;
    struct state_version *held[HELD_MAX];
    struct image images[HELD_MAX];  // as the versions were when they were taken
};

static void assert_unchanged(const struct state_version *version, const struct image *image) {
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    struct buf lines = {0};
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, &lines);
        buf_append_str(&lines, "\n");
    }
    assert_true(slice_equal(buf_slice(&lines), buf_slice(&image->lines)));
    assert_int_equal(state_records_digest(records), image->digest);
    buf_free(&lines);
    state_records_free(records);
}

static void give_back(struct shaken *shaken, size_t which) {
    assert_unchanged(shaken->held[which], &shaken->images[which]);
    state_version_release(shaken->state, shaken->held[which]);
    shaken->held[which] = NULL;
}

static void shake(struct shaken *shaken, uint64_t *seed) {
    size_t which = random_below(seed, HELD_MAX);
    if (random_below(seed, 10) == 0 && shaken->held[which] != NULL) {
        give_back(shaken, which);
    } else if (random_below(seed, 10) == 0 && shaken->held[which] == NULL) {
        take_image(&shaken->images[which], shaken->state);
        shaken->held[which] = state_version_new(shaken->state);
    }
    if (random_below(seed, 20) == 0) {
        state_collect(shaken->state);
    }
    if (random_below(seed, 50) == 0) {
        state_forget_history(shaken->state, random_below(seed, state_last_applied(shaken->state) + 1));
    }
}

// Replaces a state by one loaded from its image; the old one is freed by the new one's steps.
static struct state *reload(struct state *state, struct image *image) {
    take_image(image, state);
    struct state *loaded = load(image);
    state_retire(state, loaded);
    return loaded;
}

// A worker's row leads to the worker as it is now, whatever versions have of it.
static void check_rows(const struct state *state) {
    size_t count = 0;
    for (uint32_t row = 0; row < state_worker_rows(state); row++) {
        struct state_worker at_row;
        struct state_worker of_id;
        if (state_worker_at(state, row, &at_row)) {
            assert_true(state_worker(state, at_row.id, &of_id));
            assert_ptr_equal(at_row.registration, of_id.registration);
            assert_int_equal(at_row.row, row);
            count++;
        }
    }
    assert_int_equal(count, state_worker_count(state));
}

static void same_bytes(uint64_t seed) {
    struct random_log log;
    random_log_open(&log, seed);
    struct state *straight = state_new();
    struct state *loaded = state_new();
    struct shaken shaken = {.state = state_new()};
    struct image image = {.digest = 0};
    struct image other = {.digest = 0};
    for (int i = 0; i < 1500; i++) {
        random_log_append(&log, straight);
        random_log_apply(&log, straight);
        random_log_apply(&log, loaded);
        random_log_apply(&log, shaken.state);
        shake(&shaken, &seed);
        if (random_below(&seed, 100) == 0) {
            loaded = reload(loaded, &other);
        }
        state_collect(loaded);
        assert_int_equal(state_digest(straight), state_digest(loaded));
        assert_int_equal(state_digest(straight), state_digest(shaken.state));
        if (i % 20 == 0) {
            take_image(&image, straight);
            take_image(&other, loaded);
            assert_same_image(&image, &other);
            take_image(&other, shaken.state);
            assert_same_image(&image, &other);
            check_rows(shaken.state);
            check_rows(loaded);
            state_free(load(&image));  // computes the digest from scratch
        }
    }
    for (size_t i = 0; i < HELD_MAX; i++) {
        if (shaken.held[i] != NULL) {
            give_back(&shaken, i);
        }
        buf_free(&shaken.images[i].lines);
    }
    buf_free(&image.lines);
    buf_free(&other.lines);
    state_free(straight);
    state_free(loaded);
    state_free(shaken.state);
    random_log_close(&log);
}

static void TestImageSameBytes(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestImageSameBytes");
    for (int round = 0; round < 20; round++) {
        same_bytes(random_u64(&seed));
    }
}

// Those who are dropped when there is no more room are the same for a loaded state.
static void TestImageKeepsTheOrderOfDropping(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestImageKeepsTheOrderOfDropping");
    enum { MORE = 50 };
    struct random_log log;
    random_log_open(&log, 0);
    struct state *one = state_new();
    for (size_t i = 0; i < 2 * SESSIONS_MAX; i++) {
        char client[32];
        snprintf(client, sizeof client, "client-%zu", i < SESSIONS_MAX ? i : random_below(&seed, SESSIONS_MAX));
        random_log_add(&log, (struct pb_command){.op = PB_COMMAND_OP_PUT,
                                                 .client_id = slice_of_str(client),
                                                 .sequence = 1,
                                                 .put = {.key = slice_of_str("k")}});
        random_log_apply(&log, one);
    }
    struct image image = {.digest = 0};
    struct image other = {.digest = 0};
    take_image(&image, one);
    struct state *two = load(&image);
    for (size_t i = 0; i < MORE; i++) {
        char client[32];
        snprintf(client, sizeof client, "other-%zu", i);
        random_log_add(&log, (struct pb_command){.op = PB_COMMAND_OP_PUT,
                                                 .client_id = slice_of_str(client),
                                                 .sequence = 1,
                                                 .put = {.key = slice_of_str("k")}});
        random_log_apply(&log, one);
        random_log_apply(&log, two);
    }
    take_image(&image, one);
    take_image(&other, two);
    assert_same_image(&image, &other);
    state_free(load(&image));
    state_free(one);
    state_free(two);
    random_log_close(&log);
    buf_free(&image.lines);
    buf_free(&other.lines);
}

static void add_worker(struct random_log *log, const char *id) {
    random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_REGISTER_WORKER,
                                            .register_worker = {.worker_id = slice_of_str(id),
                                                                .instance_id = slice_of_str("i"),
                                                                .address = slice_of_str("a:1"),
                                                                .cloud = slice_of_str("gcp"),
                                                                .slots = 1}});
}

static void set_offline(struct random_log *log, const char *id, uint64_t epoch) {
    struct pb_worker_change change = {.worker_id = slice_of_str(id), .epoch = epoch, .reason = slice_of_str("left")};
    random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_CHANGE_WORKERS,
                                            .change_workers = {.changes = &change, .changes_count = 1}});
}

static bool has_worker(const struct state *state, const char *id) {
    struct state_worker worker;
    return state_worker(state, slice_of_str(id), &worker);
}

// Workers that are offline make room in the order in which they went, of a loaded state, too.
static void TestImageKeepsTheOrderOfWorkers(void **state) {
    (void)state;
    static const char *const ids[] = {"a", "b", "c"};
    struct random_log log;
    random_log_open(&log, 0);
    struct state *one = state_new();
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        char id[32];
        snprintf(id, sizeof id, "w%zu", i);
        add_worker(&log, i < 3 ? ids[i] : id);
        random_log_apply(&log, one);
    }
    for (size_t i = 3; i > 0; i--) {  // not in the order of their ids
        set_offline(&log, ids[i - 1], i);
        random_log_apply(&log, one);
    }
    struct image image = {.digest = 0};
    take_image(&image, one);
    struct state *two = load(&image);
    for (size_t i = 0; i < 3; i++) {
        char id[32];
        snprintf(id, sizeof id, "other%zu", i);
        add_worker(&log, id);
        random_log_apply(&log, one);
        random_log_apply(&log, two);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(has_worker(two, ids[k]), k < 2 - i);
        }
        assert_true(state_digest(one) == state_digest(two));
    }
    take_image(&image, one);  // the digest that was kept is that of what is there
    state_free(one);
    state_free(two);
    random_log_close(&log);
    buf_free(&image.lines);
}

// Applies a write of the client to both, of which the second may be NULL.
static void use_session(struct raft_slab *slab, struct state *one, struct state *two, size_t client, uint64_t sequence) {
    char id[32];
    snprintf(id, sizeof id, "client-%zu", client);
    struct pb_command command = {.op = PB_COMMAND_OP_DELETE,
                                 .client_id = slice_of_str(id),
                                 .sequence = sequence,
                                 .delete = {.key = slice_of_str("k")}};
    struct raft_entry_id next = {.term = 1, .index = state_last_applied(one) + 1};
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, next, 0);
    struct state_result result;
    state_apply(one, entry, &command, &result);
    if (two != NULL) {
        state_apply(two, entry, &command, &result);
    }
    raft_entry_unref(entry);
}

// A loaded state knows how much room its sessions take, and evicts the same ones.
static void TestImageKeepsTheRoomOfSessions(void **state) {
    (void)state;
    enum { FULL = SESSIONS_BYTES_MAX / (200 + 64 * SESSION_RESULTS_MAX) };
    struct raft_slab *slab = raft_slab_new();
    struct state *one = state_new();
    struct raft_entry *entry = raft_entry_new(slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){1, 1}, 0);
    struct pb_command raise = {.op = PB_COMMAND_OP_RAISE_LEVEL, .raise_level = {.level = 2}};
    struct state_result result;
    state_apply(one, entry, &raise, &result);
    raft_entry_unref(entry);
    for (size_t client = 0; client < FULL; client++) {
        for (uint64_t sequence = 1; sequence <= SESSION_RESULTS_MAX; sequence++) {
            use_session(slab, one, NULL, client, sequence);
        }
    }
    struct image image = {.digest = 0};
    struct image other = {.digest = 0};
    take_image(&image, one);
    struct state *two = load(&image);
    for (uint64_t sequence = 1; sequence <= SESSION_RESULTS_MAX; sequence++) {
        use_session(slab, one, two, FULL, sequence);
        use_session(slab, one, two, FULL + 1, sequence);
    }
    take_image(&image, one);
    take_image(&other, two);
    assert_null(memmem(image.lines.data, image.lines.len, "\"client-0\"", strlen("\"client-0\"")));
    assert_int_equal(image.digest, other.digest);
    assert_true(slice_equal(buf_slice(&image.lines), buf_slice(&other.lines)));
    state_free(one);
    state_free(two);
    raft_slab_free(slab);
    buf_free(&image.lines);
    buf_free(&other.lines);
}

// --- the history of a loaded state ---

struct heard {
    uint64_t revisions[20000];
    uint8_t kinds[20000];
    size_t count;
};

static bool hear(void *user, const struct state_change *change) {
    struct heard *heard = user;
    assert_true(heard->count < ARRAY_COUNT(heard->revisions));
    heard->revisions[heard->count] = change->revision;
    heard->kinds[heard->count++] = (uint8_t)(change->is_delete + 2 * change->key.data[0] + 4 * (uint8_t)change->value.len);
    return true;
}

static void assert_same_history(struct state *a, struct state *b, uint64_t from) {
    static struct heard of_a;
    static struct heard of_b;
    of_a.count = of_b.count = 0;
    state_history(a, from, hear, &of_a);
    state_history(b, from, hear, &of_b);
    assert_int_equal(of_a.count, of_b.count);
    assert_memory_equal(of_a.revisions, of_b.revisions, of_a.count * sizeof of_a.revisions[0]);
    assert_memory_equal(of_a.kinds, of_b.kinds, of_a.count);
}

static void recall_from(struct random_log *log, struct state *state, raft_index base) {
    raft_index last = state_last_applied(state);
    for (raft_index index = base + 1; index <= last; index++) {
        state_recall(state, log->entries[index - 1], random_log_command(log, index));
    }
}

// The writes that had an effect, and no others: by seed, for logs within and beyond what an image tells of.
static void TestImageRecallsHistory(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestImageRecallsHistory");
    static const size_t lengths[] = {1, 50, 2000, HISTORY_IMAGE, HISTORY_IMAGE + 7};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct random_log log;
        random_log_open(&log, random_u64(&seed));
        struct state *straight = state_new();
        for (size_t k = 0; k < lengths[i]; k++) {
            random_log_append(&log, straight);
            random_log_apply(&log, straight);
        }
        struct image image = {.digest = 0};
        take_image(&image, straight);
        struct state *loaded = load(&image);
        assert_int_equal(state_history_from(loaded), lengths[i] + 1);
        raft_index base = i < 4 ? random_below(&seed, lengths[i]) : 0;
        recall_from(&log, loaded, base);
        uint64_t first = lengths[i] <= HISTORY_IMAGE ? 1 : lengths[i] - HISTORY_IMAGE + 1;
        uint64_t from = base + 1 > first ? base + 1 : first;
        assert_int_equal(state_history_from(loaded), from);
        assert_same_history(straight, loaded, from);
        for (size_t k = 0; k < 20; k++) {
            random_log_append(&log, straight);
            random_log_apply(&log, straight);
            random_log_apply(&log, loaded);
        }
        assert_same_history(straight, loaded, from);
        state_free(straight);
        state_free(loaded);
        random_log_close(&log);
        buf_free(&image.lines);
    }
}

// --- what is no image ---

// A state with something of everything; the last entries had an effect.
static struct state *sample_state(struct random_log *log, struct image *image, bool with_effects) {
    struct state *state = state_new();
    for (size_t i = 0; i < 300; i++) {
        random_log_append(log, state);
        random_log_apply(log, state);
    }
    for (size_t i = 0; with_effects && i < HISTORY_IMAGE; i++) {
        random_log_add(log, (struct pb_command){.op = PB_COMMAND_OP_PUT, .put = {.key = slice_of_str("k")}});
        random_log_apply(log, state);
    }
    take_image(image, state);
    return state;
}

static void assert_refused_text(struct slice lines, uint64_t digest) {
    struct error error = {.code = OK};
    uint8_t *exact = mem_alloc(lines.len);  // so that a read beyond the end is seen
    memcpy(exact, lines.data, lines.len);
    struct state *state = load_text(slice_of(exact, lines.len), digest, &error);
    if (state != NULL) {
        fail_msg("loaded: %.*s", (int)lines.len, (const char *)lines.data);
    }
    assert_int_not_equal(error.code, OK);
    assert_true(error.message[0] != '\0');
    free(exact);
}

// Each byte missing from there on, and each byte another, by seed.
static void TestImageDamagedText(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestImageDamagedText");
    struct random_log log;
    random_log_open(&log, random_u64(&seed));
    struct image image = {.digest = 0};
    state_free(sample_state(&log, &image, true));
    struct slice lines = buf_slice(&image.lines);
    for (size_t len = 0; len + 1 < lines.len; len++) {  // a missing line feed at the end is framing
        assert_refused_text(slice_of(lines.data, len), image.digest);
    }
    for (size_t at = 0; at + 1 < lines.len; at++) {
        for (int k = 0; k < 3; k++) {
            uint8_t old = image.lines.data[at];
            uint8_t byte = k == 0 ? (uint8_t)(old ^ 1) : (uint8_t)random_u64(&seed);
            image.lines.data[at] = byte == old ? (uint8_t)(old + 1) : byte;
            assert_refused_text(lines, image.digest);
            image.lines.data[at] = old;
        }
    }
    random_log_close(&log);
    buf_free(&image.lines);
}

struct list {
    struct pb_image_record *records[400];
    size_t count;
};

// Copies of a state's records, to be freed.
static void list_records(struct list *list, struct state *state) {
    struct state_version *version = state_version_new(state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    list->count = 0;
    while (state_records_next(records, &record)) {
        assert_true(list->count < ARRAY_COUNT(list->records));
        list->records[list->count++] = pb_clone(&pb_image_record_type, &record);
    }
    state_records_free(records);
    state_version_release(state, version);
}

static enum error_code load_list(const struct list *list, uint64_t digest, struct error *error) {
    struct state_loader *loader = state_loader_new();
    struct state *state = NULL;
    enum error_code code = OK;
    for (size_t i = 0; code == OK && i < list->count; i++) {
        code = state_loader_add(loader, list->records[i], error);
    }
    if (code == OK) {
        code = state_loader_finish(loader, digest, &state, error);
    }
    state_free(state);
    state_loader_free(loader);
    return code;
}

static void assert_refused_list(const struct list *list, uint64_t digest) {
    struct error error = {.code = OK};
    enum error_code code = load_list(list, digest, &error);
    assert_true(code == ERR_SNAP_CORRUPT || code == ERR_UNKNOWN_COMMAND);
    assert_int_equal(error.code, code);
}

// --- damaged memory ---

// What of a version's memory its first record of the kind borrows.
static struct slice borrowed(const struct state_version *version, uint32_t kind, bool key) {
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    do {
        assert_true(state_records_next(records, &record));
    } while (record.record != kind || (kind == PB_IMAGE_RECORD_RECORD_ITEM && record.item.value.len == 0));
    struct slice bytes = kind == PB_IMAGE_RECORD_RECORD_SESSION  ? record.session.client_id
                         : kind == PB_IMAGE_RECORD_RECORD_WORKER ? record.worker.registration.address
                         : kind == PB_IMAGE_RECORD_RECORD_GRANT  ? record.grant.subject
                         : key                                   ? record.item.key
                                                                 : record.item.value;
    assert_true(bytes.len > 0);
    state_records_free(records);
    return bytes;
}

static bool is_intact(const struct state_version *version) {
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    while (state_records_next(records, &record)) {
    }
    bool intact = state_records_digest(records) == state_version_digest(version);
    state_records_free(records);
    return intact;
}

// One bit in memory is another: the digest that was kept up to date does not see it, the one of the records does.
static void TestImageFindsDamagedMemory(void **state) {
    (void)state;
    static const struct {
        uint32_t kind;
        bool key;
    } places[] = {
        {PB_IMAGE_RECORD_RECORD_SESSION, true}, {PB_IMAGE_RECORD_RECORD_WORKER, false}, {PB_IMAGE_RECORD_RECORD_ITEM, true},
        {PB_IMAGE_RECORD_RECORD_ITEM, false},   {PB_IMAGE_RECORD_RECORD_GRANT, true},
    };
    struct random_log log;
    random_log_open(&log, 1);
    struct image image = {.digest = 0};
    struct state *sample = sample_state(&log, &image, false);
    struct state_version *version = state_version_new(sample);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        assert_true(is_intact(version));
        struct slice bytes = borrowed(version, places[i].kind, places[i].key);
        uint8_t *last = (uint8_t *)bytes.data + bytes.len - 1;
        *last ^= 1;
        assert_int_equal(state_digest(sample), image.digest);
        assert_false(is_intact(version));
        *last ^= 1;
    }
    state_version_release(sample, version);
    state_free(sample);
    random_log_close(&log);
    buf_free(&image.lines);
}

// Every field of every record another, and records that are missing, doubled or exchanged.
static void TestImageDamagedRecords(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestImageDamagedRecords");
    struct random_log log;
    random_log_open(&log, random_u64(&seed));
    struct image image = {.digest = 0};
    struct state *sample = sample_state(&log, &image, false);
    struct list list;
    list_records(&list, sample);
    struct arena arena = {.limit = 64 * MIB};
    struct change change = {.seed = &seed, .arena = &arena};
    struct error error = {.code = OK};
    assert_int_equal(load_list(&list, image.digest, &error), OK);
    assert_refused_list(&list, image.digest ^ 1);
    for (size_t i = 0; i < list.count; i++) {
        struct pb_image_record *record = list.records[i];
        struct pb_image_record changed;
        for (size_t which = 0; changed = *record, change_message(&change, &pb_image_record_type, &changed, which); which++) {
            // What had no effect is not part of the state, and so not of the digest.
            if (changed.record == PB_IMAGE_RECORD_RECORD_META && record->record == PB_IMAGE_RECORD_RECORD_META &&
                !slice_equal(changed.meta.without_effect, record->meta.without_effect)) {
                continue;
            }
            list.records[i] = &changed;
            assert_refused_list(&list, image.digest);
        }
        list.records[i] = record;
        arena_reset(&arena);
        for (size_t k = 0; k < i; k++) {
            struct pb_image_record *exchanged = list.records[k];
            list.records[k] = record;
            assert_refused_list(&list, image.digest);
            list.records[i] = exchanged;
            assert_refused_list(&list, image.digest);
            list.records[k] = exchanged;
            list.records[i] = record;
        }
        struct list shorter = list;
        memmove(&shorter.records[i], &shorter.records[i + 1], (--shorter.count - i) * sizeof shorter.records[0]);
        assert_refused_list(&shorter, image.digest);
    }
    for (size_t i = 0; i < list.count; i++) {
        free(list.records[i]);
    }
    arena_free(&arena);
    state_free(sample);
    random_log_close(&log);
    buf_free(&image.lines);
}

static void TestImageSaysWhatIsWrong(void **state) {
    (void)state;
    static const struct {
        const char *lines;
        const char *says;
    } cases[] = {
        {"", "fewer records than the image states"},
        {"\"item\":{\"key\":\"aw==\"}", "the first record is not the meta record"},
        {"\"meta\":{\"level\":9}", "an image of level 9; this version knows level 3: upgrade this node"},
        {"\"meta\":{\"sessions\":10000,\"workers\":100000}", "fewer records than the image states"},
        {"\"meta\":{\"workers\":100001}", "0 sessions and 100001 workers; at most 10000 and 100000 are possible"},
        {"\"meta\":{\"sessions\":10001}", "10001 sessions and 0 workers; at most 10000 and 100000 are possible"},
        {"\"meta\":{\"without_effect\":\"AQ==\"}", "a list of writes without effect that is not of this index"},
        {"\"meta\":{\"last_applied\":1,\"without_effect\":\"Ag==\"}", "a list of writes without effect"},
        {"\"meta\":{\"last_applied\":9,\"without_effect\":\"AQA=\"}", "a list of writes without effect"},
        {"\"meta\":{}\n\"meta\":{}", "records of a kind out of order"},
        {"\"meta\":{}\n\"item\":{\"key\":\"aw==\",\"revision\":1}", "more items than the image states"},
        {"\"meta\":{\"items\":1}\n\"item\":{\"key\":\"aw==\",\"revision\":1}",
         "an item whose revision is not that of an entry"},
        {"\"meta\":{\"last_applied\":5,\"items\":1}\n\"item\":{\"revision\":1}", "an item whose key is empty"},
        {"\"meta\":{\"sessions\":1}", "fewer records than the image states"},
        {"\"meta\":{\"sessions\":1}\n\"session\":{}", "a client id that is empty or too long"},
        {"\"meta\":{\"sessions\":1}\n\"session\":{\"client_id\":\"c\",\"last_used\":1}", "a session used after"},
        {"\"meta\":{\"sessions\":1}\n\"session\":{\"client_id\":\"c\",\"results\":[{\"outcome\":9}]}", "does not know"},
        {"\"meta\":{\"sessions\":1}\n\"session\":{\"client_id\":\"c\",\"results\":[{\"sequence\":2},{\"sequence\":2}]}",
         "a session's results out of order"},
        {"\"meta\":{\"workers\":1}\n\"worker\":{\"registration\":{}}", "a worker without an id"},
        {"\"meta\":{\"workers\":1}\n\"worker\":{\"registration\":{\"worker_id\":\"w\"},\"departure\":1}",
         "departures of workers that cannot be"},
        {"\"meta\":{}", "the digest is 0000000000000000; the records give "},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error = {.code = OK};
        assert_null(load_text(slice_of_str(cases[i].lines), 0, &error));
        if (strstr(error.message, cases[i].says) == NULL) {
            fail_msg("%s instead of %s", error.message, cases[i].says);
        }
    }
}

// --- limits ---

#define ALL_ARE_TAKEN "the digest is 0000000000000000; the records give "

static uint8_t bytes[COMMAND_MAX + 1];

// What the loader says of a record behind the meta record of an image that has two of each kind at most.
static void assert_says(const struct pb_image_record *record, const struct pb_image_record *other, const char *says) {
    struct pb_image_record meta = {.record = PB_IMAGE_RECORD_RECORD_META, .meta = {.last_applied = 9, .departures = 9}};
    uint64_t count = other == NULL ? 1 : 2;
    *(record->record == PB_IMAGE_RECORD_RECORD_SESSION  ? &meta.meta.sessions
      : record->record == PB_IMAGE_RECORD_RECORD_WORKER ? &meta.meta.workers
                                                        : &meta.meta.items) = count;
    struct list list = {.records = {&meta, (struct pb_image_record *)record, (struct pb_image_record *)other},
                        .count = 1 + count};
    struct error error = {.code = OK};
    assert_int_equal(load_list(&list, 0, &error), ERR_SNAP_CORRUPT);
    if (strstr(error.message, says) == NULL) {
        fail_msg("%s instead of %s", error.message, says);
    }
}

static struct pb_image_record item(size_t key_len, size_t value_len) {
    return (struct pb_image_record){
        .record = PB_IMAGE_RECORD_RECORD_ITEM,
        .item = {.key = slice_of(bytes, key_len), .value = slice_of(bytes, value_len), .revision = 9}};
}

static struct pb_image_record session(size_t id_len, uint64_t last_used, const struct pb_image_result *results,
                                      size_t count) {
    return (struct pb_image_record){.record = PB_IMAGE_RECORD_RECORD_SESSION,
                                    .session = {.client_id = slice_of(bytes, id_len),
                                                .last_used = last_used,
                                                .held_from = 1,
                                                .results = (struct pb_image_result *)results,
                                                .results_count = count}};
}

static struct pb_image_record worker(size_t id_len, uint64_t departure, size_t reason_len) {
    return (struct pb_image_record){.record = PB_IMAGE_RECORD_RECORD_WORKER,
                                    .worker = {.has_registration = true,
                                               .registration = {.worker_id = slice_of(bytes, id_len)},
                                               .departure = departure,
                                               .reason = slice_of(bytes, reason_len)}};
}

// What is just as long or as much as it may be is taken, and nothing more.
static void TestImageLimits(void **state) {
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    struct pb_image_result results[SESSION_RESULTS_MAX + 1] = {{0}};
    for (size_t i = 0; i < ARRAY_COUNT(results); i++) {
        results[i].sequence = i + 1;
    }
    struct pb_image_result last = {.sequence = 1, .outcome = STATE_OUTCOME_LAST};
    struct pb_image_result unknown = {.sequence = 1, .outcome = STATE_OUTCOME_LAST + 1};
    struct pb_image_result early = {.sequence = 0};
    const struct {
        struct pb_image_record record;
        const char *says;
    } cases[] = {
        {item(KEY_MAX, COMMAND_MAX), ALL_ARE_TAKEN},
        {item(KEY_MAX + 1, 0), "an item whose key is empty, or whose key or value is too long"},
        {item(1, COMMAND_MAX + 1), "an item whose key is empty, or whose key or value is too long"},
        {session(ID_MAX, 9, NULL, 0), ALL_ARE_TAKEN},
        {session(ID_MAX + 1, 9, NULL, 0), "a client id that is empty or too long"},
        {session(1, 9, results, SESSION_RESULTS_MAX), ALL_ARE_TAKEN},
        {session(1, 9, results, SESSION_RESULTS_MAX + 1), "a session with too many results"},
        {session(1, 9, &last, 1), ALL_ARE_TAKEN},
        {session(1, 9, &unknown, 1), "a result that this version does not know"},
        {session(1, 9, &early, 1), "a session's results out of order"},
        {worker(ID_MAX, 9, ID_MAX), ALL_ARE_TAKEN},
        {worker(ID_MAX + 1, 9, 0), "a worker without an id, or with one that is too long"},
        {worker(1, 9, ID_MAX + 1), "a worker's reason that is too long"},
        {worker(1, 10, 0), "departures of workers that cannot be"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_says(&cases[i].record, NULL, cases[i].says);
    }
    uint8_t higher[KEY_MAX];  // keys as long as they may be are in order, too
    memset(higher, 'y', sizeof higher);
    struct pb_image_record lower = item(KEY_MAX, 0), above = lower;
    above.item.key = slice_of(higher, KEY_MAX);
    assert_says(&lower, &above, ALL_ARE_TAKEN);
    assert_says(&above, &lower, "a key that is not behind the one before it");
    struct pb_image_record first = session(1, 5, NULL, 0), same = session(2, 5, NULL, 0), later = session(2, 4, NULL, 0);
    assert_says(&first, &later, ALL_ARE_TAKEN);
    assert_says(&first, &same, "two sessions were used last by one entry");
    first = worker(1, 5, 0), same = worker(2, 5, 0), later = worker(2, 4, 0);
    assert_says(&first, &later, ALL_ARE_TAKEN);
    assert_says(&first, &same, "departures of workers that cannot be");
    first = worker(1, 0, 0), same = worker(2, 0, 0);  // both are online
    assert_says(&first, &same, ALL_ARE_TAKEN);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestImageSameBytes),
    cmocka_unit_test(TestImageKeepsTheOrderOfDropping),
    cmocka_unit_test(TestImageKeepsTheOrderOfWorkers),
    cmocka_unit_test(TestImageKeepsTheRoomOfSessions),
    cmocka_unit_test(TestImageRecallsHistory),
    cmocka_unit_test(TestImageDamagedText),
    cmocka_unit_test(TestImageDamagedRecords),
    cmocka_unit_test(TestImageFindsDamagedMemory),
    cmocka_unit_test(TestImageSaysWhatIsWrong),
    cmocka_unit_test(TestImageLimits),
};

UNIT_MAIN(tests)
