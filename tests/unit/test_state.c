// The state machine: each rule of the store and the sessions, and, by seed, the store against a naive model.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state/image.h"
#include "state_machine.h"

// --- store ---

static void TestStatePutGetDelete(void **state) {
    (void)state;
    assert_missing("k");
    apply_to(&m, put_command("k", "one"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_int_equal(m.result.revision, 1);
    assert_value("k", "one", 1);
    assert_int_equal(state_command_bytes(m.state), strlen("kone"));
    apply_to(&m, put_command("k", ""));
    assert_value("k", "", 2);
    apply_to(&m, put_command("kk", "three"));
    assert_missing("kkk");
    apply_to(&m, delete_command("k"));
    assert_true(m.result.existed);
    assert_int_equal(m.result.revision, 4);
    assert_missing("k");
    assert_value("kk", "three", 3);
    apply_to(&m, delete_command("k"));
    assert_false(m.result.existed);
    assert_int_equal(m.result.revision, 5);  // the entry's
    state_skip(m.state, 6);
    assert_int_equal(state_last_applied(m.state), 6);
}

static void assert_mismatch(uint64_t revision) {
    assert_int_equal(m.result.outcome, STATE_REVISION_MISMATCH);
    assert_int_equal(m.result.revision, revision);
}

static void TestStateExpectedRevision(void **state) {
    (void)state;
    apply_to(&m, expecting(put_command("k", "a"), 1));
    assert_mismatch(0);
    assert_missing("k");
    apply_to(&m, expecting(put_command("k", "b"), 0));
    assert_value("k", "b", 2);
    apply_to(&m, expecting(put_command("k", "c"), 0));
    assert_mismatch(2);
    apply_to(&m, expecting(put_command("k", "d"), 2));
    assert_value("k", "d", 4);
    apply_to(&m, expecting(delete_command("k"), 2));
    assert_mismatch(4);
    assert_value("k", "d", 4);
    apply_to(&m, expecting(delete_command("k"), 4));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_missing("k");
    apply_to(&m, expecting(delete_command("k"), 4));
    assert_mismatch(0);
    apply_to(&m, expecting(delete_command("k"), 0));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_false(m.result.existed);
}

// Keys seen, each with a '|' behind it; at most `limit`.
struct listing {
    char keys[200];
    size_t limit;
};

static bool add_key(void *user, const struct state_item *item) {
    struct listing *listing = user;
    strncat(listing->keys, (const char *)item->key.data, item->key.len);
    strcat(listing->keys, "|");
    return --listing->limit > 0;
}

static void assert_list(const char *prefix, const char *after, size_t limit, const char *expected) {
    struct listing listing = {.limit = limit};
    state_list(m.state, text(prefix), text(after), add_key, &listing);
    assert_string_equal(listing.keys, expected);
}

static void TestStateList(void **state) {
    (void)state;
    assert_list("", "", 9, "");
    static const char *const keys[] = {"b", "a/2", "a", "a/10", "a/1", "\xff", "ab", "a/", "c"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        apply_to(&m, put_command(keys[i], "v"));
    }
    assert_list("", "", 99, "a|a/|a/1|a/10|a/2|ab|b|c|\xff|");
    assert_list("a/", "", 99, "a/|a/1|a/10|a/2|");
    assert_list("a/", "", 2, "a/|a/1|");
    assert_list("a/", "a/1", 2, "a/10|a/2|");
    assert_list("a/", "a/2", 99, "");
    assert_list("a/1", "", 99, "a/1|a/10|");
    assert_list("a/11", "", 99, "");
    assert_list("", "a/100", 2, "a/2|ab|");  // behind a key that is not there
    assert_list("", "a0", 2, "ab|b|");
    assert_list("a/", "Z", 1, "a/|");  // before the prefix
    assert_list("a/", "b", 1, "");     // behind it
    assert_list("d", "", 1, "");
    assert_list("", "\xff\xff", 1, "");
}

// --- history ---

struct changes {
    char told[400];
    size_t limit;
};

static bool add_change(void *user, const struct state_change *change) {
    struct changes *changes = user;
    size_t used = strlen(changes->told);
    snprintf(changes->told + used, sizeof changes->told - used, "%s%.*s=%.*s@%llu ", change->is_delete ? "-" : "",
             (int)change->key.len, (const char *)change->key.data, (int)change->value.len, (const char *)change->value.data,
             (unsigned long long)change->revision);
    return --changes->limit > 0;
}

static void assert_history(uint64_t from, size_t limit, const char *expected) {
    struct changes changes = {.limit = limit};
    state_history(m.state, from, add_change, &changes);
    assert_string_equal(changes.told, expected);
}

static void TestStateHistory(void **state) {
    (void)state;
    assert_int_equal(state_history_from(m.state), 1);
    assert_history(1, 9, "");
    apply_to(&m, put_command("a", "1"));
    apply_to(&m, delete_command("missing"));             // changes nothing
    apply_to(&m, expecting(put_command("a", "no"), 7));  // nor this
    apply_to(&m, put_command("a", "2"));
    apply_to(&m, delete_command("a"));
    assert_history(1, 9, "a=1@1 a=2@4 -a=@5 ");
    assert_history(2, 9, "a=2@4 -a=@5 ");
    assert_history(4, 1, "a=2@4 ");
    assert_history(6, 9, "");
}

// The history is as long as the log's tail, whatever its length; what was forgotten is released, in steps.
static void TestStateHistoryForgotten(void **state) {
    (void)state;
    enum { CHANGES = 20000 };
    for (size_t i = 0; i < CHANGES; i++) {
        apply_to(&m, put_command("k", "v"));
    }
    assert_history(1, 1, "k=v@1 ");
    size_t all = raft_slab_bytes(m.slab);
    state_forget_history(m.state, CHANGES - 100);
    assert_int_equal(state_history_from(m.state), CHANGES - 99);
    assert_history(CHANGES - 99, 1, "k=v@19901 ");
    state_forget_history(m.state, 7);  // long forgotten
    assert_int_equal(state_history_from(m.state), CHANGES - 99);
    size_t steps = 1;
    for (; state_collect(m.state); steps++) {
        assert_true(steps < CHANGES);
    }
    assert_true(steps > 1);
    assert_true(raft_slab_bytes(m.slab) < all / 2);
    assert_history(CHANGES - 99, 1, "k=v@19901 ");
    assert_history(CHANGES, 9, "k=v@20000 ");
    state_forget_history(m.state, CHANGES);
    assert_false(state_collect(m.state));
    assert_int_equal(state_history_from(m.state), CHANGES + 1);
    assert_history(CHANGES + 1, 9, "");
    apply_to(&m, delete_command("k"));
    assert_history(CHANGES + 1, 9, "-k=@20001 ");
}

static void recall(raft_index index) {
    struct raft_entry *entry = raft_entry_new(m.slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){1, index}, 0);
    state_recall(m.state, entry, NULL);
    raft_entry_unref(entry);
}

static void apply_none(raft_index index) {
    state_skip(m.state, index);
}

static void assert_aborts(void (*act)(raft_index index), raft_index index) {
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        act(index);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

// A tail with a gap, or one that ends before the state does, would have watches miss changes: it is our own mistake.
static void TestStateRecallsWithoutGap(void **state) {
    (void)state;
    for (raft_index index = 1; index <= 4; index++) {
        apply_none(index);
    }
    recall(2);
    assert_aborts(recall, 4);
    recall(3);
    assert_aborts(apply_none, 5);
    recall(4);
    apply_none(5);
    assert_int_equal(state_history_from(m.state), 1);
}

// --- sessions ---

static void assert_outcome(enum state_outcome outcome, bool repeated, uint64_t revision) {
    assert_int_equal(m.result.outcome, outcome);
    assert_int_equal(m.result.repeated, repeated);
    if (outcome == STATE_DONE) {
        assert_int_equal(m.result.revision, revision);
    }
}

static void TestStateSessionRepeats(void **state) {
    (void)state;
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
    assert_outcome(STATE_DONE, false, 1);
    apply_to(&m, put_command("k", "b"));
    struct pb_command again = in_session(put_command("k", "a"), "c", 1, 0);
    again.time_unix_ms = 5;  // another leader's, perhaps
    apply_to(&m, again);
    assert_outcome(STATE_DONE, true, 1);
    assert_value("k", "b", 2);
    apply_to(&m, in_session(delete_command("k"), "c", 2, 0));
    assert_outcome(STATE_DONE, false, 4);
    apply_to(&m, in_session(delete_command("k"), "c", 2, 0));
    assert_outcome(STATE_DONE, true, 4);
    assert_true(m.result.existed);
    // A refusal is a result like any other.
    apply_to(&m, in_session(expecting(put_command("k", "x"), 9), "c", 3, 0));
    assert_int_equal(m.result.outcome, STATE_REVISION_MISMATCH);
    apply_to(&m, put_command("k", "c"));
    apply_to(&m, in_session(expecting(put_command("k", "x"), 9), "c", 3, 0));
    assert_outcome(STATE_REVISION_MISMATCH, true, 0);
    assert_int_equal(m.result.revision, 0);
    // Without a client id there is no promise.
    apply_to(&m, put_command("k", "c"));
    assert_outcome(STATE_DONE, false, 9);
}

static void TestStateSessionExpired(void **state) {
    (void)state;
    apply_to(&m, in_session(put_command("k", "a"), "c", 2, 0));
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    assert_missing("k");
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
    apply_to(&m, in_session(put_command("k", "b"), "c", 2, 1));
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));  // 1 is not acknowledged yet, 0 is
    assert_outcome(STATE_DONE, true, 2);
    apply_to(&m, in_session(put_command("k", "c"), "c", 3, 2));
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    apply_to(&m, in_session(put_command("k", "b"), "c", 2, 0));
    assert_outcome(STATE_DONE, true, 3);
    assert_value("k", "c", 5);
}

