// A server's call, from its headers to its trailers.
//
// The application's handle is valid from the first message until the call has ended on either side. The object stays
// allocated until the stream is closed, as what is sent is read from it, and is then used again for another call.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/roles.h"
#include "rpc/server.h"

enum { TRAILERS_MAX = 8 };

struct server_call {
    struct rpc_stream stream;
    struct rpc_server *server;
    struct rpc_route *route;
    uint32_t index;
    uint32_t generation;
    bool post;          // :method is POST
    bool content_type;  // content-type is application/grpc
    bool unsupported;   // grpc-encoding is not identity
    bool bad_timeout;
    bool accepted;           // its headers are valid: it has a handle
    bool delivered;          // the application has been given its handle
    bool finished;           // its handle is invalid
    bool headers_submitted;  // of the response
    enum rpc_status status;
    uint64_t timeout_ms;
    uint64_t started_ns;
    struct rpc_timer deadline;
    struct rpc_metadata metadata;
    struct rpc_metadata trailers;
    unsigned trailer_count;
    struct buf message;  // percent-encoded
    struct rpc_link idle;
};

enum { CALL_BYTES = KIB };  // the object, and nghttp2's for the stream

static_assert(sizeof(struct server_call) < CALL_BYTES, "half of it is nghttp2's");

static struct server_call *call_of(struct rpc_stream *stream) {
    return rpc_container(stream, struct server_call, stream);
}

static struct rpc_call handle_of(const struct server_call *call) {
    return (struct rpc_call){.index = call->index, .generation = call->generation};
}

static struct server_call *find(const struct rpc_server *server, struct rpc_call call) {
    return rpc_handles_get(&server->calls, call.index, call.generation);
}

// --- allocation ---

struct rpc_stream *rpc_server_call_begin(struct rpc_connection *connection, int32_t id) {
    struct rpc_server *server = connection->owner;
    if (server->calls.count >= CALLS_MAX || server->closing) {
        return NULL;
    }
    struct server_call *call;
    struct rpc_link *idle = rpc_list_first(&server->idle_calls);
    if (idle != NULL) {
        rpc_list_remove(idle);
        server->idle_count--;
        call = rpc_container(idle, struct server_call, idle);
    } else {
        call = mem_zalloc(sizeof *call);
        rpc_stream_init(&call->stream);
        rpc_list_init(&call->idle);
    }
    call->server = server;
    call->route = &server->unknown;
    call->timeout_ms = RPC_NEVER;
    call->started_ns = uv_hrtime();
    rpc_stream_attach(&call->stream, connection, id);
    rpc_stream_set_overhead(&call->stream, CALL_BYTES);
    return &call->stream;
}

static void free_call(struct server_call *call) {
    rpc_stream_free(&call->stream);
    rpc_metadata_free(&call->metadata);
    rpc_metadata_free(&call->trailers);
    buf_free(&call->message);
    free(call);
}

static void recycle(struct server_call *call) {
    struct rpc_server *server = call->server;
    assert(call->finished && !rpc_timer_running(&call->deadline));
    if (server->idle_count == RPC_CALLS_KEPT) {
        free_call(call);
        return;
    }
    rpc_stream_recycle(&call->stream);
    rpc_metadata_clear(&call->metadata);
    rpc_metadata_clear(&call->trailers);
    if (call->message.cap > KIB) {
        buf_free(&call->message);
    }
    buf_clear(&call->message);
    *call = (struct server_call){
        .stream = call->stream,
        .metadata = call->metadata,
        .trailers = call->trailers,
        .message = call->message,
    };
    rpc_list_init(&call->idle);
    rpc_list_push(&server->idle_calls, &call->idle);
    server->idle_count++;
}

void rpc_server_free_calls(struct rpc_server *server) {
    for (struct rpc_link *link; (link = rpc_list_first(&server->idle_calls)) != NULL;) {
        rpc_list_remove(link);
        free_call(rpc_container(link, struct server_call, idle));
    }
    rpc_handles_free(&server->calls);
}

// --- the answer ---

