// A turn of the loop ends in `prepare`, which libuv runs right before it waits: first what was put off, then calls that
// waited for room, then everything to send, one write a connection, and last the timer is set. What the owner of the turn
// has sent with rpc_flush before costs nothing again: clean connections are not on the list.
#include "rpc/runtime.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/slog.h"
#include "rpc/connection.h"
#include "rpc/stats.h"

// It is there only to keep the loop from waiting.
static void on_idle(uv_idle_t *idle) {
    (void)idle;
}

void rpc_runtime_wake(struct rpc_runtime *runtime) {
    uv_idle_start(&runtime->idle, on_idle);
}

void rpc_runtime_release(struct rpc_runtime *runtime) {
    assert(runtime->users > 0);
    if (--runtime->users == 0 && runtime->closing) {
        rpc_runtime_wake(runtime);
    }
}

void rpc_defer(struct rpc_runtime *runtime, struct rpc_deferred *deferred, void (*run)(struct rpc_deferred *deferred)) {
    deferred->run = run;
    rpc_list_push(&runtime->deferred, &deferred->link);
    rpc_runtime_wake(runtime);
}

static void run_deferred(struct rpc_runtime *runtime) {
    struct rpc_link now;
    rpc_list_move(&runtime->deferred, &now);
    for (struct rpc_link *link; (link = rpc_list_first(&now)) != NULL;) {
        rpc_list_remove(link);
        struct rpc_deferred *deferred = rpc_container(link, struct rpc_deferred, link);
        deferred->run(deferred);
    }
}

// Calls that waited for room are told once it is there. The list is gone through once, as those told may wait again.
static void feed_starved(struct rpc_runtime *runtime) {
    if (!runtime->drained) {
        return;
    }
    runtime->drained = false;
    struct rpc_link now;
    rpc_list_move(&runtime->starved, &now);
    for (struct rpc_link *link; (link = rpc_list_first(&now)) != NULL;) {
        rpc_list_remove(link);
        struct rpc_stream *stream = rpc_container(link, struct rpc_stream, starved);
        if (rpc_stream_has_room(stream, RPC_STREAM_QUEUE_MAX / 2)) {
            stream->connection->role->writable(stream);
        } else {
            rpc_list_push(&runtime->starved, link);
        }
    }
}

void rpc_enforce_held(struct rpc_runtime *runtime) {
    while (runtime->held > RPC_HELD_MAX) {
        struct rpc_connection *greediest = NULL;
        for (struct rpc_link *link = runtime->accepted.next; link != &runtime->accepted; link = link->next) {
            struct rpc_connection *connection = rpc_container(link, struct rpc_connection, accepted_link);
            if (greediest == NULL || connection->held > greediest->held) {
                greediest = connection;
            }
        }
        assert(greediest != NULL && greediest->held > 0);
        uint64_t suppressed;
        if (rpc_log_allowed(runtime, &suppressed)) {
            slog(SLOG_WARN, "connections hold too much unread data; the one that holds most is closed",
                 F_STR("peer", greediest->transport->address), F_U64("bytes", greediest->held), F_U64("limit", RPC_HELD_MAX),
                 F_U64("suppressed", suppressed));
        }
        rpc_connection_close(greediest, RPC_DOWN_CLOSED);
    }
}

void rpc_flush(struct rpc_runtime *runtime) {
    struct rpc_link now;
    rpc_list_move(&runtime->dirty, &now);
    for (struct rpc_link *link; (link = rpc_list_first(&now)) != NULL;) {
        rpc_list_remove(link);
        rpc_connection_flush(rpc_container(link, struct rpc_connection, dirty));
    }
}

static void on_handle_closed(uv_handle_t *handle) {
    struct rpc_runtime *runtime = handle->data;
    if (--runtime->open_handles > 0) {
        return;
    }
    assert(rpc_list_empty(&runtime->dirty) && rpc_list_empty(&runtime->deferred) && rpc_list_empty(&runtime->starved));
    rpc_timers_free(&runtime->timers);
    rpc_stats_free(runtime);
    nghttp2_session_callbacks_del(runtime->callbacks);
    nghttp2_option_del(runtime->options);
    rpc_pool_free(&runtime->pool);
    free(runtime->input);
    free(runtime->plain);
    free(runtime->output);
    free(runtime);
}

