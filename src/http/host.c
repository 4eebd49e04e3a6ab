// The check of the Host header.
#include "http/host.h"

#include <arpa/inet.h>
#include <assert.h>
#include <strings.h>

#include "base/address.h"

static bool same_host(const char *a, const char *b) {
    return strcasecmp(a, b) == 0;  // RFC 9110, section 4.2.3
}

// `port` may be the one that a URL without one implies, so it is not always host's own.
static bool names_us(struct slice configured, const struct address *host, unsigned port) {
    struct address own;
    enum error_code code = address_parse(configured, "address", ADDRESS_PORT_LISTEN, &own, NULL);
    assert(code == OK);
    return own.port_number == port && same_host(own.host, host->host);
}

static bool is_loopback(const char *host) {
    return same_host(host, "localhost") || same_host(host, "127.0.0.1") || same_host(host, "::1");
}

// The IP address as text; an IPv4 address that came in by an IPv6 socket as IPv4. Other families have none: "".
static void format_ip(const struct sockaddr *address, char text[INET6_ADDRSTRLEN]) {
    text[0] = '\0';
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, INET6_ADDRSTRLEN);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? (const void *)&v6->s6_addr[12] : v6, text, INET6_ADDRSTRLEN);
    }
}

bool host_allowed(const struct host_names *names, struct slice text, const struct sockaddr *local) {
    struct address host;
    if (address_parse(text, "Host", ADDRESS_PORT_OPTIONAL, &host, NULL) != OK) {
        return false;
    }
    unsigned port = host.port[0] == '\0' ? names->implied_port : host.port_number;
    if (names_us(names->listen, &host, port) || names_us(names->advertise, &host, port)) {
        return true;
    }
    char ip[INET6_ADDRSTRLEN];
    format_ip(local, ip);
    return is_loopback(host.host) || (port == names->port && same_host(host.host, ip));
}
