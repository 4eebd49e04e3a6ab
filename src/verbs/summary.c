// Summaries of log entries: verbs/summary.h.
#include "verbs/summary.h"

#include "verbs/verbs.h"
#include "wire/command.h"
#include "wire/configuration.h"

void summary_text(struct buf *out, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c > 0x7e) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_append(out, &c, 1);
        }
    }
}

void summary_key(struct buf *out, const char *what, struct slice key) {
    buf_printf(out, "%s \"", what);
    summary_text(out, key);
    buf_append_str(out, "\"");
}

void summary_expected(struct buf *out, bool has_expected_revision, uint64_t expected_revision) {
    if (has_expected_revision) {
        buf_printf(out, " if at revision %llu", (unsigned long long)expected_revision);
    }
}

// For an operation of the leader's own, which no call logs.
static void append_name(struct buf *out, enum pb_command_op op) {
    for (size_t i = 0; i < pb_command_type.field_count; i++) {
        if (pb_command_type.fields[i].number == op) {
            buf_append_str(out, pb_command_type.fields[i].name);
        }
    }
}

// NULL: no call logs it.
static const struct verb *verb_of(enum pb_command_op op) {
    for (const struct verb *const *verb = all_verbs; *verb != NULL; verb++) {
        if ((*verb)->op == op) {
            return *verb;
        }
    }
    return NULL;
}

static void summarize_command(const struct raft_entry *entry, struct buf *out) {
    struct arena arena = {.limit = 0};
    struct pb_command command;
    struct error error;
    bool readable = wire_command_decode(&arena, entry, &command, &error) == OK;
    const struct verb *verb = readable ? verb_of(command.op) : NULL;
    if (verb != NULL) {
        verb->summarize(&command, out);
    } else if (readable) {
        append_name(out, command.op);
    } else {
        buf_append_str(out, "unreadable command");
    }
    arena_free(&arena);
}

void summarize_entry(const struct raft_entry *entry, struct buf *out) {
    switch (entry->type) {
    case RAFT_ENTRY_NOOP:
        buf_append_str(out, "no-op");
        break;
    case RAFT_ENTRY_CONFIGURATION:
        wire_configuration_summary(entry, out);
        break;
    case RAFT_ENTRY_COMMAND:
        summarize_command(entry, out);
        break;
    }
}
