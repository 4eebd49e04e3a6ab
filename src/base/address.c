// HOST:PORT into host and port.
#include "base/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "base/ids.h"
#include "base/limits.h"

static_assert(INET6_ADDRSTRLEN <= HOST_MAX, "an IPv6 address fits where a name does");

// Copies the host without its brackets. False: it is not valid.
static bool parse_host(struct slice text, struct address *address) {
    bool bracketed = text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
    struct slice host = bracketed ? slice_of(text.data + 1, text.len - 2) : text;
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.data, '\0', host.len) != NULL) {
        return false;
    }
    memcpy(address->host, host.data, host.len);
    address->host[host.len] = '\0';
    struct in6_addr parsed;
    return bracketed ? inet_pton(AF_INET6, address->host, &parsed) == 1 : id_bytes_only(host);
}

// False: it is not a number in canonical form, or above PORT_MAX.
static bool parse_port(struct slice text, bool zero_allowed, struct address *address) {
    if (text.len < 1 || text.len >= sizeof address->port || (text.data[0] == '0' && text.len > 1)) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (text.data[i] - (unsigned)'0');
    }
    if (value > PORT_MAX || (value == 0 && !zero_allowed)) {
        return false;
    }
    memcpy(address->port, text.data, text.len);
    address->port[text.len] = '\0';
    address->port_number = (uint16_t)value;
    return true;
}

// The colon before the port; NULL: none. A colon inside brackets belongs to the host.
static const uint8_t *find_colon(struct slice text, bool port_optional) {
    if (port_optional && text.data[text.len - 1] == ']') {
        return NULL;
    }
    return memrchr(text.data, ':', text.len);
}

enum error_code address_parse(struct slice text, const char *field, enum address_port port, struct address *address,
                              struct error *error) {
    if (text.len == 0) {
        return error_set(error, ERR_INVALID, "%s is empty; give HOST:PORT", field);
    }
    if (text.len > ADDRESS_MAX) {
        return error_set(error, ERR_INVALID, "%s has %zu bytes; at most %d are allowed", field, text.len, ADDRESS_MAX);
    }
    const uint8_t *colon = find_colon(text, port == ADDRESS_PORT_OPTIONAL);
    if (colon == NULL && port != ADDRESS_PORT_OPTIONAL) {
        return error_set(error, ERR_INVALID, "%s has no port; give HOST:PORT", field);
    }
    *address = (struct address){.port_number = 0};
    size_t host_len = colon == NULL ? text.len : (size_t)(colon - text.data);
    if (!parse_host(slice_of(text.data, host_len), address)) {
        return error_set(error, ERR_INVALID, "%s has no valid host; give a name, an IPv4 address or [an IPv6 address]",
                         field);
    }
    bool zero_allowed = port != ADDRESS_PORT_CONNECT;
    if (colon != NULL && !parse_port(slice_of(colon + 1, text.len - host_len - 1), zero_allowed, address)) {
        return error_set(error, ERR_INVALID, "%s has no valid port; give one of %d to %d", field, zero_allowed ? 0 : 1,
                         PORT_MAX);
    }
    return OK;
}

enum error_code address_check(struct slice text, const char *field, struct error *error) {
    struct address address;
    return address_parse(text, field, ADDRESS_PORT_CONNECT, &address, error);
}

static struct address parse_valid(const char *text) {
    struct address address;
    enum error_code code = address_parse(slice_of_str(text), "address", ADDRESS_PORT_LISTEN, &address, NULL);
    assert(code == OK);
    return address;
}

bool address_literal(const struct address *address, union socket_address *out) {
    *out = (union socket_address){.any = {.sa_family = AF_UNSPEC}};
    if (inet_aton(address->host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(address->port_number);
        return true;
    }
    if (inet_pton(AF_INET6, address->host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(address->port_number);
        return true;
    }
    return false;
}

// The IPv4 address of a literal, in host order; of IPv6 also that of ::ffff:0:0/96, which is the same. False: it has none.
static bool ipv4_of(const union socket_address *literal, uint32_t *ipv4) {
    if (literal->any.sa_family == AF_INET) {
        *ipv4 = ntohl(literal->v4.sin_addr.s_addr);
        return true;
    }
    const struct in6_addr *in6 = &literal->v6.sin6_addr;
    memcpy(ipv4, in6->s6_addr + 12, sizeof *ipv4);
    *ipv4 = ntohl(*ipv4);
    return IN6_IS_ADDR_V4MAPPED(in6);
}

bool address_is_loopback(const char *text) {
    struct address address = parse_valid(text);
    union socket_address literal;
    if (!address_literal(&address, &literal)) {
        return strcasecmp(address.host, "localhost") == 0;
    }
    uint32_t ipv4;
    return ipv4_of(&literal, &ipv4) ? ipv4 >> 24 == IN_LOOPBACKNET : IN6_IS_ADDR_LOOPBACK(&literal.v6.sin6_addr);
}

bool address_is_wildcard(const char *text) {
    struct address address = parse_valid(text);
    union socket_address literal;
    uint32_t ipv4;
    if (!address_literal(&address, &literal)) {
        return false;
    }
    return ipv4_of(&literal, &ipv4) ? ipv4 == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&literal.v6.sin6_addr);
}

enum error_code address_refuse_wildcard(struct slice text, const char *field, struct error *error) {
    char copy[ADDRESS_MAX + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.data);
    return !address_is_wildcard(copy)
               ? OK
               : error_set(
                     error, ERR_INVALID,
                     "%s is %s, which stands for all interfaces, so that others cannot reach it; give the address that "
                     "they use",
                     field, copy);
}
