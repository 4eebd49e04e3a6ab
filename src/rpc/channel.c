// A channel's connection to its target: it resolves the name, tries the addresses in turn, and when all fail or the
// connection is lost, backs off, resolves again and tries again. A connection that received GOAWAY finishes its calls while
// its successor takes new ones.
#include "rpc/channel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/slog.h"
#include "rpc/address.h"

static void connect_next(struct rpc_channel *channel);

// Logged when it changes, not at each attempt.
static void note_failure(struct rpc_channel *channel, const char *failure) {
    if (strcmp(failure, channel->failure) != 0) {
        snprintf(channel->failure, sizeof channel->failure, "%s", failure);
        channel->name_failed = false;
        slog(SLOG_WARN, "connect-failed", "cannot connect", F_STR("target", channel->target), F_STR("reason", failure));
    }
}

// --- names ---

static void take_addresses(struct rpc_channel *channel, const struct addresses *found) {
    channel->addresses = *found;
    channel->next_address = 0;
}

// There is no address to try. `failure` NULL: not yet.
static void note_nameless(struct rpc_channel *channel, const char *failure) {
    int host = (int)(strrchr(channel->target, ':') - channel->target);
    if (failure == NULL) {
        snprintf(channel->failure, sizeof channel->failure, "the name %.*s is being looked up", host, channel->target);
    } else {
        snprintf(channel->failure, sizeof channel->failure, "the name %.*s does not resolve (%s)", host, channel->target,
                 failure);
    }
    memcpy(channel->why_down, channel->failure, sizeof channel->why_down);
    channel->name_failed = true;
}

// That the last addresses are used is logged when it begins, not at each attempt.
static void note_resolution(struct rpc_channel *channel, const char *failure) {
    bool failed_before = channel->resolve_failed;
    channel->resolve_failed = failure != NULL;
    if (failure == NULL) {
        if (channel->name_failed) {
            channel->failure[0] = channel->why_down[0] = '\0';
            channel->name_failed = false;
        }
    } else if (channel->addresses.count == 0) {
        note_nameless(channel, failure);
    } else if (!failed_before) {
        slog(SLOG_WARN, "resolve-failed", "cannot resolve a name; its last addresses are used",
             F_STR("target", channel->target), F_STR("reason", failure));
    }
}

// A name that fails keeps its last addresses: the name service may be down while they are right, and where they are not,
// whoever is there shows it (rpc_channel_reject).
static void on_resolved(void *user, const struct addresses *found, const char *failure) {
    struct rpc_channel *channel = user;
    channel->lookup = NULL;
    note_resolution(channel, failure);
    if (failure == NULL) {
        take_addresses(channel, found);
    }
    if (channel->resolving) {
        channel->resolving = false;
        rpc_timer_stop(channel->runtime, &channel->retry);
        connect_next(channel);
    }
}

// The lookup takes long: goes on with the last addresses meanwhile. Its result is for the next attempt.
static void on_patience_over(struct rpc_timer *timer) {
    struct rpc_channel *channel = rpc_container(timer, struct rpc_channel, retry);
    channel->resolving = false;
    connect_next(channel);
}

// A lookup may take longer than one attempt with the last addresses; then this attempt waits for it, too.
static void resolve(struct rpc_channel *channel, const struct address *parts) {
    if (channel->lookup == NULL) {
        channel->lookup = lookup_start(channel->runtime->loop, parts->host, parts->port_number, on_resolved, channel);
    }
    channel->resolving = true;
    if (channel->addresses.count == 0 && channel->failure[0] == '\0') {
        note_nameless(channel, NULL);
    } else if (channel->addresses.count > 0) {
        rpc_timer_start(channel->runtime, &channel->retry, RPC_RESOLVE_PATIENCE_MS, on_patience_over);
    }
}

static void attempt(struct rpc_channel *channel) {
    assert(channel->connection == NULL && !channel->resolving && !channel->closed);
    struct address parts;
    struct error error;
    struct addresses literal = {.count = 1};
    channel->next_address = 0;
    if (rpc_address_split(channel->target, &parts, &error) != OK) {
        note_failure(channel, error.message);
        connect_next(channel);
    } else if (address_literal(&parts, &literal.list[0])) {
        take_addresses(channel, &literal);
        connect_next(channel);
    } else {
        resolve(channel, &parts);
    }
}

// --- attempts ---