static void TestStateSessionSequenceReused(void **state) {
    (void)state;
    static const struct {
        const char *key;
        const char *value;
    } others[] = {{"k", "b"}, {"ka", ""}, {"", "ka"}, {"l", "a"}};
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        apply_to(&m, in_session(put_command(others[i].key, others[i].value), "c", 1, 0));
        assert_outcome(STATE_SEQUENCE_REUSED, false, 0);
    }
    apply_to(&m, in_session(delete_command("k"), "c", 1, 0));
    assert_outcome(STATE_SEQUENCE_REUSED, false, 0);
    apply_to(&m, in_session(expecting(put_command("k", "a"), 0), "c", 1, 0));
    assert_outcome(STATE_SEQUENCE_REUSED, false, 0);
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
    assert_outcome(STATE_DONE, true, 1);
    assert_value("k", "a", 1);
    apply_to(&m, in_session(put_command("k", "b"), "d", 1, 0));  // another client's 1 is another
    assert_outcome(STATE_DONE, false, m.index);
}

static void TestStateSessionResultsOutOfOrder(void **state) {
    (void)state;
    static const uint64_t order[] = {1, 5, 3, 2, 9, 4};
    for (size_t i = 0; i < 6; i++) {
        apply_to(&m, in_session(put_command("k", "v"), "c", order[i], 0));
        assert_outcome(STATE_DONE, false, i + 1);
    }
    for (size_t i = 0; i < 6; i++) {
        apply_to(&m, in_session(put_command("k", "v"), "c", order[i], 0));
        assert_outcome(STATE_DONE, true, i + 1);
    }
    apply_to(&m, in_session(put_command("k", "v"), "c", 9, 4));
    assert_outcome(STATE_DONE, true, 5);
    apply_to(&m, in_session(put_command("k", "v"), "c", 3, 0));
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    apply_to(&m, in_session(put_command("k", "v"), "c", 4, 0));
    assert_outcome(STATE_DONE, true, 6);
}

