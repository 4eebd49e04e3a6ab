// Calls to the cluster. Each call runs the loop until it has its answer: commands are sequential and need no callbacks of
// their own.
#include "ctl/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/mem.h"
#include "ctl/output.h"

enum {
    CONNECT_MS = 1000,     // to one endpoint before the next is tried: 20 round trips between the clouds
    ATTEMPT_MS = 2000,     // of a call that may be retried: leaves time to find a stopped leader's successor
    ROUND_PAUSE_MS = 100,  // after all endpoints have failed
    KEEPALIVE_MS = 5000,
};

// A call's result, copied in its callback.
struct reply {
    bool ended;
    enum rpc_status status;
    bool maybe_processed;
    bool answered;
    bool unknown;      // the trailer baton-outcome: unknown
    uint64_t wait_ms;  // the node wants to be asked again after so long, at the earliest; 0: it does not say
    struct buf body;
    struct buf message;  // this and the following are NUL-terminated
    struct buf leader_address;
    struct buf reason;
};

// A node's address, and the channel to it.
struct target {
    char address[ADDRESS_MAX + 1];  // "": unused
    struct rpc_channel *channel;    // NULL: none
    bool up;
    bool down;  // an attempt has failed since the client has waited for it
};

// The endpoints, the members that have been learned, and the leaders that nodes have named.
enum { TARGETS_MAX = CTL_ENDPOINTS_MAX + 2 * MEMBERS_MAX };

struct ctl_client {
    uv_loop_t loop;
    uv_timer_t timer;  // wakes the loop at a deadline
    struct rpc_runtime *runtime;
    const struct ctl_endpoints *endpoints;
    struct tls *tls;  // NULL: plaintext
    uint64_t timeout_ms;
    size_t next;      // the target to try next, of those that are known
    size_t failures;  // attempts since the last pause
    struct target targets[TARGETS_MAX];
    size_t known;            // the first so many targets: the endpoints, then members
    size_t learned;          // members so far, who take turns in their targets
    size_t next_leader;      // the target after the known ones that a new leader takes
    struct target *current;  // NULL: none chosen
    char failure[384];       // why the last connection failed; "": unknown, or no node there
    struct reply reply;
    // Of a stream; NULL: a unary call.
    void (*on_message)(void *user, struct slice message);
    void *user;
    struct rpc_ticket ticket;
};

// --- time ---

static uint64_t now_ms(void) {
    return uv_hrtime() / 1000000;
}

static void on_timer(uv_timer_t *timer) {
    (void)timer;  // its only purpose is to wake the loop
}

// Runs one turn of the loop, waiting at most until `until_ms`. False: that time has passed.
static bool turn(struct ctl_client *client, uint64_t until_ms) {
    uint64_t now = now_ms();
    if (now >= until_ms) {
        return false;
    }
    uv_update_time(&client->loop);
    uv_timer_start(&client->timer, on_timer, until_ms - now, 0);
    uv_run(&client->loop, UV_RUN_ONCE);
    return true;
}

void ctl_pause(struct ctl_client *client, uint64_t ms) {
    uint64_t until = now_ms() + ms;
    while (turn(client, until))
        ;
}

// --- beginning and end ---

struct ctl_client *ctl_client_new(const struct ctl_endpoints *endpoints, struct tls *tls, uint64_t timeout_ms) {
    struct ctl_client *client = mem_zalloc(sizeof *client);
    assert(endpoints->count > 0);
    client->endpoints = endpoints;
    client->tls = tls;
    client->timeout_ms = timeout_ms;
    for (size_t i = 0; i < endpoints->count; i++) {
        memcpy(client->targets[i].address, endpoints->addresses[i], sizeof client->targets[i].address);
    }
    client->known = endpoints->count;
    uv_loop_init(&client->loop);
    uv_timer_init(&client->loop, &client->timer);
    client->runtime = rpc_runtime_new(&client->loop, NULL);
    return client;
}

static void disconnect(struct target *target) {
    if (target->channel != NULL) {
        rpc_channel_close(target->channel);
        target->channel = NULL;
        target->up = false;
    }
}

