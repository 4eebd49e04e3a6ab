// The echo service on src/rpc: echo_server [ADDRESS]. Prints the address it listens on; serves until SIGTERM (drains, at
// most 2 s) or until standard input ends (at once, so that it never outlives its test), then prints what it counted.
#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "echo.pb-c.h"
#include "rpc/rpc.h"

static const uint8_t descriptor_set[] = {
#include "echo_descriptor_set.inc"
};

typedef Baton__Interop__EchoRequest echo_request;
typedef Baton__Interop__StreamRequest stream_request;

struct call_state;

struct echo {
    struct rpc_server *server;
    struct metrics *metrics;
    uv_loop_t loop;
    uint64_t started, ok, failed, cancelled;
    struct call_state **live;  // by index; NULL: none
    size_t live_cap;
    struct buf out;
    uv_signal_t sigterm;
    uv_pipe_t input;
    char input_byte[1];
};

// A call that is not answered at once.
struct call_state {
    struct echo *echo;
    struct rpc_call call;
    uv_timer_t timer;           // of a delayed answer
    echo_request *request;      // what is answered then
    stream_request *streaming;  // NULL: not a Stream
    uint32_t sent;
};

// --- live calls ---

static uint64_t live_count(const struct echo *echo) {
    return echo->started - echo->ok - echo->failed - echo->cancelled;
}

static struct call_state *state_of(struct echo *echo, struct rpc_call call) {
    struct call_state *state = call.index < echo->live_cap ? echo->live[call.index] : NULL;
    return state != NULL && state->call.generation == call.generation ? state : NULL;
}

