// Addresses as people write them.
#include "rpc/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum error_code rpc_address_split(const char *text, struct rpc_host_port *parts, struct error *error) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return error_set(error, ERR_INVALID, "address %s: no port; write HOST:PORT", text);
    }
    const char *host = text;
    size_t host_len = (size_t)(colon - text);
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len) != NULL) {
        return error_set(error, ERR_INVALID, "address %s: write an IPv6 address in brackets, [IP]:PORT", text);
    }
    if (host_len == 0 || host_len >= sizeof parts->host) {
        return error_set(error, ERR_INVALID, "address %s: the host must have 1 to %zu bytes", text, sizeof parts->host - 1);
    }
    const char *port = colon + 1;
    size_t digits = strspn(port, "0123456789");
    if (digits == 0 || digits > 5 || port[digits] != '\0' || strtol(port, NULL, 10) > 65535) {
        return error_set(error, ERR_INVALID, "address %s: the port must be a number from 0 to 65535", text);
    }
    memcpy(parts->host, host, host_len);
    parts->host[host_len] = '\0';
    memcpy(parts->port, port, digits + 1);
    return OK;
}

void rpc_address_format(char *text, size_t size, const struct sockaddr *address) {
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        uv_ip6_name(in6, host, sizeof host);
        snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const void *)address;
        uv_ip4_name(in, host, sizeof host);
        snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
    }
}
