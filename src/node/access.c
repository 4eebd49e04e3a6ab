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
    bool bound = has_role(identity, "workers", &name) ||
                 (!node->config->shared_worker_certificates && has_role(identity, "worker", &name));
    if (!bound || names_id(name, id)) {
        return OK;
    }
    return error_set(error, ERR_FORBIDDEN, "a certificate of %s does not permit the worker id %.*s; it permits %s", identity,
                     (int)id.len, (const char *)id.data, name);
}

// Who may only do what it is granted: a program, and an operator who has any grant.
static bool is_limited(const struct node *node, const char *identity) {
    const char *name;
    return has_role(identity, "program", &name) ||
           (has_role(identity, "operator", &name) && state_has_grant(node->state, slice_of_str(identity)));
}

static const char *verb_name(uint32_t verb) {
    switch ((enum pb_access_verb)verb) {
    case PB_ACCESS_VERB_GET:
        return "get of this key";
    case PB_ACCESS_VERB_PUT:
        return "put of this key";
    case PB_ACCESS_VERB_DELETE:
        return "delete of this key";
    case PB_ACCESS_VERB_LIST:
        return "list of all keys with this prefix";
    case PB_ACCESS_VERB_WATCH:
        return "watch of all keys with this prefix";
    case PB_ACCESS_VERB_WORKERS:
        return "workers";
    case PB_ACCESS_VERB_ADMIN:
        return "admin";
    case PB_ACCESS_VERB_UNSPECIFIED:
        break;
    }
    return "anything";
}

static enum error_code decide_granted(const struct node *node, const char *identity, const struct verb *verb,
                                      const void *request, struct error *error) {
    struct slice subject = slice_of_str(identity);
    struct slice scope = slice_of(NULL, 0);
    uint32_t wanted = verb->grant;
    if (wanted == 0) {
        wanted = verb->any_grant ? PB_ACCESS_VERB_UNSPECIFIED : PB_ACCESS_VERB_ADMIN;
    } else if (verb->scope != NULL) {
        scope = verb->scope(request);
    }
    bool granted =
        verb->any_grant ? state_has_grant(node->state, subject) : state_is_granted(node->state, subject, wanted, scope);
    if (granted) {
        return OK;
    }
    return error_set(error, ERR_FORBIDDEN,
                     "%s is not granted %s; batonctl access list shows what it is, and an operator "
                     "may grant it",
                     identity, verb_name(wanted));
}

enum error_code access_decide(const struct node *node, const char *identity, const struct verb *verb, const void *request,
                              struct error *error) {
    if (is_limited(node, identity)) {
        return decide_granted(node, identity, verb, request, error);
    }
    if (verb->method->service == &pb_worker_service) {
        return decide_worker(node, identity, verb->scope(request), error);
    }
    return OK;
}

// Until its no-op is applied a leader may lack the last grants and revocations that its predecessor has acknowledged. An
// operator's write does not wait for that: it would delay all of them after each failover.
static bool is_early(const struct node *node, const char *identity, const struct verb *verb) {
    const char *name;
    return verb->propose != NULL && !node->serving_workers && has_role(identity, "program", &name);
}

// With a certificate.
static bool admits(struct node *node, const char *identity, const struct verb *verb, struct rpc_call call,
                   const void *request) {
    struct error error;
    if (is_early(node, identity, verb)) {
        node_tell(node, call, OUTCOME_NOT_READY, NULL);
        return false;
    }
    if (access_decide(node, identity, verb, request, &error) == OK) {
        return true;
    }
    node_refuse(node, call, &error);
    return false;
}

bool access_admits(struct node *node, const struct verb *verb, struct rpc_call call, const void *request) {
    const char *identity = rpc_call_peer(node->server, call).identity;
    return identity == NULL || admits(node, identity, verb, call, request);
}

// --- streams ---

static struct slice watched_prefix(const void *request) {
    return *(const struct slice *)request;
}

static bool may_not_watch(void *user, struct rpc_call call, struct slice prefix) {
    static const struct verb watching = {
        .method = &pb_control_service_watch, .grant = PB_ACCESS_VERB_WATCH, .scope = watched_prefix};
    return !access_admits(user, &watching, call, &prefix);
}

void access_changed(struct node *node) {
    watches_end_those(node->watches, may_not_watch, node);
}
