// A random log of commands: random_log.h.
#include "random_log.h"

#include "base/array.h"
#include "base/limits.h"
#include "random.h"
#include "wire/command.h"

void random_log_open(struct random_log *log, uint64_t seed) {
    *log = (struct random_log){.seed = seed, .slab = raft_slab_new()};
}

void random_log_close(struct random_log *log) {
    for (size_t i = 0; i < log->count; i++) {
        raft_entry_unref(log->entries[i]);
    }
    free(log->entries);
    arena_free(&log->arena);
    raft_slab_free(log->slab);
}

static void append(struct random_log *log, struct raft_entry *entry) {
    entry->id = (struct raft_entry_id){.term = 1, .index = log->count + 1};
    array_reserve(log->entries, log->cap, log->count + 1);
    log->entries[log->count++] = entry;
}

void random_log_add(struct random_log *log, struct pb_command command) {
    command.format = COMMAND_FORMAT;
    struct error error;
    struct raft_entry *entry = wire_command_encode(log->slab, &command, &error);
    assert_non_null(entry);
    append(log, entry);
}

static struct slice pick(struct random_log *log, const char *const *texts, size_t count) {
    return slice_of_str(texts[random_below(&log->seed, count)]);
}

static struct slice pick_key(struct random_log *log) {
    static const char *const keys[] = {"a", "ab", "abc", "b", "\x01", "a\x10", "a\x1f", "k1", "k2", "k3", "k30", "\xff"};
    return pick(log, keys, ARRAY_COUNT(keys));
}

static struct slice pick_id(struct random_log *log) {
    static const char *const ids[] = {"w1", "w2", "w3", "w4"};
    return pick(log, ids, ARRAY_COUNT(ids));
}

static void draw_write(struct random_log *log, struct pb_command *command) {
    static const char *const values[] = {"", "x", "a longer value than the others"};
    bool expects = random_below(&log->seed, 3) == 0;
    uint64_t expected = random_below(&log->seed, log->count + 1);
    if (random_below(&log->seed, 3) == 0) {
        command->op = PB_COMMAND_OP_DELETE;
        command->delete = (struct pb_delete_request){
            .key = pick_key(log), .has_expected_revision = expects, .expected_revision = expected};
    } else {
        command->op = PB_COMMAND_OP_PUT;
        command->put = (struct pb_put_request){.key = pick_key(log),
                                               .value = pick(log, values, ARRAY_COUNT(values)),
                                               .has_expected_revision = expects,
                                               .expected_revision = expected};
    }
    if (random_below(&log->seed, 2) == 0) {
        command->client_id = pick_id(log);
        command->sequence = 1 + random_below(&log->seed, 9);
        command->acknowledged_below = random_below(&log->seed, 3);
    }
}

static void draw_registration(struct random_log *log, struct pb_command *command) {
    static const char *const instances[] = {"i", "i", "i", "j"};
    static const struct slice_pair labels[] = {{.key = {(const uint8_t *)"zone", 4}, .value = {(const uint8_t *)"b", 1}}};
    command->op = PB_COMMAND_OP_REGISTER_WORKER;
    command->register_worker = (struct pb_register_worker_request){
        .worker_id = pick_id(log),
        .instance_id = pick(log, instances, ARRAY_COUNT(instances)),
        .address = slice_of_str("a:1"),
        .cloud = slice_of_str("gcp"),
        .slots = (uint32_t)random_below(&log->seed, 3),
        .labels = labels,
        .labels_count = random_below(&log->seed, 2),
    };
}

static void draw_change(struct random_log *log, const struct state *state, struct pb_command *command,
                        struct pb_worker_change *change) {
    static const char *const reasons[] = {"missed-heartbeats", "left"};
    *change = (struct pb_worker_change){.worker_id = pick_id(log), .epoch = random_below(&log->seed, log->count + 1)};
    change->online = random_below(&log->seed, 2) == 0;
    change->reason = change->online ? slice_of(NULL, 0) : pick(log, reasons, 2);
    struct state_worker known;
    if (state != NULL && random_below(&log->seed, 4) != 0 && state_worker(state, change->worker_id, &known)) {
        change->epoch = known.epoch;
    }
    command->op = PB_COMMAND_OP_CHANGE_WORKERS;
    command->change_workers = (struct pb_change_workers){.changes = change, .changes_count = 1};
}

static void draw_access(struct random_log *log, struct pb_command *command) {
    static const char *const subjects[] = {"program/a", "program/ab", "operator/a", "nobody", "program/"};
    static const char *const prefixes[] = {"", "a", "ab", "b"};
    uint32_t verbs = (uint32_t)random_below(&log->seed, 8);
    if (random_below(&log->seed, 3) > 0) {
        command->op = PB_COMMAND_OP_ACCESS_GRANT;
        command->access_grant = (struct pb_access_grant_request){
            .subject = pick(log, subjects, ARRAY_COUNT(subjects)), .verbs = verbs, .prefix = pick(log, prefixes, 4)};
    } else {
        command->op = PB_COMMAND_OP_ACCESS_REVOKE;
        command->access_revoke = (struct pb_access_revoke_request){
            .subject = pick(log, subjects, ARRAY_COUNT(subjects)), .verbs = verbs, .prefix = pick(log, prefixes, 4)};
    }
}

void random_log_append(struct random_log *log, const struct state *state) {
    struct pb_command command = {.level = (uint32_t)random_below(&log->seed, COMMAND_LEVEL + 1)};
    command.time_unix_ms = (int64_t)(10 * log->count + random_below(&log->seed, 100));
    struct pb_worker_change change;
    size_t kind = random_below(&log->seed, 100);
    if (kind == 0) {
        append(log, raft_entry_new(log->slab, RAFT_ENTRY_NOOP, (struct raft_entry_id){0, 0}, 0));
        return;
    }
    if (kind == 1) {
        command.op = PB_COMMAND_OP_RAISE_LEVEL;
        command.raise_level.level = (uint32_t)random_below(&log->seed, COMMAND_LEVEL + 1);
    } else if (kind < 5) {
        draw_access(log, &command);
    } else if (kind < 20) {
        draw_registration(log, &command);
    } else if (kind < 50) {
        draw_change(log, state, &command, &change);
    } else {
        draw_write(log, &command);
    }
    random_log_add(log, command);
}

const struct pb_command *random_log_command(struct random_log *log, raft_index index) {
    const struct raft_entry *entry = log->entries[index - 1];
    if (entry->type != RAFT_ENTRY_COMMAND) {
        return NULL;
    }
    arena_reset(&log->arena);
    struct pb_command *command = arena_alloc(&log->arena, sizeof *command);
    struct error error = {.code = OK};
    if (wire_command_decode(&log->arena, entry, command, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return command;
}

void random_log_apply(struct random_log *log, struct state *state) {
    raft_index index = state_last_applied(state) + 1;
    const struct pb_command *command = random_log_command(log, index);
    if (command == NULL) {
        state_skip(state, index);
        return;
    }
    struct state_result result;
    state_apply(state, log->entries[index - 1], command, &result);
}
