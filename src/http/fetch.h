// A small HTTP/1.1 client on the loop, for what this server asks the same server of another node: one GET, one answer with a
// Content-Length, one connection, encrypted where the nodes' are. Everything is bounded: time, headers, body.
#ifndef BATON_HTTP_FETCH_H
#define BATON_HTTP_FETCH_H

#include <uv.h>

#include "base/slice.h"
#include "tls/tls.h"

struct fetch;

struct fetch_answer {
    const char *error;  // why there is no answer; NULL when there is one
    unsigned status;
    uint8_t *body;  // the callee's to free(), also when there is an error (then NULL)
    size_t len;
};

typedef void fetch_done(void *user, const struct fetch_answer *answer);

struct fetch_request {
    struct tls *tls;       // NULL: plain
    struct slice node;     // with TLS: the id of the node that must answer
    struct slice address;  // HOST:PORT
    const char *path;
    const char *headers;  // further header lines, each ended by CRLF
    uint64_t timeout_ms;
    size_t body_max;
};

// `done` is called once, never from within this call; everything in `request` but `tls` is copied.
struct fetch *fetch_start(uv_loop_t *loop, const struct fetch_request *request, fetch_done *done, void *user);

// `done` will not be called. Not after it has been.
void fetch_cancel(struct fetch *fetch);

#endif
