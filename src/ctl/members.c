// member add, promote, remove, update; and what member replace shares with them: ctl/members.h.
#include "ctl/members.h"

#include <assert.h>

#include "base/address.h"
#include "base/ids.h"
#include "ctl/nodes.h"
#include "wire/codec.h"

static enum ctl_exit parse_id(struct ctl *ctl, const char *text, struct slice *id) {
    *id = slice_of_str(text);
    return id_check(*id, "ID", &ctl->error) == OK ? CTL_OK : CTL_USAGE;
}

enum ctl_exit place_parse(struct ctl *ctl, const char *text, bool with_cloud, struct place *place) {
    const char *equals = strchr(text, '=');
    const char *slash = with_cloud ? strrchr(text, '/') : text + strlen(text);
    if (equals == NULL || slash == NULL || slash < equals) {
        error_set(&ctl->error, ERR_INVALID, "\"%s\" is not ID=ADDRESS%s, such as n4=10.0.0.4:7400%s", text,
                  with_cloud ? "/CLOUD" : "", with_cloud ? "/gcp" : "");
        return CTL_USAGE;
    }
    place->id = slice_of(text, (size_t)(equals - text));
    place->address = slice_of(equals + 1, (size_t)(slash - equals - 1));
    place->cloud = with_cloud ? slice_of_str(slash + 1) : slice_of(NULL, 0);
    bool fits = id_check(place->id, "ID", &ctl->error) == OK &&
                address_check(place->address, "ADDRESS", &ctl->error) == OK &&
                (!with_cloud || cloud_check(place->cloud, "CLOUD", &ctl->error) == OK);
    return fits ? CTL_OK : CTL_USAGE;
}

// --- one change ---

