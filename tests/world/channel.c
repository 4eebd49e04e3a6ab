// Channels of rpc/rpc.h over the simulated network.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"
#include "network.h"

enum {
    SYN_AGAIN_US = 1000 * US_PER_MS,  // a connection that is not answered is tried again
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 1000,
};

struct called {
    struct called *next;
    uint64_t number;
    struct rpc_request request;
    struct slice body;
    struct pairs metadata;
    bool sent;
};

struct rpc_channel {
    struct rpc_runtime *runtime;
    struct rpc_channel_options options;
    char target[ADDRESS_MAX + 1];
    struct connection *connection;
    enum { DOWN, CONNECTING, OPEN, UP } state;
    bool going;  // the server has said GOAWAY
    bool closed;
    uint64_t backoff_ms;
    uint64_t attempt;  // events of earlier ones are void
    struct called *calls;
    struct called **end;
    uint64_t numbers;
    size_t events;  // that are still to come
};

static void connect_now(struct rpc_channel *channel);

// --- events of the channel: they come on its loop ---

static void look_free(struct rpc_channel *channel) {
    if (channel->closed && channel->events == 0) {
        free(channel);
    }
}

struct event {
    struct rpc_channel *channel;
    void (*run)(struct rpc_channel *channel, uint64_t b);
    uint64_t b;
};

static void run_event(void *a, uint64_t b) {
    struct event event = *(struct event *)a;
    (void)b;
    free(a);
    event.run(event.channel, event.b);
    event.channel->events--;
    look_free(event.channel);
}

// The loop of a channel that was closed may be gone.
static void event_due(void *a, uint64_t b) {
    struct event *event = a;
    struct rpc_channel *channel = event->channel;
    if (channel->closed) {
        free(event);
        channel->events--;
        look_free(channel);
        return;
    }
    loop_post(event->channel->runtime->loop, run_event, event, b);
}

static void later(struct rpc_channel *channel, uint64_t after_us, void (*run)(struct rpc_channel *channel, uint64_t b),
                  uint64_t b) {
    struct event *event = mem_alloc(sizeof *event);
    *event = (struct event){channel, run, b};
    channel->events++;
    if (after_us == 0) {
        loop_post(channel->runtime->loop, run_event, event, 0);
    } else {
        world_at(world_now() + after_us, event_due, event, 0);
    }
}

// --- calls ---

static struct called **place_of(struct rpc_channel *channel, uint64_t number) {
    struct called **at = &channel->calls;
    while (*at != NULL && (*at)->number != number) {
        at = &(*at)->next;
    }
    return at;
}

static struct called *take_out(struct rpc_channel *channel, uint64_t number) {
    struct called **at = place_of(channel, number);
    struct called *call = *at;
    if (call != NULL) {
        *at = call->next;
        if (*at == NULL) {
            channel->end = at;
        }
    }
    return call;
}

static void give_result(struct called *call, const struct rpc_result *result) {
    call->request.on_done(call->request.user, call->request.tag, result);
    pairs_free(&call->metadata);
    free((uint8_t *)call->body.data);
    free(call);
}

static void fail(struct called *call, enum rpc_status status, const char *message) {
    static const struct pairs none;
    give_result(call,
                &(struct rpc_result){
                    .status = status, .message = slice_of_str(message), .maybe_processed = call->sent, .trailers = &none});
}

static void send_call(struct rpc_channel *channel, struct called *call) {
    struct frame *frame = frame_new(FRAME_REQUEST, call->number);
    frame->path = call->request.path;
    frame->timeout_ms = call->request.timeout_ms;
    for (size_t i = 0; i < call->metadata.count; i++) {
        pairs_add(&frame->pairs, call->metadata.key[i], call->metadata.value[i]);
    }
    frame_set_body(frame, call->body);
    call->sent = true;
    network_send(channel->connection, CLIENT, frame);
}

static bool may_send(const struct rpc_channel *channel) {
    return !channel->going && (channel->state == UP || (channel->state == OPEN && channel->options.on_open != NULL));
}

static void send_waiting(struct rpc_channel *channel) {
    for (struct called *call = channel->calls; call != NULL && may_send(channel); call = call->next) {
        if (!call->sent) {
            send_call(channel, call);
        }
    }
}

static void refuse(struct rpc_channel *channel, uint64_t number) {
    struct called *call = channel->closed ? NULL : take_out(channel, number);
    if (call != NULL) {
        fail(call, RPC_UNAVAILABLE, "not connected");
    }
}

static void lose(struct rpc_channel *channel, enum rpc_down_reason reason);

// A connection that received GOAWAY finishes its calls, and then another is made.
static void look_going(struct rpc_channel *channel) {
    bool busy = false;
    for (const struct called *call = channel->calls; call != NULL; call = call->next) {
        busy = busy || call->sent;
    }
    if (channel->connection != NULL && channel->going && !busy) {
        lose(channel, RPC_DOWN_GOAWAY);
    }
}

