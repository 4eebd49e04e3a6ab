// The state machine's registry of workers, and the digest of the whole.
#include "base/fingerprint.h"
#include "message_change.h"
#include "state_machine.h"
#include "wire/message.h"

static struct state_worker worker_of(const char *id) {
    struct state_worker worker;
    assert_true(state_worker(m.state, text(id), &worker));
    return worker;
}

static void change_at_level(uint32_t level, const char *id, uint64_t epoch, bool online, const char *reason) {
    struct pb_worker_change change = {.worker_id = text(id), .epoch = epoch, .online = online, .reason = text(reason)};
    struct pb_command command = {.op = PB_COMMAND_OP_CHANGE_WORKERS,
                                 .level = level,
                                 .time_unix_ms = 1000 * (int64_t)m.index,
                                 .change_workers = {.changes = &change, .changes_count = 1}};
    apply_to(&m, command);
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_int_equal(m.result.revision, m.index);
}

static void change_worker(const char *id, uint64_t epoch, bool online, const char *reason) {
    change_at_level(0, id, epoch, online, reason);
    assert_int_equal(m.result.epoch, 0);  // as 0.1.0 answered it
}

static void register_at_level(uint32_t level, const char *id, const char *instance) {
    struct pb_command command = register_command(id, instance, "a:1");
    command.level = level;
    command.time_unix_ms = 1000 * (int64_t)m.index;
    apply_to(&m, command);
    assert_int_equal(m.result.epoch, worker_of(id).epoch);
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
    assert_true(slice_equal(worker.registration->instance_id, text("i1")));
    assert_true(slice_equal(worker.registration->address, text("a:1")));
    assert_true(slice_equal(worker.registration->cloud, text("gcp")));
    assert_int_equal(worker.registration->slots, 4);
    assert_int_equal(worker.registration->labels_count, 1);
    assert_true(slice_equal(worker.registration->labels[0].key, text("zone")));
    assert_true(slice_equal(worker.registration->labels[0].value, text("b")));
    assert_status("w1", true, "", 1, 1);
    assert_true(state_worker_at(m.state, worker.row, &worker));
    assert_true(slice_equal(worker.id, text("w1")));
    assert_false(state_worker_at(m.state, worker.row + 1, &worker));

    // The same instance again: nothing has changed, then its address has.
    apply_to(&m, register_command("w1", "i1", "a:1"));
    assert_int_equal(m.result.epoch, 1);
    assert_int_equal(m.result.revision, 2);
    assert_status("w1", true, "", 1, 1);
    apply_to(&m, register_command("w1", "i1", "b:1"));
    assert_int_equal(m.result.epoch, 1);
    assert_status("w1", true, "", 1, 3);
    assert_true(slice_equal(worker_of("w1").registration->address, text("b:1")));

    // Another one replaces it.
    apply_to(&m, register_command("w1", "i2", "b:1"));
    assert_int_equal(m.result.epoch, 4);
    assert_status("w1", true, "", 4, 4);
    assert_int_equal(state_worker_count(m.state), 1);
}

static void TestStateRegisterLabels(void **state) {
    (void)state;
    apply_to(&m, register_command("w1", "i1", "a:1"));
    struct pb_command command = register_command("w1", "i1", "a:1");
    struct slice_pair label = {.key = text("zone"), .value = text("c")};
    command.register_worker.labels = &label;
    apply_to(&m, command);
    assert_status("w1", true, "", 1, 2);
    assert_true(slice_equal(worker_of("w1").registration->labels[0].value, text("c")));
    command.register_worker.labels_count = 0;
    apply_to(&m, command);
    assert_int_equal(worker_of("w1").registration->labels_count, 0);
    command.register_worker.slots = 5;
    apply_to(&m, command);
    assert_int_equal(worker_of("w1").registration->slots, 5);
}

