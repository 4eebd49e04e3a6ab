// The writer's loop. Time is microseconds of the monotonic clock. Writes go to endpoint `leader`; while that is NO_LEADER
// they wait. A call's tag is its write and an attempt number, so that the result of an abandoned attempt is recognized.
#include "bench/writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/mem.h"
#include "baton/v1/control.pb.h"
#include "rpc/rpc.h"
#include "wire/codec.h"

enum { NO_LEADER = -1, TICK_MS = 1, SEARCH_TIMEOUT_MS = 1000, KEEPALIVE_MS = 1000 };

struct write {
    bool used;
    bool sent;
    uint64_t sequence;
    uint64_t first_sent_us;  // 0: not sent yet
    uint32_t attempt;
    struct rpc_ticket ticket;
};

struct endpoint {
    struct writer *writer;
    const char *address;
    struct rpc_channel *channel;
    bool asked;  // for its status, and has not answered yet
    uint64_t ask_again_us;
};

struct writer {
    struct writer_options options;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[2];
    struct rpc_runtime *runtime;
    struct endpoint *endpoints;
    int leader;
    uint64_t silent_since_us;  // when the leader last answered or had nothing to answer
    bool doubting;             // silent for patience_ms: another may lead; until one is found its writes stay with it
    uint64_t redirected_us;    // the last redirect
    uint64_t term;             // the highest seen

    char client_id[32];
    struct slice value;
    struct write *writes;  // in_flight of them
    size_t outstanding;    // of these, used
    uint64_t started;      // writes so far; the last sequence number
    uint64_t next_us;      // when the rate allows the next write
    uint64_t began_us;
    uint64_t ended_us;  // when new writes stopped; 0: they have not
    bool done;

    struct buf request;
    struct arena arena;
    size_t sample_cap;
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
    assert(writer->leader != NO_LEADER && write->used && !write->sent);
    struct pb_put_request put = {
        .key = slice_of_str(writer->client_id),
        .value = writer->value,
        .has_session = true,
        .session = {.client_id = slice_of_str(writer->client_id),
                    .sequence = write->sequence,
                    .acknowledged_below = lowest_sequence(writer)},
    };
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
    write->ticket = rpc_channel_call(writer->endpoints[writer->leader].channel, &request);
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
    if (writer->leader == NO_LEADER) {
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
            rpc_channel_cancel(writer->endpoints[writer->leader].channel, write->ticket);
        }
        write->sent = false;
    }
    writer->leader = leader;
    heard_from_leader(writer);
}

// The endpoint with that address, if its connection is up; else NO_LEADER.
static int endpoint_at(const struct writer *writer, struct slice address) {
    for (size_t i = 0; i < writer->options.endpoints->count; i++) {
        const struct endpoint *endpoint = &writer->endpoints[i];
        if (slice_equal(address, slice_of_str(endpoint->address)) && rpc_channel_is_up(endpoint->channel)) {
            return (int)i;
        }
    }
    return NO_LEADER;
}

static void status_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct endpoint *endpoint = user;
    struct writer *writer = endpoint->writer;
    struct pb_status_response status;
    struct error error;
    (void)tag;
    endpoint->asked = false;
    endpoint->ask_again_us = now_us() + WRITER_SEARCH_MS * US_PER_MS;
    if (writer->done || result->status != RPC_OK) {
        return;
    }
    arena_reset(&writer->arena);
    if (pb_decode(&writer->arena, &pb_status_response_type, result->body, &status, &error) != OK) {
        return;
    }
    if (status.term < writer->term) {
        return;  // it has not seen the current term yet
    }
    writer->term = status.term;
    // A nearby follower names a new leader before a distant leader's own answer arrives.
    int leader = slice_equal(status.role, slice_of_str("leader")) ? (int)(endpoint - writer->endpoints)
                                                                  : endpoint_at(writer, status.leader_address);
    if (leader == NO_LEADER) {
        return;
    }
    if (leader != writer->leader) {
        set_leader(writer, leader);
    }
    heard_from_leader(writer);
    pump(writer);
}

static void ask(struct endpoint *endpoint) {
    struct rpc_request request = {
        .path = pb_control_service_status.path,
        .timeout_ms = SEARCH_TIMEOUT_MS,
        .user = endpoint,
        .on_done = status_done,
    };
    endpoint->asked = true;
    rpc_channel_call(endpoint->channel, &request);
}

static void ask_all(struct writer *writer, uint64_t now) {
    for (size_t i = 0; i < writer->options.endpoints->count; i++) {
        struct endpoint *endpoint = &writer->endpoints[i];
        if (!endpoint->asked && now >= endpoint->ask_again_us && rpc_channel_is_up(endpoint->channel)) {
            ask(endpoint);
        }
    }
}

static void search(struct writer *writer) {
    writer->result.searches++;
    set_leader(writer, NO_LEADER);
    ask_all(writer, now_us());
}

// Follows a redirect at once, unless another one has just been followed: nodes with stale views may point at each other.
static void follow(struct writer *writer, struct slice address) {
    uint64_t now = now_us();
    bool loop = now < writer->redirected_us + WRITER_SEARCH_MS * US_PER_MS;
    writer->result.redirected++;
    writer->redirected_us = now;
    int leader = endpoint_at(writer, address);
    if (loop || leader == NO_LEADER) {
        search(writer);
        return;
    }
    set_leader(writer, leader);
    pump(writer);
}

// --- answers ---