static void deadline(struct rpc_channel *channel, uint64_t number) {
    struct called *call = channel->closed ? NULL : take_out(channel, number);
    if (call == NULL) {
        return;
    }
    if (call->sent && channel->connection != NULL) {
        network_send(channel->connection, CLIENT, frame_new(FRAME_CANCEL, number));
    }
    fail(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
    if (!channel->closed) {
        look_going(channel);
    }
}

static struct called *new_call(struct rpc_channel *channel, const struct rpc_request *request) {
    struct called *call = mem_zalloc(sizeof *call);
    call->number = ++channel->numbers;
    call->request = *request;
    uint8_t *body = mem_alloc(request->body.len + 1);
    if (request->body.len > 0) {
        memcpy(body, request->body.data, request->body.len);
    }
    call->body = slice_of(body, request->body.len);
    for (size_t i = 0; request->metadata != NULL && request->metadata[i] != NULL; i += 2) {
        pairs_add(&call->metadata, request->metadata[i], slice_of_str(request->metadata[i + 1]));
    }
    *channel->end = call;
    channel->end = &call->next;
    return call;
}

struct rpc_ticket rpc_channel_call(struct rpc_channel *channel, const struct rpc_request *request) {
    struct called *call = new_call(channel, request);
    struct rpc_ticket ticket = {.index = (uint32_t)call->number, .generation = (uint32_t)(call->number >> 32) + 1};
    if (may_send(channel)) {
        send_call(channel, call);
    } else if (!request->wait_for_ready) {
        later(channel, 0, refuse, call->number);
    }
    if (request->timeout_ms > 0) {
        later(channel, request->timeout_ms * US_PER_MS, deadline, call->number);
    }
    return ticket;
}

static void cancelled(struct rpc_channel *channel, uint64_t number) {
    struct called *call = channel->closed ? NULL : take_out(channel, number);
    if (call != NULL) {
        fail(call, RPC_CANCELLED, "cancelled");
    }
}

void rpc_channel_cancel(struct rpc_channel *channel, struct rpc_ticket ticket) {
    uint64_t number = (uint64_t)(ticket.generation - 1) << 32 | ticket.index;
    struct called *call = *place_of(channel, number);
    if (ticket.generation == 0 || call == NULL) {
        return;
    }
    if (call->sent && channel->connection != NULL) {
        network_send(channel->connection, CLIENT, frame_new(FRAME_CANCEL, number));
    }
    later(channel, 0, cancelled, number);
}

// --- the connection ---

static void attempt_again(struct rpc_channel *channel, uint64_t attempt) {
    if (!channel->closed && channel->state == DOWN && channel->attempt == attempt) {
        connect_now(channel);
    }
}

// Loses the connection: on_down first, then the results of the calls that were on it.
static void lose(struct rpc_channel *channel, enum rpc_down_reason reason) {
    if (channel->connection != NULL) {
        network_close(channel->connection, CLIENT);
        channel->connection = NULL;
    }
    channel->state = DOWN;
    channel->going = false;
    uint64_t attempt = ++channel->attempt;
    uint64_t wait_ms = channel->backoff_ms;
    uint64_t max_ms = channel->options.backoff_max_ms == 0 ? BACKOFF_MAX_MS : channel->options.backoff_max_ms;
    channel->backoff_ms = wait_ms == 0 ? BACKOFF_FIRST_MS : wait_ms * 2 < max_ms ? wait_ms * 2 : max_ms;
    later(channel, wait_ms == 0 ? 1 : world_between(wait_ms / 2, wait_ms) * US_PER_MS, attempt_again, attempt);
    uint64_t last = channel->numbers;
    if (channel->options.on_down != NULL) {
        channel->options.on_down(channel->options.user, reason);
    }
    for (struct called **at = &channel->calls; *at != NULL && !channel->closed;) {
        struct called *call = *at;
        if (!call->sent || call->number > last) {
            at = &call->next;
            continue;
        }
        uint64_t number = call->number;
        take_out(channel, number);
        fail(call, RPC_UNAVAILABLE, "the connection was lost");
        at = &channel->calls;
    }
}

static void on_gone(void *owner, struct connection *connection, bool refused) {
    struct rpc_channel *channel = owner;
    if (connection == channel->connection) {
        channel->connection = NULL;
        bool was_going = channel->going;
        lose(channel, refused ? RPC_DOWN_REFUSED : was_going ? RPC_DOWN_GOAWAY : RPC_DOWN_RESET);
    }
}

static void watch_silence(struct rpc_channel *channel, uint64_t attempt) {
    if (channel->closed || channel->connection == NULL || channel->attempt != attempt || channel->state < OPEN) {
        return;
    }
    uint64_t silent_ms = (world_now() - network_heard_us(channel->connection, CLIENT)) / US_PER_MS;
    uint64_t interval_ms = channel->options.keepalive_interval_ms;
    if (silent_ms >= interval_ms + channel->options.keepalive_timeout_ms) {
        lose(channel, RPC_DOWN_KEEPALIVE);
        return;
    }
    if (silent_ms >= interval_ms) {
        network_send(channel->connection, CLIENT, frame_new(FRAME_PING, 0));
    }
    later(channel, interval_ms * US_PER_MS / 2, watch_silence, attempt);
}

static void on_open(void *owner) {
    struct rpc_channel *channel = owner;
    if (channel->state != CONNECTING) {
        return;
    }
    channel->state = OPEN;
    if (channel->options.keepalive_interval_ms > 0) {
        later(channel, channel->options.keepalive_interval_ms * US_PER_MS / 2, watch_silence, channel->attempt);
    }
    if (channel->options.on_open != NULL) {
        channel->options.on_open(channel->options.user);
        send_waiting(channel);
    }
}

static void take_end(struct rpc_channel *channel, struct frame *frame) {
    struct called *call = take_out(channel, frame->call);
    if (call == NULL) {
        return;
    }
    give_result(call, &(struct rpc_result){.status = frame->status,
                                           .message = slice_of_str(frame->text == NULL ? "" : frame->text),
                                           .body = frame->body,
                                           .maybe_processed = true,
                                           .answered = true,
                                           .trailers = &frame->pairs});
}

static void on_frame(void *owner, struct connection *connection, struct frame *frame) {
    struct rpc_channel *channel = owner;
    if (channel->connection != connection) {
        return;
    }
    struct called *call;
    switch (frame->type) {
    case FRAME_SETTINGS:
        on_open(channel);  // its first frame may come before we hear that it is open
        channel->state = UP;
        channel->backoff_ms = 0;
        if (channel->options.on_up != NULL) {
            channel->options.on_up(channel->options.user);
        }
        send_waiting(channel);
        break;
    case FRAME_MESSAGE:
        call = *place_of(channel, frame->call);
        if (call != NULL && call->request.on_message != NULL) {
            struct frame *window = frame_new(FRAME_WINDOW, frame->call);
            window->timeout_ms = frame->body.len;
            network_send(connection, CLIENT, window);
            call->request.on_message(call->request.user, call->request.tag, frame->body);
        }
        break;
    case FRAME_END:
        take_end(channel, frame);
        break;
    case FRAME_GOAWAY:
        channel->going = true;
        break;
    default:
        break;
    }
    if (channel->connection == connection) {
        look_going(channel);
    }
}

// Nobody has answered: the next packet goes out.
static void syn_again(struct rpc_channel *channel, uint64_t attempt) {
    if (!channel->closed && channel->state == CONNECTING && channel->attempt == attempt) {
        network_close(channel->connection, CLIENT);
        channel->connection = NULL;
        connect_now(channel);
    }
}

static void connect_now(struct rpc_channel *channel) {
    struct end end = {
        .loop = channel->runtime->loop, .owner = channel, .on_open = on_open, .on_frame = on_frame, .on_gone = on_gone};
    channel->state = CONNECTING;
    channel->attempt++;
    channel->connection = network_connect(&end, channel->target);
    later(channel, SYN_AGAIN_US, syn_again, channel->attempt);
}

struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const struct rpc_channel_options *options) {
    struct rpc_channel *channel = mem_zalloc(sizeof *channel);
    channel->runtime = runtime;
    channel->options = *options;
    snprintf(channel->target, sizeof channel->target, "%s", options->target);
    channel->end = &channel->calls;
    later(channel, 0, attempt_again, 0);
    return channel;
}

