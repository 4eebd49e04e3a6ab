// Metrics and their text form. Series are grouped by name into families: the format wants a family's lines together, below
// one HELP and one TYPE.
#include "base/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct series {
    struct series *next;
    char *labels;  // the text between the braces; "": none
    union {
        struct metric metric;
        struct histogram histogram;
    };
};

struct family {
    struct family *next;
    const char *name;
    const char *help;
    enum metric_kind kind;
    struct series *series;
    struct series **series_end;
};

struct metrics {
    struct family *families;
    struct family **families_end;
};

struct metrics *metrics_new(void) {
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    metrics->families_end = &metrics->families;
    return metrics;
}

static void series_free(struct series *series) {
    free(series->labels);
    free(series);
}

void metrics_free(struct metrics *metrics) {
    if (metrics == NULL) {
        return;
    }
    while (metrics->families != NULL) {
        struct family *family = metrics->families;
        metrics->families = family->next;
        while (family->series != NULL) {
            struct series *series = family->series;
            family->series = series->next;
            series_free(series);
        }
        free(family);
    }
    free(metrics);
}

static struct family *family_get(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help) {
    for (struct family *family = metrics->families; family != NULL; family = family->next) {
        if (strcmp(family->name, name) == 0) {
            assert(family->kind == kind && strcmp(family->help, help) == 0);
            return family;
        }
    }
    struct family *family = mem_zalloc(sizeof *family);
    *family = (struct family){.name = name, .help = help, .kind = kind};
    family->series_end = &family->series;
    *metrics->families_end = family;
    metrics->families_end = &family->next;
    return family;
}

static struct series *series_add(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help,
                                 const char *labels) {
    struct family *family = family_get(metrics, kind, name, help);
    for (struct series *series = family->series; series != NULL; series = series->next) {
        assert(strcmp(series->labels, labels == NULL ? "" : labels) != 0);  // a series has one owner
    }
    struct series *series = mem_zalloc(sizeof *series);
    series->labels = mem_strdup(labels == NULL ? "" : labels);
    *family->series_end = series;
    family->series_end = &series->next;
    return series;
}

struct metric *metrics_add(struct metrics *metrics, enum metric_kind kind, const char *name, const char *help,
                           const char *labels) {
    assert(kind != METRIC_HISTOGRAM);
    return &series_add(metrics, kind, name, help, labels)->metric;
}

struct histogram *metrics_add_histogram(struct metrics *metrics, const char *name, const char *help, const char *labels,
                                        const double *bounds, size_t bound_count) {
    assert(bound_count <= HISTOGRAM_BUCKETS_MAX);
    for (size_t i = 1; i < bound_count; i++) {
        assert(bounds[i - 1] < bounds[i]);
    }
    struct series *series = series_add(metrics, METRIC_HISTOGRAM, name, help, labels);
    series->histogram.bounds = bounds;
    series->histogram.bound_count = bound_count;
    return &series->histogram;
}

static void forget(struct family *family, const char *labels) {
    struct series **at = &family->series;
    while (*at != NULL) {
        struct series *series = *at;
        if (strcmp(series->labels, labels) == 0) {
            *at = series->next;
            series_free(series);
        } else {
            at = &series->next;
        }
    }
    family->series_end = at;
}

void metrics_forget(struct metrics *metrics, const char *labels) {
    for (struct family *family = metrics->families; family != NULL; family = family->next) {
        forget(family, labels);
    }
}

void histogram_observe(struct histogram *histogram, double value) {
    size_t bucket = 0;
    while (bucket < histogram->bound_count && value > histogram->bounds[bucket]) {
        bucket++;
    }
    histogram->counts[bucket]++;
    histogram->total++;
    histogram->sum += value;
}

// Appends the shortest decimal text that parses to the same number.
static void append_number(struct buf *out, double value) {
    if (isnan(value) || isinf(value)) {
        buf_append_str(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_append_str(out, text);
}

static void append_name(struct buf *out, const char *name, const char *suffix, const char *labels) {
    buf_append_str(out, name);
    buf_append_str(out, suffix);
    if (labels[0] != '\0') {
        buf_printf(out, "{%s}", labels);
    }
    buf_append_str(out, " ");
}

static void append_bucket(struct buf *out, const char *name, const char *labels, double bound, uint64_t count) {
    buf_printf(out, "%s_bucket{%s%sle=\"", name, labels, labels[0] == '\0' ? "" : ",");
    append_number(out, bound);
    buf_printf(out, "\"} ");
    buf_append_u64(out, count);
    buf_append_str(out, "\n");
}

static void append_histogram(struct buf *out, const char *name, const struct series *series) {
    const struct histogram *histogram = &series->histogram;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < histogram->bound_count; i++) {
        cumulative += histogram->counts[i];
        append_bucket(out, name, series->labels, histogram->bounds[i], cumulative);
    }
    append_bucket(out, name, series->labels, INFINITY, histogram->total);
    append_name(out, name, "_sum", series->labels);
    append_number(out, histogram->sum);
    buf_append_str(out, "\n");
    append_name(out, name, "_count", series->labels);
    buf_append_u64(out, histogram->total);
    buf_append_str(out, "\n");
}

static void append_help(struct buf *out, const struct family *family) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s ", family->name);
    for (const char *c = family->help; *c != '\0'; c++) {
        if (*c == '\\' || *c == '\n') {
            buf_append_str(out, *c == '\n' ? "\\n" : "\\\\");
        } else {
            buf_append(out, c, 1);
        }
    }
    buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
}

void metrics_render(const struct metrics *metrics, struct buf *out) {
    for (const struct family *family = metrics->families; family != NULL; family = family->next) {
        if (family->series == NULL) {
            continue;  // all forgotten
        }
        append_help(out, family);
        for (const struct series *series = family->series; series != NULL; series = series->next) {
            if (family->kind == METRIC_HISTOGRAM) {
                append_histogram(out, family->name, series);
                continue;
            }
            append_name(out, family->name, "", series->labels);
            append_number(out, series->metric.value);
            buf_append_str(out, "\n");
        }
    }
}