static void reply_free(struct reply *reply) {
    buf_free(&reply->body);
    buf_free(&reply->message);
    buf_free(&reply->leader_address);
    buf_free(&reply->reason);
}

void ctl_client_free(struct ctl_client *client) {
    for (size_t i = 0; i < TARGETS_MAX; i++) {
        disconnect(&client->targets[i]);
    }
    rpc_runtime_close(client->runtime);
    uv_close((uv_handle_t *)&client->timer, NULL);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    uv_loop_close(&client->loop);
    reply_free(&client->reply);
    free(client);
}

bool ctl_has_tls(const struct ctl_client *client) {
    return client->tls != NULL;
}

// --- the connection ---

static void on_up(void *user) {
    struct target *target = user;
    target->up = true;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct target *target = user;
    (void)reason;
    target->up = false;
    target->down = true;
}

// Why there is no connection; "": nothing accepts connections there. The HTTP port, and a node with certificates that is
// spoken to in plaintext, close the connection at once.
static const char *why_down(const struct ctl_client *client, const struct rpc_channel *channel) {
    const char *failure = rpc_channel_failure(channel);
    if (failure[0] != '\0' || !rpc_channel_hung_up(channel)) {
        return failure;
    }
    return client->tls != NULL ? "no gRPC is spoken there; a node's port for HTTP is another"
                               : "no gRPC is spoken there in plaintext; a node that has certificates wants --tls-cert, "
                                 "--tls-key and --tls-ca, and its port for HTTP is another";
}

// Leaves the current target. A connection is closed; an attempt goes on, since looking up a name may take longer than this
// client waits for one node, and the next round profits from it.
static void leave(struct ctl_client *client) {
    if (client->current != NULL && client->current->up) {
        disconnect(client->current);
    }
    client->current = NULL;
}

// The target of that address, or the one that takes it.
static struct target *target_of(struct ctl_client *client, const char *address) {
    for (size_t i = 0; i < TARGETS_MAX; i++) {
        if (strcmp(client->targets[i].address, address) == 0) {
            return &client->targets[i];
        }
    }
    struct target *target = &client->targets[CTL_ENDPOINTS_MAX + MEMBERS_MAX + client->next_leader++ % MEMBERS_MAX];
    disconnect(target);
    snprintf(target->address, sizeof target->address, "%s", address);
    return target;
}

static void retarget(struct ctl_client *client, const char *address) {
    leave(client);
    client->current = target_of(client, address);
}

void ctl_learn(struct ctl_client *client, struct slice address) {
    char text[ADDRESS_MAX + 1];
    if (address_check(address, "address", NULL) != OK) {
        return;
    }
    snprintf(text, sizeof text, "%.*s", (int)address.len, (const char *)address.data);
    for (size_t i = 0; i < client->known; i++) {
        if (strcmp(client->targets[i].address, text) == 0) {
            return;
        }
    }
    struct target *target = &client->targets[client->endpoints->count + client->learned++ % MEMBERS_MAX];
    if (target == client->current) {
        leave(client);
    }
    disconnect(target);
    memcpy(target->address, text, sizeof text);
    client->known += client->learned <= MEMBERS_MAX;
}

void ctl_begin_with(struct ctl_client *client, struct slice address) {
    char text[ADDRESS_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)address.len, (const char *)address.data);
    retarget(client, text);
}

void ctl_next_endpoint(struct ctl_client *client) {
    leave(client);
    if (++client->failures >= client->known) {
        client->failures = 0;
        ctl_pause(client, ROUND_PAUSE_MS);
    }
}

static void connect_target(struct ctl_client *client, struct target *target) {
    if (target->channel != NULL) {
        rpc_channel_wake(target->channel);  // an earlier attempt goes on, or begins again at once
        return;
    }
    struct rpc_channel_options options = {
        .target = target->address,
        .tls = client->tls,
        .keepalive_interval_ms = KEEPALIVE_MS,
        .keepalive_timeout_ms = KEEPALIVE_MS,
        .on_up = on_up,
        .on_down = on_down,
        .user = target,
    };
    target->channel = rpc_channel_new(client->runtime, &options);
}

