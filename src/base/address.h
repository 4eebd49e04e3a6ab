// The parser of HOST:PORT. HOST is a DNS name, an IPv4 address, or an IPv6 address in brackets. Names are not resolved here.
#ifndef BATON_BASE_ADDRESS_H
#define BATON_BASE_ADDRESS_H

#include <netinet/in.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    HOST_MAX = 253,  // bytes of a DNS name (RFC 1035, section 2.3.4, without length bytes)
    PORT_MAX = 65535,
};

// Both texts are what getaddrinfo takes.
struct address {
    char host[HOST_MAX + 1];  // without brackets
    char port[6];             // decimal, without leading zeros; "" if it was left out
    uint16_t port_number;     // 0 if it was left out
};

enum address_port {
    ADDRESS_PORT_CONNECT,   // 1 to 65535
    ADDRESS_PORT_LISTEN,    // also 0: any free port
    ADDRESS_PORT_OPTIONAL,  // as LISTEN, or neither colon nor port, as in a Host header
};

// Parses untrusted bytes, at most ADDRESS_MAX of them; no NUL or space gets through. Accepted text is canonical: host (in
// brackets if it was), colon and port joined give the same text.
// ERR_INVALID: the message begins with `field` and says what is allowed; *address is then undefined.
enum error_code address_parse(struct slice text, const char *field, enum address_port port, struct address *address,
                              struct error *error);

// The same check alone, for an address that others connect to (ADDRESS_PORT_CONNECT).
enum error_code address_check(struct slice text, const char *field, struct error *error);

// The system's form.
union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

// True: the host is an address, not a name, and *out is it. As resolvers do, takes the short, octal and hexadecimal forms of
// IPv4 addresses, too: 127.1, 0177.0.0.1, 0x7f000001.
bool address_literal(const struct address *address, union socket_address *out);

// Of text that address_parse accepts: whether only this machine can reach it (127.0.0.0/8, ::1, localhost); whether it
// stands for all interfaces (0.0.0.0, ::), so that others cannot connect to it. Addresses are compared by value, however
// they are written: [::ffff:0.0.0.0] and 0 stand for all interfaces, too.
bool address_is_loopback(const char *text);
bool address_is_wildcard(const char *text);

// ERR_INVALID, with a message that begins with `field`, for an address that others are to reach and that stands for all
// interfaces.
enum error_code address_refuse_wildcard(struct slice text, const char *field, struct error *error);

#endif
