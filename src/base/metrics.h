// Counters, gauges and histograms, rendered in Prometheus's text format (0.0.4).
//
// A metric is registered once and lives as long as its registry, unless it is forgotten. Updates are plain additions without
// locks: the loop's thread is the only writer and the only reader.
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
    const double *bounds;  // upper bounds in ascending order; +Inf is implied
    size_t bound_count;    // at most HISTOGRAM_BUCKETS_MAX
    uint64_t counts[HISTOGRAM_BUCKETS_MAX + 1];
    uint64_t total;
    double sum;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

// Adds a time series, owned by the registry. `name`, `help` and `bounds` must outlive it; `labels` is copied: the text
// between the braces, such as peer="n2",cloud="gcp", or NULL. Series of one name must agree in kind and help and differ in
// labels; they are rendered together, in the order of registration.
struct metric *metrics_add(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help,
                           const char *labels);
struct histogram *metrics_add_histogram(struct metrics *metrics, const char *name, const char *help, const char *labels,
                                        const double *bounds, size_t bound_count);

// Removes every series with these labels, which nobody may use any more.
void metrics_forget(struct metrics *metrics, const char *labels);

static inline void metric_add(struct metric *metric, double by) {
    metric->value += by;
}

static inline void metric_set(struct metric *metric, double to) {
    metric->value = to;
}

// Counts the value in the first bucket whose upper bound is not below it.
void histogram_observe(struct histogram *histogram, double value);

// Appends all metrics as text.
void metrics_render(const struct metrics *metrics, struct buf *out);

#endif
