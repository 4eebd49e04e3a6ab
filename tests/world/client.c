// Clients: client.h.
#include "client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baton/v1/control.pb.h"
#include "endpoints.h"
#include "host.h"
#include "ledger.h"
#include "small_sessions.h"
#include "wire/codec.h"
#include "world.h"

enum { CALL_MS = 3000, PAUSE_MAX_US = 20 * US_PER_MS, RETRY_US = 50 * US_PER_MS };
// Others write meanwhile, and its session may be evicted (small_sessions.h).
enum { NEW_SESSION = 8, REST = 60, REST_MAX_US = 2000 * US_PER_MS };

enum call_kind { PUT, COMPARE, DELETE, GET, GET_FOLLOWER, LIST, LIST_FOLLOWER, KINDS };

struct client {
    int host;
    bool watcher;
    struct endpoints nodes;
    uv_loop_t *loop;
    char id[16];
    unsigned sessions;  // that it has begun anew
    uint64_t unread;    // so many results it has not acknowledged
    uint64_t sequence;
    // The call under way.
    bool busy;
    enum call_kind kind;
    unsigned key;
    uint64_t value;
    struct floors floors;
    uint64_t revisions[KEYS];  // as it has seen them last
    enum rpc_status answered;  // last
    struct buf request;
    // The list under way.
    unsigned limit;
    unsigned from;     // the first key of the next page
    uint64_t list_at;  // 0: the first page
    // The watch.
    size_t place;
    uint64_t place_of;       // the generation
    uint64_t next_revision;  // 0: from now
};

static struct client clients[CLIENTS_MAX];
static int client_count;
static bool stopping, closed;
static uint64_t values, ended, watched;

static void begin(void *a, uint64_t b);
static void send_call(void *a, uint64_t b);

static void on_loop(void *a, uint64_t b) {
    struct client *c = a;
    if (!closed) {
        loop_post(c->loop, b == 0 ? begin : send_call, c, 0);
    }
}

static void later(struct client *c, uint64_t after_us, bool again) {
    world_at(world_now() + after_us, on_loop, c, again);
}

// --- calls ---

static void encode(struct client *c) {
    char key[16];
    char value[24];
    key_name(c->key, key);
    snprintf(value, sizeof value, "%llu", (unsigned long long)c->value);
    struct pb_session session = {
        .client_id = slice_of_str(c->id), .sequence = c->sequence, .acknowledged_below = c->sequence - c->unread};
    buf_clear(&c->request);
    switch (c->kind) {
    case PUT:
    case COMPARE:
        pb_encode(&pb_put_request_type,
                  &(struct pb_put_request){.key = slice_of_str(key),
                                           .value = slice_of_str(value),
                                           .has_expected_revision = c->kind == COMPARE,
                                           .expected_revision = c->revisions[c->key],
                                           .has_session = true,
                                           .session = session},
                  &c->request);
        break;
    case DELETE:
        pb_encode(&pb_delete_request_type,
                  &(struct pb_delete_request){.key = slice_of_str(key), .has_session = true, .session = session},
                  &c->request);
        break;
    case LIST:
    case LIST_FOLLOWER:
        key_name(c->from - 1, key);
        pb_encode(&pb_list_request_type,
                  &(struct pb_list_request){.prefix = slice_of_str("k/"),
                                            .start_after = c->from == 0 ? slice_of(NULL, 0) : slice_of_str(key),
                                            .limit = c->limit,
                                            .follower = c->kind == LIST_FOLLOWER,
                                            .at = c->list_at},
                  &c->request);
        break;
    default:
        pb_encode(&pb_get_request_type,
                  &(struct pb_get_request){.key = slice_of_str(key), .follower = c->kind == GET_FOLLOWER}, &c->request);
        break;
    }
}

static bool is_list(const struct client *c) {
    return c->kind == LIST || c->kind == LIST_FOLLOWER;
}

static bool is_write(const struct client *c) {
    return c->kind == PUT || c->kind == COMPARE || c->kind == DELETE;
}

static void begin_session(struct client *c) {
    snprintf(c->id, sizeof c->id, "%.4s-%u", host_of(c->host)->name, ++c->sessions);
    c->sequence = 0;
}

static void end_call(struct client *c) {
    c->busy = false;
    ended++;
    later(c, world_between(0, world_chance(REST) ? REST_MAX_US : PAUSE_MAX_US), false);
}

static void list_anew(struct client *c) {
    c->from = 0;
    c->list_at = 0;
    encode(c);
}

