// Who may do what: node/access.h.
#include "node/access.h"

#include <string.h>

#include "node/internal.h"

// "worker/w1" is of the role "worker" and of the name "w1". False: it is of another role, also of one that begins so.
static bool has_role(const char *identity, const char *role, const char **name) {
    size_t len = strlen(role);
    if (strncmp(identity, role, len) != 0 || identity[len] != '/') {
        return false;
    }
    *name = identity + len + 1;
    return true;
}

// Whether a certificate's name, "w1" or "etl-*", names the worker id. A star is at its end alone (tls/tls.h).
static bool names_id(const char *name, struct slice id) {
    struct slice named = slice_of_str(name);
    if (named.len > 0 && named.data[named.len - 1] == '*') {
        named.len--;
        return slice_starts_with(id, named);
    }
    return slice_equal(id, named);
}

// A worker's own calls, under the id that it names.
static enum error_code decide_worker(const struct node *node, const char *identity, struct slice id, struct error *error) {
    const char *name;
    bool bound =
        has_role(identity, "workers", &name) || (node->config->strict_worker_ids && has_role(identity, "worker", &name));
    if (!bound || names_id(name, id)) {
        return OK;
    }
    return error_set(error, ERR_FORBIDDEN, "a certificate of %s does not permit the worker id %.*s; it permits %s", identity,
                     (int)id.len, (const char *)id.data, name);
}

enum error_code access_decide(const struct node *node, const char *identity, const struct verb *verb, const void *request,
                              struct error *error) {
    if (verb->method->service == &pb_worker_service) {
        return decide_worker(node, identity, verb->scope(request), error);
    }
    return OK;
}

bool access_admits(struct node *node, const struct verb *verb, struct rpc_call call, const void *request) {
    const char *identity = rpc_call_peer(node->server, call).identity;
    struct error error = {0};
    if (identity == NULL || access_decide(node, identity, verb, request, &error) == OK) {
        return true;
    }
    outcome_refuse(node->server, call, &error);
    return false;
}
