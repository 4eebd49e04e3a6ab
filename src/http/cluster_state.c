// Lists of workers and their readers: http/cluster_state.h.
#include "http/cluster_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/quote.h"
#include "base/rfc3339.h"
#include "http/fetch.h"
#include "http/pages.h"

// Requests go only to the leader and a fixed path, so no client chooses their target; and a request that is itself a relay
// is never relayed, or two nodes that take each other for the leader would loop.
#define RELAY_HEADER "Baton-Relay"

// A finished list.
struct worker_list {
    struct cluster_state *owner;
    struct MHD_Response *response;
    size_t bytes;         // of its memory, in *owner->bytes
    unsigned references;  // one of each reader, and one while it is the newest
};

// Whose list: what another leadership knew is no answer. Of this node's own list, whom it follows.
struct leadership {
    uint64_t term;
    char leader[ID_MAX + 1];
};

struct cluster_state {
    struct http_server *server;
    void (*wake)(struct http_server *server);
    uv_loop_t *loop;
    struct tls *tls;
    const struct http_source *source;
    bool own;         // always from this node's own state, whoever leads
    size_t *bytes;    // of all lists of this server that are finished and not freed
    size_t expected;  // bytes of the next, as the last had
    struct worker_list *newest;
    struct leadership newest_of;
    uint64_t expires_ns;  // until then the newest answers those who come later

    // The list that is being made, and who waits for it or, if `late`, for the one after it.
    bool making;
    struct leadership making_of;
    struct exchange *waiting;
    struct fetch *fetch;  // NULL: from our own registry
    struct buf body;
    struct workers_place place;
    uint64_t spent_ns;
};

struct cluster_state *cluster_state_new(struct http_server *server, void (*wake)(struct http_server *server),
                                        uv_loop_t *loop, struct tls *tls, const struct http_source *source, bool own,
                                        size_t *bytes) {
    struct cluster_state *state = mem_zalloc(sizeof *state);
    *state = (struct cluster_state){
        .server = server, .wake = wake, .loop = loop, .tls = tls, .source = source, .own = own, .bytes = bytes};
    return state;
}

void cluster_state_release(struct worker_list *list) {
    assert(list->references > 0);
    if (--list->references == 0) {
        assert(*list->owner->bytes >= list->bytes);
        *list->owner->bytes -= list->bytes;
        MHD_destroy_response(list->response);
        free(list);
    }
}

static void forget_newest(struct cluster_state *state) {
    if (state->newest != NULL) {
        cluster_state_release(state->newest);
        state->newest = NULL;
    }
}

static void stop_making(struct cluster_state *state) {
    if (state->fetch != NULL) {
        fetch_cancel(state->fetch);
        state->fetch = NULL;
    }
    buf_free(&state->body);
    state->making = false;
}

void cluster_state_free(struct cluster_state *state) {
    assert(state->waiting == NULL);
    stop_making(state);
    forget_newest(state);
    free(state);
}

// --- readers ---

static void reply_unavailable(struct exchange *exchange, const char *code, const char *message) {
    exchange_reply_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, code, "%s", message);
    exchange_add_header(exchange, "Retry-After", "1");
}

static void reply_busy(struct exchange *exchange) {
    reply_unavailable(
        exchange, "too-many-readers",
        "readers of earlier lists of workers hold all the memory for them; try again, or read ListWorkers in pages");
}

static void leave(struct exchange *exchange) {
    struct cluster_state *state = exchange->pending;
    struct exchange **at = &state->waiting;
    while (*at != exchange) {
        at = &(*at)->next_waiting;
    }
    *at = exchange->next_waiting;
    if (state->waiting == NULL) {
        stop_making(state);
    }
}

static void wait_for_list(struct cluster_state *state, struct exchange *exchange, bool late) {
    exchange->pending = state;
    exchange->cancel = leave;
    exchange->late = late;
    exchange->next_waiting = state->waiting;
    state->waiting = exchange;
}

// Takes out those who wait; the late ones stay, unless `all`.
static struct exchange *take_waiting(struct cluster_state *state, bool all) {
    struct exchange *taken = NULL;
    for (struct exchange **at = &state->waiting; *at != NULL;) {
        struct exchange *exchange = *at;
        if (exchange->late && !all) {
            exchange->late = false;  // the next list is theirs
            at = &exchange->next_waiting;
            continue;
        }
        *at = exchange->next_waiting;
        exchange->next_waiting = taken;
        exchange->cancel = NULL;
        exchange->pending = NULL;
        taken = exchange;
    }
    return taken;
}

static void begin(struct cluster_state *state, const struct node_status *status);

// Those who came while the list was made, and may not have it, get the next one.
static void go_on(struct cluster_state *state) {
    if (state->waiting != NULL) {
        struct node_status status;
        state->source->status(state->source->user, &status);
        begin(state, &status);
    }
}

