// The check of the Host header.
#include "http/host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/limits.h"

enum { LITERAL_MAX = INET6_ADDRSTRLEN + 2 };

// HOST and PORT of HOST[:PORT]; false if the port is no number. *port stays as it is where there is none.
static bool host_split(struct slice text, struct slice *host, unsigned *port) {
    *host = text;
    const uint8_t *colon = text.len == 0 ? NULL : memrchr(text.data, ':', text.len);
    if (colon == NULL || text.data[text.len - 1] == ']') {
        return true;
    }
    const uint8_t *end = text.data + text.len;
    if (colon + 1 == end || end - colon > 6) {
        return false;
    }
    *host = slice_of(text.data, (size_t)(colon - text.data));
    *port = 0;
    for (const uint8_t *at = colon + 1; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        *port = *port * 10 + (unsigned)(*at - '0');
    }
    return true;
}

static bool same_host(struct slice a, struct slice b) {
    return a.len == b.len && a.len > 0 && strncasecmp((const char *)a.data, (const char *)b.data, a.len) == 0;
}

static bool same_address(struct slice configured, struct slice host, unsigned port) {
    struct slice own_host;
    unsigned own_port = 0;
    return host_split(configured, &own_host, &own_port) && own_port == port && same_host(own_host, host);
}

static bool is_loopback(struct slice host) {
    return same_host(host, slice_of_str("localhost")) || same_host(host, slice_of_str("127.0.0.1")) ||
           same_host(host, slice_of_str("[::1]"));
}

// The address as it stands in a URL; an IPv4 address that came in by an IPv6 socket as IPv4.
static struct slice literal_of(const struct sockaddr *address, char out[LITERAL_MAX]) {
    char text[INET6_ADDRSTRLEN] = "";
    const char *format = "%s";
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        format = mapped ? "%s" : "[%s]";
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&v6->s6_addr[12] : v6, text, sizeof text);
    }
    int len = snprintf(out, LITERAL_MAX, format, text);
    return slice_of(out, (size_t)len);
}

bool host_allowed(const struct host_names *names, struct slice text, const struct sockaddr *local) {
    struct slice host;
    unsigned port = names->implied_port;
    if (text.len > ADDRESS_MAX || !host_split(text, &host, &port)) {
        return false;
    }
    if (same_address(names->listen, host, port) || same_address(names->advertise, host, port)) {
        return true;
    }
    char literal[LITERAL_MAX];
    return is_loopback(host) || (port == names->port && same_host(host, literal_of(local, literal)));
}
