// One request, from its headers to the end of its response: what the pages see of the server.
#ifndef BATON_HTTP_EXCHANGE_H
#define BATON_HTTP_EXCHANGE_H

#include <microhttpd.h>
#include <uv.h>

#include "node/view.h"

struct http_server;

// A page either replies at once or keeps the exchange, sets `cancel`, and replies later; the connection is suspended
// meanwhile.
struct exchange {
    struct http_server *server;
    uv_loop_t *loop;
    struct tls *tls;  // NULL: plain
    const struct http_source *source;
    struct MHD_Connection *connection;
    bool begun;      // the page has been asked
    bool suspended;  // and has not replied at once
    unsigned status;
    struct MHD_Response *response;  // NULL until the reply
    bool kept;                      // by the server, for others as well
    // Ends and frees what the page has under way; NULL when there is nothing. Called when the exchange ends first.
    void (*cancel)(struct exchange *exchange);
    void *pending;  // the page's own
};

// Replies once. Takes the bytes out of `body`.
void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type, struct buf *body);

// The same with bytes that live on.
void exchange_reply_static(struct exchange *exchange, const char *content_type, struct slice body);

// Replies with a JSON object {"error": code, "message": ...}.
void exchange_reply_error(struct exchange *exchange, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// A header of the response; after the reply, in the same call of the page.
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);

// A reply that is costly to make is kept for those who ask soon after, so that many who ask at once do not hold up the loop,
// and the memory of one reply serves them all. `of` says what it is true of: one of another value is not given.
//
// True: replied with the one that is kept.
bool exchange_reply_kept(struct exchange *exchange, uint64_t of);
// Keeps this exchange's reply and its headers, which took `took_ns` to make.
void exchange_keep(struct exchange *exchange, uint64_t of, uint64_t took_ns);

// A request header's value, NULL if there is none.
const char *exchange_request_header(const struct exchange *exchange, const char *name);

#endif
