// member list, leader transfer, log.
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/ids.h"
#include "base/rfc3339.h"
#include "ctl/nodes.h"
#include "ctl/paging.h"
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

// --- member list ---

static void member_json(struct json *json, const struct pb_member_status *member, const struct pb_status_response *status) {
    json_begin(json, '{');
    json_text(json, "id", member->id);
    json_text(json, "address", member->address);
    json_text(json, "http_address", member->http_address);
    json_text(json, "cloud", member->cloud);
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

enum ctl_exit ctl_member_list(struct ctl *ctl) {
    struct pb_status_response status;
    enum ctl_exit asked = nodes_ask_leader(ctl, &status);
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
        json_text(&json, "leader", leader);
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
    json_text(&json, "type", slice_of_str(entry_type_name(entry->type)));
    json_text(&json, "command", buf_slice(&command));
    json_text(&json, "summary", entry->summary);
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

struct listing {
    struct ctl *ctl;
    enum ctl_exit status;
};

static bool list_entry(void *self, const struct pb_log_entry *entry) {
    enum { BLOCK = 64 * KIB };
    struct listing *listing = self;
    struct ctl *ctl = listing->ctl;
    if (entry->index >= ctl->options->from && (ctl->options->to == 0 || entry->index <= ctl->options->to)) {
        print_entry(ctl, entry);
    }
    if (ctl->out.len >= BLOCK) {
        listing->status = ctl_print(ctl);
    }
    return listing->status == CTL_OK;
}

// What was read before the damage is printed, too: there is no other copy.
static enum ctl_exit list_file(struct ctl *ctl) {
    struct listing listing = {.ctl = ctl, .status = CTL_OK};
    enum error_code code = ctl->read_log_file(ctl->options->file, list_entry, &listing, &ctl->error);
    if (listing.status == CTL_OK) {
        listing.status = ctl_print(ctl);
    }
    if (code == OK || listing.status != CTL_OK) {
        return listing.status;
    }
    return code == ERR_WAL_CORRUPT || code == ERR_WAL_GAP || code == ERR_WAL_VERSION ? CTL_DAMAGED : CTL_FAILED;
}

enum ctl_exit ctl_log(struct ctl *ctl) {
    if (ctl->options->file != NULL) {
        return list_file(ctl);
    }
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
