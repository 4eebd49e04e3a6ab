// The pages that this node answers alone, and the table of all.
#include "http/pages.h"

#include <stdio.h>

#include "base/array.h"
#include "base/mem.h"
#include "base/quote.h"
#include "base/rfc3339.h"

static void page_metrics(struct exchange *exchange) {
    struct buf body = {0};
    exchange->source->metrics(exchange->source->user, &body);
    exchange_reply(exchange, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
}

// Answering shows that the loop runs, which is all it reports.
static void page_livez(struct exchange *exchange) {
    exchange_reply_static(exchange, "text/plain; charset=utf-8", slice_of_str("ok\n"));
}

static void page_readyz(struct exchange *exchange) {
    struct buf body = {0};
    bool ready = exchange->source->ready(exchange->source->user, &body);
    if (ready) {
        buf_clear(&body);
        buf_append_str(&body, "ok");
    }
    buf_append_str(&body, "\n");
    exchange_reply(exchange, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", &body);
}

static void page_status(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    exchange_reply_json(exchange, MHD_HTTP_OK, page_status_object(&status));
}

http_page *page_find(const char *path) {
    static const struct {
        const char *path;
        http_page *page;
    } pages[] = {
        {"/cluster-state", page_cluster_state},
        {"/workers", page_workers},
        {"/status", page_status},
        {"/nodes", page_nodes},
        {"/timeline", page_timeline},
        {"/timelines", page_timelines},
        {"/metrics", page_metrics},
        {"/livez", page_livez},
        {"/readyz", page_readyz},
    };
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        if (strcmp(path, pages[i].path) == 0) {
            return pages[i].page;
        }
    }
    return page_of_dashboard(path);
}

// A string; null if empty or (which our checks prevent) not UTF-8.
static json_t *text_or_null(struct slice text) {
    json_t *string = text.len == 0 ? NULL : json_stringn((const char *)text.data, text.len);
    return string == NULL ? json_null() : string;
}

// 0 is unknown, as in control.proto.
static json_t *known_or_null(double ms) {
    return ms > 0 ? json_real(ms) : json_null();
}

static json_t *index_or_null(uint64_t index) {
    return index == 0 ? json_null() : json_integer((json_int_t)index);
}

// In seconds.
static json_t *age_or_null(int64_t unix_ms) {
    int64_t ms = unix_ms_now() - unix_ms;
    return unix_ms == 0 ? json_null() : json_real(ms < 0 ? 0 : (double)ms / 1000);
}

bool page_leads(const struct node_status *status) {
    return slice_equal(status->response.role, slice_of_str("leader"));
}

// A member's round trips, by the id of the other member; null where unknown.
static json_t *round_trips_object(const struct node_status *status, const struct pb_member_status *member) {
    json_t *row = json_object();
    for (size_t i = 0; i < status->response.members_count; i++) {
        struct slice to = status->response.members[i].id;
        if (!slice_equal(to, member->id)) {
            json_object_setn_new(row, (const char *)to.data, to.len, json_null());
        }
    }
    for (size_t i = 0; i < member->round_trips_count; i++) {
        struct slice to = member->round_trips[i].id;
        json_object_setn_new(row, (const char *)to.data, to.len, json_real(member->round_trips[i].rtt_ms));
    }
    return row;
}

static json_t *member_object(const struct node_status *status, const struct pb_member_status *member) {
    bool self = slice_equal(member->id, status->response.node);
    json_t *match = page_leads(status) ? json_integer((json_int_t)member->match_index) : json_null();
    json_t *sending = member->snapshot_size == 0 ? json_null()
                                                 : json_pack("{s:I, s:I}", "sent", (json_int_t)member->snapshot_sent, "size",
                                                             (json_int_t)member->snapshot_size);
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}",  //
                     "id", text_or_null(member->id),                                                      //
                     "address", text_or_null(member->address),                                            //
                     "http_address", text_or_null(member->http_address),                                  //
                     "cloud", text_or_null(member->cloud),                                                //
                     "voter", member->voter,                                                              //
                     "reachable", member->reachable,                                                      //
                     "unreachable", text_or_null(member->unreachable),                                    //
                     "quarantine", text_or_null(member->quarantine),                                      //
                     "rtt_ms", self ? json_real(0) : known_or_null(member->rtt_ms),                       //
                     "round_trips_ms", round_trips_object(status, member),                                //
                     "commit_ms", known_or_null(member->commit_ms),                                       //
                     "disk_sync_ms", known_or_null(member->disk_sync_ms),                                 //
                     "disk_full", member->disk_full,                                                      //
                     "match_index", match,                                                                //
                     "snapshot", sending,                                                                 //
                     "level", index_or_null(member->level));
}

// Whether the answering node votes.
static bool status_votes(const struct node_status *status) {
    for (size_t i = 0; i < status->response.members_count; i++) {
        if (slice_equal(status->members[i].id, status->response.node)) {
            return status->members[i].voter;
        }
    }
    return false;
}

static json_t *placement_object(const struct pb_placement *placement) {
    json_t *move = json_null();
    if (placement->moved_to.len > 0) {
        move = json_pack("{s:o, s:o, s:f}",                          //
                         "to", text_or_null(placement->moved_to),    //
                         "why", text_or_null(placement->moved_why),  //
                         "ago", (double)placement->moved_ago_ms / 1000);
    }
    return json_pack("{s:b, s:o, s:o, s:o, s:f, s:f}",                       //
                     "on", placement->on,                                    //
                     "leader_cloud", text_or_null(placement->leader_cloud),  //
                     "decision", text_or_null(placement->decision),          //
                     "last_move", move,                                      //
                     "pause", (double)placement->pause_ms / 1000,            //
                     "cooldown", (double)placement->cooldown_ms / 1000);
}

