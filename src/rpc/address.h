// HOST:PORT in its parts.
#ifndef BATON_RPC_ADDRESS_H
#define BATON_RPC_ADDRESS_H

#include <uv.h>

#include "base/error.h"

struct rpc_host_port {
    char host[256];
    char port[6];
};

// HOST may be a name, an IPv4 address, or an IPv6 address in brackets; PORT 0 to 65535. ERR_INVALID says what is wrong.
enum error_code rpc_address_split(const char *text, struct rpc_host_port *parts, struct error *error);

// IP:PORT or [IP]:PORT.
void rpc_address_format(char *text, size_t size, const struct sockaddr *address);

#endif
