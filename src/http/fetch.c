// The stages: (resolve the name) -> connect (-> TLS handshake) -> write the request -> read the head -> read the body.
// However it ends, fetch_end runs once; the memory is freed when libuv has closed both handles.
#include "http/fetch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "names/lookup.h"

struct fetch {
    uv_tcp_t tcp;
    uv_timer_t timer;            // the deadline; immediate for an error in the request itself
    struct lookup *lookup;       // running; NULL: none
    struct addresses addresses;  // to connect to
    size_t next_address;         // the next of them to try
    uv_connect_t connect;
    uv_write_t write;
    unsigned references;  // libuv's open handles
    bool ended;
    fetch_done *done;  // NULL: cancelled
    void *user;
    const char *early_error;
    char name_error[HOST_MAX + 128];  // "the name X"; once its lookup has failed, also why
    struct buf request;
    size_t body_max;
    struct buf head;  // as read so far, until the empty line
    bool in_body;
    struct fetch_answer answer;
    size_t got;  // bytes of the body
    // With TLS:
    struct tls_session *session;  // NULL: plain
    char peer[TLS_IDENTITY_MAX + 1];
    bool requested;            // the request has been sent
    uint8_t cipher[16 * KIB];  // as read
};

static void fetch_release(struct fetch *fetch) {
    assert(fetch->references > 0);
    if (--fetch->references == 0) {
        if (fetch->session != NULL) {
            tls_session_free(fetch->session);
        }
        buf_free(&fetch->request);
        buf_free(&fetch->head);
        free(fetch);
    }
}

static void on_closed(uv_handle_t *handle) {
    fetch_release(handle->data);
}

static void fetch_end(struct fetch *fetch, const char *error) {
    if (fetch->ended) {
        return;
    }
    fetch->ended = true;
    if (fetch->lookup != NULL) {
        lookup_cancel(fetch->lookup);
        fetch->lookup = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)&fetch->tcp)) {
        uv_close((uv_handle_t *)&fetch->tcp, on_closed);
    }
    uv_close((uv_handle_t *)&fetch->timer, on_closed);
    if (error != NULL || fetch->done == NULL) {
        free(fetch->answer.body);
        fetch->answer = (struct fetch_answer){.error = error};
    }
    if (fetch->done != NULL) {
        fetch->done(fetch->user, &fetch->answer);
    }
}

void fetch_cancel(struct fetch *fetch) {
    assert(!fetch->ended && fetch->done != NULL);
    fetch->done = NULL;
    fetch_end(fetch, NULL);
}

static void on_timer(uv_timer_t *timer) {
    struct fetch *fetch = timer->data;
    fetch_end(fetch, fetch->early_error != NULL ? fetch->early_error
                     : fetch->lookup != NULL    ? "its name could not be looked up in time"
                                                : "no answer in time");
}

// Parses a header's value as a decimal number; false if it is not one or is too large.
static bool parse_length(const char *value, size_t max, size_t *out) {
    value += strspn(value, " \t");
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || digits > 12 || value[digits + strspn(value + digits, " \t")] != '\0') {
        return false;
    }
    *out = strtoul(value, NULL, 10);
    return *out <= max;
}

// Parses the status line and the only header that matters. `head` is NUL-terminated, without the empty line, and modified.
// NULL, or the error.
static const char *parse_head(struct fetch *fetch, char *head, size_t *length) {
    char *rest = NULL;
    char *line = strtok_r(head, "\r\n", &rest);
    int read = 0;
    char digits[4];  // as text: a number may have a sign
    if (line == NULL || sscanf(line, "HTTP/1.%*1[01] %3[0-9]%n", digits, &read) != 1 || read != 12) {
        return "not an HTTP/1.1 answer";
    }
    fetch->answer.status = (unsigned)strtoul(digits, NULL, 10);
    bool known = false;
    while ((line = strtok_r(NULL, "\r\n", &rest)) != NULL) {
        static const char name[] = "content-length:";
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            if (known || !parse_length(line + sizeof name - 1, fetch->body_max, length)) {
                return "an answer whose Content-Length is wrong or too large";
            }
            known = true;
        } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
            return "an answer in a transfer encoding, which is not understood here";
        }
    }
    return known ? NULL : "an answer without Content-Length";
}

