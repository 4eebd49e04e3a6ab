// A turn of the loop ends in `prepare`, which libuv runs right before it waits: deferred work, streams that wait for room,
// one write per connection with something to send, and the timer. After an rpc_flush by the application little is left to
// do.
#include "rpc/runtime.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/slog.h"
#include "rpc/connection.h"
#include "rpc/stats.h"

// An active idle handle keeps the loop from waiting.
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
    assert(run != NULL);
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

// Of a connection that holds too much, as many streams go on as fill it again, first come, first served.
static void relieve(struct rpc_connection *connection) {
    struct rpc_link *link;
    while (!connection->closing && connection->held < RPC_CONNECTION_QUEUE_MAX &&
           (link = rpc_list_first(&connection->starved)) != NULL) {
        rpc_stream_resume(rpc_container(link, struct rpc_stream, blocked));
    }
}

// Only streams that have room are looked at, however many wait. `writable` may fill the room and wait again.
static void resume_blocked(struct rpc_runtime *runtime) {
    struct rpc_link now;
    rpc_list_move(&runtime->writable, &now);
    for (struct rpc_link *link; (link = rpc_list_first(&now)) != NULL;) {
        rpc_stream_resume(rpc_container(link, struct rpc_stream, blocked));
    }
    rpc_list_move(&runtime->relieved, &now);
    for (struct rpc_link *link; (link = rpc_list_first(&now)) != NULL;) {
        rpc_list_remove(link);
        relieve(rpc_container(link, struct rpc_connection, relieved));
    }
}

void rpc_enforce_memory_limit(struct rpc_runtime *runtime) {
    while (runtime->held > RPC_HELD_MAX) {
        struct rpc_connection *largest = NULL;
        for (struct rpc_link *link = runtime->accepted.next; link != &runtime->accepted; link = link->next) {
            struct rpc_connection *connection = rpc_container(link, struct rpc_connection, accepted_link);
            if (largest == NULL || connection->held > largest->held) {
                largest = connection;
            }
        }
        assert(largest != NULL && largest->held > 0 && largest->busy == 0);
        slog(SLOG_WARN, "unread-data", "connections hold too much unread data; the one that holds most is closed",
             F_STR("peer", largest->transport->address), F_U64("bytes", largest->held), F_U64("limit", RPC_HELD_MAX));
        rpc_connection_close(largest, RPC_DOWN_CLOSED);
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
    assert(rpc_list_empty(&runtime->dirty) && rpc_list_empty(&runtime->deferred) && rpc_list_empty(&runtime->writable));
    assert(rpc_list_empty(&runtime->accepted) && rpc_list_empty(&runtime->encrypted) && runtime->held == 0 &&
           runtime->users == 0);
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

// Only ever moves the loop's timer forward: most deadlines are stopped before they are due, and one needless wake-up is
// cheaper than setting the timer for each.
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
    set_timer(runtime);  // without an active handle the loop would end before the next turn
}

static void on_prepare(uv_prepare_t *prepare) {
    struct rpc_runtime *runtime = prepare->data;
    run_deferred(runtime);
    resume_blocked(runtime);
    rpc_flush(runtime);
    rpc_enforce_memory_limit(runtime);
    set_timer(runtime);
    bool again =
        !rpc_list_empty(&runtime->deferred) || !rpc_list_empty(&runtime->writable) || !rpc_list_empty(&runtime->relieved);
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
    runtime->plaintext_gauge = runtime->plaintext_counter = &runtime->unseen;
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
    rpc_list_init(&runtime->writable);
    rpc_list_init(&runtime->relieved);
    rpc_list_init(&runtime->encrypted);
    rpc_list_init(&runtime->accepted);
    rpc_pool_init(&runtime->pool);
    rpc_callbacks_init(runtime);
    uv_prepare_init(loop, &runtime->prepare);
    uv_idle_init(loop, &runtime->idle);
    uv_timer_init(loop, &runtime->timer);
    runtime->open_handles = 3;
    runtime->prepare.data = runtime->idle.data = runtime->timer.data = runtime;
    uv_prepare_start(&runtime->prepare, on_prepare);
    uv_unref((uv_handle_t *)&runtime->prepare);  // only sockets and timers keep the loop alive
    return runtime;
}

void rpc_runtime_close(struct rpc_runtime *runtime) {
    assert(!runtime->closing);
    runtime->closing = true;
    if (runtime->users == 0) {
        rpc_runtime_wake(runtime);  // on_prepare closes the handles
    }
}
