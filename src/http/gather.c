// Pages that need other nodes: a follower relays /cluster-state from the leader; /nodes asks all members for their /status
// concurrently. Requests go only to members and fixed paths, so no client chooses their target; and a request that is itself
// a relay (it carries Baton-Relay) is never relayed, or two nodes that take each other for the leader would loop.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/fetch.h"
#include "http/pages.h"

#define RELAY_HEADER "Baton-Relay"

enum { STATUS_BYTES_MAX = 256 * KIB };  // of one node's /status

static const struct pb_member_status *member_find(const struct node_status *status, struct slice id) {
    for (size_t i = 0; i < status->response.members_count; i++) {
        if (slice_equal(status->members[i].id, id)) {
            return &status->members[i];
        }
    }
    return NULL;
}

// --- /cluster-state ---

struct relay {
    struct fetch *fetch;
    char leader[ID_MAX + 1];
};

static void reply_unavailable(struct exchange *exchange, const char *code, const char *message) {
    exchange_reply_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, code, "%s", message);
    exchange_add_header(exchange, "Retry-After", "1");
}

static void relay_cancel(struct exchange *exchange) {
    struct relay *relay = exchange->pending;
    fetch_cancel(relay->fetch);
    free(relay);
}

static void relay_done(void *user, const struct fetch_answer *answer) {
    struct exchange *exchange = user;
    struct relay *relay = exchange->pending;
    exchange->cancel = NULL;
    exchange->pending = NULL;
    if (answer->error == NULL && answer->status == MHD_HTTP_OK) {
        struct buf body = {.data = answer->body, .len = answer->len, .cap = answer->len};
        exchange_reply(exchange, MHD_HTTP_OK, "application/json", &body);
        exchange_add_header(exchange, "Baton-Leader", relay->leader);
    } else {
        free(answer->body);
        char message[256];
        if (answer->error != NULL) {
            snprintf(message, sizeof message, "the leader %s cannot be reached: %s; try again", relay->leader,
                     answer->error);
        } else {
            snprintf(message, sizeof message, "%s, taken for the leader, answered %u; try again", relay->leader,
                     answer->status);
        }
        reply_unavailable(exchange, "leader-unreachable", message);
    }
    free(relay);
}

static void relay_begin(struct exchange *exchange, const struct node_status *status, const struct pb_member_status *leader) {
    struct relay *relay = mem_zalloc(sizeof *relay);
    snprintf(relay->leader, sizeof relay->leader, "%.*s", (int)leader->id.len, (const char *)leader->id.data);
    char headers[sizeof RELAY_HEADER + ID_MAX + 8];
    snprintf(headers, sizeof headers, RELAY_HEADER ": %.*s\r\n", (int)status->response.node.len,
             (const char *)status->response.node.data);
    exchange->pending = relay;
    exchange->cancel = relay_cancel;
    struct fetch_request request = {
        .tls = exchange->tls,
        .node = leader->id,
        .address = leader->http_address,
        .path = "/cluster-state",
        .headers = headers,
        .timeout_ms = HTTP_RELAY_TIMEOUT_MS,
        .body_max = HTTP_RELAY_BYTES_MAX,
    };
    relay->fetch = fetch_start(exchange->loop, &request, relay_done, exchange);
}

static void reply_own_workers(struct exchange *exchange, const struct node_status *status) {
    if (exchange_reply_cached(exchange, status->response.term)) {
        return;
    }
    uint64_t began_ns = uv_hrtime();
    struct buf body = {0};
    page_append_workers(exchange->source, &body);
    char id[ID_MAX + 1];
    snprintf(id, sizeof id, "%.*s", (int)status->response.node.len, (const char *)status->response.node.data);
    exchange_reply(exchange, MHD_HTTP_OK, "application/json", &body);
    exchange_add_header(exchange, "Baton-Leader", id);
    exchange_cache(exchange, status->response.term, uv_hrtime() - began_ns);
}

