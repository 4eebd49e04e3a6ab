// The writer's loop. Time is microseconds of the monotonic clock. Writes go to node `leader`; while that is NODES_NONE they
// wait. A call's tag is its write and an attempt number, so that the result of an abandoned attempt is recognized.
#include "bench/writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "bench/nodes.h"
#include "bench/watcher.h"
#include "rpc/rpc.h"
#include "wire/codec.h"

enum { TICK_MS = 1, LEARN_MS = 1000 };

struct write {
    bool used;
    bool sent;
    uint64_t sequence;
    uint64_t first_sent_us;  // 0: not sent yet
    uint32_t attempt;
    struct rpc_ticket ticket;
};

struct writer {
    struct writer_options options;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[2];
    struct rpc_runtime *runtime;
    struct nodes *nodes;
    struct watcher *watcher;  // NULL: nothing is watched
    int leader;
    uint64_t silent_since_us;  // when the leader last answered or had nothing to answer
    bool doubting;             // silent for patience_ms: another may lead; until one is found its writes stay with it
    uint64_t redirected_us;    // the last redirect
    uint64_t learn_us;         // when to ask who the members are
    uint64_t term;             // the highest seen

    char client_id[32];
    struct write *writes;  // in_flight of them
    size_t outstanding;    // of these, used
    uint64_t started;      // writes so far; the last sequence number
    uint64_t next_us;      // when the rate allows the next write
    uint64_t began_us;
    uint64_t ended_us;  // when new writes stopped; 0: they have not
    uint64_t revision;  // the highest acknowledged
    bool done;

    struct buf request;
    struct writer_result result;
};

static uint64_t now_us(void) {
    return uv_hrtime() / 1000;
}

static void write_done(void *user, uint64_t tag, const struct rpc_result *result);

// --- sending ---

static uint64_t lowest_sequence(const struct writer *writer) {
    uint64_t lowest = writer->started + 1;
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        if (writer->writes[i].used && writer->writes[i].sequence < lowest) {
            lowest = writer->writes[i].sequence;
        }
    }
    return lowest;
}

static void send_write(struct writer *writer, size_t i) {
    struct write *write = &writer->writes[i];
    assert(writer->leader != NODES_NONE && write->used && !write->sent);
    struct pb_put_request put = {
        .has_session = true,
        .session = {.client_id = slice_of_str(writer->client_id),
                    .sequence = write->sequence,
                    .acknowledged_below = lowest_sequence(writer)},
    };
    writer->options.work.make(writer->options.work.user, write->sequence, &put);
    buf_clear(&writer->request);
    pb_encode(&pb_put_request_type, &put, &writer->request);
    uint64_t now = now_us();
    if (write->first_sent_us == 0) {
        write->first_sent_us = now;
    } else {
        writer->result.retried++;
    }
    write->sent = true;
    write->attempt++;
    struct rpc_request request = {
        .path = pb_control_service_put.path,
        .body = buf_slice(&writer->request),
        .user = writer,
        .tag = (uint64_t)i << 32 | write->attempt,
        .on_done = write_done,
    };
    write->ticket = rpc_channel_call(nodes_channel(writer->nodes, writer->leader), &request);
}

static void start_write(struct writer *writer) {
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        struct write *write = &writer->writes[i];
        if (write->used) {
            continue;
        }
        *write = (struct write){.used = true, .sequence = ++writer->started, .attempt = write->attempt};
        writer->outstanding++;
        return;
    }
}

// The first write opens the session and must be alone: the cluster would refuse one that overtook it.
static bool may_start(const struct writer *writer, uint64_t now) {
    const struct writer_options *options = &writer->options;
    size_t limit = writer->result.acknowledged == 0 ? 1 : options->in_flight;
    return writer->ended_us == 0 && writer->outstanding < limit &&
           (writer->watcher == NULL || watcher_begun(writer->watcher)) &&
           writer->started + 1 - lowest_sequence(writer) < WRITER_SPAN_MAX &&
           (options->count == 0 || writer->started < options->count) && (options->rate == 0 || now >= writer->next_us);
}

static void pump(struct writer *writer) {
    uint64_t now = now_us();
    while (may_start(writer, now)) {
        start_write(writer);
        if (writer->options.rate != 0) {
            writer->next_us += US_PER_S / writer->options.rate;
        }
    }
    // Writes that could not start in time are skipped, not made up for in a burst.
    if (writer->next_us + US_PER_S / 10 < now) {
        writer->next_us = now;
    }
    if (writer->leader == NODES_NONE) {
        return;
    }
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        if (writer->writes[i].used && !writer->writes[i].sent) {
            send_write(writer, i);
        }
    }
}

// --- who leads ---

static void heard_from_leader(struct writer *writer) {
    writer->silent_since_us = now_us();
    writer->doubting = false;
}