static uint64_t random_below(uint64_t bound) {
    uint64_t bits;
    if (uv_random(NULL, NULL, &bits, sizeof bits, 0, NULL) != 0) {
        bits = uv_hrtime();
    }
    return bits % bound;
}

static void on_retry(struct rpc_timer *timer) {
    attempt(rpc_container(timer, struct rpc_channel, retry));
}

// The next attempt: at once, then after 20 ms, doubling; half of it random, so that the clients of a restarted server do not
// reconnect together.
static void schedule(struct rpc_channel *channel) {
    uint64_t wait = channel->backoff_ms;
    if (wait > 0) {
        wait = wait / 2 + random_below(wait / 2 + 1);
    }
    uint64_t doubled = channel->backoff_ms == 0 ? RPC_BACKOFF_MIN_MS : channel->backoff_ms * 2;
    channel->backoff_ms = doubled < channel->options.backoff_max_ms ? doubled : channel->options.backoff_max_ms;
    channel->woken = false;
    rpc_timer_start(channel->runtime, &channel->retry, wait, on_retry);
}

static void report_down(struct rpc_channel *channel, enum rpc_down_reason reason) {
    if (!channel->closed && channel->options.on_down != NULL) {
        channel->options.on_down(channel->options.user, reason);
    }
}

// --- the connection ---

static void on_opened(struct rpc_connection *connection) {
    struct rpc_channel *channel = connection->owner;
    assert(channel->connection == connection && !channel->open && !channel->up);
    if (channel->options.on_open == NULL) {
        return;
    }
    channel->open = true;
    channel->options.on_open(channel->options.user);
    rpc_channel_pump(channel);
}

static void on_ready(struct rpc_connection *connection) {
    struct rpc_channel *channel = connection->owner;
    if (channel->connection != connection) {
        return;
    }
    channel->open = channel->up = true;
    channel->failure[0] = channel->why_down[0] = '\0';
    channel->hung_up = false;
    channel->plain_told = channel->plain;
    channel->connect_timeout_ms = RPC_CONNECT_TIMEOUT_MIN_MS;
    channel->up_at_ms = rpc_now_ms(channel->runtime);
    if (channel->options.on_up != NULL) {
        channel->options.on_up(channel->options.user);
    }
    rpc_channel_pump(channel);
}

static void forget_if_steady(struct rpc_channel *channel) {
    if (rpc_now_ms(channel->runtime) - channel->up_at_ms >= RPC_STEADY_MS) {
        channel->backoff_ms = 0;
    }
}

void rpc_channel_retire_connection(struct rpc_channel *channel, enum rpc_down_reason reason) {
    assert(channel->connection != NULL && channel->open);
    rpc_connection_touch(channel->connection);
    rpc_list_push(&channel->draining, &channel->connection->link);
    channel->connection = NULL;
    channel->sending = NULL;
    channel->open = channel->up = channel->plain = false;
    forget_if_steady(channel);
    schedule(channel);
    report_down(channel, reason);
}

static void on_goaway(struct rpc_connection *connection) {
    struct rpc_channel *channel = connection->owner;
    if (channel->connection == connection && channel->up) {
        rpc_channel_retire_connection(channel, RPC_DOWN_GOAWAY);
    }
}

static void on_ping_acked(struct rpc_connection *connection) {
    (void)connection;
}

static bool on_refill(struct rpc_connection *connection) {
    struct rpc_channel *channel = connection->owner;
    return channel->connection == connection && rpc_channel_pump(channel);
}

// Whether the attempt is to be repeated in plaintext: only if the server's own bytes were not TLS. One that refuses our
// certificate, or whose certificate we refuse, is never spoken to so.
static bool falls_back(struct rpc_channel *channel, const struct rpc_connection *connection) {
    if (!channel->options.allow_plaintext || channel->plain || !connection->transport->found_plain) {
        return false;
    }
    if (!channel->plain_told) {
        slog(SLOG_WARN, "peer-plaintext", "a node speaks no TLS yet: connecting in plaintext (--tls-migrate)",
             F_STR("target", channel->target));
    }
    channel->plain = channel->plain_told = true;
    channel->next_address--;
    return true;
}

