// access grant, revoke, list.
#include <string.h>

#include "base/array.h"
#include "baton/v1/control.pb.h"
#include "ctl/commands.h"
#include "wire/codec.h"

static const struct {
    const char *name;
    uint32_t verb;
} verbs[] = {
    {"get", PB_ACCESS_VERB_GET},     {"put", PB_ACCESS_VERB_PUT},     {"delete", PB_ACCESS_VERB_DELETE},
    {"list", PB_ACCESS_VERB_LIST},   {"watch", PB_ACCESS_VERB_WATCH}, {"workers", PB_ACCESS_VERB_WORKERS},
    {"admin", PB_ACCESS_VERB_ADMIN},
};

// 0: there is no such verb.
static uint32_t verb_named(const char *name, size_t len) {
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strlen(verbs[i].name) == len && memcmp(verbs[i].name, name, len) == 0) {
            return verbs[i].verb;
        }
    }
    return 0;
}

// "put,delete"; also "all", if `with_all`.
static enum ctl_exit parse_verbs(struct ctl *ctl, bool with_all, uint32_t *mask) {
    const char *text = ctl->options->arguments[1];
    *mask = 0;
    if (with_all && strcmp(text, "all") == 0) {
        for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
            *mask |= verbs[i].verb;
        }
        return CTL_OK;
    }
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        uint32_t verb = verb_named(at, len);
        if (verb == 0) {
            error_set(&ctl->error, ERR_INVALID,
                      "VERBS is \"%s\"; allowed are get, put, delete, list, watch, workers and admin, "
                      "separated by commas%s",
                      text, with_all ? ", or all" : "");
            return CTL_USAGE;
        }
        *mask |= verb;
        at += len;
        if (*at == '\0') {
            return CTL_OK;
        }
    }
}

enum ctl_exit ctl_access_grant(struct ctl *ctl) {
    struct pb_access_grant_request request = {.subject = slice_of_str(ctl->options->arguments[0]),
                                              .prefix = slice_of_str(ctl->options->arguments[2])};
    enum ctl_exit status = parse_verbs(ctl, false, &request.verbs);
    if (status != CTL_OK) {
        return status;
    }
    pb_encode(&pb_access_grant_request_type, &request, &ctl->request);
    struct slice answer;
    // Granted twice is granted once: a repetition does no harm.
    status = ctl_ask(ctl, CTL_WRITE, pb_control_service_access_grant.path, &answer);
    struct pb_access_grant_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(NULL, &pb_access_grant_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    return ctl_print_revision(ctl, response.revision);
}

enum ctl_exit ctl_access_revoke(struct ctl *ctl) {
    struct pb_access_revoke_request request = {.subject = slice_of_str(ctl->options->arguments[0]),
                                               .prefix = slice_of_str(ctl->options->arguments[2])};
    enum ctl_exit status = parse_verbs(ctl, true, &request.verbs);
    if (status != CTL_OK) {
        return status;
    }
    pb_encode(&pb_access_revoke_request_type, &request, &ctl->request);
    struct slice answer;
    // A repetition would say that there is no such grant.
    status = ctl_ask(ctl, CTL_WRITE_ONCE, pb_control_service_access_revoke.path, &answer);
    struct pb_access_revoke_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(NULL, &pb_access_revoke_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    if (!response.existed) {
        error_set(&ctl->error, ERR_INVALID, "%s was granted none of that for exactly this prefix; see batonctl access list",
                  ctl->options->arguments[0]);
        return CTL_NOT_FOUND;
    }
    return ctl_print_revision(ctl, response.revision);
}

// --- list ---

static void json_grant(struct json *json, const struct pb_grant *grant) {
    json_begin(json, '{');
    json_text(json, "subject", grant->subject);
    json_open(json, "verbs", '[');
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if ((grant->verbs & verbs[i].verb) != 0) {
            json_element(json, slice_of_str(verbs[i].name));
        }
    }
    json_end(json, ']');
    json_bytes(json, "prefix", grant->prefix);
    json_u64(json, "revision", grant->revision);
    json_end(json, '}');
}

static void table_grant(struct table *table, const struct pb_grant *grant) {
    struct buf names = {.len = 0};
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if ((grant->verbs & verbs[i].verb) != 0) {
            buf_printf(&names, "%s%s", names.len == 0 ? "" : ",", verbs[i].name);
        }
    }
    table_text(table, grant->subject);
    table_text(table, buf_slice(&names));
    table_text(table, grant->prefix);
    table_u64(table, grant->revision);
    buf_free(&names);
}

enum ctl_exit ctl_access_list(struct ctl *ctl) {
    const char *subject = ctl->options->arguments[0];
    struct pb_access_list_request request = {.subject = slice_of_str(subject == NULL ? "" : subject)};
    pb_encode(&pb_access_list_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit status = ctl_ask(ctl, CTL_READ, pb_control_service_access_list.path, &answer);
    struct pb_access_list_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(&ctl->arena, &pb_access_list_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    struct json json = {.out = &ctl->out};
    struct table table = {.columns = 0};
    if (ctl->options->json) {
        json_begin(&json, '[');
    } else {
        table_begin(&table, "SUBJECT|VERBS|PREFIX|REVISION");
    }
    for (size_t i = 0; i < response.grants_count; i++) {
        if (ctl->options->json) {
            json_grant(&json, &response.grants[i]);
        } else {
            table_grant(&table, &response.grants[i]);
        }
    }
    if (ctl->options->json) {
        json_end(&json, ']');
        buf_append_str(&ctl->out, "\n");
    } else {
        table_end(&table, &ctl->out);
    }
    return ctl_print(ctl);
}
