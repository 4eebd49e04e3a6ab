// status: what each node tells of itself and of the others.
#include <inttypes.h>
#include <time.h>

#include "ctl/nodes.h"

enum { WHY_MAX = 512, DAY_S = 86400, DAYS_TOLD = 30 };

void nodes_status_json(struct json *json, const struct node_status *node) {
    const struct pb_status_response *status = &node->status;
    json_begin(json, '{');
    json_text(json, "endpoint", slice_of_str(node->probe->address));
    json_bool(json, "reachable", node->reachable);
    if (status->node.len > 0) {
        json_text(json, "node", status->node);
        json_text(json, "cloud", node->cloud);
    }
    if (node->reachable) {
        json_text(json, "cluster", status->cluster_id);
        json_u64(json, "generation", status->generation);
        json_text(json, "role", status->role);
        json_bool(json, "learner", node->learner);
        json_u64(json, "term", status->term);
        json_text(json, "leader", status->leader);
        json_text(json, "leader_address", status->leader_address);
        json_u64(json, "commit_index", status->commit_index);
        json_u64(json, "last_applied", status->last_applied);
        json_u64(json, "log_first_index", status->log_first_index);
        json_u64(json, "last_log_index", status->last_log_index);
        json_u64(json, "snapshot_index", status->snapshot_index);
        json_u64(json, "snapshot_bytes", status->snapshot_bytes);
        json_bool(json, "disk_full", node->disk_full);
        json_text(json, "quarantine", status->quarantine);
        json_u64(json, "uptime_ms", status->uptime_ms);
        json_text(json, "version", status->version);
        json_u64(json, "cluster_level", status->cluster_level);
        json_u64(json, "level", status->level);
        json_u64(json, "certificates_expire_unix", (uint64_t)status->certificates_expire_unix);
        json_bool(json, "tls_migrate", status->tls_migrate);
        json_u64(json, "plaintext_connections", status->plaintext_connections);
        json_text(json, "placement", status->placement.decision);
        json_open(json, "does_not_reach", '{');
        for (size_t i = 0; i < status->members_count; i++) {
            if (status->members[i].unreachable.len > 0) {
                json_pair(json, status->members[i].id, status->members[i].unreachable);
            }
        }
        json_end(json, '}');
    } else {
        json_text(json, "error", node->why);
    }
    json_end(json, '}');
}

static void status_row(struct table *table, const struct node_status *node) {
    const struct pb_status_response *status = &node->status;
    table_text(table, slice_of_str(node->probe->address));
    table_text(table, status->node);
    table_text(table, node->cloud);
    if (!node->reachable) {
        table_text(table, node->why);
        for (int i = 0; i < 10; i++) {
            table_text(table, slice_of(NULL, 0));
        }
        return;
    }
    table_text(table, node->learner ? slice_of_str("learner") : status->role);
    table_u64(table, status->term);
    table_text(table, status->leader);
    table_u64(table, status->commit_index);
    table_u64(table, status->last_applied);
    table_u64(table, status->log_first_index);
    table_u64(table, status->last_log_index);
    table_u64(table, status->snapshot_index);
    table_u64(table, status->snapshot_bytes);
    table_printf(table, "%llus", (unsigned long long)(status->uptime_ms / 1000));
    table_text(table, status->version);
}

// Below the table: why a node that answers does not do its part.
static void trouble_line(struct buf *out, const struct node_status *node) {
    if (node->reachable && node->status.quarantine.len > 0) {
        text_for_terminal(out, node->status.node, ID_MAX);
        buf_append_str(out, " is out of service: ");
        text_for_terminal(out, node->status.quarantine, WHY_MAX);
        buf_append_str(out, "\n");
    }
    const char *trouble = node->disk_full                   ? "has no space for its log, and acknowledges nothing"
                          : node->status.members_count == 0 ? "belongs to no cluster: it started on an empty data directory"
                                                            : NULL;
    if (!node->reachable || trouble == NULL) {
        return;
    }
    text_for_terminal(out, node->status.node, ID_MAX);
    buf_printf(out, " %s\n", trouble);
}

// And whom it does not reach, and why.
static void unreached_lines(struct buf *out, const struct node_status *node) {
    for (size_t i = 0; i < node->status.members_count; i++) {
        const struct pb_member_status *member = &node->status.members[i];
        if (member->unreachable.len == 0) {
            continue;
        }
        text_for_terminal(out, node->status.node, ID_MAX);
        buf_append_str(out, " does not reach ");
        text_for_terminal(out, member->id, ID_MAX);
        buf_append_str(out, ": ");
        text_for_terminal(out, member->unreachable, WHY_MAX);
        buf_append_str(out, "\n");
    }
}

