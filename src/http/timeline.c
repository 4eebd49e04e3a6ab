// /timeline: this node's last ten minutes, as arrays of equal length, the oldest first.
#include <stdlib.h>

#include "base/mem.h"
#include "http/pages.h"

// To a thousandth, which is exact enough for a chart.
static json_t *rounded(float value) {
    return json_real((double)(uint64_t)((double)value * 1000 + 0.5) / 1000);
}

// 0 is unknown.
static json_t *rounded_or_null(float value) {
    return value > 0 ? rounded(value) : json_null();
}

static json_t *round_trips(const struct view_timeline *timeline, size_t peer) {
    json_t *column = json_array();
    for (size_t i = 0; i < timeline->count; i++) {
        json_array_append_new(column, rounded_or_null(timeline->samples[i].rtt_ms[peer]));
    }
    return column;
}

static json_t *leader_of(const struct view_timeline *timeline, const struct view_sample *sample, struct slice node) {
    struct slice id = sample->leads                   ? node
                      : sample->leader == MEMBERS_MAX ? (struct slice){0}
                                                      : timeline->peers[sample->leader];
    return id.len == 0 ? json_null() : json_stringn((const char *)id.data, id.len);
}

json_t *page_timeline_object(const struct http_source *source, const struct node_status *status) {
    struct view_timeline *timeline = mem_alloc(sizeof *timeline);
    source->timeline(source->user, timeline);
    json_t *ago = json_array();
    json_t *term = json_array();
    json_t *leads = json_array();
    json_t *leader = json_array();
    json_t *writes = json_array();
    json_t *p50 = json_array();
    json_t *p99 = json_array();
    json_t *rtt = json_object();
    for (size_t i = 0; i < timeline->count; i++) {
        const struct view_sample *sample = &timeline->samples[i];
        json_array_append_new(ago, json_real((double)((timeline->now_us - sample->at_us) / US_PER_MS) / 1000));
        json_array_append_new(term, json_integer((json_int_t)sample->term));
        json_array_append_new(leads, json_boolean(sample->leads));
        json_array_append_new(leader, leader_of(timeline, sample, status->response.node));
        json_array_append_new(writes, rounded(sample->writes_per_s));
        json_array_append_new(p50, rounded_or_null(sample->commit_p50_ms));
        json_array_append_new(p99, rounded_or_null(sample->commit_p99_ms));
    }
    for (size_t peer = 0; peer < MEMBERS_MAX; peer++) {
        if (timeline->peers[peer].len > 0) {
            json_object_setn_new(rtt, (const char *)timeline->peers[peer].data, timeline->peers[peer].len,
                                 round_trips(timeline, peer));
        }
    }
    free(timeline);
    return json_pack("{s:s%, s:s%, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",                                 //
                     "node", (const char *)status->response.node.data, status->response.node.len,                 //
                     "cluster", (const char *)status->response.cluster_id.data, status->response.cluster_id.len,  //
                     "period", TIMELINE_PERIOD_MS / 1000.0,                                                       //
                     "ago", ago,                                                                                  //
                     "term", term,                                                                                //
                     "leads", leads,                                                                              //
                     "leader", leader,                                                                            //
                     "writes_per_s", writes,                                                                      //
                     "commit_p50_ms", p50,                                                                        //
                     "commit_p99_ms", p99,                                                                        //
                     "rtt_ms", rtt);
}

void page_timeline(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    exchange_reply_json(exchange, MHD_HTTP_OK, page_timeline_object(exchange->source, &status));
}
