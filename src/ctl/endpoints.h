// Where batonctl looks for the cluster.
#ifndef BATON_CTL_ENDPOINTS_H
#define BATON_CTL_ENDPOINTS_H

#include <stddef.h>

#include "base/error.h"
#include "base/limits.h"

enum { CTL_ENDPOINTS_MAX = 64 };  // of one list: some members, each perhaps under several names

struct ctl_endpoints {
    const char *source;  // for messages: "--endpoints", "BATON_ENDPOINTS", "build/cluster/endpoints", "the default"
    size_t count;        // at least 1
    char addresses[CTL_ENDPOINTS_MAX][ADDRESS_MAX + 1];
};

#define CTL_ENDPOINTS_FILE    "build/cluster/endpoints"
#define CTL_ENDPOINTS_DEFAULT "127.0.0.1:7400"

// `flag` and `environment` are lists or NULL; then the first line of `file` is one, if there is such a file; then the
// default. ERR_INVALID and ERR_IO name the source.
enum error_code ctl_endpoints_find(const char *flag, const char *environment, const char *file,
                                   struct ctl_endpoints *endpoints, struct error *error);

#endif
