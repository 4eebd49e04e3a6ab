// A series is registered when the first call needs it: most methods see two or three of the seventeen statuses. Paths are
// our own on both sides, so the number of series is bounded.
#include "rpc/stats.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/mem.h"

static const double bounds[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                0.025,   0.05,   0.1,     0.25,   0.5,   1,      2.5,   10};

struct rpc_stats *rpc_stats_of(struct rpc_runtime *runtime, bool server, const char *path) {
    if (runtime->metrics == NULL) {
        return NULL;
    }
    struct rpc_stats *stats = runtime->stats;
    while (stats != NULL && (stats->server != server || strcmp(stats->path, path) != 0)) {
        stats = stats->next;
    }
    if (stats == NULL) {
        stats = mem_zalloc(sizeof *stats);
        stats->server = server;
        stats->path = mem_strdup(path);
        stats->next = runtime->stats;
        runtime->stats = stats;
    }
    return stats;
}

// service="...",method="..." and, if there is one, the status; NUL-terminated.
static struct buf labels_of(const struct rpc_stats *stats, const char *status) {
    const char *method = strrchr(stats->path, '/') + 1;
    int service_len = (int)(method - stats->path) - 2;
    struct buf labels = {0};
    buf_printf(&labels, "service=\"%.*s\",method=\"%s\"", service_len, stats->path + 1, method);
    if (status != NULL) {
        buf_printf(&labels, ",status=\"%s\"", status);
    }
    buf_append(&labels, "", 1);
    return labels;
}

static struct metric *add_ended(struct rpc_runtime *runtime, const struct rpc_stats *stats, enum rpc_status status) {
    struct buf labels = labels_of(stats, rpc_status_name(status));
    struct metric *metric =
        metrics_add(runtime->metrics, METRIC_COUNTER, stats->server ? "rpc_server_calls_total" : "rpc_client_calls_total",
                    stats->server ? "Calls answered, by status." : "Calls made, by status.", (const char *)labels.data);
    buf_free(&labels);
    return metric;
}

static struct histogram *add_duration(struct rpc_runtime *runtime, const struct rpc_stats *stats) {
    struct buf labels = labels_of(stats, NULL);
    struct histogram *histogram = metrics_add_histogram(
        runtime->metrics, stats->server ? "rpc_server_call_duration_seconds" : "rpc_client_call_duration_seconds",
        stats->server ? "From a unary call's first header to its answer." : "From making a unary call to its result.",
        (const char *)labels.data, bounds, ARRAY_COUNT(bounds));
    buf_free(&labels);
    return histogram;
}

void rpc_stats_end(struct rpc_runtime *runtime, struct rpc_stats *stats, enum rpc_status status, uint64_t started_ns) {
    if (stats == NULL) {
        return;
    }
    assert((int)status < RPC_STATUS_COUNT);
    if (stats->ended[status] == NULL) {
        stats->ended[status] = add_ended(runtime, stats, status);
    }
    metric_add(stats->ended[status], 1);
    if (started_ns == 0) {
        return;
    }
    if (stats->duration == NULL) {
        stats->duration = add_duration(runtime, stats);
    }
    histogram_observe(stats->duration, (double)(uv_hrtime() - started_ns) / 1e9);
}

void rpc_stats_free(struct rpc_runtime *runtime) {
    while (runtime->stats != NULL) {
        struct rpc_stats *stats = runtime->stats;
        runtime->stats = stats->next;
        free(stats->path);
        free(stats);
    }
}
