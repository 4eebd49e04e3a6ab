// The node as the debug pages see it: node/http_view.h.
#include "node/http_view.h"

#include "node/internal.h"
#include "node/quarantine.h"
#include "node/snapshot_sender.h"
#include "node/timeline.h"

static void http_status(void *user, struct node_status *out) {
    node_status(user, out);
}

struct http_visit {
    struct node *node;
    view_visit_worker *visit;
    void *arg;
    bool stopped;
};

static bool http_worker(void *user, const struct state_worker *worker) {
    struct http_visit *visit = user;
    struct pb_worker_info info = node_worker_info(visit->node, worker);
    visit->stopped = !visit->visit(visit->arg, &info);
    return !visit->stopped;
}

static bool http_workers(void *user, struct slice start_after, view_visit_worker *visit, void *arg) {
    struct node *node = user;
    struct http_visit context = {.node = node, .visit = visit, .arg = arg};
    state_workers(node->state, start_after, http_worker, &context);
    return !context.stopped;
}

void http_view_sample(struct node *node) {
    struct timeline_now now = {
        .now_us = node_clock_us(),
        .term = raft_current_term(node->raft),
        .leads = node_leads(node),
        .leader = raft_id_slice(node_leader_id(node)),
        .writes = node->m.proposals->value,
        .commit_ms = node->m.replication_latency,
    };
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct raft_id *id = &node->configuration.members[i].id;
        const struct peer_view *view = peers_view(node->peers, id);
        if (view != NULL) {
            now.peers[now.peers_count++] =
                (struct pb_round_trip){.id = raft_id_slice(id), .rtt_ms = view->reachable ? view->rtt_ms : 0};
        }
    }
    timeline_take(node->timeline, &now);
}

static void http_timeline(void *user, struct view_timeline *out) {
    struct node *node = user;
    timeline_read(node->timeline, node_clock_us(), out);
}

static void measure_members(struct node *node) {
    bool votes = false;
    for (size_t i = 0; i < node->configuration.count; i++) {
        const struct wire_member *member = &node->configuration.members[i];
        struct snapshot_sending sending = snapshot_senders_status(node->snapshot_senders, &member->id);
        votes = votes || (member->voter && raft_id_equal(&member->id, node_id(node)));
        peers_measure(node->peers, &member->id, member->voter,
                      sending.size == 0 ? 0 : (double)sending.sent / (double)sending.size);
    }
    metric_set(node->m.is_voter, votes);
}

void node_metrics(struct node *node, struct buf *out) {
    measure_members(node);
    node_metrics_sample(&node->m, node->state, node->slab);
    metrics_render(node->metrics, out);
}

static void http_metrics(void *user, struct buf *out) {
    node_metrics(user, out);
}

static bool http_ready(void *user, struct buf *reasons) {
    struct node *node = user;
    size_t before = reasons->len;
    if (node->configuration.count == 0) {
        buf_append_str(reasons, "this node belongs to no cluster: it started on an empty data directory without "
                                "--bootstrap, and waits to be added\n");
    } else if (node_leader_id(node)->len == 0) {
        buf_append_str(reasons, "no leader is known\n");
    }
    if (quarantine_begun(node)) {
        buf_append_str(reasons, "this node is out of service: ");
        buf_append_str(reasons, quarantine_message(node));
        buf_append_str(reasons, "\n");
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
        .timeline = http_timeline,
        .metrics = http_metrics,
        .ready = http_ready,
    };
}
