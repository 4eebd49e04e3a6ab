// How this node sees the cluster and itself: for ControlService.Status, the debug pages and the metrics.
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/array.h"
#include "base/files.h"
#include "node/internal.h"

const struct wire_member *node_member(const struct node *node, const struct raft_id *id) {
    for (size_t i = 0; i < node->configuration.count; i++) {
        if (raft_id_equal(&node->configuration.members[i].id, id)) {
            return &node->configuration.members[i];
        }
    }
    return NULL;
}

static const struct raft_id *leader_of(const struct node *node) {
    static const struct raft_id nobody = {0};
    return node->raft == NULL ? &nobody : raft_leader(node->raft);
}

static const char *role_of(const struct node *node) {
    if (node->raft == NULL) {
        return "follower";
    }
    switch (raft_state(node->raft)) {
    case RAFT_LEADER:
        return "leader";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_FOLLOWER:
        break;
    }
    return "follower";
}

raft_index node_match_index(const struct node *node, const struct raft_id *id) {
    struct raft_progress progress[MEMBERS_MAX];
    if (node->raft == NULL || raft_state(node->raft) != RAFT_LEADER) {
        return 0;
    }
    if (raft_id_equal(id, &node->config->node_id)) {
        return raft_last_log(node->raft).index;
    }
    size_t count = raft_progress(node->raft, progress);
    for (size_t i = 0; i < count; i++) {
        if (raft_id_equal(&progress[i].id, id)) {
            return progress[i].match_index;
        }
    }
    return 0;
}

// A row of the matrix; the answering node's own is made of what it measures itself.
static size_t describe_round_trips(const struct node *node, size_t member, struct wire_round_trip *round_trips) {
    size_t count = 0;
    for (size_t i = 0; i < node->configuration.count; i++) {
        double rtt_ms = node->placement.seats[member].report.links[i].rtt_ms;
        if (rtt_ms > 0) {
            round_trips[count++] =
                (struct wire_round_trip){.id = raft_id_slice(&node->configuration.members[i].id), .rtt_ms = rtt_ms};
        }
    }
    return count;
}

static void describe_member(const struct node *node, size_t index, struct wire_member_status *out,
                            struct wire_round_trip *round_trips) {
    const struct wire_member *member = &node->configuration.members[index];
    const struct placement_report *report = &node->placement.seats[index].report;
    double commit_ms = placement_commit_ms(&node->placement, node_clock_us(), index);
    *out = (struct wire_member_status){
        .id = raft_id_slice(&member->id),
        .address = slice_of_str(member->address),
        .cloud = slice_of_str(member->cloud),
        .voter = member->voter,
        .match_index = node_match_index(node, &member->id),
        .commit_ms = commit_ms > 0 ? commit_ms : 0,
        .round_trips = round_trips,
        .round_trip_count = describe_round_trips(node, index, round_trips),
        .disk_sync_ms = report->disk_sync_ms,
        .disk_full = report->disk_full,
    };
    const struct peer_view *view = peers_view(node->peers, &member->id);
    if (view != NULL) {
        out->http_address = slice_of_str(view->http_address);
        out->reachable = view->reachable;
        out->rtt_ms = view->rtt_ms;
        out->rtt_spread_ms = view->rtt_spread_ms;
        out->losses = view->losses;
    } else if (raft_id_equal(&member->id, &node->config->node_id)) {
        out->http_address = slice_of_str(node->config->advertise_http);
        out->reachable = true;
    }
}

static struct wire_placement describe_placement(const struct node *node, uint64_t now_us) {
    const struct placement *placement = &node->placement;
    struct placement_hold pause = placement_pause_left(placement, now_us);
    struct placement_hold cooldown = placement_cooldown_left(placement, now_us);
    return (struct wire_placement){
        .on = placement->on,
        .leader_cloud = slice_of_str(placement->leader_cloud),
        .pause_ms = pause.left_us / US_PER_MS,
        .pause_term = pause.term,
        .cooldown_ms = cooldown.left_us / US_PER_MS,
        .cooldown_term = cooldown.term,
        .decision = slice_of_str(placement->verdict),
        .moved_to = raft_id_slice(&placement->moved_to),
        .moved_why = slice_of_str(placement->moved_why),
        .moved_ago_ms = placement->moved_us == 0 ? 0 : (now_us - placement->moved_us) / US_PER_MS,
    };
}

