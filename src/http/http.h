// The debug pages of one node over HTTP/1.1, on the node's loop:
//
//   GET /               the dashboard, with its styles and scripts
//   GET /cluster-state  all workers, as a JSON list; a follower relays the leader's answer and names it in `Baton-Leader`
//   GET /workers        the workers as this node's own state has them, as a JSON object that says of when
//   GET /status         this node, as a JSON object
//   GET /nodes          the /status of every member, as a JSON list; unreachable ones with "reachable": false and why, this
//                       node with "self": true
//   GET /timeline       this node's last ten minutes, as a JSON object
//   GET /timelines      the /timeline of every member, as /nodes has their /status
//   GET /metrics        Prometheus text
//   GET /livez          200 as long as the loop runs
//   GET /readyz         200, or 503 with the reasons
//
// A request whose Host header does not name this node gets 421: a page on another site must not read ours by making its name
// resolve to our address (DNS rebinding).
#ifndef BATON_HTTP_HTTP_H
#define BATON_HTTP_HTTP_H

#include <uv.h>

#include "base/error.h"
#include "node/view.h"

struct tls;

struct http_options {
    const char *listen;          // HOST:PORT; port 0: any free one
    const char *advertise;       // HOST:PORT where others reach these pages; NULL: as `listen`
    struct tls *tls;             // borrowed; NULL: plaintext. Clients need no certificate: the pages are read-only
    uint64_t header_timeout_ms;  // for a request's headers to arrive; 0: HTTP_HEADER_TIMEOUT_MS
};

struct http_server;

// Starts listening. `options` and `source` are copied; source->user must stay valid until http_server_close. ERR_INVALID:
// the address does not parse or resolve. ERR_IO: listening on it failed.
enum error_code http_server_new(uv_loop_t *loop, const struct http_options *options, const struct http_source *source,
                                struct http_server **server, struct error *error);

// The port it listens on.
uint16_t http_server_port(const struct http_server *server);

// Ends all connections. The handles are closed in the loop's next turns, then `closed` (unless NULL) is called and the
// server freed.
void http_server_close(struct http_server *server, void (*closed)(void *user), void *user);

#endif