static struct call_state *state_new(struct echo *echo, struct rpc_call call) {
    if (call.index >= echo->live_cap) {
        const size_t live_cap = (size_t)call.index + 1024;
        echo->live = mem_realloc(echo->live, live_cap * sizeof(struct call_state *));
        memset(echo->live + echo->live_cap, 0, (live_cap - echo->live_cap) * sizeof(struct call_state *));
        echo->live_cap = live_cap;
    }
    // An index is used again only once its call has ended, of which we are told.
    assert(echo->live[call.index] == NULL);
    struct call_state *state = mem_zalloc(sizeof *state);
    *state = (struct call_state){.echo = echo, .call = call};
    uv_timer_init(&echo->loop, &state->timer);
    state->timer.data = state;
    echo->live[call.index] = state;
    return state;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void state_end(struct call_state *state) {
    state->echo->live[state->call.index] = NULL;
    if (state->request != NULL) {
        baton__interop__echo_request__free_unpacked(state->request, NULL);
    }
    if (state->streaming != NULL) {
        baton__interop__stream_request__free_unpacked(state->streaming, NULL);
    }
    uv_close((uv_handle_t *)&state->timer, on_timer_closed);
}

static void on_cancel(void *user, struct rpc_call call) {
    struct echo *echo = user;
    struct call_state *state = state_of(echo, call);
    echo->cancelled++;
    if (state != NULL) {
        state_end(state);
    }
}

static void finish(struct echo *echo, struct rpc_call call, uint32_t status, const char *message) {
    assert(rpc_call_alive(echo->server, call));
    if (status == RPC_OK) {
        echo->ok++;
    } else {
        echo->failed++;
    }
    rpc_finish(echo->server, call, (enum rpc_status)status, message);
}

static bool send_payload(struct echo *echo, struct rpc_call call, ProtobufCBinaryData payload) {
    Baton__Interop__EchoResponse response = BATON__INTEROP__ECHO_RESPONSE__INIT;
    response.payload = payload;
    buf_clear(&echo->out);
    uint8_t *to = buf_reserve(&echo->out, baton__interop__echo_response__get_packed_size(&response));
    echo->out.len = baton__interop__echo_response__pack(&response, to);
    return rpc_send(echo->server, call, buf_slice(&echo->out));
}

static char *text_of(ProtobufCBinaryData data) {
    char *text = mem_zalloc(data.len + 1);
    if (data.len > 0) {
        memcpy(text, data.data, data.len);
    }
    return text;
}

// --- Echo ---

static void finish_as_asked(struct echo *echo, struct rpc_call call, const echo_request *request) {
    for (size_t i = 0; i < request->n_trailers; i++) {
        char *key = text_of(request->trailers[i]->key);
        const ProtobufCBinaryData value = request->trailers[i]->value;
        rpc_call_trailer(echo->server, call, key, slice_of(value.data, value.len));
        free(key);
    }
    char *message = text_of(request->message);
    finish(echo, call, request->status, message);
    free(message);
}

static void answer(struct echo *echo, struct rpc_call call, const echo_request *request) {
    ProtobufCBinaryData payload = request->payload;
    if (request->metadata_key.len > 0) {
        char *key = text_of(request->metadata_key);
        const struct slice value = rpc_call_metadata(echo->server, call, key);
        payload = (ProtobufCBinaryData){.len = value.len, .data = (uint8_t *)value.data};
        free(key);
    }
    if (request->status == RPC_OK) {
        send_payload(echo, call, payload);
    }
    finish_as_asked(echo, call, request);
}

static void on_delay_over(uv_timer_t *timer) {
    struct call_state *state = timer->data;
    answer(state->echo, state->call, state->request);
    state_end(state);
}

// NULL: it was none, and the call has been failed.
static echo_request *unpack(struct echo *echo, struct rpc_call call, struct slice message) {
    echo_request *request = baton__interop__echo_request__unpack(NULL, message.len, message.data);
    if (request == NULL || request->status >= RPC_STATUS_COUNT) {
        finish(echo, call, RPC_INVALID_ARGUMENT, "not an EchoRequest");
        if (request != NULL) {
            baton__interop__echo_request__free_unpacked(request, NULL);
        }
        return NULL;
    }
    return request;
}

static void on_echo(void *user, struct rpc_call call, struct slice message) {
    struct echo *echo = user;
    echo->started++;
    echo_request *request = unpack(echo, call, message);
    if (request == NULL) {
        return;
    }
    if (request->delay_ms > 0) {
        struct call_state *state = state_new(echo, call);
        state->request = request;
        uv_timer_start(&state->timer, on_delay_over, request->delay_ms, 0);
        return;
    }
    answer(echo, call, request);
    baton__interop__echo_request__free_unpacked(request, NULL);
}

// --- Stream ---

static void stream_on(struct call_state *state) {
    struct echo *echo = state->echo;
    const stream_request *request = state->streaming;
    uint8_t *payload = mem_zalloc(request->size);
    const ProtobufCBinaryData data = {.len = request->size, .data = payload};
    while (state->sent < request->count && send_payload(echo, state->call, data)) {
        state->sent++;
    }
    free(payload);
    if (state->sent == request->count) {
        const struct rpc_call call = state->call;
        const uint32_t status = request->status;
        state_end(state);
        finish(echo, call, status, NULL);
    }
}

static void on_stream(void *user, struct rpc_call call, struct slice message) {
    struct echo *echo = user;
    echo->started++;
    stream_request *request = baton__interop__stream_request__unpack(NULL, message.len, message.data);
    if (request == NULL || request->size > MESSAGE_MAX || request->status >= RPC_STATUS_COUNT) {
        finish(echo, call, RPC_INVALID_ARGUMENT, "not a StreamRequest");
        if (request != NULL) {
            baton__interop__stream_request__free_unpacked(request, NULL);
        }
        return;
    }
    struct call_state *state = state_new(echo, call);
    state->streaming = request;
    stream_on(state);
}

static void on_stream_writable(void *user, struct rpc_call call) {
    struct call_state *state = state_of(user, call);
    if (state != NULL) {
        stream_on(state);
    }
}

// --- Chat ---

static void on_chat(void *user, struct rpc_call call, struct slice message) {
    struct echo *echo = user;
    struct call_state *state = state_of(echo, call);
    if (state == NULL) {
        echo->started++;
        state = state_new(echo, call);
    }
    echo_request *request = unpack(echo, call, message);
    if (request == NULL || request->status != RPC_OK) {
        state_end(state);
        if (request != NULL) {
            finish_as_asked(echo, call, request);
        }
    } else if (!send_payload(echo, call, request->payload)) {
        state_end(state);
        finish(echo, call, RPC_RESOURCE_EXHAUSTED, "answers were not read");
    }
    if (request != NULL) {
        baton__interop__echo_request__free_unpacked(request, NULL);
    }
}

static void on_chat_half_close(void *user, struct rpc_call call) {
    struct echo *echo = user;
    struct call_state *state = state_of(echo, call);
    if (state == NULL) {
        echo->started++;  // a stream without messages
    } else {
        state_end(state);
    }
    finish(echo, call, RPC_OK, NULL);
}

// A stream that is cancelled before its first message was not counted as started.
static void on_chat_cancel(void *user, struct rpc_call call) {
    struct echo *echo = user;
    if (state_of(echo, call) != NULL) {
        on_cancel(echo, call);
    }
}

// --- Stats ---

static void on_stats(void *user, struct rpc_call call, struct slice message) {
    (void)message;
    struct echo *echo = user;
    struct buf metrics = {0};
    metrics_render(echo->metrics, &metrics);
    Baton__Interop__StatsResponse response = BATON__INTEROP__STATS_RESPONSE__INIT;
    response.started = echo->started;
    response.ok = echo->ok;
    response.failed = echo->failed;
    response.cancelled = echo->cancelled;
    response.live = live_count(echo);
    response.metrics = (ProtobufCBinaryData){.len = metrics.len, .data = metrics.data};
    buf_clear(&echo->out);
    uint8_t *to = buf_reserve(&echo->out, baton__interop__stats_response__get_packed_size(&response));
    echo->out.len = baton__interop__stats_response__pack(&response, to);
    rpc_reply(echo->server, call, buf_slice(&echo->out));
    buf_free(&metrics);
}

// --- the program ---

static const struct rpc_method methods[] = {
    {.name = "Echo", .kind = RPC_UNARY, .on_message = on_echo, .on_cancel = on_cancel},
    {.name = "Stream",
     .kind = RPC_SERVER_STREAM,
     .on_message = on_stream,
     .on_cancel = on_cancel,
     .on_writable = on_stream_writable},
    {.name = "Chat",
     .kind = RPC_BIDI,
     .on_message = on_chat,
     .on_cancel = on_chat_cancel,
     .on_half_close = on_chat_half_close},
    {.name = "Stats", .kind = RPC_UNARY, .on_message = on_stats},
};

static void stop(void *user) {
    uv_stop(&((struct echo *)user)->loop);
}

static void on_sigterm(uv_signal_t *handle, int number) {
    (void)number;
    struct echo *echo = handle->data;
    rpc_server_drain(echo->server, 2000, stop, echo);
}

static void on_input_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct echo *echo = handle->data;
    *out = uv_buf_init(echo->input_byte, sizeof echo->input_byte);
}