static void close_handles(struct rpc_runtime *runtime) {
    uv_close((uv_handle_t *)&runtime->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&runtime->idle, on_handle_closed);
    uv_close((uv_handle_t *)&runtime->timer, on_handle_closed);
}

static void on_timer(uv_timer_t *timer);

// The loop's timer is only ever set earlier here: most deadlines are gone before they are due, and waking up once for
// nothing is cheaper than setting it at each.
static void set_timer(struct rpc_runtime *runtime) {
    uint64_t next = rpc_timers_next(&runtime->timers);
    if (next == RPC_NEVER) {
        uv_timer_stop(&runtime->timer);
        runtime->timer_at_ms = RPC_NEVER;
    } else if (next < runtime->timer_at_ms) {
        uint64_t now = rpc_now_ms(runtime);
        uv_timer_start(&runtime->timer, on_timer, next > now ? next - now : 0, 0);
        runtime->timer_at_ms = next;
    }
}

static void on_timer(uv_timer_t *timer) {
    struct rpc_runtime *runtime = timer->data;
    runtime->timer_at_ms = RPC_NEVER;
    rpc_timers_run(&runtime->timers, rpc_now_ms(runtime));
    set_timer(runtime);  // at once: without a timer a loop that has nothing else would end before the next turn
}

static void on_prepare(uv_prepare_t *prepare) {
    struct rpc_runtime *runtime = prepare->data;
    run_deferred(runtime);
    feed_starved(runtime);
    rpc_flush(runtime);
    rpc_enforce_held(runtime);
    set_timer(runtime);
    bool again = !rpc_list_empty(&runtime->deferred) || (runtime->drained && !rpc_list_empty(&runtime->starved));
    if (runtime->closing && runtime->users == 0 && !again) {
        close_handles(runtime);
    } else if (again) {
        rpc_runtime_wake(runtime);
    } else {
        uv_idle_stop(&runtime->idle);
    }
}

struct rpc_runtime *rpc_runtime_new(uv_loop_t *loop, struct metrics *metrics) {
    struct rpc_runtime *runtime = mem_zalloc(sizeof *runtime);
    runtime->loop = loop;
    runtime->metrics = metrics;
    runtime->connections_gauge = runtime->calls_gauge = &runtime->unseen;
    if (metrics != NULL) {
        runtime->connections_gauge =
            metrics_add(metrics, METRIC_GAUGE, "rpc_server_connections", "Open connections of clients.", NULL);
        runtime->calls_gauge =
            metrics_add(metrics, METRIC_GAUGE, "rpc_server_running_calls", "Calls that have not ended.", NULL);
    }
    runtime->timer_at_ms = RPC_NEVER;
    runtime->input = mem_alloc(RPC_INPUT);
    runtime->output = mem_alloc(RPC_OUTPUT);
    rpc_list_init(&runtime->dirty);
    rpc_list_init(&runtime->deferred);
    rpc_list_init(&runtime->starved);
    rpc_list_init(&runtime->accepted);
    rpc_pool_init(&runtime->pool);
    rpc_callbacks_init(runtime);
    uv_prepare_init(loop, &runtime->prepare);
    uv_idle_init(loop, &runtime->idle);
    uv_timer_init(loop, &runtime->timer);
    runtime->open_handles = 3;
    runtime->prepare.data = runtime->idle.data = runtime->timer.data = runtime;
    uv_prepare_start(&runtime->prepare, on_prepare);
    uv_unref((uv_handle_t *)&runtime->prepare);  // sockets and timers keep the loop going, not this
    return runtime;
}

void rpc_runtime_close(struct rpc_runtime *runtime) {
    assert(!runtime->closing);
    runtime->closing = true;
    if (runtime->users == 0) {
        rpc_runtime_wake(runtime);  // on_prepare sees to the rest
    }
}
