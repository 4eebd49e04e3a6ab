// A client's call, from rpc_channel_call to on_done.
//
// It waits in the channel, is then submitted on a connection, and then has its result. on_done is called at once where no
// caller up the stack uses the call any more, and at the end of the turn otherwise.
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc/stats.h"

enum { REQUEST_FIELDS = 8, REQUEST_METADATA_MAX = 8 };

struct channel_call {
    struct rpc_stream stream;
    struct rpc_channel *channel;
    struct rpc_link link;  // in channel->waiting or channel->idle_calls
    uint32_t index;
    const char *path;
    struct rpc_stats *stats;
    uint64_t started_ns;  // 0: a stream
    void *user;
    uint64_t tag;
    rpc_done *on_done;
    void (*on_message)(void *user, uint64_t tag, struct slice message);
    bool wait_for_ready;
    struct rpc_timer deadline;  // running or not
    char timeout_text[RPC_TIMEOUT_TEXT];
    struct rpc_metadata request;

    bool sent;      // its HEADERS were handed to the transport: the server may process it
    bool out_done;  // its body was
    bool ended;     // it has its result; on_done is due
    int http_status;
    int grpc_status;  // -1: none yet
    bool grpc;        // the response's content-type is application/grpc
    struct rpc_metadata response;

    struct rpc_result result;
    struct buf message;
    struct rpc_deferred deliver;
};

static struct channel_call *call_of(struct rpc_stream *stream) {
    return rpc_container(stream, struct channel_call, stream);
}

// --- allocation ---

static struct channel_call *new_call(struct rpc_channel *channel) {
    struct channel_call *call;
    struct rpc_link *idle = rpc_list_first(&channel->idle_calls);
    if (idle != NULL) {
        rpc_list_remove(idle);
        channel->idle_count--;
        call = rpc_container(idle, struct channel_call, link);
    } else {
        call = mem_zalloc(sizeof *call);
        rpc_stream_init(&call->stream);
        rpc_list_init(&call->link);
    }
    call->channel = channel;
    call->grpc_status = -1;
    channel->objects++;
    return call;
}

static void free_call(struct channel_call *call) {
    rpc_stream_free(&call->stream);
    rpc_metadata_free(&call->request);
    rpc_metadata_free(&call->response);
    buf_free(&call->message);
    free(call);
}

static void recycle(struct channel_call *call) {
    struct rpc_channel *channel = call->channel;
    assert(channel->objects > 0);
    channel->objects--;
    if (channel->closed || channel->idle_count == RPC_CALLS_KEPT) {
        free_call(call);
        rpc_channel_release(channel);
        return;
    }
    rpc_stream_recycle(&call->stream);
    rpc_metadata_clear(&call->request);
    rpc_metadata_clear(&call->response);
    if (call->message.cap > KIB) {
        buf_free(&call->message);
    }
    buf_clear(&call->message);
    *call = (struct channel_call){
        .stream = call->stream,
        .request = call->request,
        .response = call->response,
        .message = call->message,
    };
    rpc_list_init(&call->link);
    rpc_list_push(&channel->idle_calls, &call->link);
    channel->idle_count++;
}

void rpc_channel_free_calls(struct rpc_channel *channel) {
    for (struct rpc_link *link; (link = rpc_list_first(&channel->idle_calls)) != NULL;) {
        rpc_list_remove(link);
        free_call(rpc_container(link, struct channel_call, link));
    }
    rpc_handles_free(&channel->calls);
}

// --- the end ---

static void deliver(struct channel_call *call) {
    assert(call->ended && call->stream.connection == NULL && !rpc_timer_running(&call->deadline));
    call->on_done(call->user, call->tag, &call->result);
    recycle(call);
}

static void deliver_deferred(struct rpc_deferred *deferred) {
    deliver(rpc_container(deferred, struct channel_call, deliver));
}

