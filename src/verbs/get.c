// Get: reads one key.
#include "verbs/verbs.h"

static struct slice scope(const void *message) {
    return ((const struct pb_get_request *)message)->key;
}

static bool is_stale(const void *message) {
    return ((const struct pb_get_request *)message)->stale;
}

static bool is_anywhere(const void *message) {
    return ((const struct pb_get_request *)message)->follower;
}

static enum error_code check(const void *message, struct error *error) {
    const struct pb_get_request *request = message;
    return request->stale && request->follower
               ? error_set(error, ERR_INVALID, "follower: does not go with stale, which asks for less")
               : OK;
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    const struct pb_get_request *request = message;
    struct state_item item;
    if (!state_get(node_state(node), request->key, &item)) {
        node_tell(node, call, OUTCOME_NO_SUCH_KEY, NULL);
        return;
    }
    struct pb_get_response response = {.value = item.value, .revision = item.revision, .read_index = index};
    node_reply(node, call, verb_get.method, &response);
}

const struct verb verb_get = {.method = &pb_control_service_get,
                              .scope = scope,
                              .grant = PB_ACCESS_VERB_GET,
                              .answer = answer,
                              .check = check,
                              .is_stale = is_stale,
                              .is_anywhere = is_anywhere};
