// The iptables rules that send packets forwarded between the two interfaces to our two queues. They have a chain of their
// own, WANLINK, so that removing them touches nothing else and those of a killed wanlink are replaced as a whole.
#ifndef BATON_WANLINK_IPTABLES_H
#define BATON_WANLINK_IPTABLES_H

#include "base/error.h"

enum { QUEUE_FORTH = 0, QUEUE_BACK = 1 };  // queue numbers are per network namespace, so each has room for one wanlink

// Sends IPv4 packets forwarded from `from` to `to` to QUEUE_FORTH, and those of the other way to QUEUE_BACK. While no
// program reads a queue the kernel drops its packets (no --queue-bypass). ERR_IO: iptables-restore failed.
enum error_code iptables_install(const char *from, const char *to, struct error *error);

// Removes what iptables_install installed. ERR_IO: iptables-restore failed.
enum error_code iptables_remove(struct error *error);

#endif