// A client that acknowledges nothing keeps its newest results only.
static void TestStateSessionResultsLimit(void **state) {
    (void)state;
    for (uint64_t sequence = 1; sequence <= SESSION_RESULTS_MAX + 2; sequence++) {
        apply_to(&m, in_session(put_command("k", "v"), "c", sequence, 0));
    }
    apply_to(&m, in_session(put_command("k", "v"), "c", 2, 0));
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    apply_to(&m, in_session(put_command("k", "v"), "c", 3, 0));
    assert_outcome(STATE_DONE, true, 3);
    apply_to(&m, in_session(put_command("k", "v"), "c", SESSION_RESULTS_MAX + 2, 0));
    assert_outcome(STATE_DONE, true, SESSION_RESULTS_MAX + 2);
}

// The only session, as an image would have it.
static void assert_held(uint64_t held_from, uint64_t first, uint64_t count) {
    struct state_version *version = state_version_new(m.state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    while (state_records_next(records, &record) && record.record != PB_IMAGE_RECORD_RECORD_SESSION) {
    }
    assert_int_equal(record.session.held_from, held_from);
    assert_int_equal(record.session.results[0].sequence, first);
    assert_int_equal(record.session.results_count, count);
    state_records_free(records);
    state_version_release(m.state, version);
}

// The fingerprint, as an image would have it, of what the client has written last.
static uint64_t written_last(const char *client) {
    struct state_version *version = state_version_new(m.state);
    struct state_records *records = state_records_new(version);
    struct pb_image_record record;
    do {
        assert_true(state_records_next(records, &record));
    } while (record.record != PB_IMAGE_RECORD_RECORD_SESSION || !slice_equal(record.session.client_id, text(client)));
    uint64_t fingerprint = record.session.results[record.session.results_count - 1].fingerprint;
    state_records_free(records);
    state_version_release(m.state, version);
    return fingerprint;
}

// It covers what is written and nothing else; nodes of all versions make the same, since it is in the digest.
static void TestStateSessionFingerprint(void **state) {
    (void)state;
    struct pb_command write = in_session(put_command("k", "v"), "c", 1, 0);
    apply_to(&m, write);
    uint64_t fingerprint = written_last("c");
    write.time_unix_ms = 5;
    write.sequence = 2;
    write.acknowledged_below = 1;
    apply_to(&m, write);
    assert_true(written_last("c") == fingerprint);
    apply_to(&m, in_session(put_command("k", "v"), "other", 1, 0));
    assert_true(written_last("other") == fingerprint);
    apply_to(&m, in_session(put_command("k", "w"), "c", 3, 0));
    assert_true(written_last("c") != fingerprint);
}

// One that comes behind those which have filled the room is done all the same, but never a second time.
static void TestStateSessionResultsLimitLate(void **state) {
    (void)state;
    for (uint64_t sequence = 4; sequence < 4 + SESSION_RESULTS_MAX; sequence++) {
        apply_to(&m, in_session(put_command("k", "v"), "c", sequence == 4 ? 1 : sequence, 0));
    }
    apply_to(&m, in_session(delete_command("k"), "c", 1, 0));
    assert_outcome(STATE_SEQUENCE_REUSED, false, 0);
    apply_to(&m, in_session(put_command("other", "v"), "c", 4 + SESSION_RESULTS_MAX, 0));  // 1 is no longer kept
    apply_to(&m, in_session(put_command("late", "v"), "c", 3, 0));
    assert_outcome(STATE_DONE, false, m.index);
    assert_held(4, 5, SESSION_RESULTS_MAX);
    uint64_t revision = m.index;
    apply_to(&m, in_session(put_command("late", "v"), "c", 3, 0));
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    assert_value("late", "v", revision);
}

static void use_session(size_t client, uint64_t sequence) {
    char id[32];
    snprintf(id, sizeof id, "client-%zu", client);
    apply_to(&m, in_session(put_command("k", "v"), id, sequence, 0));
}

static void TestStateSessionsEvicted(void **state) {
    (void)state;
    for (size_t client = 0; client < SESSIONS_MAX; client++) {
        use_session(client, 1);
    }
    struct state_version *version = state_version_new(m.state);  // has the session, so that it is changed in a copy
    use_session(0, 1);                                           // used again: now client 1 is the one least recently used
    assert_true(m.result.repeated);
    state_version_release(m.state, version);
    use_session(SESSIONS_MAX, 1);
    use_session(1, 2);
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    use_session(0, 2);
    assert_outcome(STATE_DONE, false, m.index);
    use_session(2, 2);
    assert_outcome(STATE_DONE, false, m.index);
}

// --- the cluster's level ---

static void raise_level(uint32_t level) {
    apply_to(&m, (struct pb_command){.op = PB_COMMAND_OP_RAISE_LEVEL, .raise_level = {.level = level}});
    assert_outcome(STATE_DONE, false, m.index);
}

static void TestStateLevelNeverFalls(void **state) {
    (void)state;
    assert_int_equal(state_level(m.state), 0);
    raise_level(1);
    assert_int_equal(state_level(m.state), 1);
    struct pb_command command = put_command("k", "v");
    command.level = 2;
    apply_to(&m, command);  // a command's level is its own
    assert_int_equal(state_level(m.state), 1);
    raise_level(2);
    assert_int_equal(state_level(m.state), 2);
    raise_level(1);
    assert_int_equal(state_level(m.state), 2);
}

enum {
    // As state/session.c measures them; 64 MiB have room for 1,021.
    FULL_SESSION = 160 + sizeof "client-0000" - 1 + SESSION_RESULTS_MAX * 64,
    FULL_SESSIONS = 1030,
    FULL_SESSIONS_ROOM = SESSIONS_BYTES_MAX / FULL_SESSION,
    FITTING_RESULTS = 341,
};

#define FITTING_CLIENT "a-client-that-fills-the-room-left"
static_assert(FULL_SESSIONS_ROOM * FULL_SESSION + 160 + sizeof FITTING_CLIENT - 1 + FITTING_RESULTS * 64 ==
                  SESSIONS_BYTES_MAX,
              "it takes what the full ones leave");

static void use_full_session(size_t client, uint64_t sequence) {
    char id[32];
    snprintf(id, sizeof id, "client-%04zu", client);
    apply_to(&m, in_session(delete_command("k"), id, sequence, 0));
}

// From level 2 on all sessions together are bounded; before, only their number.
static void TestStateSessionBytes(void **state) {
    (void)state;
    for (size_t client = 0; client < FULL_SESSIONS; client++) {
        for (uint64_t sequence = 1; sequence <= SESSION_RESULTS_MAX; sequence++) {
            use_full_session(client, sequence);
        }
    }
    use_full_session(0, 2);
    assert_true(m.result.repeated);
    raise_level(1);
    use_full_session(1, 2);
    assert_true(m.result.repeated);
    raise_level(2);
    // The two that were used last stay, and of the others those that were used last.
    size_t evicted = FULL_SESSIONS - FULL_SESSIONS_ROOM;
    for (size_t client = 2; client < 2 + evicted; client++) {
        use_full_session(client, 2);
        assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    }
    use_full_session(0, 2);
    assert_true(m.result.repeated);
    use_full_session(1, 2);
    assert_true(m.result.repeated);
    use_full_session(2 + evicted, 2);
    assert_true(m.result.repeated);
    // One that takes just the room that is left takes nobody's place.
    for (uint64_t sequence = 1; sequence <= FITTING_RESULTS; sequence++) {
        apply_to(&m, in_session(delete_command("k"), FITTING_CLIENT, sequence, 0));
    }
    use_full_session(3 + evicted, 2);
    assert_true(m.result.repeated);
    // A further one takes the place of the next.
    for (uint64_t sequence = 1; sequence <= SESSION_RESULTS_MAX; sequence++) {
        use_full_session(FULL_SESSIONS, sequence);
    }
    use_full_session(4 + evicted, 2);
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    use_full_session(5 + evicted, 2);
    assert_true(m.result.repeated);
}

// --- against a naive model ---

enum { MODEL_KEYS = 400 };

static struct {
    struct slice keys[MODEL_KEYS];   // in byte order
    uint64_t revisions[MODEL_KEYS];  // 0: not there

} model;

static int slice_order(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

// Keys that share long prefixes, end within each other, and hold every byte.
static void draw_keys(uint64_t *seed) {
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        uint8_t *bytes = mem_alloc(KEY_MAX);
        struct slice parent = i == 0 || random_below(seed, 4) == 0 ? slice_of(NULL, 0) : model.keys[random_below(seed, i)];
        size_t len = parent.len == 0 ? 0 : random_below(seed, parent.len + 1);
        if (len != 0) {
            memcpy(bytes, parent.data, len);
        }
        size_t more = 1 + random_below(seed, random_below(seed, 20) == 0 ? KEY_MAX - len : 4);
        for (; more > 0 && len < KEY_MAX; more--) {
            bytes[len++] = (uint8_t)(random_below(seed, 2) == 0 ? random_u64(seed) : random_below(seed, 3));
        }
        model.keys[i] = slice_of(bytes, len);
    }
    qsort(model.keys, MODEL_KEYS, sizeof model.keys[0], slice_order);
}

struct model_list {
    size_t next;  // the model's next key that must come
    struct slice prefix;
    struct slice after;
    size_t limit;
};

static void skip_unlisted(struct model_list *list) {
    while (list->next < MODEL_KEYS &&
           (model.revisions[list->next] == 0 || !slice_starts_with(model.keys[list->next], list->prefix) ||
            slice_compare(model.keys[list->next], list->after) <= 0)) {
        list->next++;
    }
}

static bool check_listed(void *user, const struct state_item *item) {
    struct model_list *list = user;
    skip_unlisted(list);
    assert_true(list->next < MODEL_KEYS);
    assert_true(slice_equal(item->key, model.keys[list->next]));
    assert_int_equal(item->revision, model.revisions[list->next]);
    list->next++;
    return --list->limit > 0;
}

static void check_list(uint64_t *seed) {
    struct model_list list = {.limit = 1 + random_below(seed, 2 * MODEL_KEYS)};
    struct slice key = model.keys[random_below(seed, MODEL_KEYS)];
    if (random_below(seed, 3) != 0) {
        list.prefix = slice_of(key.data, random_below(seed, key.len + 1));
    }
    key = random_below(seed, 2) == 0 ? key : model.keys[random_below(seed, MODEL_KEYS)];
    if (random_below(seed, 3) != 0) {
        list.after = slice_of(key.data, random_below(seed, key.len + 1));
    }
    state_list(m.state, list.prefix, list.after, check_listed, &list);
    skip_unlisted(&list);
    assert_true(list.limit == 0 || list.next == MODEL_KEYS);
}

static void TestStateModel(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestStateModel");
    draw_keys(&seed);
    for (int round = 0; round < 30000; round++) {
        size_t i = random_below(&seed, MODEL_KEYS);
        while (i > 0 && slice_equal(model.keys[i - 1], model.keys[i])) {
            i--;  // of equal keys the first stands for all
        }
        bool is_put = random_below(&seed, 100) < (round / 5000 % 2 == 0 ? 70 : 30);
        struct pb_command command = {.op = is_put ? PB_COMMAND_OP_PUT : PB_COMMAND_OP_DELETE};
        if (is_put) {
            command.put.key = command.put.value = model.keys[i];
        } else {
            command.delete.key = model.keys[i];
        }
        uint64_t expected = random_below(&seed, 2) == 0 ? model.revisions[i] : random_below(&seed, m.index + 1);
        bool has_expected = random_below(&seed, 3) == 0;
        apply_to(&m, has_expected ? expecting(command, expected) : command);
        if (has_expected && expected != model.revisions[i]) {
            assert_mismatch(model.revisions[i]);
        } else {
            assert_int_equal(m.result.outcome, STATE_DONE);
            assert_true(is_put || m.result.existed == (model.revisions[i] != 0));
            model.revisions[i] = is_put ? m.index : 0;
        }
        struct state_item item;
        assert_int_equal(state_get(m.state, model.keys[i], &item), model.revisions[i] != 0);
        if (model.revisions[i] != 0) {
            assert_true(item.revision == model.revisions[i] && slice_equal(item.value, model.keys[i]));
        }
        if (round % 8 == 0) {
            check_list(&seed);
        }
    }
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        free((void *)model.keys[i].data);
    }
}

