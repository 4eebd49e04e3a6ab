// Whether a request's Host header names this node. A browser that reaches our address under another site's name (DNS
// rebinding) sends that name, and is refused.
#ifndef BATON_HTTP_HOST_H
#define BATON_HTTP_HOST_H

#include <sys/socket.h>

#include "base/slice.h"

struct host_names {
    struct slice listen;     // HOST:PORT as configured
    struct slice advertise;  // HOST:PORT
    uint16_t port;           // actually listened on
    uint16_t implied_port;   // of a URL without a port: 80, with TLS 443
};

// Allowed are both configured names; the address the connection came to, as an IP literal with the port; and localhost,
// 127.0.0.1 and [::1] with any port. Those three always name the browser's own machine, so no rebinding page can have them;
// and behind a container's published port or an SSH tunnel the port is not ours. `host` without a port means the implied
// one.
bool host_allowed(const struct host_names *names, struct slice host, const struct sockaddr *local);

#endif