static const nghttp2_nv response_headers[] = {
    {(uint8_t *)":status", (uint8_t *)"200", 7, 3, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE},
    {(uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16,
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE},
};

enum { RESPONSE_HEADERS = 2, TRAILER_FIELDS_MAX = 2 + TRAILERS_MAX };

// Status, message and what the application added; returns how many.
static size_t trailer_fields(const struct server_call *call, nghttp2_nv *fields) {
    static const char digits[] = "012345678910111213141516";
    size_t at = call->status < 10 ? (size_t)call->status : 10 + ((size_t)call->status - 10) * 2;
    size_t count = 0;
    fields[count++] = rpc_field(slice_of("grpc-status", 11), slice_of(digits + at, call->status < 10 ? 1 : 2), 0);
    if (call->message.len > 0) {
        fields[count++] = rpc_field(slice_of("grpc-message", 12), buf_slice(&call->message), NGHTTP2_NV_FLAG_NO_INDEX);
    }
    size_t next = 0;
    struct slice key, value;
    while (rpc_metadata_next(&call->trailers, &next, &key, &value)) {
        fields[count++] = rpc_field(key, value, 0);
    }
    return count;
}

// Messages follow as nghttp2 reads them.
static void submit_headers(struct server_call *call) {
    assert(!call->headers_submitted);
    nghttp2_data_provider provider = rpc_stream_provider();
    nghttp2_submit_response(call->stream.connection->session, call->stream.id, response_headers, RESPONSE_HEADERS,
                            &provider);
    call->headers_submitted = true;
    rpc_connection_touch(call->stream.connection);
}

// Trailers-Only: a response without messages is one header block.
static void submit_trailers_only(struct server_call *call) {
    assert(!call->headers_submitted && call->finished);
    nghttp2_nv fields[RESPONSE_HEADERS + TRAILER_FIELDS_MAX];
    memcpy(fields, response_headers, sizeof response_headers);
    size_t count = RESPONSE_HEADERS + trailer_fields(call, fields + RESPONSE_HEADERS);
    nghttp2_submit_response(call->stream.connection->session, call->stream.id, fields, count, NULL);
    call->headers_submitted = true;
    rpc_connection_touch(call->stream.connection);
}

bool rpc_server_call_out_ended(struct rpc_stream *stream) {
    assert(call_of(stream)->finished);
    nghttp2_nv fields[TRAILER_FIELDS_MAX];
    size_t count = trailer_fields(call_of(stream), fields);
    nghttp2_submit_trailer(stream->connection->session, stream->id, fields, count);
    return true;
}

// Tells a client that is still sending to stop (RFC 9113, section 8.1), but not earlier: nghttp2 would have dropped the
// response.
void rpc_server_call_headers_sent(struct rpc_stream *stream, bool end) {
    if (end && !stream->half_closed) {
        nghttp2_submit_rst_stream(stream->connection->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
    }
}

// --- the end ---

// Invalidates the handle and counts the call as ended.
static void complete(struct server_call *call, enum rpc_status status) {
    assert(!call->finished && (int)status < RPC_STATUS_COUNT);
    struct rpc_server *server = call->server;
    call->finished = true;
    call->status = status;
    call->stream.ignores_input = true;
    rpc_stream_want_no_room(&call->stream);
    rpc_metadata_clear(&call->metadata);
    rpc_stream_set_overhead(&call->stream, CALL_BYTES);
    rpc_timer_stop(server->runtime, &call->deadline);
    const struct rpc_method *method = call->route->method;
    bool unary = method != NULL && method->kind == RPC_UNARY;
    rpc_stats_end(server->runtime, call->route->stats, status, unary ? call->started_ns : 0);
    if (call->accepted) {
        rpc_handles_remove(&server->calls, call->index);
        metric_add(server->runtime->calls_gauge, -1);
    }
}

static void finish(struct server_call *call, enum rpc_status status, const char *message) {
    complete(call, status);
    if (message != NULL && status != RPC_OK) {
        rpc_percent_encode(&call->message, slice_of_str(message));
    }
    call->stream.out.ended = true;
    if (call->headers_submitted) {
        rpc_stream_wake(&call->stream);
    } else if (call->stream.out.bytes.len > 0) {
        submit_headers(call);
    } else {
        submit_trailers_only(call);
    }
}

// For a call that the application did not finish itself.
static void notify_cancelled(struct server_call *call) {
    const struct rpc_method *method = call->route->method;
    if (call->delivered && method->on_cancel != NULL) {
        method->on_cancel(call->route->user, handle_of(call));
    }
}

static void on_deadline(struct rpc_timer *timer) {
    struct server_call *call = rpc_container(timer, struct server_call, deadline);
    finish(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
    notify_cancelled(call);
}

void rpc_server_call_failed(struct rpc_stream *stream, enum rpc_stream_error error) {
    static const struct {
        enum rpc_status status;
        const char *message;
    } ends[] = {
        [RPC_STREAM_TRUNCATED] = {RPC_INTERNAL, "the request ends inside a message"},
        [RPC_STREAM_TOO_MANY] = {RPC_UNIMPLEMENTED, "the method expects one message and got more"},
        [RPC_STREAM_TOO_LARGE] = {RPC_RESOURCE_EXHAUSTED, "the message is larger than 4194304 bytes"},
        [RPC_STREAM_COMPRESSED] = {RPC_INTERNAL, "the message is marked as compressed, but no grpc-encoding was given"},
        [RPC_STREAM_NO_MEMORY] = {RPC_RESOURCE_EXHAUSTED, "no memory for the request; send less at a time"},
    };
    static_assert(MESSAGE_MAX == 4194304, "the message above says so");
    struct server_call *call = call_of(stream);
    if (!call->finished) {
        finish(call, ends[error].status, ends[error].message);
        notify_cancelled(call);
    }
}

void rpc_server_call_closed(struct rpc_stream *stream, uint32_t error_code) {
    (void)error_code;
    struct server_call *call = call_of(stream);
    if (!call->finished) {
        complete(call, RPC_CANCELLED);
        notify_cancelled(call);
    }
    recycle(call);
}

// --- the request ---

static bool is(struct slice s, const char *literal, size_t len) {
    return s.len == len && memcmp(s.data, literal, len) == 0;
}
#define IS(s, literal) is((s), (literal), sizeof(literal) - 1)

static bool is_grpc(struct slice content_type) {
    static const char expected[] = "application/grpc";
    size_t len = sizeof expected - 1;
    return content_type.len >= len && memcmp(content_type.data, expected, len) == 0 &&
           (content_type.len == len || content_type.data[len] == '+' || content_type.data[len] == ';');
}

static void protocol_header(struct server_call *call, struct slice name, struct slice value) {
    if (IS(name, ":path")) {
        struct rpc_route *route = rpc_server_route(call->server, value);
        call->route = route != NULL ? route : call->route;
    } else if (IS(name, ":method")) {
        call->post = IS(value, "POST");
    } else if (IS(name, "grpc-timeout")) {
        call->bad_timeout = !rpc_timeout_parse(value, &call->timeout_ms);
    } else if (IS(name, "grpc-encoding")) {
        call->unsupported = !IS(value, "identity");
    }
}

void rpc_server_call_header(struct rpc_stream *stream, struct slice name, struct slice value) {
    struct server_call *call = call_of(stream);
    if (call->accepted || call->finished) {
        return;  // gRPC has no request trailers
    }
    if (IS(name, "content-type")) {
        call->content_type = is_grpc(value);
    } else if (name.data[0] == ':' || (name.len > 5 && memcmp(name.data, "grpc-", 5) == 0)) {
        protocol_header(call, name, value);
    } else if (!IS(name, "te") && !IS(name, "user-agent") && !IS(name, "accept-encoding")) {
        rpc_metadata_add(&call->metadata, name, value);
    }
}

// Not a gRPC request: answered with an HTTP status.
static void refuse_http(struct server_call *call, const char *http_status) {
    complete(call, RPC_UNKNOWN);
    nghttp2_nv field = rpc_field(slice_of(":status", 7), slice_of_str(http_status), 0);
    nghttp2_submit_response(call->stream.connection->session, call->stream.id, &field, 1, NULL);
    rpc_connection_touch(call->stream.connection);
}

// Without TLS there are no identities, and everything is allowed; also to who comes in plaintext while the cluster migrates.
static bool may_call(const struct server_call *call) {
    const char *identity = call->stream.connection->transport->identity;
    assert(identity != NULL ? call->server->tls != NULL : call->server->tls == NULL || call->server->allow_plaintext);
    return identity == NULL || rpc_role_may_call(call->route->roles, identity);
}

static void refuse_role(struct server_call *call) {
    char text[192];
    snprintf(text, sizeof text, "a certificate of %s does not permit calls to %s",
             call->stream.connection->transport->identity, call->route->service->name);
    finish(call, RPC_PERMISSION_DENIED, text);
}

static bool is_streaming(const struct server_call *call) {
    return call->route->method->kind != RPC_UNARY;
}

static bool has_too_many_streams(const struct server_call *call) {
    const struct rpc_client *client = call->stream.connection->client;
    const struct rpc_limits *limits = call->server->limits;
    return client != NULL && !client->unlimited && limits->streams != 0 && client->streams >= limits->streams;
}

// False: the request is refused and answered.
static bool check_request(struct server_call *call) {
    if (call->stream.header_bytes > HEADER_LIST_MAX) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "the header list is larger than 16384 bytes");
        static_assert(HEADER_LIST_MAX == 16384, "the message above says so");
    } else if (!call->post) {
        refuse_http(call, "405");
    } else if (!call->content_type) {
        refuse_http(call, "415");
    } else if (call->route->method == NULL) {
        finish(call, RPC_UNIMPLEMENTED, "unknown method");
    } else if (!may_call(call)) {
        refuse_role(call);
    } else if (is_streaming(call) && call->stream.connection->streaming_count >= STREAMING_MAX) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "this connection has 900 streaming calls; open another one");
        static_assert(STREAMING_MAX == 900, "the message above says so");
    } else if (is_streaming(call) && has_too_many_streams(call)) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "this client has as many streaming calls as a client may; end some first");
    } else if (call->bad_timeout) {
        finish(call, RPC_INTERNAL, "malformed grpc-timeout");
    } else if (call->unsupported) {
        rpc_metadata_add(&call->trailers, slice_of_str("grpc-accept-encoding"), slice_of_str("identity"));
        finish(call, RPC_UNIMPLEMENTED, "the encoding of grpc-encoding is not supported; send identity");
    } else if (call->timeout_ms == 0) {
        finish(call, RPC_DEADLINE_EXCEEDED, "the deadline has passed");
    } else {
        return true;
    }
    return false;
}