static void body_add(struct fetch *fetch, const uint8_t *data, size_t len) {
    if (len > fetch->answer.len - fetch->got) {
        fetch_end(fetch, "more bytes than its Content-Length says");
        return;
    }
    if (data != fetch->answer.body + fetch->got) {
        memcpy(fetch->answer.body + fetch->got, data, len);
    }
    fetch->got += len;
    assert(fetch->got <= fetch->answer.len);
    if (fetch->got == fetch->answer.len) {
        fetch_end(fetch, NULL);
    }
}

static void head_add(struct fetch *fetch, size_t len) {
    fetch->head.len += len;
    uint8_t *end = memmem(fetch->head.data, fetch->head.len, "\r\n\r\n", 4);
    if (end == NULL) {
        if (fetch->head.len >= HEADER_LIST_MAX) {
            fetch_end(fetch, "headers that are too large");
        }
        return;
    }
    *end = '\0';
    size_t head_len = (size_t)(end + 4 - fetch->head.data);
    const char *error = parse_head(fetch, (char *)fetch->head.data, &fetch->answer.len);
    if (error == NULL && (fetch->answer.body = mem_try_alloc(fetch->answer.len)) == NULL) {
        error = "no memory for the answer";
    }
    if (error != NULL) {
        fetch_end(fetch, error);
        return;
    }
    fetch->in_body = true;
    body_add(fetch, fetch->head.data + head_len, fetch->head.len - head_len);
}

// Where to read the next bytes to.
static uv_buf_t answer_room(struct fetch *fetch) {
    if (fetch->in_body) {
        return uv_buf_init((char *)fetch->answer.body + fetch->got, (unsigned)(fetch->answer.len - fetch->got));
    }
    return uv_buf_init((char *)buf_reserve(&fetch->head, 4 * KIB), 4 * KIB);
}

static void answer_add(struct fetch *fetch, const char *data, size_t len) {
    if (fetch->in_body) {
        body_add(fetch, (const uint8_t *)data, len);
    } else {
        head_add(fetch, len);
    }
}

// A handshake and a request fit a new socket's send buffer, so a partial write is an error.
static void secure_push(struct fetch *fetch) {
    struct slice output = tls_session_output(fetch->session);
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)output.data, (unsigned)output.len);
    int sent = output.len == 0 ? 0 : uv_try_write((uv_stream_t *)&fetch->tcp, &bytes, 1);
    if (sent != (int)output.len) {
        fetch_end(fetch, sent < 0 ? uv_strerror(sent) : "the request could not be sent at once");
    }
    tls_session_sent(fetch->session);
}

