// worker list, worker show.
#include <string.h>

#include "base/ids.h"
#include "base/rfc3339.h"
#include "baton/v1/control.pb.h"
#include "ctl/paging.h"
#include "wire/codec.h"

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
    json_text(json, "id", worker->id);
    json_text(json, "address", worker->address);
    json_text(json, "cloud", worker->cloud);
    json_text(json, "status", online_or_offline(worker));
    json_text(json, "reason", worker->reason);
    rfc3339_format(seen, worker->last_seen_unix_ms);
    if (worker->has_last_seen_unix_ms) {
        json_text(json, "last_seen", slice_of_str(seen));
        json_text(json, "last_seen_source", seen_by(worker));
    } else {
        json_absent(json, "last_seen");
        json_absent(json, "last_seen_source");
    }
    json_u64(json, "epoch", worker->epoch);
    json_text(json, "instance_id", worker->instance_id);
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

// Adds one page. A node of an earlier version returns all workers as one page.
static enum ctl_exit worker_page(struct ctl *ctl, struct paging *paging) {
    struct pb_list_workers_request request = {
        .start_after = buf_slice(&paging->after), .limit = LIST_DEFAULT, .at = paging->at};
    pb_encode(&pb_list_workers_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit asked = ctl_ask(ctl, paging_need(paging, CTL_READ), pb_control_service_list_workers.path, &answer);
    struct pb_list_workers_response response;
    if (asked != CTL_OK) {
        return asked;
    }
    if (pb_decode(&ctl->arena, &pb_list_workers_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    for (size_t i = 0; i < response.workers_count; i++) {
        if (ctl->options->json) {
            worker_json(&paging->json, &response.workers[i]);
        } else {
            worker_row(&paging->table, &response.workers[i]);
        }
    }
    size_t count = response.workers_count;
    struct slice last = count > 0 ? response.workers[count - 1].id : slice_of(NULL, 0);
    paging_next(paging, response.more, last, response.read_index);
    return CTL_OK;
}

enum ctl_exit ctl_worker_list(struct ctl *ctl) {
    return paging_print(ctl, "ID|STATUS|REASON|CLOUD|ADDRESS|SLOTS|EPOCH|LAST SEEN|LABELS", worker_page);
}

// --- worker show ---

// Of all strings before `id` the last that a request can hold: what comes after it is `id`, or a greater one.
static struct slice just_before(const char *id, char before[ID_MAX + 1]) {
    size_t len = strnlen(id, ID_MAX);
    memset(before, 0x7f, ID_MAX);  // no id has one
    memcpy(before, id, len);
    before[len - 1]--;
    return slice_of(before, ID_MAX);
}

static void worker_fields(struct buf *out, const struct pb_worker_info *worker) {
    char time[RFC3339_SIZE];
    struct table table = {.columns = 2};  // without headings
    rfc3339_format(time, worker->last_seen_unix_ms);
    table_pair(&table, "id", worker->id);
    table_pair(&table, "status", online_or_offline(worker));
    table_pair(&table, "reason", worker->reason);
    table_pair(&table, "cloud", worker->cloud);
    table_pair(&table, "address", worker->address);
    table_pair(&table, "last seen", slice_of_str(worker->has_last_seen_unix_ms ? time : ""));
    table_pair(&table, "last seen by", worker->has_last_seen_unix_ms ? seen_by(worker) : slice_of(NULL, 0));
    table_pair(&table, "instance", worker->instance_id);
    table_text(&table, slice_of_str("epoch"));
    table_u64(&table, worker->epoch);
    table_text(&table, slice_of_str("slots"));
    table_u64(&table, worker->slots);
    table_text(&table, slice_of_str("since index"));
    table_u64(&table, worker->since_index);
    for (size_t i = 0; i < worker->labels_count; i++) {
        struct buf label = {.len = 0};
        buf_append_slice(&label, worker->labels[i].key);
        buf_append_str(&label, "=");
        buf_append_slice(&label, worker->labels[i].value);
        table_pair(&table, i == 0 ? "labels" : " ", buf_slice(&label));
        buf_free(&label);
    }
    table_end(&table, out);
}

enum ctl_exit ctl_worker_show(struct ctl *ctl) {
    const char *id = ctl->options->arguments[0];
    char before[ID_MAX + 1];
    if (id_check(slice_of_str(id), "the worker's id", &ctl->error) != OK) {
        return CTL_USAGE;
    }
    struct pb_list_workers_request request = {.start_after = just_before(id, before), .limit = 1};
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
    if (response.workers_count == 0 || !slice_equal(response.workers[0].id, slice_of_str(id))) {
        error_set(&ctl->error, ERR_INVALID, "no worker is registered as \"%s\"; see batonctl worker list", id);
        return CTL_NOT_FOUND;
    }
    if (ctl->options->json) {
        worker_json(&(struct json){.out = &ctl->out}, &response.workers[0]);
        buf_append_str(&ctl->out, "\n");
    } else {
        worker_fields(&ctl->out, &response.workers[0]);
    }
    return ctl_print(ctl);
}