void rpc_server_call_headers(struct rpc_stream *stream, bool end) {
    (void)end;
    struct server_call *call = call_of(stream);
    if (call->accepted || call->finished || !check_request(call)) {
        return;
    }
    struct rpc_server *server = call->server;
    call->accepted = true;
    call->index = rpc_handles_add(&server->calls, call);
    call->generation = server->calls.entries[call->index].generation;
    stream->one_message = call->route->method->kind != RPC_BIDI;
    if (is_streaming(call)) {
        rpc_stream_set_streaming(stream);
    }
    rpc_stream_set_overhead(stream, CALL_BYTES + call->metadata.bytes.cap);
    metric_add(server->runtime->calls_gauge, 1);
    if (call->timeout_ms != RPC_NEVER) {
        rpc_timer_start(server->runtime, &call->deadline, call->timeout_ms, on_deadline);
    }
}

// False: the client sends more than it may, and the call is answered.
static bool is_admitted(struct server_call *call, size_t bytes) {
    struct rpc_client *client = call->stream.connection->client;
    const struct rpc_limits *limits = call->server->limits;
    uint64_t wait_ms;
    if (client == NULL || client->unlimited || limits->admit == NULL ||
        limits->admit(limits->user, client->memory, bytes, &wait_ms)) {
        return true;
    }
    char text[96];
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)wait_ms);
    snprintf(text, sizeof text, "this client sends more than it may; nothing was done, try again in %s ms", number);
    rpc_metadata_add(&call->trailers, slice_of_str("grpc-retry-pushback-ms"), slice_of_str(number));
    finish(call, RPC_RESOURCE_EXHAUSTED, text);
    if (call->delivered) {
        notify_cancelled(call);
    }
    return false;
}

