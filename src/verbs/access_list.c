// AccessList: what is granted, to one subject or to all.
#include "base/limits.h"
#include "verbs/verbs.h"

struct listing {
    struct pb_grant *grants;
    size_t count;
};

static bool list_grant(void *user, const struct state_grant *grant) {
    struct listing *listing = user;
    listing->grants[listing->count++] = (struct pb_grant){
        .subject = grant->subject, .prefix = grant->prefix, .verbs = grant->verbs, .revision = grant->revision};
    return listing->count < GRANTS_MAX;
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;  // the state may be newer
    const struct pb_access_list_request *request = message;
    struct listing listing = {.grants = arena_alloc(node_scratch(node), GRANTS_MAX * sizeof *listing.grants)};
    assert(listing.grants != NULL);  // the scratch arena has no limit
    state_grants(node_state(node), request->subject, list_grant, &listing);
    struct pb_access_list_response response = {
        .grants = listing.grants,
        .grants_count = listing.count,
        .read_index = state_last_applied(node_state(node)),
    };
    node_reply(node, call, verb_access_list.method, &response);
}

const struct verb verb_access_list = {.method = &pb_control_service_access_list, .answer = answer};
