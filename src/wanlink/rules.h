// The iptables rules that hand the packets crossing from one interface to the other to our two queues. They live in a chain
// of their own, WANLINK, so that taking them away touches nothing else, and what a killed wanlink left is replaced whole.
#ifndef BATON_WANLINK_RULES_H
#define BATON_WANLINK_RULES_H

#include "base/error.h"

enum { QUEUE_FORTH = 0, QUEUE_BACK = 1 };  // queue numbers: a network namespace has its own, and room for one wanlink

// Packets from `from` to `to` go to QUEUE_FORTH, the others' way to QUEUE_BACK; IPv4, forwarded packets only. Without a
// program behind the queue (no --queue-bypass) the kernel drops them.
enum error_code rules_install(const char *from, const char *to, struct error *error);

// Takes away what rules_install installed.
enum error_code rules_remove(struct error *error);

#endif