// Abandons all attempts in flight to the old leader; pump sends their writes to the new one.
static void set_leader(struct writer *writer, int leader) {
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        struct write *write = &writer->writes[i];
        if (write->used && write->sent) {
            rpc_channel_cancel(nodes_channel(writer->nodes, writer->leader), write->ticket);
        }
        write->sent = false;
    }
    writer->leader = leader;
    heard_from_leader(writer);
}

// The node at that address, if its connection is up; else NODES_NONE.
static int connected_node(struct writer *writer, struct slice address) {
    int node = nodes_learn(writer->nodes, address);
    return node != NODES_NONE && nodes_is_up(writer->nodes, node) ? node : NODES_NONE;
}

static void on_status(void *user, int node, const struct pb_status_response *status) {
    struct writer *writer = user;
    if (status->term < writer->term || (writer->leader != NODES_NONE && !writer->doubting)) {
        return;  // it has not seen the current term yet, or was asked only who the members are
    }
    writer->term = status->term;
    // A nearby follower names a new leader before a distant leader's own answer arrives.
    int leader = slice_equal(status->role, slice_of_str("leader")) ? node : connected_node(writer, status->leader_address);
    if (leader == NODES_NONE) {
        return;
    }
    if (leader != writer->leader) {
        set_leader(writer, leader);
    }
    heard_from_leader(writer);
    pump(writer);
}

static void search(struct writer *writer) {
    writer->result.searches++;
    set_leader(writer, NODES_NONE);
    nodes_ask_all(writer->nodes);
}

// Follows a redirect at once, unless another one has just been followed: nodes with stale views may point at each other.
static void follow(struct writer *writer, struct slice address) {
    uint64_t now = now_us();
    bool loop = now < writer->redirected_us + NODES_SEARCH_MS * US_PER_MS;
    writer->result.redirected++;
    writer->redirected_us = now;
    int leader = connected_node(writer, address);
    if (loop || leader == NODES_NONE) {
        search(writer);
        return;
    }
    set_leader(writer, leader);
    pump(writer);
}

// --- answers ---

static void acknowledge(struct writer *writer, const struct write *write, struct slice body, uint64_t now) {
    struct writer_result *result = &writer->result;
    const struct writer_work *work = &writer->options.work;
    struct pb_put_response response = {.revision = 0};
    if (result->acknowledged++ == 0 && writer->options.on_ready != NULL) {
        writer->options.on_ready(nodes_address(writer->nodes, writer->leader));
    }
    if (pb_decode(NULL, &pb_put_response_type, body, &response, NULL) != OK) {
        response.revision = 0;  // of no use to whoever wants it
    }
    result->last_us = now - writer->began_us;
    writer->revision = response.revision > writer->revision ? response.revision : writer->revision;
    work->acknowledged(work->user, &(struct writer_ack){
                                       .sequence = write->sequence,
                                       .revision = response.revision,
                                       .sent_us = write->first_sent_us - writer->began_us,
                                       .acked_us = result->last_us,
                                   });
}

static void fail_write(struct writer *writer, enum rpc_status status, struct slice message) {
    struct writer_result *result = &writer->result;
    if (result->failed++ == 0) {
        error_set(&result->failure, ERR_INVALID, "%s: %.*s", rpc_status_name(status), (int)message.len,
                  (const char *)message.data);
    }
    if (writer->options.work.is_over != NULL && writer->ended_us == 0) {
        writer->ended_us = now_us();
    }
}

static void retire(struct writer *writer, struct write *write) {
    assert(write->used && writer->outstanding > 0);
    write->used = false;
    writer->outstanding--;
}

static bool is_transient(enum rpc_status status) {
    return status == RPC_UNAVAILABLE || status == RPC_DEADLINE_EXCEEDED || status == RPC_CANCELLED ||
           status == RPC_FAILED_PRECONDITION;
}

static void write_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct writer *writer = user;
    struct write *write = &writer->writes[tag >> 32];
    if (writer->done || !write->used || !write->sent || write->attempt != (uint32_t)tag) {
        return;  // the attempt was abandoned
    }
    uint64_t now = now_us();
    if (result->answered) {
        heard_from_leader(writer);
    }
    if (result->status == RPC_OK) {
        acknowledge(writer, write, result->body, now);
        retire(writer, write);
    } else if (!is_transient(result->status)) {
        fail_write(writer, result->status, result->message);
        retire(writer, write);
    } else {
        struct slice address = rpc_result_trailer(result, "baton-leader-address");
        write->sent = false;
        if (address.data != NULL) {
            follow(writer, address);
        } else {
            search(writer);
        }
        return;
    }
    pump(writer);
}

// --- time ---

static bool watched_all(const struct writer *writer) {
    return writer->watcher == NULL || watcher_revision(writer->watcher) >= writer->revision;
}

static void finish(struct writer *writer) {
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        if (writer->writes[i].used) {
            fail_write(writer, RPC_DEADLINE_EXCEEDED, slice_of_str("not answered by the end"));
        }
    }
    writer->result.watched_all = watched_all(writer);
    writer->done = true;
    uv_stop(&writer->loop);
}

