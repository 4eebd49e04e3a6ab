// Addresses as texts and as the system's structures.
#ifndef BATON_RPC_ADDRESS_H
#define BATON_RPC_ADDRESS_H

#include <uv.h>

#include "base/address.h"

// HOST:PORT, PORT 0 to 65535 (base/address.h). ERR_INVALID: the message begins with the text.
enum error_code rpc_address_split(const char *text, struct address *address, struct error *error);

// Writes IP:PORT or [IP]:PORT of an IPv4 or IPv6 address.
void rpc_address_format(char *text, size_t size, const struct sockaddr *address);

#endif
