// Applying committed entries in log order (paper section 5.3), and answering the clients that wait for them.
#include "node/apply.h"

#include "node/calls.h"
#include "node/internal.h"
#include "node/worker_liveness.h"
#include "wire/command.h"

// Another entry was committed at its index.
static void write_overwritten(void *user, const struct waiting_write *write) {
    calls_write_lost(user, write, true);
}

static void write_done(struct node *node, const struct waiting_write *write, const struct state_result *result) {
    histogram_observe(node->m.replication_latency, (double)(node->now_us - write->appended_us) / (double)US_PER_MS);
    metric_add(node->m.proposals, 1);
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
    }
    return true;
}

bool node_apply(struct node *node) {
    raft_index commit = raft_commit_index(node->raft);
    raft_index applied = state_last_applied(node->state);
    for (size_t i = 0; i < APPLY_TURN_MAX && applied < commit; i++) {
        struct raft_entry *entry = raft_entry_at(node->raft, ++applied);
        struct state_result result = {0};
        if (entry->type != RAFT_ENTRY_COMMAND) {
            state_skip(node->state, applied);
        } else if (!apply_command(node, entry, &result)) {
            return false;
        }
        struct waiting_write write;
        if (writes_applied(node->writes, entry->id, &write, write_overwritten, node)) {
            write_done(node, &write, &result);
        }
    }
    return applied < commit;
}
