// Fuzzes the state machine: the input is a log of commands, given to two machines that decode it for themselves. After each
// entry both have the same result and digest. Now and then the second is taken down to an image and loaded again, and the
// first keeps versions of itself, which must stay as they were. At the end all that can be asked of both is the same.
#include "base/array.h"
#include "fuzz.h"
#include "state/image.h"
#include "wire/command.h"
#include "wire/json.h"
#include "wire/message.h"

enum { STEP_RAW, STEP_PUT, STEP_DELETE, STEP_REGISTER, STEP_CHANGE, STEP_RAISE, STEP_IMAGE, STEP_VERSION, STEP_STEPS };
enum { VERSIONS = 3, CHANGES_MAX = 4, ENTRIES_MAX = 400 };

struct run {
    struct fuzz fuzz;
    struct state *first;
    struct state *second;
    raft_index index;
    int64_t time_unix_ms;
    struct state_version *versions[VERSIONS];
    unsigned version;
};

// --- commands ---

static struct slice pick(struct slice *script, const char *const *texts, size_t count) {
    uint8_t choice = take_byte(script);
    return choice == 255 ? take_text(script) : slice_of_str(texts[choice % count]);
}

static struct slice pick_key(struct slice *script) {
    static const char *const keys[] = {"a", "ab", "abc", "b", "\x01", "a\x10", "a\x1f", "k1", "k2", "k30", "\xff"};
    struct slice key = pick(script, keys, ARRAY_COUNT(keys));
    return key.len == 0 ? slice_of_str("a") : key;
}

static struct slice pick_id(struct slice *script) {
    static const char *const ids[] = {"w1", "w2", "w3", "w4"};
    return slice_of_str(ids[take_byte(script) % ARRAY_COUNT(ids)]);
}

// A revision or epoch: most often one that exists.
static uint64_t pick_index(const struct run *run, struct slice *script) {
    uint8_t back = take_byte(script);
    return back < run->index ? run->index - back : take_byte(script);
}

static void take_session(struct slice *script, struct pb_command *command) {
    uint8_t how = take_byte(script);
    if ((how & 1) != 0) {
        command->client_id = pick_id(script);
        command->sequence = (how & 2) != 0 ? take_number(script, 2) : 1u + (how >> 2) % 8;
        command->acknowledged_below = take_byte(script) % 16;
        command->sequence += command->sequence == 0;
    }
}

static void take_write(const struct run *run, struct slice *script, struct pb_command *command) {
    bool expects = take_byte(script) % 3 == 0;
    uint64_t expected = expects ? pick_index(run, script) : 0;
    struct slice key = pick_key(script);
    if (command->op == PB_COMMAND_OP_DELETE) {
        command->delete =
            (struct pb_delete_request){.key = key, .has_expected_revision = expects, .expected_revision = expected};
    } else {
        command->put = (struct pb_put_request){
            .key = key, .value = take_text(script), .has_expected_revision = expects, .expected_revision = expected};
    }
    take_session(script, command);
}

static void take_registration(struct slice *script, struct pb_command *command) {
    static const char *const instances[] = {"i", "i", "j", "k"};
    static const char *const clouds[] = {"gcp", "aws"};
    static const struct slice_pair labels[] = {{.key = {(const uint8_t *)"rack", 4}, .value = {(const uint8_t *)"", 0}},
                                               {.key = {(const uint8_t *)"zone", 4}, .value = {(const uint8_t *)"b", 1}}};
    command->register_worker =
        (struct pb_register_worker_request){.worker_id = pick_id(script),
                                            .instance_id = slice_of_str(instances[take_byte(script) % 4]),
                                            .address = slice_of_str("a:1"),
                                            .cloud = slice_of_str(clouds[take_byte(script) % 2]),
                                            .slots = take_byte(script),
                                            .labels = labels,
                                            .labels_count = take_byte(script) % 3};
}

static void take_changes(const struct run *run, struct slice *script, struct pb_command *command,
                         struct pb_worker_change changes[CHANGES_MAX]) {
    static const char *const reasons[] = {"missed-heartbeats", "left"};
    size_t count = 1u + take_byte(script) % CHANGES_MAX;
    for (size_t i = 0; i < count; i++) {
        struct state_worker known;
        changes[i] = (struct pb_worker_change){.worker_id = pick_id(script)};
        uint8_t how = take_byte(script);
        changes[i].online = (how & 1) != 0;
        changes[i].reason = changes[i].online ? slice_of(NULL, 0) : slice_of_str(reasons[how >> 1 & 1]);
        changes[i].epoch =
            (how & 4) == 0 && state_worker(run->first, changes[i].worker_id, &known) ? known.epoch : pick_index(run, script);
    }
    command->change_workers = (struct pb_change_workers){.changes = changes, .changes_count = count};
}

