// Addresses to and from text.
#include "rpc/address.h"

#include <assert.h>

enum error_code rpc_address_split(const char *text, struct address *address, struct error *error) {
    enum error_code code = address_parse(slice_of_str(text), "the address", ADDRESS_PORT_LISTEN, address, error);
    return code == OK || error == NULL ? code : error_wrap(error, "%s", text);
}

void rpc_address_format(char *text, size_t size, const struct sockaddr *address) {
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        uv_ip6_name(in6, host, sizeof host);
        snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        assert(address->sa_family == AF_INET);
        const struct sockaddr_in *in = (const void *)address;
        uv_ip4_name(in, host, sizeof host);
        snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
    }
}