// The calls' results follow once the loop runs.
static void end_calls(struct rpc_channel *channel, uint64_t b) {
    (void)b;
    while (channel->calls != NULL) {
        fail(take_out(channel, channel->calls->number), RPC_CANCELLED, "the channel was closed");
    }
}

void rpc_channel_close(struct rpc_channel *channel) {
    if (channel->connection != NULL) {
        network_close(channel->connection, CLIENT);
        channel->connection = NULL;
    }
    channel->state = DOWN;
    later(channel, 0, end_calls, 0);
    channel->closed = true;
}

bool rpc_channel_is_up(const struct rpc_channel *channel) {
    return channel->state == UP;
}

const char *rpc_channel_failure(const struct rpc_channel *channel) {
    (void)channel;
    return "";
}

bool rpc_channel_hung_up(const struct rpc_channel *channel) {
    (void)channel;
    return false;
}

const char *rpc_channel_why_down(const struct rpc_channel *channel) {
    return channel->state == UP ? "" : "not connected";
}

bool rpc_channel_is_plaintext(const struct rpc_channel *channel) {
    (void)channel;
    return false;
}

const char *rpc_channel_remote(const struct rpc_channel *channel) {
    return channel->connection == NULL ? "" : channel->target;
}

void rpc_channel_reject(struct rpc_channel *channel) {
    if (channel->connection != NULL) {
        channel->backoff_ms = channel->backoff_ms == 0 ? BACKOFF_FIRST_MS : channel->backoff_ms;
        lose(channel, RPC_DOWN_CLOSED);
    }
}

void rpc_channel_wake(struct rpc_channel *channel) {
    if (channel->closed) {
        return;
    }
    if (channel->state == CONNECTING) {
        network_close(channel->connection, CLIENT);
        channel->connection = NULL;
        connect_now(channel);
    } else if (channel->state == DOWN) {
        connect_now(channel);
    }
}

struct slice rpc_result_trailer(const struct rpc_result *result, const char *key) {
    return pairs_find(result->trailers, key);
}