void rpc_server_call_message(struct rpc_stream *stream, struct slice message) {
    struct server_call *call = call_of(stream);
    assert(call->accepted && !call->finished);
    if (!is_admitted(call, message.len)) {
        return;
    }
    call->delivered = true;
    call->route->method->on_message(call->route->user, handle_of(call), message);
}

void rpc_server_call_half_closed(struct rpc_stream *stream) {
    struct server_call *call = call_of(stream);
    if (call->finished) {
        return;
    }
    const struct rpc_method *method = call->route->method;
    if (stream->one_message && !stream->has_message) {
        finish(call, RPC_UNIMPLEMENTED, "the method expects one message and got none");
    } else if (method->kind == RPC_BIDI && method->on_half_close != NULL) {
        call->delivered = true;
        method->on_half_close(call->route->user, handle_of(call));
    }
}

void rpc_server_call_writable(struct rpc_stream *stream) {
    struct server_call *call = call_of(stream);
    const struct rpc_method *method = call->route->method;
    if (!call->finished && method->on_writable != NULL) {
        method->on_writable(call->route->user, handle_of(call));
    }
}

// --- the application's functions ---

bool rpc_call_alive(struct rpc_server *server, struct rpc_call handle) {
    return find(server, handle) != NULL;
}

struct rpc_peer rpc_call_peer(struct rpc_server *server, struct rpc_call handle) {
    struct server_call *call = find(server, handle);
    if (call == NULL) {
        return (struct rpc_peer){0};
    }
    const struct rpc_transport *transport = call->stream.connection->transport;
    return (struct rpc_peer){.address = transport->address, .identity = transport->identity};
}