enum ctl_exit member_call(struct ctl *ctl, const struct pb_method *method, const void *request,
                          struct pb_member_effect *effect) {
    struct slice answer;
    pb_encode(method->request, request, &ctl->request);
    enum ctl_exit asked = ctl_ask(ctl, CTL_WRITE_ONCE, method->path, &answer);
    struct pb_member_add_response decoded;  // those of the other calls hold the same
    if (asked != CTL_OK) {
        return asked;
    }
    if (pb_decode(&ctl->arena, &pb_member_add_response_type, answer, &decoded, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    *effect = decoded.effect;
    return CTL_OK;
}

void effect_json(struct json *json, const struct pb_member_effect *effect) {
    json_u64(json, "voters", effect->voters);
    json_u64(json, "reachable", effect->reachable);
    json_u64(json, "may_fail", effect->may_fail);
    json_open(json, "clouds_that_may_be_lost", '[');
    for (size_t i = 0; i < effect->clouds_that_may_be_lost_count; i++) {
        json_element(json, effect->clouds_that_may_be_lost[i]);
    }
    json_end(json, ']');
    if (effect->write_ms > 0) {
        json_number(json, "write_ms", effect->write_ms);
    } else {
        json_absent(json, "write_ms");
    }
}

void effect_print(struct buf *out, const struct pb_member_effect *effect, const char *indent) {
    buf_printf(out, "%svoters: %u, of which %u can be reached and %u may fail\n%sclouds that may be lost: ", indent,
               effect->voters, effect->reachable, effect->may_fail, indent);
    for (size_t i = 0; i < effect->clouds_that_may_be_lost_count; i++) {
        buf_append_str(out, i == 0 ? "" : ", or ");
        text_for_terminal(out, effect->clouds_that_may_be_lost[i], CLOUD_MAX);
    }
    buf_append_str(out, effect->clouds_that_may_be_lost_count == 0 ? "none\n" : "\n");
    if (effect->write_ms > 0) {
        buf_printf(out, "%sa write: %.1f ms to the nearest majority, and the disk\n", indent, effect->write_ms);
    }
}

// What is done, and what is so then. `start`: how a new node is started; NULL: there is none.
static enum ctl_exit print_change(struct ctl *ctl, struct slice id, const char *done, const char *would,
                                  const struct pb_member_effect *effect, const struct buf *start) {
    if (!ctl->options->json) {
        buf_append_slice(&ctl->out, id);
        buf_printf(&ctl->out, " %s\n", ctl->options->dry_run ? would : done);
        effect_print(&ctl->out, effect, "");
        return ctl_print(ctl);
    }
    struct json json = {.out = &ctl->out};
    json_begin(&json, '{');
    json_text(&json, "member", id);
    json_bool(&json, "dry_run", ctl->options->dry_run);
    effect_json(&json, effect);
    if (start != NULL) {
        json_text(&json, "start", buf_slice(start));
    }
    json_end(&json, '}');
    buf_append_str(&ctl->out, "\n");
    return ctl_print(ctl);
}

// --- a new node ---

// A text of an address that has been checked, with the brackets of IPv6 kept from the shell.
static void append_address(struct buf *out, const char *flag, struct slice host, unsigned port) {
    const char *quote = host.len > 0 && host.data[0] == '[' ? "'" : "";
    buf_printf(out, " %s %s%.*s:%u%s", flag, quote, (int)host.len, (const char *)host.data, port, quote);
}

// A node listens on its address; where that is a name, on all interfaces. Its pages are at the port's distance of the
// defaults, 7400 and 7480.
static void append_addresses(struct buf *out, struct slice text, const struct address *address, bool *exposed) {
    enum { PAGES_AFTER = 80 };
    union socket_address literal;
    unsigned port = address->port_number;
    unsigned pages = port + PAGES_AFTER <= PORT_MAX ? port + PAGES_AFTER : port - PAGES_AFTER;
    struct slice host = slice_of(text.data, text.len - strlen(address->port) - 1);
    char whole[ADDRESS_MAX + 1];
    snprintf(whole, sizeof whole, "%.*s", (int)text.len, (const char *)text.data);
    bool named = !address_literal(address, &literal);
    *exposed = named || !address_is_loopback(whole);
    append_address(out, "--listen", named ? slice_of_str("0.0.0.0") : host, port);
    append_address(out, "--http", named ? slice_of_str("0.0.0.0") : host, pages);
    if (named) {
        append_address(out, "--advertise", host, port);
        append_address(out, "--advertise-http", host, pages);
    }
}

void start_command(const struct ctl *ctl, const struct place *place, struct slice cluster, struct buf *out) {
    struct address address;
    bool exposed;
    enum error_code code = address_parse(place->address, "ADDRESS", ADDRESS_PORT_CONNECT, &address, NULL);
    assert(code == OK);  // place_parse has checked it
    (void)code;
    buf_printf(out, "batond --node-id %.*s --cluster-id %.*s --cloud %.*s --data-dir /var/lib/baton", (int)place->id.len,
               (const char *)place->id.data, (int)cluster.len, (const char *)cluster.data, (int)place->cloud.len,
               (const char *)place->cloud.data);
    append_addresses(out, place->address, &address, &exposed);
    if (ctl_has_tls(ctl->client)) {
        const char *id = (const char *)place->id.data;
        int len = (int)place->id.len;
        buf_printf(out, " --tls-cert %.*s.pem --tls-key %.*s-key.pem --tls-ca ca.pem", len, id, len, id);
    } else if (exposed) {
        buf_append_str(out, " --insecure");
    }
}

static enum ctl_exit add(struct ctl *ctl, const struct place *place, struct slice cluster) {
    struct pb_member_add_request request = {
        .id = place->id, .address = place->address, .cloud = place->cloud, .dry_run = ctl->options->dry_run};
    struct pb_member_effect effect;
    struct buf start = {.len = 0};
    start_command(ctl, place, cluster, &start);
    enum ctl_exit status = member_call(ctl, &pb_control_service_member_add, &request, &effect);
    if (status == CTL_OK) {
        status = print_change(ctl, place->id, "is a learner now", "would be a learner", &effect, &start);
    }
    if (status == CTL_OK && !ctl->options->json && !ctl->options->dry_run) {
        buf_printf(&ctl->out,
                   "start it on its machine, with an empty data directory:\n  %.*s\n"
                   "and once it has caught up:\n  batonctl member promote %.*s\n",
                   (int)start.len, (const char *)start.data, (int)place->id.len, (const char *)place->id.data);
        status = ctl_print(ctl);
    }
    buf_free(&start);
    return status;
}

enum ctl_exit ctl_member_add(struct ctl *ctl) {
    struct place place;
    char cluster[ID_MAX + 1];
    struct pb_status_response status;
    enum ctl_exit code = place_parse(ctl, ctl->options->arguments[0], true, &place);
    if (code == CTL_OK) {
        code = nodes_ask_leader(ctl, &status);
    }
    if (code != CTL_OK) {
        return code;
    }
    if (id_check(status.cluster_id, "cluster_id", &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    snprintf(cluster, sizeof cluster, "%.*s", (int)status.cluster_id.len, (const char *)status.cluster_id.data);
    return add(ctl, &place, slice_of_str(cluster));
}

// --- the others ---

enum ctl_exit ctl_member_promote(struct ctl *ctl) {
    struct pb_member_promote_request request = {.dry_run = ctl->options->dry_run};
    struct pb_member_effect effect;
    enum ctl_exit status = parse_id(ctl, ctl->options->arguments[0], &request.id);
    if (status == CTL_OK) {
        status = member_call(ctl, &pb_control_service_member_promote, &request, &effect);
    }
    return status == CTL_OK ? print_change(ctl, request.id, "is a voter now", "would be a voter", &effect, NULL) : status;
}

enum ctl_exit ctl_member_remove(struct ctl *ctl) {
    struct pb_member_remove_request request = {.dry_run = ctl->options->dry_run};
    struct pb_member_effect effect;
    enum ctl_exit status = parse_id(ctl, ctl->options->arguments[0], &request.id);
    if (status == CTL_OK) {
        status = member_call(ctl, &pb_control_service_member_remove, &request, &effect);
    }
    return status == CTL_OK
               ? print_change(ctl, request.id, "is no member any more", "would be no member any more", &effect, NULL)
               : status;
}

enum ctl_exit ctl_member_update(struct ctl *ctl) {
    struct place place;
    struct pb_member_effect effect;
    enum ctl_exit status = place_parse(ctl, ctl->options->arguments[0], false, &place);
    if (status == CTL_OK) {
        struct pb_member_update_request request = {
            .id = place.id, .address = place.address, .dry_run = ctl->options->dry_run};
        status = member_call(ctl, &pb_control_service_member_update, &request, &effect);
    }
    return status == CTL_OK ? print_change(ctl, place.id, "has the new address", "would have the new address", &effect, NULL)
                            : status;
}