// Whatever is another in a registration is noticed, fields to come among it.
static void TestStateRegisterAnyField(void **state) {
    (void)state;
    uint64_t seed = random_seed("TestStateRegisterAnyField");
    struct arena arena = {.limit = MIB};
    struct change change = {.seed = &seed, .arena = &arena};
    const struct pb_command first = register_command("w1", "i1", "a:1");
    size_t changes = 0;
    for (;; changes++) {
        struct pb_command second = first;
        if (!change_message(&change, &pb_register_worker_request_type, &second.register_worker, changes)) {
            break;
        }
        struct slice id = second.register_worker.worker_id;
        bool is_replaced = !slice_equal(second.register_worker.instance_id, first.register_worker.instance_id);
        bool is_other = !slice_equal(id, text("w1"));
        apply_to(&m, first);
        uint64_t epoch = m.result.epoch;
        apply_to(&m, second);
        struct state_worker worker;
        assert_true(state_worker(m.state, id, &worker));
        assert_true(pb_equal(&pb_register_worker_request_type, worker.registration, &second.register_worker));
        assert_int_equal(worker.since_index, m.index);
        assert_int_equal(worker.epoch, is_replaced || is_other ? m.index : epoch);
        apply_to(&m, second);  // nothing new
        assert_true(state_worker(m.state, id, &worker));
        assert_int_equal(worker.since_index, m.index - 1);
    }
    assert_true(changes >= pb_register_worker_request_type.field_count);
    arena_free(&arena);
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

    // Changes proposed for its heartbeats, or missed ones, before it deregistered come too late.
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

    // A worker that is already offline may deregister, too.
    apply_to(&m, register_command("w2", "i1", "a:1"));
    change_worker("w2", 14, false, "missed-heartbeats");
    change_worker("w2", 14, false, "left");
    assert_status("w2", false, "left", 14, 16);
    apply_to(&m, register_command("w2", "i1", "a:1"));
    assert_status("w2", true, "", 14, 17);
    assert_int_not_equal(state_digest(m.state), 0);  // goes along the list of those offline
}

// A return from offline begins a new epoch; under the old one only the worker's own changes still apply.
static void TestStateReturnBeginsAnEpoch(void **state) {
    (void)state;
    register_at_level(1, "w1", "i1");
    change_worker("w1", 1, false, "missed-heartbeats");
    change_at_level(1, "w1", 1, true, "");
    assert_status("w1", true, "", 3, 3);
    assert_int_equal(m.result.epoch, 3);
    change_at_level(1, "w1", 1, true, "");  // its heartbeat was repeated
    assert_status("w1", true, "", 3, 3);
    assert_int_equal(m.result.epoch, 3);
    change_at_level(1, "w1", 4, true, "");  // not an epoch of this registration
    assert_int_equal(m.result.epoch, 0);
    change_worker("w1", 1, false, "missed-heartbeats");  // of the epoch before
    assert_status("w1", true, "", 3, 3);
    change_worker("w1", 3, false, "missed-heartbeats");
    change_at_level(1, "w1", 1, true, "");
    assert_status("w1", true, "", 8, 8);
    assert_int_equal(worker_of("w1").first_epoch, 1);

    // It deregisters under an epoch that it believed current; then only a registration brings it back.
    change_worker("w1", 3, false, "left");
    assert_status("w1", false, "left", 8, 9);
    change_at_level(1, "w1", 8, true, "");
    assert_status("w1", false, "left", 8, 9);
    assert_int_equal(m.result.epoch, 0);
    register_at_level(1, "w1", "i1");
    assert_status("w1", true, "", 11, 11);
    change_worker("w1", 8, false, "left");  // proposed before it
    assert_status("w1", true, "", 11, 11);

    // The same instance registers while it is offline, and while it is online; then another one.
    change_worker("w1", 11, false, "missed-heartbeats");
    register_at_level(1, "w1", "i1");
    assert_status("w1", true, "", 14, 14);
    register_at_level(1, "w1", "i1");
    assert_status("w1", true, "", 14, 14);
    register_at_level(1, "w1", "i2");
    assert_status("w1", true, "", 16, 16);
    change_at_level(1, "w1", 14, true, "");  // of the one that it replaced
    assert_int_equal(m.result.epoch, 0);
    change_worker("w1", 14, false, "left");
    assert_status("w1", true, "", 16, 16);
}

// By the rules of 0.1.0, which wrote level 0: the epoch is the instance's.
static void TestStateReturnOfLevel0KeepsTheEpoch(void **state) {
    (void)state;
    register_at_level(0, "w1", "i1");
    change_worker("w1", 1, false, "missed-heartbeats");
    change_worker("w1", 1, true, "");
    assert_status("w1", true, "", 1, 3);
    change_worker("w1", 1, false, "missed-heartbeats");
    register_at_level(0, "w1", "i1");
    assert_status("w1", true, "", 1, 5);
    change_worker("w1", 1, false, "left");
    register_at_level(0, "w1", "i1");
    assert_status("w1", true, "", 1, 7);
    assert_int_equal(worker_of("w1").first_epoch, 1);
}

