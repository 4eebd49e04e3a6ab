// ListWorkers: reads the registry, in pages or as a whole.
#include "base/limits.h"
#include "verbs/page.h"
#include "verbs/verbs.h"
#include "wire/codec.h"

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
    const struct pb_list_workers_request *request = message;
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
    state_workers(node_state(node), request->start_after, list_worker, &listing);
    if (all && listing.page.more) {
        node_tell(node, call, OUTCOME_TOO_MANY_WORKERS, NULL);
        return;
    }
    struct pb_list_workers_response response = {
        .workers = listing.workers,
        .workers_count = listing.page.count,
        .read_index = index,
        .more = listing.page.more,
    };
    node_reply(node, call, verb_list_workers.method, &response);
}

const struct verb verb_list_workers = {.method = &pb_control_service_list_workers, .answer = answer, .is_slow = is_slow};
