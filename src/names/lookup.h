// Looks up the addresses of a name on the loop, in the hosts file and then in DNS. Each lookup is on its own: one that hangs
// delays no other, nor the loop, and can be cancelled at any time.
#ifndef BATON_NAMES_LOOKUP_H
#define BATON_NAMES_LOOKUP_H

#include <uv.h>

#include "base/address.h"

enum {
    LOOKUP_ADDRESSES_MAX = 16,  // kept of one name: a node has few, and each costs an attempt to connect
    // How long one name server is waited for before the next is asked; doubled in each of the rounds over all of them.
    LOOKUP_SERVER_MS = 1000,
    LOOKUP_ROUNDS = 3,
};

struct addresses {
    size_t count;
    union socket_address list[LOOKUP_ADDRESSES_MAX];  // in the order to try them (RFC 6724)
};

struct lookup;

// `found` is borrowed until it returns; empty if the lookup has failed. `failure` says then why, for people; a literal.
typedef void lookup_done(void *user, const struct addresses *found, const char *failure);

// Looks up a name, IPv4 and IPv6 addresses. `done` is called once, never from within this call; the lookup is freed
// when it returns. The configuration (/etc/hosts, /etc/resolv.conf) is read anew each time.
struct lookup *lookup_start(uv_loop_t *loop, const char *host, uint16_t port, lookup_done *done, void *user);

// `done` will not be called. Must not be called after it.
void lookup_cancel(struct lookup *lookup);

#endif
