// Replies: their headers, and the one that is cached.
#include "http/exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/limits.h"

static void reply(struct exchange *exchange, unsigned status, const char *content_type, struct MHD_Response *response) {
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
    };
    assert(exchange->response == NULL);
    exchange->status = status;
    exchange->response = response;
    exchange_add_header(exchange, "Content-Type", content_type);
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
        exchange_add_header(exchange, headers[i][0], headers[i][1]);
    }
    if (exchange->suspended) {
        exchange->suspended = false;
        MHD_resume_connection(exchange->connection);
        exchange->wake(exchange->server);
    }
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
    assert(exchange->response != NULL && !exchange->cached);
    MHD_add_response_header(exchange->response, name, value);
}

const char *exchange_request_header(const struct exchange *exchange, const char *name) {
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

// --- one reply for many ---

bool exchange_reply_cached(struct exchange *exchange, uint64_t version) {
    const struct response_cache *cache = exchange->cache;
    if (cache->response == NULL || cache->version != version || uv_hrtime() >= cache->expires_ns) {
        return false;
    }
    assert(exchange->response == NULL && !exchange->suspended);
    exchange->status = cache->status;
    exchange->response = cache->response;
    exchange->cached = true;
    return true;
}

void response_cache_clear(struct response_cache *cache) {
    if (cache->response != NULL) {
        MHD_destroy_response(cache->response);
        cache->response = NULL;
    }
}

void exchange_cache(struct exchange *exchange, uint64_t version, uint64_t took_ns) {
    assert(exchange->response != NULL && !exchange->cached);
    response_cache_clear(exchange->cache);
    if (took_ns < HTTP_LIST_CHEAP_MS * UINT64_C(1000000)) {
        return;
    }
    *exchange->cache = (struct response_cache){
        .response = exchange->response,
        .status = exchange->status,
        .version = version,
        .expires_ns = uv_hrtime() + took_ns * (HTTP_LIST_SHARE - 1),
    };
    exchange->cached = true;
}
