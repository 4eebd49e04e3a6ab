// status, member list, worker list, leader transfer, log.
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/base64.h"
#include "base/ids.h"
#include "base/rfc3339.h"
#include "baton/v1/control.pb.h"
#include "ctl/commands.h"
#include "wire/codec.h"

static enum ctl_exit print_table(struct ctl *ctl, struct table *table) {
    table_end(table, &ctl->out);
    return ctl_print(ctl);
}

static enum ctl_exit print_array(struct ctl *ctl, struct json *json) {
    json_end(json, ']');
    buf_append_str(&ctl->out, "\n");
    return ctl_print(ctl);
}

// --- status ---

enum { PROBES_MAX = CTL_ENDPOINTS_MAX + MEMBERS_MAX };

// What is known of one node that was asked.
struct node_status {
    const struct ctl_probe *probe;
    bool reachable;
    struct pb_status_response status;  // if unreachable, its name at most, as other nodes tell it
    struct slice cloud;
    bool disk_full;
    struct slice why;  // it is not reachable
};

static bool is_asked(const struct ctl_probe *probes, size_t count, struct slice address) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(slice_of_str(probes[i].address), address)) {
            return true;
        }
    }
    return false;
}

static size_t add_probe(struct ctl_probe *probes, size_t count, struct slice address) {
    if (count == PROBES_MAX || is_asked(probes, count, address) || address_check(address, "address", NULL) != OK) {
        return count;
    }
    probes[count] = (struct ctl_probe){.answered = false};
    memcpy(probes[count].address, address.data, address.len);
    return count + 1;
}

static void read_status(struct ctl *ctl, const struct ctl_probe *probe, struct node_status *node) {
    struct pb_status_response status;
    *node = (struct node_status){.probe = probe, .why = slice_of_str((const char *)probe->why.data)};
    if (!probe->answered) {
        return;
    }
    if (pb_decode(&ctl->arena, &pb_status_response_type, buf_slice(&probe->answer), &status, &ctl->error) != OK) {
        node->why = slice_of_str("its answer is not a node's status");
        return;
    }
    node->reachable = true;
    node->status = status;
    for (size_t i = 0; i < status.members_count; i++) {
        if (slice_equal(status.members[i].id, status.node)) {
            node->cloud = status.members[i].cloud;
            node->disk_full = status.members[i].disk_full;
        }
    }
}

static bool has_answered(const struct node_status *nodes, size_t count, struct slice id) {
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].reachable && slice_equal(nodes[i].status.node, id)) {
            return true;
        }
    }
    return false;
}

static void name_unreachable(struct node_status *node, const struct node_status *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < nodes[i].status.members_count; k++) {
            const struct pb_member_status *member = &nodes[i].status.members[k];
            if (slice_equal(member->address, slice_of_str(node->probe->address))) {
                node->status.node = member->id;
                node->cloud = member->cloud;
            }
        }
    }
}

// Asks all endpoints, then the members they name that have not answered yet: an endpoint may be a member's published port or
// a tunnel to it.
static size_t ask_all_nodes(struct ctl *ctl, struct ctl_probe probes[PROBES_MAX], struct node_status nodes[PROBES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < ctl->endpoints->count; i++) {
        count = add_probe(probes, count, slice_of_str(ctl->endpoints->addresses[i]));
    }
    size_t asked = count;
    ctl_ask_all(ctl->client, pb_control_service_status.path, probes, asked);
    for (size_t i = 0; i < asked; i++) {
        read_status(ctl, &probes[i], &nodes[i]);
    }
    for (size_t i = 0; i < asked; i++) {
        for (size_t k = 0; k < nodes[i].status.members_count; k++) {
            if (!has_answered(nodes, asked, nodes[i].status.members[k].id)) {
                count = add_probe(probes, count, nodes[i].status.members[k].address);
            }
        }
    }
    ctl_ask_all(ctl->client, pb_control_service_status.path, probes + asked, count - asked);
    for (size_t i = asked; i < count; i++) {
        read_status(ctl, &probes[i], &nodes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i].reachable) {
            name_unreachable(&nodes[i], nodes, count);
        }
    }
    return count;
}

