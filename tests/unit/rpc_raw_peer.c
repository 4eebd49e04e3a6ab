// Frames made by hand, and the few that come back read by hand.
#include "rpc_raw_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct raw_peer raw_new(int fd) {
    struct raw_peer raw = {.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    assert_int_equal(nghttp2_hd_inflate_new(&raw.inflater), 0);
    return raw;
}

struct raw_peer raw_connect(struct env *env) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    snprintf(host, sizeof host, "%.*s", (int)strcspn(env->address, ":"), env->address);
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    address.sin_port = htons((uint16_t)atoi(strrchr(env->address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return raw_new(fd);
}

void raw_close(struct raw_peer *raw) {
    close(raw->fd);
    buf_free(&raw->in);
    nghttp2_hd_inflate_del(raw->inflater);
}

void raw_send(struct env *env, struct raw_peer *raw, const struct buf *bytes) {
    size_t sent = 0;
    while (sent < bytes->len && !raw->ended) {
        ssize_t len = send(raw->fd, bytes->data + sent, bytes->len - sent, MSG_NOSIGNAL);
        if (len > 0) {
            sent += (size_t)len;
        } else if (errno == EAGAIN) {
            uv_run(&env->loop, UV_RUN_NOWAIT);
        } else {
            raw->ended = true;
        }
    }
}

void put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len) {
    uint8_t header[9] = {(uint8_t)(len >> 16),    (uint8_t)(len >> 8),     (uint8_t)len,           type,           flags,
                         (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    buf_append(out, header, sizeof header);
    buf_append(out, payload, len);
}

void put_preface(struct buf *out) {
    buf_append_str(out, NGHTTP2_CLIENT_MAGIC);
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
}

void put_field(struct buf *out, const char *name, const char *value) {
    size_t len = strlen(value);
    uint8_t prefix[2] = {0, (uint8_t)strlen(name)};
    buf_append(out, prefix, 2);
    buf_append_str(out, name);
    if (len < 127) {
        buf_append(out, &(uint8_t){(uint8_t)len}, 1);
    } else {
        uint8_t number[4] = {127, (uint8_t)((len - 127) % 128 | 128), (uint8_t)((len - 127) / 128 % 128 | 128),
                             (uint8_t)((len - 127) / 128 / 128)};
        buf_append(out, number, 4);
    }
    buf_append_str(out, value);
}

void put_request(struct buf *out, uint32_t stream, const struct raw_request *request) {
    struct buf fields = {0};
    put_field(&fields, ":method", request->method != NULL ? request->method : "POST");
    put_field(&fields, ":scheme", "http");
    put_field(&fields, ":path", request->path != NULL ? request->path : "/test.Test/Echo");
    put_field(&fields, ":authority", "test");
    put_field(&fields, "content-type", request->content_type != NULL ? request->content_type : "application/grpc");
    if (request->key != NULL) {
        put_field(&fields, request->key, request->value);
    }
    size_t first = fields.len < 16384 ? fields.len : 16384;
    uint8_t ended = first == fields.len ? NGHTTP2_FLAG_END_HEADERS : 0;
    bool bare = request->body_len == 0 && !request->open;
    put_frame(out, NGHTTP2_HEADERS, (uint8_t)(ended | (bare ? NGHTTP2_FLAG_END_STREAM : 0)), stream, fields.data, first);
    if (!ended) {
        put_frame(out, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, stream, fields.data + first, fields.len - first);
    }
    if (!bare) {
        put_frame(out, NGHTTP2_DATA, request->open ? 0 : NGHTTP2_FLAG_END_STREAM, stream, request->body, request->body_len);
    }
    buf_free(&fields);
}

static void raw_headers(struct raw_peer *raw, const uint8_t *payload, size_t len, bool end) {
    raw->requests += raw->serves;
    nghttp2_nv field;
    int flags = 0;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        ssize_t taken = nghttp2_hd_inflate_hd2(raw->inflater, &field, &flags, payload, len, 1);
        assert_true(taken >= 0);
        payload += taken;
        len -= (size_t)taken;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            if (field.namelen == 7 && memcmp(field.name, ":status", 7) == 0) {
                snprintf(raw->http_status, sizeof raw->http_status, "%s", (char *)field.value);
                raw->grpc_status[0] = '\0';
            } else if (field.namelen == 11 && memcmp(field.name, "grpc-status", 11) == 0) {
                snprintf(raw->grpc_status, sizeof raw->grpc_status, "%s", (char *)field.value);
            }
        }
    }
    nghttp2_hd_inflate_end_headers(raw->inflater);
    if (end) {
        raw->answers++;
        snprintf(raw->status, sizeof raw->status, "%s/%s", raw->http_status, raw->grpc_status);
    }
}

static void raw_frames(struct raw_peer *raw) {
    size_t at = raw->serves && !raw->preface_skipped ? NGHTTP2_CLIENT_MAGIC_LEN : 0;
    if (raw->in.len < at) {
        return;
    }
    raw->preface_skipped = true;
    while (raw->in.len - at >= 9) {
        const uint8_t *frame = raw->in.data + at;
        size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
        if (raw->in.len - at < 9 + len) {
            break;
        }
        switch (frame[3]) {
        case NGHTTP2_HEADERS:
            raw_headers(raw, frame + 9, len, (frame[4] & NGHTTP2_FLAG_END_STREAM) != 0);
            break;
        case NGHTTP2_DATA:
            raw->data_bytes += (uint32_t)len;
            memcpy(raw->last_data, frame + 9, len < sizeof raw->last_data ? len : sizeof raw->last_data);
            break;
        case NGHTTP2_RST_STREAM:
            if (frame[12] == NGHTTP2_NO_ERROR) {
                raw->stops++;
            } else {
                raw->answers++;
                snprintf(raw->status, sizeof raw->status, "reset/%u", frame[12]);
            }
            break;
        case NGHTTP2_GOAWAY:
            raw->goaway_id[raw->goaways++ % 2] =
                (uint32_t)frame[9] << 24 | (uint32_t)frame[10] << 16 | (uint32_t)frame[11] << 8 | frame[12];
            break;
        }
        at += 9 + len;
    }
    memmove(raw->in.data, raw->in.data + at, raw->in.len - at);
    raw->in.len -= at;
}

void raw_read(struct raw_peer *raw) {
    for (;;) {
        ssize_t len = recv(raw->fd, buf_reserve(&raw->in, 65536), 65536, 0);
        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            raw->ended = true;
        }
        if (len <= 0) {
            return;
        }
        raw->in.len += (size_t)len;
        raw_frames(raw);
    }
}

