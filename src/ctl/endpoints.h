// The nodes' addresses that batonctl and baton-bench are given.
#ifndef BATON_CTL_ENDPOINTS_H
#define BATON_CTL_ENDPOINTS_H

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

enum { CTL_ENDPOINTS_MAX = 64 };  // of one list: members, some perhaps under several names

struct ctl_endpoints {
    const char *source;  // for messages: "--endpoints", "BATON_ENDPOINTS", "build/cluster/endpoints", "the default"
    size_t count;        // at least 1
    char addresses[CTL_ENDPOINTS_MAX][ADDRESS_MAX + 1];
};

#define CTL_ENDPOINTS_FILE    "build/cluster/endpoints"
#define CTL_ENDPOINTS_DEFAULT "127.0.0.1:7400"

// Takes the first of these: the list `flag`, the list `environment` (each may be NULL), the first line of `file` if it
// exists, the default. Errors, which name the source: ERR_INVALID, ERR_IO.
enum error_code ctl_endpoints_find(const char *flag, const char *environment, const char *file,
                                   struct ctl_endpoints *endpoints, struct error *error);

#endif
