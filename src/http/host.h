// Whether a request's Host header names this node. Names that are not ours are refused: a browser that was led to our
// address under somebody else's name (DNS rebinding) sends that name.
#ifndef BATON_HTTP_HOST_H
#define BATON_HTTP_HOST_H

#include <sys/socket.h>

#include "base/slice.h"

struct host_names {
    struct slice listen;     // HOST:PORT as configured
    struct slice advertise;  // HOST:PORT
    uint16_t port;           // that is really listened on
    uint16_t implied_port;   // by a URL without one: 80, with TLS 443
};

// Allowed are both configured names; as an IP literal with the port, the address the connection came to; and localhost,
// 127.0.0.1 and [::1] with any port. Those three name the browser's own machine and nobody can make them name another, so
// they are never the name of a rebinding page; and the port is another than ours where a container's port is published or
// an SSH tunnel ends. `host` without a port means the implied one, as in a URL.
bool host_allowed(const struct host_names *names, struct slice host, const struct sockaddr *local);

#endif
