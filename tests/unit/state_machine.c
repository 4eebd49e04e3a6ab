// The fixture of state's tests. Commands are made as wire/command.h would: all their bytes lie in the entry.
#include "state_machine.h"

struct machine m;

int machine_setup(void **state) {
    (void)state;
    m = (struct machine){.slab = raft_slab_new(), .state = state_new()};
    return 0;
}

int machine_teardown(void **state) {
    (void)state;
    state_free(m.state);
    raft_slab_free(m.slab);  // asserts that no entry is still held
    return 0;
}

struct slice text(const char *s) {
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

void apply_to(struct machine *machine, struct pb_command command) {
    struct slice *key = command.op == PB_COMMAND_OP_PUT ? &command.put.key : &command.delete.key;
    struct slice value = command.op == PB_COMMAND_OP_PUT ? command.put.value : slice_of(NULL, 0);
    bool is_write = command.op == PB_COMMAND_OP_PUT || command.op == PB_COMMAND_OP_DELETE;
    size_t len = is_write ? key->len + value.len : 0;
    struct raft_entry *entry =
        raft_entry_new(machine->slab, RAFT_ENTRY_COMMAND, (struct raft_entry_id){1, ++machine->index}, len);
    size_t used = 0;
    if (is_write) {
        *key = into(entry, &used, *key);
    }
    if (command.op == PB_COMMAND_OP_PUT) {
        command.put.value = into(entry, &used, value);
    }
    state_apply(machine->state, entry, &command, &machine->result);
    raft_entry_unref(entry);
}

struct pb_command put_command(const char *key, const char *value) {
    return (struct pb_command){.op = PB_COMMAND_OP_PUT, .put = {.key = text(key), .value = text(value)}};
}

struct pb_command delete_command(const char *key) {
    return (struct pb_command){.op = PB_COMMAND_OP_DELETE, .delete = {.key = text(key)}};
}

struct pb_command in_session(struct pb_command command, const char *client, uint64_t sequence, uint64_t acknowledged_below) {
    command.client_id = text(client);
    command.sequence = sequence;
    command.acknowledged_below = acknowledged_below;
    return command;
}

void assert_value(const char *key, const char *value, uint64_t revision) {
    struct state_item item;
    assert_true(state_get(m.state, text(key), &item));
    assert_true(slice_equal(item.key, text(key)));
    assert_true(slice_equal(item.value, text(value)));
    assert_int_equal(item.revision, revision);
}

void assert_missing(const char *key) {
    struct state_item item;
    assert_false(state_get(m.state, text(key), &item));
}

struct pb_command expecting(struct pb_command command, uint64_t revision) {
    if (command.op == PB_COMMAND_OP_PUT) {
        command.put.has_expected_revision = true;
        command.put.expected_revision = revision;
    } else {
        command.delete.has_expected_revision = true;
        command.delete.expected_revision = revision;
    }
    return command;
}

struct pb_command register_command(const char *id, const char *instance, const char *address) {
    static const struct slice_pair labels[] = {{.key = {(const uint8_t *)"zone", 4}, .value = {(const uint8_t *)"b", 1}}};
    return (struct pb_command){
        .op = PB_COMMAND_OP_REGISTER_WORKER,
        .register_worker = {.worker_id = text(id),
                            .instance_id = text(instance),
                            .address = text(address),
                            .cloud = text("gcp"),
                            .slots = 4,
                            .labels = labels,
                            .labels_count = 1},
    };
}