// Why an attempt has failed.
static void note_down(struct rpc_channel *channel, const struct rpc_connection *connection, enum rpc_down_reason reason) {
    const struct rpc_transport *transport = connection->transport;
    const char *address = transport->address;
    if (transport->failure != NULL) {
        note_failure(channel, transport->failure);
        snprintf(channel->why_down, sizeof channel->why_down, "%s: %s", address, transport->failure);
    } else if (channel->hung_up) {
        snprintf(channel->why_down, sizeof channel->why_down, "%s closes connections at once; is it a node's gRPC port?",
                 address);
    } else if (reason == RPC_DOWN_KEEPALIVE) {
        snprintf(channel->why_down, sizeof channel->why_down, "no answer from %s", address);
    } else if (connection->error != 0) {
        snprintf(channel->why_down, sizeof channel->why_down, "%s: %s", address, uv_strerror(connection->error));
    }
}

static void on_connection_closed(struct rpc_connection *connection, enum rpc_down_reason reason) {
    struct rpc_channel *channel = connection->owner;
    rpc_list_remove(&connection->link);
    channel->connections--;
    if (channel->connection != connection) {
        if (channel->closed) {
            rpc_channel_release(channel);
        }
        return;
    }
    channel->connection = NULL;
    channel->sending = NULL;
    channel->open = false;
    if (falls_back(channel, connection)) {
        connect_next(channel);
        return;
    }
    channel->plain = false;
    if (channel->rejected) {
        channel->up = channel->rejected = false;
        report_down(channel, reason);
        connect_next(channel);  // without an end to the backoff, however long the connection stood
    } else if (channel->up) {
        channel->up = false;
        forget_if_steady(channel);
        schedule(channel);
        report_down(channel, reason);
    } else {
        channel->hung_up = connection->opened && (reason == RPC_DOWN_REFUSED || reason == RPC_DOWN_RESET);
        note_down(channel, connection, reason);
        if (reason == RPC_DOWN_KEEPALIVE && channel->connect_timeout_ms < RPC_CONNECT_TIMEOUT_MAX_MS) {
            channel->connect_timeout_ms *= 2;
        }
        connect_next(channel);
    }
}

static const struct rpc_role client_role = {
    .begin = rpc_channel_call_begin,
    .header = rpc_channel_call_header,
    .headers = rpc_channel_call_headers,
    .message = rpc_channel_call_message,
    .half_closed = rpc_channel_call_half_closed,
    .failed = rpc_channel_call_failed,
    .out_ended = rpc_channel_call_out_ended,
    .headers_sent = rpc_channel_call_headers_sent,
    .writable = rpc_channel_call_writable,
    .closed = rpc_channel_call_closed,
    .opened = on_opened,
    .ready = on_ready,
    .goaway = on_goaway,
    .ping_acked = on_ping_acked,
    .refill = on_refill,
    .connection_closed = on_connection_closed,
};

static bool connect_to(struct rpc_channel *channel, const struct sockaddr *address) {
    struct rpc_transport *transport = rpc_tcp_connect(channel->runtime, address);
    if (transport != NULL && channel->options.tls != NULL && !channel->plain) {
        transport =
            rpc_tls_wrap(channel->runtime, transport, channel->options.tls, RPC_TLS_CLIENT, channel->options.identity);
    }
    if (transport == NULL) {
        return false;
    }
    struct rpc_connection_options options = {
        .stream_window = channel->options.stream_window,
        .connection_window = channel->options.connection_window,
        .keepalive_interval_ms = channel->options.keepalive_interval_ms,
        .keepalive_timeout_ms = channel->options.keepalive_timeout_ms,
        .setup_timeout_ms = channel->connect_timeout_ms,
    };
    assert(channel->connection == NULL && !channel->open && !channel->up && channel->sending == NULL);
    channel->connection = rpc_connection_new(channel->runtime, transport, &client_role, channel, &options);
    channel->connections++;
    channel->attempt_at_ms = rpc_now_ms(channel->runtime);
    return true;
}

// Tries the next of the target's addresses; after the last, the attempt has failed.
static void connect_next(struct rpc_channel *channel) {
    if (channel->closed) {
        return;
    }
    bool connecting = false;
    while (!connecting && channel->next_address < channel->addresses.count) {
        connecting = connect_to(channel, &channel->addresses.list[channel->next_address++].any);
    }
    if (!connecting) {
        schedule(channel);
        report_down(channel, RPC_DOWN_REFUSED);
    }
}

bool rpc_channel_is_up(const struct rpc_channel *channel) {
    return channel->up;
}

const char *rpc_channel_failure(const struct rpc_channel *channel) {
    return channel->failure;
}

