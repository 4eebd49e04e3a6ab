// The pages that this node answers alone, and the table of all.
#include "http/pages.h"

#include "base/array.h"
#include "base/mem.h"
#include "base/quote.h"
#include "base/rfc3339.h"
#include "http/assets.h"

static void page_dashboard(struct exchange *exchange) {
    exchange_reply_static(exchange, "text/html; charset=utf-8", slice_of(asset_dashboard_html, asset_dashboard_html_len));
}

static void page_style(struct exchange *exchange) {
    exchange_reply_static(exchange, "text/css; charset=utf-8", slice_of(asset_dashboard_css, asset_dashboard_css_len));
}

static void page_script(struct exchange *exchange) {
    exchange_reply_static(exchange, "text/javascript; charset=utf-8", slice_of(asset_dashboard_js, asset_dashboard_js_len));
}

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
    struct view_status status = {0};
    exchange->source->status(exchange->source->user, &status);
    page_reply_json(exchange, MHD_HTTP_OK, page_status_object(&status));
}

http_page *page_find(const char *path) {
    static const struct {
        const char *path;
        http_page *page;
    } pages[] = {
        {"/", page_dashboard},          {"/dashboard.css", page_style},
        {"/dashboard.js", page_script}, {"/cluster-state", page_cluster_state},
        {"/status", page_status},       {"/nodes", page_nodes},
        {"/metrics", page_metrics},     {"/livez", page_livez},
        {"/readyz", page_readyz},
    };
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        if (strcmp(path, pages[i].path) == 0) {
            return pages[i].page;
        }
    }
    return NULL;
}

void page_reply_json(struct exchange *exchange, unsigned status, json_t *document) {
    // Twelve digits: exact for milliseconds, and 0.3 is not printed as 0.29999999999999999.
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(document);
    struct buf body = {0};
    buf_append_str(&body, text);
    buf_append_str(&body, "\n");
    free(text);
    exchange_reply(exchange, status, "application/json", &body);
}

// A string; null if empty or (which our checks prevent) not UTF-8.
static json_t *text_or_null(struct slice text) {
    json_t *string = text.len == 0 ? NULL : json_stringn((const char *)text.data, text.len);
    return string == NULL ? json_null() : string;
}

static json_t *real_or_null(double ms) {
    return ms < 0 ? json_null() : json_real(ms);
}

// A member's round trips, by the id of the other member.
static json_t *round_trips_object(const struct view_status *status, const struct view_member *member) {
    json_t *row = json_object();
    for (size_t i = 0; i < status->member_count; i++) {
        struct slice id = status->members[i].id;
        char key[ID_MAX + 1];
        snprintf(key, sizeof key, "%.*s", (int)id.len, (const char *)id.data);
        if (!slice_equal(id, member->id)) {
            json_object_set_new(row, key, real_or_null(member->round_trips_ms[i]));
        }
    }
    return row;
}

static json_t *member_object(const struct view_status *status, const struct view_member *member) {
    bool match_known = status->role == VIEW_LEADER;
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}",  //
                     "id", text_or_null(member->id),                             //
                     "address", text_or_null(member->address),                   //
                     "http_address", text_or_null(member->http_address),         //
                     "cloud", text_or_null(member->cloud),                       //
                     "voter", member->voter,                                     //
                     "reachable", member->reachable,                             //
                     "rtt_ms", real_or_null(member->rtt_ms),                     //
                     "round_trips_ms", round_trips_object(status, member),       //
                     "commit_ms", real_or_null(member->commit_ms),               //
                     "disk_sync_ms", real_or_null(member->disk_sync_ms),         //
                     "match_index", match_known ? json_integer((json_int_t)member->match_index) : json_null());
}

static json_t *placement_object(const struct view_placement *placement) {
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

json_t *page_status_object(const struct view_status *status) {
    static const char *const roles[] = {"follower", "candidate", "leader"};
    json_t *members = json_array();
    struct slice leader_address = {0};
    for (size_t i = 0; i < status->member_count; i++) {
        const struct view_member *member = &status->members[i];
        json_array_append_new(members, member_object(status, member));
        if (status->leader_id.len > 0 && slice_equal(member->id, status->leader_id)) {
            leader_address = member->address;
        }
    }
    return json_pack("{s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:f, s:o, s:o}",  //
                     "node", text_or_null(status->node_id),                           //
                     "cluster", text_or_null(status->cluster_id),                     //
                     "version", BATON_VERSION,                                        //
                     "role", roles[status->role],                                     //
                     "term", (json_int_t)status->term,                                //
                     "leader", text_or_null(status->leader_id),                       //
                     "leader_address", text_or_null(leader_address),                  //
                     "commit_index", (json_int_t)status->commit_index,                //
                     "last_applied", (json_int_t)status->last_applied,                //
                     "uptime", (double)status->uptime_ms / 1000,                      //
                     "placement", placement_object(&status->placement),               //
                     "members", members);
}

// --- the list of workers ---
//
// Written straight into the buffer: for 100,000 workers, building a JSON tree would block the loop, and so a leader's
// heartbeats, several times as long.

static void append_text(struct buf *out, const char *key, struct slice value) {
    buf_append_str(out, key);
    quote_json(out, value);
}

static void append_number(struct buf *out, const char *key, uint64_t value) {
    buf_append_str(out, key);
    buf_append_u64(out, value);
}

static void append_last_seen(struct buf *out, int64_t last_seen_unix_ms, int64_t now_unix_ms) {
    if (last_seen_unix_ms == VIEW_NEVER) {
        buf_append_str(out, ",\"last_seen\":null,\"last_seen_ago_ms\":null");
        return;
    }
    char text[RFC3339_SIZE];
    rfc3339_format(text, last_seen_unix_ms);
    append_text(out, ",\"last_seen\":", slice_of_str(text));
    // The age as well: the reader's clock may differ.
    int64_t ago = now_unix_ms - last_seen_unix_ms;
    append_number(out, ",\"last_seen_ago_ms\":", ago < 0 ? 0 : (uint64_t)ago);
}

static void append_labels(struct buf *out, const struct view_worker *worker) {
    buf_append_str(out, ",\"labels\":{");
    for (size_t i = 0; i < worker->label_count; i++) {
        append_text(out, i == 0 ? "" : ",", worker->labels[i].key);
        append_text(out, ":", worker->labels[i].value);
    }
    buf_append_str(out, "}");
}

struct workers_list {
    struct buf *out;
    int64_t now_unix_ms;
    bool any;
};

static bool append_worker(void *arg, const struct view_worker *worker) {
    struct workers_list *list = arg;
    struct buf *out = list->out;
    append_text(out, list->any ? ",\n{\"id\":" : "{\"id\":", worker->id);
    list->any = true;
    append_text(out, ",\"address\":", worker->address);
    append_text(out, ",\"cloud\":", worker->cloud);
    buf_append_str(out, worker->online ? ",\"status\":\"online\"" : ",\"status\":\"offline\"");
    append_text(out, ",\"reason\":", worker->reason);
    append_last_seen(out, worker->last_seen_unix_ms, list->now_unix_ms);
    append_number(out, ",\"epoch\":", worker->epoch);
    append_text(out, ",\"instance_id\":", worker->instance_id);
    append_number(out, ",\"slots\":", worker->slots);
    append_labels(out, worker);
    buf_append_str(out, "}");
    return true;
}

void page_append_workers(const struct http_source *source, struct buf *out) {
    struct workers_list list = {.out = out, .now_unix_ms = unix_ms_now()};
    buf_append_str(out, "[");
    source->workers(source->user, append_worker, &list);
    buf_append_str(out, "]\n");
}
