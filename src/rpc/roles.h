// Who may call: the roles that a service or method names, against the identity that a certificate shows.
#ifndef BATON_RPC_ROLES_H
#define BATON_RPC_ROLES_H

#include <stdbool.h>
#include <string.h>

// Whether an identity such as "node/n1" has one of the roles, such as "node"; the list ends with NULL. NULL for a list:
// every identity may call.
static inline bool rpc_role_may_call(const char *const *roles, const char *identity) {
    if (roles == NULL) {
        return true;
    }
    for (const char *const *role = roles; *role != NULL; role++) {
        size_t len = strlen(*role);
        if (strncmp(identity, *role, len) == 0 && identity[len] == '/') {
            return true;
        }
    }
    return false;
}

#endif
