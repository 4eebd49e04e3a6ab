// Calls an echo service through src/rpc, says what came back, and ends: echo_client --target HOST:PORT [what the usage
// says]. One line for each status met ("calls OK 3000"), then what the last call's end brought: its message, its trailers.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "echo.pb-c.h"
#include "rpc/rpc.h"

static const char usage[] =
    "echo_client --target HOST:PORT [--method Echo|Stream|Nothing] [--size BYTES] [--count CALLS] [--inflight CALLS]\n"
    "            [--messages N] [--delay MS] [--timeout MS] [--cancel-after MS] [--status N] [--message TEXT]\n"
    "            [--trailer KEY=VALUE] [--metadata KEY=VALUE] [--wait]\n";

struct options {
    const char *target;
    const char *method;
    uint32_t size, count, inflight, messages, delay, timeout, cancel_after, status;
    const char *message;
    char *trailer;   // KEY, then VALUE after its NUL
    char *metadata;  // the same; the server is asked to send it back
    bool wait;
};

struct client {
    struct options options;
    uv_loop_t loop;
    struct rpc_channel *channel;
    struct buf body;
    uint8_t *payload;
    char path[64];
    uint32_t made, ended;
    uint64_t statuses[RPC_STATUS_COUNT];
    uint64_t messages, bytes, mismatches, maybe_processed;
    struct rpc_ticket ticket;  // of the last call made
    uv_timer_t cancel_timer;
    struct buf last;  // the result of the last call to end, ready to print
};

static _Noreturn void misused(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\n%s", what, text, usage);
    exit(EXIT_USAGE);
}

static uint32_t number(const char *text) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > UINT32_MAX) {
        misused("not a number", text);
    }
    return (uint32_t)value;
}

// KEY=VALUE becomes KEY and, after its NUL, VALUE.
static char *pair(char *text) {
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        misused("not KEY=VALUE", text);
    }
    *equals = '\0';
    return text;
}

static const char *pair_value(const char *pair) {
    return pair + strlen(pair) + 1;
}

// Where the value of a flag goes, by its form.
struct flag {
    const char *name;
    uint32_t *number;
    const char **text;
    char **pair;
};

static void take(const struct flag *flags, const char *name, char *value) {
    while (flags->name != NULL && strcmp(flags->name, name) != 0) {
        flags++;
    }
    if (flags->name == NULL || value == NULL) {
        misused(value == NULL ? "no value" : "unknown flag", name);
    } else if (flags->number != NULL) {
        *flags->number = number(value);
    } else if (flags->text != NULL) {
        *flags->text = value;
    } else {
        *flags->pair = pair(value);
    }
}

static struct options parse(char **argv) {
    struct options o = {.method = "Echo", .count = 1, .inflight = 1, .messages = 1, .message = ""};
    const struct flag flags[] = {
        {"--target", .text = &o.target},       {"--method", .text = &o.method},
        {"--message", .text = &o.message},     {"--size", .number = &o.size},
        {"--count", .number = &o.count},       {"--inflight", .number = &o.inflight},
        {"--messages", .number = &o.messages}, {"--delay", .number = &o.delay},
        {"--timeout", .number = &o.timeout},   {"--cancel-after", .number = &o.cancel_after},
        {"--status", .number = &o.status},     {"--trailer", .pair = &o.trailer},
        {"--metadata", .pair = &o.metadata},   {.name = NULL},
    };
    for (char **argument = argv + 1; *argument != NULL; argument++) {
        if (strcmp(*argument, "--wait") == 0) {
            o.wait = true;
        } else {
            take(flags, argument[0], argument[1]);
            argument++;
        }
    }
    if (o.target == NULL) {
        misused("needed", "--target");
    }
    return o;
}

static ProtobufCBinaryData binary(const void *data, size_t len) {
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)data};
}

static void pack_request(struct client *client) {
    const struct options *o = &client->options;
    if (strcmp(o->method, "Stream") == 0) {
        Baton__Interop__StreamRequest request = BATON__INTEROP__STREAM_REQUEST__INIT;
        request.count = o->messages;
        request.size = o->size;
        request.status = o->status;
        uint8_t *to = buf_reserve(&client->body, baton__interop__stream_request__get_packed_size(&request));
        client->body.len = baton__interop__stream_request__pack(&request, to);
        return;
    }
    Baton__Interop__EchoRequest request = BATON__INTEROP__ECHO_REQUEST__INIT;
    Baton__Interop__Trailer trailer = BATON__INTEROP__TRAILER__INIT;
    Baton__Interop__Trailer *trailers[] = {&trailer};
    request.payload = binary(client->payload, o->size);
    request.delay_ms = o->delay;
    request.status = o->status;
    request.message = binary(o->message, strlen(o->message));
    if (o->trailer != NULL) {
        trailer.key = binary(o->trailer, strlen(o->trailer));
        trailer.value = binary(pair_value(o->trailer), strlen(pair_value(o->trailer)));
        request.trailers = trailers;
        request.n_trailers = 1;
    }
    if (o->metadata != NULL) {
        request.metadata_key = binary(o->metadata, strlen(o->metadata));
    }
    uint8_t *to = buf_reserve(&client->body, baton__interop__echo_request__get_packed_size(&request));
    client->body.len = baton__interop__echo_request__pack(&request, to);
}

