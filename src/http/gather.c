// /nodes and /timelines: ask all members for their /status or /timeline concurrently. Requests go only to members and fixed
// paths, so no client chooses their target.
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/fetch.h"
#include "http/pages.h"

enum { ANSWER_BYTES_MAX = 256 * KIB };  // of one node

struct survey {
    struct exchange *exchange;
    const char *path;  // that the others are asked for
    json_t *cluster;   // its id
    json_t *nodes;     // the response: an object per member, in the members' order
    size_t waiting;    // outstanding answers
    struct asked {
        struct survey *survey;
        struct fetch *fetch;  // NULL: ended or never started
        size_t at;            // in `nodes`
    } asked[MEMBERS_MAX];
};

static void survey_cancel(struct exchange *exchange) {
    struct survey *survey = exchange->pending;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (survey->asked[i].fetch != NULL) {
            fetch_cancel(survey->asked[i].fetch);
        }
    }
    json_decref(survey->cluster);
    json_decref(survey->nodes);
    free(survey);
}

static void survey_finish(struct survey *survey) {
    struct exchange *exchange = survey->exchange;
    exchange->cancel = NULL;
    exchange->pending = NULL;
    exchange_reply_json(exchange, MHD_HTTP_OK, survey->nodes);
    json_decref(survey->cluster);
    free(survey);
}

// Merges what a node says itself over what this node knows of it. NULL, or why it cannot be used.
static const char *node_merge(const struct survey *survey, json_t *node, const struct fetch_answer *answer) {
    if (answer->error != NULL) {
        return answer->error;
    }
    if (answer->status != MHD_HTTP_OK) {
        return "it refused";
    }
    json_t *told = json_loadb((const char *)answer->body, answer->len, JSON_REJECT_DUPLICATES, NULL);
    const char *error = NULL;
    if (!json_is_object(told)) {
        error = "its answer is not a JSON object";
    } else if (!json_equal(json_object_get(told, "cluster"), survey->cluster)) {
        error = "a node of another cluster answers at its address";
    } else if (!json_equal(json_object_get(told, "node"), json_object_get(node, "node"))) {
        error = "another node answers at its address";
    } else {
        json_object_update(node, told);
        json_object_set_new(node, "reachable", json_true());
    }
    json_decref(told);
    return error;
}

static void node_done(void *user, const struct fetch_answer *answer) {
    struct asked *asked = user;
    struct survey *survey = asked->survey;
    asked->fetch = NULL;
    json_t *node = json_array_get(survey->nodes, asked->at);
    const char *error = node_merge(survey, node, answer);
    if (error != NULL) {
        json_object_set_new(node, "error", json_string(error));
    }
    free(answer->body);
    assert(survey->waiting > 0);
    if (--survey->waiting == 0) {
        survey_finish(survey);
    }
}

// What this node knows of a member without asking it.
static json_t *node_object(const struct pb_member_status *member) {
    return json_pack("{s:s%, s:s%, s:s%, s:s%, s:b, s:b}",                                               //
                     "node", (const char *)member->id.data, member->id.len,                              //
                     "cloud", (const char *)member->cloud.data, member->cloud.len,                       //
                     "address", (const char *)member->address.data, member->address.len,                 //
                     "http_address", (const char *)member->http_address.data, member->http_address.len,  //
                     "voter", member->voter, "reachable", false);
}

static void node_ask(struct survey *survey, size_t at, const struct pb_member_status *member) {
    struct asked *asked = &survey->asked[at];
    *asked = (struct asked){.survey = survey, .at = at};
    struct fetch_request request = {
        .tls = member->plaintext ? NULL : survey->exchange->tls,
        .node = member->id,
        .address = member->http_address,
        .path = survey->path,
        .headers = "",
        .timeout_ms = HTTP_RELAY_TIMEOUT_MS,
        .body_max = ANSWER_BYTES_MAX,
    };
    asked->fetch = fetch_start(survey->exchange->loop, &request, node_done, asked);
    survey->waiting++;
}

// `own` makes this node's document, which the others have at `path`.
static void gather(struct exchange *exchange, const char *path,
                   json_t *(*own)(const struct http_source *source, const struct node_status *status)) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    struct survey *survey = mem_zalloc(sizeof *survey);
    survey->exchange = exchange;
    survey->path = path;
    survey->cluster = json_stringn((const char *)status.response.cluster_id.data, status.response.cluster_id.len);
    survey->nodes = json_array();
    exchange->pending = survey;
    exchange->cancel = survey_cancel;
    assert(status.response.members_count <= MEMBERS_MAX);
    for (size_t i = 0; i < status.response.members_count; i++) {
        const struct pb_member_status *member = &status.members[i];
        json_t *node = node_object(member);
        json_array_append_new(survey->nodes, node);
        if (slice_equal(member->id, status.response.node)) {
            json_object_update_new(node, own(exchange->source, &status));
            json_object_set_new(node, "reachable", json_true());
            json_object_set_new(node, "self", json_true());
        } else if (member->http_address.len == 0) {  // it has to tell it first
            struct slice why =
                member->unreachable.len > 0 ? member->unreachable : slice_of_str("it has not been reached yet");
            json_object_set_new(node, "error", json_stringn((const char *)why.data, why.len));
        } else {
            node_ask(survey, i, member);
        }
    }
    if (survey->waiting == 0) {
        survey_finish(survey);
    }
}

static json_t *own_status(const struct http_source *source, const struct node_status *status) {
    (void)source;
    return page_status_object(status);
}

void page_nodes(struct exchange *exchange) {
    gather(exchange, "/status", own_status);
}

void page_timelines(struct exchange *exchange) {
    gather(exchange, "/timeline", page_timeline_object);
}