json_t *page_status_object(const struct node_status *status) {
    const struct pb_status_response *response = &status->response;
    json_t *members = json_array();
    for (size_t i = 0; i < response->members_count; i++) {
        json_array_append_new(members, member_object(status, &response->members[i]));
    }
    return json_pack(
        "{s:o, s:o, s:I, s:o, s:o, s:b, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:f, s:o, s:o, s:o, s:I, s:I}",  //
        "node", text_or_null(response->node),                                                                              //
        "cluster", text_or_null(response->cluster_id),                                                                     //
        "generation", (json_int_t)response->generation,                                                                    //
        "version", text_or_null(response->version),                                                                        //
        "role", text_or_null(response->role),                                                                              //
        "voter", status_votes(status),                                                                                     //
        "term", (json_int_t)response->term,                                                                                //
        "leader", text_or_null(response->leader),                                                                          //
        "leader_address", text_or_null(response->leader_address),                                                          //
        "commit_index", (json_int_t)response->commit_index,                                                                //
        "last_applied", (json_int_t)response->last_applied,                                                                //
        "last_log_index", (json_int_t)response->last_log_index,                                                            //
        "log_first_index", (json_int_t)response->log_first_index,                                                          //
        "snapshot_index", index_or_null(response->snapshot_index),                                                         //
        "snapshot_bytes", index_or_null(response->snapshot_bytes),                                                         //
        "snapshot_age", age_or_null(status->snapshot_unix_ms),                                                             //
        "uptime", (double)response->uptime_ms / 1000,                                                                      //
        "quarantine", text_or_null(response->quarantine),                                                                  //
        "placement", placement_object(&response->placement),                                                               //
        "members", members,                                                                                                //
        "level", (json_int_t)response->level,                                                                              //
        "cluster_level", (json_int_t)response->cluster_level);
}

// --- the list of workers ---
//
// Written straight into the buffer: for 100,000 workers, building a JSON tree would block the loop, and so a leader's
// heartbeats, several times as long.

static void append_text(struct buf *out, const char *key, struct slice value) {
    buf_append_str(out, key);
    quote_json(out, value);
}

// The same for text that this node wrote: it has nothing to escape, and is not searched for it.
static void append_word(struct buf *out, const char *key, struct slice word) {
    buf_append_str(out, key);
    buf_append_str(out, "\"");
    buf_append_slice(out, word);
    buf_append_str(out, "\"");
}

static void append_number(struct buf *out, const char *key, uint64_t value) {
    buf_append_str(out, key);
    buf_append_u64(out, value);
}

static void append_last_seen(struct buf *out, const struct pb_worker_info *worker, int64_t now_unix_ms) {
    if (!worker->has_last_seen_unix_ms) {
        buf_append_str(out, ",\"last_seen\":null,\"last_seen_ago_ms\":null,\"last_seen_source\":null");
        return;
    }
    char text[RFC3339_SIZE];
    rfc3339_format(text, worker->last_seen_unix_ms);
    append_word(out, ",\"last_seen\":", slice_of_str(text));
    // The age as well: the reader's clock may differ.
    int64_t ago = now_unix_ms - worker->last_seen_unix_ms;
    append_number(out, ",\"last_seen_ago_ms\":", ago < 0 ? 0 : (uint64_t)ago);
    append_word(out, ",\"last_seen_source\":", worker->last_seen_source);
}

static void append_labels(struct buf *out, const struct pb_worker_info *worker) {
    buf_append_str(out, ",\"labels\":{");
    for (size_t i = 0; i < worker->labels_count; i++) {
        append_text(out, i == 0 ? "" : ",", worker->labels[i].key);
        append_text(out, ":", worker->labels[i].value);
    }
    buf_append_str(out, "}");
}

struct workers_list {
    struct buf *out;
    struct workers_place *place;
    uint64_t until_ns;
    unsigned count;
    bool late;  // the time is over
};

static void append_worker(const struct workers_list *list, const struct pb_worker_info *worker) {
    struct buf *out = list->out;
    append_text(out, list->place->begun ? ",\n{\"id\":" : "{\"id\":", worker->id);
    append_text(out, ",\"address\":", worker->address);
    append_text(out, ",\"cloud\":", worker->cloud);
    append_word(out, ",\"status\":", worker->status);
    append_text(out, ",\"reason\":", worker->reason);
    append_last_seen(out, worker, list->place->now_unix_ms);
    append_number(out, ",\"epoch\":", worker->epoch);
    append_text(out, ",\"instance_id\":", worker->instance_id);
    append_number(out, ",\"slots\":", worker->slots);
    append_labels(out, worker);
    buf_append_str(out, "}");
}

static bool take_worker(void *arg, const struct pb_worker_info *worker) {
    enum { BETWEEN_LOOKS = 32 };  // at the clock
    struct workers_list *list = arg;
    if (list->late) {
        return false;
    }
    append_worker(list, worker);
    list->place->begun = true;
    snprintf(list->place->after, sizeof list->place->after, "%.*s", (int)worker->id.len, (const char *)worker->id.data);
    list->late = ++list->count % BETWEEN_LOOKS == 0 && uv_hrtime() >= list->until_ns;
    return true;
}

bool page_append_workers(const struct http_source *source, struct workers_place *place, uint64_t until_ns, struct buf *out) {
    struct workers_list list = {.out = out, .place = place, .until_ns = until_ns};
    if (!place->begun) {
        buf_append_str(out, "[");
    }
    bool complete = source->workers(source->user, slice_of_str(place->after), take_worker, &list);
    if (complete) {
        buf_append_str(out, "]\n");
    }
    return complete;
}