void page_cluster_state(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    if (page_leads(&status)) {
        if (status.leader_ready) {
            reply_own_workers(exchange, &status);
        } else {
            reply_unavailable(exchange, "leader-not-ready", "this node was just elected and is catching up; try again");
        }
        return;
    }
    const struct pb_member_status *leader =
        status.response.leader.len == 0 ? NULL : member_find(&status, status.response.leader);
    if (leader == NULL) {
        reply_unavailable(exchange, "no-leader", "this node knows no leader; an election may be under way; try again");
    } else if (exchange_request_header(exchange, RELAY_HEADER) != NULL) {
        reply_unavailable(exchange, "not-leader", "a relayed request came to a node that does not lead; try again");
    } else {
        relay_begin(exchange, &status, leader);
    }
}

// --- /nodes ---

struct survey {
    struct exchange *exchange;
    json_t *nodes;   // the response: an object per member, in the members' order
    size_t waiting;  // outstanding answers
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
    json_decref(survey->nodes);
    free(survey);
}

static void survey_finish(struct survey *survey) {
    struct exchange *exchange = survey->exchange;
    exchange->cancel = NULL;
    exchange->pending = NULL;
    exchange_reply_json(exchange, MHD_HTTP_OK, survey->nodes);
    free(survey);
}

// Merges a node's own status over what this node knows of it. NULL, or why it cannot be used.
static const char *node_merge(json_t *node, const struct fetch_answer *answer) {
    if (answer->error != NULL) {
        return answer->error;
    }
    if (answer->status != MHD_HTTP_OK) {
        return "it refused";
    }
    json_t *status = json_loadb((const char *)answer->body, answer->len, JSON_REJECT_DUPLICATES, NULL);
    const char *error = NULL;
    if (!json_is_object(status)) {
        error = "its answer is not a JSON object";
    } else if (!json_equal(json_object_get(status, "node"), json_object_get(node, "node"))) {
        error = "another node answers at its address";
    } else {
        json_object_update(node, status);
        json_object_set_new(node, "reachable", json_true());
    }
    json_decref(status);
    return error;
}

static void node_done(void *user, const struct fetch_answer *answer) {
    struct asked *asked = user;
    struct survey *survey = asked->survey;
    asked->fetch = NULL;
    json_t *node = json_array_get(survey->nodes, asked->at);
    const char *error = node_merge(node, answer);
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
    return json_pack("{s:s%, s:s%, s:s%, s:s%, s:b}",                                                    //
                     "node", (const char *)member->id.data, member->id.len,                              //
                     "cloud", (const char *)member->cloud.data, member->cloud.len,                       //
                     "address", (const char *)member->address.data, member->address.len,                 //
                     "http_address", (const char *)member->http_address.data, member->http_address.len,  //
                     "reachable", false);
}

static void node_ask(struct survey *survey, size_t at, const struct pb_member_status *member) {
    struct asked *asked = &survey->asked[at];
    *asked = (struct asked){.survey = survey, .at = at};
    struct fetch_request request = {
        .tls = survey->exchange->tls,
        .node = member->id,
        .address = member->http_address,
        .path = "/status",
        .headers = "",
        .timeout_ms = HTTP_RELAY_TIMEOUT_MS,
        .body_max = STATUS_BYTES_MAX,
    };
    asked->fetch = fetch_start(survey->exchange->loop, &request, node_done, asked);
    survey->waiting++;
}

void page_nodes(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    struct survey *survey = mem_zalloc(sizeof *survey);
    survey->exchange = exchange;
    survey->nodes = json_array();
    exchange->pending = survey;
    exchange->cancel = survey_cancel;
    assert(status.response.members_count <= MEMBERS_MAX);
    for (size_t i = 0; i < status.response.members_count; i++) {
        const struct pb_member_status *member = &status.members[i];
        json_t *node = node_object(member);
        json_array_append_new(survey->nodes, node);
        if (slice_equal(member->id, status.response.node)) {
            json_object_update_new(node, page_status_object(&status));
            json_object_set_new(node, "reachable", json_true());
            json_object_set_new(node, "self", json_true());
        } else {
            node_ask(survey, i, member);
        }
    }
    if (survey->waiting == 0) {
        survey_finish(survey);
    }
}