const char *rpc_channel_why_down(const struct rpc_channel *channel) {
    return channel->why_down;
}

const char *rpc_channel_remote(const struct rpc_channel *channel) {
    return channel->connection == NULL ? "" : channel->connection->transport->address;
}

bool rpc_channel_is_plaintext(const struct rpc_channel *channel) {
    return channel->up && (channel->plain || channel->options.tls == NULL);
}

void rpc_channel_reject(struct rpc_channel *channel) {
    if (channel->connection != NULL) {
        channel->rejected = true;
        rpc_connection_close(channel->connection, RPC_DOWN_CLOSED);
    }
}

bool rpc_channel_hung_up(const struct rpc_channel *channel) {
    return channel->hung_up;
}

// Whether the current attempt's SYN was probably lost. Not for an attempt that was woken itself: repeated wake-ups must not
// keep a channel with a long round trip from ever connecting.
static bool syn_is_lost(const struct rpc_channel *channel) {
    return channel->connection != NULL && channel->connection->transport->unanswered && !channel->woken &&
           rpc_now_ms(channel->runtime) >= channel->attempt_at_ms + RPC_UNANSWERED_MS;
}

void rpc_channel_wake(struct rpc_channel *channel) {
    if (syn_is_lost(channel)) {
        rpc_connection_close(channel->connection, RPC_DOWN_CLOSED);  // tries the next address, or schedules an attempt
    }
    channel->woken = true;
    if (rpc_timer_running(&channel->retry)) {
        rpc_timer_start(channel->runtime, &channel->retry, 0, channel->resolving ? on_patience_over : on_retry);
    }
}

// --- beginning and end ---

struct rpc_channel *rpc_channel_new(struct rpc_runtime *runtime, const struct rpc_channel_options *options) {
    struct rpc_channel *channel = mem_zalloc(sizeof *channel);
    channel->runtime = runtime;
    runtime->users++;
    channel->options = *options;
    channel->target = mem_strdup(options->target);
    channel->options.target = channel->target;
    channel->connect_timeout_ms = RPC_CONNECT_TIMEOUT_MIN_MS;
    channel->identity = options->identity == NULL ? NULL : mem_strdup(options->identity);
    channel->options.identity = channel->identity;
    if (options->stream_window == 0) {
        channel->options.stream_window = 1 * MIB;
    }
    if (options->connection_window == 0) {
        channel->options.connection_window = 2 * MIB;
    }
    if (options->backoff_max_ms == 0) {
        channel->options.backoff_max_ms = RPC_BACKOFF_MAX_MS;
    }
    rpc_list_init(&channel->draining);
    rpc_list_init(&channel->waiting);
    rpc_list_init(&channel->idle_calls);
    schedule(channel);
    rpc_runtime_wake(runtime);  // without an active handle the loop would end before its first turn
    return channel;
}

static void release(struct rpc_deferred *deferred) {
    struct rpc_channel *channel = rpc_container(deferred, struct rpc_channel, release);
    assert(rpc_list_empty(&channel->waiting) && rpc_list_empty(&channel->draining) && channel->connection == NULL);
    rpc_channel_free_calls(channel);
    rpc_runtime_release(channel->runtime);
    free(channel->target);
    free(channel->identity);
    free(channel);
}

void rpc_channel_release(struct rpc_channel *channel) {
    if (channel->closed && channel->objects == 0 && channel->connections == 0) {
        rpc_defer(channel->runtime, &channel->release, release);
    }
}

void rpc_channel_close(struct rpc_channel *channel) {
    assert(!channel->closed);
    channel->closed = true;
    channel->open = channel->up = false;
    rpc_timer_stop(channel->runtime, &channel->retry);
    if (channel->lookup != NULL) {
        lookup_cancel(channel->lookup);
        channel->lookup = NULL;
    }
    rpc_channel_cancel_all(channel);
    if (channel->connection != NULL) {
        rpc_list_push(&channel->draining, &channel->connection->link);
        channel->connection = NULL;
    }
    bool anything = channel->objects > 0 || channel->connections > 0;
    for (struct rpc_link *link; (link = rpc_list_first(&channel->draining)) != NULL;) {
        rpc_connection_close(rpc_container(link, struct rpc_connection, link), RPC_DOWN_CLOSED);
    }
    if (!anything) {
        rpc_channel_release(channel);
    }
}