// Sets the result, with the status message in call->message, and removes the call from its connection and the channel.
static void complete(struct channel_call *call, enum rpc_status status, bool maybe_processed) {
    assert(!call->ended);
    struct rpc_channel *channel = call->channel;
    call->ended = true;
    call->stream.ignores_input = true;
    rpc_timer_stop(channel->runtime, &call->deadline);
    rpc_handles_remove(&channel->calls, call->index);
    rpc_stats_end(channel->runtime, call->stats, status, call->started_ns);
    rpc_list_remove(&call->link);
    if (call->stream.connection != NULL) {
        rpc_connection_touch(call->stream.connection);  // an ordered channel submits its next call
        if (call->stream.half_closed && call->out_done) {
            rpc_stream_detach(&call->stream);
        } else {
            rpc_stream_reset(&call->stream, call->stream.half_closed ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
        }
    }
    if (channel->sending == call) {
        channel->sending = NULL;
    }
    call->result.status = status;
    call->result.message = buf_slice(&call->message);
    call->result.maybe_processed = maybe_processed;
    call->result.answered = call->grpc_status == (int)status;
    call->result.trailers = &call->response;
    if (status != RPC_OK) {
        call->result.body = (struct slice){0};
    }
}

// Only where no caller up the stack uses the call any more.
static void end_now(struct channel_call *call, enum rpc_status status, const char *message, bool maybe_processed) {
    if (message != NULL) {
        buf_clear(&call->message);
        buf_append_str(&call->message, message);
    }
    complete(call, status, maybe_processed);
    deliver(call);
}

static void end_later(struct channel_call *call, enum rpc_status status, const char *message) {
    buf_clear(&call->message);
    buf_append_str(&call->message, message);
    complete(call, status, call->sent);
    rpc_defer(call->channel->runtime, &call->deliver, deliver_deferred);
}

static void on_deadline(struct rpc_timer *timer) {
    struct channel_call *call = rpc_container(timer, struct channel_call, deadline);
    end_now(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed", call->sent);
}

// --- the request ---

static void wait_in_channel(struct channel_call *call) {
    rpc_list_push(&call->channel->waiting, &call->link);
}

static size_t request_fields(struct channel_call *call, nghttp2_nv *fields) {
    struct rpc_channel *channel = call->channel;
    size_t count = 0;
    fields[count++] = rpc_field(slice_of(":method", 7), slice_of("POST", 4), 0);
    fields[count++] = rpc_field(slice_of(":scheme", 7), slice_of("http", 4), 0);
    fields[count++] = rpc_field(slice_of(":path", 5), slice_of_str(call->path), 0);
    fields[count++] = rpc_field(slice_of(":authority", 10), slice_of_str(channel->target), 0);
    fields[count++] = rpc_field(slice_of("te", 2), slice_of("trailers", 8), 0);
    fields[count++] = rpc_field(slice_of("content-type", 12), slice_of("application/grpc", 16), 0);
    fields[count++] = rpc_field(slice_of("user-agent", 10), slice_of_str("baton/" BATON_VERSION), 0);
    if (rpc_timer_running(&call->deadline)) {
        uint64_t now = rpc_now_ms(channel->runtime);
        uint64_t left = call->deadline.at_ms > now ? call->deadline.at_ms - now : 1;
        size_t len = rpc_timeout_format(call->timeout_text, left);
        fields[count++] =
            rpc_field(slice_of("grpc-timeout", 12), slice_of(call->timeout_text, len), NGHTTP2_NV_FLAG_NO_INDEX);
    }
    size_t at = 0;
    struct slice key, value;
    while (rpc_metadata_next(&call->request, &at, &key, &value)) {
        fields[count++] = rpc_field(key, value, 0);
    }
    return count;
}

// False: the connection takes no more calls: its stream ids are used up.
static bool submit(struct channel_call *call) {
    struct rpc_channel *channel = call->channel;
    assert(!call->ended && !call->sent && call->stream.out.sent == 0);
    nghttp2_nv fields[REQUEST_FIELDS + REQUEST_METADATA_MAX];
    size_t count = request_fields(call, fields);
    nghttp2_data_provider provider = rpc_stream_provider();
    int32_t id = nghttp2_submit_request(channel->connection->session, NULL, fields, count, &provider, &call->stream);
    if (id < 0) {
        return false;
    }
    rpc_list_remove(&call->link);
    rpc_stream_attach(&call->stream, channel->connection, id);
    rpc_connection_touch(channel->connection);
    if (channel->options.ordered) {
        channel->sending = call;
    }
    return true;
}

// False also once the server has broken the protocol: all that is left of the connection is to say so, and a call that is
// submitted comes back unsent. The check of nghttp2 is also about stream ids, which `submit` sees to.
static bool takes_requests(const struct rpc_channel *channel) {
    return channel->open && (nghttp2_session_check_request_allowed(channel->connection->session) != 0 ||
                             nghttp2_session_get_next_stream_id(channel->connection->session) > INT32_MAX);
}

bool rpc_channel_pump(struct rpc_channel *channel) {
    bool any = false;
    while (channel->sending == NULL && !rpc_list_empty(&channel->waiting) && takes_requests(channel)) {
        if (!submit(rpc_container(rpc_list_first(&channel->waiting), struct channel_call, link))) {
            // After 2^30 calls (RFC 9113, section 5.1.1).
            nghttp2_submit_goaway(channel->connection->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
            rpc_channel_retire_connection(channel, RPC_DOWN_CLOSED);
            break;
        }
        any = true;
    }
    return any;
}

static void fill(struct channel_call *call, const struct rpc_request *request) {
    call->path = request->path;
    call->stats = rpc_stats_of(call->channel->runtime, false, request->path);
    call->started_ns = request->on_message == NULL && call->stats != NULL ? uv_hrtime() : 0;
    call->user = request->user;
    call->tag = request->tag;
    call->on_done = request->on_done;
    call->on_message = request->on_message;
    call->wait_for_ready = request->wait_for_ready;
    call->stream.one_message = request->on_message == NULL;
    rpc_stream_put(&call->stream, request->body);
    call->stream.out.ended = true;
    size_t count = 0;
    for (const char *const *pair = request->metadata; pair != NULL && *pair != NULL; pair += 2) {
        count++;
        assert(count <= REQUEST_METADATA_MAX && pair[1] != NULL);
        rpc_metadata_add(&call->request, slice_of_str(pair[0]), slice_of_str(pair[1]));
    }
}

struct rpc_ticket rpc_channel_call(struct rpc_channel *channel, const struct rpc_request *request) {
    assert(!channel->closed && request->on_done != NULL);
    bool full = channel->calls.count >= RPC_CHANNEL_CALLS_MAX;
    struct channel_call *call = new_call(channel);
    call->index = rpc_handles_add(&channel->calls, call);
    struct rpc_ticket ticket = {.index = call->index, .generation = channel->calls.entries[call->index].generation};
    fill(call, request);
    if (request->timeout_ms > 0) {
        rpc_timer_start(channel->runtime, &call->deadline, request->timeout_ms, on_deadline);
    }
    if (full) {
        end_later(call, RPC_RESOURCE_EXHAUSTED, "too many calls in flight on this channel");
    } else if (!request->wait_for_ready && !takes_requests(channel)) {
        end_later(call, RPC_UNAVAILABLE, "not connected");
    } else {
        wait_in_channel(call);
        rpc_channel_pump(channel);
    }
    return ticket;
}

void rpc_channel_cancel(struct rpc_channel *channel, struct rpc_ticket ticket) {
    struct channel_call *call = rpc_handles_get(&channel->calls, ticket.index, ticket.generation);
    if (call != NULL) {
        end_later(call, RPC_CANCELLED, "cancelled");
    }
}

void rpc_channel_cancel_all(struct rpc_channel *channel) {
    for (uint32_t i = 0; i < channel->calls.used; i++) {
        if (channel->calls.entries[i].object != NULL) {
            end_later(channel->calls.entries[i].object, RPC_CANCELLED, "the channel was closed");
        }
    }
}

void rpc_channel_call_headers_sent(struct rpc_stream *stream, bool end) {
    (void)end;
    call_of(stream)->sent = true;
}

bool rpc_channel_call_out_ended(struct rpc_stream *stream) {
    struct channel_call *call = call_of(stream);
    call->out_done = true;
    if (call->channel->sending == call) {
        call->channel->sending = NULL;
    }
    return false;
}

// --- the answer ---

static bool is(struct slice s, const char *literal, size_t len) {
    return s.len == len && memcmp(s.data, literal, len) == 0;
}
#define IS(s, literal) is((s), (literal), sizeof(literal) - 1)

void rpc_channel_call_header(struct rpc_stream *stream, struct slice name, struct slice value) {
    struct channel_call *call = call_of(stream);
    if (IS(name, ":status") && value.len == 3) {
        call->http_status = (value.data[0] - '0') * 100 + (value.data[1] - '0') * 10 + (value.data[2] - '0');
    } else if (IS(name, "content-type")) {
        call->grpc = value.len >= 16 && memcmp(value.data, "application/grpc", 16) == 0;
    } else if (IS(name, "grpc-status")) {
        call->grpc_status = (int)rpc_status_parse(value);
    } else if (IS(name, "grpc-message")) {
        buf_clear(&call->message);
        rpc_percent_decode(&call->message, value);
    } else if (name.data[0] != ':') {
        rpc_metadata_add(&call->response, name, value);
    }
}

void rpc_channel_call_headers(struct rpc_stream *stream, bool end) {
    struct channel_call *call = call_of(stream);
    if (call->http_status < 200 || end) {
        return;  // an interim response; or half_closed handles it
    }
    if (call->http_status != 200 || !call->grpc) {
        end_later(call, rpc_status_of_http(call->http_status), "the answer is not gRPC");
    }
}

void rpc_channel_call_message(struct rpc_stream *stream, struct slice message) {
    struct channel_call *call = call_of(stream);
    if (call->on_message != NULL) {
        call->on_message(call->user, call->tag, message);
    } else {
        call->result.body = message;
    }
}

void rpc_channel_call_half_closed(struct rpc_stream *stream) {
    struct channel_call *call = call_of(stream);
    if (call->ended) {
        return;
    }
    if (call->grpc_status < 0) {
        bool http = call->http_status != 200 || !call->grpc;
        end_now(call, http ? rpc_status_of_http(call->http_status) : RPC_UNKNOWN,
                http ? "the answer is not gRPC" : "the answer ends without a status", true);
    } else if (call->grpc_status == RPC_OK && stream->one_message && !stream->has_message) {
        end_now(call, RPC_UNIMPLEMENTED, "the answer has no message", true);
    } else {
        end_now(call, (enum rpc_status)call->grpc_status, NULL, true);
    }
}

void rpc_channel_call_failed(struct rpc_stream *stream, enum rpc_stream_error error) {
    static const struct {
        enum rpc_status status;
        const char *message;
    } ends[] = {
        [RPC_STREAM_TRUNCATED] = {RPC_INTERNAL, "the answer ends inside a message"},
        [RPC_STREAM_TOO_MANY] = {RPC_UNIMPLEMENTED, "the answer has more than one message"},
        [RPC_STREAM_TOO_LARGE] = {RPC_RESOURCE_EXHAUSTED, "the answer is larger than 4194304 bytes"},
        [RPC_STREAM_COMPRESSED] = {RPC_INTERNAL, "the answer is compressed, which was not asked for"},
        [RPC_STREAM_NO_MEMORY] = {RPC_RESOURCE_EXHAUSTED, "no memory for the answer"},
    };
    static_assert(MESSAGE_MAX == 4194304, "the message above says so");
    struct channel_call *call = call_of(stream);
    if (!call->ended) {
        end_later(call, ends[error].status, ends[error].message);
    }
}

void rpc_channel_call_writable(struct rpc_stream *stream) {
    (void)stream;
}

struct rpc_stream *rpc_channel_call_begin(struct rpc_connection *connection, int32_t id) {
    (void)connection, (void)id;
    return NULL;  // SETTINGS disabled server push
}

// Without a complete answer: reset, refused, or lost with the connection.
void rpc_channel_call_closed(struct rpc_stream *stream, uint32_t error_code) {
    struct channel_call *call = call_of(stream);
    if (call->channel->sending == call) {
        call->channel->sending = NULL;
    }
    if (!call->sent && call->wait_for_ready && !call->channel->closed) {
        wait_in_channel(call);  // the server cannot have seen it: the next connection takes it
        rpc_channel_pump(call->channel);
    } else if (!call->sent || error_code == NGHTTP2_REFUSED_STREAM) {
        end_now(call, RPC_UNAVAILABLE, "refused by the server", false);
    } else if (error_code == NGHTTP2_CONNECT_ERROR) {
        end_now(call, RPC_UNAVAILABLE, "the connection was lost", true);
    } else {
        end_now(call, rpc_status_of_reset(error_code), "reset by the server", true);
    }
}

struct slice rpc_result_trailer(const struct rpc_result *result, const char *key) {
    return rpc_metadata_get(result->trailers, slice_of_str(key));
}