static void fail(struct cluster_state *state, const char *code, const char *message) {
    stop_making(state);
    for (struct exchange *exchange = take_waiting(state, true), *next; exchange != NULL; exchange = next) {
        next = exchange->next_waiting;
        reply_unavailable(exchange, code, message);
    }
}

static void fail_busy(struct cluster_state *state) {
    stop_making(state);
    for (struct exchange *exchange = take_waiting(state, true), *next; exchange != NULL; exchange = next) {
        next = exchange->next_waiting;
        reply_busy(exchange);
    }
}

// --- a finished list ---

// Takes the body. `valid_ns`: for how long it answers those who come later.
static void finish(struct cluster_state *state, uint64_t valid_ns) {
    struct worker_list *list = mem_zalloc(sizeof *list);
    list->owner = state;
    list->bytes = state->body.len;
    list->references = 1;
    void *data = mem_realloc(state->body.data, state->body.len);
    state->body = (struct buf){0};
    list->response = MHD_create_response_from_buffer(list->bytes, data, MHD_RESPMEM_MUST_FREE);
    exchange_set_headers(list->response, "application/json");
    if (!state->own) {
        MHD_add_response_header(list->response, "Baton-Leader", state->making_of.leader);
    }
    *state->bytes += list->bytes;
    state->expected = list->bytes;
    state->making = false;
    forget_newest(state);
    state->newest = list;
    state->newest_of = state->making_of;
    state->expires_ns = valid_ns == 0 ? 0 : uv_hrtime() + valid_ns;
    for (struct exchange *exchange = take_waiting(state, valid_ns > 0), *next; exchange != NULL; exchange = next) {
        next = exchange->next_waiting;
        list->references++;
        exchange_reply_list(exchange, list, list->response);
    }
    if (valid_ns == 0) {
        forget_newest(state);
    }
    go_on(state);
}

// --- from our own registry ---

static bool fits(const struct cluster_state *state, size_t bytes) {
    return *state->bytes + bytes <= HTTP_LISTS_BYTES_MAX;
}

// One part. Rendering takes at most one in HTTP_LIST_SHARE parts of the loop's time; a cheap list is always new.
static void render(struct cluster_state *state) {
    uint64_t began_ns = uv_hrtime();
    bool done =
        page_append_workers(state->source, &state->place, began_ns + HTTP_LIST_TURN_MS * UINT64_C(1000000), &state->body);
    uint64_t took_ns = uv_hrtime() - began_ns;
    state->spent_ns += took_ns;
    if (done && state->own) {
        buf_append_str(&state->body, "}\n");
    }
    if (!fits(state, state->body.cap)) {
        fail_busy(state);
    } else if (done) {
        bool cheap = state->spent_ns < HTTP_LIST_CHEAP_MS * UINT64_C(1000000);
        finish(state, cheap ? 0 : state->spent_ns * (HTTP_LIST_SHARE - 1));
    } else {
        state->wake(state->server);
    }
}

bool cluster_state_has_work(const struct cluster_state *state) {
    return state->making && state->fetch == NULL;
}

void cluster_state_turn(struct cluster_state *state) {
    if (!cluster_state_has_work(state)) {
        return;
    }
    struct node_status status;
    state->source->status(state->source->user, &status);
    bool leads = page_leads(&status) && status.leader_ready && status.response.term == state->making_of.term;
    if (!state->own && !leads) {
        fail(state, "leadership-changed", "leadership changed while the list was made; try again");
    } else {
        render(state);
    }
}

// --- from the leader ---

static void relay_done(void *user, const struct fetch_answer *answer) {
    struct cluster_state *state = user;
    char message[256];
    state->fetch = NULL;
    if (answer->error == NULL && answer->status == MHD_HTTP_OK) {
        state->body = (struct buf){.data = answer->body, .len = answer->len, .cap = answer->len};
        finish(state, answer->len < HTTP_LIST_LARGE ? 0 : HTTP_RELAY_VALID_MS * UINT64_C(1000000));
        return;
    }
    free(answer->body);
    if (answer->error != NULL) {
        snprintf(message, sizeof message, "the leader %s cannot be reached: %s; try again", state->making_of.leader,
                 answer->error);
    } else {
        snprintf(message, sizeof message, "%s, taken for the leader, answered %u; try again", state->making_of.leader,
                 answer->status);
    }
    fail(state, "leader-unreachable", message);
}