static void add_sample(struct writer *writer, struct writer_sample sample) {
    struct writer_result *result = &writer->result;
    array_reserve(result->samples, writer->sample_cap, result->acknowledged + 1);
    if (result->acknowledged == 0 && writer->options.on_ready != NULL) {
        writer->options.on_ready(writer->endpoints[writer->leader].address);
    }
    result->samples[result->acknowledged++] = sample;
}

static void fail_write(struct writer *writer, enum rpc_status status, struct slice message) {
    struct writer_result *result = &writer->result;
    if (result->failed++ == 0) {
        error_set(&result->failure, ERR_INVALID, "%s: %.*s", rpc_status_name(status), (int)message.len,
                  (const char *)message.data);
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
        add_sample(writer, (struct writer_sample){write->first_sent_us - writer->began_us, now - writer->began_us});
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

static void finish(struct writer *writer) {
    for (size_t i = 0; i < writer->options.in_flight; i++) {
        if (writer->writes[i].used) {
            fail_write(writer, RPC_DEADLINE_EXCEEDED, slice_of_str("not answered by the end"));
        }
    }
    writer->done = true;
    uv_stop(&writer->loop);
}

static void on_tick(uv_timer_t *timer) {
    struct writer *writer = timer->data;
    const struct writer_options *options = &writer->options;
    uint64_t now = now_us();
    bool out_of_time = options->seconds != 0 && now >= writer->began_us + options->seconds * US_PER_S;
    bool counted = options->count != 0 && writer->started == options->count;
    if (writer->ended_us == 0 && (out_of_time || counted)) {
        writer->ended_us = now;
    }
    bool too_late = now >= writer->ended_us + WRITER_FINISH_MS * US_PER_MS;
    if (writer->ended_us != 0 && (writer->outstanding == 0 || too_late)) {
        finish(writer);
        return;
    }
    if (writer->outstanding == 0) {
        heard_from_leader(writer);
    }
    if (now >= writer->silent_since_us + options->patience_ms * US_PER_MS) {
        writer->doubting = true;
    }
    if (writer->leader == NO_LEADER || writer->doubting) {
        ask_all(writer, now);
    }
    pump(writer);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct writer *writer = handle->data;
    (void)number;
    if (writer->ended_us == 0) {
        writer->ended_us = now_us();
    }
}

static void on_up(void *user) {
    struct endpoint *endpoint = user;
    if (endpoint->writer->leader == NO_LEADER && !endpoint->asked) {
        ask(endpoint);
    }
}

static void on_down(void *user, enum rpc_down_reason reason) {
    struct endpoint *endpoint = user;
    struct writer *writer = endpoint->writer;
    (void)reason;
    if (!writer->done && writer->leader == endpoint - writer->endpoints) {
        search(writer);
    }
}

// --- beginning and end ---

static void open_session(struct writer *writer) {
    uint64_t random;
    while (getrandom(&random, sizeof random, 0) != sizeof random)
        ;
    snprintf(writer->client_id, sizeof writer->client_id, "bench-%016llx", (unsigned long long)random);
    uint8_t *value = mem_alloc(writer->options.value_bytes + 1);
    memset(value, 'x', writer->options.value_bytes);
    writer->value = slice_of(value, writer->options.value_bytes);
}

static void open_channels(struct writer *writer) {
    size_t count = writer->options.endpoints->count;
    writer->endpoints = mem_zalloc(count * sizeof *writer->endpoints);
    for (size_t i = 0; i < count; i++) {
        struct endpoint *endpoint = &writer->endpoints[i];
        *endpoint = (struct endpoint){.writer = writer, .address = writer->options.endpoints->addresses[i]};
        struct rpc_channel_options options = {
            .target = endpoint->address,
            .tls = writer->options.tls,
            .keepalive_interval_ms = KEEPALIVE_MS,
            .keepalive_timeout_ms = KEEPALIVE_MS,
            .stream_window = 1 * MIB,
            .connection_window = 16 * MIB,
            .backoff_max_ms = 100,
            .on_up = on_up,
            .on_down = on_down,
            .user = endpoint,
        };
        endpoint->channel = rpc_channel_new(writer->runtime, &options);
    }
}

struct writer *writer_new(const struct writer_options *options) {
    static const int numbers[] = {SIGTERM, SIGINT};
    struct writer *writer = mem_zalloc(sizeof *writer);
    writer->options = *options;
    assert(options->in_flight > 0 && options->in_flight <= WRITER_IN_FLIGHT_MAX && options->endpoints->count > 0);
    writer->leader = NO_LEADER;
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
    open_channels(writer);
    uv_timer_start(&writer->tick, on_tick, 0, TICK_MS);
    uv_run(&writer->loop, UV_RUN_DEFAULT);
    return &writer->result;
}

void writer_free(struct writer *writer) {
    writer->done = true;
    for (size_t i = 0; writer->endpoints != NULL && i < writer->options.endpoints->count; i++) {
        rpc_channel_close(writer->endpoints[i].channel);
    }
    rpc_runtime_close(writer->runtime);
    uv_close((uv_handle_t *)&writer->tick, NULL);
    for (size_t i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&writer->signals[i], NULL);
    }
    uv_run(&writer->loop, UV_RUN_DEFAULT);
    uv_loop_close(&writer->loop);
    buf_free(&writer->request);
    arena_free(&writer->arena);
    free((void *)writer->value.data);
    free(writer->writes);
    free(writer->endpoints);
    free(writer->result.samples);
    free(writer);
}
