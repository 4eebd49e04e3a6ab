// The node as the debug pages see it: node/http_view.h.
#include "node/http_view.h"

#include "node/internal.h"

static void http_status(void *user, struct node_status *out) {
    node_status(user, out);
}

struct http_visit {
    struct node *node;
    view_visit_worker *visit;
    void *arg;
};

static bool http_worker(void *user, const struct state_worker *worker) {
    struct http_visit *visit = user;
    struct pb_worker_info info = node_worker_info(visit->node, worker);
    return visit->visit(visit->arg, &info);
}

static void http_workers(void *user, view_visit_worker *visit, void *arg) {
    struct node *node = user;
    struct http_visit context = {.node = node, .visit = visit, .arg = arg};
    state_workers(node->state, slice_of(NULL, 0), http_worker, &context);
}

static void http_metrics(void *user, struct buf *out) {
    struct node *node = user;
    node_metrics_sample(&node->m, node->state, node->slab);
    metrics_render(node->metrics, out);
}

static bool http_ready(void *user, struct buf *reasons) {
    struct node *node = user;
    size_t before = reasons->len;
    if (node->raft == NULL) {
        buf_append_str(reasons,
                       "this node belongs to no cluster: it started on an empty data directory without --bootstrap\n");
    } else if (node_leader_id(node)->len == 0) {
        buf_append_str(reasons, "no leader is known\n");
    }
    if (node->wal_status.condition == WAL_FULL) {
        buf_append_str(reasons, "there is no space for the log\n");
    }
    if (node->stopping != RUNNING) {
        buf_append_str(reasons, "this node is shutting down\n");
    }
    return reasons->len == before;
}

struct http_source http_view_source(struct node *node) {
    return (struct http_source){
        .user = node,
        .status = http_status,
        .workers = http_workers,
        .metrics = http_metrics,
        .ready = http_ready,
    };
}
