// One request, from its headers to the end of its response: the interface between the pages and the server.
#ifndef BATON_HTTP_EXCHANGE_H
#define BATON_HTTP_EXCHANGE_H

#include <jansson.h>
#include <microhttpd.h>
#include <uv.h>

#include "node/view.h"

struct http_server;
struct cluster_state;
struct worker_list;

// A page either replies at once, or sets `cancel` and replies later; until then the connection is suspended.
struct exchange {
    struct http_server *server;
    // Makes libmicrohttpd run soon: its epoll set does not become readable when a suspended connection is resumed.
    void (*wake)(struct http_server *server);
    struct cluster_state *cluster_state;
    struct cluster_state *own_workers;
    uv_loop_t *loop;
    struct tls *tls;  // NULL: plaintext
    const struct http_source *source;
    struct MHD_Connection *connection;
    bool begun;      // the page has been called
    bool suspended;  // and did not reply at once
    unsigned status;
    struct MHD_Response *response;  // NULL until the reply
    struct worker_list *list;       // whose response it is; NULL: the exchange's own
    // Cancels and frees what the page has pending; NULL: nothing. Called when the exchange ends first.
    void (*cancel)(struct exchange *exchange);
    void *pending;  // the page's own
    // Of cluster_state.c, while it waits for a list of workers.
    struct exchange *next_waiting;
    bool late;  // it came after the list was begun that is being made
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

// Replies with a list of workers that others get, too; takes over a reference on it.
void exchange_reply_list(struct exchange *exchange, struct worker_list *list, struct MHD_Response *response);

// The headers that all responses have.
void exchange_set_headers(struct MHD_Response *response, const char *content_type);

// The value of a request's header; NULL: absent.
const char *exchange_request_header(const struct exchange *exchange, const char *name);

#endif