// --- calls ---

static void make_calls(struct client *client);

// What must come back: the payload, for a Stream so many zeros, or the metadata.
static void check_response(struct client *client, struct slice body) {
    const struct options *o = &client->options;
    Baton__Interop__EchoResponse *response = baton__interop__echo_response__unpack(NULL, body.len, body.data);
    client->messages++;
    if (response == NULL) {
        client->mismatches++;
        return;
    }
    struct slice want = slice_of(client->payload, o->size);
    if (o->metadata != NULL) {
        want = slice_of_str(pair_value(o->metadata));
    }
    client->bytes += response->payload.len;
    if (!slice_equal(slice_of(response->payload.data, response->payload.len), want)) {
        client->mismatches++;
    }
    baton__interop__echo_response__free_unpacked(response, NULL);
}

static void on_message(void *user, uint64_t tag, struct slice message) {
    (void)tag;
    check_response(user, message);
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)tag;
    struct client *client = user;
    const struct options *o = &client->options;
    client->statuses[result->status]++;
    client->maybe_processed += result->maybe_processed;
    if (result->status == RPC_OK && strcmp(o->method, "Stream") != 0) {
        check_response(client, result->body);
    }
    if (++client->ended == o->count) {
        buf_append_str(&client->last, "message ");
        buf_append_slice(&client->last, result->message);
        buf_append_str(&client->last, "\n");
        if (o->trailer != NULL) {
            const struct slice value = rpc_result_trailer(result, o->trailer);
            buf_printf(&client->last, "trailer %s ", o->trailer);
            buf_append_slice(&client->last, value);
            buf_append_str(&client->last, "\n");
        }
        uv_stop(&client->loop);
        return;
    }
    make_calls(client);
}

static void make_calls(struct client *client) {
    const struct options *o = &client->options;
    const bool stream = strcmp(o->method, "Stream") == 0;
    const char *metadata[] = {o->metadata, o->metadata == NULL ? NULL : pair_value(o->metadata), NULL};
    const struct rpc_request request = {
        .path = client->path,
        .body = buf_slice(&client->body),
        .timeout_ms = o->timeout,
        .wait_for_ready = o->wait,
        .user = client,
        .on_done = on_done,
        .on_message = stream ? on_message : NULL,
        .metadata = o->metadata == NULL ? NULL : metadata,
    };
    while (client->made < o->count && client->made - client->ended < o->inflight) {
        client->made++;
        client->ticket = rpc_channel_call(client->channel, &request);
    }
}

static void on_cancel_time(uv_timer_t *timer) {
    struct client *client = timer->data;
    rpc_channel_cancel(client->channel, client->ticket);
}

// --- the program ---

static void report(const struct client *client) {
    for (int i = 0; i < RPC_STATUS_COUNT; i++) {
        if (client->statuses[i] > 0) {
            printf("calls %s %" PRIu64 "\n", rpc_status_name((enum rpc_status)i), client->statuses[i]);
        }
    }
    printf("messages %" PRIu64 "\nbytes %" PRIu64 "\nmismatches %" PRIu64 "\nmaybe_processed %" PRIu64 "\n",
           client->messages, client->bytes, client->mismatches, client->maybe_processed);
    fwrite(client->last.data, 1, client->last.len, stdout);
}

static void prepare(struct client *client) {
    const struct options *o = &client->options;
    uv_loop_init(&client->loop);
    uv_timer_init(&client->loop, &client->cancel_timer);
    client->cancel_timer.data = client;
    snprintf(client->path, sizeof client->path, "/baton.interop.Echo/%s", o->method);
    client->payload = mem_zalloc(o->size);
    for (uint32_t i = 0; i < o->size && strcmp(o->method, "Stream") != 0; i++) {
        client->payload[i] = (uint8_t)(i * 31 + i / 251);
    }
    pack_request(client);
}

int main(int argc, char **argv) {
    (void)argc;
    struct client client = {.options = parse(argv)};
    prepare(&client);
    struct rpc_runtime *runtime = rpc_runtime_new(&client.loop, NULL);
    const struct rpc_channel_options channel = {.target = client.options.target};
    client.channel = rpc_channel_new(runtime, &channel);
    if (client.options.cancel_after > 0) {
        uv_timer_start(&client.cancel_timer, on_cancel_time, client.options.cancel_after, 0);
    }
    make_calls(&client);
    uv_run(&client.loop, UV_RUN_DEFAULT);
    report(&client);

    uv_close((uv_handle_t *)&client.cancel_timer, NULL);
    rpc_channel_close(client.channel);
    rpc_runtime_close(runtime);
    uv_run(&client.loop, UV_RUN_DEFAULT);
    uv_loop_close(&client.loop);
    free(client.payload);
    buf_free(&client.body);
    buf_free(&client.last);
    return 0;
}
