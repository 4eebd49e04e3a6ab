// The state machine: each rule of the store, the sessions and the registry, and, by seed, the whole against a naive model.
#include "base/array.h"
#include "base/mem.h"
#include "random.h"
#include "state/state.h"
#include "unit.h"

// Commands are made as wire/command.h would: all their bytes lie in the entry.
struct machine {
    struct raft_slab *slab;
    struct state *state;
    raft_index index;
    struct state_result result;  // of the last command
};

static struct machine m;

static int setup(void **state) {
    (void)state;
    m = (struct machine){.slab = raft_slab_new(), .state = state_new()};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    state_free(m.state);
    raft_slab_free(m.slab);  // asserts that no entry is still held
    return 0;
}

static struct slice text(const char *s) {
    return slice_of_str(s);
}

// Copies s to the entry's end; returns where it is.
static struct slice into(struct raft_entry *entry, size_t *used, struct slice s) {
    if (s.len != 0) {
        memcpy(entry->data + *used, s.data, s.len);
    }
    struct slice copy = slice_of(entry->data + *used, s.len);
    *used += s.len;
    return copy;
}

static void apply_to(struct machine *machine, struct state_command command) {
    struct slice *key = command.operation == STATE_PUT ? &command.put.key : &command.delete.key;
    struct slice value = command.operation == STATE_PUT ? command.put.value : slice_of(NULL, 0);
    bool is_write = command.operation == STATE_PUT || command.operation == STATE_DELETE;
    size_t len = is_write ? key->len + value.len : 0;
    struct raft_entry *entry =
        raft_entry_new(machine->slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){1, ++machine->index}, len);
    size_t used = 0;
    if (is_write) {
        *key = into(entry, &used, *key);
    }
    if (command.operation == STATE_PUT) {
        command.put.value = into(entry, &used, value);
    }
    state_apply(machine->state, entry, &command, &machine->result);
    raft_entry_unref(entry);
}

static struct state_command put_command(const char *key, const char *value) {
    return (struct state_command){.operation = STATE_PUT, .put = {.key = text(key), .value = text(value)}};
}

static struct state_command delete_command(const char *key) {
    return (struct state_command){.operation = STATE_DELETE, .delete = {.key = text(key)}};
}

static struct state_command in_session(struct state_command command, const char *client, uint64_t sequence,
                                       uint64_t acknowledged_below) {
    command.client_id = text(client);
    command.sequence = sequence;
    command.acknowledged_below = acknowledged_below;
    return command;
}

static void assert_value(const char *key, const char *value, uint64_t revision) {
    struct state_item item;
    assert_true(state_get(m.state, text(key), &item));
    assert_true(slice_equal(item.key, text(key)));
    assert_true(slice_equal(item.value, text(value)));
    assert_int_equal(item.revision, revision);
}

static void assert_missing(const char *key) {
    struct state_item item;
    assert_false(state_get(m.state, text(key), &item));
}

// --- store ---

