// List: reads a page of the keys with a prefix.
#include "base/limits.h"
#include "verbs/page.h"
#include "verbs/verbs.h"

static bool is_stale(const void *message) {
    return ((const struct pb_list_request *)message)->stale;
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
    const struct pb_list_request *request = message;
    size_t limit = page_limit(request->limit);
    struct listing listing = {
        .items = arena_alloc(node_scratch(node), limit * sizeof *listing.items),
        .page = {.limit = limit, .bytes_max = LIST_BYTES_MAX},
    };
    if (listing.items == NULL) {
        node_tell(node, call, OUTCOME_LIST_TOO_LONG, NULL);
        return;
    }
    state_list(node_state(node), request->prefix, request->start_after, list_item, &listing);
    struct pb_list_response response = {
        .items = listing.items,
        .items_count = listing.page.count,
        .more = listing.page.more,
        .read_index = index,
    };
    node_reply(node, call, verb_list.method, &response);
}

const struct verb verb_list = {
    .method = &pb_control_service_list,
    .answer = answer,
    .is_stale = is_stale,
    .is_slow = is_slow,
};