// And that its certificates end soon, and what is not encrypted yet.
static void encryption_lines(struct buf *out, const struct pb_status_response *status) {
    int64_t left = status->certificates_expire_unix - (int64_t)time(NULL);
    if (status->certificates_expire_unix != 0 && left < (int64_t)DAYS_TOLD * DAY_S) {
        text_for_terminal(out, status->node, ID_MAX);
        if (left >= 0) {
            buf_printf(out, " has certificates that expire in %" PRId64 " days\n", left / DAY_S);
        } else {
            buf_append_str(out, " has certificates that have expired: new connections to and from it are refused\n");
        }
    }
    if (!status->tls_migrate) {
        return;
    }
    text_for_terminal(out, status->node, ID_MAX);
    buf_printf(out, " accepts plaintext (--tls-migrate) and has %" PRIu32 " such connections",
               status->plaintext_connections);
    for (size_t i = 0; i < status->members_count; i++) {
        if (status->members[i].plaintext) {
            buf_append_str(out, "; it speaks plaintext to ");
            text_for_terminal(out, status->members[i].id, ID_MAX);
        }
    }
    buf_append_str(out, "\n");
}

// And to whom the leader sends a snapshot.
static void snapshot_lines(struct buf *out, const struct pb_status_response *status) {
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        if (member->snapshot_size > 0) {
            text_for_terminal(out, member->id, ID_MAX);
            buf_printf(out, " lags behind the log and is sent a snapshot: %.0f %% of %.1f MB\n",
                       100.0 * (double)member->snapshot_sent / (double)member->snapshot_size,
                       (double)member->snapshot_size / 1e6);
        }
    }
}

// And the cluster's level, and which each member reads.
static void level_line(struct buf *out, const struct pb_status_response *status) {
    buf_printf(out, "level: %" PRIu32 "; members read up to:", status->cluster_level);
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        buf_append_str(out, i == 0 ? " " : ", ");
        text_for_terminal(out, member->id, ID_MAX);
        if (member->level > 0) {
            buf_printf(out, " %" PRIu32, member->level);
        } else {
            buf_append_str(out, member->reachable ? " 0" : " -");
        }
    }
    buf_append_str(out, "\n");
}

// And how fast each member would commit if it led, and what placement has decided.
static void placement_line(struct buf *out, const struct pb_status_response *status) {
    enum { DECISION_MAX = 256 };
    buf_append_str(out, "commit if it led:");
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        buf_append_str(out, i == 0 ? " " : ", ");
        text_for_terminal(out, member->id, ID_MAX);
        if (member->commit_ms > 0) {
            buf_printf(out, " %.1f ms", member->commit_ms);
        } else {
            buf_append_str(out, " -");
        }
    }
    buf_append_str(out, "; placement: ");
    text_for_terminal(out, status->placement.decision, DECISION_MAX);
    buf_append_str(out, "\n");
}

enum ctl_exit ctl_status(struct ctl *ctl) {
    struct ctl_probe probes[NODES_MAX];
    struct node_status nodes[NODES_MAX];
    size_t count = nodes_ask(ctl, probes, nodes);
    size_t reached = 0;
    bool refused = false;
    struct json json = {.out = &ctl->out};
    struct buf below = {0};
    struct table table;
    table_begin(&table, "ENDPOINT|NODE|CLOUD|ROLE|TERM|LEADER|COMMIT|APPLIED|FIRST|LAST|SNAPSHOT|BYTES|UPTIME|VERSION");
    if (ctl->options->json) {
        json_begin(&json, '[');
    }
    for (size_t i = 0; i < count; i++) {
        reached += nodes[i].reachable;
        refused = refused || slice_equal(nodes[i].why, slice_of_str(rpc_status_name(RPC_PERMISSION_DENIED)));
        if (ctl->options->json) {
            nodes_status_json(&json, &nodes[i]);
        }
        status_row(&table, &nodes[i]);
        if (slice_equal(nodes[i].status.role, slice_of_str("leader"))) {
            placement_line(&below, &nodes[i].status);
            level_line(&below, &nodes[i].status);
        }
    }
    for (size_t i = 0; i < count; i++) {
        trouble_line(&below, &nodes[i]);
        unreached_lines(&below, &nodes[i]);
        encryption_lines(&below, &nodes[i].status);
        snapshot_lines(&below, &nodes[i].status);
    }
    ctl_probes_free(probes, count);
    enum ctl_exit status;
    if (ctl->options->json) {
        json_end(&json, ']');
        buf_append_str(&ctl->out, "\n");
        status = ctl_print(ctl);
        buf_free(&table.text);
    } else {
        table_end(&table, &ctl->out);
        buf_append_slice(&ctl->out, buf_slice(&below));
        status = ctl_print(ctl);
    }
    buf_free(&below);
    if (status != CTL_OK || reached > 0) {
        return status;
    }
    if (!refused) {
        return ctl_unreachable(ctl->client, &ctl->error);
    }
    error_set(&ctl->error, ERR_INVALID,
              "no node returns its status; the certificate must be an operator's, or a program's with a grant");
    return CTL_FAILED;
}