// True: there is a next page.
static bool take_page(struct client *c, struct slice body) {
    struct arena arena = {0};
    struct pb_list_response listed;
    if (pb_decode(&arena, &pb_list_response_type, body, &listed, NULL) != OK) {
        world_broken("a list does not decode");
    }
    if (c->list_at != 0 && listed.read_index != c->list_at) {
        world_broken("a list's page is of entry %llu, and the first one was of %llu", (unsigned long long)listed.read_index,
                     (unsigned long long)c->list_at);
    }
    unsigned next = ledger_listed(network_generation(), c->from, listed.items, listed.items_count, listed.more,
                                  listed.read_index, &c->floors);
    bool more = listed.more;
    c->from = next;
    c->list_at = listed.read_index;
    arena_free(&arena);
    return more;
}

static void take_answer(struct client *c, const struct rpc_result *result) {
    struct pb_put_response put;
    struct pb_delete_response deleted;
    struct pb_get_response got;
    if (is_list(c)) {
        if (take_page(c, result->body)) {
            encode(c);
            later(c, 0, true);
            return;
        }
    } else if (c->kind == DELETE && pb_decode(NULL, &pb_delete_response_type, result->body, &deleted, NULL) == OK) {
        c->revisions[c->key] = 0;
        ledger_wrote(network_generation(), c->key, 0, deleted.revision, &c->floors);
    } else if (is_write(c) && pb_decode(NULL, &pb_put_response_type, result->body, &put, NULL) == OK) {
        c->revisions[c->key] = put.revision;
        ledger_wrote(network_generation(), c->key, c->value, put.revision, &c->floors);
    } else if (pb_decode(NULL, &pb_get_response_type, result->body, &got, NULL) == OK) {
        c->revisions[c->key] = got.revision;
        ledger_read(network_generation(), c->key, got.value, got.revision, got.read_index, &c->floors);
    } else {
        world_broken("an answer does not decode");
    }
    end_call(c);
}

// Once all is mended, a call has to end: with what will never come back it would wait for each of its deadlines.
static void go_to_next(struct client *c) {
    do {
        endpoints_next(&c->nodes);
    } while (stopping && host_of(c->nodes.guess)->lost);
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct client *c = user;
    (void)tag;
    if (closed) {
        return;
    }
    world_note((uint64_t)result->status << 32 | (uint64_t)c->host);
    c->answered = result->status;
    switch (result->status) {
    case RPC_OK:
        take_answer(c, result);
        return;
    case RPC_NOT_FOUND:
        c->revisions[c->key] = 0;
        ledger_read_nothing(network_generation(), c->key, &c->floors);
        end_call(c);
        return;
    case RPC_ABORTED:
        c->revisions[c->key] = 0;
        if (slice_equal(rpc_result_trailer(result, "baton-reason"), slice_of_str("session-expired"))) {
            ledger_expired(network_generation(), slice_of_str(c->id), c->sequence);
            begin_session(c);
        }
        end_call(c);
        return;
    case RPC_FAILED_PRECONDITION:
        if (!endpoints_follow(&c->nodes, rpc_result_trailer(result, "baton-leader-address"))) {
            go_to_next(c);
        }
        break;
    case RPC_OUT_OF_RANGE:
        break;
    case RPC_INVALID_ARGUMENT:
    case RPC_UNIMPLEMENTED:
    case RPC_INTERNAL:
        world_broken("a call ends with %s: %.*s", rpc_status_name(result->status), (int)result->message.len,
                     (const char *)result->message.data);
    default:
        go_to_next(c);
        break;
    }
    if (is_list(c)) {
        list_anew(c);  // the pages must be of one node
    }
    later(c, RETRY_US, true);
}

static void send_call(void *a, uint64_t b) {
    struct client *c = a;
    (void)b;
    if (closed) {
        return;
    }
    const struct pb_method *method = c->kind == DELETE ? &pb_control_service_delete
                                     : is_write(c)     ? &pb_control_service_put
                                     : is_list(c)      ? &pb_control_service_list
                                                       : &pb_control_service_get;
    if (!is_write(c) && c->list_at == 0) {
        c->floors = ledger_floors();
    }
    rpc_channel_call(endpoints_channel(&c->nodes), &(struct rpc_request){.path = method->path,
                                                                         .body = buf_slice(&c->request),
                                                                         .timeout_ms = CALL_MS,
                                                                         .wait_for_ready = true,
                                                                         .user = c,
                                                                         .on_done = on_done});
}

static void begin(void *a, uint64_t b) {
    struct client *c = a;
    (void)b;
    if (stopping || closed) {
        return;
    }
    c->busy = true;
    c->kind = (enum call_kind)world_between(0, KINDS - 1);
    c->key = (unsigned)world_between(0, KEYS - 1);
    c->value = ++values;
    c->floors = ledger_floors();
    if (is_write(c)) {
        if (world_chance(NEW_SESSION)) {
            begin_session(c);
        }
        c->sequence++;
        c->unread = world_between(0, c->sequence < SESSION_RESULTS_MAX ? c->sequence - 1 : SESSION_RESULTS_MAX - 1);
    }
    if (c->kind == GET_FOLLOWER || c->kind == LIST_FOLLOWER) {
        endpoints_next(&c->nodes);
    }
    c->limit = (unsigned)world_between(1, KEYS);
    c->from = 0;
    c->list_at = 0;
    encode(c);
    send_call(c, 0);
}