void node_status(struct node *node, struct node_status *out) {
    uint64_t now_us = node_clock_us();
    const struct raft_id *leader = leader_of(node);
    const struct wire_member *leading = node_member(node, leader);
    out->response = (struct wire_status_response){
        .node = raft_id_slice(&node->config->node_id),
        .cluster_id = raft_id_slice(&node->config->cluster_id),
        .role = slice_of_str(role_of(node)),
        .term = node->raft == NULL ? 0 : raft_current_term(node->raft),
        .leader = raft_id_slice(leader),
        .leader_address = leading == NULL ? slice_of(NULL, 0) : slice_of_str(leading->address),
        .commit_index = node->raft == NULL ? 0 : raft_commit_index(node->raft),
        .last_applied = state_last_applied(node->state),
        .last_log_index = node->raft == NULL ? 0 : raft_last_log(node->raft).index,
        .version = slice_of_str(BATON_VERSION),
        .uptime_ms = (now_us - node->started_us) / US_PER_MS,
        .members = out->members,
        .member_count = node->configuration.count,
        .placement = describe_placement(node, now_us),
    };
    for (size_t i = 0; i < node->configuration.count; i++) {
        describe_member(node, i, &out->members[i], out->round_trips[i]);
    }
}

// --- the debug pages ---

static struct view_member view_of_member(const struct node_status *status, size_t index) {
    const struct wire_member_status *member = &status->members[index];
    bool self = slice_equal(member->id, status->response.node);
    struct view_member view = {
        .id = member->id,
        .address = member->address,
        .http_address = member->http_address,
        .cloud = member->cloud,
        .voter = member->voter,
        .reachable = member->reachable,
        .rtt_ms = member->rtt_ms > 0 || self ? member->rtt_ms : -1,
        .match_index = member->match_index,
        .disk_sync_ms = member->disk_sync_ms > 0 ? member->disk_sync_ms : -1,
        .commit_ms = member->commit_ms > 0 ? member->commit_ms : -1,
    };
    for (size_t to = 0; to < status->response.member_count; to++) {
        view.round_trips_ms[to] = -1;
        for (size_t i = 0; i < member->round_trip_count; i++) {
            if (slice_equal(member->round_trips[i].id, status->members[to].id)) {
                view.round_trips_ms[to] = member->round_trips[i].rtt_ms;
            }
        }
    }
    return view;
}

static struct view_placement view_of_placement(const struct wire_placement *placement) {
    return (struct view_placement){
        .on = placement->on,
        .leader_cloud = placement->leader_cloud,
        .pause_ms = placement->pause_ms,
        .cooldown_ms = placement->cooldown_ms,
        .decision = placement->decision,
        .moved_to = placement->moved_to,
        .moved_why = placement->moved_why,
        .moved_ago_ms = placement->moved_ago_ms,
    };
}

static void http_status(void *user, struct view_status *out) {
    struct node *node = user;
    struct node_status status;
    node_status(node, &status);
    *out = (struct view_status){
        .node_id = status.response.node,
        .cluster_id = status.response.cluster_id,
        .term = status.response.term,
        .leader_id = status.response.leader,
        .commit_index = status.response.commit_index,
        .last_applied = status.response.last_applied,
        .uptime_ms = status.response.uptime_ms,
        .leader_ready = node->serving_workers,
        .member_count = status.response.member_count,
        .placement = view_of_placement(&status.response.placement),
    };
    if (node->raft != NULL && raft_state(node->raft) == RAFT_LEADER) {
        out->role = VIEW_LEADER;
    } else if (node->raft != NULL && raft_state(node->raft) == RAFT_CANDIDATE) {
        out->role = VIEW_CANDIDATE;
    }
    for (size_t i = 0; i < status.response.member_count; i++) {
        out->members[i] = view_of_member(&status, i);
    }
}

struct http_visit {
    struct node *node;
    view_visit_worker *visit;
    void *arg;
};

