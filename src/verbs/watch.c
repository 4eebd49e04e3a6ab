// Watch: streams the changes of the keys with a prefix.
#include "verbs/verbs.h"

static struct slice scope(const void *message) {
    return ((const struct pb_watch_request *)message)->prefix;
}

static bool has_start(const void *message) {
    return ((const struct pb_watch_request *)message)->has_from_revision;
}

// From now on: after all that was acknowledged before the call, which only a confirmed index tells (thesis section 6.4).
static bool is_from_now(const void *message) {
    return !has_start(message);
}

// From an old revision there may be many changes to send.
static bool is_slow(const void *message) {
    return has_start(message);
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    const struct pb_watch_request *request = message;
    uint64_t newest = state_last_applied(node_state(node));
    uint64_t from = request->has_from_revision ? request->from_revision : index + 1;
    uint64_t oldest = state_history_from(node_state(node));
    if (from > newest + 1) {  // only another node may have applied it
        node_tell(node, call, OUTCOME_REVISION_AHEAD, &(struct outcome_facts){.number = from, .limit = newest});
    } else if (from < oldest) {
        node_tell(node, call, OUTCOME_REVISION_GONE, &(struct outcome_facts){.number = from, .limit = oldest});
    } else if (!node_watch(node, call, request->prefix, from)) {
        node_tell(node, call, OUTCOME_TOO_MANY_WATCHES, NULL);
    }
}

const struct verb verb_watch = {
    .method = &pb_control_service_watch,
    .scope = scope,
    .grant = PB_ACCESS_VERB_WATCH,
    .answer = answer,
    .is_stale = has_start,
    .is_anywhere = is_from_now,
    .was_local = true,
    .is_slow = is_slow,
    .cancelled = node_watch_cancelled,
    .writable = node_watch_writable,
};