static void TestStatePutGetDelete(void **state) {
    (void)state;
    assert_missing("k");
    apply_to(&m, put_command("k", "one"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_int_equal(m.result.revision, 1);
    assert_value("k", "one", 1);
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
    state_skip(m.state, 9);
    assert_int_equal(state_last_applied(m.state), 9);
}

static struct state_command expecting(struct state_command command, uint64_t revision) {
    if (command.operation == STATE_PUT) {
        command.put.has_expected = true;
        command.put.expected_revision = revision;
    } else {
        command.delete.has_expected = true;
        command.delete.expected_revision = revision;
    }
    return command;
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

static void TestStateHistoryLimit(void **state) {
    (void)state;
    for (size_t i = 0; i < HISTORY_MAX; i++) {
        apply_to(&m, put_command("k", "v"));
    }
    assert_int_equal(state_history_from(m.state), 1);
    assert_history(1, 1, "k=v@1 ");
    apply_to(&m, put_command("k", "w"));
    apply_to(&m, put_command("k", "x"));
    assert_int_equal(state_history_from(m.state), 3);
    assert_history(3, 1, "k=v@3 ");
    assert_history(HISTORY_MAX + 1, 9, "k=w@100001 k=x@100002 ");
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
    apply_to(&m, in_session(put_command("k", "a"), "c", 1, 0));
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
    use_session(0, 1);  // used again: now client 1 is the one least recently used
    assert_true(m.result.repeated);
    use_session(SESSIONS_MAX, 1);
    use_session(1, 2);
    assert_outcome(STATE_SESSION_EXPIRED, false, 0);
    use_session(0, 2);
    assert_outcome(STATE_DONE, false, m.index);
    use_session(2, 2);
    assert_outcome(STATE_DONE, false, m.index);
}

// --- registry ---

static struct state_command register_command(const char *id, const char *instance, const char *address) {
    static const struct state_label labels[] = {{.key = {(const uint8_t *)"zone", 4}, .value = {(const uint8_t *)"b", 1}}};
    return (struct state_command){
        .operation = STATE_REGISTER_WORKER,
        .register_worker = {.worker_id = text(id),
                            .instance_id = text(instance),
                            .address = text(address),
                            .cloud = text("gcp"),
                            .slots = 4,
                            .labels = labels,
                            .label_count = 1},
    };
}

static void change_worker(const char *id, uint64_t epoch, bool online, const char *reason) {
    struct state_worker_change change = {.worker_id = text(id), .epoch = epoch, .online = online, .reason = text(reason)};
    struct state_command command = {.operation = STATE_CHANGE_WORKERS, .change_workers = {.changes = &change, .count = 1}};
    apply_to(&m, command);
    assert_int_equal(m.result.outcome, STATE_DONE);
}

static struct state_worker worker_of(const char *id) {
    struct state_worker worker;
    assert_true(state_worker(m.state, text(id), &worker));
    return worker;
}

static void assert_status(const char *id, bool online, const char *reason, uint64_t epoch, uint64_t since) {
    struct state_worker worker = worker_of(id);
    assert_int_equal(worker.online, online);
    assert_true(slice_equal(worker.reason, text(reason)));
    assert_int_equal(worker.epoch, epoch);
    assert_int_equal(worker.since_index, since);
}

static void TestStateRegister(void **state) {
    (void)state;
    struct state_worker worker;
    assert_false(state_worker(m.state, text("w1"), &worker));
    apply_to(&m, register_command("w1", "i1", "a:1"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_int_equal(m.result.epoch, 1);
    worker = worker_of("w1");
    assert_true(slice_equal(worker.id, text("w1")));
    assert_true(slice_equal(worker.instance_id, text("i1")));
    assert_true(slice_equal(worker.address, text("a:1")));
    assert_true(slice_equal(worker.cloud, text("gcp")));
    assert_int_equal(worker.slots, 4);
    assert_int_equal(worker.label_count, 1);
    assert_true(slice_equal(worker.labels[0].key, text("zone")));
    assert_true(slice_equal(worker.labels[0].value, text("b")));
    assert_status("w1", true, "", 1, 1);

    // The same instance again: nothing has changed, then its address has.
    apply_to(&m, register_command("w1", "i1", "a:1"));
    assert_int_equal(m.result.epoch, 1);
    assert_status("w1", true, "", 1, 1);
    apply_to(&m, register_command("w1", "i1", "b:1"));
    assert_int_equal(m.result.epoch, 1);
    assert_status("w1", true, "", 1, 3);
    assert_true(slice_equal(worker_of("w1").address, text("b:1")));

    // Another one replaces it.
    apply_to(&m, register_command("w1", "i2", "b:1"));
    assert_int_equal(m.result.epoch, 4);
    assert_status("w1", true, "", 4, 4);
    assert_int_equal(state_worker_count(m.state), 1);
}

static void TestStateRegisterLabels(void **state) {
    (void)state;
    apply_to(&m, register_command("w1", "i1", "a:1"));
    struct state_command command = register_command("w1", "i1", "a:1");
    struct state_label label = {.key = text("zone"), .value = text("c")};
    command.register_worker.labels = &label;
    apply_to(&m, command);
    assert_status("w1", true, "", 1, 2);
    assert_true(slice_equal(worker_of("w1").labels[0].value, text("c")));
    command.register_worker.label_count = 0;
    apply_to(&m, command);
    assert_int_equal(worker_of("w1").label_count, 0);
    command.register_worker.slots = 5;
    apply_to(&m, command);
    assert_int_equal(worker_of("w1").slots, 5);
}

static void TestStateWorkerChanges(void **state) {
    (void)state;
    apply_to(&m, register_command("w1", "i1", "a:1"));
    change_worker("w1", 1, false, "missed-heartbeats");
    assert_status("w1", false, "missed-heartbeats", 1, 2);
    change_worker("w1", 1, false, "missed-heartbeats");  // nothing new
    assert_status("w1", false, "missed-heartbeats", 1, 2);
    change_worker("w1", 1, true, "");
    assert_status("w1", true, "", 1, 4);
    change_worker("w1", 1, true, "");
    assert_status("w1", true, "", 1, 4);
    change_worker("w2", 1, false, "left");  // a stranger

    // What was decided of its heartbeats, or of their absence, before it said goodbye is too late.
    change_worker("w1", 1, false, "left");
    assert_status("w1", false, "left", 1, 7);
    change_worker("w1", 1, false, "missed-heartbeats");
    change_worker("w1", 1, true, "");
    assert_status("w1", false, "left", 1, 7);

    // It registers again; the change that was decided about its first life does nothing to the second.
    apply_to(&m, register_command("w1", "i1", "a:1"));
    assert_status("w1", true, "", 1, 10);
    apply_to(&m, register_command("w1", "i2", "a:1"));
    change_worker("w1", 1, false, "left");
    assert_status("w1", true, "", 11, 11);
    change_worker("w1", 11, false, "left");
    assert_status("w1", false, "left", 11, 13);

    // One that is offline already may say goodbye, too.
    apply_to(&m, register_command("w2", "i1", "a:1"));
    change_worker("w2", 14, false, "missed-heartbeats");
    change_worker("w2", 14, false, "left");
    assert_status("w2", false, "left", 14, 16);
    apply_to(&m, register_command("w2", "i1", "a:1"));
    assert_status("w2", true, "", 14, 17);
    assert_int_not_equal(state_digest(m.state), 0);  // goes along the list of those offline
}

static bool add_id(void *user, const struct state_worker *worker) {
    char *ids = user;
    strncat(ids, (const char *)worker->id.data, worker->id.len);
    return strlen(ids) < 6;
}

static void TestStateWorkersInOrder(void **state) {
    (void)state;
    apply_to(&m, register_command("w2", "i", "a:1"));
    apply_to(&m, register_command("w3", "i", "a:1"));
    apply_to(&m, register_command("w1", "i", "a:1"));
    apply_to(&m, register_command("w4", "i", "a:1"));
    char ids[20] = "";
    state_workers(m.state, slice_of(NULL, 0), add_id, ids);
    assert_string_equal(ids, "w1w2w3");
    ids[0] = '\0';
    state_workers(m.state, slice_of_str("w2"), add_id, ids);
    assert_string_equal(ids, "w3w4");
    ids[0] = '\0';
    state_workers(m.state, slice_of_str("w21"), add_id, ids);
    assert_string_equal(ids, "w3w4");
    ids[0] = '\0';
    state_workers(m.state, slice_of_str("w4"), add_id, ids);
    assert_string_equal(ids, "");
    assert_int_equal(state_worker_count(m.state), 4);
    assert_int_equal(state_worker_slots(m.state), 4);
}

static void register_many(size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        char id[20];
        snprintf(id, sizeof id, "w%06zu", i);
        apply_to(&m, register_command(id, "i", "a:1"));
    }
}

static void TestStateWorkersLimit(void **state) {
    (void)state;
    register_many(0, WORKERS_MAX);
    assert_int_equal(m.result.outcome, STATE_DONE);
    apply_to(&m, register_command("more", "i", "a:1"));
    assert_int_equal(m.result.outcome, STATE_TOO_MANY);
    apply_to(&m, register_command("w000007", "j", "a:1"));  // no new one
    assert_int_equal(m.result.outcome, STATE_DONE);

    // Of those offline, the one that has been so longest makes room; its slot is used again.
    change_worker("w000005", 6, false, "missed-heartbeats");
    change_worker("w000003", 4, false, "left");
    change_worker("w000004", 5, false, "left");
    change_worker("w000005", 6, true, "");
    uint32_t slot = worker_of("w000003").slot;
    apply_to(&m, register_command("more", "i", "a:1"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    struct state_worker worker;
    assert_false(state_worker(m.state, text("w000003"), &worker));
    assert_true(state_worker(m.state, text("w000004"), &worker));
    assert_int_equal(worker_of("more").slot, slot);
    apply_to(&m, register_command("one more", "i", "a:1"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_false(state_worker(m.state, text("w000004"), &worker));
    apply_to(&m, register_command("too many", "i", "a:1"));  // nobody is offline any more
    assert_int_equal(m.result.outcome, STATE_TOO_MANY);
    assert_int_equal(state_worker_count(m.state), WORKERS_MAX);
    assert_int_equal(state_worker_slots(m.state), WORKERS_MAX);
}

// --- time and digest ---

static void TestStateTimeOnlyRises(void **state) {
    (void)state;
    struct state_command command = put_command("k", "v");
    command.time_unix_ms = 100;
    apply_to(&m, command);
    command.time_unix_ms = 90;
    apply_to(&m, command);
    assert_int_equal(state_time_unix_ms(m.state), 100);
    command.time_unix_ms = 101;
    apply_to(&m, command);
    assert_int_equal(state_time_unix_ms(m.state), 101);
}

// Anything from a handful of keys, clients and workers, so that everything meets everything.
static void random_command(uint64_t *seed, struct machine *machine) {
    static const char *const keys[] = {"a", "ab", "abc", "b", "\x01", "a\x10", "a\x1f", "k1", "k2", "k3", "k30", "\xff"};
    static const char *const values[] = {"", "x", "a longer value than the others"};
    static const char *const workers[] = {"w1", "w2", "w3"};
    struct state_command command;
    struct state_worker_change change;
    const char *key = keys[random_below(seed, 12)];
    const char *worker = workers[random_below(seed, 3)];
    switch (random_below(seed, 8)) {
    case 0:
    case 1:
        command = delete_command(key);
        break;
    case 2:
        command = register_command(worker, random_below(seed, 4) == 0 ? "j" : "i", "a:1");
        break;
    case 3:
        change = (struct state_worker_change){.worker_id = text(worker), .epoch = random_below(seed, machine->index + 1)};
        change.online = random_below(seed, 2) == 0;
        struct state_worker known;
        if (random_below(seed, 2) == 0 && state_worker(machine->state, text(worker), &known)) {
            change.epoch = known.epoch;
        }
        command = (struct state_command){.operation = STATE_CHANGE_WORKERS, .change_workers = {&change, 1}};
        break;
    default:
        command = put_command(key, values[random_below(seed, 3)]);
    }
    if (command.operation <= STATE_DELETE && random_below(seed, 3) == 0) {
        command = expecting(command, random_below(seed, machine->index + 1));
    }
    if (command.operation <= STATE_DELETE && random_below(seed, 2) == 0) {
        command = in_session(command, workers[random_below(seed, 3)], 1 + random_below(seed, 9), random_below(seed, 3));
    }
    command.time_unix_ms = (int64_t)random_below(seed, 1000);
    apply_to(machine, command);
}

static void TestStateDigest(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestStateDigest");
    for (int round = 0; round < 20; round++) {
        uint64_t first = seed;
        uint64_t second = seed;
        struct machine other = {.slab = raft_slab_new(), .state = state_new()};
        struct machine mine = {.slab = raft_slab_new(), .state = state_new()};
        void *shift = mem_alloc(1000 + random_below(&seed, 1000));  // other addresses
        for (int i = 0; i < 500; i++) {
            random_command(&first, &mine);
            random_command(&second, &other);
            assert_true(state_digest(mine.state) == state_digest(other.state));
        }
        state_skip(other.state, other.index + 1);
        assert_false(state_digest(mine.state) == state_digest(other.state));
        free(shift);
        state_free(mine.state);
        state_free(other.state);
        raft_slab_free(mine.slab);
        raft_slab_free(other.slab);
        random_u64(&seed);
    }
}

// Two machines that differ in nothing but what `second` does have different digests.
static void assert_digest_tells(struct state_command first, struct state_command second) {
    struct machine other = {.slab = raft_slab_new(), .state = state_new()};
    struct machine mine = {.slab = raft_slab_new(), .state = state_new()};
    apply_to(&mine, register_command("w", "i", "a:1"));
    apply_to(&other, register_command("w", "i", "a:1"));
    apply_to(&mine, first);
    apply_to(&other, second);
    assert_false(state_digest(mine.state) == state_digest(other.state));
    state_free(mine.state);
    state_free(other.state);
    raft_slab_free(mine.slab);
    raft_slab_free(other.slab);
}

static void TestStateDigestTells(void **state) {
    (void)state;
    assert_digest_tells(put_command("k", "a"), put_command("k", "b"));
    assert_digest_tells(put_command("ka", ""), put_command("k", "a"));
    assert_digest_tells(put_command("k", "a"), in_session(put_command("k", "a"), "c", 1, 0));
    assert_digest_tells(in_session(put_command("k", "a"), "c", 1, 0), in_session(put_command("k", "a"), "d", 1, 0));
    assert_digest_tells(register_command("w", "i", "a:1"), register_command("w", "j", "a:1"));
    assert_digest_tells(register_command("w", "i", "a:1"), register_command("w", "i", "b:1"));
    struct state_worker_change change = {.worker_id = text("w"), .epoch = 1, .reason = text("left")};
    struct state_command left = {.operation = STATE_CHANGE_WORKERS, .change_workers = {&change, 1}};
    assert_digest_tells(register_command("w", "i", "a:1"), left);
    struct state_command later = put_command("k", "a");
    later.time_unix_ms = 1;
    assert_digest_tells(put_command("k", "a"), later);
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
        struct state_command command = {.operation = is_put ? STATE_PUT : STATE_DELETE};
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(TestStatePutGetDelete),
    TEST(TestStateExpectedRevision),
    TEST(TestStateList),
    TEST(TestStateHistory),
    TEST(TestStateHistoryLimit),
    TEST(TestStateSessionRepeats),
    TEST(TestStateSessionExpired),
    TEST(TestStateSessionSequenceReused),
    TEST(TestStateSessionResultsOutOfOrder),
    TEST(TestStateSessionResultsLimit),
    TEST(TestStateSessionResultsLimitLate),
    TEST(TestStateSessionsEvicted),
    TEST(TestStateRegister),
    TEST(TestStateRegisterLabels),
    TEST(TestStateWorkerChanges),
    TEST(TestStateWorkersInOrder),
    TEST(TestStateWorkersLimit),
    TEST(TestStateTimeOnlyRises),
    TEST(TestStateDigest),
    TEST(TestStateDigestTells),
    TEST(TestStateModel),
};

UNIT_MAIN(tests)