// Connects to the chosen target, or to the next endpoint if none is chosen.
static bool connect_within(struct ctl_client *client, uint64_t until_ms) {
    if (client->current == NULL) {
        client->current = &client->targets[client->next++ % client->known];
    }
    struct target *target = client->current;
    if (target->up) {
        return true;
    }
    target->down = false;
    connect_target(client, target);
    while (!target->up && !target->down && turn(client, until_ms))
        ;
    snprintf(client->failure, sizeof client->failure, "%s", why_down(client, target->channel));
    return target->up;
}

// --- one attempt ---

static void copy_text(struct buf *out, struct slice text) {
    buf_clear(out);
    buf_append_slice(out, text);
    buf_append(out, "", 1);
}

// A number of milliseconds, or 0 for anything else.
static uint64_t read_wait(struct slice text) {
    uint64_t ms = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || ms > UINT32_MAX) {
            return 0;
        }
        ms = ms * 10 + (uint64_t)(text.data[i] - '0');
    }
    return ms;
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct ctl_client *client = user;
    struct reply *reply = &client->reply;
    (void)tag;
    reply->ended = true;
    reply->status = result->status;
    reply->maybe_processed = result->maybe_processed;
    reply->answered = result->answered;
    reply->unknown = slice_equal(rpc_result_trailer(result, "baton-outcome"), slice_of_str("unknown"));
    reply->wait_ms = read_wait(rpc_result_trailer(result, "grpc-retry-pushback-ms"));
    buf_clear(&reply->body);
    buf_append_slice(&reply->body, result->body);
    // For people: what a server says must not reach a terminal as commands.
    buf_clear(&reply->message);
    text_for_terminal(&reply->message, result->message, SIZE_MAX);
    buf_append(&reply->message, "", 1);
    copy_text(&reply->leader_address, rpc_result_trailer(result, "baton-leader-address"));
    copy_text(&reply->reason, rpc_result_trailer(result, "baton-reason"));
}

static void on_stream_message(void *user, uint64_t tag, struct slice message) {
    struct ctl_client *client = user;
    (void)tag;
    client->on_message(client->user, message);
}

static void attempt(struct ctl_client *client, const char *path, struct slice request, uint64_t timeout_ms) {
    struct rpc_request call = {
        .path = path,
        .body = request,
        .timeout_ms = timeout_ms,
        .user = client,
        .on_done = on_done,
        .on_message = client->on_message == NULL ? NULL : on_stream_message,
    };
    client->reply.ended = false;
    client->ticket = rpc_channel_call(client->current->channel, &call);
    while (!client->reply.ended) {
        turn(client, now_ms() + KEEPALIVE_MS);  // the call has its own deadline
    }
}

// --- a call ---

enum verdict { DONE, REDIRECTED, RETRY, LATER };

// What to do after an attempt. Sets *unknown once the write may have been applied although no result was received.
static enum verdict judge(const struct reply *reply, enum ctl_need need, bool *unknown) {
    if (reply->status == RPC_OK) {
        return DONE;
    }
    if (reply->status == RPC_FAILED_PRECONDITION && reply->leader_address.len > 1 &&
        address_check(slice_of(reply->leader_address.data, reply->leader_address.len - 1), "leader", NULL) == OK) {
        return REDIRECTED;
    }
    if (reply->status == RPC_RESOURCE_EXHAUSTED && reply->wait_ms > 0) {
        return LATER;  // nothing was done
    }
    bool is_write = need == CTL_WRITE || need == CTL_WRITE_ONCE;
    bool late = reply->status == RPC_DEADLINE_EXCEEDED;
    if (is_write && (reply->unknown || (reply->maybe_processed && (!reply->answered || late)))) {
        *unknown = true;
    }
    if (need == CTL_WRITE_ONCE && *unknown) {
        return DONE;
    }
    return late || reply->status == RPC_UNAVAILABLE ? RETRY : DONE;
}

