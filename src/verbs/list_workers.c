// ListWorkers: reads the registry, in pages or as a whole.
#include "base/limits.h"
#include "verbs/page.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

static bool is_stale(const void *message) {
    return ((const struct pb_list_workers_request *)message)->at > 0;  // a held version is what it is, whoever leads now
}

static bool is_anywhere(const void *message) {
    return ((const struct pb_list_workers_request *)message)->follower;
}

static bool is_slow(const void *message) {
    (void)message;
    return true;
}

struct listing {
    struct node *node;
    struct pb_worker_info *workers;
    struct page page;
};

static bool list_worker(void *user, const struct state_worker *worker) {
    struct listing *listing = user;
    struct pb_worker_info info = node_worker_info(listing->node, worker);
    if (!page_takes(&listing->page, pb_size(&pb_worker_info_type, &info))) {
        return false;
    }
    listing->workers[listing->page.count++] = info;
    return true;
}

// Upper bounds: the tag and length before each worker, and the response's other fields.
enum { FRAME_MAX = 5, OTHER_FIELDS_MAX = 16 };

// A client that asks for all workers gets all or an error: it might take a part for the whole.
static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)index;  // the state may be newer
    const struct pb_list_workers_request *request = message;
    const struct state_version *held = request->at > 0 ? node_held_version(node, request->at) : NULL;
    if (request->at > 0 && held == NULL) {
        page_is_gone(node, call, request->at);
        return;
    }
    bool all = request->limit == 0;
    size_t limit = page_limit(request->limit);
    if (all) {
        limit = state_worker_count(node_state(node));
    }
    struct listing listing = {
        .node = node,
        .workers = arena_alloc(node_scratch(node), limit * sizeof *listing.workers),
        .page = {.limit = limit, .bytes_max = (all ? MESSAGE_MAX : LIST_BYTES_MAX) - limit * FRAME_MAX - OTHER_FIELDS_MAX},
    };
    if (listing.workers == NULL) {
        node_tell(node, call, OUTCOME_LIST_TOO_LONG, NULL);
        return;
    }
    if (held != NULL) {
        state_version_workers(held, request->start_after, list_worker, &listing);
    } else {
        state_workers(node_state(node), request->start_after, list_worker, &listing);
    }
    if (all && listing.page.more) {
        node_tell(node, call, OUTCOME_TOO_MANY_WORKERS, NULL);
        return;
    }
    if (held == NULL && listing.page.more) {
        node_hold_version(node);
    }
    struct pb_list_workers_response response = {
        .workers = listing.workers,
        .workers_count = listing.page.count,
        .read_index = held != NULL ? request->at : state_last_applied(node_state(node)),
        .more = listing.page.more,
    };
    node_reply(node, call, verb_list_workers.method, &response);
}

const struct verb verb_list_workers = {.method = &pb_control_service_list_workers,
                                       .grant = PB_ACCESS_VERB_WORKERS,
                                       .answer = answer,
                                       .is_stale = is_stale,
                                       .is_anywhere = is_anywhere,
                                       .is_slow = is_slow};