static bool is_at_end(const struct writer *writer, uint64_t now) {
    const struct writer_options *options = &writer->options;
    return (options->seconds != 0 && now >= writer->began_us + options->seconds * US_PER_S) ||
           (options->count != 0 && writer->started == options->count) ||
           (options->work.is_over != NULL && options->work.is_over(options->work.user));
}

// Who the members are, and who leads if that is not known.
static void ask_around(struct writer *writer, uint64_t now) {
    if (writer->leader == NODES_NONE || writer->doubting) {
        nodes_ask_all(writer->nodes);
    } else if (now >= writer->learn_us) {
        writer->learn_us = now + LEARN_MS * US_PER_MS;
        nodes_ask(writer->nodes, writer->leader);
    }
    if (writer->watcher != NULL) {
        watcher_pump(writer->watcher, writer->leader);
    }
}

static void on_tick(uv_timer_t *timer) {
    struct writer *writer = timer->data;
    uint64_t now = now_us();
    if (writer->ended_us == 0 && is_at_end(writer, now)) {
        writer->ended_us = now;
    }
    bool too_late = now >= writer->ended_us + WRITER_FINISH_MS * US_PER_MS;
    if (writer->ended_us != 0 && ((writer->outstanding == 0 && watched_all(writer)) || too_late)) {
        finish(writer);
        return;
    }
    if (writer->outstanding == 0) {
        heard_from_leader(writer);
    }
    if (now >= writer->silent_since_us + writer->options.patience_ms * US_PER_MS) {
        writer->doubting = true;
    }
    ask_around(writer, now);
    pump(writer);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct writer *writer = handle->data;
    (void)number;
    if (writer->ended_us == 0) {
        writer->ended_us = now_us();
    }
}

static void on_up(void *user, int node) {
    struct writer *writer = user;
    if (writer->leader == NODES_NONE) {
        nodes_ask(writer->nodes, node);
    }
}

static void on_down(void *user, int node) {
    struct writer *writer = user;
    if (!writer->done && writer->leader == node) {
        search(writer);
    }
}

// --- beginning and end ---

static void open_session(struct writer *writer) {
    uint64_t random;
    while (getrandom(&random, sizeof random, 0) != sizeof random)
        ;
    snprintf(writer->client_id, sizeof writer->client_id, "bench-%016llx", (unsigned long long)random);
}

static void connect_all(struct writer *writer) {
    const struct writer_options *options = &writer->options;
    const struct writer_work *work = &options->work;
    struct nodes_events events = {.user = writer, .up = on_up, .down = on_down, .status = on_status};
    writer->nodes = nodes_new(writer->runtime, options->endpoints, options->tls, &events);
    if (work->watched != NULL) {
        struct watcher_events changes = {.user = work->user, .changed = work->changed, .missed = work->missed};
        writer->watcher = watcher_new(writer->nodes, work->watched, &changes);
    }
}

struct writer *writer_new(const struct writer_options *options) {
    static const int numbers[] = {SIGTERM, SIGINT};
    struct writer *writer = mem_zalloc(sizeof *writer);
    writer->options = *options;
    assert(options->in_flight > 0 && options->in_flight <= WRITER_IN_FLIGHT_MAX && options->endpoints->count > 0);
    writer->leader = NODES_NONE;
    writer->writes = mem_zalloc(options->in_flight * sizeof *writer->writes);
    open_session(writer);
    uv_loop_init(&writer->loop);
    uv_timer_init(&writer->loop, &writer->tick);
    writer->tick.data = writer;
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&writer->loop, &writer->signals[i]);
        writer->signals[i].data = writer;
        uv_signal_start(&writer->signals[i], on_signal, numbers[i]);
    }
    writer->runtime = rpc_runtime_new(&writer->loop, NULL);
    return writer;
}

const struct writer_result *writer_run(struct writer *writer) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    writer->result.began_unix_us = (int64_t)wall.tv_sec * (int64_t)US_PER_S + wall.tv_nsec / 1000;
    writer->began_us = writer->next_us = now_us();
    connect_all(writer);
    uv_timer_start(&writer->tick, on_tick, 0, TICK_MS);
    uv_run(&writer->loop, UV_RUN_DEFAULT);
    return &writer->result;
}

void writer_free(struct writer *writer) {
    writer->done = true;
    if (writer->nodes != NULL) {
        nodes_close(writer->nodes);
    }
    rpc_runtime_close(writer->runtime);
    uv_close((uv_handle_t *)&writer->tick, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&writer->signals[i], NULL);
    }
    uv_run(&writer->loop, UV_RUN_DEFAULT);
    uv_loop_close(&writer->loop);
    watcher_free(writer->watcher);
    nodes_free(writer->nodes);
    buf_free(&writer->request);
    free(writer->writes);
    free(writer);
}
