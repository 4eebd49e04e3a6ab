// Replies and their headers.
#include "http/exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"

void exchange_set_headers(struct MHD_Response *response, const char *content_type) {
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
    };
    MHD_add_response_header(response, "Content-Type", content_type);
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
}

static void send_reply(struct exchange *exchange, unsigned status, struct MHD_Response *response) {
    assert(exchange->response == NULL);
    exchange->status = status;
    exchange->response = response;
    if (exchange->suspended) {
        exchange->suspended = false;
        MHD_resume_connection(exchange->connection);
        exchange->wake(exchange->server);
    }
}

static void reply(struct exchange *exchange, unsigned status, const char *content_type, struct MHD_Response *response) {
    exchange_set_headers(response, content_type);
    send_reply(exchange, status, response);
}

void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body) {
    struct MHD_Response *response = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_FREE);
    *body = (struct buf){0};
    reply(exchange, status, content_type, response);
}

void exchange_reply_static(struct exchange *exchange, const char *content_type, struct slice body) {
    void *data = (void *)(uintptr_t)body.data;  // only read: MHD_RESPMEM_PERSISTENT, whose prototype lacks a const
    reply(exchange, MHD_HTTP_OK, content_type, MHD_create_response_from_buffer(body.len, data, MHD_RESPMEM_PERSISTENT));
}

void exchange_reply_json(struct exchange *exchange, unsigned status, json_t *document) {
    // Twelve digits: exact for milliseconds, and 0.3 is not printed as 0.29999999999999999.
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(document);
    struct buf body = {0};
    buf_append_str(&body, text);
    buf_append_str(&body, "\n");
    free(text);
    exchange_reply(exchange, status, "application/json", &body);
}

void exchange_reply_error(struct exchange *exchange, unsigned status, const char *code, const char *format, ...) {
    char message[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    exchange_reply_json(exchange, status, json_pack("{s:s, s:s}", "error", code, "message", message));
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value) {
    assert(exchange->response != NULL && exchange->list == NULL);
    MHD_add_response_header(exchange->response, name, value);
}

const char *exchange_request_header(const struct exchange *exchange, const char *name) {
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

// --- one reply for many ---

void exchange_reply_list(struct exchange *exchange, struct worker_list *list, struct MHD_Response *response) {
    exchange->list = list;
    send_reply(exchange, MHD_HTTP_OK, response);
}