static bool answered(struct env *env) {
    raw_read(env->watched);
    return env->watched->ended || env->watched->answers >= env->answers_wanted;
}

static bool ended(struct env *env) {
    raw_read(env->watched);
    return env->watched->ended;
}

// The loop does not poll the raw socket: a tick keeps it from sleeping through what arrives there.
static void on_tick(uv_timer_t *timer) {
    (void)timer;
}

void raw_wait(struct env *env, struct raw_peer *raw, bool (*done)(struct env *env)) {
    uv_timer_t tick;
    uv_timer_init(&env->loop, &tick);
    uv_timer_start(&tick, on_tick, 1, 1);
    env->watched = raw;
    env_run_until(env, done);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&env->loop, UV_RUN_NOWAIT);
}

void raw_wait_answers(struct env *env, struct raw_peer *raw, unsigned answers) {
    env->answers_wanted = answers;
    raw_wait(env, raw, answered);
}

void raw_wait_end(struct env *env, struct raw_peer *raw) {
    raw_wait(env, raw, ended);
}

void put_window_update(struct buf *out, uint32_t stream, uint32_t increment) {
    uint8_t payload[4] = {(uint8_t)(increment >> 24), (uint8_t)(increment >> 16), (uint8_t)(increment >> 8),
                          (uint8_t)increment};
    put_frame(out, NGHTTP2_WINDOW_UPDATE, 0, stream, payload, sizeof payload);
}

int raw_listen(int backlog, char target[32]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, backlog), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(target, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return listener;
}

struct raw_peer raw_serve(struct env *env, struct rpc_channel_options options, uint32_t window) {
    char target[32];
    int listener = raw_listen(1, target);
    env->ups = env->downs = 0;
    options.target = target;
    env_connect(env, options);
    uv_run(&env->loop, UV_RUN_NOWAIT);
    uv_run(&env->loop, UV_RUN_NOWAIT);
    struct raw_peer raw = raw_new(accept(listener, NULL, NULL));
    raw.serves = true;
    close(listener);
    struct buf out = {0};
    uint8_t setting[6] = {0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, (uint8_t)(window >> 8), (uint8_t)window};
    put_frame(&out, NGHTTP2_SETTINGS, 0, 0, setting, sizeof setting);
    raw_send(env, &raw, &out);
    buf_free(&out);
    env_run_until(env, env_is_up);
    return raw;
}
