// Applying committed entries in log order (paper section 5.3), and answering the clients that wait for them.
#include "node/apply.h"

#include "node/access.h"
#include "node/audit.h"
#include "node/calls.h"
#include "node/causes.h"
#include "node/digests.h"
#include "node/held_versions.h"
#include "node/internal.h"
#include "node/quarantine.h"
#include "node/snapshots.h"
#include "node/worker_liveness.h"
#include "wire/command.h"

// Another entry was committed at its index.
static void write_overwritten(void *user, const struct waiting_write *write) {
    calls_write_lost(user, write, true);
}

static void write_done(struct node *node, const struct waiting_write *write, const struct state_result *result) {
    if (quarantine_begun(node)) {
        calls_write_lost(node, write, false);
        return;
    }
    histogram_observe(node->m.replication_latency, (double)(node->now_us - write->appended_us) / (double)US_PER_MS);
    metric_add(node->m.proposals, 1);
    causes_wrote(node, write);
    if (result->outcome == STATE_DONE) {
        audit_revision(node->audit, write->call, result->revision);
    }
    write->verb->applied(node, write->call, result);
}

// False: this version does not know the command, and the node must stop rather than skip it.
static bool apply_command(struct node *node, struct raft_entry *entry, struct state_result *result) {
    struct pb_command command;
    struct error error = {0};
    arena_reset(&node->scratch);
    enum error_code code = wire_command_decode(&node->scratch, entry, &command, &error);
    if (code != OK) {
        error_wrap(&error, "the committed entry %llu cannot be applied", (unsigned long long)entry->id.index);
        node_fail(node, ERR_UNKNOWN_COMMAND, error.message);
        return false;
    }
    state_apply(node->state, entry, &command, result);
    if (command.op == PB_COMMAND_OP_REGISTER_WORKER || command.op == PB_COMMAND_OP_CHANGE_WORKERS) {
        worker_liveness_applied(node, &command);
    } else if (command.op == PB_COMMAND_OP_ACCESS_GRANT || command.op == PB_COMMAND_OP_ACCESS_REVOKE) {
        access_changed(node);
    }
    return true;
}

// What an image of the state will name as its configuration.
static void note_configuration(struct node *node, const struct raft_entry *entry) {
    if (entry->type == RAFT_ENTRY_CONFIGURATION) {
        node->configuration_index = entry->id.index;
        buf_clear(&node->configuration_command);
        buf_append_slice(&node->configuration_command, raft_entry_command(entry));
    }
}

bool node_apply(struct node *node) {
    raft_index commit = raft_commit_index(node->raft);
    raft_index applied = state_last_applied(node->state);
    node->identity.all_tell_theirs = state_level(node->state) >= COMMAND_LEVEL_RAISE;
    for (size_t i = 0; i < APPLY_TURN_MAX && applied < commit; i++) {
        struct raft_entry *entry = raft_entry_at(node->raft, ++applied);
        struct state_result result = {0};
        if (entry->type != RAFT_ENTRY_COMMAND) {
            state_skip(node->state, applied);
            note_configuration(node, entry);
        } else if (!apply_command(node, entry, &result)) {
            return false;
        }
        digests_applied(node);
        snapshots_applied(node);
        held_versions_applied(node->held_versions, entry->len);
        struct waiting_write write;
        if (writes_applied(node->writes, entry->id, &write, write_overwritten, node)) {
            write_done(node, &write, &result);
        }
    }
    return applied < commit;
}