// What a client has acknowledged takes no room, however much it was.
static void TestStateSessionBytesAcknowledged(void **state) {
    (void)state;
    raise_level(2);
    use_full_session(0, 1);
    for (uint64_t sequence = 1; sequence <= SESSIONS_BYTES_MAX / 64; sequence++) {
        apply_to(&m, in_session(delete_command("k"), "busy", sequence, sequence));
    }
    use_full_session(0, 1);
    assert_true(m.result.repeated);
}

static const struct CMUnitTest tests[] = {
    MACHINE_TEST(TestStatePutGetDelete),
    MACHINE_TEST(TestStateExpectedRevision),
    MACHINE_TEST(TestStateList),
    MACHINE_TEST(TestStateHistory),
    MACHINE_TEST(TestStateHistoryForgotten),
    MACHINE_TEST(TestStateRecallsWithoutGap),
    MACHINE_TEST(TestStateSessionRepeats),
    MACHINE_TEST(TestStateSessionExpired),
    MACHINE_TEST(TestStateSessionSequenceReused),
    MACHINE_TEST(TestStateSessionResultsOutOfOrder),
    MACHINE_TEST(TestStateSessionResultsLimit),
    MACHINE_TEST(TestStateSessionResultsLimitLate),
    MACHINE_TEST(TestStateSessionFingerprint),
    MACHINE_TEST(TestStateSessionsEvicted),
    MACHINE_TEST(TestStateLevelNeverFalls),
    MACHINE_TEST(TestStateSessionBytes),
    MACHINE_TEST(TestStateSessionBytesAcknowledged),
    MACHINE_TEST(TestStateModel),
};

UNIT_MAIN(tests)
