// Counters, gauges and histograms, and their text form for Prometheus (exposition format 0.0.4).
//
// A metric is registered once at start and lives as long as the process. Changing one is an inline add, without lock: the
// loop's thread is the only writer and the only renderer.
#ifndef BATON_BASE_METRICS_H
#define BATON_BASE_METRICS_H

#include "base/buf.h"

struct metrics;  // a registry

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

// One time series of a counter or gauge.
struct metric {
    double value;
};

enum { HISTOGRAM_BUCKETS_MAX = 32 };

// One time series of a histogram.
struct histogram {
    const double *bounds;  // rising upper bounds; +Inf is implied
    size_t bound_count;    // at most HISTOGRAM_BUCKETS_MAX
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    uint64_t total;
    double sum;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

// Adds a time series. `name`, `help` and `bounds` must live on; `labels` is copied and is what stands in the braces, such as
// peer="n2",cloud="gcp", or NULL. Series of one name must agree in kind and help, and are rendered together, in the order
// of their registration. The pointer stays valid as long as the registry.
struct metric *metrics_add(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help,
                           const char *labels);
struct histogram *metrics_add_histogram(struct metrics *metrics, const char *name, const char *help, const char *labels,
                                        const double *bounds, size_t bound_count);

static inline void metric_add(struct metric *metric, double by) {
    metric->value += by;
}

static inline void metric_set(struct metric *metric, double to) {
    metric->value = to;
}

void histogram_observe(struct histogram *histogram, double value);

// Appends all metrics as text.
void metrics_render(const struct metrics *metrics, struct buf *out);

#endif
