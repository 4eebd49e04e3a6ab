// The debug pages of one node over HTTP/1.1, on the node's loop:
//
//   GET /               the dashboard (with /dashboard.css and /dashboard.js)
//   GET /cluster-state  all workers, as a JSON list; a follower relays the leader's answer and names it in `Baton-Leader`
//   GET /status         this node, as a JSON object
//   GET /nodes          the /status of every member, as a JSON list; unreachable ones with "reachable": false and why, this
//                       node with "self": true
//   GET /metrics        Prometheus text
//   GET /livez          200 as long as the loop runs
//   GET /readyz         200, or 503 with the reasons
//
// A request whose Host header does not name this node is refused (421): a page of somebody else's whose name is made to
// resolve to our address (DNS rebinding) must not read ours.
#ifndef BATON_HTTP_HTTP_H
#define BATON_HTTP_HTTP_H

#include <uv.h>

#include "base/error.h"
#include "node/view.h"

struct tls;

struct http_options {
    const char *listen;          // HOST:PORT; port 0: any free one
    const char *advertise;       // HOST:PORT by which others reach these pages; NULL: as `listen`
    struct tls *tls;             // borrowed; NULL: plain. Clients need no certificate: the pages change nothing
    uint64_t header_timeout_ms;  // a request's headers must be in within it; 0: HTTP_HEADER_TIMEOUT_MS
};

struct http_server;

// Listens at once. `options` and `source` are copied; source->user must live until http_server_close. ERR_INVALID for an
// address that does not parse or resolve, ERR_IO if it cannot be listened on.
enum error_code http_server_new(uv_loop_t *loop, const struct http_options *options, const struct http_source *source,
                                struct http_server **server, struct error *error);

// The port it listens on.
uint16_t http_server_port(const struct http_server *server);

// Ends all connections and frees the server; its handles are closed in the loop's next turns, then `closed` (may be NULL) is
// called.
void http_server_close(struct http_server *server, void (*closed)(void *user), void *user);

#endif