// A level, or a grant: what is rare shares a step.
static void take_rule(struct slice *script, struct pb_command *command) {
    static const char *const subjects[] = {"program/a", "program/ab", "operator/a", "nobody"};
    uint8_t what = take_byte(script);
    if (what < 192) {
        command->raise_level.level = what % (COMMAND_LEVEL + 1);
        return;
    }
    struct slice subject = pick(script, subjects, ARRAY_COUNT(subjects));
    if ((what & 32) != 0) {
        command->op = PB_COMMAND_OP_ACCESS_GRANT;
        command->access_grant =
            (struct pb_access_grant_request){.subject = subject, .verbs = what & 31, .prefix = take_text(script)};
    } else {
        command->op = PB_COMMAND_OP_ACCESS_REVOKE;
        command->access_revoke =
            (struct pb_access_revoke_request){.subject = subject, .verbs = what & 31, .prefix = take_text(script)};
    }
}

// --- applying ---

static bool decode(struct run *run, const struct raft_entry *entry, struct pb_command *command) {
    struct error error;
    return wire_command_decode(&run->fuzz.arena, entry, command, &error) == OK;
}

static void apply(struct run *run, struct raft_entry *entry) {
    struct pb_command one;
    struct pb_command two;
    struct state_result result = {.revision = 0};
    struct state_result other = {.revision = 0};
    struct raft_entry *copy = raft_entry_new(run->fuzz.slab, RAFT_ENTRY_COMMAND, entry->id, entry->len);
    memcpy(copy->data, entry->data, entry->len);
    arena_reset(&run->fuzz.arena);
    bool decoded = decode(run, entry, &one) && decode(run, copy, &two);
    if (!decoded || one.time_unix_ms < run->time_unix_ms) {  // no leader proposes an earlier time
        state_skip(run->first, entry->id.index);
        state_skip(run->second, entry->id.index);
    } else {
        run->time_unix_ms = one.time_unix_ms;
        state_apply(run->first, entry, &one, &result);
        state_apply(run->second, copy, &two, &other);
        assert(result.outcome == other.outcome && result.revision == other.revision && result.existed == other.existed);
        assert(result.epoch == other.epoch && result.repeated == other.repeated && result.outcome <= STATE_OUTCOME_LAST);
    }
    assert(state_digest(run->first) == state_digest(run->second));
    assert(state_level(run->first) == state_level(run->second));
    raft_entry_unref(copy);
}

static void propose(struct run *run, uint8_t step, struct slice *script) {
    static const enum pb_command_op ops[] = {[STEP_PUT] = PB_COMMAND_OP_PUT,
                                             [STEP_DELETE] = PB_COMMAND_OP_DELETE,
                                             [STEP_REGISTER] = PB_COMMAND_OP_REGISTER_WORKER,
                                             [STEP_CHANGE] = PB_COMMAND_OP_CHANGE_WORKERS,
                                             [STEP_RAISE] = PB_COMMAND_OP_RAISE_LEVEL};
    struct pb_worker_change changes[CHANGES_MAX];
    struct error error;
    uint8_t when = take_byte(script);
    struct pb_command command = {.format = COMMAND_FORMAT,
                                 .time_unix_ms = run->time_unix_ms + (when & 63),
                                 .level = (uint32_t)(when >> 6) % (COMMAND_LEVEL + 1),
                                 .op = ops[step]};
    switch (step) {
    case STEP_PUT:
    case STEP_DELETE:
        take_write(run, script, &command);
        break;
    case STEP_REGISTER:
        take_registration(script, &command);
        break;
    case STEP_CHANGE:
        take_changes(run, script, &command, changes);
        break;
    default:
        take_rule(script, &command);
        break;
    }
    struct raft_entry *entry = wire_command_encode(run->fuzz.slab, &command, &error);
    assert(entry != NULL);
    entry->id = (struct raft_entry_id){1, ++run->index};
    apply(run, entry);
    raft_entry_unref(entry);
}

static void propose_raw(struct run *run, struct slice *script) {
    struct slice bytes = take_bytes(script, take_number(script, 2));
    struct raft_entry *entry =
        raft_entry_new(run->fuzz.slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){1, ++run->index}, bytes.len);
    if (bytes.len > 0) {
        memcpy(entry->data, bytes.data, bytes.len);
    }
    apply(run, entry);
    raft_entry_unref(entry);
}

// --- images and versions ---

static void write_records(const struct state_version *version, struct buf *lines) {
    struct pb_image_record record;
    struct state_records *records = state_records_new(version);
    while (state_records_next(records, &record)) {
        pb_json_write(&pb_image_record_type, &record, lines);
        buf_append_str(lines, "\n");
    }
    assert(state_records_digest(records) == state_version_digest(version));
    state_records_free(records);
}