static void status_json(struct json *json, const struct node_status *node) {
    const struct pb_status_response *status = &node->status;
    json_begin(json, '{');
    json_string(json, "endpoint", slice_of_str(node->probe->address));
    json_bool(json, "reachable", node->reachable);
    if (status->node.len > 0) {
        json_string(json, "node", status->node);
        json_string(json, "cloud", node->cloud);
    }
    if (node->reachable) {
        json_string(json, "cluster", status->cluster_id);
        json_string(json, "role", status->role);
        json_u64(json, "term", status->term);
        json_string(json, "leader", status->leader);
        json_string(json, "leader_address", status->leader_address);
        json_u64(json, "commit_index", status->commit_index);
        json_u64(json, "last_applied", status->last_applied);
        json_u64(json, "last_log_index", status->last_log_index);
        json_bool(json, "disk_full", node->disk_full);
        json_u64(json, "uptime_ms", status->uptime_ms);
        json_string(json, "version", status->version);
        json_string(json, "placement", status->placement.decision);
    } else {
        json_string(json, "error", node->why);
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
        for (int i = 0; i < 7; i++) {
            table_text(table, slice_of(NULL, 0));
        }
        return;
    }
    table_text(table, status->role);
    table_u64(table, status->term);
    table_text(table, status->leader);
    table_u64(table, status->commit_index);
    table_u64(table, status->last_applied);
    table_u64(table, status->last_log_index);
    table_printf(table, "%llus", (unsigned long long)(status->uptime_ms / 1000));
    table_text(table, status->version);
}

