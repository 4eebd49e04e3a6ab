// Registering and sampling the node's metrics.
#include "node/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/files.h"
#include "raft/entry.h"
#include "state/state.h"

static const double replication_bounds_ms[] = {0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1,    1.5,  2,    3,
                                               5,   7.5,  10,  15,  20,  25,   30,   40,   50,   60,
                                               75,  100,  150, 200, 300, 500,  1000, 2000, 5000, 10000};
static const double fsync_bounds_s[] = {0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005,
                                        0.01,    0.02,    0.05,   0.1,    0.2,    0.5,   1,     2};

static const double turn_bounds_s[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1};
static const double snapshot_bounds_s[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100};

static const char *const worker_labels[CLOUD_COUNT][2] = {
    [CLOUD_GCP] = {"cloud=\"gcp\",status=\"offline\"", "cloud=\"gcp\",status=\"online\""},
    [CLOUD_AWS] = {"cloud=\"aws\",status=\"offline\"", "cloud=\"aws\",status=\"online\""},
};

void node_metrics_register(struct node_metrics *m, struct metrics *metrics) {
#define X(member, kind, name, help) m->member = metrics_add(metrics, METRIC_##kind, name, help, NULL);
    NODE_METRICS(X)
#undef X
#define X(member, bounds, name, help)                                                                                       \
    m->member = metrics_add_histogram(metrics, name, help, NULL, bounds, ARRAY_COUNT(bounds));
    NODE_HISTOGRAMS(X)
#undef X
    for (size_t cloud = 0; cloud < CLOUD_COUNT; cloud++) {
        for (size_t online = 0; online < 2; online++) {
            m->workers[cloud][online] =
                metrics_add(metrics, METRIC_GAUGE, "baton_workers", "Registered workers.", worker_labels[cloud][online]);
        }
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    metric_set(m->start_time, (double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1000);
    metric_set(metrics_add(metrics, METRIC_GAUGE, "baton_build_info", "Always 1; the label has the version.",
                           "version=\"" BATON_VERSION "\""),
               1);
}

static bool count_worker(void *user, const struct state_worker *worker) {
    double(*counts)[2] = user;
    if (slice_equal(worker->registration->cloud, slice_of_str("aws"))) {
        counts[CLOUD_AWS][worker->online] += 1;
    } else if (slice_equal(worker->registration->cloud, slice_of_str("gcp"))) {
        counts[CLOUD_GCP][worker->online] += 1;
    }
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

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void node_metrics_sample(struct node_metrics *m, const struct state *state, const struct raft_slab *slab) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metric_set(m->cpu_seconds, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    }
    metric_set(m->resident_bytes, resident_bytes());
    metric_set(m->open_fds, open_fds());
    metric_set(m->max_fds, (double)files_allowed());
    metric_set(m->log_bytes, (double)raft_slab_bytes(slab));
    double counts[CLOUD_COUNT][2] = {{0, 0}, {0, 0}};
    state_workers(state, slice_of(NULL, 0), count_worker, counts);
    for (size_t cloud = 0; cloud < CLOUD_COUNT; cloud++) {
        for (size_t online = 0; online < 2; online++) {
            metric_set(m->workers[cloud][online], counts[cloud][online]);
        }
    }
}