static enum ctl_exit finish(const struct ctl_client *client, bool unknown, struct slice *answer, struct error *error) {
    const struct reply *reply = &client->reply;
    const char *message = (const char *)reply->message.data;
    if (reply->status == RPC_OK) {
        *answer = buf_slice(&reply->body);
        return CTL_OK;
    }
    if (reply->status == RPC_NOT_FOUND) {
        error_set(error, ERR_INVALID, "%s", message);
        return CTL_NOT_FOUND;
    }
    if (reply->unknown || unknown) {
        error_set(error, ERR_UNAVAILABLE, "outcome unknown: %s", message);
        return CTL_UNKNOWN;
    }
    error_set(error, ERR_INVALID, "%s (%s, from %s)", message, rpc_status_name(reply->status), client->current->address);
    return CTL_FAILED;
}

enum ctl_exit ctl_unreachable(const struct ctl_client *client, struct error *error) {
    const struct ctl_endpoints *endpoints = client->endpoints;
    struct buf list = {.len = 0};
    for (size_t i = 0; i < endpoints->count; i++) {
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", endpoints->addresses[i]);
    }
    buf_append(&list, "", 1);
    if (client->failure[0] == '\0') {
        error_set(error, ERR_UNAVAILABLE, "no node answers at %s (from %s); is the cluster running there?",
                  (const char *)list.data, endpoints->source);
    } else {
        error_set(error, ERR_UNAVAILABLE, "no connection to %s (from %s): %s", (const char *)list.data, endpoints->source,
                  client->failure);
    }
    buf_free(&list);
    return CTL_UNREACHABLE;
}

static enum ctl_exit give_up(const struct ctl_client *client, bool reached, bool unknown, struct error *error) {
    const char *message = (const char *)client->reply.message.data;
    double seconds = (double)client->timeout_ms / 1000;
    if (unknown) {
        error_set(error, ERR_UNAVAILABLE,
                  "outcome unknown: an attempt within these %g s may have been applied, so read before you retry; the last "
                  "one ended with \"%s\"",
                  seconds, message);
        return CTL_UNKNOWN;
    }
    if (reached) {
        error_set(error, ERR_UNAVAILABLE, "not done within %g s: %s", seconds, message);
        return CTL_FAILED;
    }
    return ctl_unreachable(client, error);
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

enum ctl_exit ctl_call(struct ctl_client *client, enum ctl_need need, const char *path, struct slice request,
                       struct slice *answer, struct error *error) {
    uint64_t until = now_ms() + client->timeout_ms;
    bool reached = false;
    bool unknown = false;
    client->on_message = NULL;
    for (uint64_t now = now_ms(); now < until; now = now_ms()) {
        if (!connect_within(client, least(until, now + CONNECT_MS))) {
            ctl_next_endpoint(client);
            continue;
        }
        uint64_t left = until - least(until, now_ms());
        if (left == 0) {
            break;
        }
        attempt(client, path, request, need == CTL_WRITE_ONCE ? left : least(left, ATTEMPT_MS));
        reached = reached || client->reply.answered;
        switch (judge(&client->reply, need, &unknown)) {
        case DONE:
            return finish(client, unknown, answer, error);
        case REDIRECTED:
            // Followed at once, but with pauses, so that nodes with stale views cannot send us in a tight loop.
            if (++client->failures % 4 == 0) {
                ctl_pause(client, ROUND_PAUSE_MS);
            }
            retarget(client, (const char *)client->reply.leader_address.data);
            break;
        case RETRY:
            ctl_next_endpoint(client);
            break;
        case LATER:
            ctl_pause(client, least(client->reply.wait_ms, until - least(until, now_ms())));
            break;
        }
    }
    return give_up(client, reached, unknown, error);
}

// --- a stream ---

bool ctl_stream(struct ctl_client *client, const char *path, struct slice request,
                void (*on_message)(void *user, struct slice message), void *user) {
    uint64_t until = now_ms() + client->timeout_ms;
    while (!connect_within(client, least(until, now_ms() + CONNECT_MS))) {
        ctl_next_endpoint(client);
        if (now_ms() >= until) {
            return false;
        }
    }
    client->failures = 0;
    client->on_message = on_message;
    client->user = user;
    attempt(client, path, request, 0);
    return true;
}

void ctl_stop(struct ctl_client *client) {
    assert(client->current != NULL && !client->reply.ended);
    rpc_channel_cancel(client->current->channel, client->ticket);
}

struct ctl_end ctl_ended(const struct ctl_client *client) {
    return (struct ctl_end){
        .status = client->reply.status,
        .message = (const char *)client->reply.message.data,
        .reason = (const char *)client->reply.reason.data,
        .address = client->current->address,
    };
}

// --- many at once ---

struct asked {
    struct ctl_client *client;
    struct ctl_probe *probe;
    struct rpc_channel *channel;
    bool settled;  // the probe has its answer or error
    bool ended;    // no further callback will come
};

static void settle(struct asked *asked, bool answered, const char *why) {
    if (asked->settled) {
        return;
    }
    asked->settled = true;
    asked->probe->answered = answered;
    copy_text(&asked->probe->why, slice_of_str(why));
}

// A reason that one of the nodes gives says more than that none answers.
static void note_failure(struct ctl_client *client, const char *failure) {
    if (failure[0] != '\0') {
        snprintf(client->failure, sizeof client->failure, "%s", failure);
    }
}

static void probe_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct asked *asked = user;
    (void)tag;
    asked->ended = true;
    if (!asked->settled) {
        buf_append_slice(&asked->probe->answer, result->body);
        copy_text(&asked->probe->message, result->message);
    }
    settle(asked, result->status == RPC_OK, rpc_status_name(result->status));
}

