// A small HTTP/1.1 client on the loop, for what this server asks the same server of another node: one GET, one answer with a
// Content-Length, one connection. Everything is bounded: time, headers, body.
#ifndef BATON_HTTP_FETCH_H
#define BATON_HTTP_FETCH_H

#include <uv.h>

#include "base/slice.h"

struct fetch;

struct fetch_answer {
    const char *error;  // why there is no answer; NULL when there is one
    unsigned status;
    uint8_t *body;  // the callee's to free(), also when there is an error (then NULL)
    size_t len;
};

typedef void fetch_done(void *user, const struct fetch_answer *answer);

// Asks HOST:PORT for `path`. `headers` are further header lines, each ended by CRLF. `done` is called once, never from
// within this call; `address`, `path` and `headers` are copied.
struct fetch *fetch_start(uv_loop_t *loop, struct slice address, const char *path, const char *headers, uint64_t timeout_ms,
                          size_t body_max, fetch_done *done, void *user);

// `done` will not be called. Not after it has been.
void fetch_cancel(struct fetch *fetch);

#endif
