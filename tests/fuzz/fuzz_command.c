// Fuzzes what is persisted in log entries: the first byte chooses command or configuration, the rest is the entry. A command
// that decodes is applied to a state machine, and encoded and decoded again.
#include "fuzz.h"
#include "state/state.h"
#include "wire/codec.h"
#include "wire/command.h"
#include "wire/configuration.h"
#include "wire/message.h"

static void apply(struct fuzz *fuzz, struct raft_entry *entry) {
    struct pb_command command;
    struct pb_command again;
    struct error error;
    if (wire_command_decode(&fuzz->arena, entry, &command, &error) != OK) {
        return;
    }
    struct raft_entry *encoded = wire_command_encode(fuzz->slab, &command, &error);
    encoded->id = (struct raft_entry_id){1, 2};
    enum error_code code = wire_command_decode(&fuzz->arena, encoded, &again, &error);
    assert(code == OK && pb_equal(&pb_command_type, &again, &command));
    struct state *state = state_new();
    struct state_result result;
    state_apply(state, entry, &command, &result);
    state_apply(state, encoded, &again, &result);
    state_free(state);
    raft_entry_unref(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size - 1 > COMMAND_MAX) {
        return 0;
    }
    struct fuzz fuzz = fuzz_begin();
    struct wire_configuration configuration;
    struct error error;
    struct buf summary = {.len = 0};
    enum raft_entry_type type = data[0] % 4 == 0 ? RAFT_ENTRY_CONFIGURATION : RAFT_ENTRY_COMMAND;
    struct raft_entry *entry = raft_entry_new(fuzz.slab, type, (struct raft_entry_id){1, 1}, size - 1);
    memcpy(entry->data, data + 1, size - 1);
    if (type == RAFT_ENTRY_COMMAND) {
        apply(&fuzz, entry);
    } else {
        (void)wire_configuration_decode(entry, &configuration, &error);
        wire_configuration_summary(entry, &summary);
    }
    buf_free(&summary);
    raft_entry_unref(entry);
    fuzz_end(&fuzz);
    return 0;
}