static void probe_down(void *user, enum rpc_down_reason reason) {
    struct asked *asked = user;
    const char *failure = rpc_channel_failure(asked->channel);
    bool refused = reason == RPC_DOWN_REFUSED;
    if (!asked->settled) {
        note_failure(asked->client, why_down(asked->client, asked->channel));
    }
    settle(asked, false,
           failure[0] != '\0'                    ? failure
           : rpc_channel_hung_up(asked->channel) ? "speaks no gRPC"
           : refused                             ? "cannot connect"
                                                 : "the connection was lost");
}

static void ask(struct ctl_client *client, const char *path, uint64_t timeout_ms, struct asked *asked) {
    struct rpc_channel_options options = {
        .target = asked->probe->address,
        .tls = client->tls,
        .on_down = probe_down,
        .user = asked,
    };
    asked->channel = rpc_channel_new(client->runtime, &options);
    struct rpc_request call = {
        .path = path,
        .timeout_ms = timeout_ms,
        .wait_for_ready = true,
        .user = asked,
        .on_done = probe_done,
    };
    rpc_channel_call(asked->channel, &call);
}

static bool any_left(const struct asked *asked, size_t count, bool settled) {
    for (size_t i = 0; i < count; i++) {
        if (!(settled ? asked[i].settled : asked[i].ended)) {
            return true;
        }
    }
    return false;
}

void ctl_ask_all(struct ctl_client *client, const char *path, struct ctl_probe *probes, size_t count, uint64_t timeout_ms) {
    struct asked *asked = mem_zalloc((count + 1) * sizeof *asked);
    uint64_t until = now_ms() + timeout_ms;
    for (size_t i = 0; i < count; i++) {
        asked[i].client = client;
        asked[i].probe = &probes[i];
        ask(client, path, timeout_ms, &asked[i]);
    }
    while (any_left(asked, count, true) && turn(client, until))
        ;
    for (size_t i = 0; i < count; i++) {
        const char *failure = rpc_channel_failure(asked[i].channel);
        settle(&asked[i], false, failure[0] != '\0' ? failure : "no answer in time");
        rpc_channel_close(asked[i].channel);
    }
    while (any_left(asked, count, false)) {  // pending calls end with their channels
        turn(client, now_ms() + KEEPALIVE_MS);
    }
    free(asked);
}

void ctl_probes_free(struct ctl_probe *probes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_free(&probes[i].answer);
        buf_free(&probes[i].why);
        buf_free(&probes[i].message);
    }
}