static void relay(struct cluster_state *state, const struct node_status *status, const struct pb_member_status *leader) {
    char headers[sizeof RELAY_HEADER + ID_MAX + 8];
    snprintf(headers, sizeof headers, RELAY_HEADER ": %.*s\r\n", (int)status->response.node.len,
             (const char *)status->response.node.data);
    struct fetch_request request = {
        .tls = leader->plaintext ? NULL : state->tls,
        .node = leader->id,
        .address = leader->http_address,
        .path = "/cluster-state",
        .headers = headers,
        .timeout_ms = HTTP_RELAY_TIMEOUT_MS,
        .body_max = HTTP_LISTS_BYTES_MAX - *state->bytes < HTTP_RELAY_BYTES_MAX ? HTTP_LISTS_BYTES_MAX - *state->bytes
                                                                                : HTTP_RELAY_BYTES_MAX,
    };
    state->fetch = fetch_start(state->loop, &request, relay_done, state);
}

// --- asking ---

static struct leadership leadership_of(const struct cluster_state *state, const struct node_status *status) {
    struct leadership of = {.term = status->response.term};
    struct slice id = page_leads(status) && !state->own ? status->response.node : status->response.leader;
    snprintf(of.leader, sizeof of.leader, "%.*s", (int)id.len, (const char *)id.data);
    return of;
}

static bool same_leadership(const struct leadership *a, const struct leadership *b) {
    return a->term == b->term && strcmp(a->leader, b->leader) == 0;
}

// NULL: none is known.
static const struct pb_member_status *leader_of(const struct node_status *status) {
    struct slice id = status->response.leader;
    for (size_t i = 0; id.len > 0 && i < status->response.members_count; i++) {
        if (slice_equal(status->members[i].id, id)) {
            return &status->members[i];
        }
    }
    return NULL;
}

// What is before the list of this node's own: whose it is, and of when.
static void append_whose(struct buf *out, const struct node_status *status, int64_t now_unix_ms) {
    buf_append_str(out, "{\"node\":");
    quote_json(out, status->response.node);
    buf_append_str(out, ",\"leader\":");
    if (status->response.leader.len == 0) {
        buf_append_str(out, "null");
    } else {
        quote_json(out, status->response.leader);
    }
    if (status->current_unix_ms == 0) {
        buf_append_str(out, ",\"as_of\":null,\"as_of_ago_ms\":null");
    } else {
        char text[RFC3339_SIZE];
        rfc3339_format(text, status->current_unix_ms);
        int64_t ago = now_unix_ms - status->current_unix_ms;
        buf_printf(out, ",\"as_of\":\"%s\",\"as_of_ago_ms\":%" PRId64, text, ago < 0 ? 0 : ago);
    }
    buf_printf(out, ",\"last_applied\":%" PRIu64 ",\"workers\":", status->response.last_applied);
}

// Begins a list for those who wait.
static void begin(struct cluster_state *state, const struct node_status *status) {
    assert(!state->making && state->waiting != NULL);
    bool leads = page_leads(status);
    const struct pb_member_status *leader = leader_of(status);
    if (!state->own && (leads ? !status->leader_ready : leader == NULL)) {
        fail(state, "leadership-changed", "leadership changed while the list was made; try again");
        return;
    }
    if (!fits(state, state->expected)) {
        fail_busy(state);
        return;
    }
    state->making = true;
    state->making_of = leadership_of(state, status);
    state->spent_ns = 0;
    state->place = (struct workers_place){.now_unix_ms = unix_ms_now()};
    if (leads || state->own) {
        buf_reserve(&state->body, state->expected + state->expected / 16);  // it would double
        if (state->own) {
            append_whose(&state->body, status, state->place.now_unix_ms);
        }
        render(state);
    } else {
        relay(state, status, leader);
    }
}

static void ask(struct cluster_state *state, struct exchange *exchange, const struct node_status *status) {
    struct leadership of = leadership_of(state, status);
    if (state->newest != NULL && same_leadership(&state->newest_of, &of) && uv_hrtime() < state->expires_ns) {
        state->newest->references++;
        exchange_reply_list(exchange, state->newest, state->newest->response);
        return;
    }
    forget_newest(state);
    if (state->making && !same_leadership(&state->making_of, &of)) {
        fail(state, "leadership-changed", "leadership changed while the list was made; try again");
    }
    wait_for_list(state, exchange, state->making);
    if (!state->making) {
        begin(state, status);
    }
}

void page_cluster_state(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    bool leads = page_leads(&status);
    if (leads && !status.leader_ready) {
        reply_unavailable(exchange, "leader-not-ready", "this node was just elected and is catching up; try again");
    } else if (!leads && leader_of(&status) == NULL) {
        reply_unavailable(exchange, "no-leader", "this node knows no leader; an election may be under way; try again");
    } else if (!leads && exchange_request_header(exchange, RELAY_HEADER) != NULL) {
        reply_unavailable(exchange, "not-leader", "a relayed request came to a node that does not lead; try again");
    } else {
        ask(exchange->cluster_state, exchange, &status);
    }
}

void page_workers(struct exchange *exchange) {
    struct node_status status;
    exchange->source->status(exchange->source->user, &status);
    ask(exchange->own_workers, exchange, &status);
}
