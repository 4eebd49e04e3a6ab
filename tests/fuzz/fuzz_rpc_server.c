// Fuzzes a server of rpc: the input is what a client sends on a connection (frames.h), and what the handlers do, of a
// service with a method of each kind, of health and of reflection. What the server sends must be whole frames; its memory is
// given back when it closes.
#include "base/array.h"
#include "frames.h"
#include "rpc/server.h"
#include "wire/descriptor.h"

enum { STEP_REQUEST = PEER_STEPS, STEP_ANSWER, STEP_SEND, STEP_DRAIN, STEP_CONNECT, STEP_COUNT };
enum { CALLS = 8, SENT_MAX = 64 * 1024 };

static struct {
    struct rpc_server *server;
    struct rpc_call calls[CALLS];  // those that wait for an answer, by turns
    unsigned next;
    unsigned cancelled;
    bool drains;
    bool drained;
} at;

static void echo(void *user, struct rpc_call call, struct slice message) {
    (void)user;
    struct slice color = rpc_call_metadata(at.server, call, "color");
    assert(rpc_call_alive(at.server, call) && rpc_call_peer(at.server, call).address != NULL);
    rpc_call_trailer(at.server, call, "color", color);
    rpc_reply(at.server, call, message);
}

static void hold(void *user, struct rpc_call call, struct slice message) {
    (void)user;
    (void)message;
    at.calls[at.next++ % CALLS] = call;
}

static void chat(void *user, struct rpc_call call, struct slice message) {
    hold(user, call, message);
    rpc_send(at.server, call, message);
}

static void chat_end(void *user, struct rpc_call call) {
    (void)user;
    rpc_finish(at.server, call, RPC_ABORTED, "100% \xc3\xbc\n");
}

static void on_cancel(void *user, struct rpc_call call) {
    (void)user;
    assert(!rpc_call_alive(at.server, call));
    at.cancelled++;
}

static void on_writable(void *user, struct rpc_call call) {
    (void)user;
    assert(rpc_call_alive(at.server, call));
}

static const struct rpc_method methods[] = {
    {.name = "Echo", .kind = RPC_UNARY, .on_message = echo},
    {.name = "Hold", .kind = RPC_UNARY, .on_message = hold, .on_cancel = on_cancel},
    {.name = "Flow", .kind = RPC_SERVER_STREAM, .on_message = hold, .on_cancel = on_cancel, .on_writable = on_writable},
    {.name = "Chat", .kind = RPC_BIDI, .on_message = chat, .on_half_close = chat_end, .on_cancel = on_cancel},
};
static const struct rpc_service service = {.name = "t.T", .methods = methods, .method_count = ARRAY_COUNT(methods)};

static void on_drained(void *user) {
    (void)user;
    at.drained = true;
}

static void request(struct peer *peer, struct slice *script) {
    static const char *const paths[] = {
        "/t.T/Echo",
        "/t.T/Hold",
        "/t.T/Flow",
        "/t.T/Chat",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/t.T/None",
    };
    struct buf block = {.len = 0};
    uint8_t path = take_byte(script);
    uint8_t others = take_byte(script);
    peer_field(&block, slice_of_str(":method"), slice_of_str((others & 1) != 0 ? "GET" : "POST"));
    peer_field(&block, slice_of_str(":scheme"), slice_of_str("http"));
    peer_field(&block, slice_of_str(":path"), slice_of_str(paths[path % ARRAY_COUNT(paths)]));
    peer_field(&block, slice_of_str("content-type"),
               (others & 2) != 0 ? take_text(script) : slice_of_str("application/grpc"));
    if ((others & 4) != 0) {
        peer_field(&block, slice_of_str("grpc-timeout"), take_text(script));
    }
    if ((others & 8) != 0) {
        peer_field(&block, slice_of_str("grpc-encoding"), take_text(script));
    }
    if ((others & 16) != 0) {
        peer_field(&block, slice_of_str("color"), take_text(script));
    }
    if ((others & 32) != 0) {
        struct slice name = take_text(script);
        peer_field(&block, name, take_text(script));
    }
    peer_headers(peer, script, buf_slice(&block));
    buf_free(&block);
}

static void send_something(struct rpc_call call, struct slice *script) {
    static const uint8_t zeros[SENT_MAX];
    size_t len = take_number(script, 2);
    if (!rpc_send(at.server, call, slice_of(zeros, len))) {
        at.cancelled += !rpc_call_alive(at.server, call);
    }
}

static void handle(struct peer *peer, uint8_t step, struct slice *script) {
    peer_flush(peer);
    struct rpc_call call = at.calls[take_byte(script) % CALLS];
    switch (step) {
    case STEP_ANSWER:
        rpc_call_trailer(at.server, call, "leader", take_text(script));
        rpc_finish(at.server, call, (enum rpc_status)(take_byte(script) % RPC_STATUS_COUNT), "it is 100 % over");
        break;
    case STEP_SEND:
        send_something(call, script);
        break;
    case STEP_DRAIN:
        rpc_server_set_serving(at.server, "t.T", (take_byte(script) & 1) != 0);
        if ((take_byte(script) & 1) != 0 && !at.drains) {
            at.drains = true;
            rpc_server_drain(at.server, 1 + take_number(script, 2), on_drained, NULL);
        }
        break;
    default:
        if (!at.drains && at.server->connection_count < 4) {
            loop_connect();
            peer_greet(peer, true);
        }
        break;
    }
    loop_turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slog_setup(SLOG_ERROR, SLOG_LOGFMT, NULL);
    struct slice script = slice_of(data, size);
    struct rpc_runtime *runtime = loop_begin();
    struct error error;
    memset(&at, 0, sizeof at);
    enum error_code code = rpc_server_listen(runtime, "127.0.0.1:0", &at.server, &error);
    assert(code == OK);
    rpc_server_add_service(at.server, &service);
    uint8_t how = take_byte(&script);
    if (how % 16 == 15) {  // seldom: reading the descriptors takes longer than all the rest
        rpc_server_set_reflection(at.server, wire_descriptor_set());
    }
    rpc_server_set_serving(at.server, "", true);
    struct peer peer = {.piece = 0};
    loop_connect();
    if ((how & 3) != 0) {
        peer_greet(&peer, true);
    }
    while (script.len > 0) {
        uint8_t step = take_byte(&script) % STEP_COUNT;
        if (step == STEP_REQUEST) {
            request(&peer, &script);
        } else if (step > STEP_REQUEST) {
            handle(&peer, step, &script);
        } else {
            peer_step(&peer, (enum peer_step)step, &script);
        }
    }
    peer_flush(&peer);
    loop_check_sent(false);
    rpc_server_close(at.server);
    buf_free(&peer.out);
    loop_end();
    return 0;
}
