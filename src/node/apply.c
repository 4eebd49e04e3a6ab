// Committed entries, into the state machine, and the answers to those who wait for them.
#include "base/slog.h"
#include "node/internal.h"

void node_write_lost(struct node *node, const struct waiting_write *write, bool outcome_known) {
    metric_add(node->m.proposals_failed, 1);
    if (write->kind == WRITE_WORKER_CHANGES) {
        workers_lost(node);
        return;
    }
    if (outcome_known) {
        rpc_finish(node->server, write->call, RPC_UNAVAILABLE,
                   "leadership changed before the write was replicated; nothing was written, try again");
        return;
    }
    rpc_call_trailer(node->server, write->call, "baton-outcome", slice_of_str("unknown"));
    rpc_finish(node->server, write->call, RPC_UNAVAILABLE,
               "outcome unknown: this node lost leadership before a majority confirmed the write; repeat it with the same "
               "client id and sequence, or read");
}

// Another entry was committed where this one stood.
static void write_overwritten(void *user, const struct waiting_write *write) {
    node_write_lost(user, write, true);
}

static void write_done(struct node *node, const struct waiting_write *write, const struct state_result *result) {
    histogram_observe(node->m.replication_latency, (double)(node->now_us - write->appended_us) / (double)US_PER_MS);
    metric_add(node->m.proposals, 1);
    switch (write->kind) {
    case WRITE_PUT:
    case WRITE_DELETE:
        control_write_done(node, write, result);
        break;
    case WRITE_REGISTER:
    case WRITE_DEREGISTER:
        worker_write_done(node, write, result);
        break;
    case WRITE_WORKER_CHANGES:
        break;
    }
}

// False: this version does not know the command, and the node must stop rather than skip it.
static bool apply_command(struct node *node, struct raft_entry *entry, struct state_result *result) {
    struct state_command command;
    struct error error = {0};
    arena_reset(&node->scratch);
    enum error_code code = wire_command_decode(&node->scratch, entry, &command, &error);
    if (code != OK) {
        error_wrap(&error, "the committed entry %llu cannot be applied", (unsigned long long)entry->id.index);
        node_fail(node, ERR_UNKNOWN_COMMAND, error.message);
        return false;
    }
    state_apply(node->state, entry, &command, result);
    if (command.operation == STATE_REGISTER_WORKER || command.operation == STATE_CHANGE_WORKERS) {
        workers_applied(node, &command);
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
