// Frames by script: frames.h.
#include "frames.h"

#include <nghttp2/nghttp2.h>

#include "rpc/framing.h"

static void put_frame(struct peer *peer, uint8_t type, uint8_t flags, uint32_t stream, struct slice payload) {
    uint8_t head[9] = {
        (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len,   type,           flags,
        (uint8_t)(stream >> 24),      (uint8_t)(stream >> 16),     (uint8_t)(stream >> 8), (uint8_t)stream};
    buf_append(&peer->out, head, sizeof head);
    buf_append_slice(&peer->out, payload);
}

void peer_greet(struct peer *peer, bool is_client) {
    if (is_client) {
        buf_append_str(&peer->out, NGHTTP2_CLIENT_MAGIC);
    }
    put_frame(peer, NGHTTP2_SETTINGS, 0, 0, slice_of(NULL, 0));
}

void peer_flush(struct peer *peer) {
    loop_receive(buf_slice(&peer->out), peer->piece);
    buf_clear(&peer->out);
}

// HPACK, literal without indexing, lengths below 127.
void peer_field(struct buf *block, struct slice name, struct slice value) {
    uint8_t name_len = (uint8_t)(name.len < 126 ? name.len : 126);
    uint8_t value_len = (uint8_t)(value.len < 126 ? value.len : 126);
    uint8_t prefix[2] = {0, name_len};
    buf_append(block, prefix, sizeof prefix);
    buf_append_slice(block, slice_of(name.data, name_len));
    buf_append(block, &value_len, 1);
    buf_append_slice(block, slice_of(value.data, value_len));
}

// Odd streams, as clients open them: 1 to 31.
static uint32_t stream_of(uint8_t byte) {
    return (uint32_t)(byte % 16) * 2 + 1;
}

// Flags and stream come from the script: END_STREAM by the lowest bit, a block in two frames by the next.
void peer_headers(struct peer *peer, struct slice *script, struct slice block) {
    uint32_t stream = stream_of(take_byte(script));
    uint8_t how = take_byte(script);
    uint8_t end = (how & 1) != 0 ? NGHTTP2_FLAG_END_STREAM : 0;
    if ((how & 2) == 0 || block.len == 0) {
        put_frame(peer, NGHTTP2_HEADERS, (uint8_t)(end | NGHTTP2_FLAG_END_HEADERS), stream, block);
        return;
    }
    size_t first = block.len / 2;
    put_frame(peer, NGHTTP2_HEADERS, end, stream, slice_of(block.data, first));
    put_frame(peer, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, stream, slice_of(block.data + first, block.len - first));
}

static void put_data(struct peer *peer, struct slice *script) {
    uint32_t stream = stream_of(take_byte(script));
    uint8_t flags = take_byte(script) & (NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PADDED);
    put_frame(peer, NGHTTP2_DATA, flags, stream, take_bytes(script, take_number(script, 2)));
}

// A message in one frame or two; its prefix says its length, or another one.
static void put_message(struct peer *peer, struct slice *script) {
    uint32_t stream = stream_of(take_byte(script));
    uint8_t how = take_byte(script);
    uint8_t end = (how & 1) != 0 ? NGHTTP2_FLAG_END_STREAM : 0;
    struct slice body = take_bytes(script, take_number(script, 2));
    struct buf framed = {.len = 0};
    uint8_t prefix[RPC_PREFIX];
    rpc_prefix_write(prefix, (how & 4) != 0 ? take_number(script, 4) : (uint32_t)body.len);
    prefix[0] = (how & 8) != 0;
    buf_append(&framed, prefix, sizeof prefix);
    buf_append_slice(&framed, body);
    size_t first = (how & 2) != 0 ? take_byte(script) % (framed.len + 1) : framed.len;
    if (first < framed.len) {
        put_frame(peer, NGHTTP2_DATA, 0, stream, slice_of(framed.data, first));
    }
    size_t from = first < framed.len ? first : 0;
    put_frame(peer, NGHTTP2_DATA, end, stream, slice_of(framed.data + from, framed.len - from));
    buf_free(&framed);
}

static void put_control(struct peer *peer, struct slice *script) {
    static const struct {
        uint8_t type;
        uint8_t len;     // of its payload, if it is a right one
        bool of_stream;  // or of the connection
    } kinds[] = {
        {NGHTTP2_RST_STREAM, 4, true},    {NGHTTP2_WINDOW_UPDATE, 4, true}, {NGHTTP2_WINDOW_UPDATE, 4, false},
        {NGHTTP2_SETTINGS, 6, false},     {NGHTTP2_SETTINGS, 0, false},     {NGHTTP2_PING, 8, false},
        {NGHTTP2_GOAWAY, 8, false},       {NGHTTP2_PRIORITY, 5, true},      {NGHTTP2_PUSH_PROMISE, 9, true},
        {NGHTTP2_CONTINUATION, 12, true},
    };
    uint8_t choice = take_byte(script);
    uint32_t stream = stream_of(take_byte(script));
    uint8_t flags = take_byte(script) & 1;  // ACK
    size_t kind = choice % (sizeof kinds / sizeof *kinds);
    size_t len = choice >= 250 ? take_byte(script) : kinds[kind].len;
    put_frame(peer, kinds[kind].type, flags, kinds[kind].of_stream ? stream : 0, take_bytes(script, len));
}

static void cut(struct peer *peer, struct slice *script) {
    uint8_t how = take_byte(script);
    peer_flush(peer);
    if (how >= 254) {
        loop_hang_up(how == 255);
        return;
    }
    peer->piece = how % 32;
    loop_narrow(how >= 128);
}

void peer_step(struct peer *peer, enum peer_step step, struct slice *script) {
    switch (step) {
    case PEER_RAW:
        buf_append_slice(&peer->out, take_bytes(script, take_number(script, 2)));
        break;
    case PEER_DATA:
        put_data(peer, script);
        break;
    case PEER_MESSAGE:
        put_message(peer, script);
        break;
    case PEER_CONTROL:
        put_control(peer, script);
        break;
    case PEER_TIME:
        peer_flush(peer);
        loop_pass(take_number(script, 2));
        break;
    case PEER_CUT:
    case PEER_STEPS:
        cut(peer, script);
        break;
    }
}