static bool http_worker(void *user, const struct state_worker *worker) {
    struct http_visit *visit = user;
    struct view_label labels[LABELS_MAX];
    for (size_t i = 0; i < worker->label_count; i++) {
        labels[i] = (struct view_label){.key = worker->labels[i].key, .value = worker->labels[i].value};
    }
    struct view_worker view = {
        .id = worker->id,
        .instance_id = worker->instance_id,
        .address = worker->address,
        .cloud = worker->cloud,
        .online = worker->online,
        .reason = worker->reason,
        .last_seen_unix_ms = VIEW_NEVER,
        .epoch = worker->epoch,
        .slots = worker->slots,
        .labels = labels,
        .label_count = worker->label_count,
    };
    int64_t seen;
    if (node_worker_last_seen(visit->node, worker->slot, &seen)) {
        view.last_seen_unix_ms = seen;
    }
    return visit->visit(visit->arg, &view);
}

static void http_workers(void *user, view_visit_worker *visit, void *arg) {
    struct node *node = user;
    struct http_visit context = {.node = node, .visit = visit, .arg = arg};
    state_workers(node->state, slice_of(NULL, 0), http_worker, &context);
}

static void http_metrics(void *user, struct buf *out) {
    struct node *node = user;
    node_metrics_sample(node);
    metrics_render(node->metrics, out);
}

static bool http_ready(void *user, struct buf *reasons) {
    struct node *node = user;
    size_t before = reasons->len;
    if (node->raft == NULL) {
        buf_append_str(reasons,
                       "this node belongs to no cluster: it started on an empty data directory without --bootstrap\n");
    } else if (raft_leader(node->raft)->len == 0) {
        buf_append_str(reasons, "no leader is known\n");
    }
    if (node->condition == WAL_FULL) {
        buf_append_str(reasons, "there is no space for the log\n");
    }
    if (node->stopping != RUNNING) {
        buf_append_str(reasons, "this node is leaving\n");
    }
    return reasons->len == before;
}

struct http_source node_http_source(struct node *node) {
    return (struct http_source){
        .user = node,
        .status = http_status,
        .workers = http_workers,
        .metrics = http_metrics,
        .ready = http_ready,
    };
}

// --- metrics ---

static const double replication_bounds_ms[] = {0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1,    1.5,  2,    3,
                                               5,   7.5,  10,  15,  20,  25,   30,   40,   50,   60,
                                               75,  100,  150, 200, 300, 500,  1000, 2000, 5000, 10000};
static const double fsync_bounds_s[] = {0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005,
                                        0.01,    0.02,    0.05,   0.1,    0.2,    0.5,   1,     2};