static void secure_add(struct fetch *fetch, size_t len) {
    tls_session_feed(fetch->session, slice_of(fetch->cipher, len));
    enum tls_read result = TLS_READ;
    while (result == TLS_READ && !fetch->ended) {
        uv_buf_t room = answer_room(fetch);
        size_t got;
        result = tls_session_read(fetch->session, (uint8_t *)room.base, room.len, &got);
        if (result == TLS_READ) {
            answer_add(fetch, room.base, got);
        }
    }
    if (!fetch->ended && !fetch->requested && tls_session_ready(fetch->session)) {
        fetch->requested = true;
        tls_session_write(fetch->session, buf_slice(&fetch->request));
    }
    if (!fetch->ended) {
        secure_push(fetch);
    }
    if (result == TLS_READ_FAILED) {
        fetch_end(fetch, tls_session_failure(fetch->session));
    } else if (result == TLS_READ_END) {
        fetch_end(fetch, "the connection ended within the answer");
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    (void)suggested;
    struct fetch *fetch = handle->data;
    *buf = fetch->session == NULL ? answer_room(fetch) : uv_buf_init((char *)fetch->cipher, sizeof fetch->cipher);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct fetch *fetch = stream->data;
    if (n < 0) {
        fetch_end(fetch, n == UV_EOF ? "the connection ended within the answer" : uv_strerror((int)n));
    } else if (n > 0 && fetch->session != NULL) {
        secure_add(fetch, (size_t)n);
    } else if (n > 0) {
        answer_add(fetch, buf->base, (size_t)n);
    }
}

static void on_written(uv_write_t *write, int status) {
    struct fetch *fetch = write->data;
    if (status < 0 && status != UV_ECANCELED) {
        fetch_end(fetch, uv_strerror(status));
    }
}

// Sends the request; with TLS starts the handshake, after which secure_add sends it. 0, or libuv's error.
static int fetch_send(struct fetch *fetch) {
    if (fetch->session != NULL) {
        tls_session_start(fetch->session);
        secure_push(fetch);
        return 0;
    }
    uv_buf_t request = uv_buf_init((char *)fetch->request.data, (unsigned)fetch->request.len);
    fetch->write.data = fetch;
    return uv_write(&fetch->write, (uv_stream_t *)&fetch->tcp, &request, 1, on_written);
}

static void fetch_not_connected(struct fetch *fetch, int status);

static void on_connected(uv_connect_t *connect, int status) {
    struct fetch *fetch = connect->data;
    if (fetch->ended) {
        return;
    }
    if (status != 0) {
        fetch_not_connected(fetch, status);
        return;
    }
    status = fetch_send(fetch);
    if (status == 0) {
        status = uv_read_start((uv_stream_t *)&fetch->tcp, on_alloc, on_read);
    }
    if (status != 0) {
        fetch_end(fetch, uv_strerror(status));
    }
}

static int fetch_connect(struct fetch *fetch) {
    fetch->connect.data = fetch;
    return uv_tcp_connect(&fetch->connect, &fetch->tcp, &fetch->addresses.list[fetch->next_address++].any, on_connected);
}

static void fetch_try(struct fetch *fetch) {
    int rc = fetch_connect(fetch);
    if (rc != 0) {
        fetch_not_connected(fetch, rc);
    }
}

// The socket for the previous address is closed.
static void on_closed_for_next(uv_handle_t *handle) {
    struct fetch *fetch = handle->data;
    if (fetch->ended) {
        fetch_release(fetch);
        return;
    }
    uv_tcp_init(handle->loop, &fetch->tcp);
    fetch_try(fetch);
}

// A name may have IPv4 and IPv6 addresses (localhost often does), of which a node listens on one: tries the next.
static void fetch_not_connected(struct fetch *fetch, int status) {
    if (fetch->next_address == fetch->addresses.count) {
        fetch_end(fetch, uv_strerror(status));
    } else {
        uv_close((uv_handle_t *)&fetch->tcp, on_closed_for_next);
    }
}

static void on_looked_up(void *user, const struct addresses *found, const char *failure) {
    struct fetch *fetch = user;
    fetch->lookup = NULL;
    fetch->addresses = *found;
    if (failure == NULL) {
        fetch_try(fetch);
        return;
    }
    size_t len = strlen(fetch->name_error);
    snprintf(fetch->name_error + len, sizeof fetch->name_error - len, " does not resolve (%s)", failure);
    fetch_end(fetch, fetch->name_error);
}

// Starts connecting, or looking up the name. 0, or libuv's error.
static int fetch_begin(struct fetch *fetch, struct slice text) {
    struct address address;
    if (address_parse(text, "address", ADDRESS_PORT_CONNECT, &address, NULL) != OK) {
        return UV_EINVAL;
    }
    if (address_literal(&address, &fetch->addresses.list[0])) {
        fetch->addresses.count = 1;
        return fetch_connect(fetch);
    }
    snprintf(fetch->name_error, sizeof fetch->name_error, "the name %s", address.host);
    fetch->lookup = lookup_start(fetch->tcp.loop, address.host, address.port_number, on_looked_up, fetch);
    return 0;
}

// False: no memory.
static bool secure_begin(struct fetch *fetch, const struct fetch_request *request) {
    if (request->tls == NULL) {
        return true;
    }
    snprintf(fetch->peer, sizeof fetch->peer, "node/%.*s", (int)request->node.len, (const char *)request->node.data);
    fetch->session = tls_session_new(request->tls, TLS_CLIENT, "http/1.1", fetch->peer);
    return fetch->session != NULL;
}

struct fetch *fetch_start(uv_loop_t *loop, const struct fetch_request *request, fetch_done *done, void *user) {
    struct fetch *fetch = mem_zalloc(sizeof *fetch);
    fetch->done = done;
    fetch->user = user;
    fetch->body_max = request->body_max;
    fetch->references = 2;
    uv_tcp_init(loop, &fetch->tcp);
    uv_timer_init(loop, &fetch->timer);
    fetch->tcp.data = fetch;
    fetch->timer.data = fetch;
    buf_printf(&fetch->request, "GET %s HTTP/1.1\r\nHost: ", request->path);
    buf_append_slice(&fetch->request, request->address);
    buf_printf(&fetch->request, "\r\nConnection: close\r\n%s\r\n", request->headers);
    int rc = secure_begin(fetch, request) ? fetch_begin(fetch, request->address) : UV_ENOMEM;
    fetch->early_error = rc == 0 ? NULL : uv_strerror(rc);
    uv_timer_start(&fetch->timer, on_timer, rc == 0 ? request->timeout_ms : 0, 0);
    return fetch;
}
