// A minimal HTTP/1.1 client on the loop, for asking another node's server: one GET, one response with a Content-Length, one
// connection, encrypted if this node has certificates. Time, headers and body are bounded.
#ifndef BATON_HTTP_FETCH_H
#define BATON_HTTP_FETCH_H

#include <uv.h>

#include "base/slice.h"
#include "tls/tls.h"

struct fetch;

struct fetch_answer {
    const char *error;  // why there is no response; NULL: there is one
    unsigned status;
    uint8_t *body;  // the callback's to free(); NULL with an error
    size_t len;
};

typedef void fetch_done(void *user, const struct fetch_answer *answer);

struct fetch_request {
    struct tls *tls;       // NULL: plaintext
    struct slice node;     // with TLS: the node whose certificate is required
    struct slice address;  // HOST:PORT
    const char *path;
    const char *headers;  // further header lines, each ending in CRLF
    uint64_t timeout_ms;
    size_t body_max;
};

// `done` is called once, never from within this call. `tls` is borrowed until then; the rest of `request` is copied.
struct fetch *fetch_start(uv_loop_t *loop, const struct fetch_request *request, fetch_done *done, void *user);

// Cancels: `done` will not be called. Must not be called after `done`.
void fetch_cancel(struct fetch *fetch);

#endif