// Below the table: why a node that answers does not do its part.
static void trouble_line(struct buf *out, const struct node_status *node) {
    const char *trouble = node->disk_full                   ? "has no space for its log, and acknowledges nothing"
                          : node->status.members_count == 0 ? "belongs to no cluster: it started on an empty data directory"
                                                            : NULL;
    if (!node->reachable || trouble == NULL) {
        return;
    }
    text_for_terminal(out, node->status.node, ID_MAX);
    buf_printf(out, " %s\n", trouble);
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
    struct ctl_probe probes[PROBES_MAX];
    struct node_status nodes[PROBES_MAX];
    size_t count = ask_all_nodes(ctl, probes, nodes);
    size_t reached = 0;
    bool refused = false;
    struct json json = {.out = &ctl->out};
    struct buf below = {0};
    struct table table;
    table_begin(&table, "ENDPOINT|NODE|CLOUD|ROLE|TERM|LEADER|COMMIT|APPLIED|LAST|UPTIME|VERSION");
    if (ctl->options->json) {
        json_begin(&json, '[');
    }
    for (size_t i = 0; i < count; i++) {
        reached += nodes[i].reachable;
        refused = refused || slice_equal(nodes[i].why, slice_of_str(rpc_status_name(RPC_PERMISSION_DENIED)));
        if (ctl->options->json) {
            status_json(&json, &nodes[i]);
        }
        status_row(&table, &nodes[i]);
        if (slice_equal(nodes[i].status.role, slice_of_str("leader"))) {
            placement_line(&below, &nodes[i].status);
        }
    }
    for (size_t i = 0; i < count; i++) {
        trouble_line(&below, &nodes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        buf_free(&probes[i].answer);
        buf_free(&probes[i].why);
    }
    enum ctl_exit status;
    if (ctl->options->json) {
        status = print_array(ctl, &json);
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
    error_set(&ctl->error, ERR_INVALID, "no node returns its status; the certificate must be an operator's");
    return CTL_FAILED;
}

// --- member list ---

static void member_json(struct json *json, const struct pb_member_status *member, const struct pb_status_response *status) {
    json_begin(json, '{');
    json_string(json, "id", member->id);
    json_string(json, "address", member->address);
    json_string(json, "http_address", member->http_address);
    json_string(json, "cloud", member->cloud);
    json_bool(json, "voter", member->voter);
    json_bool(json, "leader", slice_equal(member->id, status->leader));
    json_bool(json, "reachable", member->reachable);
    json_number(json, "rtt_ms", member->rtt_ms);
    json_u64(json, "match_index", member->match_index);
    json_end(json, '}');
}

static void member_row(struct table *table, const struct pb_member_status *member, const struct pb_status_response *status) {
    table_text(table, member->id);
    table_text(table, member->address);
    table_text(table, member->http_address);
    table_text(table, member->cloud);
    table_text(table, slice_of_str(!member->voter                            ? "learner"
                                   : slice_equal(member->id, status->leader) ? "leader"
                                                                             : "voter"));
    table_text(table, slice_of_str(member->reachable ? "yes" : "no"));
    if (member->rtt_ms > 0) {
        table_printf(table, "%.1f ms", member->rtt_ms);
    } else {
        table_text(table, slice_of(NULL, 0));
    }
    table_u64(table, member->match_index);
}

// Asks any node, and then the leader that it names: only the leader knows the others' match indexes.
static enum ctl_exit leader_status(struct ctl *ctl, struct pb_status_response *status) {
    struct slice answer;
    enum ctl_exit asked = ctl_ask(ctl, CTL_ANY_NODE, pb_control_service_status.path, &answer);
    if (asked != CTL_OK) {
        return asked;
    }
    if (pb_decode(&ctl->arena, &pb_status_response_type, answer, status, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    if (slice_equal(status->node, status->leader) || address_check(status->leader_address, "leader", NULL) != OK) {
        return CTL_OK;
    }
    struct slice first = arena_copy(&ctl->arena, answer);
    struct ctl_probe leader = {.answered = false};
    memcpy(leader.address, status->leader_address.data, status->leader_address.len);
    ctl_ask_all(ctl->client, pb_control_service_status.path, &leader, 1);
    struct slice second = arena_copy(&ctl->arena, buf_slice(&leader.answer));
    buf_free(&leader.answer);
    buf_free(&leader.why);
    if (pb_decode(&ctl->arena, &pb_status_response_type, leader.answered ? second : first, status, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    return CTL_OK;
}

enum ctl_exit ctl_member_list(struct ctl *ctl) {
    struct pb_status_response status;
    enum ctl_exit asked = leader_status(ctl, &status);
    if (asked != CTL_OK) {
        return asked;
    }
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '[');
        for (size_t i = 0; i < status.members_count; i++) {
            member_json(&json, &status.members[i], &status);
        }
        return print_array(ctl, &json);
    }
    struct table table;
    table_begin(&table, "ID|ADDRESS|HTTP|CLOUD|ROLE|REACHABLE|RTT|MATCH");
    for (size_t i = 0; i < status.members_count; i++) {
        member_row(&table, &status.members[i], &status);
    }
    return print_table(ctl, &table);
}

// --- worker list ---

static struct slice online_or_offline(const struct pb_worker_info *worker) {
    return slice_of_str(slice_equal(worker->status, slice_of_str("online")) ? "online" : "offline");
}

// A leader of 0.1.0 does not say that it has heard the worker itself.
static struct slice seen_by(const struct pb_worker_info *worker) {
    return worker->last_seen_source.len > 0 ? worker->last_seen_source : slice_of_str("leader");
}

static void worker_json(struct json *json, const struct pb_worker_info *worker) {
    char seen[RFC3339_SIZE];
    json_begin(json, '{');
    json_string(json, "id", worker->id);
    json_string(json, "address", worker->address);
    json_string(json, "cloud", worker->cloud);
    json_string(json, "status", online_or_offline(worker));
    json_string(json, "reason", worker->reason);
    rfc3339_format(seen, worker->last_seen_unix_ms);
    if (worker->has_last_seen_unix_ms) {
        json_string(json, "last_seen", slice_of_str(seen));
        json_string(json, "last_seen_source", seen_by(worker));
    } else {
        json_null(json, "last_seen");
        json_null(json, "last_seen_source");
    }
    json_u64(json, "epoch", worker->epoch);
    json_string(json, "instance_id", worker->instance_id);
    json_u64(json, "slots", worker->slots);
    json_open(json, "labels", '{');
    for (size_t i = 0; i < worker->labels_count; i++) {
        json_pair(json, worker->labels[i].key, worker->labels[i].value);
    }
    json_end(json, '}');
    json_u64(json, "since_index", worker->since_index);
    json_end(json, '}');
}

static void worker_row(struct table *table, const struct pb_worker_info *worker) {
    char time[RFC3339_SIZE];
    struct buf seen = {.len = 0};
    struct buf labels = {.len = 0};
    rfc3339_format(time, worker->last_seen_unix_ms);
    buf_append_str(&seen, worker->has_last_seen_unix_ms ? time : "");
    if (worker->has_last_seen_unix_ms && !slice_equal(seen_by(worker), slice_of_str("leader"))) {
        buf_printf(&seen, " (%.*s)", (int)worker->last_seen_source.len, (const char *)worker->last_seen_source.data);
    }
    table_text(table, worker->id);
    table_text(table, online_or_offline(worker));
    table_text(table, worker->reason);
    table_text(table, worker->cloud);
    table_text(table, worker->address);
    table_u64(table, worker->slots);
    table_u64(table, worker->epoch);
    table_text(table, buf_slice(&seen));
    buf_free(&seen);
    for (size_t i = 0; i < worker->labels_count; i++) {
        buf_append_str(&labels, i == 0 ? "" : ",");
        buf_append_slice(&labels, worker->labels[i].key);
        buf_append_str(&labels, "=");
        buf_append_slice(&labels, worker->labels[i].value);
    }
    table_text(table, buf_slice(&labels));
    buf_free(&labels);
}

// Gets one page; *after becomes its last id. A node of an earlier version returns all workers as one page.
static enum ctl_exit worker_page(struct ctl *ctl, struct buf *after, struct json *json, struct table *table, bool *more) {
    struct pb_list_workers_request request = {.start_after = buf_slice(after), .limit = LIST_DEFAULT};
    pb_encode(&pb_list_workers_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit asked = ctl_ask(ctl, CTL_READ, pb_control_service_list_workers.path, &answer);
    struct pb_list_workers_response response;
    if (asked != CTL_OK) {
        return asked;
    }
    if (pb_decode(&ctl->arena, &pb_list_workers_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    for (size_t i = 0; i < response.workers_count; i++) {
        if (ctl->options->json) {
            worker_json(json, &response.workers[i]);
        } else {
            worker_row(table, &response.workers[i]);
        }
    }
    *more = response.more && response.workers_count > 0;
    if (*more) {
        buf_clear(after);
        buf_append_slice(after, response.workers[response.workers_count - 1].id);
    }
    return CTL_OK;
}

enum ctl_exit ctl_worker_list(struct ctl *ctl) {
    struct json json = {.out = &ctl->out};
    struct table table;
    struct buf after = {.len = 0};
    bool more = true;
    enum ctl_exit status = CTL_OK;
    table_begin(&table, "ID|STATUS|REASON|CLOUD|ADDRESS|SLOTS|EPOCH|LAST SEEN|LABELS");
    if (ctl->options->json) {
        json_begin(&json, '[');
    }
    while (more && status == CTL_OK) {
        status = worker_page(ctl, &after, &json, &table, &more);
    }
    buf_free(&after);
    if (status == CTL_OK && !ctl->options->json) {
        return print_table(ctl, &table);
    }
    buf_free(&table.text);
    return status == CTL_OK ? print_array(ctl, &json) : status;
}

// --- leader transfer ---

// The old leader answers as soon as it has stepped down, and may not know the new one yet: then the other nodes are asked.
// *leader is borrowed until the next call.
static enum ctl_exit new_leader(struct ctl *ctl, struct slice transferred, struct slice *leader, uint64_t *term) {
    struct pb_transfer_leadership_response response;
    if (pb_decode(NULL, &pb_transfer_leadership_response_type, transferred, &response, &ctl->error) != OK ||
        pb_check(&pb_transfer_leadership_response_type, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    *leader = response.leader;
    *term = response.term;
    for (int asks = 0; leader->len == 0 && asks < 100; asks++) {
        struct slice answer;
        struct pb_status_response status;
        enum ctl_exit asked = ctl_ask(ctl, CTL_ANY_NODE, pb_control_service_status.path, &answer);
        if (asked != CTL_OK) {
            return asked;
        }
        if (pb_decode(&ctl->arena, &pb_status_response_type, answer, &status, &ctl->error) != OK) {
            return ctl_undecodable(ctl);
        }
        if (status.term >= *term && id_check(status.leader, "leader", NULL) == OK) {
            *leader = status.leader;
            *term = status.term;
        } else {
            ctl_next_endpoint(ctl->client);
        }
    }
    return CTL_OK;
}

enum ctl_exit ctl_leader_transfer(struct ctl *ctl) {
    struct pb_transfer_leadership_request request = {.target = {.len = 0}};
    const char *wanted = ctl->options->arguments[0];
    if (wanted != NULL) {
        if (id_check(slice_of_str(wanted), "NODE", &ctl->error) != OK) {
            return CTL_USAGE;
        }
        request.target = slice_of_str(wanted);
    }
    pb_encode(&pb_transfer_leadership_request_type, &request, &ctl->request);
    struct slice answer;
    struct slice leader = {.len = 0};
    uint64_t term = 0;
    enum ctl_exit asked = ctl_ask(ctl, CTL_WRITE_ONCE, pb_control_service_transfer_leadership.path, &answer);
    if (asked == CTL_OK) {
        asked = new_leader(ctl, answer, &leader, &term);
    }
    if (asked != CTL_OK) {
        return asked;
    }
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '{');
        json_string(&json, "leader", leader);
        json_u64(&json, "term", term);
        json_end(&json, '}');
        buf_append_str(&ctl->out, "\n");
    } else {
        buf_append_slice(&ctl->out, leader.len == 0 ? slice_of_str("no known node") : leader);
        buf_printf(&ctl->out, " leads in term %llu\n", (unsigned long long)term);
    }
    return ctl_print(ctl);
}

// --- log ---

// NULL: a type that is not known here.
static const char *entry_type_name(uint32_t type) {
    switch ((enum pb_entry_type)type) {
    case PB_ENTRY_TYPE_COMMAND:
        return "command";
    case PB_ENTRY_TYPE_NOOP:
        return "noop";
    case PB_ENTRY_TYPE_CONFIGURATION:
        return "configuration";
    case PB_ENTRY_TYPE_UNSPECIFIED:
        break;
    }
    return NULL;
}

static void print_entry(struct ctl *ctl, const struct pb_log_entry *entry) {
    if (!ctl->options->json) {
        buf_printf(&ctl->out, "%llu term %llu ", (unsigned long long)entry->index, (unsigned long long)entry->term);
        text_for_terminal(&ctl->out, entry->summary, COMMAND_MAX);
        buf_append_str(&ctl->out, "\n");
        return;
    }
    struct json json = {.out = &ctl->out};
    struct buf command = {.len = 0};
    command.len = base64_encode((char *)buf_reserve(&command, base64_encoded_len(entry->command.len)), entry->command.data,
                                entry->command.len);
    json_begin(&json, '{');
    json_u64(&json, "index", entry->index);
    json_u64(&json, "term", entry->term);
    json_string(&json, "type", slice_of_str(entry_type_name(entry->type)));
    json_string(&json, "command", buf_slice(&command));
    json_string(&json, "summary", entry->summary);
    json_end(&json, '}');
    buf_append_str(&ctl->out, "\n");
    buf_free(&command);
}

static enum error_code decode_log(struct ctl *ctl, struct slice answer, struct pb_read_log_response *response) {
    enum error_code code = pb_decode(&ctl->arena, &pb_read_log_response_type, answer, response, &ctl->error);
    for (size_t i = 0; code == OK && i < response->entries_count; i++) {
        if (entry_type_name(response->entries[i].type) == NULL) {
            code = error_set(&ctl->error, ERR_MALFORMED, "not a ReadLogResponse: an entry of an unknown type");
        }
    }
    return code;
}

enum ctl_exit ctl_log(struct ctl *ctl) {
    struct pb_read_log_request request = {.from = ctl->options->from, .to = ctl->options->to};
    do {
        pb_encode(&pb_read_log_request_type, &request, &ctl->request);
        struct slice answer;
        enum ctl_exit asked = ctl_ask(ctl, CTL_ANY_NODE, pb_control_service_read_log.path, &answer);
        struct pb_read_log_response response;
        if (asked != CTL_OK) {
            return asked;
        }
        if (decode_log(ctl, answer, &response) != OK) {
            return ctl_undecodable(ctl);
        }
        for (size_t i = 0; i < response.entries_count; i++) {
            print_entry(ctl, &response.entries[i]);
        }
        // The end is fixed by the first answer, as a busy log grows faster than it is printed.
        if (request.to == 0) {
            request.to = response.commit_index;
        }
        request.from = response.next;
        asked = ctl_print(ctl);
        if (asked != CTL_OK) {
            return asked;
        }
    } while (request.from != 0);
    return CTL_OK;
}
