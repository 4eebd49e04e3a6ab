// List: reads a page of the keys with a prefix.
#include "base/limits.h"
#include "verbs/page.h"
#include "verbs/verbs.h"

static struct slice scope(const void *message) {
    return ((const struct pb_list_request *)message)->prefix;
}

static bool is_stale(const void *message) {
    const struct pb_list_request *request = message;
    return request->stale || request->at > 0;  // a held version is what it is, whoever leads now
}

static bool is_anywhere(const void *message) {
    return ((const struct pb_list_request *)message)->follower;
}

static enum error_code check(const void *message, struct error *error) {
    const struct pb_list_request *request = message;
    return request->stale && request->follower
               ? error_set(error, ERR_INVALID, "follower: does not go with stale, which asks for less")
               : OK;
}

static bool is_slow(const void *message) {
    (void)message;
    return true;
}

struct listing {
    struct pb_key_value *items;
    struct page page;
};

static bool list_item(void *user, const struct state_item *item) {
    struct listing *listing = user;
    if (!page_takes(&listing->page, item->key.len + item->value.len)) {
        return false;
    }
    listing->items[listing->page.count++] =
        (struct pb_key_value){.key = item->key, .value = item->value, .revision = item->revision};
    return true;
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;  // the state may be newer
    const struct pb_list_request *request = message;
    const struct state_version *held = request->at > 0 ? node_held_version(node, request->at) : NULL;
    if (request->at > 0 && held == NULL) {
        page_is_gone(node, call, request->at);
        return;
    }
    size_t limit = page_limit(request->limit);
    struct listing listing = {
        .items = arena_alloc(node_scratch(node), limit * sizeof *listing.items),
        .page = {.limit = limit, .bytes_max = LIST_BYTES_MAX},
    };
    if (listing.items == NULL) {
        node_tell(node, call, OUTCOME_LIST_TOO_LONG, NULL);
        return;
    }
    if (held != NULL) {
        state_version_list(held, request->prefix, request->start_after, list_item, &listing);
    } else {
        state_list(node_state(node), request->prefix, request->start_after, list_item, &listing);
    }
    if (held == NULL && listing.page.more) {
        node_hold_version(node);
    }
    struct pb_list_response response = {
        .items = listing.items,
        .items_count = listing.page.count,
        .more = listing.page.more,
        .read_index = held != NULL ? request->at : state_last_applied(node_state(node)),
    };
    node_reply(node, call, verb_list.method, &response);
}

const struct verb verb_list = {
    .method = &pb_control_service_list,
    .scope = scope,
    .grant = PB_ACCESS_VERB_LIST,
    .check = check,
    .answer = answer,
    .is_stale = is_stale,
    .is_anywhere = is_anywhere,
    .is_slow = is_slow,
};