struct slice rpc_call_metadata(struct rpc_server *server, struct rpc_call handle, const char *key) {
    struct server_call *call = find(server, handle);
    return call == NULL ? (struct slice){0} : rpc_metadata_get(&call->metadata, slice_of_str(key));
}

void rpc_call_trailer(struct rpc_server *server, struct rpc_call handle, const char *key, struct slice value) {
    struct server_call *call = find(server, handle);
    if (call == NULL || !nghttp2_check_header_value(value.data, value.len)) {
        return;
    }
    assert(call->trailer_count < TRAILERS_MAX);
    call->trailer_count++;
    rpc_metadata_add(&call->trailers, slice_of_str(key), value);
}

bool rpc_send(struct rpc_server *server, struct rpc_call handle, struct slice message) {
    struct server_call *call = find(server, handle);
    if (call == NULL) {
        return false;
    }
    if (!rpc_stream_has_room(&call->stream, RPC_STREAM_QUEUE_MAX)) {
        rpc_stream_want_room(&call->stream);
        return false;
    }
    rpc_stream_put(&call->stream, message);
    if (call->headers_submitted) {
        rpc_stream_wake(&call->stream);
    } else {
        submit_headers(call);
    }
    return true;
}

void rpc_finish(struct rpc_server *server, struct rpc_call handle, enum rpc_status status, const char *message) {
    struct server_call *call = find(server, handle);
    if (call != NULL) {
        finish(call, status, message);
    }
}

void rpc_reply(struct rpc_server *server, struct rpc_call handle, struct slice message) {
    struct server_call *call = find(server, handle);
    if (call == NULL) {
        return;
    }
    const struct rpc_connection *connection = call->stream.connection;
    if (connection->held >= RPC_CONNECTION_HELD_MAX) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "too many unread responses on this connection");
        return;
    }
    // Who holds little is answered: it may be a write that has happened, and of somebody who does read.
    if (server->runtime->held >= RPC_HELD_MAX && connection->held + message.len > RPC_HELD_SHARE) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "too many unread responses on this node; try again");
        return;
    }
    rpc_stream_put(&call->stream, message);
    finish(call, RPC_OK, NULL);
}
