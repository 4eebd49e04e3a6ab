// Fuzzes a channel of rpc: the input is what a server sends on its connections (frames.h), and what the callers do. Each
// call must end exactly once, what is sent must be whole frames, and all memory is given back when the channel closes.
#include "base/array.h"
#include "frames.h"
#include "rpc/channel.h"

enum { STEP_RESPONSE = PEER_STEPS, STEP_CALL, STEP_CANCEL, STEP_ANSWER, STEP_CHANNEL, STEP_COUNT };
enum { CALLS = 64 };

static struct {
    struct rpc_channel *channel;
    struct rpc_ticket tickets[CALLS];
    bool ended[CALLS];
    unsigned count;
    unsigned ups;
    unsigned downs;
    size_t received;
} at;

static void on_up(void *user) {
    (void)user;
    at.ups++;
}

static void on_down(void *user, enum rpc_down_reason reason) {
    (void)user;
    assert(reason <= RPC_DOWN_CLOSED);
    at.downs++;
}

static void on_message(void *user, uint64_t tag, struct slice message) {
    (void)user;
    assert(tag < at.count && !at.ended[tag]);
    for (size_t i = 0; i < message.len; i++) {
        at.received += message.data[i];
    }
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    (void)user;
    assert(tag < at.count && !at.ended[tag]);
    at.ended[tag] = true;
    assert((int)result->status < RPC_STATUS_COUNT && (result->status == RPC_OK || result->body.len == 0));
    assert(rpc_result_trailer(result, "leader").len <= HEADER_LIST_MAX);
    for (size_t i = 0; i < result->body.len; i++) {
        at.received += result->body.data[i];
    }
}

static void response(struct peer *peer, struct slice *script) {
    struct buf block = {.len = 0};
    uint8_t fields = take_byte(script);
    if ((fields & 1) == 0) {
        peer_field(&block, slice_of_str(":status"), (fields & 2) != 0 ? take_text(script) : slice_of_str("200"));
        peer_field(&block, slice_of_str("content-type"),
                   (fields & 4) != 0 ? take_text(script) : slice_of_str("application/grpc"));
    }
    if ((fields & 8) != 0) {
        peer_field(&block, slice_of_str("grpc-status"), take_text(script));
    }
    if ((fields & 16) != 0) {
        peer_field(&block, slice_of_str("grpc-message"), take_text(script));
    }
    if ((fields & 32) != 0) {
        peer_field(&block, slice_of_str("leader"), take_text(script));
    }
    if ((fields & 64) != 0) {
        struct slice name = take_text(script);
        peer_field(&block, name, take_text(script));
    }
    peer_headers(peer, script, buf_slice(&block));
    buf_free(&block);
}

static void call(struct slice *script) {
    static const char *const metadata[] = {"color", "red", NULL};
    uint8_t how = take_byte(script);
    uint32_t timeout_ms = take_number(script, 2);
    struct slice body = take_text(script);
    if (at.count == CALLS) {
        return;
    }
    struct rpc_request request = {
        .path = (how & 1) != 0 ? "/t.T/Flow" : "/t.T/Echo",
        .body = body,
        .timeout_ms = timeout_ms,
        .wait_for_ready = (how & 2) != 0,
        .tag = at.count++,
        .on_done = on_done,
        .on_message = (how & 1) != 0 ? on_message : NULL,
        .metadata = (how & 4) != 0 ? metadata : NULL,
    };
    at.tickets[request.tag] = rpc_channel_call(at.channel, &request);
}

static void act(struct peer *peer, uint8_t step, struct slice *script) {
    peer_flush(peer);
    uint8_t how = 0;
    switch (step) {
    case STEP_CALL:
        call(script);
        break;
    case STEP_CANCEL:
        rpc_channel_cancel(at.channel, at.tickets[take_byte(script) % CALLS]);
        break;
    case STEP_ANSWER:
        how = take_byte(script);
        loop_answer((how & 1) != 0);
        if ((how & 2) != 0) {
            peer_greet(peer, false);
        }
        break;
    default:
        how = take_byte(script) % 4;
        if (how == 0) {
            rpc_channel_wake(at.channel);
        } else if (how == 1) {
            rpc_channel_reject(at.channel);
        } else {
            assert(rpc_channel_failure(at.channel) != NULL && rpc_channel_why_down(at.channel) != NULL);
        }
        break;
    }
    loop_turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slog_setup(SLOG_ERROR, SLOG_LOGFMT, NULL);
    struct slice script = slice_of(data, size);
    struct rpc_runtime *runtime = loop_begin();
    memset(&at, 0, sizeof at);
    uint8_t how = take_byte(&script);
    struct rpc_channel_options options = {.target = "198.18.0.1:7400",
                                          .ordered = (how & 1) != 0,
                                          .keepalive_interval_ms = (how & 2) != 0 ? 200 : 0,
                                          .keepalive_timeout_ms = 100,
                                          .on_up = on_up,
                                          .on_open = (how & 4) != 0 ? on_up : NULL,
                                          .on_down = on_down};
    at.channel = rpc_channel_new(runtime, &options);
    loop_turn();
    struct peer peer = {.piece = 0};
    if ((how & 8) == 0) {
        loop_answer(true);
        peer_greet(&peer, false);
    }
    while (script.len > 0) {
        uint8_t step = take_byte(&script) % STEP_COUNT;
        if (step == STEP_RESPONSE) {
            response(&peer, &script);
        } else if (step > STEP_RESPONSE) {
            act(&peer, step, &script);
        } else {
            peer_step(&peer, (enum peer_step)step, &script);
        }
    }
    peer_flush(&peer);
    loop_check_sent(true);
    rpc_channel_close(at.channel);
    buf_free(&peer.out);
    loop_end();
    for (unsigned i = 0; i < at.count; i++) {
        assert(at.ended[i]);
    }
    return 0;
}