static struct state *load(struct run *run, struct slice lines, uint64_t digest) {
    struct state_loader *loader = state_loader_new();
    struct state *state = NULL;
    struct error error;
    enum error_code code = OK;
    while (lines.len > 0) {
        size_t len = (size_t)((const uint8_t *)memchr(lines.data, '\n', lines.len) - lines.data);
        struct pb_image_record record;
        arena_reset(&run->fuzz.arena);
        code = pb_json_read(&run->fuzz.arena, &pb_image_record_type, slice_of(lines.data, len), &record, &error);
        assert(code == OK);
        code = state_loader_add(loader, &record, &error);
        assert(code == OK);
        lines = slice_of(lines.data + len + 1, lines.len - len - 1);
    }
    code = state_loader_finish(loader, digest, &state, &error);
    assert(code == OK);
    state_loader_free(loader);
    return state;
}

// The second machine becomes what its image says; both have the same image.
static void restore(struct run *run) {
    struct buf one = {.len = 0};
    struct buf two = {.len = 0};
    struct state_version *first = state_version_new(run->first);
    struct state_version *second = state_version_new(run->second);
    write_records(first, &one);
    write_records(second, &two);
    assert(slice_equal(buf_slice(&one), buf_slice(&two)));
    uint64_t digest = state_version_digest(second);
    assert(digest == state_version_digest(first));
    state_version_release(run->first, first);
    state_version_release(run->second, second);
    struct state *loaded = load(run, buf_slice(&two), digest);
    assert(state_last_applied(loaded) == run->index && state_digest(loaded) == digest);
    state_free(run->second);
    run->second = loaded;
    buf_free(&one);
    buf_free(&two);
}

// A version is looked at when another one takes its place.
static void keep_version(struct run *run, bool another) {
    struct state_version **kept = &run->versions[run->version++ % VERSIONS];
    if (*kept != NULL) {
        struct buf lines = {.len = 0};
        write_records(*kept, &lines);
        struct state *loaded = load(run, buf_slice(&lines), state_version_digest(*kept));
        assert(state_last_applied(loaded) == state_version_index(*kept));
        state_free(loaded);
        buf_free(&lines);
        state_version_release(run->first, *kept);
    }
    *kept = another ? state_version_new(run->first) : NULL;
}

// --- the end ---

static bool same_item(void *user, const struct state_item *item) {
    const struct run *run = user;
    struct state_item other;
    bool found = state_get(run->second, item->key, &other);
    assert(found && slice_equal(item->value, other.value) && item->revision == other.revision);
    return true;
}

static bool same_worker(void *user, const struct state_worker *worker) {
    const struct run *run = user;
    struct state_worker other;
    bool found = state_worker(run->second, worker->id, &other);
    assert(found && worker->epoch == other.epoch && worker->online == other.online);
    assert(worker->first_epoch == other.first_epoch && worker->since_index == other.since_index);
    assert(slice_equal(worker->reason, other.reason) && worker->seen_unix_ms == other.seen_unix_ms);
    assert(pb_equal(&pb_register_worker_request_type, worker->registration, other.registration));
    return true;
}

static bool next_change(void *user, const struct state_change *change) {
    uint64_t *revision = user;
    assert(change->revision > *revision && change->key.len > 0);
    *revision = change->revision;
    return true;
}

static void compare(struct run *run) {
    struct slice all = slice_of(NULL, 0);
    uint64_t revision = 0;
    assert(state_item_count(run->first) == state_item_count(run->second));
    assert(state_worker_count(run->first) == state_worker_count(run->second));
    assert(state_command_bytes(run->first) == state_command_bytes(run->second));
    state_list(run->first, all, all, same_item, run);
    state_workers(run->first, all, same_worker, run);
    state_history(run->first, state_history_from(run->first), next_change, &revision);
    state_forget_history(run->first, run->index / 2);
    while (state_collect(run->first)) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice script = slice_of(data, size);
    struct run run = {.fuzz = fuzz_begin(), .first = state_new(), .second = state_new()};
    while (script.len > 0 && run.index < ENTRIES_MAX) {
        uint8_t step = take_byte(&script) % STEP_STEPS;
        if (step == STEP_RAW) {
            propose_raw(&run, &script);
        } else if (step < STEP_IMAGE) {
            propose(&run, step, &script);
        } else if (step == STEP_IMAGE) {
            if (run.index > 0) {
                restore(&run);
            }
        } else {
            keep_version(&run, true);
            state_collect(run.first);
        }
    }
    for (unsigned i = 0; i < VERSIONS; i++) {
        keep_version(&run, false);
    }
    compare(&run);
    state_free(run.first);
    state_free(run.second);
    fuzz_end(&run.fuzz);
    return 0;
}