void node_metrics_register(struct node *node) {
    struct metrics *metrics = node->metrics;
    struct node_metrics *m = &node->m;
    m->elections = metrics_add(metrics, METRIC_COUNTER, "raft_elections_total",
                               "Elections this node has started; PreVotes are not counted.", NULL);
    m->term = metrics_add(metrics, METRIC_COUNTER, "raft_term", "The current term; it never falls.", NULL);
    m->replication_latency = metrics_add_histogram(metrics, "raft_replication_latency_ms",
                                                   "From the leader's append to the majority's commit, in milliseconds.",
                                                   NULL, replication_bounds_ms, ARRAY_COUNT(replication_bounds_ms));
    m->is_leader = metrics_add(metrics, METRIC_GAUGE, "raft_is_leader", "1 while this node leads.", NULL);
    m->has_leader = metrics_add(metrics, METRIC_GAUGE, "raft_has_leader", "1 while this node knows a leader.", NULL);
    m->leader_changes =
        metrics_add(metrics, METRIC_COUNTER, "raft_leader_changes_total", "Times this node has seen a leader come.", NULL);
    m->commit_index = metrics_add(metrics, METRIC_GAUGE, "raft_commit_index", "The last committed entry.", NULL);
    m->applied_index = metrics_add(metrics, METRIC_GAUGE, "raft_applied_index", "The last applied entry.", NULL);
    m->proposals = metrics_add(metrics, METRIC_COUNTER, "raft_proposals_committed_total",
                               "Writes of this leader that were committed and applied.", NULL);
    m->proposals_failed = metrics_add(metrics, METRIC_COUNTER, "raft_proposals_failed_total",
                                      "Writes that were refused, or whose outcome this node did not learn.", NULL);
    m->proposals_pending =
        metrics_add(metrics, METRIC_GAUGE, "raft_proposals_pending", "Writes that wait for a majority.", NULL);
    m->reads = metrics_add(metrics, METRIC_COUNTER, "raft_reads_total", "Linearizable reads answered.", NULL);
    m->fsync = metrics_add_histogram(metrics, "wal_fsync_duration_seconds", "One write and sync of the log.", NULL,
                                     fsync_bounds_s, ARRAY_COUNT(fsync_bounds_s));
    m->wal_batches = metrics_add(metrics, METRIC_COUNTER, "wal_batches_total", "Batches written and synced.", NULL);
    m->wal_bytes = metrics_add(metrics, METRIC_COUNTER, "wal_written_bytes_total", "Bytes written to the log.", NULL);
    m->wal_full = metrics_add(metrics, METRIC_GAUGE, "wal_full", "1 while there is no space for the log.", NULL);
    m->log_bytes = metrics_add(metrics, METRIC_GAUGE, "raft_log_memory_bytes", "Memory that log entries take.", NULL);
    static const char *const labels[2][2] = {
        {"cloud=\"gcp\",status=\"offline\"", "cloud=\"gcp\",status=\"online\""},
        {"cloud=\"aws\",status=\"offline\"", "cloud=\"aws\",status=\"online\""},
    };
    for (size_t cloud = 0; cloud < 2; cloud++) {
        for (size_t online = 0; online < 2; online++) {
            m->workers[cloud][online] =
                metrics_add(metrics, METRIC_GAUGE, "baton_workers", "Registered workers.", labels[cloud][online]);
        }
    }
    m->placement_moves = metrics_add(metrics, METRIC_COUNTER, "baton_placement_moves_total",
                                     "Times this leader has begun to hand over to a node that serves better.", NULL);
    m->cpu_seconds = metrics_add(metrics, METRIC_COUNTER, "process_cpu_seconds_total", "CPU time used, in seconds.", NULL);
    m->resident_bytes = metrics_add(metrics, METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory.", NULL);
    m->open_fds = metrics_add(metrics, METRIC_GAUGE, "process_open_fds", "Open file descriptors.", NULL);
    m->max_fds = metrics_add(metrics, METRIC_GAUGE, "process_max_fds", "Most that there may be.", NULL);
    m->start_time = metrics_add(metrics, METRIC_GAUGE, "process_start_time_seconds", "Start, in unix time.", NULL);
    metric_set(m->start_time, (double)node_wall_ms() / 1000);
    metrics_add(metrics, METRIC_GAUGE, "baton_build_info", "1; the label tells the version.",
                "version=\"" BATON_VERSION "\"")
        ->value = 1;
}

static bool count_worker(void *user, const struct state_worker *worker) {
    double(*counts)[2] = user;
    counts[slice_equal(worker->cloud, slice_of_str("aws"))][worker->online] += 1;
    return true;
}

static double resident_bytes(void) {
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    int fields = fscanf(file, "%llu %llu", &size, &resident);
    fclose(file);
    return fields == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    double count = -3;  // ".", ".." and the directory itself
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

void node_metrics_sample(struct node *node) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metric_set(node->m.cpu_seconds, (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    }
    metric_set(node->m.resident_bytes, resident_bytes());
    metric_set(node->m.open_fds, open_fds());
    metric_set(node->m.max_fds, (double)files_allowed());
    metric_set(node->m.log_bytes, (double)raft_slab_bytes(node->slab));
    double counts[2][2] = {{0, 0}, {0, 0}};
    state_workers(node->state, slice_of(NULL, 0), count_worker, counts);
    for (size_t cloud = 0; cloud < 2; cloud++) {
        for (size_t online = 0; online < 2; online++) {
            metric_set(node->m.workers[cloud][online], counts[cloud][online]);
        }
    }
}