// --- watches ---

static void watch(struct client *c);

static void watch_again(void *a, uint64_t b) {
    (void)b;
    if (!closed) {
        watch(a);
    }
}

static void post_watch(void *a, uint64_t b) {
    struct client *c = a;
    if (!closed) {
        loop_post(c->loop, watch_again, c, b);
    }
}

static void on_message(void *user, uint64_t tag, struct slice message) {
    struct client *c = user;
    struct arena arena = {0};
    struct pb_watch_response response;
    (void)tag;
    if (pb_decode(&arena, &pb_watch_response_type, message, &response, NULL) != OK) {
        world_broken("a watch's answer does not decode");
    }
    uint64_t generation = network_generation();
    c->place = c->place == SIZE_MAX ? SIZE_MAX : ledger_move(c->place, c->next_revision, c->place_of, generation);
    c->place_of = generation;
    for (size_t i = 0; i < response.events_count; i++) {
        const struct pb_watch_event *event = &response.events[i];
        ledger_watched(generation, &c->place, event->key, event->value, event->type != 0, event->revision);
        c->next_revision = event->revision + 1;
        watched++;
    }
    if (response.events_count == 0 && response.revision > 0) {
        c->next_revision = response.revision + 1;
        size_t place = ledger_place(generation, c->next_revision);
        if (c->place != SIZE_MAX && place > c->place) {
            world_broken("a watch is told that it is at %llu, but not the changes before",
                         (unsigned long long)response.revision);
        }
        c->place = place;
    }
    arena_free(&arena);
}

static void watch_ended(void *user, uint64_t tag, const struct rpc_result *result) {
    struct client *c = user;
    (void)tag;
    if (result->status == RPC_OUT_OF_RANGE) {
        c->next_revision = 0;
        c->place = SIZE_MAX;
    }
    world_at(world_now() + RETRY_US, post_watch, c, 0);
}

static void watch(struct client *c) {
    endpoints_next(&c->nodes);
    struct pb_watch_request request = {
        .prefix = slice_of_str("k/"), .has_from_revision = c->next_revision > 0, .from_revision = c->next_revision};
    buf_clear(&c->request);
    pb_encode(&pb_watch_request_type, &request, &c->request);
    rpc_channel_call(endpoints_channel(&c->nodes), &(struct rpc_request){.path = pb_control_service_watch.path,
                                                                         .body = buf_slice(&c->request),
                                                                         .user = c,
                                                                         .on_done = watch_ended,
                                                                         .on_message = on_message});
}

// --- life ---

static void start(void *user, uv_loop_t *loop) {
    struct client *c = user;
    c->loop = loop;
    endpoints_open(&c->nodes, loop);
    endpoints_next(&c->nodes);
    if (c->watcher) {
        watch(c);
    } else {
        begin(c, 0);
    }
}

void client_start(int host, bool watcher) {
    if (client_count == 0) {
        values = ended = watched = 0;
    }
    assert(client_count < CLIENTS_MAX);
    struct client *c = &clients[client_count++];
    *c = (struct client){.host = host, .watcher = watcher, .place = SIZE_MAX};
    snprintf(c->id, sizeof c->id, "%s", host_of(host)->name);
    host_run_client(host, start, c);
}

void clients_stop(void) {
    stopping = true;
}

bool clients_are_idle(void) {
    for (int i = 0; i < client_count; i++) {
        if (clients[i].busy) {
            return false;
        }
    }
    return true;
}

void clients_explain(void) {
    for (int i = 0; i < client_count; i++) {
        const struct client *c = &clients[i];
        if (c->busy) {
            fprintf(stderr, "%s: call of kind %d to %s has not ended; the last answer was %s\n", host_of(c->host)->name,
                    (int)c->kind, host_of(c->nodes.guess)->name, rpc_status_name(c->answered));
        }
    }
}

static void close_client(void *a, uint64_t b) {
    struct client *c = a;
    (void)b;
    endpoints_close(&c->nodes);
}

void clients_close(void) {
    closed = true;
    for (int i = 0; i < client_count; i++) {
        loop_post(clients[i].loop, close_client, &clients[i], 0);
    }
}

void clients_leave(void) {
    for (int i = 0; i < client_count; i++) {
        loop_leave(clients[i].loop);
    }
}

void clients_reset(void) {
    for (int i = 0; i < client_count; i++) {
        endpoints_free(&clients[i].nodes);
        buf_free(&clients[i].request);
    }
    client_count = 0;
    stopping = closed = false;
}

uint64_t clients_ended(void) {
    return ended;
}

uint64_t clients_watched(void) {
    return watched;
}
