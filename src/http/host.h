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
};

// Allowed are both configured names; localhost, 127.0.0.1 and [::1] with the port; and, as an IP literal with the port, the
// address the connection came to. `host` without a port means port 80, as in a URL.
bool host_allowed(const struct host_names *names, struct slice host, const struct sockaddr *local);

#endif
