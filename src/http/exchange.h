// One request, from its headers to the end of its response: the interface between the pages and the server.
#ifndef BATON_HTTP_EXCHANGE_H
#define BATON_HTTP_EXCHANGE_H

#include <jansson.h>
#include <microhttpd.h>
#include <uv.h>

#include "node/view.h"

struct http_server;

// The reply that exchange_cache stored, for all exchanges of a server.
struct response_cache {
    struct MHD_Response *response;  // NULL: none
    unsigned status;
    uint64_t version;
    uint64_t expires_ns;
};

// A page either replies at once, or sets `cancel` and replies later; until then the connection is suspended.
struct exchange {
    struct http_server *server;
    // Makes libmicrohttpd run soon: its epoll set does not become readable when a suspended connection is resumed.
    void (*wake)(struct http_server *server);
    struct response_cache *cache;
    uv_loop_t *loop;
    struct tls *tls;  // NULL: plaintext
    const struct http_source *source;
    struct MHD_Connection *connection;
    bool begun;      // the page has been called
    bool suspended;  // and did not reply at once
    unsigned status;
    struct MHD_Response *response;  // NULL until the reply
    bool cached;                    // the response is the server's cached one
    // Cancels and frees what the page has pending; NULL: nothing. Called when the exchange ends first.
    void (*cancel)(struct exchange *exchange);
    void *pending;  // the page's own
};

// Replies; once only. Takes ownership of the bytes in `body`.
void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body);

// The same with bytes of static lifetime.
void exchange_reply_static(struct exchange *exchange, const char *content_type, struct slice body);

// Replies with a JSON object {"error": code, "message": ...}.
void exchange_reply_error(struct exchange *exchange, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Replies with a JSON document and a newline. Takes ownership of `document`.
void exchange_reply_json(struct exchange *exchange, unsigned status, json_t *document);

// Adds a header to the response: after the reply, in the same call of the page.
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);

// An expensive reply is cached for a while, so that many simultaneous requests neither block the loop nor take the memory of
// a reply each. A cached reply is valid for one `version` only.
//
// Replies with the cached reply. False: there is none of this version, or it has expired.
bool exchange_reply_cached(struct exchange *exchange, uint64_t version);
// Caches this exchange's reply and headers, which took `took_ns` to make; a cheap one is not worth it.
void exchange_cache(struct exchange *exchange, uint64_t version, uint64_t took_ns);

// Drops the cached reply; connections still sending it have references of their own.
void response_cache_clear(struct response_cache *cache);

// The value of a request's header; NULL: absent.
const char *exchange_request_header(const struct exchange *exchange, const char *name);

#endif