// When the log last has it alive: its missed heartbeats do not count.
static void TestStateWorkerSeen(void **state) {
    (void)state;
    register_at_level(1, "w1", "i1");
    assert_int_equal(worker_of("w1").seen_unix_ms, 0);
    register_at_level(1, "w1", "i1");
    assert_int_equal(worker_of("w1").seen_unix_ms, 1000);
    change_worker("w1", 1, false, "missed-heartbeats");
    assert_int_equal(worker_of("w1").seen_unix_ms, 1000);
    change_at_level(1, "w1", 1, true, "");
    assert_int_equal(worker_of("w1").seen_unix_ms, 3000);
    change_at_level(1, "w1", 4, true, "");  // nothing new
    assert_int_equal(worker_of("w1").seen_unix_ms, 3000);
    change_worker("w1", 4, false, "left");
    assert_int_equal(worker_of("w1").seen_unix_ms, 5000);
    change_worker("w1", 4, false, "missed-heartbeats");
    assert_int_equal(worker_of("w1").seen_unix_ms, 5000);
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
    assert_int_equal(state_worker_rows(m.state), 4);
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

    // Of those offline, the one that has been so longest makes room; its row is used again.
    change_worker("w000005", 6, false, "missed-heartbeats");
    change_worker("w000003", 4, false, "left");
    change_worker("w000004", 5, false, "left");
    change_worker("w000005", 6, true, "");
    uint32_t row = worker_of("w000003").row;
    apply_to(&m, register_command("more", "i", "a:1"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    struct state_worker worker;
    assert_false(state_worker(m.state, text("w000003"), &worker));
    assert_true(state_worker(m.state, text("w000004"), &worker));
    assert_int_equal(worker_of("more").row, row);
    apply_to(&m, register_command("one more", "i", "a:1"));
    assert_int_equal(m.result.outcome, STATE_DONE);
    assert_false(state_worker(m.state, text("w000004"), &worker));
    apply_to(&m, register_command("too many", "i", "a:1"));  // nobody is offline any more
    assert_int_equal(m.result.outcome, STATE_TOO_MANY);
    assert_int_equal(state_worker_count(m.state), WORKERS_MAX);
    assert_int_equal(state_worker_rows(m.state), WORKERS_MAX);
}

static bool add_fingerprint(void *user, const struct state_worker *worker) {
    *(uint64_t *)user += fingerprint_u64(fingerprint_bytes(worker->epoch, worker->id), worker->online);
    return true;
}

// Of all workers: who they are, under which epoch, and whether online.
static uint64_t registry_digest(void) {
    uint64_t sum = 0;
    state_workers(m.state, slice_of(NULL, 0), add_fingerprint, &sum);
    return sum;
}

// A million ids: those beyond the limit change nothing, and as many more get in as are offline, in whose places they are.
static void TestStateRegistrationFlood(void **state) {
    (void)state;
    enum { FLOOD = 1000000, OFFLINE = 1000 };
    register_many(0, WORKERS_MAX);
    uint64_t digest = registry_digest();
    for (size_t from = WORKERS_MAX; from < FLOOD; from += WORKERS_MAX) {
        register_many(from, from + WORKERS_MAX);
        assert_int_equal(m.result.outcome, STATE_TOO_MANY);
        assert_int_equal(registry_digest(), digest);
    }
    for (size_t i = 0; i < OFFLINE; i++) {
        char id[20];
        snprintf(id, sizeof id, "w%06zu", i);
        change_worker(id, i + 1, false, "missed-heartbeats");
    }
    register_many(FLOOD - WORKERS_MAX, FLOOD);
    assert_int_equal(m.result.outcome, STATE_TOO_MANY);
    struct state_worker worker;
    for (size_t i = 0; i < OFFLINE; i++) {
        char id[20];
        snprintf(id, sizeof id, "w%06zu", i);
        assert_false(state_worker(m.state, text(id), &worker));
        snprintf(id, sizeof id, "w%06zu", FLOOD - WORKERS_MAX + i);
        assert_true(state_worker(m.state, text(id), &worker));
    }
    assert_int_equal(state_worker_count(m.state), WORKERS_MAX);
    assert_int_equal(state_worker_rows(m.state), WORKERS_MAX);
}

// --- time and digest ---

static void TestStateTimeOnlyRises(void **state) {
    (void)state;
    struct pb_command command = put_command("k", "v");
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
    struct pb_command command;
    struct pb_worker_change change;
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
        change = (struct pb_worker_change){.worker_id = text(worker), .epoch = random_below(seed, machine->index + 1)};
        change.online = random_below(seed, 2) == 0;
        struct state_worker known;
        if (random_below(seed, 2) == 0 && state_worker(machine->state, text(worker), &known)) {
            change.epoch = known.epoch;
        }
        command = (struct pb_command){.op = PB_COMMAND_OP_CHANGE_WORKERS, .change_workers = {&change, 1}};
        break;
    default:
        command = put_command(key, values[random_below(seed, 3)]);
    }
    if (command.op <= PB_COMMAND_OP_DELETE && random_below(seed, 3) == 0) {
        command = expecting(command, random_below(seed, machine->index + 1));
    }
    if (command.op <= PB_COMMAND_OP_DELETE && random_below(seed, 2) == 0) {
        command = in_session(command, workers[random_below(seed, 3)], 1 + random_below(seed, 9), random_below(seed, 3));
    }
    command.level = (uint32_t)random_below(seed, 2);
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
static void assert_digest_tells(struct pb_command first, struct pb_command second) {
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
    struct pb_worker_change change = {.worker_id = text("w"), .epoch = 1, .reason = text("left")};
    struct pb_command left = {.op = PB_COMMAND_OP_CHANGE_WORKERS, .change_workers = {&change, 1}};
    assert_digest_tells(register_command("w", "i", "a:1"), left);
    struct pb_command raise_to_1 = {.op = PB_COMMAND_OP_RAISE_LEVEL, .raise_level = {.level = 1}};
    struct pb_command raise_to_2 = {.op = PB_COMMAND_OP_RAISE_LEVEL, .raise_level = {.level = 2}};
    assert_digest_tells(raise_to_1, raise_to_2);
    struct pb_command later = put_command("k", "a");
    later.time_unix_ms = 1;
    assert_digest_tells(put_command("k", "a"), later);
}

// The operation's message within a command.
static void *operation_of(struct pb_command *command, const struct pb_type **type) {
    for (size_t i = 0; i < pb_command_type.field_count; i++) {
        const struct pb_field_type *field = &pb_command_type.fields[i];
        if (field->presence == PB_CHOICE && field->number == command->op) {
            *type = field->message;
            return (uint8_t *)command + field->offset;
        }
    }
    fail_msg("no operation %u", command->op);
    return NULL;
}

static void digest_tells_any_field(struct pb_command command) {
    uint64_t seed = random_seed("TestStateDigestTellsAnyField");
    struct arena arena = {.limit = MIB};
    struct change change = {.seed = &seed, .arena = &arena};
    size_t changes = 0;
    for (;; changes++) {
        struct pb_command other = command;
        const struct pb_type *type = NULL;
        void *operation = operation_of(&other, &type);
        if (!change_message(&change, type, operation, changes)) {
            break;
        }
        assert_digest_tells(command, other);
    }
    assert_true(changes > 0);
    arena_free(&arena);
}

// Of every operation, in a session, which keeps a fingerprint of what was asked; of a registration without one, too.
static void TestStateDigestTellsAnyField(void **state) {
    (void)state;
    struct pb_worker_change change = {.worker_id = text("w"), .epoch = 1, .reason = text("left")};
    struct pb_command left = {.op = PB_COMMAND_OP_CHANGE_WORKERS,
                              .change_workers = {.changes = &change, .changes_count = 1}};
    digest_tells_any_field(register_command("w", "i", "a:1"));
    digest_tells_any_field(register_command("new", "i", "a:1"));  // by what it says alone: the rest is the same
    digest_tells_any_field(in_session(register_command("w", "i", "a:1"), "c", 1, 0));
    digest_tells_any_field(in_session(put_command("k", "v"), "c", 1, 0));
    digest_tells_any_field(in_session(delete_command("k"), "c", 1, 0));
    digest_tells_any_field(in_session(left, "c", 1, 0));
}

static const struct CMUnitTest tests[] = {
    MACHINE_TEST(TestStateReturnBeginsAnEpoch), MACHINE_TEST(TestStateReturnOfLevel0KeepsTheEpoch),
    MACHINE_TEST(TestStateWorkerSeen),          MACHINE_TEST(TestStateRegister),
    MACHINE_TEST(TestStateRegisterLabels),      MACHINE_TEST(TestStateRegisterAnyField),
    MACHINE_TEST(TestStateWorkerChanges),       MACHINE_TEST(TestStateWorkersInOrder),
    MACHINE_TEST(TestStateWorkersLimit),        MACHINE_TEST(TestStateRegistrationFlood),
    MACHINE_TEST(TestStateTimeOnlyRises),       MACHINE_TEST(TestStateDigest),
    MACHINE_TEST(TestStateDigestTells),         MACHINE_TEST(TestStateDigestTellsAnyField),
};

UNIT_MAIN(tests)