static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    (void)buffer;
    if (count < 0) {
        stop(stream->data);
    }
}

static void watch_input_and_sigterm(struct echo *echo) {
    uv_signal_init(&echo->loop, &echo->sigterm);
    echo->sigterm.data = echo;
    uv_signal_start(&echo->sigterm, on_sigterm, SIGTERM);
    uv_pipe_init(&echo->loop, &echo->input, 0);
    echo->input.data = echo;
    uv_pipe_open(&echo->input, 0);
    uv_read_start((uv_stream_t *)&echo->input, on_input_buffer, on_input);
}

static void close_all(struct echo *echo, struct rpc_runtime *runtime) {
    rpc_server_close(echo->server);
    rpc_runtime_close(runtime);
    for (size_t i = 0; i < echo->live_cap; i++) {
        if (echo->live[i] != NULL) {
            state_end(echo->live[i]);
        }
    }
    uv_close((uv_handle_t *)&echo->sigterm, NULL);
    uv_close((uv_handle_t *)&echo->input, NULL);
    uv_run(&echo->loop, UV_RUN_DEFAULT);
    uv_loop_close(&echo->loop);
    metrics_free(echo->metrics);
    free(echo->live);
    buf_free(&echo->out);
}

int main(int argc, char **argv) {
    struct echo echo = {.metrics = metrics_new()};
    uv_loop_init(&echo.loop);
    struct rpc_runtime *runtime = rpc_runtime_new(&echo.loop, echo.metrics);
    struct error error;
    if (rpc_server_listen(runtime, argc > 1 ? argv[1] : "127.0.0.1:0", &echo.server, &error) != OK) {
        fprintf(stderr, "%s\n", error.message);
        return EXIT_LISTEN_FAILED;
    }
    const struct rpc_service service = {
        .name = "baton.interop.Echo",
        .methods = methods,
        .method_count = ARRAY_COUNT(methods),
        .user = &echo,
    };
    rpc_server_add_service(echo.server, &service);
    rpc_server_set_serving(echo.server, service.name, true);
    rpc_server_set_reflection(echo.server, slice_of(descriptor_set, sizeof descriptor_set));
    watch_input_and_sigterm(&echo);
    printf("listening %s\n", rpc_server_address(echo.server));
    fflush(stdout);
    uv_run(&echo.loop, UV_RUN_DEFAULT);
    printf("started=%" PRIu64 " ok=%" PRIu64 " failed=%" PRIu64 " cancelled=%" PRIu64 " live=%" PRIu64 "\n", echo.started,
           echo.ok, echo.failed, echo.cancelled, live_count(&echo));
    close_all(&echo, runtime);
    return 0;
}
